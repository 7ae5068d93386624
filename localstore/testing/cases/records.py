"""The records: immutable typed values that compare by value, keep their own copies, pickle, and refuse bad input."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import pickle
from collections.abc import Callable
from enum import Enum, StrEnum
from typing import Any

import pytest

import localstore

from ... import (
    ActiveTurn,
    ActiveTurnClaim,
    AgentFrameRecord,
    AttachmentCreateMeta,
    AttachmentManifestEntry,
    AttachmentRef,
    AttachmentSweepReport,
    CancelByInputId,
    CancelBySourceKey,
    CheckpointKind,
    ChildSession,
    DeliveryPolicy,
    DurabilityTier,
    GcReport,
    GraphAppend,
    GraphReplaceFull,
    GraphUnchanged,
    HydratedSessionCheckpoint,
    ImageRef,
    InputAlreadyClaimed,
    InputCancelled,
    InputNotFound,
    InvalidArgument,
    LeaseAcquired,
    LeaseBusy,
    LeaseOwnerIdentity,
    LocalProcess,
    MergeGroup,
    MergeNever,
    MergePayloadDefault,
    NextTurn,
    NextTurnClaim,
    Opaque,
    PendingTurnInput,
    PendingTurnInputClaimDiagnostics,
    PendingTurnInputDraft,
    PersistedSessionConfig,
    PersistedSessionRead,
    PersistedTurnState,
    ProcessWake,
    QueuedWorkBatchDraft,
    QueuedWorkClass,
    QueuedWorkCompletion,
    RootSession,
    RuntimeCommit,
    RuntimeCommitResult,
    RuntimeTurnCommitStamp,
    SessionCheckpoint,
    SessionCommand,
    SessionExecutionLease,
    SessionGraph,
    SessionHead,
    SessionMeta,
    SessionNodeRecord,
    SessionSummary,
    SlotPolicy,
    StoredAttachment,
    SuffixAnchorNotFound,
    SuffixOutcomes,
    TextItem,
    TokenLedgerEntry,
    TokenUsage,
    TurnInput,
    TurnInputCheckpointBoundary,
    TurnInputClaim,
    TurnInputCompletion,
    TurnInputState,
    VacuumReport,
)
from ..builders import PNG, SESSION, TIMESTAMP, append_commit, chain, frame, intent, node, owner, wake
from .calls import fence_of, input_claim_of, work_claim_of
from .world import AFTER_WORK, MAX_INTEGER

LEASE = SessionExecutionLease(SESSION, owner(), "token", 1, 2, 3)
CLAIM = input_claim_of(SESSION)
HELD = CLAIM.inputs[0]

EXAMPLES: dict[str, Callable[[], Any]] = {
    "ActivePath": lambda: localstore.ActivePath("n"),
    "ActiveTurn": lambda: ActiveTurn("t"),
    "ActiveTurnClaim": lambda: ActiveTurnClaim("t", AFTER_WORK),
    "AgentFrameRecord": lambda: frame(assignment={"a": [1]}, execution_state_snapshot=b"x"),
    "AttachmentCreateMeta": lambda: AttachmentCreateMeta("image/png", 1, 2, "label"),
    "AttachmentIntent": lambda: intent("a"),
    "AttachmentManifestEntry": lambda: AttachmentManifestEntry("a", SESSION, "uri", 1, 2),
    "AttachmentRef": lambda: AttachmentRef("a", "image/png", 3),
    "AttachmentSweepReport": lambda: AttachmentSweepReport(("a",), 1),
    "CancelByInputId": lambda: CancelByInputId("i"),
    "CancelBySourceKey": lambda: CancelBySourceKey("k"),
    "ChildSession": lambda: ChildSession("p", {"a": [1]}),
    "FullGraph": lambda: localstore.FullGraph(),
    "GcReport": lambda: GcReport(1, 2, 3),
    "GraphAppend": lambda: GraphAppend(chain("a", "b"), "b"),
    "GraphReplaceFull": lambda: GraphReplaceFull(SessionGraph(chain("a"), "a")),
    "GraphUnchanged": lambda: GraphUnchanged("a"),
    "HydratedSessionCheckpoint": lambda: HydratedSessionCheckpoint(tool_state={"a": [1]}),
    "ImageRef": lambda: ImageRef("i"),
    "InputAlreadyCancelled": lambda: localstore.InputAlreadyCancelled(HELD),
    "InputAlreadyClaimed": lambda: InputAlreadyClaimed(
        HELD, PendingTurnInputClaimDiagnostics(TurnInputState.ACCEPTED, "c", owner(), 1, 2)
    ),
    "InputAlreadyCompleted": lambda: localstore.InputAlreadyCompleted(HELD),
    "InputCancelled": lambda: InputCancelled(HELD),
    "InputNotFound": lambda: InputNotFound(),
    "LeaseAcquired": lambda: LeaseAcquired(LEASE),
    "LeaseBusy": lambda: LeaseBusy(LEASE),
    "LeaseOwnerIdentity": lambda: LeaseOwnerIdentity("o", "i", LocalProcess("h", "b", 1, "s")),
    "LocalProcess": lambda: LocalProcess("h", "b", 1, "s"),
    "MergeGroup": lambda: MergeGroup("g"),
    "MergeNever": lambda: MergeNever(),
    "MergePayloadDefault": lambda: MergePayloadDefault(),
    "NextTurn": lambda: NextTurn(),
    "NextTurnClaim": lambda: NextTurnClaim(),
    "Opaque": lambda: Opaque(),
    "PendingTurnInput": lambda: HELD,
    "PendingTurnInputCancelResult": lambda: localstore.PendingTurnInputCancelResult(
        CancelByInputId("i"), InputNotFound()
    ),
    "PendingTurnInputClaimDiagnostics": lambda: PendingTurnInputClaimDiagnostics(
        TurnInputState.ACCEPTED, "c", owner(), 1, 2
    ),
    "PendingTurnInputDraft": lambda: PendingTurnInputDraft(SESSION, NextTurn(), TurnInput.text("x")),
    "PersistedSessionConfig": lambda: PersistedSessionConfig("p", {"m": [1]}),
    "PersistedSessionRead": lambda: PersistedSessionRead(
        SESSION,
        1,
        PersistedSessionConfig(),
        (),
        None,
        SessionGraph(chain("a"), "a"),
        "0" * 64,
        HydratedSessionCheckpoint(),
        (),
    ),
    "PersistedTurnState": lambda: PersistedTurnState(1, TokenUsage(1), {"a": [1]}, {"b": 2}),
    "ProcessWake": lambda: ProcessWake({"a": [1]}),
    "QueuedWorkBatch": lambda: work_claim_of(SESSION).batches[0],
    "QueuedWorkBatchDraft": lambda: wake(),
    "QueuedWorkClaim": lambda: work_claim_of(SESSION),
    "QueuedWorkCompletion": lambda: work_claim_of(SESSION).completion(),
    "QueuedWorkItem": lambda: work_claim_of(SESSION).batches[0].items[0],
    "RootSession": lambda: RootSession(),
    "RuntimeCommit": lambda: append_commit(*chain("a", "b"), agent_frames=(frame(),)),
    "RuntimeCommitResult": lambda: RuntimeCommitResult(1, "0" * 64, SessionCheckpoint()),
    "RuntimeTurnCommitStamp": lambda: RuntimeTurnCommitStamp(SESSION, "t", "0" * 64),
    "SessionCheckpoint": lambda: SessionCheckpoint(tool_state_ref="0" * 64),
    "SessionCommand": lambda: SessionCommand({"a": [1]}),
    "SessionExecutionLease": lambda: LEASE,
    "SessionExecutionLeaseCompletion": lambda: LEASE.completion(),
    "SessionExecutionLeaseFence": lambda: fence_of(SESSION),
    "SessionGraph": lambda: SessionGraph(chain("a", "b"), "b"),
    "SessionHead": lambda: SessionHead(SESSION, 1, "a", "0" * 64, 2, None),
    "SessionMeta": lambda: SessionMeta(SESSION, "n", TIMESTAMP, "m", "/", ChildSession("p")),
    "SessionNodeRecord": lambda: node("a", "b", payload={"kind": "event", "a": [1]}, caused_by=[1]),
    "SessionSummary": lambda: SessionSummary(SESSION, "n", None, "", RootSession(), 1, 2, "hi", 1, 1, 1, 9),
    "StoredAttachment": lambda: StoredAttachment(PNG, b"x"),
    "SuffixAnchorNotFound": lambda: SuffixAnchorNotFound(CancelByInputId("i")),
    "SuffixOutcomes": lambda: SuffixOutcomes(CancelByInputId("i"), (InputNotFound(),)),
    "TextItem": lambda: TextItem("x"),
    "TokenLedgerEntry": lambda: TokenLedgerEntry("s", "m", TokenUsage(1)),
    "TokenUsage": lambda: TokenUsage(1, 2, 3, 4, 5),
    "TurnInput": lambda: TurnInput.text("x").with_image_ref("i", b"data"),
    "TurnInputClaim": lambda: CLAIM,
    "TurnInputCompletion": lambda: CLAIM.completion(),
    "VacuumReport": lambda: VacuumReport(1, 2),
}


class TestRecords:
    def test_all_have_an_example_here(self) -> None:
        """Every public record is tested."""
        public = {
            name
            for name in localstore.__all__
            if inspect.isclass(getattr(localstore, name)) and dataclasses.is_dataclass(getattr(localstore, name))
        }
        assert public <= EXAMPLES.keys()
        assert {name: type(make()).__name__ for name, make in EXAMPLES.items()} == {name: name for name in EXAMPLES}

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_compare_by_value(self, name: str) -> None:
        """Records of equal fields are equal, and copies are equal to the original."""
        record = EXAMPLES[name]()
        assert record == EXAMPLES[name]()
        assert record == copy.copy(record) == copy.deepcopy(record)
        assert record != object()
        fields = dataclasses.fields(record)
        if fields:
            assert record == dataclasses.replace(record)

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_are_immutable(self, name: str) -> None:
        """No field can be set or deleted, and none can be added."""
        record = EXAMPLES[name]()
        for item in dataclasses.fields(record):
            with pytest.raises((AttributeError, TypeError)):
                setattr(record, item.name, None)
            with pytest.raises((AttributeError, TypeError)):
                delattr(record, item.name)
        with pytest.raises((AttributeError, TypeError)):
            record.something_else = 1
        assert record == EXAMPLES[name]()

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_pickle(self, name: str) -> None:
        """A record comes back equal from a pickle."""
        record = EXAMPLES[name]()
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(record, protocol)) == record  # noqa: S301

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_show_their_fields(self, name: str) -> None:
        """A record's repr names it."""
        assert repr(EXAMPLES[name]()).startswith(name)

    @pytest.mark.parametrize("name", EXAMPLES)
    def test_hold_tuples_not_lists(self, name: str) -> None:
        """Fields that list things are tuples, whatever sequence they were given."""
        record = EXAMPLES[name]()
        for item in dataclasses.fields(record):
            value = getattr(record, item.name)
            if isinstance(value, tuple) and type(record).__module__.startswith("localstore"):
                again = dataclasses.replace(record, **{item.name: list(value)})
                if hasattr(type(record), "__post_init__"):
                    assert again == record
                    assert type(getattr(again, item.name)) is tuple


