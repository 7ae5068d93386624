"""How events change the state. No rule is judged here: what was decided is carried out, on replay too.

Entries that are not there are passed over, since a summary is read by replaying onto a state without queues.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from ..contract.history import HeadMoveKind
from ..contract.inputs import NextTurn, TurnInputState
from ..contract.state import SessionCheckpoint
from ..contract.values import EncodedJson, altered, encoded
from . import events as ev
from . import feed
from .encoding import dump, load
from .facts import (
    AttachmentFact,
    CommitFact,
    DanglingFact,
    InputFact,
    NodeFact,
    Recent,
    StoredInput,
    TombstoneFact,
    ValueDroppedFact,
    ValueFact,
)
from .state import HeldLease, LiveBatch, LiveInput, SessionState, Summary


def apply_record(
    state: SessionState, recent: Recent, seq: int, at_ms: int, events: tuple[ev.Event, ...], mark: str = ""
) -> None:
    """Carry out one journal record; `mark` tells it from any other that had its number."""
    state.seq = seq
    recent.records.append((seq, feed.trace(seq, mark, at_ms, events)))
    for event in events:
        kind = type(event)
        _APPLY[kind](state, recent, event, at_ms)
        if at_ms > state.updated_at_ms and kind is not ev.ValuesDropped:
            state.updated_at_ms = at_ms


def _meta_saved(state: SessionState, recent: Recent, event: ev.MetaSaved, at_ms: int) -> None:
    state.meta = event.meta


def _lease_set(state: SessionState, recent: Recent, event: ev.LeaseSet, at_ms: int) -> None:
    state.lease = HeldLease(event.lease, event.deadline)
    _note_boot(state, event.boot_id)
    state.lease_fencing = max(state.lease_fencing, event.lease.fencing_token)


def _note_boot(state: SessionState, boot_id: str) -> None:
    if state.fencing_boot_id not in (None, boot_id):
        # Both counters may have lost tokens in the cut that the other boot proves, and the boot is noted once for both.
        state.lease_fencing += 2**32
        state.claim_fencing += 2**32
    state.fencing_boot_id = boot_id


def _lease_cleared(state: SessionState, recent: Recent, event: ev.LeaseCleared, at_ms: int) -> None:
    state.lease = None


def _store_values(state: SessionState, recent: Recent, values: tuple[ev.Value, ...]) -> None:
    for value in values:
        recent.add(ValueFact(state.seq, value.ref, value.content))


def _input_enqueued(state: SessionState, recent: Recent, event: ev.InputEnqueued, at_ms: int) -> None:
    record = event.stored.record
    _store_values(state, recent, event.values)
    state.inputs[record.input_id] = LiveInput(event.stored)
    if record.source_key is not None:
        state.input_by_source[record.source_key] = record.input_id
    state.next_input_seq = record.enqueue_seq + 1


def _inputs_claimed(state: SessionState, recent: Recent, event: ev.InputsClaimed, at_ms: int) -> None:
    _note_boot(state, event.boot_id)
    state.claim_fencing = max(state.claim_fencing, event.claim.fencing_token)
    for input_id in event.input_ids:
        if live := state.inputs.get(input_id):
            live.claim = event.claim


def _inputs_released(state: SessionState, recent: Recent, event: ev.InputsReleased, at_ms: int) -> None:
    for input_id in event.input_ids:
        if live := state.inputs.get(input_id):
            live.claim = None


def defer(live: LiveInput) -> None:
    """Make a live input one for the next turn."""
    deferred = altered(live.stored.record, state=TurnInputState.DEFERRED_NEXT_TURN, ingress=NextTurn())
    live.stored = StoredInput(deferred, live.stored.submitted, live.stored.images)
    live.claim = None
    live.deferred = True


def _inputs_deferred(state: SessionState, recent: Recent, event: ev.InputsDeferred, at_ms: int) -> None:
    for input_id in event.input_ids:
        if live := state.inputs.get(input_id):
            defer(live)


def _inputs_settled(state: SessionState, recent: Recent, event: ev.InputsSettled, at_ms: int) -> None:
    state.settled_input_count += len(event.input_ids)
    for input_id in event.input_ids:
        if live := state.inputs.pop(input_id, None):
            stored = live.stored
            record = altered(stored.record, state=event.state)
            line = None if live.said is None else dump({"stored": live.said})
            recent.add(InputFact(state.seq, StoredInput(record, stored.submitted, stored.images), line))
            if record.source_key is not None:
                del state.input_by_source[record.source_key]


def _work_enqueued(state: SessionState, recent: Recent, event: ev.WorkEnqueued, at_ms: int) -> None:
    batch = event.batch
    state.work[batch.batch_id] = LiveBatch(batch)
    if batch.source_key is not None:
        state.batch_by_source[batch.source_key] = batch.batch_id
    state.next_work_seq = batch.enqueue_seq + 1


def _work_claimed(state: SessionState, recent: Recent, event: ev.WorkClaimed, at_ms: int) -> None:
    _note_boot(state, event.boot_id)
    state.claim_fencing = max(state.claim_fencing, event.claim.fencing_token)
    for batch_id in event.batch_ids:
        if live := state.work.get(batch_id):
            live.claim = event.claim


def _work_renewed(state: SessionState, recent: Recent, event: ev.WorkRenewed, at_ms: int) -> None:
    for batch_id in event.batch_ids:
        live = state.work.get(batch_id)
        if live and live.claim:
            live.claim = replace(live.claim, deadline=event.deadline)


def _work_released(state: SessionState, recent: Recent, event: ev.WorkReleased, at_ms: int) -> None:
    for batch_id in event.batch_ids:
        if live := state.work.get(batch_id):
            live.claim = None


def _work_removed(state: SessionState, recent: Recent, event: ev.WorkRemoved, at_ms: int) -> None:
    for batch_id in event.batch_ids:
        if live := state.work.pop(batch_id, None):
            key = live.batch.source_key
            if key is not None:
                del state.batch_by_source[key]


def _summary(before: Summary, event: ev.Committed) -> Summary:
    after = event.summary
    if event.replaces_graph or after.first_user_node_id is not None:
        return after
    return Summary(after.node_count, after.user_message_count, before.first_user_node_id, before.first_user_message)


def _committed(state: SessionState, recent: Recent, event: ev.Committed, at_ms: int) -> None:
    previous = state.leaf_node_id
    if event.replaces_graph:
        state.floor_seq = state.seq
        state.tombstone_count = state.revived_count = 0
    for node in event.nodes:
        recent.add(NodeFact(state.seq, node))
    for node_id in event.dangling:
        recent.add(DanglingFact(state.seq, node_id))
    _store_values(state, recent, event.values)
    manifest = encoded(event, "manifest")
    if event.stores_manifest:
        recent.add(ValueFact(state.seq, event.checkpoint_ref, manifest))
    recent.add(
        CommitFact(
            state.seq,
            at_ms,
            event.revision,
            event.leaf_node_id,
            previous,
            event.checkpoint_ref,
            EncodedJson(manifest),  # type: ignore[arg-type]
            event.turn_id,
            event.turn_commit_hash,
            branch=state.current_branch,
        )
    )
    state.revision = event.revision
    state.set_leaf(event.leaf_node_id)
    state.tombstone_count -= event.revived
    state.revived_count += event.revived
    state.dangling_count += len(event.dangling)
    state.summary = _summary(state.summary, event)
    state.checkpoint_ref = event.checkpoint_ref
    state.manifest = event.checkpoint or load(SessionCheckpoint, orjson.loads(manifest))
    state.current_frame_id = event.current_frame_id
    if event.config is not None:
        state.config = event.config
    if event.frames is not None:
        state.frames = event.frames
    for entry in event.usage:
        state.ledger[entry.source, entry.model] = entry.usage


def _nodes_tombstoned(state: SessionState, recent: Recent, event: ev.NodesTombstoned, at_ms: int) -> None:
    for node_id in event.node_ids:
        recent.add(TombstoneFact(state.seq, node_id))
    state.tombstone_count += len(event.node_ids)
    state.set_leaf(event.leaf_node_id)
    state.summary = event.summary


def _head_moved(state: SessionState, recent: Recent, event: ev.HeadMoved, at_ms: int) -> None:
    before = state.current_branch
    recent.add(
        CommitFact(
            state.seq,
            at_ms,
            event.revision,
            event.leaf_node_id,
            state.leaf_node_id,
            state.checkpoint_ref or "",
            EncodedJson(dump(state.manifest)),  # type: ignore[arg-type]
            move=event.move,
            branch=event.branch,
            previous_branch=before if event.move is HeadMoveKind.SWITCH else None,
            undone_revision=event.undone_revision,
        )
    )
    state.revision = event.revision
    state.current_branch = event.branch
    state.set_leaf(event.leaf_node_id)


def _branch_created(state: SessionState, recent: Recent, event: ev.BranchCreated, at_ms: int) -> None:
    state.branches[event.name] = event.leaf_node_id


def _branch_dropped(state: SessionState, recent: Recent, event: ev.BranchDropped, at_ms: int) -> None:
    state.branches.pop(event.name, None)
    if state.current_branch == event.name:
        state.current_branch = None


def _attachments_written(state: SessionState, recent: Recent, event: ev.AttachmentsWritten, at_ms: int) -> None:
    state.attachment_row_count += event.new
    for entry in event.entries:
        recent.add(AttachmentFact(state.seq, entry))
        if entry.committed_at_epoch_ms is None:
            state.uncommitted[entry.attachment_id] = entry
        else:
            state.uncommitted.pop(entry.attachment_id, None)


def _attachments_forgotten(state: SessionState, recent: Recent, event: ev.AttachmentsForgotten, at_ms: int) -> None:
    state.attachment_row_count -= len(event.entries)
    for entry in event.entries:
        recent.add(AttachmentFact(state.seq, entry, forgotten=True))
        state.uncommitted.pop(entry.attachment_id, None)


def _values_dropped(state: SessionState, recent: Recent, event: ev.ValuesDropped, at_ms: int) -> None:
    for ref in event.refs:
        recent.add(ValueDroppedFact(state.seq, ref))


_APPLY: dict[type, Callable[[SessionState, Recent, Any, int], None]] = {
    ev.MetaSaved: _meta_saved,
    ev.LeaseSet: _lease_set,
    ev.LeaseCleared: _lease_cleared,
    ev.InputEnqueued: _input_enqueued,
    ev.InputsClaimed: _inputs_claimed,
    ev.InputsReleased: _inputs_released,
    ev.InputsDeferred: _inputs_deferred,
    ev.InputsSettled: _inputs_settled,
    ev.WorkEnqueued: _work_enqueued,
    ev.WorkClaimed: _work_claimed,
    ev.WorkRenewed: _work_renewed,
    ev.WorkReleased: _work_released,
    ev.WorkRemoved: _work_removed,
    ev.Committed: _committed,
    ev.NodesTombstoned: _nodes_tombstoned,
    ev.HeadMoved: _head_moved,
    ev.BranchCreated: _branch_created,
    ev.BranchDropped: _branch_dropped,
    ev.AttachmentsWritten: _attachments_written,
    ev.AttachmentsForgotten: _attachments_forgotten,
    ev.ValuesDropped: _values_dropped,
}
