"""Ids and addresses of a session that a redactor matches: they stay, since others know things by them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from ..contract.inputs import ActiveTurn, ImageRef
from ..contract.redaction import LeftPlace
from ..contract.sessions import ChildSession
from ..contract.state import AgentFrameRecord
from ..contract.work import MergeGroup, QueuedWorkBatch
from . import feed
from .facts import Archive, AttachmentFact, CommitFact, InputFact, NodeFact, StoredInput
from .redactor import Redactor
from .state import HeldClaim, SessionState

_REASON = "ids stay, since others know things by them"
_SHA = re.compile(r"[0-9a-f]{64}")
_Named = tuple[str, str | None]


def ids_left(redactor: Redactor, state: SessionState, archive: Archive) -> Iterator[LeftPlace]:
    """Each id or address that matches, once."""
    seen: set[str] = set()
    for what, ident in chain(_of_state(state), _of_facts(archive)):
        if ident and ident not in seen and redactor.matches(ident) and not _SHA.fullmatch(ident):
            seen.add(ident)
            yield LeftPlace(what, ident, _REASON)


def _of_state(state: SessionState) -> Iterator[_Named]:
    yield "session", state.session_id
    if state.meta is not None and isinstance(state.meta.relation, ChildSession):
        yield "session", state.meta.relation.parent_session_id
    for name in (*state.branches, state.current_branch):
        yield "branch", name
    for frame in state.frames:
        yield from _of_frame(frame)
    if state.lease is not None:
        yield "owner", state.lease.lease.owner.owner_id
        yield "owner", state.lease.lease.owner.incarnation_id
    for live in state.inputs.values():
        yield from _of_input(live.stored)
        yield from _of_claim(live.claim)
    for queued in state.work.values():
        yield from _of_batch(queued.batch)
        yield from _of_claim(queued.claim)
    for row in state.uncommitted.values():
        yield "attachment", row.attachment_id
        yield "address", row.canonical_uri


def _of_frame(frame: AgentFrameRecord) -> Iterable[_Named]:
    return (
        ("frame", frame.frame_id),
        ("frame", frame.previous_frame_id),
        ("session", frame.session_id),
    )


def _of_claim(claim: HeldClaim | None) -> Iterable[_Named]:
    return () if claim is None else (("owner", claim.owner.owner_id), ("owner", claim.owner.incarnation_id))


def _of_input(stored: StoredInput) -> Iterator[_Named]:
    record = stored.record
    yield "input", record.input_id
    yield "source key", record.source_key
    for ingress in (record.ingress, stored.submitted):
        if isinstance(ingress, ActiveTurn):
            yield "turn", ingress.turn_id
    yield "turn", record.input.trace_turn_id
    for item in record.input.items:
        if isinstance(item, ImageRef):
            yield "image", item.id
    for key, _ in stored.images:
        yield "image", key


def _of_batch(batch: QueuedWorkBatch) -> Iterator[_Named]:
    yield "batch", batch.batch_id
    yield "source key", batch.source_key
    if isinstance(batch.merge_key, MergeGroup):
        yield "merge group", batch.merge_key.group
    for item in batch.items:
        yield "work item", item.item_id


def _of_facts(archive: Archive) -> Iterator[_Named]:
    for fact in archive.facts():
        if isinstance(fact, NodeFact):
            yield "node", fact.node.node_id
            yield "node", fact.node.parent_node_id
            yield "frame", fact.node.agent_frame_id
        elif isinstance(fact, CommitFact):
            yield "turn", fact.turn_id
            yield "branch", fact.branch
            yield "branch", fact.previous_branch
        elif isinstance(fact, InputFact):
            yield from _of_input(fact.stored)
        elif isinstance(fact, AttachmentFact):
            yield "attachment", fact.entry.attachment_id
            yield "address", fact.entry.canonical_uri
    # Last: an id is told as that of its record, if there still is one.
    for trace in feed.traces(archive, 0):
        for ident in (ident for change in trace.changes for ident in change.ids):
            yield "change", ident