JSON_FIELDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "SessionNodeRecord.payload": (lambda v: SessionNodeRecord("a", None, TIMESTAMP, v), "payload"),
    "SessionNodeRecord.caused_by": (lambda v: node("a", caused_by=v), "caused_by"),
    "ChildSession.caused_by": (lambda v: ChildSession("p", v), "caused_by"),
    "PersistedSessionConfig.model": (lambda v: PersistedSessionConfig("p", v), "model"),
    "AgentFrameRecord.assignment": (lambda v: frame(assignment=v), "assignment"),
    "AgentFrameRecord.caused_by": (lambda v: frame(caused_by=v), "caused_by"),
    "AgentFrameRecord.protocol_turn_options": (
        lambda v: frame(protocol_turn_options=v),
        "protocol_turn_options",
    ),
    "PersistedTurnState.last_prompt_usage": (
        lambda v: PersistedTurnState(last_prompt_usage=v),
        "last_prompt_usage",
    ),
    "PersistedTurnState.protocol_turn_options": (
        lambda v: PersistedTurnState(protocol_turn_options=v),
        "protocol_turn_options",
    ),
    "HydratedSessionCheckpoint.tool_state": (lambda v: HydratedSessionCheckpoint(tool_state=v), "tool_state"),
    "HydratedSessionCheckpoint.plugin_snapshot": (
        lambda v: HydratedSessionCheckpoint(plugin_snapshot=v),
        "plugin_snapshot",
    ),
    "TurnInput.protocol_turn_options": (
        lambda v: TurnInput((), {}, v),
        "protocol_turn_options",
    ),
    "ProcessWake.wake": (lambda v: ProcessWake(v), "wake"),
    "SessionCommand.command": (lambda v: SessionCommand(v), "command"),
}

