"""From the framework's checkpoints and writes to the nodes of a commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ...contract import checks
from ...contract.errors import InvalidArgument
from ...contract.graph import SessionNodeRecord
from . import nearby
from .cells import Codec, Serialised
from .drafts import Draft
from .newcomers import NewMessages, Trees
from .patches import Piece, difference, expected, pieces
from .phrases import Said, Speaker
from .picture import CHECKPOINT, WRITES, CheckpointNode, Key, Picture, default_index
from .states import NOTHING, Cell, State


@dataclass(frozen=True, slots=True)
class DumpedCheckpoint:
    """A checkpoint, serialised: lists element by element, so that what they share with other lists is seen."""

    key: Key
    parent_id: str | None
    timestamp: str | None
    state: dict[str, Any]
    metadata: dict[str, Any]
    values: dict[str, Serialised | list[Serialised]]


@dataclass(frozen=True, slots=True)
class DumpedWrite:
    """A write, serialised."""

    channel: str
    index: int
    value: Serialised


def dump_checkpoint(
    codec: Codec, key: Key, parent_id: str | None, checkpoint: dict[str, Any], metadata: dict[str, Any]
) -> DumpedCheckpoint:
    """Serialise a checkpoint; raises what the serialiser raises."""
    state = {name: value for name, value in checkpoint.items() if name not in ("id", "channel_values")}
    timestamp = state.get("ts")
    try:
        checks.timestamp("ts", timestamp)
        del state["ts"]
    except InvalidArgument:
        timestamp = None
    values: dict[str, Serialised | list[Serialised]] = {}
    for channel, value in checkpoint["channel_values"].items():
        is_list = type(value) is list
        values[channel] = [codec.dump(item) for item in value] if is_list else codec.dump(value)
    return DumpedCheckpoint(key, parent_id, timestamp, codec.plain(state), codec.plain(metadata), values)


def draft_checkpoint(draft: Draft, dumped: DumpedCheckpoint) -> State | None:
    """Add the nodes of a checkpoint, and return its state; `None`, and no node, where it is stored just so."""
    picture = draft.picture
    stored = picture.checkpoint(dumped.key)
    if stored is not None and _is_same(draft, stored, dumped):
        return None
    parent = None if dumped.parent_id is None else picture.checkpoint((dumped.key[0], dumped.parent_id))
    base = parent or picture.latest(dumped.key[0])
    changes = _Changes(draft, NOTHING if base is None else picture.state_of(base), dumped)
    early = _early_end(picture, dumped.key, parent)
    found = _newcomers(draft, dumped.key, parent, early, changes)
    if early is not None and found.fresh:
        # What is said here was said before what these writes say.
        early = None
        found = _newcomers(draft, dumped.key, parent, None, changes)
    above = early or _place_under(picture, dumped, parent, found.adopted)
    anchor = found.add_all_but_last(None if above is None else str(above), dumped.timestamp or draft.now)
    speaker = draft.speaker()
    payload: dict[str, Any] = {"kind": CHECKPOINT, **found.last(speaker), "id": dumped.key[1]}
    if dumped.key[0]:
        payload["ns"] = dumped.key[0]
    owner = None if above is None else picture.owner_of(above)
    implied = None if owner is None or owner.key[0] != dumped.key[0] else owner.key[1]
    if implied != dumped.parent_id:
        payload["parent"] = dumped.parent_id if parent is None else parent.number
    default = parent if isinstance(payload.get("parent"), int) else owner
    if (None if default is None else default.number) != (None if base is None else base.number):
        payload["base"] = None if base is None else base.number
    values = changes.said(speaker, payload)
    speaker.check(payload)
    draft.add(anchor, dumped.timestamp or draft.now, payload)
    return State(dumped.state, dumped.metadata, values)


def _newcomers(
    draft: Draft, key: Key, parent: CheckpointNode | None, early: int | None, changes: _Changes
) -> NewMessages:
    picture = draft.picture
    near = [] if parent is None else nearby.in_line(picture, parent)
    if early is not None:
        near = nearby.in_writes(picture, key) + near
    found = NewMessages(draft, near, key[0] == "", () if parent is None else nearby.aside(picture, parent))
    for channel in changes.channels:
        found.take(changes.trees(channel))
    return found


def draft_writes(
    draft: Draft, key: Key, task_id: str, task_path: str, writes: Sequence[DumpedWrite]
) -> SessionNodeRecord | None:
    """Add the nodes of a task's writes; `None`, and no node, where all of them are stored."""
    picture = draft.picture
    known = picture.writes_to(key)
    fresh: list[DumpedWrite] = []
    for write in writes:
        before = known.get((task_id, write.index))
        # The framework's own channels are written anew, the others once.
        if before is None or (write.index < 0 and not _is_equal(draft, before.cell, before.channel, write)):
            fresh.append(write)
    if not fresh:
        return None
    target = picture.checkpoint(key)
    near = [] if target is None else nearby.in_line(picture, target) + nearby.in_children(picture, target)
    found = NewMessages(draft, near, key[0] == "")
    for write in fresh:
        found.take(Trees([draft.codec.tree(write.value)]))
    after = _behind_others(picture, key) if target is None else target.line[-1]
    anchor = found.add_all_but_last(None if after is None else str(after), draft.now)
    speaker = draft.speaker()
    payload: dict[str, Any] = {"kind": WRITES, **found.last(speaker)}
    if target is None:
        payload["for"] = list(key) if key[0] else key[1]
    payload["task"] = task_id
    if task_path:
        payload["path"] = task_path
    said: list[Said] = []
    for position, write in enumerate(fresh):
        entry: list[Said] = [speaker.say(write.channel), draft.codec.say(speaker, write.value)]
        if write.index != default_index(write.channel, position):
            entry.append(write.index)
        said.append(speaker.close(entry))
    payload["writes"] = speaker.close(said)
    speaker.check(payload)
    return draft.add(anchor, draft.now, payload)


