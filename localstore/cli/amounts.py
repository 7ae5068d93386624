"""Amounts as people write them: how long, how much, how many."""

from __future__ import annotations

import re

from .exits import ExitCode
from .invocation import CommandFailure

_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_BYTES = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}
_AMOUNT = re.compile(r"(\d{1,15})(?:\.(\d{1,6}))?\s*([a-z]*)", re.ASCII)


def milliseconds(text: str | None) -> int | None:
    """`text` such as 90s, 12h, 30d or 2w; without a unit days."""
    return None if text is None else _amount(text, _MS, "d", "a time such as 12h, 30d or 2w")


def byte_count(text: str | None) -> int | None:
    """`text` such as 500MB or 2GB; without a unit bytes."""
    return None if text is None else _amount(text, _BYTES, "b", "a size such as 500MB or 2GB")


def _amount(text: str, units: dict[str, int], default: str, expected: str) -> int:
    match = _AMOUNT.fullmatch(text.strip().lower())
    unit = None if match is None else units.get(match[3] or default)
    if match is None or unit is None:
        raise CommandFailure(f"{text!r} is not {expected}", ExitCode.USAGE)
    fraction = match[2] or ""
    return int(match[1]) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)


def counted(count: int, singular: str) -> str:
    """So many of something: 1 session, 2 sessions."""
    return f"{count:,} {singular}" if count == 1 else f"{count:,} {singular}s"
