"""Going through the self-checked lines of a file, as it should be or damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ..contract.errors import CorruptRecord
from .lines import BODY_AT, check_line

MAX_LINE: Final = 256 * 1024 * 1024
"""The longest line that is written or read, in bytes, with its checksum and newline."""

_START: Final = b'{"sum":"'
_BEFORE_NESTED: Final = b":,[ "
_CHUNK: Final = 1 << 20
_MOST_FOLLOWERS: Final = 4
_MOST_CHECKED: Final = 16 * MAX_LINE  # seconds of work for one damaged stretch


class Finding(NamedTuple):
    """A damaged stretch of a file: where it starts, how many bytes it has, and what is wrong."""

    offset: int
    size: int
    reason: str


def body_of(line: bytes) -> bytes:
    """What `encode_line` was given for this checked line."""
    return b"{" + line[BODY_AT:].removesuffix(b"\n")


def checked_lines(path: str, read: Callable[[int, int], bytes], start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """The lines between two offsets of a file, checked, without their newlines, each with its offset.

    Args:
        path: the file, for messages.
        read: gives that many bytes from that offset; asked once for each byte, in order.
        start: the offset of the first line.
        end: the offset after the last line's newline.

    Raises:
        CorruptRecord: at the first line that is not what was written.
    """
    rest = b""
    at = offset = start
    while at < end:
        # A line longer than what was read makes the next read as long as itself: its bytes are not moved often.
        chunk = read(min(max(_CHUNK, len(rest)), end - at), at)
        if not chunk:
            raise CorruptRecord(path, f"it ends at offset {at}, before {end}")
        at += len(chunk)
        begin, search = 0, len(rest)
        buffer = rest + chunk if rest else chunk
        while (newline := buffer.find(b"\n", search)) >= 0:
            line = buffer[begin:newline]
            if check_line(line) is None:
                raise CorruptRecord(path, f"the line at offset {offset} does not match its checksum")
            yield offset, line
            search = newline + 1
            offset += search - begin
            begin = search
        rest = buffer[begin:]
        if len(rest) > MAX_LINE:
            raise CorruptRecord(path, f"the line at offset {offset} is longer than {MAX_LINE} bytes")
    if rest:
        raise CorruptRecord(path, f"the line at offset {offset} has no end")


def intact_lines(raw: bytes) -> tuple[list[tuple[int, bytes]], list[Finding]]:
    """What is intact in a damaged file: its good lines, with their offsets and without newlines, and what is not good.

    A line is good if its checksum holds, even where the newline before or after it was damaged. An object nested in
    a damaged line is none, though it may look like a line.
    """
    good: list[tuple[int, bytes]] = []
    findings: list[Finding] = []
    at = 0
    while at < len(raw):
        newline = raw.find(b"\n", at)
        end = len(raw) if newline < 0 else newline
        line = raw[at:end]
        if check_line(line) is not None:
            good.append((at, line))
        else:
            _look_into(raw, at, end, good, findings)
        at = end + 1
    return good, findings


def _look_into(raw: bytes, start: int, end: int, good: list[tuple[int, bytes]], findings: list[Finding]) -> None:
    """Finds whole lines in a stretch that has no newline and is not one line."""
    at = damaged_from = start
    budget = _MOST_CHECKED
    while 0 <= at < end and budget > 0:
        stops = _possible_ends(raw, at, end)
        budget -= sum(stops) - len(stops) * at
        for stop in stops:
            line = raw[at:stop]
            if check_line(line) is not None:
                if at > damaged_from:
                    _note(raw, damaged_from, at, findings)
                good.append((at, line))
                damaged_from = stop
                # What comes one byte after a whole line is a line; elsewhere it may be part of one.
                at = stop + 1 if raw.startswith(_START, stop + 1) else _next_start(raw, stop, end)
                break
        else:
            at = _next_start(raw, at + 1, end)
    if damaged_from < end or start == end:
        _note(raw, damaged_from, max(end, damaged_from + 1), findings)


def _possible_ends(raw: bytes, at: int, end: int) -> list[int]:
    """Where a line that starts at `at` may end: a byte before something like a line, or where the stretch does."""
    ends: list[int] = []
    follower = at
    while len(ends) < _MOST_FOLLOWERS and (follower := raw.find(_START, follower + 1, end)) >= 0:
        ends.append(follower - 1)
    return [*ends, end - 1, end]


def _next_start(raw: bytes, at: int, end: int) -> int:
    """Where the next line may start, -1 for nowhere. An object inside of a line is none, whatever it looks like."""
    while (at := raw.find(_START, at, end)) >= 0:
        if raw[at - 1] not in _BEFORE_NESTED:
            return at
        at += 1
    return -1


def _note(raw: bytes, start: int, end: int, findings: list[Finding]) -> None:
    """Adds a damaged stretch, together with the one before if nothing but a newline parts them."""
    if findings and start - findings[-1].offset - findings[-1].size <= 1:
        start = findings.pop().offset
    if not raw[start:end].strip(b"\0"):
        reason = "nothing but zeros"
    elif end - start == 1:
        reason = "a damaged line end"
    else:
        reason = "no line with a matching checksum"
    findings.append(Finding(start, end - start, reason))
