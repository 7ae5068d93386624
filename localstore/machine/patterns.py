"""What whatever a pattern matches consists of, as far as it can be told.

A pattern is read by the parser of `re`, which is no public part of Python. It is relied on for speed alone: of what it
says in ways that are not known here nothing is concluded, and where it cannot be asked, nothing at all is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, TypeAlias

from . import charsets

_MOST: Final = 64
"""Of something repeated so many places, about, are told."""
_REPEATS: Final = frozenset(["MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"])
_OF_NO_LENGTH: Final = frozenset(["AT", "ASSERT", "ASSERT_NOT"])
_CATEGORIES: Final = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}
_LAST: Final = 0x10FFFF
_TELLING: Final = re.IGNORECASE | re.ASCII
"""The flags that say which characters a class takes."""
_NOT_ASKED: Final = (
    ImportError, AttributeError, TypeError, ValueError, LookupError, OverflowError, RecursionError, re.error
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Either:
    """One of these stands there."""

    branches: tuple[list[Step], ...]


Step: TypeAlias = "charsets.Place | Either | None"
"""What comes next in a match: a character, one of some sequences, or (`None`) whatever there is, or nothing."""


def steps_of_text(text: str, flags: int) -> list[Step]:
    """What matches a text consists of."""
    return [_literal(ord(each), flags) for each in text]


def steps_of(pattern: str, flags: int) -> list[Step]:
    """What matches of a pattern that `re` compiles consist of."""
    try:
        inline = re.compile(pattern, flags).flags
        return _walk(import_module("re._parser").parse(pattern, flags), inline)
    except _NOT_ASKED:
        return [None]


def _walk(tree: Iterable[tuple[Any, Any]], flags: int) -> list[Step]:
    steps: list[Step] = []
    for operation, argument in tree:
        name = str(operation)
        if name == "LITERAL":
            steps.append(_literal(argument, flags))
        elif name == "IN":
            steps.append(_class(argument, flags))
        elif name == "SUBPATTERN":
            _, added, removed, inner = argument
            steps += _walk(inner, _changed(flags, added, removed))
        elif name == "ATOMIC_GROUP":
            steps += _walk(argument, flags)
        elif name in _REPEATS:
            least, most, inner = argument
            steps += _repeated(_walk(inner, flags), least, most) if least else [None]
        elif name == "BRANCH":
            steps.append(Either(tuple(_walk(branch, flags) for branch in argument[1])))
        elif name not in _OF_NO_LENGTH:
            steps.append(None)
    return steps


def _changed(flags: int, added: int, removed: int) -> int:
    if added & (re.ASCII | re.UNICODE):
        flags &= ~(re.ASCII | re.UNICODE)
    return (flags | added) & ~removed


def _repeated(steps: list[Step], least: int, most: int) -> list[Step]:
    """The first times and, where how often it is repeated is not told, the last ones."""
    if len(steps) > _MOST:
        steps = [*steps[: _MOST // 2], None, *steps[-_MOST // 2 :]]
    times = min(least, _MOST // max(1, len(steps)) or 1)
    # Told of once, each `Either` is looked at once, however deep it is nested.
    again = [None if isinstance(step, Either) else step for step in steps]
    known = [*steps, *again * (times - 1)]
    return known if times == least == most else [*known, None, *again * times]


def _literal(number: int, flags: int) -> charsets.Place | None:
    character = chr(number)
    if not flags & re.IGNORECASE or (character.isascii() and not character.isalpha()):
        return charsets.exactly(character)
    return charsets.one_of(f"[\\U{number:08x}]", number, flags & _TELLING)


def _class(items: Iterable[tuple[Any, Any]], flags: int) -> charsets.Place | None:
    text, highest = "", 0
    for operation, argument in items:
        name = str(operation)
        if name == "NEGATE":
            text, highest = "^", _LAST
        elif name == "LITERAL":
            text += f"\\U{argument:08x}"
            highest = max(highest, argument)
        elif name == "RANGE":
            text += f"\\U{argument[0]:08x}-\\U{argument[1]:08x}"
            highest = max(highest, argument[1])
        elif name == "CATEGORY":
            text += _CATEGORIES[str(argument)]
            highest = _LAST
        else:
            return None
    return charsets.one_of(f"[{text}]", highest, flags & _TELLING)
