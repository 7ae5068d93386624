"""One thread of a graph in one session: reads from a picture that is kept up to date, and commits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from ...contract.clock import rfc3339
from ...contract.graph import FullGraph, GraphAppend, GraphReplaceFull, SessionGraph
from ...contract.sessions import SessionHead
from ...session import SessionStore
from .._lane import Lane, Step
from .cells import Codec, Serialised
from .drafts import Draft
from .phrases import Vocabulary, digest_of
from .picture import CheckpointNode, Key, Picture, number_of, pictured
from .states import Cell, State
from .writing import DumpedCheckpoint, DumpedWrite, draft_checkpoint, draft_writes

FRAMEWORK: Final = "langgraph"

_MAX_READS: Final = 8


@dataclass(frozen=True, slots=True)
class DumpedWrites:
    """The writes that a task made in one call, serialised."""

    key: Key
    task_id: str
    task_path: str
    timestamp: str | None
    writes: Sequence[DumpedWrite]


class Thread:
    """The checkpoints of one session. Python's threads may share it; `mutex` is held while it is used."""

    def __init__(self, session: SessionStore) -> None:
        self.session = session
        self.mutex = threading.RLock()
        self._lane = Lane(session, FRAMEWORK)
        self._picture: Picture | None = None
        self._vocabulary = Vocabulary()
        self._learned = 0

    @property
    def size(self) -> int:
        """About how many bytes are held in memory."""
        return 0 if self._picture is None else self._picture.size

    # Reading.

    def picture(self) -> Picture:
        """The thread as it is now. It costs one look at the head where nothing has happened since the last time."""
        return self._caught_up(self.session.load_session_head())

    def _caught_up(self, head: SessionHead | None) -> Picture:
        picture = self._picture
        for _ in range(_MAX_READS):
            if picture is None or head is None:
                break
            if picture.revision != head.head_revision:
                # Nodes are numbered in their order, so that new ones are found without reading the old.
                while (record := self.session.load_node(str(picture.last + 1))) is not None:
                    picture.add(record)
            if picture.count() == head.node_count:
                picture.revision, picture.leaf = head.head_revision, number_of(head.leaf_node_id)
                return picture
            # More was committed since the head was read, or nodes are gone: the newest head tells.
            before, head = head, self.session.load_session_head()
            if before == head:
                break
        return self._read_anew()

    def _read_anew(self) -> Picture:
        read = self.session.load_session(FullGraph())
        if read is None:
            return self._begin(Picture())
        self._lane.remember(read)
        picture = pictured(read.graph.nodes)
        picture.revision = read.head_revision
        picture.leaf = number_of(read.graph.leaf_node_id)
        return self._begin(picture)

    def _begin(self, picture: Picture) -> Picture:
        self._picture, self._vocabulary, self._learned = picture, Vocabulary(), 0
        return picture

    def dumped(self, codec: Codec, keys: Iterable[Key] | None = None) -> Iterator[DumpedCheckpoint | DumpedWrites]:
        """The checkpoints, all or those of `keys`, and the writes to them, in the order in which they came."""
        picture = self.picture()
        chosen = None if keys is None else frozenset(keys)
        for number, record in list(picture.nodes.items()):
            key = picture.key_of(number)
            if key is None or (chosen is not None and key not in chosen):
                continue
            node = picture.owner_of(number)
            if node is not None and node.number == number:
                if picture.checkpoint(key) is node:  # and not replaced by a later one
                    yield _dumped(picture, codec, node)
                continue
            found = [write for write in picture.writes_to(key).values() if write.node == number]
            if found:
                writes = [DumpedWrite(each.channel, each.index, each.cell.serialised(picture, codec)) for each in found]
                yield DumpedWrites(key, found[0].task_id, found[0].task_path, record.timestamp, writes)

    # Writing.

    def put(self, codec: Codec, dumped: DumpedCheckpoint) -> None:
        """Store a checkpoint; one that is stored just so is left as it is."""
        states: list[State] = []

        def fill(draft: Draft) -> int | None:
            state = draft_checkpoint(draft, dumped)
            states[:] = [] if state is None else [state]
            current = draft.picture.latest("")
            is_newest = current is None or dumped.key[1] >= current.key[1]
            return draft.next_number - 1 if dumped.key[0] == "" and is_newest else draft.picture.leaf

        number = self._commit(codec, fill)
        if number is not None and self._picture is not None:
            self._picture.remember(number, states[0])

    def put_writes(self, codec: Codec, dumped: DumpedWrites) -> None:
        """Store a task's writes; those that are stored already are left as they are."""

        def fill(draft: Draft) -> int | None:
            node = draft_writes(draft, dumped.key, dumped.task_id, dumped.task_path, dumped.writes)
            leaf = draft.picture.leaf
            owner = None if leaf is None else draft.picture.owner_of(leaf)
            is_at_head = node is not None and owner is not None and owner.key == dumped.key and owner.line[-1] == leaf
            return draft.next_number - 1 if is_at_head else leaf

        self._commit(codec, fill)

    def _commit(self, codec: Codec, fill: Callable[[Draft], int | None]) -> int | None:
        """Commit what `fill` adds to a draft, with the leaf that it returns; the number of the last node, if any."""

        def decide(head: SessionHead | None) -> tuple[Step | None, tuple[Draft, SessionHead | None, int | None]]:
            picture = self._begin(Picture()) if head is None else self._caught_up(head)
            draft = Draft(picture, self._known(codec), codec, self._now())
            leaf = fill(draft)
            # A head that is no node of ours is left where it is, unless ours becomes the head.
            leaf_id = str(leaf) if leaf is not None else None if head is None else head.leaf_node_id
            step = Step(GraphAppend(tuple(draft.nodes), leaf_id)) if draft.nodes else None
            return step, (draft, head, leaf)

        draft, head, leaf = self._lane.commit(decide)
        if not draft.nodes:
            return None
        picture = draft.picture
        for record in draft.nodes:
            picture.add(record)
            self._vocabulary.layouts.learn(picture.last, picture.payloads[picture.last])
        self._vocabulary.grow(draft.fresh)
        self._learned = picture.last
        picture.revision, picture.leaf = (0 if head is None else head.head_revision) + 1, leaf
        return number_of(draft.nodes[-1].node_id)

    def keep_only(self, codec: Codec, choose: Callable[[Picture], set[Key]]) -> bool:
        """Remove all checkpoints but those that `choose` chooses, with the writes to them; whether any is left.

        What is left is one commit, and is told anew, since what it was told by may be gone. Then the disk is freed.
        """

        def decide(head: SessionHead | None) -> tuple[Step | None, tuple[Picture | None, bool]]:
            if head is None:
                return None, (None, False)
            picture = self._caught_up(head)
            keys = choose(picture)
            if all(key in keys for key in picture.all_keys()):
                return None, (None, bool(keys) or bool(picture.foreign))
            fresh = self._told_anew(codec, picture, keys)
            nodes = (*picture.foreign, *fresh.nodes.values())
            leaf = None if fresh.leaf is None else str(fresh.leaf)
            fresh.revision = head.head_revision + 1
            return Step(GraphReplaceFull(SessionGraph(nodes, leaf))), (fresh, bool(nodes))

        fresh, is_any_left = self._lane.commit(decide)
        if fresh is not None:
            self._begin(fresh)
            self.session.vacuum()
        return is_any_left

    def _told_anew(self, codec: Codec, picture: Picture, keys: set[Key]) -> Picture:
        fresh, vocabulary = Picture(), Vocabulary()
        fresh.foreign = list(picture.foreign)
        # Numbers are not used again, so that other processes see that theirs are gone.
        fresh.last = picture.last
        for dumped in self.dumped(codec, keys):
            draft = Draft(fresh, vocabulary, codec, dumped.timestamp or self._now())
            if isinstance(dumped, DumpedWrites):
                draft_writes(draft, dumped.key, dumped.task_id, dumped.task_path, dumped.writes)
            else:
                draft_checkpoint(draft, dumped)
            for record in draft.nodes:
                fresh.add(record)
                vocabulary.layouts.learn(fresh.last, fresh.payloads[fresh.last])
            vocabulary.grow(draft.fresh)
        current = picture.latest("")
        kept = fresh.checkpoint(current.key) if current is not None else None
        kept = kept or fresh.latest("")
        fresh.leaf = None if kept is None else kept.line[-1]
        return fresh

    def _known(self, codec: Codec) -> Vocabulary:
        picture = self._picture
        assert picture is not None
        for number in range(self._learned + 1, picture.last + 1):
            if number in picture.nodes:
                self._vocabulary.layouts.learn(number, picture.payloads[number])
                self._vocabulary.learn(number, picture.parts(number), picture.understand, codec.sealed_digest)
                for tree in picture.messages_of(number):
                    self._vocabulary.messages.add(digest_of(orjson.dumps(tree)))
        self._learned = picture.last
        return self._vocabulary

    def _now(self) -> str:
        return rfc3339(self.session.clock.now_ms())


def _dumped(picture: Picture, codec: Codec, node: CheckpointNode) -> DumpedCheckpoint:
    state = picture.state_of(node)
    values: dict[str, Serialised | list[Serialised]] = {}
    for channel, value in state.values.items():
        is_cell = isinstance(value, Cell)
        cells = [value] if isinstance(value, Cell) else value
        found = [cell.serialised(picture, codec) for cell in cells]
        values[channel] = found[0] if is_cell else found
    timestamp = None if "ts" in state.state else node.timestamp
    return DumpedCheckpoint(node.key, node.parent_id, timestamp, state.state, state.metadata, values)


def loaded_values(picture: Picture, codec: Codec, state: State) -> dict[str, Any]:
    """The values of a checkpoint's channels, made anew."""
    values: dict[str, Any] = {}
    for channel, value in state.values.items():
        if isinstance(value, Cell):
            values[channel] = codec.load(value.serialised(picture, codec))
        else:
            values[channel] = [codec.load(cell.serialised(picture, codec)) for cell in value]
    return values
