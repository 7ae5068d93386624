"""What a checkpoint holds, made of what each of those before it changed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple, Protocol

import orjson

from .cells import Codec, Serialised
from .patches import anticipate, joined, patch_in, patched
from .phrases import Said
from .trees import Tree, mark_of


class Reader(Protocol):
    """Who knows what nodes say."""

    def understand(self, said: Said, number: int) -> Tree:
        """The tree that is said in that node, with everything that it refers to."""


class Cell:
    """A value where it was said; shared by all checkpoints that have it."""

    __slots__ = ("_node", "_said", "_serialised")

    def __init__(self, said: Said, node: int, serialised: Serialised | None = None) -> None:
        self._said = said
        self._node = node
        self._serialised = serialised

    def tree(self, reader: Reader) -> Tree:
        """The value as a tree."""
        return reader.understand(self._said, self._node)

    def serialised(self, reader: Reader, codec: Codec) -> Serialised:
        """The value as its serialiser gave it."""
        if self._serialised is None:
            self._serialised = codec.hear(self.tree(reader))
        return self._serialised


class State(NamedTuple):
    """All that a checkpoint holds."""

    state: dict[str, Any]
    metadata: dict[str, Any]
    values: dict[str, Cell | tuple[Cell, ...]]


NOTHING = State({}, {}, {})


class Making:
    """A state in the making, which one checkpoint after the other changes in place: long threads are read so."""

    def __init__(self, reader: Reader, before: State) -> None:
        self._reader = reader
        self._state: dict[str, Any] = orjson.loads(orjson.dumps(before.state))
        self._metadata: dict[str, Any] = orjson.loads(orjson.dumps(before.metadata))
        self._values: dict[str, Cell | list[Cell]] = {
            channel: value if isinstance(value, Cell) else [*value] for channel, value in before.values.items()
        }

    def made(self, *, is_last: bool) -> State:
        """The state as it is now. Only the last one may be what is changed in place."""
        values = {
            channel: value if isinstance(value, Cell) else tuple(value) for channel, value in self._values.items()
        }
        if is_last:
            return State(self._state, self._metadata, values)
        state, metadata = orjson.dumps(self._state), orjson.dumps(self._metadata)
        return State(orjson.loads(state), orjson.loads(metadata), values)

    def change(self, payload: dict[str, Any], number: int) -> None:
        """Do what a checkpoint's node says."""
        gone: Collection[str] = payload.get("gone", ())
        said: dict[str, Said] = payload.get("values", {})
        values = self._values
        for channel in gone:
            values.pop(channel, None)
        for channel, each in said.items():
            # What has no mark says itself, and most channels hold as little.
            plain = each is None or (type(each) is not dict and type(each) is not list)
            values[channel] = Cell(each, number) if plain else self._value(each, number, values.get(channel))
        anticipate(self._state, self._metadata, said, gone)
        if "state" in payload:
            patch_in(self._state, self._object(payload["state"], "state", number))
        if "metadata" in payload:
            patch_in(self._metadata, self._object(payload["metadata"], "metadata", number))

    def _value(self, said: Said, number: int, before: Cell | list[Cell] | None) -> Cell | list[Cell]:
        mark = mark_of(said)
        cells = before if isinstance(before, list) else []
        if mark == "$a":
            cells += [Cell(item, number) for item in said[mark]]
            return cells
        if mark == "$l":
            fresh = [[Cell(item, number) for item in each] if isinstance(each, list) else each for each in said[mark]]
            return joined(cells, fresh)
        if mark == "$w":
            return told_list(self._reader.understand(said[mark], number), number)
        if mark == "$p" and isinstance(before, Cell):
            old = before.tree(self._reader)
            if isinstance(old, dict):
                return Cell(patched(old, self._object(said[mark], mark, number)), number)
        return Cell(said, number)

    def _object(self, said: Said, section: str, number: int) -> dict[str, Any]:
        tree = self._reader.understand(said, number)
        if not isinstance(tree, dict):
            raise TypeError(f"its {section} is no object")
        return tree


def told_list(tree: Tree, number: int) -> list[Cell]:
    """The elements of a list that was said elsewhere; a tree says itself."""
    if not isinstance(tree, list):
        raise TypeError("what should be a list is none")
    return [Cell(item, number) for item in tree]
