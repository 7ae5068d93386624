"""The part of a session's handle that moves its head and names its branches."""

from __future__ import annotations

from abc import ABC, abstractmethod

from .contract import checks
from .contract.commits import RuntimeCommitResult
from .contract.history import Branch, GraphLeaf, HeadMove, branch_name
from .contract.leases import LeaseOwnerIdentity, SessionExecutionLeaseFence
from .keeper import Keeper
from .machine import branches, rewinds
from .surroundings import fresh_id


class SessionHistory(ABC):
    """Rewinding, undoing and branching.

    A move of the head is a commit like any other: fenced, logged, atomic, and the revision grows by 1. Only the leaf
    moves; config, frames, checkpoint and usage stay as the latest commit left them, and no node is lost. It needs the
    execution lease: `fence` is that of a live one, else the lease is taken and given back within the call. That raises
    `SessionExecutionLeaseHeld` where somebody holds it who is not provably dead. Once a move returns it survives a
    power cut in `Durability.FULL`.
    """

    @abstractmethod
    def _own(self) -> Keeper:
        """The session's keeper."""

    def rewind(
        self,
        to: str | None,
        *,
        fence: SessionExecutionLeaseFence | None = None,
        expected_head_revision: int | None = None,
    ) -> RuntimeCommitResult:
        """Make the node `to` the leaf of the head, or leave the session without a leaf. The current branch follows.

        Raises `NodeNotFound`; `HeadRevisionConflict` unless `expected_head_revision` is `None` or the current one;
        `SessionExecutionLeaseExpired` for a `fence` that is not of the live lease, `SessionExecutionLeaseHeld` without
        one; `InvalidCommit` before the first commit.
        """
        target = checks.optional_identifier("to", to)
        expected = checks.optional_integer("expected_head_revision", expected_head_revision)
        return self._own().write(rewinds.rewind(target, _lane(fence, expected)))

    def undo(self, *, fence: SessionExecutionLeaseFence | None = None) -> RuntimeCommitResult:
        """Take back the latest move of the head that is no undo itself, be it a commit, a rewind or a switch.

        Called again, it goes further back, at most to where the session began or was forked: `NothingToUndo`. An undo
        is undone by a rewind. Raises `NodeNotFound` where the former leaf was removed since, and as `rewind` does.
        """
        return self._own().write(rewinds.undo(_lane(fence)))

    def head_log(self, limit: int | None = None) -> tuple[HeadMove, ...]:
        """The moves of the head in this session, or the latest `limit` of them, oldest first.

        Those of a fork's parent are in the parent's log.
        """
        return self._own().read(rewinds.head_log(checks.optional_integer("limit", limit)))

    def branches(self) -> tuple[Branch, ...]:
        """The branches of the session, by name."""
        return self._own().read(branches.list_all())

    def create_branch(self, name: str, at: str | None = None) -> Branch:
        """Name the node `at`, or the leaf of the head; the current branch stays what it is. No lease is needed.

        A name has 1 to 200 printable characters, a session at most 1,000 branches. Raises `BranchExists`,
        `NodeNotFound`, and `InvalidArgument`.
        """
        target = checks.optional_identifier("at", at)
        return self._own().write(branches.create(branch_name(name), target))

    def switch_branch(self, name: str, fence: SessionExecutionLeaseFence | None = None) -> RuntimeCommitResult:
        """Move the head to the branch's leaf, and let the branch follow the head from now on.

        Raises `BranchNotFound`, `NodeNotFound` where its leaf is gone, and as `rewind` does.
        """
        return self._own().write(rewinds.switch(branch_name(name), _lane(fence)))

    def drop_branch(self, name: str) -> None:
        """Forget the name; nodes and head stay where they are. No lease is needed. Raises `BranchNotFound`.

        After the current branch is dropped none is current.
        """
        self._own().write(branches.drop(branch_name(name)))

    def leaves(self) -> tuple[GraphLeaf, ...]:
        """The tips of all lines of the conversation, named or not, in commit order. Reads all nodes."""
        return self._own().read(branches.leaves())


def _lane(fence: SessionExecutionLeaseFence | None, expected_head_revision: int | None = None) -> rewinds.Lane:
    if fence is None:
        owner = LeaseOwnerIdentity.local_process("localstore", fresh_id())
    else:
        owner = checks.instance("fence", fence, SessionExecutionLeaseFence).owner
    return rewinds.Lane(owner, fence, expected_head_revision)
