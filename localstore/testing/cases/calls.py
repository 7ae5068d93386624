"""Every call of a session's handle, with valid arguments, for rules that hold for all of them alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ... import (
    ActivePath,
    CancelByInputId,
    FullGraph,
    LeaseOwnerIdentity,
    NextTurnClaim,
    PendingTurnInput,
    QueuedWorkBatch,
    QueuedWorkClaim,
    QueuedWorkItem,
    RuntimePersistence,
    SessionExecutionLeaseCompletion,
    SessionExecutionLeaseFence,
    SessionMeta,
    TurnInputClaim,
    TurnInputState,
)
from ..builders import OTHER, TURN, append_commit, intent, next_input, node, owner, wake
from .world import AFTER_WORK, IDLE, MINUTE, World

Call = Callable[[RuntimePersistence, str], object]

_OWNER: LeaseOwnerIdentity = owner("caller")


def fence_of(session_id: str) -> SessionExecutionLeaseFence:
    """A fence of no lease that was ever given."""
    return SessionExecutionLeaseFence(session_id, _OWNER, "no-lease-token", 1)


def input_claim_of(session_id: str) -> TurnInputClaim:
    """A claim that was never given."""
    draft = next_input("never enqueued")
    state = TurnInputState.DEFERRED_NEXT_TURN
    held = PendingTurnInput("no-input", session_id, 1, draft.ingress, state, 0, draft.input)
    return TurnInputClaim(session_id, "no-claim", _OWNER, "no-claim-token", 1, 0, 1, NextTurnClaim(), (held,))


def work_claim_of(session_id: str) -> QueuedWorkClaim:
    """A claim that was never given."""
    draft = wake("never enqueued")
    items = (QueuedWorkItem("no-item", draft.payloads[0]),)
    batch = QueuedWorkBatch(
        "no-batch", session_id, 1, draft.delivery_policy, draft.slot_policy, draft.merge_key, 0, 0, items
    )
    return QueuedWorkClaim(session_id, "no-claim", _OWNER, "no-claim-token", 1, 0, 1, (batch,))


CALLS: dict[str, Call] = {
    "load_session": lambda s, sid: s.load_session(FullGraph()),
    "load_session of a path": lambda s, sid: s.load_session(ActivePath()),
    "load_session_head": lambda s, sid: s.load_session_head(),
    "load_node": lambda s, sid: s.load_node("n"),
    "commit_runtime_state": lambda s, sid: s.commit_runtime_state(
        append_commit(node("n"), session_id=sid).with_session_execution_lease(fence_of(sid))
    ),
    "try_claim_session_execution_lease": lambda s, sid: s.try_claim_session_execution_lease(sid, _OWNER, MINUTE),
    "reclaim_session_execution_lease": lambda s, sid: s.reclaim_session_execution_lease(
        sid, _OWNER, fence_of(sid), MINUTE
    ),
    "renew_session_execution_lease": lambda s, sid: s.renew_session_execution_lease(fence_of(sid), MINUTE),
    "release_session_execution_lease": lambda s, sid: s.release_session_execution_lease(
        SessionExecutionLeaseCompletion(sid, _OWNER, "no-lease-token", 1)
    ),
    "get_session_execution_lease": lambda s, sid: s.get_session_execution_lease(sid),
    "save_session_meta": lambda s, sid: s.save_session_meta(SessionMeta(sid, "name", "", "model")),
    "load_session_meta": lambda s, sid: s.load_session_meta(),
    "tombstone_nodes": lambda s, sid: s.tombstone_nodes(("n",)),
    "vacuum": lambda s, sid: s.vacuum(),
    "gc_unreachable": lambda s, sid: s.gc_unreachable(),
    "enqueue_pending_turn_input": lambda s, sid: s.enqueue_pending_turn_input(next_input("hello", session_id=sid)),
    "list_pending_turn_inputs": lambda s, sid: s.list_pending_turn_inputs(sid),
    "cancel_pending_turn_input": lambda s, sid: s.cancel_pending_turn_input(sid, "no-input"),
    "cancel_pending_turn_inputs": lambda s, sid: s.cancel_pending_turn_inputs(sid, (CancelByInputId("no-input"),)),
    "cancel_pending_turn_input_suffix": lambda s, sid: s.cancel_pending_turn_input_suffix(
        sid, CancelByInputId("no-input")
    ),
    "claim_active_turn_inputs": lambda s, sid: s.claim_active_turn_inputs(
        sid, fence_of(sid), _OWNER, TURN, AFTER_WORK, MINUTE, 1
    ),
    "claim_next_turn_inputs": lambda s, sid: s.claim_next_turn_inputs(sid, fence_of(sid), _OWNER, MINUTE, 1),
    "abandon_turn_input_claim": lambda s, sid: s.abandon_turn_input_claim(input_claim_of(sid)),
    "defer_orphaned_turn_inputs": lambda s, sid: s.defer_orphaned_turn_inputs(sid, fence_of(sid), TURN),
    "enqueue_queued_work": lambda s, sid: s.enqueue_queued_work(wake(session_id=sid)),
    "list_queued_work": lambda s, sid: s.list_queued_work(sid),
    "list_pending_queued_work": lambda s, sid: s.list_pending_queued_work(sid),
    "cancel_queued_work_batch": lambda s, sid: s.cancel_queued_work_batch(sid, "no-batch"),
    "claim_leading_ready_session_command": lambda s, sid: s.claim_leading_ready_session_command(
        sid, fence_of(sid), _OWNER, MINUTE
    ),
    "claim_ready_queued_work": lambda s, sid: s.claim_ready_queued_work(sid, fence_of(sid), _OWNER, IDLE, MINUTE, 1),
    "claim_ready_queued_work_by_batch_ids": lambda s, sid: s.claim_ready_queued_work_by_batch_ids(
        sid, fence_of(sid), _OWNER, IDLE, MINUTE, ("no-batch",)
    ),
    "renew_queued_work_claim": lambda s, sid: s.renew_queued_work_claim(work_claim_of(sid), MINUTE),
    "abandon_queued_work_claim": lambda s, sid: s.abandon_queued_work_claim(work_claim_of(sid)),
    "record_intent": lambda s, sid: s.record_intent(intent("a", session_id=sid)),
    "commit_refs": lambda s, sid: s.commit_refs(sid, ("a",)),
    "list_uncommitted": lambda s, sid: s.list_uncommitted(0),
    "forget": lambda s, sid: s.forget("a"),
}

STALE = ["session", "owner id", "incarnation", "lease token", "higher fencing token", "lower fencing token"]
"""The fields of a fence, each of which makes it stale."""


def stale_fences(world: World) -> dict[str, SessionExecutionLeaseFence]:
    """The live lease's fence with each of its fields changed."""
    fence = world.fence()
    return {
        "session": replace(fence, session_id=OTHER),
        "owner id": replace(fence, owner=owner("someone else")),
        "incarnation": replace(fence, owner=owner(incarnation="2")),
        "lease token": replace(fence, lease_token=fence.lease_token + "x"),
        "higher fencing token": replace(fence, fencing_token=fence.fencing_token + 1),
        "lower fencing token": replace(fence, fencing_token=fence.fencing_token - 1),
    }
