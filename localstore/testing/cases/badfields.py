"""What no record takes: InvalidArgument already in the constructor."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest

import localstore

from ... import (
    ActiveTurn,
    AgentFrameRecord,
    AttachmentCreateMeta,
    CancelByInputId,
    CancelBySourceKey,
    ChildSession,
    DeliveryPolicy,
    GraphAppend,
    GraphReplaceFull,
    GraphUnchanged,
    HydratedSessionCheckpoint,
    ImageRef,
    InvalidArgument,
    LeaseOwnerIdentity,
    LocalProcess,
    MergeGroup,
    NextTurn,
    PendingTurnInputDraft,
    PersistedSessionConfig,
    PersistedTurnState,
    ProcessWake,
    QueuedWorkBatchDraft,
    RuntimeCommit,
    RuntimeTurnCommitStamp,
    SessionCheckpoint,
    SessionCommand,
    SessionGraph,
    SessionMeta,
    SessionNodeRecord,
    SlotPolicy,
    TextItem,
    TokenLedgerEntry,
    TokenUsage,
    TurnInput,
)
from ..builders import SESSION, TIMESTAMP, append_commit, frame, intent, node, wake
from .records import CLAIM, LEASE
from .world import MAX_INTEGER

NO_ID: tuple[Any, ...] = ("", None, 7, b"x", "\ud800", True, ["x"])
NO_TEXT: tuple[Any, ...] = (None, 7, b"x", "\ud800", True, ["x"])
NO_INTEGER: tuple[Any, ...] = (-1, 2**53, True, 1.0, math.nan, "1", None, 10**400)
NO_RECORD: tuple[Any, ...] = (None, "x", 7, {}, object())
NO_TIME: tuple[Any, ...] = (
    *("yesterday", "2026-01-01", "12:00:00", 7, None, "2026-13", "\ud800"),
    *("2026-13-01T12:00:00Z", "2026-01-32T12:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T12:00:00+99:00"),
)


def optional(bad: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same without None."""
    return tuple(value for value in bad if value is not None)


FIELDS: dict[str, tuple[tuple[Any, ...], Callable[[Any], Any]]] = {
    "node.node_id": (NO_ID, lambda v: SessionNodeRecord(v, None, TIMESTAMP, {})),
    "node.parent_node_id": (optional(NO_ID), lambda v: SessionNodeRecord("n", v, TIMESTAMP, {})),
    "node.timestamp": ((*NO_TIME, ""), lambda v: SessionNodeRecord("n", None, v, {})),
    "node.agent_frame_id": (optional(NO_ID), lambda v: node("n", agent_frame_id=v)),
    "graph.nodes": ((None, 7, "x", [1], [None]), SessionGraph),
    "graph.leaf": (optional(NO_ID), lambda v: SessionGraph((), v)),
    "append.nodes": ((None, 7, "x", ["n"], [{}]), lambda v: GraphAppend(v, None)),
    "append.leaf": (optional(NO_ID), lambda v: GraphAppend((), v)),
    "replace.graph": ((*NO_RECORD, ()), GraphReplaceFull),
    "unchanged.leaf": (optional(NO_ID), GraphUnchanged),
    "path.leaf": (optional(NO_ID), localstore.ActivePath),
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
    "config.provider": (NO_TEXT, PersistedSessionConfig),
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
    "turn state.index": (NO_INTEGER, PersistedTurnState),
    "turn state.usage": (NO_RECORD, lambda v: PersistedTurnState(0, v)),
    "checkpoint.turn_state": (NO_RECORD, HydratedSessionCheckpoint),
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
    "input.items": ((None, "x", ["x"], [None], [{}]), TurnInput),
    "input.trace": (optional(NO_ID), lambda v: TurnInput((), {}, None, v)),
    "item.text": (NO_TEXT, TextItem),
    "item.image": (NO_ID, ImageRef),
    "ingress.turn_id": (NO_ID, ActiveTurn),
    "ingress.boundary": ((None, "x", 7, []), lambda v: ActiveTurn("t", v)),
    "draft.session_id": ((*NO_ID, "x" * 1025), lambda v: PendingTurnInputDraft(v, NextTurn(), TurnInput(()))),
    "draft.ingress": (NO_RECORD, lambda v: PendingTurnInputDraft(SESSION, v, TurnInput(()))),
    "draft.input": (NO_RECORD, lambda v: PendingTurnInputDraft(SESSION, NextTurn(), v)),
    "draft.input_id": (optional(NO_ID), lambda v: _draft(input_id=v)),
    "draft.source_key": (optional(NO_ID), lambda v: _draft(source_key=v)),
    "target.input_id": (NO_ID, CancelByInputId),
    "target.source_key": (NO_ID, CancelBySourceKey),
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
    "group": (NO_ID, MergeGroup),
    "intent.id": (NO_ID, intent),
    "intent.session_id": (NO_ID, lambda v: intent("a", session_id=v)),
    "intent.at": (NO_INTEGER, lambda v: intent("a", at_ms=v)),
    "attachment.media_type": (NO_TEXT, AttachmentCreateMeta),
    "attachment.width": (optional(NO_INTEGER), lambda v: AttachmentCreateMeta("x", v)),
    "attachment.height": (optional(NO_INTEGER), lambda v: AttachmentCreateMeta("x", None, v)),
    "attachment.label": (optional(NO_TEXT), lambda v: AttachmentCreateMeta("x", label=v)),
    "meta.session_id": ((*NO_ID, "x" * 1025), lambda v: SessionMeta(v, "", "", "")),
    "meta.name": (NO_TEXT, lambda v: SessionMeta(SESSION, v, "", "")),
    "meta.created_at": (NO_TIME, lambda v: SessionMeta(SESSION, "", v, "")),
    "meta.model": (NO_TEXT, lambda v: SessionMeta(SESSION, "", "", v)),
    "meta.cwd": (optional(NO_TEXT), lambda v: SessionMeta(SESSION, "", "", "", v)),
    "meta.relation": (NO_RECORD, lambda v: SessionMeta(SESSION, "", "", "", None, v)),
    "relation.parent": (NO_ID, ChildSession),
}


def _commit(**changes: Any) -> RuntimeCommit:
    return dataclasses.replace(append_commit(node("n")), **changes)


def _draft(**changes: Any) -> PendingTurnInputDraft:
    return PendingTurnInputDraft(SESSION, NextTurn(), TurnInput(()), **changes)


class TestBadFields:
    """Values that no record takes."""

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
