"""Short ways to make valid records; every argument that a test does not care about has a default."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import (
    ActiveTurn,
    AgentFrameRecord,
    AttachmentCreateMeta,
    AttachmentIntent,
    DeliveryPolicy,
    GraphAppend,
    GraphDelta,
    GraphReplaceFull,
    GraphUnchanged,
    HydratedSessionCheckpoint,
    JsonObject,
    JsonValue,
    LeaseOwnerIdentity,
    MergeKey,
    MergeNever,
    NextTurn,
    PendingTurnInputDraft,
    PersistedSessionConfig,
    ProcessWake,
    QueuedWorkBatchDraft,
    RuntimeCommit,
    RuntimeTurnCommitStamp,
    SessionCommand,
    SessionGraph,
    SessionNodeRecord,
    SlotPolicy,
    TokenLedgerEntry,
    TokenUsage,
    TurnInput,
    TurnInputCheckpointBoundary,
)
from .clocks import START_MS

SESSION = "session-1"
"""The session of a test, unless it says otherwise."""
OTHER = "session-2"
"""A second session."""
TURN = "turn-1"
"""The turn of a test, unless it says otherwise."""
TIMESTAMP = "2026-01-01T00:00:00Z"
UNKNOWN_REF = "5" * 64
"""A well-formed blob reference that nothing was ever stored under."""
LAST = "<the last node>"
"""As a leaf: the last of the nodes."""
PNG = AttachmentCreateMeta("image/png", 2, 3, "a picture")


def owner(name: str = "worker", incarnation: str = "1") -> LeaseOwnerIdentity:
    """An owner whose death nobody can prove."""
    return LeaseOwnerIdentity.opaque(name, incarnation)


def living_owner(name: str = "worker", incarnation: str = "1") -> LeaseOwnerIdentity:
    """An owner that is the calling process."""
    return LeaseOwnerIdentity.local_process(name, incarnation)


def node(
    node_id: str,
    parent: str | None = None,
    *,
    payload: JsonObject | None = None,
    timestamp: str = TIMESTAMP,
    caused_by: JsonValue = None,
    agent_frame_id: str | None = None,
) -> SessionNodeRecord:
    """A node; its payload names it unless another is given."""
    content = {"kind": "event", "label": node_id} if payload is None else payload
    return SessionNodeRecord(node_id, parent, timestamp, content, caused_by, agent_frame_id)


def said(node_id: str, parent: str | None, text: str, role: str = "user") -> SessionNodeRecord:
    """A node that is a message of `role`."""
    return node(node_id, parent, payload={"kind": "event", "role": role, "content": text})


def chain(*ids: str, after: str | None = None) -> tuple[SessionNodeRecord, ...]:
    """Nodes each of which is the parent of the next one, the first a child of `after`."""
    return tuple(node(node_id, parent) for node_id, parent in zip(ids, (after, *ids), strict=False))


def commit_of(graph: GraphDelta, *, session_id: str = SESSION, **changes: Any) -> RuntimeCommit:
    """A commit of `graph`, with nothing else in it but `changes` to its fields."""
    blank = RuntimeCommit(session_id, None, PersistedSessionConfig(), (), None, graph, HydratedSessionCheckpoint())
    return replace(blank, **changes) if changes else blank


def append_commit(
    *nodes: SessionNodeRecord, leaf: str | None = LAST, session_id: str = SESSION, **changes: Any
) -> RuntimeCommit:
    """A commit that appends `nodes`; the leaf is the last of them unless told."""
    return commit_of(GraphAppend(nodes, _leaf(nodes, leaf)), session_id=session_id, **changes)


def replace_commit(
    *nodes: SessionNodeRecord, leaf: str | None = LAST, session_id: str = SESSION, **changes: Any
) -> RuntimeCommit:
    """A commit after which `nodes` are all there are."""
    graph = SessionGraph(nodes, _leaf(nodes, leaf))
    return commit_of(GraphReplaceFull(graph), session_id=session_id, **changes)


def unchanged_commit(leaf: str | None = None, *, session_id: str = SESSION, **changes: Any) -> RuntimeCommit:
    """A commit that adds no node and makes `leaf` the leaf."""
    return commit_of(GraphUnchanged(leaf), session_id=session_id, **changes)


def _leaf(nodes: tuple[SessionNodeRecord, ...], leaf: str | None) -> str | None:
    if leaf != LAST:
        return leaf
    return nodes[-1].node_id if nodes else None


def stamped(commit: RuntimeCommit, turn_id: str = TURN) -> RuntimeCommit:
    """The commit with the stamp of its own hash."""
    return commit.with_turn_commit(RuntimeTurnCommitStamp(commit.session_id, turn_id, commit.turn_commit_hash()))


def frame(frame_id: str = "frame-1", *, session_id: str = SESSION, **changes: Any) -> AgentFrameRecord:
    """An agent frame."""
    return AgentFrameRecord(frame_id, session_id, **changes)


def usage(source: str, model: str, input_tokens: int = 1, **counts: int) -> TokenLedgerEntry:
    """A token ledger entry."""
    return TokenLedgerEntry(source, model, TokenUsage(input_tokens, **counts))


def active_input(
    text: str,
    turn_id: str = TURN,
    boundary: TurnInputCheckpointBoundary = TurnInputCheckpointBoundary.AFTER_WORK,
    *,
    session_id: str = SESSION,
    **changes: Any,
) -> PendingTurnInputDraft:
    """User input for the running turn `turn_id`."""
    return PendingTurnInputDraft(session_id, ActiveTurn(turn_id, boundary), TurnInput.text(text), **changes)


def next_input(text: str, *, session_id: str = SESSION, **changes: Any) -> PendingTurnInputDraft:
    """User input for the next turn."""
    return PendingTurnInputDraft(session_id, NextTurn(), TurnInput.text(text), **changes)


def wake(
    label: str = "wake",
    *,
    session_id: str = SESSION,
    delivery: DeliveryPolicy = DeliveryPolicy.EARLIEST_SAFE_BOUNDARY,
    slot: SlotPolicy = SlotPolicy.JOIN,
    merge: MergeKey = MergeNever(),
    **changes: Any,
) -> QueuedWorkBatchDraft:
    """A batch of turn work."""
    payloads = (ProcessWake({"label": label}),)
    return QueuedWorkBatchDraft(session_id, delivery, slot, payloads, merge_key=merge, **changes)


def command(
    label: str = "command",
    *,
    session_id: str = SESSION,
    delivery: DeliveryPolicy = DeliveryPolicy.EARLIEST_SAFE_BOUNDARY,
    slot: SlotPolicy = SlotPolicy.JOIN,
    merge: MergeKey = MergeNever(),
    **changes: Any,
) -> QueuedWorkBatchDraft:
    """A batch of one session command."""
    payloads = (SessionCommand({"label": label}),)
    return QueuedWorkBatchDraft(session_id, delivery, slot, payloads, merge_key=merge, **changes)


def intent(attachment_id: str, *, session_id: str = SESSION, at_ms: int = START_MS) -> AttachmentIntent:
    """The intention to store an attachment."""
    return AttachmentIntent(attachment_id, session_id, f"attachment:{attachment_id}", at_ms)
