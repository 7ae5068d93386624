"""What a thread's nodes say together: its checkpoints, the writes to each, and where its head is.

Nodes are named by numbers in the order of their commits. These kinds are ours:

- `langgraph.put` is a checkpoint: `id`, `ns` (but for the root's), and what is other in its channels' `values` than in
  those of another checkpoint, its `base`; `gone` are channels without a value any more. A list is told by the elements
  that were added at its end, `{"$a": [element, …]}`, by pieces of the one before, `{"$l": [start, count, [element, …],
  …]}`, or as one that was said elsewhere, `{"$w": list}`; another value in full, or as `{"$p": patch}`. `state` and
  `metadata` are patches to what is expected; see `patches`.
- `langgraph.writes` are a task's writes to a checkpoint: `[channel, value]`, with the index where it is another than
  the framework's.
- `langgraph.message` is a message that has no place in the node that came with it.

Each may carry one message: `role`, `content`, `tool_calls` and `tool_call_id`.

A checkpoint's base and parent are the checkpoint whose line of nodes it continues, unless `base` (a node) or `parent`
(an id, or the node of what is the base too) says otherwise; writes are to the checkpoint whose line they continue,
unless `for` (an id, with its namespace where it is not the root's) says otherwise. Nodes that look like an earlier one
are told by it; see `layouts`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from langgraph.checkpoint.base import WRITES_IDX_MAP, writes_sort_key

from ...contract.errors import CorruptRecord
from ...contract.graph import SessionNodeRecord
from ...contract.values import encoded
from . import messages
from .layouts import LIKE, Expander
from .phrases import LONG_TEXT, Place, Said, parts, understood
from .states import NOTHING, Cell, Making, State
from .trees import Tree

CHECKPOINT: Final = "langgraph.put"
WRITES: Final = "langgraph.writes"
MESSAGE: Final = "langgraph.message"
KINDS: Final = (CHECKPOINT, WRITES, MESSAGE)

_RECENT_STATES: Final = 32
_ANCHOR_EVERY: Final = 64
_RECENT_PARTS: Final = 1024

Key: TypeAlias = tuple[str, str]
"""Namespace and id of a checkpoint."""


@dataclass(slots=True)
class CheckpointNode:
    """A checkpoint; `line` are the numbers of its own node and of the writes to it that lie on one way, in order.

    A task may be faster than the checkpoint that it started from: then writes stand before the node, or aside.
    """

    number: int
    key: Key
    parent_id: str | None
    base: int | None
    depth: int
    timestamp: str
    line: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Write:
    """One write of a task; `index` is its place among the task's writes, negative for the framework's own channels."""

    node: int
    task_id: str
    task_path: str
    index: int
    channel: str
    cell: Cell


class Picture:
    """The nodes of a thread that are known, and what they say.

    Attributes:
        revision: the head's revision that this shows.
        nodes: ours, by number.
        payloads: what they say, decoded once; `payload` has it in full.
        leaf: the number of the head's node; `None` where there is none, or it is no node of ours.
        foreign: nodes that are not ours.
        last: the highest number of a node.
        said: the messages that nodes carry, by the numbers of these.
        alone: the nodes that are nothing but a message.
        children: the checkpoints that follow a checkpoint's line, by its number.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.leaf: int | None = None
        self.foreign: list[SessionNodeRecord] = []
        self.last = 0
        self.nodes: dict[int, SessionNodeRecord] = {}
        self.payloads: dict[int, dict[str, Any]] = {}
        self.checkpoints: dict[str, dict[str, CheckpointNode]] = {}
        self._writes: dict[Key, dict[tuple[str, int], Write]] = {}
        self._unread: dict[Key, list[int]] = {}
        self._brief: set[int] = set()
        self.size = 0
        self._by_number: dict[int, CheckpointNode] = {}
        self._owners: dict[int, Key] = {}
        self.children: dict[int, list[int]] = {}
        self.said: dict[int, messages.Said] = {}
        self.alone: set[int] = set()
        self._recent: OrderedDict[int, State] = OrderedDict()
        self._anchors: dict[int, State] = {}
        self._parts: OrderedDict[int, list[Said]] = OrderedDict()
        self._models: dict[Place, Tree] = {}
        self._expander = Expander(self._stored)

    def count(self) -> int:
        """How many nodes are known."""
        return len(self.nodes) + len(self.foreign)

    def all_keys(self) -> Iterator[Key]:
        """All checkpoints, and what writes were made for that never came."""
        yield from dict.fromkeys([*(node.key for node in self._by_number.values()), *self._writes])

    # Taking in nodes.

    def add(self, record: SessionNodeRecord) -> None:
        """Take in a node; those before it are known."""
        payload = record.payload
        kind = payload.get("kind")
        number = number_of(record.node_id)
        if number is None or kind not in KINDS:
            self.foreign.append(record)
            # A foreign node may have taken a number that was meant for ours.
            self.last = max(self.last, number or 0)
            return
        if LIKE in payload:
            self._brief.add(number)
        self.nodes[number] = record
        self.payloads[number] = payload
        self.last = max(self.last, number)
        self.size += 1024 + 2 * len(encoded(record, "payload"))
        told = messages.told_in(payload)
        if told is not None:
            self.said[number] = told
        parent = number_of(record.parent_node_id)
        try:
            if kind == CHECKPOINT:
                self._add_checkpoint(number, parent, record.timestamp, payload)
            elif kind == WRITES:
                self._add_writes(number, parent, payload)
            else:
                self.alone.add(number)
                if parent in self._owners:
                    self._owners[number] = self._owners[parent]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise self._damaged(number, error) from error

    def _add_checkpoint(self, number: int, parent: int | None, timestamp: str, payload: dict[str, Any]) -> None:
        key = (payload.get("ns", ""), payload["id"])
        before = None if parent is None else self.owner_of(parent)
        parent_id = payload.get("parent")
        # Without the node that it follows, what it is told by is gone; that is found out when it is asked for.
        default = before.number if before else parent if parent not in self.nodes else None
        if type(parent_id) is int:
            default, known = parent_id, self._by_number.get(parent_id)
            parent_id = None if known is None else known.key[1]
        elif "parent" not in payload and before is not None and before.key[0] == key[0]:
            parent_id = before.key[1]
        base = payload.get("base", default)
        depth = self._by_number[base].depth + 1 if base in self._by_number else 0
        early, _ = self.early_writes(key, parent)
        node = CheckpointNode(number, key, parent_id, base, depth, timestamp, [*early, number])
        self._by_number[number] = node
        self.checkpoints.setdefault(key[0], {})[key[1]] = node
        self._owners[number] = key
        if before is not None:
            self.children.setdefault(before.number, []).append(number)

    def _add_writes(self, number: int, parent: int | None, payload: dict[str, Any]) -> None:
        if "for" in payload:
            told = payload["for"]
            namespace, checkpoint_id = ("", told) if isinstance(told, str) else told
            key = (namespace, checkpoint_id)
        elif parent is not None and parent in self._owners:
            key = self._owners[parent]
        else:
            return  # to a checkpoint that was hidden
        self._owners[number] = key
        self._writes.setdefault(key, {})
        self._unread.setdefault(key, []).append(number)
        target = self.checkpoint(key)
        if target is not None:
            target.line.append(number)

    # Finding.

    def checkpoint(self, key: Key) -> CheckpointNode | None:
        """The checkpoint of that namespace and id."""
        return self.checkpoints.get(key[0], {}).get(key[1])

    def latest(self, namespace: str) -> CheckpointNode | None:
        """The current checkpoint: in the root namespace the head's, elsewhere the one with the highest id."""
        if namespace == "" and self.leaf is not None:
            head = self.owner_of(self.leaf)
            if head is not None and head.key[0] == "":
                return head
        found = self.checkpoints.get(namespace)
        return found[max(found)] if found else None

    def owner_of(self, number: int) -> CheckpointNode | None:
        """The checkpoint to which a node belongs: itself, or the one in whose line it is."""
        key = self._owners.get(number)
        return self._by_number.get(number) or (None if key is None else self.checkpoint(key))

    def key_of(self, number: int) -> Key | None:
        """The checkpoint that a node is, or is for, whether or not that is there."""
        return self._owners.get(number)

    def writes_to(self, key: Key) -> dict[tuple[str, int], Write]:
        """The writes to a checkpoint that may not be there yet, by task and index."""
        found = self._writes.get(key)
        if found is None:
            return {}
        for number in self._unread.get(key, ()):
            payload = self.payload(number)
            try:
                task_id, task_path = payload["task"], payload.get("path", "")
                for position, (channel, said, *index) in enumerate(payload["writes"]):
                    place = index[0] if index else default_index(channel, position)
                    found[task_id, place] = Write(number, task_id, task_path, place, channel, Cell(said, number))
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise self._damaged(number, error) from error
        self._unread.pop(key, None)
        return found

    def nodes_of_writes(self, key: Key) -> list[int]:
        """The nodes of the writes to a checkpoint that may not be there yet, in order."""
        return list(dict.fromkeys(write.node for write in self.writes_to(key).values()))

    def early_writes(self, key: Key, last: int | None) -> tuple[list[int], int | None]:
        """The writes to a checkpoint that lie on the way to the node `last`, in order, and the node that they follow.

        Messages that came with them are on that way too.
        """
        if key not in self._writes:
            return [], last
        own = self.nodes_of_writes(key)
        found: list[int] = []
        while own and last is not None and (last in own or last in self.alone):
            if last in own:
                found.append(last)
            last = number_of(self.nodes[last].parent_node_id)
        return found[::-1], last

    def ordered_writes(self, key: Key) -> list[Write]:
        """The writes to a checkpoint, in the order in which the framework applies them."""
        found = self.writes_to(key).values()
        return sorted(found, key=lambda write: writes_sort_key(write.task_path, write.task_id, write.index))

    # Understanding.

    def understand(self, said: Said, number: int) -> Tree:
        """The tree that is said in that node, with everything that it refers to."""
        try:
            return understood(said, number, self._part, self._model)
        except (RecursionError, ValueError, TypeError, KeyError, IndexError) as error:
            raise CorruptRecord("a value in a checkpoint", f"it cannot be understood: {error!r}") from error

    def _stored(self, number: int) -> dict[str, Any]:
        found = self.payloads.get(number)
        if found is None:
            raise CorruptRecord(f"node {number}", "a checkpoint refers to it, and it is not there")
        return found

    def payload(self, number: int) -> dict[str, Any]:
        """What a node says, in full."""
        found = self._stored(number)
        if number in self._brief:
            try:
                found = self.payloads[number] = self._expander.full(found)
            except (LookupError, TypeError, ValueError) as error:
                raise self._damaged(number, error) from error
            self._brief.discard(number)
        return found

    def parts(self, number: int) -> list[Said]:
        """The parts of a node."""
        found = self._parts.get(number)
        if found is None:
            found = self._parts[number] = parts(self.payload(number))
            if len(self._parts) > _RECENT_PARTS:
                self._parts.popitem(last=False)
        return found

    def messages_of(self, number: int) -> Iterator[Tree]:
        """The trees of all messages that are said in a node's values and writes."""
        payload = self.payload(number)
        for section in ("values", "writes"):
            for _, tree in messages.messages_in(self.understand(payload.get(section), number)):
                yield tree

    def _part(self, place: Place) -> Said:
        if place.part == 0:
            # A message's text comes first: that it was said is what most nodes are referred to for.
            content = self.payloads.get(place.node, {}).get("content")
            if type(content) is str and len(content) >= LONG_TEXT:
                return content
        found = self.parts(place.node)
        if not 0 <= place.part < len(found):
            raise CorruptRecord(f"node {place.node}", f"a checkpoint refers to part {place.part}, it has {len(found)}")
        return found[place.part]

    def _model(self, place: Place) -> Tree:
        """A part as a tree that is not given out: many are told by a few."""
        found = self._models.get(place)
        if found is None:
            if len(self._models) >= _RECENT_PARTS:
                self._models.clear()
            found = self._models[place] = self.understand(self._part(place), place.node)
        return found

    def state_of(self, node: CheckpointNode) -> State:
        """All that a checkpoint holds. It is shared: copy what is given out."""
        state = self._known(node.number)
        if state is not None:
            return state
        missing: list[CheckpointNode] = []
        at: CheckpointNode | None = node
        while at is not None and (state := self._known(at.number)) is None:
            missing.append(at)
            base, at = at.base, None if at.base is None else self._by_number.get(at.base)
            if base is not None and at is None:
                raise CorruptRecord(f"node {base}", f"checkpoint {node.key[1]!r} is built on it, and it is not there")
        making = Making(self, state or NOTHING)
        for each in reversed(missing):
            try:
                making.change(self.payload(each.number), each.number)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise self._damaged(each.number, error) from error
            if each.depth % _ANCHOR_EVERY == _ANCHOR_EVERY - 1 and each is not node:
                self._anchors[each.number] = making.made(is_last=False)
        state = making.made(is_last=True)
        self.remember(node.number, state)
        return state

    def remember(self, number: int, state: State) -> None:
        """Keep the state of a checkpoint at hand."""
        self._recent[number] = state
        self._recent.move_to_end(number)
        if len(self._recent) > _RECENT_STATES:
            self._recent.popitem(last=False)

    def _known(self, number: int) -> State | None:
        return self._recent.get(number) or self._anchors.get(number)

    def _damaged(self, number: int, error: Exception) -> CorruptRecord:
        return CorruptRecord(f"node {number} of a thread", f"it is no checkpoint as they are written: {error!r}")


def default_index(channel: str, position: int) -> int:
    """The index that the framework gives to a write at this position of a task's writes."""
    return WRITES_IDX_MAP.get(channel, position)


def number_of(node_id: str | None) -> int | None:
    """The number in a node's id, or `None` for an id that is none of ours."""
    if node_id is None or not node_id.isdecimal() or node_id[0] == "0" or not node_id.isascii():
        return None
    return int(node_id)


def pictured(records: Iterable[SessionNodeRecord]) -> Picture:
    """The picture of these nodes, in the order of their commits."""
    picture = Picture()
    for record in records:
        picture.add(record)
    return picture