def _is_equal(draft: Draft, cell: Cell, channel: str, write: DumpedWrite) -> bool:
    return channel == write.channel and cell.serialised(draft.picture, draft.codec) == write.value


def _is_same(draft: Draft, stored: CheckpointNode, dumped: DumpedCheckpoint) -> bool:
    if stored.parent_id != dumped.parent_id or (dumped.timestamp or stored.timestamp) != stored.timestamp:
        return False
    state = draft.picture.state_of(stored)
    if difference(state.state, dumped.state) or difference(state.metadata, dumped.metadata):
        return False
    return list(state.values) == list(dumped.values) and not _Changes(draft, state, dumped).channels


def _early_end(picture: Picture, key: Key, parent: CheckpointNode | None) -> int | None:
    """The last of the writes that were faster than the checkpoint that they are to, where its node can follow them.

    It cannot where they turn off before a message that the checkpoint has: then the messages in them are said anew.
    """
    early = picture.nodes_of_writes(key)
    if not early or parent is None:
        return None
    _, before = picture.early_writes(key, early[-1])
    if before not in parent.line or nearby.carried_by(picture, parent.line[parent.line.index(before) + 1 :]):
        return None
    return early[-1]


def _behind_others(picture: Picture, key: Key) -> int | None:
    """The node that writes to a checkpoint which is not there yet follow: other writes to it, or the head."""
    early = picture.nodes_of_writes(key)
    return early[-1] if early else None if key[0] else picture.leaf


def _place_under(
    picture: Picture, dumped: DumpedCheckpoint, parent: CheckpointNode | None, adopted: Iterable[int]
) -> int | None:
    """The node that a checkpoint's node follows: in its parent's line, where the last message that it has was said.

    The first checkpoint of a subgraph follows the one that the subgraph was started from.
    """
    if parent is not None:
        places = [parent.line.index(number) for number in (parent.number, *adopted) if number in parent.line]
        return parent.line[max(places)]
    parents = dumped.metadata.get("parents")
    if dumped.parent_id is None and dumped.key[0] and isinstance(parents, dict):
        for namespace in sorted(parents, key=len, reverse=True):
            node = picture.checkpoint((namespace, str(parents[namespace])))
            if node is not None:
                return node.number
    return None


@dataclass(frozen=True, slots=True)
class _ListChange:
    """How a list is made of the one before it."""

    before: tuple[Cell, ...]
    after: list[Serialised]
    pieces: list[Piece]

    def fresh(self) -> list[Serialised]:
        """The elements that are new."""
        return [cell for piece in self.pieces for cell in self.after[piece.begin : piece.end]]

    def kept(self) -> set[int]:
        """The places of the elements before that are still there."""
        return {place for piece in self.pieces for place in range(piece.start, piece.start + piece.length)}

    def is_addition(self) -> bool:
        """Whether elements were only added at the end."""
        return self.pieces[:1] == [Piece(0, len(self.before), len(self.before), len(self.after))]


