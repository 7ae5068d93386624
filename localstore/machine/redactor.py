"""Replacing what a pattern matches in texts, JSON and bytes.

A match never reaches from one string of a document into the next. Where a pattern matches nothing, what it was given
comes back as it was, byte for byte.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from typing import Any

import orjson

from ..contract import checks
from ..contract.errors import InvalidArgument
from . import needles

_MAX_ROUNDS = 16
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*')
_ESCAPE = re.compile(r'\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt])')


class Redactor:
    """Replaces what `pattern` matches by `replacement`, and counts.

    A `regex` is one of `re`, `^` and `$` being ends of lines; what it matches of no length is passed over.

    Raises `InvalidArgument` for a pattern that is empty, malformed, or matches nothing at all of a text, and for a
    replacement that matches itself: it would be replaced again each time.
    """

    def __init__(self, pattern: str, replacement: str, *, regex: bool = False) -> None:
        self.pattern = checks.text("pattern", pattern)
        self.replacement = checks.text("replacement", replacement)
        self.regex = regex
        if not pattern:
            raise InvalidArgument("pattern must not be empty")
        try:
            self._found = re.compile(pattern if regex else re.escape(pattern), re.MULTILINE)
        except (re.error, OverflowError, RecursionError) as error:
            raise InvalidArgument(f"pattern must be a regular expression: {error}") from error
        if self._found.match("") is not None:
            raise InvalidArgument(f"pattern {pattern!r} matches nothing at all; make it say what must be there")
        if self.matches(replacement):
            raise InvalidArgument(f"the replacement {replacement!r} matches the pattern; give another replacement")
        self._needle = b"" if regex else pattern.encode()
        self._may_match = needles.test_for(pattern, regex=regex, ignore_case=False)

    def matches(self, text: str) -> bool:
        """Whether there is something of `text` to replace."""
        return any(found.group() for found in self._found.finditer(text))

    def text(self, text: str) -> tuple[str, int]:
        """`text` with every match replaced, and how many there were.

        What a replacement makes with its neighbours may match again, and is replaced, too.
        """
        total = 0
        for _ in range(_MAX_ROUNDS):
            text, count = self._once(text)
            if not count:
                return text, total
            total += count
        raise InvalidArgument(
            f"the replacement {self.replacement!r} makes new matches of {self.pattern!r} again and again; give another"
        )

    def _once(self, text: str) -> tuple[str, int]:
        count = 0

        def swap(found: re.Match[str]) -> str:
            nonlocal count
            if not found.group():
                return ""
            count += 1
            return self.replacement

        return self._found.sub(swap, text), count

    def optional(self, text: str | None) -> tuple[str | None, int]:
        """As `text`, where there may be none."""
        return (None, 0) if text is None else self.text(text)

    def json(self, encoded: bytes) -> tuple[bytes, int]:
        """JSON text, as the store keeps it, with what matches in its strings, keys and whole numbers replaced.

        A number that matches from end to end becomes a string. Of two keys of an object that become the same, the
        later one gets a number behind it.
        """
        if not self._may_match(encoded):
            return encoded, 0
        counts: list[int] = []
        changed = self._walk(orjson.loads(encoded), counts)
        return (orjson.dumps(changed), sum(counts)) if counts else (encoded, 0)

    def _walk(self, value: Any, counts: list[int]) -> Any:
        if isinstance(value, str):
            return self._counted(value, counts)
        if isinstance(value, list):
            return [self._walk(item, counts) for item in value]
        if isinstance(value, dict):
            names = {key: self._counted(key, counts) for key in value}
            taken = {key for key, name in names.items() if key == name}
            return {
                (key if key in taken else _free(names[key], taken)): self._walk(item, counts)
                for key, item in value.items()
            }
        if type(value) in {int, float} and self._found.fullmatch(orjson.dumps(value).decode()):
            counts.append(1)
            return self.replacement
        return value

    def _counted(self, text: str, counts: list[int]) -> str:
        changed, count = self.text(text)
        if count:
            counts.append(count)
        return changed

    def octets(self, content: bytes) -> tuple[bytes, int]:
        """Bytes of a host's with every match replaced: as JSON or text where they are that.

        In other bytes the UTF-8 of a match is overwritten with asterisks, so that no length in them changes.
        """
        if self._needle and b"\\" not in content and self._needle not in content:
            return content, 0
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return self._overwritten(content)
        if "\0" in text:
            return self._overwritten(content)
        try:
            is_ours = orjson.dumps(orjson.loads(content)) == content
        except orjson.JSONDecodeError:
            changed, count = self.text(text)
        except orjson.JSONEncodeError:  # it nests deeper than is written
            changed, count = self._document(text)
        else:
            if is_ours:
                return self.json(content)
            changed, count = self._document(text)
        return (changed.encode(), count) if count else (content, 0)

    def _document(self, text: str) -> tuple[str, int]:
        """JSON that others wrote: all but the strings and numbers that match stays as they wrote it."""
        counts: list[int] = []

        def swap(token: re.Match[str]) -> str:
            found = token.group()
            if found[0] != '"':
                if self._found.fullmatch(found) is None:
                    return found
                counts.append(1)
                return orjson.dumps(self.replacement).decode()
            inner = orjson.loads(found)
            changed = self._counted(inner, counts)
            return found if changed == inner else orjson.dumps(changed).decode()

        changed = _TOKEN.sub(swap, text)
        return changed, sum(counts)

    def _overwritten(self, content: bytes) -> tuple[bytes, int]:
        count = 0

        def cover(found: re.Match[str]) -> str:
            nonlocal count
            count += bool(found.group())
            return "*" * len(found.group().encode("utf-8", "surrogateescape"))

        changed = self._found.sub(cover, content.decode("utf-8", "surrogateescape"))
        return (changed.encode("utf-8", "surrogateescape"), count) if count else (content, 0)

    def count_in(self, raw: bytes) -> int:
        """How often something matches in the bytes of a file, whatever it holds: as it is, escaped, or in base64."""
        text = raw.decode("utf-8", "surrogateescape")
        return max(map(self._count, (text, _ESCAPE.sub(_unescaped, text), _out_of_base64(raw))))

    def _count(self, text: str) -> int:
        return sum(1 for found in self._found.finditer(text) if found.group())


def _free(name: str, taken: set[str]) -> str:
    """`name`, or that with a number behind it, which is none of `taken`, and is from now on."""
    number = 1
    free = name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free


def _unescaped(found: re.Match[str]) -> str:
    try:
        return str(orjson.loads(f'"{found.group()}"'))
    except orjson.JSONDecodeError:  # half of a pair
        return found.group()


_BASE64 = re.compile(rb"[A-Za-z0-9+/]{8,}")


def _out_of_base64(raw: bytes) -> str:
    """What the stretches of `raw` that may be base64 say, wherever they were cut."""
    pieces: list[bytes] = []
    for found in _BASE64.finditer(raw):
        run = found.group()
        for start in range(4):
            whole = (len(run) - start) // 4 * 4
            pieces.append(a2b_base64(run[start : start + whole]))
            if whole < len(run) - start - 1:
                rest = run[start + whole :]
                pieces[-1] += a2b_base64(rest + b"=" * (4 - len(rest)))
    return b"\n".join(pieces).decode("utf-8", "surrogateescape")