OBJECT_FIELDS = [
    name
    for name in JSON_FIELDS
    if not name.endswith(("caused_by", "last_prompt_usage", "tool_state", "plugin_snapshot"))
]


def nested(depth: int, leaf: Any) -> Any:
    """`leaf` inside of `depth` objects."""
    for _ in range(depth):
        leaf = {"a": leaf}
    return leaf


class _Odd:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("never compare me")

    __hash__ = None  # type: ignore[assignment]


NOT_JSON: dict[str, Any] = {
    "nan": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "tuple": (1, 2),
    "empty tuple": (),
    "set": {1},
    "bytes": b"x",
    "object": object(),
    "odd object": _Odd(),
    "class": int,
    "complex": 1j,
    "integer over 64 bits": 2**64,
    "integer under 64 bits": -(2**63) - 1,
    "lone surrogate": "\ud800",
    "key that is no text": {1: 2},
    "key that is None": {None: 2},
    "surrogate in a key": {"\udc00": 1},
    "too deep": nested(201, 1),
    "much too deep": nested(5000, 1),
    "list too deep": [nested(199, {})],
}


class TestJsonFields:
    @pytest.mark.parametrize("name", JSON_FIELDS)
    def test_give_back_what_they_were_given(self, name: str) -> None:
        """A JSON field holds any plain JSON object, as it is."""
        make, field = JSON_FIELDS[name]
        value = {"a": [1, 2.5, None, True, "✓\0"], "b": {"": {}}, "n": -(2**63), "m": 2**64 - 1}
        assert getattr(make(value), field) == value

    @pytest.mark.parametrize("name", JSON_FIELDS)
    def test_keep_their_own_copy(self, name: str) -> None:
        """Changing what was given, or what was got, changes no record."""
        make, field = JSON_FIELDS[name]
        given: dict[str, Any] = {"a": [1], "b": {}}
        record = make(given)
        given["a"].append(2)
        given["c"] = 3
        got = getattr(record, field)
        got["a"].append(4)
        got["b"]["x"] = 5
        assert getattr(record, field) == {"a": [1], "b": {}}
        assert record == make({"a": [1], "b": {}})

    @pytest.mark.parametrize("name", JSON_FIELDS)
    @pytest.mark.parametrize("bad", NOT_JSON)
    def test_refuse_what_is_no_json(self, name: str, bad: str) -> None:
        """What would not come back equal is refused at once, on top and inside."""
        make, _ = JSON_FIELDS[name]
        for value in (NOT_JSON[bad], {"a": NOT_JSON[bad]}, {"a": [0, NOT_JSON[bad]]}):
            with pytest.raises(InvalidArgument):
                make(value)

    @pytest.mark.parametrize("name", OBJECT_FIELDS)
    def test_that_are_objects_refuse_other_json(self, name: str) -> None:
        """A JSON object is a dict on top."""
        make, _ = JSON_FIELDS[name]
        for value in ([], [1], "x", 1, True, 1.5, *(() if "TurnInput." in name else (None,))):
            with pytest.raises(InvalidArgument):
                make(value)

    @pytest.mark.parametrize("name", [name for name in JSON_FIELDS if name not in OBJECT_FIELDS])
    def test_that_are_values_take_any_json(self, name: str) -> None:
        """A JSON value is any JSON."""
        make, field = JSON_FIELDS[name]
        for value in (None, True, False, 0, -1, 1.5, "", "x", [], [[]], {}):
            assert getattr(make(value), field) == value
            assert type(getattr(make(value), field)) is type(value)

    def test_nest_up_to_200_levels(self) -> None:
        """Nesting is at most 200 deep."""
        assert node("a", payload=nested(200, 1)).payload == nested(200, 1)
        with pytest.raises(InvalidArgument):
            node("a", payload=nested(201, 1))


