"""Telling by the bytes of a node's JSON that nothing in it can match: without parsing, and never wrongly.

JSON as it is kept has non-ASCII characters as they are, in UTF-8, and escapes quotes, backslashes and control
characters in one way each. So a text is in a string of the document only if its escaped bytes are in the document.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import orjson

_TURNED = {"k": ("\u212a",), "s": ("\u017f",), "i": ("\u0130", "\u0131")}
"""ASCII letters that a case-insensitive pattern takes for characters beyond ASCII, too."""
_LOWER = bytes(range(256)).lower()
"""Twice as fast as `bytes.lower` for the size of a node."""
_TOKEN = re.compile(
    r"(?P<literal>\\[^A-Za-z0-9]|[^\\\[\].^$*?+{}])"
    r"|(?P<repeat>[*?+]|\{[0-9,]*\})"
    r"|(?P<other>\\[bBdDsSwWAZ]|\[\^?\]?[^\]\[\\]*\]|[.^$])",
    re.DOTALL,
)


def test_for(text: str, *, regex: bool, ignore_case: bool) -> Callable[[bytes], bool]:
    """A test that is true of every document in a string of which `text` can match."""
    literals = literals_of(text) if regex else [text]
    if not ignore_case:
        needle = max((_encoded(each) for each in literals), key=len, default=b"")
        return lambda document: needle in document
    runs = [run for each in literals for run in _caseless_runs(_encoded(each).decode())]
    needle = max(runs, key=len, default="").lower().encode()
    if needle:
        return _folded(needle)
    if regex or not text:
        return lambda document: True
    # No character of it is the same in both cases: the text of the document is searched as it stands.
    search = re.compile(re.escape(_encoded(text).decode()), re.IGNORECASE).search
    return lambda document: search(document.decode("utf-8", "replace")) is not None


def _folded(needle: bytes) -> Callable[[bytes], bool]:
    letters = set(needle.decode())
    odd = tuple(each.encode() for letter, turned in _TURNED.items() if letter in letters for each in turned)

    def test(document: bytes) -> bool:
        if needle in document.translate(_LOWER):
            return True
        return bool(odd) and not document.isascii() and any(each in document for each in odd)

    return test


def _encoded(text: str) -> bytes:
    return orjson.dumps(text)[1:-1]


def _caseless_runs(text: str) -> list[str]:
    """The stretches of `text` whose bytes, once ASCII letters are lower, are those of whatever they match."""
    runs, current = [], ""
    for character in text:
        if character.isascii() or character.lower() == character == character.upper():
            current += character
        else:
            runs.append(current)
            current = ""
    return [*runs, current]


def literals_of(pattern: str) -> list[str]:
    """Texts that are in whatever `pattern` matches; few or none where it is not a simple one."""
    if "|" in pattern or "(" in pattern:
        return []
    found: list[str] = []
    current, at = "", 0
    while token := _TOKEN.match(pattern, at):
        at = token.end()
        if token["literal"]:
            current += token["literal"].removeprefix("\\")
            continue
        # What is repeated is the character before, perhaps no time at all.
        found.append(current[:-1] if token["repeat"] else current)
        current = ""
    # From what is not understood nothing is concluded, but that it may be a way of repeating.
    return [*found, current if at == len(pattern) else current[:-1]]
