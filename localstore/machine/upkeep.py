"""Metadata, tombstones, and what vacuum and garbage collection keep."""

from __future__ import annotations

from collections.abc import Iterator

from ..contract.errors import SessionBindingMismatch
from ..contract.sessions import GcReport, SessionMeta, VacuumReport
from ..contract.state import BlobRef
from . import attachments, feed, graphs, summaries, turn_inputs
from .decision import Decide, Decision, View
from .events import MetaSaved, NodesTombstoned, ValuesDropped
from .facts import (
    Archive,
    AttachmentFact,
    CommitFact,
    DanglingFact,
    Fact,
    InputFact,
    NodeFact,
    TombstoneFact,
    TraceFact,
    ValueDroppedFact,
    ValueFact,
    stored_values,
)
from .moment import Moment
from .reading import load_value
from .state import SessionState


def save_meta(meta: SessionMeta) -> Decide[None]:
    """Replace the metadata."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[None]:
        if meta.session_id != state.session_id:
            raise SessionBindingMismatch(state.session_id, meta.session_id)
        return Decision((MetaSaved(meta),), None)

    return decide


def load_meta() -> View[SessionMeta | None]:
    """The metadata."""
    return lambda state, archive, moment: state.meta


def tombstone(node_ids: tuple[str, ...]) -> Decide[None]:
    """Hide these nodes; a hidden leaf leaves the session without one."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[None]:
        gone = {}
        for node_id in node_ids:
            node = graphs.find_node(state, archive, node_id)
            if node is not None:
                gone[node_id] = node
        if not gone:
            return Decision((), None)
        leaf = None if state.leaf_node_id in gone else state.leaf_node_id
        summary = summaries.without_nodes(state, archive, gone)
        return Decision((NodesTombstoned(tuple(gone), leaf, summary),), None)

    return decide


def vacuumed(state: SessionState, archive: Archive) -> Iterator[Fact]:
    """The facts that a vacuum keeps, oldest first.

    Hidden, replaced and superseded nodes go, and settled inputs, also those of a fork's parent. What a removed node
    leaves is the note that its id may be a parent somewhere: committing it again could close a cycle.
    """
    newest: dict[str, int] = {}
    for fact in archive.facts(NodeFact, TombstoneFact, DanglingFact, ValueFact, ValueDroppedFact, AttachmentFact):
        newest[fact.keys()[0]] = fact.seq
    for fact in archive.facts():
        if isinstance(fact, InputFact | TraceFact):
            continue
        if isinstance(fact, CommitFact):
            yield fact
        elif newest[fact.keys()[0]] != fact.seq or isinstance(fact, ValueDroppedFact):
            continue
        elif isinstance(fact, NodeFact | TombstoneFact):
            if fact.seq >= state.floor_seq:
                yield fact if isinstance(fact, NodeFact) else DanglingFact(fact.seq, fact.node_id)
        elif not isinstance(fact, AttachmentFact) or attachments.row_of(state, fact) is not None:
            yield fact
    traces = [each for each in feed.kept_traces(archive) if state.owns(each[0])]
    if traces:
        yield feed.gathered(traces)


def has_waste(state: SessionState, archive: Archive) -> bool:
    """Whether a vacuum would remove anything of this session's: what a fork shares is better left shared otherwise."""
    if state.tombstone_count or state.settled_input_count:
        return True
    mine = (NodeFact, TombstoneFact, DanglingFact, ValueFact, ValueDroppedFact, AttachmentFact)
    kept = sum(isinstance(fact, mine) for fact in vacuumed(state, archive))
    traces = (fact for fact in archive.facts(TraceFact) if isinstance(fact, TraceFact))
    own_traces = sum(state.owns(each.seq) for fact in traces for each in feed.traces_of(fact))
    return own_traces > feed.KEPT or kept < sum(1 for _ in archive.facts(*mine))


def roots(state: SessionState, archive: Archive) -> set[BlobRef]:
    """The head's manifest, the refs of its frames, and the images of every stored input."""
    found = {frame.execution_state_ref for frame in state.frames} | {state.checkpoint_ref}
    stored = [live.stored for live in state.inputs.values()]
    stored += turn_inputs.settled(state, archive)
    found |= {ref for item in stored for _, ref in item.images}
    return {ref for ref in found if ref is not None}


def live_refs(state: SessionState, archive: Archive) -> tuple[set[BlobRef], set[BlobRef]]:
    """The roots, and all live refs: these and what the head's manifest refers to.

    A manifest that cannot be read is `CorruptRecord`.
    """
    if state.damaged_inputs is not None:
        raise state.damaged_inputs
    found = roots(state, archive)
    live = set(found)
    if state.checkpoint_ref is not None:
        load_value(archive, state.checkpoint_ref, "manifest")
        manifest = state.manifest
        assert manifest is not None
        parts = (manifest.tool_state_ref, manifest.plugin_snapshot_ref, manifest.execution_state_ref)
        live |= {ref for ref in parts if ref is not None}
    return found, live


def collect() -> Decide[GcReport]:
    """Drop every stored value that is not live."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[GcReport]:
        found, live = live_refs(state, archive)
        stored = stored_values(archive.facts(ValueFact, ValueDroppedFact))
        dead = tuple(ref for ref in stored if ref not in live)
        events = (ValuesDropped(dead),) if dead else ()
        return Decision(events, GcReport(len(found), len(stored) - len(dead), len(dead)))

    return decide


def vacuum_report(state: SessionState) -> VacuumReport:
    """What a vacuum of this state removes."""
    return VacuumReport(state.tombstone_count, state.settled_input_count)


def note_vacuumed(state: SessionState) -> None:
    """Carry a vacuum out on the state: what was hidden may still be named as a parent."""
    state.dangling_count += state.tombstone_count
    state.tombstone_count = state.revived_count = 0
    state.settled_input_count = 0