class _Changes:
    """What of a checkpoint's values is other than in its base."""

    def __init__(self, draft: Draft, base: State, dumped: DumpedCheckpoint) -> None:
        self._draft = draft
        self._base = base
        self._dumped = dumped
        self.channels: dict[str, Serialised | _ListChange] = {}
        for channel, value in dumped.values.items():
            change = self._change(base.values.get(channel), value)
            if change is not None:
                self.channels[channel] = change

    def _change(
        self, before: Cell | tuple[Cell, ...] | None, after: Serialised | list[Serialised]
    ) -> Serialised | _ListChange | None:
        if isinstance(after, Serialised):
            return None if isinstance(before, Cell) and self._plain(before) == after else after
        cells = before if isinstance(before, tuple) else ()
        values = [self._plain(cell) for cell in cells]
        if isinstance(before, tuple) and values == after:
            return None
        return _ListChange(cells, after, pieces(values, after))

    def _plain(self, cell: Cell) -> Serialised:
        return cell.serialised(self._draft.picture, self._draft.codec)

    def trees(self, channel: str) -> Trees:
        """The trees that change in a channel."""
        change, before = self.channels[channel], self._base.values.get(channel)
        tree = self._draft.codec.tree
        if isinstance(change, Serialised):
            gone = () if before is None else (before,) if isinstance(before, Cell) else before
            return Trees([tree(change)], [tree(self._plain(cell)) for cell in gone])
        kept = change.kept()
        gone = tuple(cell for place, cell in enumerate(change.before) if place not in kept)
        if isinstance(before, Cell):
            gone = (before,)
        return Trees(
            [tree(cell) for cell in change.fresh()],
            [tree(self._plain(cell)) for cell in gone],
            lambda: [tree(self._plain(change.before[place])) for place in kept],
        )

    def said(self, speaker: Speaker, payload: dict[str, Any]) -> dict[str, Cell | tuple[Cell, ...]]:
        """Say the changes in `payload`; returns all values as they are then."""
        gone = [channel for channel in self._base.values if channel not in self._dumped.values]
        if gone:
            payload["gone"] = gone
        state, metadata = expected(self._base.state, self._base.metadata, self.channels, gone)
        for name, before, after in (
            ("state", state, self._dumped.state),
            ("metadata", metadata, self._dumped.metadata),
        ):
            patch = difference(before, after)
            if patch:
                payload[name] = speaker.say(patch)
        values = {channel: self._base.values.get(channel) for channel in self._dumped.values}
        said: dict[str, Said] = {}
        for channel, change in self.channels.items():
            if isinstance(change, Serialised):
                said[channel], values[channel] = self._say_value(speaker, change, values[channel])
            else:
                said[channel], values[channel] = self._say_list(speaker, change)
        if said:
            payload["values"] = speaker.close(said)
        return {channel: value for channel, value in values.items() if value is not None}

    def _say_value(
        self, speaker: Speaker, change: Serialised, before: Cell | tuple[Cell, ...] | None
    ) -> tuple[Said, Cell]:
        codec = self._draft.codec
        patch = self._patch(before, change)
        if patch is None:
            said = codec.say(speaker, change)
            return said, Cell(said, speaker.number, change)
        # A tree says itself: this cell needs no other one to be understood.
        return speaker.close({"$p": speaker.say(patch)}), Cell(codec.tree(change), speaker.number, change)

    def _patch(self, before: Cell | tuple[Cell, ...] | None, after: Serialised) -> dict[str, Any] | None:
        """What makes a value of the one before it, where that is much shorter."""
        if not isinstance(before, Cell) or not self._draft.codec.is_readable():
            return None
        old, new = self._draft.codec.tree(self._plain(before)), self._draft.codec.tree(after)
        if not isinstance(old, dict) or not isinstance(new, dict):
            return None
        patch = difference(old, new)
        return patch if 2 * len(orjson.dumps(patch)) < len(orjson.dumps(new)) else None

    def _say_list(self, speaker: Speaker, change: _ListChange) -> tuple[Said, tuple[Cell, ...]]:
        codec = self._draft.codec
        if codec.is_readable() and len(change.after) > 1 and not change.kept():
            trees = [codec.tree(cell) for cell in change.after]
            found = speaker.repeat(trees)
            if found is not None:
                told = zip(trees, change.after, strict=True)
                return {"$w": found}, tuple(Cell(tree, speaker.number, cell) for tree, cell in told)
        said: list[Said] = []
        cells: list[Cell] = []
        for piece in change.pieces:
            fresh = change.after[piece.begin : piece.end]
            elements = [codec.say(speaker, cell) for cell in fresh]
            cells += change.before[piece.start : piece.start + piece.length]
            cells += [Cell(each, speaker.number, cell) for each, cell in zip(elements, fresh, strict=True)]
            plain = [codec.tree(cell) for cell in fresh] if codec.is_readable() else None
            said += (piece.start, piece.length, speaker.close(elements, plain))
        told_by = {"$a": said[2]} if change.is_addition() else {"$l": speaker.close(said)}
        return speaker.close(told_by), tuple(cells)
