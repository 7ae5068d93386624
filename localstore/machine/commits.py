"""The turn commit: its checks in the contract's order, then everything at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from ..contract.checks import MAX_INTEGER
from ..contract.commits import RuntimeCommit, RuntimeCommitResult
from ..contract.errors import (
    HeadRevisionConflict,
    InvalidArgument,
    InvalidCommit,
    RuntimeTurnCommitConflict,
    SessionBindingMismatch,
)
from ..contract.inputs import TurnInputState
from ..contract.leases import LeaseOwnerIdentity
from ..contract.state import (
    CHECKPOINT_SCHEMA_VERSION,
    AgentFrameRecord,
    BlobRef,
    PersistedSessionConfig,
    SessionCheckpoint,
    TokenLedgerEntry,
    TokenUsage,
)
from ..contract.values import EncodedJson, encoded
from . import graphs, queued_work, summaries, turn_inputs
from .attachments import stamped
from .decision import Decide, Decision
from .encoding import dump, load
from .events import (
    AttachmentsWritten,
    Committed,
    Event,
    InputsDeferred,
    InputsSettled,
    LeaseCleared,
    Value,
    WorkRemoved,
)
from .facts import Archive, CommitFact
from .leases import in_passing, is_of, require_lease
from .moment import Moment
from .state import SessionState, Summary


def commit(request: RuntimeCommit, passing: LeaseOwnerIdentity | None = None) -> Decide[RuntimeCommitResult]:
    """Settle the turn; see `RuntimePersistence.commit_runtime_state` for the order of the checks.

    With `passing` the commit names no lease: that owner takes it for this record.
    """

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[RuntimeCommitResult]:
        if request.session_id != state.session_id:
            raise SessionBindingMismatch(state.session_id, request.session_id)
        stored = _stored_turn(state, archive, request)
        if stored is not None:
            manifest = load(SessionCheckpoint, stored.manifest)
            result = RuntimeCommitResult(stored.revision, stored.checkpoint_ref, manifest)
            return Decision(_release(state, request), result)
        around: tuple[Event, ...] = ()
        if passing is None:
            require_lease(state, moment, request.session_execution_lease)
        else:
            around = in_passing(state, moment, passing)
        expected = request.expected_head_revision
        if expected is not None and expected != state.revision:
            raise HeadRevisionConflict(expected, state.revision)
        for batches in request.completed_queue_claims:
            queued_work.require_owned(state, batches)
        for inputs in request.completed_turn_input_claims:
            turn_inputs.require_owned(state, inputs)
        step = graphs.plan(state, archive, request.graph)
        values = _Values(state, archive)
        manifest = _manifest(request, values)
        frames = tuple([_stored_frame(frame, values) for frame in request.agent_frames])
        rows = stamped(state, archive, request.committed_attachment_ids, moment.now_ms)
        usage = _ledger(state, request)
        committed = _committed(state, request, step, manifest, frames, values, usage)
        events = (
            *around[:1],
            committed,
            *_completed(state, request),
            *((AttachmentsWritten(rows),) if rows else ()),
            *(_release(state, request) if passing is None else around[1:]),
        )
        result = RuntimeCommitResult(committed.revision, committed.checkpoint_ref, manifest)
        return Decision(events, result)

    return decide


def _stored_turn(state: SessionState, archive: Archive, request: RuntimeCommit) -> CommitFact | None:
    """The fact of the same turn committed before with the same hash."""
    stamp = request.turn_commit
    if stamp is None:
        return None
    if stamp.session_id != request.session_id:
        raise RuntimeTurnCommitConflict(request.session_id, stamp.turn_id)
    fact = archive.find(f"t:{stamp.turn_id}")
    if not isinstance(fact, CommitFact) or not state.owns(fact.seq):
        return None
    if fact.turn_commit_hash != stamp.turn_commit_hash:
        raise RuntimeTurnCommitConflict(request.session_id, stamp.turn_id)
    return fact


def _release(state: SessionState, request: RuntimeCommit) -> tuple[Event, ...]:
    completion = request.release_session_execution_lease
    if completion is None or state.lease is None or not is_of(state.lease.lease, completion):
        return ()
    return (LeaseCleared(),)


class _Values:
    """The parts of a commit that are kept by content: collects what is new, refuses a ref that is not stored."""

    def __init__(self, state: SessionState, archive: Archive) -> None:
        self._archive = archive
        self._state = state
        self.new: dict[BlobRef, Value] = {}

    def put(self, content: bytes) -> BlobRef:
        ref = hashlib.sha256(content).hexdigest()
        if not self.has(ref):
            self.new[ref] = Value(ref, content)
        return ref

    def has(self, ref: BlobRef) -> bool:
        return ref in self.new or self._is_stored(ref)

    def _is_stored(self, ref: BlobRef) -> bool:
        """Most commits give again what the head holds, so that nothing is looked up for it."""
        state, manifest = self._state, self._state.manifest
        if manifest is not None and ref in (
            state.checkpoint_ref,
            manifest.tool_state_ref,
            manifest.plugin_snapshot_ref,
            manifest.execution_state_ref,
        ):
            return True
        return any(ref == frame.execution_state_ref for frame in state.frames) or self._archive.has_value(ref)

    def require(self, what: str, ref: BlobRef | None) -> BlobRef | None:
        if ref is not None and not self._is_stored(ref):
            raise InvalidCommit(f"{what} {ref!r} is not stored; give the value with it")
        return ref


def _manifest(request: RuntimeCommit, values: _Values) -> SessionCheckpoint:
    given = request.checkpoint

    def part(name: str, content: bytes | None, ref: BlobRef | None) -> BlobRef | None:
        return values.require(name, ref) if content is None else values.put(content)

    tool_state, plugin = encoded(given, "tool_state"), encoded(given, "plugin_snapshot")
    return SessionCheckpoint(
        CHECKPOINT_SCHEMA_VERSION,
        given.turn_state,
        part("tool_state_ref", None if tool_state == b"null" else tool_state, given.tool_state_ref),
        part("plugin_snapshot_ref", None if plugin == b"null" else plugin, given.plugin_snapshot_ref),
        given.plugin_snapshot_revision,
        part("execution_state_ref", given.execution_state, given.execution_state_ref),
    )


def _stored_frame(frame: AgentFrameRecord, values: _Values) -> AgentFrameRecord:
    """The frame as kept: its snapshot by reference."""
    if frame.execution_state_snapshot is None:
        values.require(f"execution_state_ref of frame {frame.frame_id!r}", frame.execution_state_ref)
        return frame
    ref = values.put(frame.execution_state_snapshot)
    return replace(frame, execution_state_ref=ref, execution_state_snapshot=None)


def _ledger(state: SessionState, request: RuntimeCommit) -> tuple[TokenLedgerEntry, ...]:
    """The new sums of the ledger. A sum that is no integer of the contract any more could not be read back."""
    sums: dict[tuple[str, str], TokenUsage] = {}
    for delta in request.usage_deltas:
        key = (delta.source, delta.model)
        before = sums.get(key) or state.ledger.get(key)
        try:
            sums[key] = delta.usage if before is None else before.plus(delta.usage)
        except InvalidArgument as error:
            raise InvalidArgument(f"the usage of {key} would sum to more than {MAX_INTEGER}: {error}") from error
    return tuple([TokenLedgerEntry(source, model, usage) for (source, model), usage in sums.items()])


def _same_config(one: PersistedSessionConfig, other: PersistedSessionConfig) -> bool:
    return one.provider_id == other.provider_id and encoded(one, "model") == encoded(other, "model")


def _committed(
    state: SessionState,
    request: RuntimeCommit,
    step: graphs.GraphStep,
    manifest: SessionCheckpoint,
    frames: tuple[AgentFrameRecord, ...],
    values: _Values,
    usage: tuple[TokenLedgerEntry, ...],
) -> Committed:
    encoded_manifest = dump(manifest)
    checkpoint_ref = hashlib.sha256(encoded_manifest).hexdigest()
    summary = summaries.with_nodes(Summary() if step.replaces else state.summary, step.nodes)
    if not step.replaces and summary.first_user_node_id == state.summary.first_user_node_id:
        # The first user message may be long, and rarely is a new one: it is not written again with every turn.
        summary = Summary(summary.node_count, summary.user_message_count)
    stamp = request.turn_commit
    return Committed(
        revision=state.revision + 1,
        leaf_node_id=step.leaf_node_id,
        nodes=step.nodes,
        replaces_graph=step.replaces,
        checkpoint_ref=checkpoint_ref,
        manifest=EncodedJson(encoded_manifest),  # type: ignore[arg-type]
        stores_manifest=not values.has(checkpoint_ref),
        summary=summary,
        config=None if _same_config(request.config, state.config) else request.config,
        frames=None if frames == state.frames else frames,
        current_frame_id=request.current_agent_frame_id,
        usage=usage,
        values=tuple(values.new.values()),
        revived=step.revived,
        dangling=step.dangling,
        turn_id=None if stamp is None else stamp.turn_id,
        turn_commit_hash=None if stamp is None else stamp.turn_commit_hash,
        checkpoint=manifest,
    )


def _unique(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The ids of all groups, each once."""
    return tuple(dict.fromkeys(item for group in groups for item in group))


def _completed(state: SessionState, request: RuntimeCommit) -> list[Event]:
    """The events of what the commit completes and defers beside the graph."""
    events: list[Event] = []
    batch_ids = _unique([claim.batch_ids for claim in request.completed_queue_claims])
    input_ids = _unique([claim.input_ids for claim in request.completed_turn_input_claims])
    if batch_ids:
        events.append(WorkRemoved(batch_ids))
    if request.interrupted_turn_input_turn_id is not None:
        deferred = turn_inputs.addressed_to(state, request.interrupted_turn_input_turn_id, frozenset(input_ids))
        if deferred:
            events.append(InputsDeferred(deferred))
    if input_ids:
        events.append(InputsSettled(input_ids, TurnInputState.COMPLETED))
    return events