class TestBlobFields:
    def test_keep_their_own_copy(self) -> None:
        """Image blobs are copied on the way in and on the way out."""
        blobs = {"i": b"1"}
        given = TurnInput((ImageRef("i"),), blobs)
        blobs["j"] = b"2"
        given.image_blobs["k"] = b"3"
        assert given.image_blobs == {"i": b"1"}

    def test_take_mutable_buffers_as_bytes(self) -> None:
        """A bytearray is copied to bytes."""
        buffer = bytearray(b"abc")
        given = TurnInput((), {"i": buffer})  # type: ignore[dict-item]
        checkpoint = HydratedSessionCheckpoint(execution_state=buffer)  # type: ignore[arg-type]
        buffer[0] = 0
        assert given.image_blobs == {"i": b"abc"}
        assert checkpoint.execution_state == b"abc"
        assert type(checkpoint.execution_state) is bytes

    @pytest.mark.parametrize("bad", [None, [], "x", {"i": "text"}, {"": b""}, {1: b""}, {"\ud800": b""}])
    def test_refuse_other_things(self, bad: Any) -> None:
        """Blobs are a dict of bytes by non-empty text."""
        with pytest.raises(InvalidArgument):
            TurnInput((), bad)

    @pytest.mark.parametrize("bad", ["text", 7, [1], object()])
    def test_of_state_are_bytes(self, bad: Any) -> None:
        """Execution states and snapshots are bytes or None."""
        with pytest.raises(InvalidArgument):
            HydratedSessionCheckpoint(execution_state=bad)
        with pytest.raises(InvalidArgument):
            frame(execution_state_snapshot=bad)


NO_ID: tuple[Any, ...] = ("", None, 7, b"x", "\ud800", True, ["x"])
NO_TEXT: tuple[Any, ...] = (None, 7, b"x", "\ud800", True, ["x"])
NO_INTEGER: tuple[Any, ...] = (-1, 2**53, True, 1.0, math.nan, "1", None, 10**400)
NO_RECORD: tuple[Any, ...] = (None, "x", 7, {}, object())
NO_TIME: tuple[Any, ...] = ("yesterday", "2026-01-01", "12:00:00", 7, None, "2026-13", "\ud800")


