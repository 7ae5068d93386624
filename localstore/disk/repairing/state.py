"""Making the state of a session fit what is left of its facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from typing import Any

from ...contract.state import SessionCheckpoint
from ...machine.encoding import Malformed, dump, load
from ...machine.facts import CommitFact, Fact, ValueFact
from ...machine.state import SessionState
from ..checking.recount import Recount
from .actions import Actions

_PARTS = (
    ("tool_state_ref", "the tool state"),
    ("plugin_snapshot_ref", "the plugin snapshot"),
    ("execution_state_ref", "the execution state"),
)


def mend(actions: Actions, path: str, state: SessionState, counts: Recount, facts: Iterable[Fact]) -> list[Fact]:
    """Change `state` to what the facts say; the facts that have to be written for it."""
    commits = sorted((fact for fact in facts if isinstance(fact, CommitFact)), key=lambda fact: fact.revision)
    if commits and commits[-1].revision > state.revision:
        _move_head(actions, path, state, commits[-1])
    fresh = _mend_checkpoint(actions, path, state, counts)
    _mend_frames(actions, path, state, counts)
    _mend_leaf(actions, path, state, counts, commits)
    _mend_counts(actions, path, state, counts)
    return fresh


def _move_head(actions: Actions, path: str, state: SessionState, newest: CommitFact) -> None:
    try:
        manifest = load(SessionCheckpoint, newest.manifest)
    except Malformed:
        return
    actions.note("head_moved", path, f"the newest move of the head that is left is revision {newest.revision}")
    state.revision = newest.revision
    state.set_leaf(newest.leaf_node_id)
    state.manifest = manifest
    state.checkpoint_ref = newest.checkpoint_ref


def _mend_checkpoint(actions: Actions, path: str, state: SessionState, counts: Recount) -> list[Fact]:
    """The manifest is stored, and what it refers to; what is lost of it is left out."""
    manifest = state.manifest
    if manifest is None or state.checkpoint_ref is None:
        return []
    for name, what in _PARTS:
        ref = getattr(manifest, name)
        if ref is not None and ref not in counts.values:
            without: dict[str, Any] = {name: None}
            manifest = replace(manifest, **without)
            actions.note(
                "value_lost", path, f"{what} of the checkpoint is lost; the checkpoint is without it", lost=True
            )
    if manifest is state.manifest and state.checkpoint_ref in counts.values:
        return []
    content = dump(manifest)
    ref = sha256(content).hexdigest()
    if ref != state.checkpoint_ref or ref not in counts.values:
        actions.note("manifest_made_good", path, "the manifest of the checkpoint was written anew from the head")
    state.manifest, state.checkpoint_ref = manifest, ref
    return [] if ref in counts.values else [ValueFact(state.seq, ref, content)]


def _mend_frames(actions: Actions, path: str, state: SessionState, counts: Recount) -> None:
    frames = []
    for frame in state.frames:
        if frame.execution_state_ref is not None and frame.execution_state_ref not in counts.values:
            actions.note("value_lost", path, f"the snapshot of frame {frame.frame_id!r} is lost", lost=True)
            frame = replace(frame, execution_state_ref=None)  # noqa: PLW2901
        frames.append(frame)
    state.frames = tuple(frames)


def _mend_leaf(actions: Actions, path: str, state: SessionState, counts: Recount, commits: list[CommitFact]) -> None:
    """A leaf that is lost gives way to the latest one that is left."""
    live = {node_id for node_id, _ in counts.live(state.floor_seq)}
    lost = state.leaf_node_id
    if lost is None or lost in live:
        return
    leaf = next((fact.leaf_node_id for fact in reversed(commits) if fact.leaf_node_id in live), None)
    if leaf is None:
        leaf = next(reversed([node_id for node_id, _ in counts.live(state.floor_seq)]), None)
    state.set_leaf(leaf)
    actions.note("leaf_moved", path, f"the leaf {lost!r} is lost; {leaf!r} is the leaf now", lost=True)


def _mend_counts(actions: Actions, path: str, state: SessionState, counts: Recount) -> None:
    differences = list(counts.differences(state))
    floor, inherited = state.floor_seq, state.inherited_seq
    state.summary = counts.summary(floor)
    state.tombstone_count = counts.hidden(floor)
    state.revived_count = counts.revived(floor)
    state.dangling_count = max(state.dangling_count, len(counts.dangling))
    state.settled_input_count = len(counts.settled(inherited))
    rows = counts.rows(inherited)
    state.attachment_row_count = len(rows)
    state.uncommitted = {row.attachment_id: row for row in rows if row.committed_at_epoch_ms is None}
    for difference in differences:
        actions.note("count_made_good", path, difference)
