"""Payloads told by others: most nodes of a graph look like an earlier one, but for some ids and numbers.

What a node says in the members that are `TOLD` here may be `"like": [node, leaf, value, …]` instead: as that node says
it, which says it in full, but for some leaves - the scalars in these members, counted from 0 in their order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import orjson

from .leaves import is_same, outline, with_leaves

TOLD: Final = ("gone", "state", "metadata", "values", "path", "writes")
LIKE: Final = "like"

_HOLE: Final = "\1"
_HOLE_TEXT: Final = orjson.dumps(_HOLE)
_MAX_LAYOUTS: Final = 4096


class _Model(NamedTuple):
    """The node that others of its layout are told by."""

    node: int
    leaves: list[Any]


class Layouts:
    """The nodes of a thread that others can be told by."""

    def __init__(self) -> None:
        self._models: dict[bytes, _Model] = {}

    def learn(self, number: int, payload: dict[str, Any]) -> None:
        """Take in what a node says in full."""
        told = {} if LIKE in payload else _told_in(payload)
        found = outline(told)
        if found is None or found[0] in self._models or len(self._models) >= _MAX_LAYOUTS:
            return
        if _cut(told, found[1]) is not None:
            self._models[found[0]] = _Model(number, found[1])

    def brief(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The payload, told by a node that is known where that is shorter."""
        told = _told_in(payload)
        found = outline(told)
        model = None if found is None else self._models.get(found[0])
        if found is None or model is None:
            return payload
        like = [model.node]
        for index, (leaf, other) in enumerate(zip(found[1], model.leaves, strict=True)):
            if not is_same(leaf, other):
                like += (index, leaf)
        if len(orjson.dumps(like)) + len(LIKE) + 4 >= len(orjson.dumps(told)):
            return payload
        return {**{name: value for name, value in payload.items() if name not in told}, LIKE: like}


class Expander:
    """Tells in full what was told by others. `payload_of` gives what another node says."""

    def __init__(self, payload_of: Callable[[int], dict[str, Any]]) -> None:
        self._payload_of = payload_of
        self._texts: dict[int, list[bytes]] = {}

    def full(self, payload: dict[str, Any]) -> dict[str, Any]:
        """What a node says, with everything that it is told by; raises what does not fit."""
        number, *changes = payload[LIKE]
        texts = [*(self._texts.get(number) or self._read(number))]
        each = iter(changes)
        for leaf, value in zip(each, each, strict=True):
            if leaf < 0:
                raise IndexError(leaf)
            texts[2 * leaf + 1] = orjson.dumps(value)
        return {**payload, **orjson.loads(b"".join(texts))}

    def _read(self, number: int) -> list[bytes]:
        """The text of what that node says, cut around each leaf."""
        payload = self._payload_of(number)
        told = _told_in(payload)
        found = outline(told)
        texts = None if LIKE in payload or found is None else _cut(told, found[1])
        if texts is None:
            raise ValueError(f"node {number} is none that others can be told by")
        self._texts[number] = texts
        return texts


def _cut(told: dict[str, Any], leaves: list[Any]) -> list[bytes] | None:
    """The text of the members, cut around each leaf; `None` where one's name looks like a hole."""
    pieces = orjson.dumps(with_leaves(told, dict.fromkeys(range(len(leaves)), _HOLE))).split(_HOLE_TEXT)
    if len(pieces) != len(leaves) + 1:
        return None
    texts = [pieces[0]]
    for leaf, piece in zip(leaves, pieces[1:], strict=True):
        texts += (orjson.dumps(leaf), piece)
    return texts


def _told_in(payload: dict[str, Any]) -> dict[str, Any]:
    return {name: payload[name] for name in TOLD if name in payload}
