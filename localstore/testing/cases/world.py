"""The world of one test: a fresh store with one session, on a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import pytest

from ... import (
    CheckpointKind,
    FullGraph,
    LeaseAcquired,
    LeaseOwnerIdentity,
    PendingTurnInput,
    PendingTurnInputDraft,
    PersistedSessionRead,
    QueuedWorkBatch,
    QueuedWorkBatchDraft,
    QueuedWorkClaim,
    QueuedWorkClaimBoundary,
    RuntimeCommit,
    RuntimeCommitResult,
    RuntimePersistence,
    SessionExecutionLease,
    SessionExecutionLeaseFence,
    SessionNodeRecord,
    SessionSummary,
    TurnInputClaim,
)
from .. import builders
from ..backends import Backend, Capability, StoreFace
from ..builders import SESSION, TURN
from ..clocks import ManualClock

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
MAX_INTEGER = 2**53 - 1

IDLE = QueuedWorkClaimBoundary.IDLE
IN_TURN = QueuedWorkClaimBoundary.ACTIVE_TURN_CHECKPOINT
AFTER_WORK = CheckpointKind.AFTER_WORK
BEFORE_COMPLETION = CheckpointKind.BEFORE_COMPLETION

WORKER = builders.owner()
"""Who holds the lease and the claims of a test, unless it says otherwise."""


class World:
    """A store, its clock, and the handle of the session `SESSION`, with shortcuts for what tests do all the time."""

    def __init__(self, backend: Backend, clock: ManualClock, store: StoreFace) -> None:
        self.backend = backend
        self.clock = clock
        self.store = store
        self.session = store.create_session(SESSION)

    def handle(self, session_id: str = SESSION) -> RuntimePersistence:
        """A new handle of a session that exists."""
        found = self.store.open_session(session_id)
        assert found is not None
        return found

    def reopen(self) -> None:
        """Close the store and open its data again."""
        store = self.backend.reopen(self.store, self.clock)
        assert store is not None
        self.store = store
        self.session = self.handle()

    # The lease and commits under it.

    def lease(
        self, owner: LeaseOwnerIdentity = WORKER, ttl_ms: int = HOUR, session_id: str = SESSION
    ) -> SessionExecutionLease:
        """The execution lease, which must be free or the owner's."""
        outcome = self.session.try_claim_session_execution_lease(session_id, owner, ttl_ms)
        assert isinstance(outcome, LeaseAcquired)
        return outcome.lease

    def fence(self, session_id: str = SESSION) -> SessionExecutionLeaseFence:
        """The fence of the worker's lease, claimed now for an hour."""
        return self.lease(session_id=session_id).fence()

    def settle(self, commit: RuntimeCommit) -> RuntimeCommitResult:
        """Commit under the worker's lease."""
        fence = self.fence(commit.session_id)
        return self.handle(commit.session_id).commit_runtime_state(commit.with_session_execution_lease(fence))

    def append(self, *nodes: SessionNodeRecord) -> RuntimeCommitResult:
        """Commit `nodes`, the last of them as the leaf."""
        return self.settle(builders.append_commit(*nodes))

    def read(self) -> PersistedSessionRead:
        """The whole session, which must have been committed."""
        read = self.session.load_session(FullGraph())
        assert read is not None
        return read

    def node_ids(self) -> list[str]:
        """The ids of all nodes, in commit order."""
        return [node.node_id for node in self.read().graph.nodes]

    # Input and work.

    def say(self, draft: PendingTurnInputDraft) -> PendingTurnInput:
        """Enqueue user input."""
        return self.session.enqueue_pending_turn_input(draft)

    def pending(self, session_id: str = SESSION) -> list[str]:
        """The ids of the inputs that are listed as pending."""
        return [item.input_id for item in self.session.list_pending_turn_inputs(session_id)]

    def take_active(
        self,
        turn_id: str = TURN,
        checkpoint: CheckpointKind = AFTER_WORK,
        ttl_ms: int = MINUTE,
        limit: int = 100,
        owner: LeaseOwnerIdentity = WORKER,
    ) -> TurnInputClaim | None:
        """Claim input of the running turn under the worker's lease."""
        return self.session.claim_active_turn_inputs(SESSION, self.fence(), owner, turn_id, checkpoint, ttl_ms, limit)

    def take_next(
        self, ttl_ms: int = MINUTE, limit: int = 100, owner: LeaseOwnerIdentity = WORKER
    ) -> TurnInputClaim | None:
        """Claim next-turn input under the worker's lease."""
        return self.session.claim_next_turn_inputs(SESSION, self.fence(), owner, ttl_ms, limit)

    def queue(self, draft: QueuedWorkBatchDraft) -> QueuedWorkBatch:
        """Enqueue work."""
        return self.session.enqueue_queued_work(draft)

    def queued(self, session_id: str = SESSION) -> list[str]:
        """The ids of all batches in the queue."""
        return [batch.batch_id for batch in self.session.list_queued_work(session_id)]

    def waiting(self) -> list[str]:
        """The ids of the batches that no live claim holds."""
        return [batch.batch_id for batch in self.session.list_pending_queued_work(SESSION)]

    def take_work(
        self,
        boundary: QueuedWorkClaimBoundary = IDLE,
        ttl_ms: int = MINUTE,
        limit: int = 100,
        owner: LeaseOwnerIdentity = WORKER,
    ) -> QueuedWorkClaim | None:
        """Claim turn work under the worker's lease."""
        return self.session.claim_ready_queued_work(SESSION, self.fence(), owner, boundary, ttl_ms, limit)

    def take_command(self, ttl_ms: int = MINUTE, owner: LeaseOwnerIdentity = WORKER) -> QueuedWorkClaim | None:
        """Claim a session command under the worker's lease."""
        return self.session.claim_leading_ready_session_command(SESSION, self.fence(), owner, ttl_ms)

    # What can be seen.

    def summary(self, session_id: str = SESSION) -> SessionSummary:
        """The session's line in the list of sessions."""
        (line,) = (item for item in self.store.list_sessions() if item.session_id == session_id)
        return line

    def listed(self) -> list[str]:
        """The ids of all sessions, in the order of the list."""
        return [item.session_id for item in self.store.list_sessions()]

    def everything(self) -> dict[str, object]:
        """All that any read shows of any session: equal before and after a call that does nothing."""
        return observe(self.store)


