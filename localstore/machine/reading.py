"""What is read of a session: the head, a node, a path, everything."""

from __future__ import annotations

from dataclasses import replace

import orjson

from ..contract.commits import PersistedSessionRead
from ..contract.errors import CorruptRecord, NodeNotFound
from ..contract.graph import ActivePath, SessionGraph, SessionNodeRecord, SessionReadScope
from ..contract.sessions import RootSession, SessionHead, SessionSummary
from ..contract.state import AgentFrameRecord, BlobRef, HydratedSessionCheckpoint, TokenLedgerEntry
from ..contract.values import EncodedJson
from . import graphs, summaries
from .decision import View
from .facts import Archive, ValueFact
from .moment import Moment
from .state import SessionState


def load_value(archive: Archive, ref: BlobRef, what: str) -> bytes:
    """The content stored under `ref`; a missing one is damage, since nothing live is collected."""
    fact = archive.find(f"v:{ref}")
    if not isinstance(fact, ValueFact) or fact.content is None:
        raise CorruptRecord(f"blob {ref}", f"the {what} of the head is missing")
    return fact.content


def load_session(scope: SessionReadScope) -> View[PersistedSessionRead | None]:
    """The session's state with the nodes of `scope`; `None` before the first commit."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> PersistedSessionRead | None:
        if state.checkpoint_ref is None:
            return None
        return PersistedSessionRead(
            state.session_id,
            state.revision,
            state.config,
            tuple(_hydrated_frame(frame, archive) for frame in state.frames),
            state.current_frame_id,
            _graph(state, archive, scope),
            state.checkpoint_ref,
            _hydrated_checkpoint(state, archive),
            tuple(TokenLedgerEntry(source, model, usage) for (source, model), usage in state.ledger.items()),
        )

    return view


def _graph(state: SessionState, archive: Archive, scope: SessionReadScope) -> SessionGraph:
    if not isinstance(scope, ActivePath):
        return SessionGraph(tuple(summaries.live_nodes(state, archive)), state.leaf_node_id)
    leaf = state.leaf_node_id if scope.leaf_node_id is None else scope.leaf_node_id
    if leaf is None:
        return SessionGraph((), None)
    once = state.tombstone_count == 0 and state.revived_count == 0
    path = list(archive.ancestry(leaf, state.floor_seq, once=once))
    if not path:
        raise NodeNotFound(leaf)
    return SessionGraph(tuple(reversed(path)), leaf)


def _hydrated_frame(frame: AgentFrameRecord, archive: Archive) -> AgentFrameRecord:
    if frame.execution_state_ref is None:
        return frame
    snapshot = load_value(archive, frame.execution_state_ref, f"snapshot of frame {frame.frame_id!r}")
    return replace(frame, execution_state_snapshot=snapshot)


def _hydrated_checkpoint(state: SessionState, archive: Archive) -> HydratedSessionCheckpoint:
    manifest = state.manifest
    assert manifest is not None

    def json_part(ref: BlobRef | None, what: str) -> EncodedJson | None:
        if ref is None:
            return None
        text = load_value(archive, ref, what)
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise CorruptRecord(f"blob {ref}", f"the {what} is no JSON: {error}") from error
        return EncodedJson(text)

    execution_ref = manifest.execution_state_ref
    return HydratedSessionCheckpoint(
        manifest.turn_state,
        json_part(manifest.tool_state_ref, "tool state"),  # type: ignore[arg-type]
        manifest.tool_state_ref,
        json_part(manifest.plugin_snapshot_ref, "plugin snapshot"),  # type: ignore[arg-type]
        manifest.plugin_snapshot_ref,
        manifest.plugin_snapshot_revision,
        None if execution_ref is None else load_value(archive, execution_ref, "execution state"),
        execution_ref,
    )


def load_node(node_id: str) -> View[SessionNodeRecord | None]:
    """The node, or `None` when it is unknown or tombstoned."""
    return lambda state, archive, moment: graphs.find_node(state, archive, node_id)


def load_head() -> View[SessionHead | None]:
    """Where the session stands; `None` before the first commit."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> SessionHead | None:
        if state.revision == 0:
            return None
        return SessionHead(
            state.session_id,
            state.revision,
            state.leaf_node_id,
            state.checkpoint_ref,
            state.summary.node_count,
            state.current_frame_id,
        )

    return view


def summarize(state: SessionState, size_bytes: int) -> SessionSummary:
    """The session's line in a list."""
    meta, summary = state.meta, state.summary
    return SessionSummary(
        state.session_id,
        state.session_id if meta is None else meta.session_name,
        None if meta is None else meta.cwd,
        "" if meta is None else meta.model,
        RootSession() if meta is None else meta.relation,
        state.created_at_ms,
        state.updated_at_ms,
        summary.first_user_message,
        summary.user_message_count,
        summary.node_count,
        state.revision,
        size_bytes,
    )
