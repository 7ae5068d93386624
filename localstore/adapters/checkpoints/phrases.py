"""Saying trees briefly: what a thread's nodes have said before is referred to, so that equal values are stored once.

A node's payload says trees in its `SECTIONS`. Said trees have two marks more than trees:

| mark | stands for |
| --- | --- |
| `{"$r": [node, part]}` | the same as a part of that node; of the node that says it, it is `{"$r": part}` |
| `{"$s": [node, part, leaf, value, …]}` | an object like that part, but for some leaves (scalars, by their order) |

The parts of a node are the strings of at least `LONG_TEXT` characters and the lists and objects of at least `LONG_JSON`
bytes in its sections, as they are said, numbered from 0 as they end.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from ...contract.errors import CorruptRecord
from .layouts import Layouts
from .leaves import is_same, outline, with_leaves
from .trees import Tree, mark_of

Said: TypeAlias = Any
"""A tree as it is said in a payload."""

LONG_TEXT: Final = 64
LONG_JSON: Final = 96
SECTIONS: Final = ("content", "tool_calls", "state", "metadata", "values", "writes")

_NESTED: Final = (list, dict)
_MAX_SHAPES: Final = 4096


class Place(NamedTuple):
    """A part of a node."""

    node: int
    part: int


class _Model(NamedTuple):
    """An object that later ones of its shape are told by."""

    place: Place
    leaves: list[Any]


def parts(payload: dict[str, Any]) -> list[Said]:
    """The parts of a node."""
    found: list[Said] = []
    for section in SECTIONS:
        if section in payload:
            _number(payload[section], found)
    return found


def _number(said: Said, found: list[Said]) -> bool:
    """Append the parts of what is said; whether it is itself known to be long."""
    if isinstance(said, str):
        if len(said) >= LONG_TEXT:
            found.append(said)
        return len(said) >= LONG_JSON
    if not isinstance(said, _NESTED) or not said:
        return False
    # What has something long in it is long: no need to write it all out to see that.
    is_long = False
    for item in said.values() if isinstance(said, dict) else said:
        is_long = _number(item, found) or is_long
    if is_long or len(orjson.dumps(said)) >= LONG_JSON:
        found.append(said)
        return True
    return False


def understood(said: Said, node: int, part: Callable[[Place], Said], model: Callable[[Place], Tree]) -> Tree:
    """The tree that is said in that node; `part` gives what is referred to, `model` the tree that another is told by.

    Lists and objects in it are nobody else's, so that they may be changed.
    """
    # Most of what is said are scalars: they are not called for.
    if isinstance(said, list):
        return [understood(item, node, part, model) if isinstance(item, _NESTED) else item for item in said]
    if not isinstance(said, dict):
        return said
    mark = mark_of(said)
    if mark == "$r":
        place = _place(said[mark], node)
        found = part(place)
        return understood(found, place.node, part, model) if isinstance(found, _NESTED) else found
    if mark == "$s":
        content = said[mark]
        changes = iter(content[2:])
        leaves = {
            leaf: understood(value, node, part, model) if isinstance(value, _NESTED) else value
            for leaf, value in zip(changes, changes, strict=True)
        }
        return with_leaves(model(_place(content, node)), leaves)
    return {
        key: understood(item, node, part, model) if isinstance(item, _NESTED) else item for key, item in said.items()
    }


def _place(content: object, node: int) -> Place:
    if type(content) is int:
        return Place(node, content)
    if isinstance(content, list) and len(content) >= 2 and type(content[0]) is type(content[1]) is int:
        return Place(content[0], content[1])
    raise CorruptRecord("a reference in a checkpoint", f"it names no part of a node: {content!r:.80}")


def digest_of(text: bytes) -> bytes:
    """The key under which equal things are found."""
    return blake2b(text, digest_size=16).digest()


class Vocabulary:
    """Where a thread's nodes say what: by the digest of a tree's JSON, and by the shape of an object.

    `messages` are the digests of all messages that were said, `layouts` the nodes that others can be told by.
    """

    def __init__(self) -> None:
        self.places: dict[bytes, Place] = {}
        self.shapes: dict[bytes, _Model] = {}
        self.messages: set[bytes] = set()
        self.layouts = Layouts()

    def learn(
        self,
        number: int,
        said_parts: list[Said],
        understand: Callable[[Said, int], Tree],
        sealed_digest: Callable[[Tree], bytes | None],
    ) -> None:
        """Take in the parts of a node that was read. `sealed_digest` gives the digest that `Speaker.seal` was given."""
        for index, said in enumerate(said_parts):
            tree = understand(said, number)
            place = Place(number, index)
            self.places.setdefault(sealed_digest(tree) or digest_of(orjson.dumps(tree)), place)
            if isinstance(tree, dict) and len(self.shapes) < _MAX_SHAPES:
                found = outline(tree)
                if found is not None:
                    self.shapes.setdefault(found[0], _Model(place, found[1]))

    def grow(self, other: Vocabulary) -> None:
        """Take in what a speaker said, once it is stored."""
        for digest, place in other.places.items():
            self.places.setdefault(digest, place)
        self.messages |= other.messages
        for shape, model in other.shapes.items():
            if len(self.shapes) < _MAX_SHAPES:
                self.shapes.setdefault(shape, model)


class Speaker:
    """Says trees in one node. They must be said in the order in which they stand in its sections.

    Args:
        number: the node's.
        before: what was said in nodes that are stored; it is not changed.
        fresh: what was said in nodes of the same commit; what is said here is added to it.
    """

    def __init__(self, number: int, before: Vocabulary, fresh: Vocabulary) -> None:
        self.number = number
        self._before = before
        self._fresh = fresh
        self._count = 0

    def say(self, tree: Tree) -> Said:
        """The tree, as it is said in this node."""
        if isinstance(tree, str):
            return tree if len(tree) < LONG_TEXT else self._say_long(tree, digest_of(orjson.dumps(tree)))
        if not isinstance(tree, (list, dict)):
            return tree
        text = orjson.dumps(tree)
        if len(text) < LONG_JSON:
            return self._spell(tree)
        digest = digest_of(text)
        return self._repeat(digest) or self._alike(tree, text, digest) or self._say_long(tree, digest)

    def spell(self, tree: Tree) -> Said:
        """The tree in full, whether or not it was said before: for what people are to read here."""
        if isinstance(tree, str):
            if len(tree) >= LONG_TEXT:
                self._note(digest_of(orjson.dumps(tree)))
            return tree
        if isinstance(tree, (list, dict)):
            for item in tree.values() if isinstance(tree, dict) else tree:
                self.spell(item)
            text = orjson.dumps(tree)
            if len(text) >= LONG_JSON:
                self._note(digest_of(text))
        return tree

    def close(self, said: Said, tree: Tree = None) -> Said:
        """Number a list or object that was put together from what was said, as the reader will.

        With the `tree` that it is, it is found again.
        """
        if len(orjson.dumps(said)) >= LONG_JSON:
            if tree is None:
                self._count += 1
            else:
                self._note(digest_of(orjson.dumps(tree)))
        return said

    def repeat(self, tree: Tree) -> Said:
        """A reference to where the tree was said, or `None`."""
        return self._repeat(digest_of(orjson.dumps(tree)))

    def seal(self, said: Said, digest: bytes) -> Said:
        """Say something that has no tree under a digest of its own, or refer to where it was said."""
        found = self._repeat(digest)
        if found is not None:
            return found
        for item in said.values():
            self._number_plain(item)
        if len(orjson.dumps(said)) >= LONG_JSON:
            self._note(digest)
        return said

    def _number_plain(self, said: Said) -> None:
        found: list[Said] = []
        _number(said, found)
        self._count += len(found)

    def _repeat(self, digest: bytes) -> Said:
        place = self._fresh.places.get(digest) or self._before.places.get(digest)
        if place is None:
            return None
        return {"$r": place.part if place.node == self.number else [place.node, place.part]}

    def _alike(self, tree: Tree, text: bytes, digest: bytes) -> Said:
        """The tree by an object of its shape, where that is shorter."""
        if not isinstance(tree, dict):
            return None
        found = outline(tree)
        if found is None:
            return None
        shape, leaves = found
        model = self._fresh.shapes.get(shape) or self._before.shapes.get(shape)
        if model is None:
            return None
        changes = [
            (index, leaf)
            for index, (leaf, other) in enumerate(zip(leaves, model.leaves, strict=True))
            if not is_same(leaf, other)
        ]
        if 10 * (24 + sum(len(orjson.dumps(leaf)) + 4 for _, leaf in changes)) > 9 * len(text):
            return None
        content = [*model.place]
        for index, leaf in changes:
            content += [index, self.say(leaf)]
        said = {"$s": self.close(content)}
        if len(orjson.dumps(said)) >= LONG_JSON:
            self._note(digest)
        return said

    def _say_long(self, tree: Tree, digest: bytes) -> Said:
        if isinstance(tree, str):
            found = self._repeat(digest)
            if found is None:
                self._note(digest)
            return tree if found is None else found
        said = self._spell(tree)
        if len(orjson.dumps(said)) >= LONG_JSON:
            place = self._note(digest)
            found = outline(tree) if isinstance(tree, dict) else None
            if found is not None:
                self._fresh.shapes.setdefault(found[0], _Model(place, found[1]))
        return said

    def _spell(self, tree: Tree) -> Said:
        if isinstance(tree, dict):
            return {key: self.say(item) for key, item in tree.items()}
        return [self.say(item) for item in tree] if isinstance(tree, list) else tree

    def _note(self, digest: bytes) -> Place:
        place = Place(self.number, self._count)
        self._count += 1
        self._fresh.places.setdefault(digest, place)
        return place

    def check(self, payload: dict[str, Any]) -> None:
        """Refuse a payload whose parts are not as they were numbered: nothing that refers to it could be read."""
        if len(parts(payload)) != self._count:
            raise AssertionError("a checkpoint's parts were numbered wrongly")
