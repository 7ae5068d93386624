"""What the other processes of the multi-process tests do. Needs no pytest, so that they start fast."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any

from .. import (
    CheckpointKind,
    Clock,
    FullGraph,
    HeadRevisionConflict,
    LeaseAcquired,
    QueuedWorkClaimBoundary,
    RuntimePersistence,
    SessionExecutionLease,
    SessionExecutionLeaseClaimOutcome,
    SessionExecutionLeaseFence,
)
from .backends import StoreFace
from .builders import (
    SESSION,
    TURN,
    active_input,
    append_commit,
    living_owner,
    next_input,
    node,
    owner,
    wake,
)

HOUR = 3_600_000

Opener = Callable[[Clock], StoreFace]


class _Gate:
    barrier: Barrier | None = None


def remember_gate(barrier: Barrier) -> None:
    """Called once in each process of the pool."""
    _Gate.barrier = barrier


def wait_for_the_others() -> None:
    """Wait until every process of the pool is here."""
    assert _Gate.barrier is not None
    _Gate.barrier.wait(60)


def in_step(opener: Opener, clock: Clock, task: Callable[..., Any], number: int, arguments: tuple[Any, ...]) -> Any:
    """Open the store, wait for the others, do the task as number so and so, and close the store."""
    store = opener(clock)
    wait_for_the_others()
    try:
        return task(store, number, *arguments)
    finally:
        store.close()


def alone(opener: Opener, clock: Clock, task: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Open the store, do the task, and close the store."""
    store = opener(clock)
    try:
        return task(store, *arguments)
    finally:
        store.close()


def until_killed(opener: Opener, clock: Clock, task: Callable[[StoreFace], Any], answer: Connection) -> None:
    """Open the store, do the task, tell its result, and stay there until the parent kills this process."""
    store = opener(clock)
    answer.send(task(store))
    answer.poll(None)  # the parent never answers; should it die first, its end of the pipe closes


def handle(store: StoreFace, session_id: str = SESSION) -> RuntimePersistence:
    """A handle of a session that exists."""
    found = store.open_session(session_id)
    assert found is not None
    return found


# Alone.


def append_after(store: StoreFace, parent: str, node_id: str) -> int:
    """The revision of a commit of one node, under the worker's lease."""
    session = handle(store)
    outcome = session.try_claim_session_execution_lease(SESSION, owner(), HOUR)
    assert isinstance(outcome, LeaseAcquired)
    commit = append_commit(node(node_id, parent)).with_session_execution_lease(outcome.lease.fence())
    return session.commit_runtime_state(commit).head_revision


def node_ids(store: StoreFace) -> list[str]:
    """The ids of all nodes."""
    read = handle(store).load_session(FullGraph())
    assert read is not None
    return [item.node_id for item in read.graph.nodes]


def create(store: StoreFace, session_id: str) -> None:
    """Make a session."""
    store.create_session(session_id)


def delete(store: StoreFace, session_id: str) -> None:
    """Delete a session."""
    store.delete_session(session_id)


def claim_lease(store: StoreFace, name: str) -> SessionExecutionLeaseClaimOutcome:
    """Claim the lease as this process."""
    return handle(store).try_claim_session_execution_lease(SESSION, living_owner(name), HOUR)


def reclaim_lease(
    store: StoreFace, name: str, observed: SessionExecutionLeaseFence
) -> SessionExecutionLeaseClaimOutcome:
    """Reclaim the lease as this process."""
    return handle(store).reclaim_session_execution_lease(SESSION, living_owner(name), observed, HOUR)


def live_lease(store: StoreFace) -> SessionExecutionLease | None:
    """The live lease as this process sees it."""
    return handle(store).get_session_execution_lease(SESSION)


def fill_queues(store: StoreFace, count: int) -> None:
    """Enqueue so many inputs and batches."""
    session = handle(store)
    for number in range(count):
        session.enqueue_pending_turn_input(next_input(f"{number}"))
        session.enqueue_queued_work(wake(f"{number}"))


# In step with others.


def reclaim_lease_as(
    store: StoreFace, number: int, observed: SessionExecutionLeaseFence
) -> SessionExecutionLeaseClaimOutcome:
    """Reclaim the lease as this process, one of several."""
    return reclaim_lease(store, f"claimant {number}", observed)


def commit_rounds(store: StoreFace, number: int, fence: SessionExecutionLeaseFence, rounds: int) -> list[object]:
    """In each round a commit that expects the revision of the round; all processes start a round together."""
    session = handle(store)
    results: list[object] = []
    for revision in range(rounds):
        commit = append_commit(node(f"n{revision} of {number}"), expected_head_revision=revision)
        wait_for_the_others()
        try:
            results.append(session.commit_runtime_state(commit.with_session_execution_lease(fence)))
        except HeadRevisionConflict as error:
            results.append(error)
    return results


def enqueue_many(store: StoreFace, number: int, count: int) -> list[str]:
    """The ids of inputs enqueued by this process, with as many batches."""
    session = handle(store)
    names = []
    for at in range(count):
        names.append(session.enqueue_pending_turn_input(next_input(f"{number} {at}")).input_id)
        session.enqueue_queued_work(wake(f"{number} {at}"))
    return names


def claim_until_empty(store: StoreFace, number: int, fence: SessionExecutionLeaseFence) -> list[str]:
    """The ids of all inputs and batches that this process got hold of."""
    session, who = handle(store), owner(f"claimant {number}")
    names: list[str] = []
    while True:
        inputs = session.claim_next_turn_inputs(SESSION, fence, who, HOUR, 2)
        work = session.claim_ready_queued_work(SESSION, fence, who, QueuedWorkClaimBoundary.IDLE, HOUR, 1)
        if inputs is None and work is None:
            return names
        names += inputs.completion().input_ids if inputs else ()
        names += work.completion().batch_ids if work else ()


def create_and_say(store: StoreFace, number: int, session_id: str) -> None:
    """Make a session and say something in it."""
    session = store.create_session(session_id)
    session.enqueue_pending_turn_input(next_input(f"{number}", session_id=session_id))


# Until killed.


def hold_lease(store: StoreFace) -> SessionExecutionLease:
    """Hold the lease."""
    outcome = claim_lease(store, "doomed")
    assert isinstance(outcome, LeaseAcquired)
    return outcome.lease


def write_and_claim(store: StoreFace) -> None:
    """Commit a node; enqueue input and work and claim some of each; give the lease back."""
    session, who = handle(store), living_owner("doomed")
    outcome = session.try_claim_session_execution_lease(SESSION, who, HOUR)
    assert isinstance(outcome, LeaseAcquired)
    fence = outcome.lease.fence()
    session.commit_runtime_state(append_commit(node("by the dead")).with_session_execution_lease(fence))
    session.enqueue_queued_work(wake())
    session.enqueue_pending_turn_input(active_input("claimed"))
    boundary = QueuedWorkClaimBoundary.IDLE
    assert session.claim_ready_queued_work(SESSION, fence, who, boundary, HOUR, 1) is not None
    checkpoint = CheckpointKind.BEFORE_COMPLETION
    assert session.claim_active_turn_inputs(SESSION, fence, who, TURN, checkpoint, HOUR, 1) is not None
    session.enqueue_pending_turn_input(next_input("left"))
    session.release_session_execution_lease(outcome.lease.completion())
