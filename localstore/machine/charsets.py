"""The bytes that a character which a pattern takes can have in the JSON that is kept.

JSON as it is kept has non-ASCII characters as they are, in UTF-8, and escapes quotes, backslashes and control
characters in one way each. Which characters a class of a pattern takes is asked of `re` itself, whatever its flags.
Sets of bytes are masks: bit 65 stands for `A`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

TURNED: Final = {"\u0130": "i", "\u0131": "i", "\u017f": "s", "\u212a": "k"}
"""The characters beyond ASCII that a case-insensitive pattern takes for ASCII letters, in order."""
_ASCII: Final = "".join(map(chr, range(128)))
_LAST_OF_TWO: Final = 0xFFFF
"""The last character of the plane in which it is looked for what a class takes; of those behind it may take any."""


class Place(NamedTuple):
    """What a character at one place of a match has for bytes.

    Attributes:
        masks: the bytes that each of its bytes may be, in order.
        stretches: it has one byte or more, each of the one mask.
        turned: characters of `TURNED` that it may be instead; its mask has what they are turned into.
    """

    masks: tuple[int, ...]
    stretches: bool = False
    turned: frozenset[str] = frozenset()


def mask_of(some: Iterable[int]) -> int:
    """The mask of these bytes."""
    mask = 0
    for each in set(some):
        mask |= 1 << each
    return mask


_FOUR: Final = (mask_of(range(0xF0, 0xF5)), *[mask_of(range(0x80, 0xC0))] * 3)


def exactly(character: str) -> Place | None:
    """The place of one character; `None` for half of a surrogate pair, which no text has."""
    try:
        return Place(tuple(1 << each for each in orjson.dumps(character)[1:-1]))
    except orjson.JSONEncodeError:
        return None


@lru_cache(256)
def one_of(characters: str, highest: int, flags: int) -> Place | None:
    """The place of any character that a class takes.

    Args:
        characters: the class, as `re` has it, in brackets.
        highest: no character in it has a higher number, but for what `re.IGNORECASE` adds.
        flags: `re.IGNORECASE`, `re.ASCII`, both or none.

    Returns:
        `None` where it takes no character that a text can have.
    """
    ascii_only = re.compile(characters, flags).findall(_ASCII)
    encoded = [orjson.dumps(each)[1:-1] for each in ascii_only]
    beyond = "".join(re.compile(f"{characters}+", flags).findall(_candidates(highest, flags)))
    shapes: dict[int, tuple[int, ...]] = {}
    for each in encoded:
        _add(shapes, tuple(1 << byte for byte in each))
    raw, cut = beyond.encode(), 2 * bisect_left(beyond, "\u0800")
    for width, part in ((2, raw[:cut]), (3, raw[cut:])):
        if part:
            _add(shapes, tuple(mask_of(part[at::width]) for at in range(width)))
    if highest > _LAST_OF_TWO:
        _add(shapes, _FOUR)
    if len(shapes) <= 1:
        return next((Place(masks) for masks in shapes.values()), None)
    as_it_is = all(len(each) == 1 for each in encoded) and highest <= _LAST_OF_TWO
    if as_it_is and all(TURNED.get(each) in ascii_only for each in beyond):
        return Place(shapes[1], turned=frozenset(beyond))
    union = 0
    for masks in shapes.values():
        for mask in masks:
            union |= mask
    return Place((union,), stretches=True)


def _add(shapes: dict[int, tuple[int, ...]], masks: tuple[int, ...]) -> None:
    before = shapes.get(len(masks), (0,) * len(masks))
    shapes[len(masks)] = tuple(old | new for old, new in zip(before, masks, strict=True))


def _candidates(highest: int, flags: int) -> str:
    """The characters beyond ASCII of which a class may take some, in order, as far as it is looked at each."""
    if highest < len(_ASCII):
        return "".join(TURNED) if flags & re.IGNORECASE else ""
    return _beyond_ascii()


@lru_cache(1)
def _beyond_ascii() -> str:
    """The characters of two and three bytes in UTF-8, in order."""
    return "".join(map(chr, (*range(0x80, 0xD800), *range(0xE000, _LAST_OF_TWO + 1))))
