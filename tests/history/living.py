"""Short ways to live with sessions: commit, look, open again."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localstore import (
    ActivePath,
    FullGraph,
    LeaseOwnerIdentity,
    LocalStore,
    RuntimeCommitResult,
    SessionExecutionLease,
    SessionNodeRecord,
    SessionStore,
)
from localstore.store import Store
from localstore.testing import SESSION, ManualClock, append_commit, commit_of, owner
from tests.commits import settle

HOUR = 3_600_000
DAY = 24 * HOUR


class Living:
    """A store, its clock, and a handle on the session `SESSION`."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.session = store.create_session(SESSION)

    @property
    def is_on_files(self) -> bool:
        return isinstance(self.store, LocalStore)

    @property
    def root(self) -> Path:
        assert isinstance(self.store, LocalStore)
        return self.store.root

    def reopen(self) -> None:
        """Close a store on files and open it again; one in memory stays as it is."""
        if isinstance(self.store, LocalStore):
            self.store.close()
            self.store = LocalStore(self.store.root, clock=self.clock)
            session = self.store.open_session(SESSION)
            if session is not None:
                self.session = session

    def handle(self, session_id: str = SESSION) -> SessionStore:
        found = self.store.open_session(session_id)
        assert found is not None
        return found

    def lease(self, session: SessionStore, ttl_ms: int = HOUR) -> SessionExecutionLease:
        lease = session.try_claim_session_execution_lease(session.session_id, owner(), ttl_ms).acquired()
        assert lease is not None
        return lease

    def settle(self, session: SessionStore, graph: Any, **changes: Any) -> RuntimeCommitResult:
        """Commit `graph` under a lease that is given back."""
        return settle(session, commit_of(graph, session_id=session.session_id, **changes))

    def append(self, *nodes: SessionNodeRecord, session: SessionStore | None = None, **changes: Any) -> int:
        """Commit `nodes`, the last of which is the leaf; the new revision."""
        where = self.session if session is None else session
        return self.settle(where, append_commit(*nodes, session_id=where.session_id).graph, **changes).head_revision


def leaf(session: SessionStore) -> str | None:
    head = session.load_session_head()
    return None if head is None else head.leaf_node_id


def revision(session: SessionStore) -> int:
    head = session.load_session_head()
    return 0 if head is None else head.head_revision


def path(session: SessionStore) -> list[str]:
    read = session.load_session(ActivePath())
    return [] if read is None else [node.node_id for node in read.graph.nodes]


def nodes(session: SessionStore) -> list[str]:
    read = session.load_session(FullGraph())
    return [] if read is None else [node.node_id for node in read.graph.nodes]


def identity_of_a_dead_process() -> LeaseOwnerIdentity:
    identity = in_another_process(_own_identity)
    assert isinstance(identity, LeaseOwnerIdentity)
    assert identity.is_definitely_dead_for_claimant(LeaseOwnerIdentity.local_process("me", "1"))
    assert not owner().is_definitely_dead_for_claimant(identity)
    return identity


def in_another_process(work: Callable[..., object], *args: object) -> object:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(theirs, work, args))
    child.start()
    theirs.close()
    answer = ours.recv()
    child.join(60)
    assert child.exitcode == 0
    child.close()
    ours.close()
    return answer


def _answer(connection, work, args):
    connection.send(work(*args))
    connection.close()


def _own_identity() -> LeaseOwnerIdentity:
    return LeaseOwnerIdentity.local_process("child", "1")