def observe(store: StoreFace) -> dict[str, object]:
    """All that any read shows of any session of a store, but for sizes on disk."""
    sessions = tuple(replace(item, size_bytes=0) for item in store.list_sessions())
    seen: dict[str, object] = {"sessions": sessions}
    for item in sessions:
        session = store.open_session(item.session_id)
        assert session is not None
        for name, found in _everything_of(session, item.session_id).items():
            seen[f"{name} of {item.session_id}"] = found
    return seen


def _everything_of(session: RuntimePersistence, session_id: str) -> dict[str, object]:
    return {
        "read": session.load_session(FullGraph()),
        "head": session.load_session_head(),
        "meta": session.load_session_meta(),
        "lease": session.get_session_execution_lease(session_id),
        "inputs": session.list_pending_turn_inputs(session_id),
        "work": session.list_queued_work(session_id),
        "unclaimed work": session.list_pending_queued_work(session_id),
        "attachments": session.list_uncommitted(MAX_INTEGER),
    }


class Conformance:
    """The base of all test classes. A class names in `requires` what its backend must have."""

    requires: ClassVar[frozenset[Capability]] = frozenset()

    def make_clock(self) -> ManualClock:
        """The clock of a test."""
        return ManualClock()

    @pytest.fixture
    def world(self, backend: Backend) -> Iterator[World]:
        """A fresh store with one session; the backend checks what is left of it afterwards."""
        missing = sorted(self.requires - backend.capabilities)
        if missing:
            pytest.skip(f"the backend does not declare: {', '.join(missing)}")
        clock = self.make_clock()
        world = World(backend, clock, backend.open(clock))
        yield world
        backend.finish(world.store)