def optional(bad: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same without None."""
    return tuple(value for value in bad if value is not None)


FIELDS: dict[str, tuple[tuple[Any, ...], Callable[[Any], Any]]] = {
    "node.node_id": (NO_ID, lambda v: SessionNodeRecord(v, None, TIMESTAMP, {})),
    "node.parent_node_id": (optional(NO_ID), lambda v: SessionNodeRecord("n", v, TIMESTAMP, {})),
    "node.timestamp": ((*NO_TIME, ""), lambda v: SessionNodeRecord("n", None, v, {})),
    "node.agent_frame_id": (optional(NO_ID), lambda v: node("n", agent_frame_id=v)),
    "graph.nodes": ((None, 7, "x", [1], [None]), lambda v: SessionGraph(v)),
    "graph.leaf": (optional(NO_ID), lambda v: SessionGraph((), v)),
    "append.nodes": ((None, 7, "x", ["n"], [{}]), lambda v: GraphAppend(v, None)),
    "append.leaf": (optional(NO_ID), lambda v: GraphAppend((), v)),
    "replace.graph": ((*NO_RECORD, ()), lambda v: GraphReplaceFull(v)),
    "unchanged.leaf": (optional(NO_ID), lambda v: GraphUnchanged(v)),
    "path.leaf": (optional(NO_ID), lambda v: localstore.ActivePath(v)),
    "commit.session_id": ((*NO_ID, "x" * 1025), lambda v: _commit(session_id=v)),
    "commit.expected": (optional(NO_INTEGER), lambda v: _commit(expected_head_revision=v)),
    "commit.config": (NO_RECORD, lambda v: _commit(config=v)),
    "commit.frames": ((None, 7, "x", [1]), lambda v: _commit(agent_frames=v)),
    "commit.frames twice": (([frame("f"), frame("f")],), lambda v: _commit(agent_frames=v)),
    "commit.current frame": (
        (*optional(NO_ID), "not a frame"),
        lambda v: _commit(agent_frames=(frame("f"),), current_agent_frame_id=v),
    ),
    "commit.graph": ((*NO_RECORD, SessionGraph()), lambda v: _commit(graph=v)),
    "commit.checkpoint": ((*NO_RECORD, SessionCheckpoint()), lambda v: _commit(checkpoint=v)),
    "commit.usage": ((None, 7, [TokenUsage()], ["x"]), lambda v: _commit(usage_deltas=v)),
    "commit.stamp": (optional(NO_RECORD), lambda v: _commit(turn_commit=v)),
    "commit.lease": ((*optional(NO_RECORD), LEASE), lambda v: _commit(session_execution_lease=v)),
    "commit.release": (
        (*optional(NO_RECORD), LEASE.fence()),
        lambda v: _commit(release_session_execution_lease=v),
    ),
    "commit.queue claims": ((None, 7, ["x"], [CLAIM.completion()]), lambda v: _commit(completed_queue_claims=v)),
    "commit.input claims": ((None, 7, ["x"], [CLAIM]), lambda v: _commit(completed_turn_input_claims=v)),
    "commit.interrupted": (optional(NO_ID), lambda v: _commit(interrupted_turn_input_turn_id=v)),
    "commit.attachments": ((None, 7, "x", [7], [""]), lambda v: _commit(committed_attachment_ids=v)),
    "stamp.session_id": (NO_ID, lambda v: RuntimeTurnCommitStamp(v, "t", "h")),
    "stamp.turn_id": (NO_ID, lambda v: RuntimeTurnCommitStamp(SESSION, v, "h")),
    "stamp.hash": (NO_ID, lambda v: RuntimeTurnCommitStamp(SESSION, "t", v)),
    "config.provider": (NO_TEXT, lambda v: PersistedSessionConfig(v)),
    "frame.frame_id": (NO_ID, lambda v: AgentFrameRecord(v, SESSION)),
    "frame.session_id": (NO_ID, lambda v: AgentFrameRecord("f", v)),
    "frame.previous": (optional(NO_ID), lambda v: frame(previous_frame_id=v)),
    "frame.status": (NO_TEXT, lambda v: frame(status=v)),
    "frame.reason": (NO_TEXT, lambda v: frame(reason=v)),
    "frame.created_at": (NO_TIME, lambda v: frame(created_at=v)),
    "frame.ref": (optional(NO_ID), lambda v: frame(execution_state_ref=v)),
    "usage.input": (NO_INTEGER, lambda v: TokenUsage(input_tokens=v)),
    "usage.output": (NO_INTEGER, lambda v: TokenUsage(output_tokens=v)),
    "usage.cache read": (NO_INTEGER, lambda v: TokenUsage(cache_read_input_tokens=v)),
    "usage.cache write": (NO_INTEGER, lambda v: TokenUsage(cache_write_input_tokens=v)),
    "usage.reasoning": (NO_INTEGER, lambda v: TokenUsage(reasoning_output_tokens=v)),
    "ledger.source": (NO_TEXT, lambda v: TokenLedgerEntry(v, "m", TokenUsage())),
    "ledger.model": (NO_TEXT, lambda v: TokenLedgerEntry("s", v, TokenUsage())),
    "ledger.usage": (NO_RECORD, lambda v: TokenLedgerEntry("s", "m", v)),
    "turn state.index": (NO_INTEGER, lambda v: PersistedTurnState(v)),
    "turn state.usage": (NO_RECORD, lambda v: PersistedTurnState(0, v)),
    "checkpoint.turn_state": (NO_RECORD, lambda v: HydratedSessionCheckpoint(v)),
    "checkpoint.tool_state_ref": (optional(NO_ID), lambda v: HydratedSessionCheckpoint(tool_state_ref=v)),
    "checkpoint.plugin_ref": (optional(NO_ID), lambda v: HydratedSessionCheckpoint(plugin_snapshot_ref=v)),
    "checkpoint.revision": (
        optional(NO_INTEGER),
        lambda v: HydratedSessionCheckpoint(plugin_snapshot_revision=v),
    ),
    "checkpoint.state_ref": (optional(NO_ID), lambda v: HydratedSessionCheckpoint(execution_state_ref=v)),
    "owner.owner_id": (NO_ID, lambda v: LeaseOwnerIdentity(v, "i")),
    "owner.incarnation_id": (NO_ID, lambda v: LeaseOwnerIdentity.opaque("o", v)),
    "owner.liveness": (NO_RECORD, lambda v: LeaseOwnerIdentity("o", "i", v)),
    "process.pid": (NO_INTEGER, lambda v: LocalProcess("h", "b", v, "s")),
    "process.host_id": (NO_ID, lambda v: LocalProcess(v, "b", 1, "s")),
    "process.start": (NO_TEXT, lambda v: LocalProcess("h", "b", 1, v)),
    "input.items": ((None, "x", ["x"], [None], [{}]), lambda v: TurnInput(v)),
    "input.trace": (optional(NO_ID), lambda v: TurnInput((), {}, None, v)),
    "item.text": (NO_TEXT, lambda v: TextItem(v)),
    "item.image": (NO_ID, lambda v: ImageRef(v)),
    "ingress.turn_id": (NO_ID, lambda v: ActiveTurn(v)),
    "ingress.boundary": ((None, "x", 7, []), lambda v: ActiveTurn("t", v)),
    "draft.session_id": ((*NO_ID, "x" * 1025), lambda v: PendingTurnInputDraft(v, NextTurn(), TurnInput(()))),
    "draft.ingress": (NO_RECORD, lambda v: PendingTurnInputDraft(SESSION, v, TurnInput(()))),
    "draft.input": (NO_RECORD, lambda v: PendingTurnInputDraft(SESSION, NextTurn(), v)),
    "draft.input_id": (optional(NO_ID), lambda v: _draft(input_id=v)),
    "draft.source_key": (optional(NO_ID), lambda v: _draft(source_key=v)),
    "target.input_id": (NO_ID, lambda v: CancelByInputId(v)),
    "target.source_key": (NO_ID, lambda v: CancelBySourceKey(v)),
    "work.session_id": ((*NO_ID, "x" * 1025), lambda v: wake(session_id=v)),
    "work.delivery": ((None, "x", 7, []), lambda v: wake(delivery=v)),
    "work.slot": ((None, "x", 7, []), lambda v: wake(slot=v)),
    "work.merge": ((*NO_RECORD, "g"), lambda v: wake(merge=v)),
    "work.source_key": (optional(NO_ID), lambda v: wake(source_key=v)),
    "work.available": (NO_INTEGER, lambda v: wake(available_at_ms=v)),
    "work.payloads": (
        (None, (), [], "x", [1], [ProcessWake({}), SessionCommand({})]),
        lambda v: QueuedWorkBatchDraft(SESSION, DeliveryPolicy.EARLIEST_SAFE_BOUNDARY, SlotPolicy.JOIN, v),
    ),
    "group": (NO_ID, lambda v: MergeGroup(v)),
    "intent.id": (NO_ID, lambda v: intent(v)),
    "intent.session_id": (NO_ID, lambda v: intent("a", session_id=v)),
    "intent.at": (NO_INTEGER, lambda v: intent("a", at_ms=v)),
    "attachment.media_type": (NO_TEXT, lambda v: AttachmentCreateMeta(v)),
    "attachment.width": (optional(NO_INTEGER), lambda v: AttachmentCreateMeta("x", v)),
    "attachment.height": (optional(NO_INTEGER), lambda v: AttachmentCreateMeta("x", None, v)),
    "attachment.label": (optional(NO_TEXT), lambda v: AttachmentCreateMeta("x", label=v)),
    "meta.session_id": ((*NO_ID, "x" * 1025), lambda v: SessionMeta(v, "", "", "")),
    "meta.name": (NO_TEXT, lambda v: SessionMeta(SESSION, v, "", "")),
    "meta.created_at": (NO_TIME, lambda v: SessionMeta(SESSION, "", v, "")),
    "meta.model": (NO_TEXT, lambda v: SessionMeta(SESSION, "", "", v)),
    "meta.cwd": (optional(NO_TEXT), lambda v: SessionMeta(SESSION, "", "", "", v)),
    "meta.relation": (NO_RECORD, lambda v: SessionMeta(SESSION, "", "", "", None, v)),
    "relation.parent": (NO_ID, lambda v: ChildSession(v)),
}


def _commit(**changes: Any) -> RuntimeCommit:
    return dataclasses.replace(append_commit(node("n")), **changes)


def _draft(**changes: Any) -> PendingTurnInputDraft:
    return PendingTurnInputDraft(SESSION, NextTurn(), TurnInput(()), **changes)


class TestBadFields:
    @pytest.mark.parametrize("field", FIELDS)
    def test_are_refused_by_the_constructor(self, field: str) -> None:
        """A bad value raises InvalidArgument, which is a ValueError, already in the record's constructor."""
        bad_values, make = FIELDS[field]
        for bad in bad_values:
            with pytest.raises(InvalidArgument) as caught:
                make(bad)
            assert isinstance(caught.value, ValueError)
            assert str(caught.value)

    def test_do_not_hide_their_name(self) -> None:
        """The message names the field."""
        with pytest.raises(InvalidArgument, match="input_tokens"):
            TokenUsage(-1)

    def test_numbers_go_up_to_2_to_the_53_minus_1(self) -> None:
        """The greatest integer is 2^53-1, the least 0."""
        assert TokenUsage(MAX_INTEGER, 0).input_tokens == MAX_INTEGER


class TestEnums:
    def test_are_string_enums_with_snake_case_values(self) -> None:
        """Enums are StrEnums whose values are the snake_case names."""
        kinds = [
            getattr(localstore, name)
            for name in localstore.__all__
            if inspect.isclass(getattr(localstore, name)) and issubclass(getattr(localstore, name), Enum)
        ]
        assert len(kinds) >= 9
        for kind in kinds:
            assert issubclass(kind, StrEnum)
            assert [member.value for member in kind] == [member.name.lower() for member in kind]

    @pytest.mark.parametrize(
        ("kind", "names"),
        [
            (CheckpointKind, {"AFTER_WORK", "BEFORE_COMPLETION"}),
            (TurnInputCheckpointBoundary, {"AFTER_WORK", "BEFORE_COMPLETION"}),
            (
                TurnInputState,
                {"PENDING_ACTIVE", "DEFERRED_NEXT_TURN", "ACCEPTED", "CANCELLED", "COMPLETED"},
            ),
            (DeliveryPolicy, {"EARLIEST_SAFE_BOUNDARY", "AFTER_CURRENT_TURN_COMMIT"}),
            (QueuedWorkClass, {"TURN_WORK", "SESSION_COMMAND"}),
            (localstore.QueuedWorkClaimBoundary, {"IDLE", "ACTIVE_TURN_CHECKPOINT"}),
            (SlotPolicy, {"JOIN", "EXCLUSIVE"}),
            (localstore.Durability, {"FULL", "PROCESS"}),
            (DurabilityTier, {"INLINE", "DURABLE"}),
        ],
    )
    def test_have_the_contract_s_members(self, kind: type[Enum], names: set[str]) -> None:
        """Each enum has the members that the contract names."""
        assert set(kind.__members__) == names

    @pytest.mark.parametrize("checkpoint", list(CheckpointKind))
    def test_boundary_admits_what_is_not_earlier(self, checkpoint: CheckpointKind) -> None:
        """AFTER_WORK admits both checkpoints, BEFORE_COMPLETION only that."""
        assert TurnInputCheckpointBoundary.AFTER_WORK.admits(checkpoint)
        late = TurnInputCheckpointBoundary.BEFORE_COMPLETION.admits(checkpoint)
        assert late == (checkpoint is CheckpointKind.BEFORE_COMPLETION)


class TestGraphRecord:
    def test_finds_nodes_by_id(self) -> None:
        """A graph finds a node by its id, or None."""
        graph = SessionGraph(chain("a", "b"), "b")
        assert graph.find_node("b") == node("b", "a")
        assert graph.find_node("c") is None

    def test_knows_its_active_path(self) -> None:
        """The active path is from the root to the leaf, stops at a missing parent, and is empty without a leaf."""
        nodes = (*chain("r", "a", "b"), node("x", "r"), node("lost", "gone"))
        assert SessionGraph(nodes, "b").active_path() == chain("r", "a", "b")
        assert SessionGraph(nodes, "x").active_path() == (node("r"), node("x", "r"))
        assert SessionGraph(nodes, "lost").active_path() == (node("lost", "gone"),)
        assert SessionGraph(nodes, None).active_path() == ()
        assert SessionGraph(nodes, "nowhere").active_path() == ()

    def test_ends_on_a_cycle(self) -> None:
        """A graph that no store would take still has a finite path."""
        assert len(SessionGraph((node("a", "b"), node("b", "a")), "a").active_path()) == 2


class TestCommitBuilders:
    def test_give_new_commits(self) -> None:
        """Each builder returns a new commit and leaves the old one alone."""
        commit = append_commit(node("a"))
        stamp = RuntimeTurnCommitStamp(SESSION, "t", "h")
        done, work = CLAIM.completion(), work_claim_of(SESSION).completion()
        built = (
            commit.with_turn_commit(stamp)
            .with_session_execution_lease(LEASE.fence())
            .releasing_session_execution_lease(LEASE.completion())
            .completing_queue_claim(work)
            .completing_turn_input_claim(done)
            .deferring_interrupted_turn_inputs("turn")
            .with_committed_attachments(["a"])
        )
        assert commit == append_commit(node("a"))
        assert built == append_commit(
            node("a"),
            turn_commit=stamp,
            session_execution_lease=LEASE.fence(),
            release_session_execution_lease=LEASE.completion(),
            completed_queue_claims=(work,),
            completed_turn_input_claims=(done,),
            interrupted_turn_input_turn_id="turn",
            committed_attachment_ids=("a",),
        )

    def test_add_claims_and_attachments(self) -> None:
        """Claims and attachments are added to those that are there; claims may be given as a whole."""
        one, two = work_claim_of(SESSION), work_claim_of("other")
        commit = append_commit().completing_queue_claim(one).completing_queue_claim(two.completion())
        assert commit.completed_queue_claims == (one.completion(), two.completion())
        commit = append_commit().completing_turn_input_claim(CLAIM).completing_turn_input_claim(CLAIM)
        assert commit.completed_turn_input_claims == (CLAIM.completion(),) * 2
        commit = append_commit().with_committed_attachments(("a",)).with_committed_attachments(iter("b"))
        assert commit.committed_attachment_ids == ("a", "b")

    def test_take_a_current_frame_without_frames(self) -> None:
        """The current frame names one of the frames, if there are any."""
        assert append_commit(current_agent_frame_id="f").current_agent_frame_id == "f"
        frames = (frame("f"), frame("g"))
        assert append_commit(agent_frames=frames, current_agent_frame_id="g").agent_frames == frames


class TestClaimRecords:
    def test_name_their_completion(self) -> None:
        """A completion has the claim's session, id, token and all that it holds."""
        assert CLAIM.completion() == TurnInputCompletion(SESSION, "no-claim", "no-claim-token", ("no-input",))
        assert work_claim_of(SESSION).completion() == QueuedWorkCompletion(
            SESSION, "no-claim", "no-claim-token", ("no-batch",)
        )

    def test_of_leases_give_fence_and_completion(self) -> None:
        """Fence and completion have session, owner, token and fencing token."""
        for proof in (LEASE.fence(), LEASE.completion()):
            facts = (proof.session_id, proof.owner, proof.lease_token, proof.fencing_token)
            assert facts == (SESSION, owner(), "token", 1)

    def test_give_the_lease_or_none(self) -> None:
        """An outcome gives its lease if it was acquired."""
        assert LeaseAcquired(LEASE).acquired() == LEASE
        assert LeaseBusy(LEASE).acquired() is None
        assert LeaseBusy(LEASE).holder == LEASE


class TestMaterializing:
    def claim(self, *inputs: TurnInput) -> TurnInputClaim:
        """A claim on these inputs."""
        held = tuple(
            PendingTurnInput(f"i{number}", SESSION, number, NextTurn(), TurnInputState.DEFERRED_NEXT_TURN, 0, given)
            for number, given in enumerate(inputs)
        )
        return dataclasses.replace(CLAIM, inputs=held)

    def test_joins_all_items_and_images_in_order(self) -> None:
        """One input for the turn has all items and all image blobs."""
        one = TurnInput.text("1").with_image_ref("a", b"A")
        two = TurnInput.text("2").with_image_ref("b", b"B")
        joined = self.claim(one, two).materialize_for_turn()
        assert joined.items == (TextItem("1"), ImageRef("a"), TextItem("2"), ImageRef("b"))
        assert joined.image_blobs == {"a": b"A", "b": b"B"}

    def test_takes_the_first_options_and_trace(self) -> None:
        """Options and trace id are the first that are not None, empty options included."""
        one, two = TurnInput(()), TurnInput((), {}, {}, "t2")
        three = TurnInput((), {}, {"x": 1}, "t3")
        joined = self.claim(one, two, three).materialize_for_turn()
        assert (joined.protocol_turn_options, joined.trace_turn_id) == ({}, "t2")
        bare = self.claim(one).materialize_for_turn()
        assert (bare.protocol_turn_options, bare.trace_turn_id) == (None, None)

    def test_never_shows_one_image_for_another(self) -> None:
        """Two inputs may use one image id for different bytes: both images survive, each with its item."""
        one, two = (TurnInput(()).with_image_ref("a", data) for data in (b"1", b"2"))
        joined = self.claim(one, two, one).materialize_for_turn()
        shown = [joined.image_blobs[item.id] for item in joined.items if isinstance(item, ImageRef)]
        assert shown == [b"1", b"2", b"1"]

    def test_of_no_input_is_empty(self) -> None:
        """A claim may be empty as a record."""
        assert self.claim().materialize_for_turn() == TurnInput(())


class TestInputRecord:
    def test_is_built_from_text_and_images(self) -> None:
        """Text and images are added in order; the same image may be added again."""
        given = TurnInput.text("hello").with_image_ref("a", b"A").with_image_ref("a", b"A")
        assert given.items == (TextItem("hello"), ImageRef("a"), ImageRef("a"))
        assert given.image_blobs == {"a": b"A"}

    def test_refuses_other_bytes_for_an_image(self) -> None:
        """An image id means one image."""
        with pytest.raises(InvalidArgument):
            TurnInput(()).with_image_ref("a", b"A").with_image_ref("a", b"B")

    def test_tells_work_from_commands(self) -> None:
        """Wakes are turn work, commands are session commands."""
        assert ProcessWake({}).work_class is QueuedWorkClass.TURN_WORK
        assert SessionCommand({}).work_class is QueuedWorkClass.SESSION_COMMAND


class TestMetaRecord:
    def test_knows_its_parent(self) -> None:
        """The parent is that of the relation, None for a root session."""
        assert SessionMeta(SESSION, "", "", "").parent_session_id is None
        child = SessionMeta(SESSION, "", "", "", relation=ChildSession("p"))
        assert child.parent_session_id == "p"
