"""Telling by the bytes of a node's JSON that nothing in it can match: without parsing, and never wrongly.

What a pattern matches has, in JSON, so many bytes in a row each of which is one of a set: three digits, a dash and four
digits, say. Where the bytes of each set are turned into one of them, in the document as in what is looked for, the row
is found as a text is, many times as fast as a pattern.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import log2
from re import IGNORECASE, MULTILINE
from typing import Final, NamedTuple

from .charsets import TURNED, Place, mask_of
from .patterns import Step, steps_of, steps_of_text

_WINDOW: Final = 16
"""The bytes in a row that are looked for at most, where not all there are can be."""
_LOOKED_AT: Final = 2 * _WINDOW
_MOST_NEEDLES: Final = 8
_MOST_CHOICES: Final = 3
_WORTH_BITS: Final = 3.0
"""Of fewer bits nearly every document has some."""
_ALL: Final = (1 << 256) - 1
_NOT_ASCII: Final = _ALL & ~((1 << 128) - 1)
_COMMON: Final = (
    (0.55, b"abcdefghijklmnopqrstuvwxyz"),
    (0.05, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    (0.08, b"0123456789"),
    (0.13, b" "),
    (0.05, b'"'),
    (0.03, b"\\"),
    (0.05, bytes(range(128, 256))),
)
"""How common bytes are, roughly: it only matters which rows are rarer than others."""


class _Byte(NamedTuple):
    mask: int
    stretches: bool
    turned: frozenset[str]


class _Needle(NamedTuple):
    """Bytes in a row, each one of its mask, once the `turned` characters of a document are what they turn into."""

    masks: tuple[int, ...]
    turned: frozenset[str]


class _Choice(NamedTuple):
    """One of the needles is in each document that matches; the more `bits`, the fewer others have one."""

    bits: float
    needles: tuple[_Needle, ...]


_NOTHING: Final = _Choice(0.0, ())


def test_for(text: str, *, regex: bool, ignore_case: bool) -> Callable[[bytes], bool]:
    """A test that is true of every document in a string of which `text` can match, ends of lines being `^` and `$`."""
    flags = MULTILINE | (IGNORECASE if ignore_case else 0)
    choices = _choices(steps_of(text, flags) if regex else steps_of_text(text, flags))
    tests = [_any_of(choice.needles) for choice in choices[:_MOST_CHOICES]]
    if not tests:
        return lambda document: True
    return tests[0] if len(tests) == 1 else lambda document: all(test(document) for test in tests)


def _any_of(needles: Sequence[_Needle]) -> Callable[[bytes], bool]:
    tests = [_test(needle) for needle in needles]
    return tests[0] if len(tests) == 1 else lambda document: any(test(document) for test in tests)


def _test(needle: _Needle) -> Callable[[bytes], bool]:
    table = bytearray(range(256))
    for mask in set(needle.masks):
        for byte in range(256):
            if mask >> byte & 1:
                table[byte] = _lowest(mask)
    wanted, to_wanted = bytes(map(_lowest, needle.masks)), bytes(table)
    if to_wanted == bytes(range(256)) and not needle.turned:
        return lambda document: wanted in document
    odd_ones = [(each.encode(), TURNED[each].encode()) for each in sorted(needle.turned)]
    if not odd_ones:
        return lambda document: wanted in document.translate(to_wanted)
    turned = [(odd[0], odd[-1], odd, plain) for odd, plain in odd_ones]

    def test(document: bytes) -> bool:
        if not document.isascii():
            for first, last, odd, plain in turned:
                # One byte is looked for many times as fast as several are.
                if first in document and last in document:
                    document = document.replace(odd, plain)
        return wanted in document.translate(to_wanted)

    return test


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _choices(steps: Sequence[Step]) -> list[_Choice]:
    """What each document that matches has, and few others have: the rarest first."""
    found: list[_Choice] = []
    run: list[_Byte] = []
    for step in (*steps, None):
        if isinstance(step, Place):
            run += [_Byte(mask, step.stretches, step.turned) for mask in step.masks]
            continue
        found.append(_best_of_run(run))
        run = []
        if step is not None:
            found.append(_either([_choices(branch) for branch in step.branches]))
    return sorted((each for each in found if each.bits >= _WORTH_BITS), key=_bits, reverse=True)


def _either(branches: Sequence[Sequence[_Choice]]) -> _Choice:
    """What is told of any branch, where something is of each."""
    if not all(branches):
        return _NOTHING
    rarest = [branch[0] for branch in branches]
    needles = tuple(needle for each in rarest for needle in each.needles)
    return _Choice(min(map(_bits, rarest)) - log2(len(rarest)), needles) if len(needles) <= _MOST_NEEDLES else _NOTHING


def _bits(choice: _Choice) -> float:
    return choice.bits


def _best_of_run(run: Sequence[_Byte]) -> _Choice:
    whole = _choice(run)
    if whole.needles and all(mask == byte.mask for mask, byte in zip(whole.needles[0].masks, run, strict=True)):
        return whole
    best = whole
    for start in range(min(len(run), _LOOKED_AT)):
        for end in range(start + 1, min(len(run), start + _WINDOW) + 1):
            best = max(best, _choice(run[start:end]), key=_bits)
    return best


def _choice(row: Sequence[_Byte]) -> _Choice:
    """These bytes as a needle, or nothing where they cannot be one."""
    masks = _apart([byte.mask for byte in row])
    turned = frozenset[str]().union(*(byte.turned for byte in row))
    if not row or not _stretches_at_ends(row, masks) or not _keeps_turned(row, turned):
        return _NOTHING
    bits, before = 0.0, 0
    for mask in masks:
        # Where one letter is, another is likely.
        bits += _bits_of(mask) / (2 if mask == before and mask & (mask - 1) else 1)
        before = mask
    return _Choice(bits, (_Needle(masks, turned),))


def _apart(masks: Sequence[int]) -> tuple[int, ...]:
    """The masks widened, so that any two are the same or have no byte in common."""
    groups: list[int] = []
    for mask in set(masks):
        joined, others = mask, []
        for group in groups:
            if group & mask:
                joined |= group
            else:
                others.append(group)
        groups = [*others, joined]
    return tuple(next(group for group in groups if group & mask) for mask in masks)


def _stretches_at_ends(row: Sequence[_Byte], masks: Sequence[int]) -> bool:
    """Whether what has more bytes than one, perhaps, has none but bytes of its own mask on one side."""
    length = len(row)
    first = next((at for at in range(length) if masks[at] != masks[0]), length)
    last = next((at for at in reversed(range(length)) if masks[at] != masks[-1]), -1)
    return all(not byte.stretches or at < first or at > last for at, byte in enumerate(row))


def _keeps_turned(row: Sequence[_Byte], turned: frozenset[str]) -> bool:
    """Whether the row is still found where characters were turned into others."""
    plain = mask_of(ord(TURNED[each]) for each in turned)
    return not turned or all(
        not byte.mask & _NOT_ASCII or (byte.stretches and byte.mask & plain == plain) for byte in row
    )


@lru_cache(1024)
def _bits_of(mask: int) -> float:
    share = 0.0
    for byte in range(256):
        if mask >> byte & 1:
            share += _share(byte)
    return -log2(min(share, 1.0))


@lru_cache(256)
def _share(byte: int) -> float:
    return next((share / len(some) for share, some in _COMMON if byte in some), 0.001)
