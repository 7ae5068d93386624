"""What every store of the comparison must be able to do, so that each case is written once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from .workload import Node, Turn

TTL_MS = 60_000


class NotThereError(AssertionError):
    """What was written is not there, or not as it was written."""


class Session(Protocol):
    """One session. The steps of a turn are called in order: each works on what the one before it got."""

    def enqueue(self, turn: Turn) -> None:
        """Take in the user's input durably."""

    def claim_lease(self) -> bool:
        """Take the writer's lane; `False`: another one holds it."""

    def claim_input(self) -> str:
        """Claim the next input under the lease, and return its text."""

    def commit(self, turn: Turn) -> int:
        """Commit the turn's nodes, checkpoint, usage and stamp, and complete what is claimed: the new revision."""

    def release(self) -> None:
        """Give the writer's lane back."""

    def revision(self) -> int:
        """How many commits the session has."""

    def pending_inputs(self) -> int:
        """How many inputs wait."""

    def load_node(self, node_id: str) -> Node | None:
        """One node by its id."""

    def load_all(self) -> list[Node]:
        """Every node in commit order, decoded."""

    def load_path(self) -> list[Node]:
        """The ancestry of the leaf, root first, decoded."""

    def read_all(self) -> int:
        """How many nodes a full load gives, each payload decoded. For timing: it makes no record beside the load's."""

    def read_path(self) -> int:
        """Likewise for the ancestry of the leaf."""


class OpenStore(Protocol):
    """An open store."""

    def session(self, session_id: str) -> Session:
        """The session of that id, made if it does not exist."""

    def list_sessions(self) -> list[tuple[str, str | None, int]]:
        """Id, first user message and node count of each session, newest activity first."""

    def settle(self) -> None:
        """Bring the directory to its smallest form: fold, vacuum."""

    def close(self) -> None:
        """Close cleanly."""


class StoreKind(Protocol):
    """A way to store sessions."""

    name: str

    def open(self, root: Path, *, flushed: bool) -> OpenStore:
        """Open (create) the store in the directory `root`; `flushed`: acknowledged writes survive a power cut."""


@contextmanager
def opened(kind: StoreKind, root: Path, *, flushed: bool) -> Iterator[OpenStore]:
    """An open store that is closed in the end."""
    store = kind.open(root, flushed=flushed)
    try:
        yield store
    finally:
        store.close()


def whole_turn(session: Session, turn: Turn) -> None:
    """Enqueue, claim the lease, claim the input, commit (which completes the input), release."""
    session.enqueue(turn)
    if not session.claim_lease():
        raise NotThereError("the lease is held by another")
    session.claim_input()
    session.commit(turn)
    session.release()


def verify_turns(kind: StoreKind, root: Path, session_id: str, written: list[Turn]) -> None:
    """Open the store anew and see that every turn of `written` is there, whole, and nothing waits."""
    with opened(kind, root, flushed=False) as store:
        session = store.session(session_id)
        nodes = [node for turn in written for node in turn.nodes]
        stored = session.load_all()
        if stored != nodes:
            raise NotThereError(f"{kind.name}: {len(stored)} nodes read back, {len(nodes)} written, or not the same")
        if session.revision() != len(written):
            raise NotThereError(f"{kind.name}: revision {session.revision()} after {len(written)} turns")
        if session.pending_inputs():
            raise NotThereError(f"{kind.name}: {session.pending_inputs()} inputs wait, all were completed")
        if not session.claim_lease():
            raise NotThereError(f"{kind.name}: the lease was not released")
        session.release()
