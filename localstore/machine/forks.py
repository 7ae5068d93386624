"""Forking: a child session that begins as its parent is, and shares with it all that was written until then."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..contract.errors import NodeNotFound
from ..contract.sessions import ChildSession, SessionMeta
from ..contract.state import AgentFrameRecord
from ..contract.values import altered
from . import graphs
from .facts import Archive
from .moment import Moment
from .state import SessionState


@dataclass(frozen=True, slots=True)
class ForkRequest:
    """What a child is to be called, and the node it begins at (the parent's leaf, where it is `None`)."""

    session_id: str
    session_name: str
    at: str | None
    created_at: str


def child_of(state: SessionState, archive: Archive, moment: Moment, request: ForkRequest) -> SessionState:
    """The state that the child begins with; the facts that go with it are the parent's up to now.

    Nobody holds it, nothing waits in it, and of the attachment rows it has the committed ones.
    """
    if request.at is not None and graphs.find_node(state, archive, request.at) is None:
        raise NodeNotFound(request.at)
    leaf = state.leaf_node_id if request.at is None else request.at
    return SessionState(
        request.session_id,
        moment.new_id(),
        seq=state.seq,
        inherited_seq=state.seq,
        meta=_meta(state, request, leaf),
        created_at_ms=moment.now_ms,
        updated_at_ms=moment.now_ms,
        revision=state.revision,
        leaf_node_id=leaf,
        branches=dict(state.branches),
        current_branch=state.current_branch if leaf == state.leaf_node_id else None,
        config=state.config,
        frames=tuple(_frame(frame, state.session_id, request.session_id) for frame in state.frames),
        current_frame_id=state.current_frame_id,
        checkpoint_ref=state.checkpoint_ref,
        manifest=state.manifest,
        ledger=dict(state.ledger),
        summary=replace(state.summary),
        floor_seq=state.floor_seq,
        tombstone_count=state.tombstone_count,
        revived_count=state.revived_count,
        dangling_count=state.dangling_count,
        fencing_boot_id=moment.boot_id,
        attachment_row_count=state.attachment_row_count - len(state.uncommitted),
    )


def _meta(state: SessionState, request: ForkRequest, leaf: str | None) -> SessionMeta:
    parent = state.meta
    return SessionMeta(
        request.session_id,
        request.session_name,
        request.created_at,
        "" if parent is None else parent.model,
        None if parent is None else parent.cwd,
        ChildSession(state.session_id, {"fork": {"node_id": leaf}}),
    )


def _frame(frame: AgentFrameRecord, parent_id: str, child_id: str) -> AgentFrameRecord:
    return altered(frame, session_id=child_id) if frame.session_id == parent_id else frame
