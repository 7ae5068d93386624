"""A source cut into the JSON objects that readers look at one by one: lines of JSONL, or elements of a list.

Each piece is decoded on its own, so that one bad piece costs nothing but itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .records import JsonObject, Problem
from .strict_json import MalformedJson, decode, excerpt


@dataclass(frozen=True, slots=True)
class Piece:
    """A JSON object at its 1-based place in the source; `text` is what it was decoded from."""

    position: int
    text: bytes
    value: JsonObject


@dataclass(frozen=True, slots=True)
class Pieces:
    """The objects of a source in its order, and a problem for everything in it that is none."""

    items: tuple[Piece, ...]
    problems: tuple[Problem, ...]


def read_lines(raw: bytes) -> Pieces:
    """The objects of JSONL, by line number. Blank lines are no problem, CRLF line ends neither."""
    lines = raw.split(b"\n")
    numbered = ((number, line.strip(b" \t\r")) for number, line in enumerate(lines, 1))
    # split() gives an empty last line unless the file ends inside one.
    return _read((item for item in numbered if item[1]), unfinished=len(lines) if lines[-1] else 0)


def read_elements(texts: Iterable[bytes], *, unfinished: int = 0) -> Pieces:
    """The objects among the elements of a JSON list; the one numbered `unfinished` may be cut short."""
    return _read(enumerate(texts, 1), unfinished=unfinished)


def _read(numbered: Iterable[tuple[int, bytes]], *, unfinished: int) -> Pieces:
    items: list[Piece] = []
    problems: list[Problem] = []
    for position, text in numbered:
        try:
            value = decode(text)
        except MalformedJson as error:
            cut = "truncated, the file ends here: " if position == unfinished else ""
            problems.append(Problem(position, f"{cut}{error}", excerpt(text)))
            continue
        if isinstance(value, dict):
            items.append(Piece(position, text, value))
        else:
            name = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
            problems.append(Problem(position, f"{name} where an object is expected", excerpt(text)))
    return Pieces(tuple(items), tuple(problems))
