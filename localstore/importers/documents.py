"""A JSON document cut into its members and elements by its brackets alone.

Cutting before decoding keeps a damage where it is: a NaN in one message, or an end that is missing, leaves
all other messages readable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .pieces import Pieces, read_elements
from .records import JsonObject, Problem
from .strict_json import STRING, MalformedJson, decode, excerpt

_TOKEN = re.compile(STRING + rb'|["\[\]{},]', re.DOTALL)
_KEY = re.compile(rb"\s*+(" + STRING + rb")\s*+:\s*+", re.DOTALL)
_CLOSING = {b"[": b"]", b"{": b"}"}


@dataclass(frozen=True, slots=True)
class _Children:
    """The texts between the commas of a container. `end` is the offset behind it, `None` where it does not
    end.
    """

    texts: tuple[bytes, ...]
    end: int | None


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object or list whose parts are still text.

    `members` are the object's; where `is_list`, the list is the only one, under `""`. `rest` is what follows
    the document, `None` where the document does not end. `problems` concern the document as a whole.
    """

    is_list: bool
    members: dict[str, bytes]
    rest: bytes | None
    problems: tuple[Problem, ...]

    def has_list(self, name: str) -> bool:
        """Whether the member `name` is a list."""
        return self.members.get(name, b"")[:1] == b"["

    def elements(self, name: str) -> Pieces:
        """The objects in the list that is the member `name`."""
        text = self.members[name]
        children = _children(text)
        pieces = read_elements(children.texts, unfinished=0 if children.end else len(children.texts))
        # A list that is the document itself was looked at when it was opened.
        ending = () if self.is_list else _ending_problems("list", text, children.end)
        return Pieces(pieces.items, (*ending, *pieces.problems))

    def values(self, *, without: str) -> tuple[JsonObject, tuple[Problem, ...]]:
        """All members but one, decoded; a problem for each that cannot be."""
        values: JsonObject = {}
        problems: list[Problem] = []
        for name, text in self.members.items():
            if name == without:
                continue
            try:
                values[name] = decode(text)
            except MalformedJson as error:
                problems.append(Problem(0, f"the member {name!r}: {error}", excerpt(text)))
        return values, tuple(problems)


def read_document(raw: bytes) -> Document | None:
    """The document that `raw` begins with; `None` if it does not begin with an object or a list."""
    text = raw.lstrip(b" \t\r\n")
    if text[:1] not in _CLOSING:
        return None
    children = _children(text)
    rest = None if children.end is None else text[children.end :].strip()
    problems = _ending_problems("document", text, children.end)
    if children.end is None:
        problems = (Problem(0, "truncated, the document does not end", excerpt(text[-120:])),)
    if text[:1] == b"[":
        return Document(True, {"": text}, rest, problems)
    members, unnamed = _members(children.texts)
    return Document(False, members, rest, (*problems, *unnamed))


def _ending_problems(what: str, text: bytes, end: int | None) -> tuple[Problem, ...]:
    """Problems with how the container in `text` ends, if it does."""
    if end is None:
        return ()
    problems: list[Problem] = []
    if text[end - 1 : end] != _CLOSING[text[:1]]:
        problems.append(Problem(0, f"the {what} ends with the wrong bracket", excerpt(text[:end][-120:])))
    if rest := text[end:].strip():
        problems.append(Problem(0, f"more content after the end of the {what}", excerpt(rest)))
    return tuple(problems)


def _members(texts: tuple[bytes, ...]) -> tuple[dict[str, bytes], list[Problem]]:
    members: dict[str, bytes] = {}
    problems: list[Problem] = []
    for text in texts:
        key = _KEY.match(text)
        if key is None:
            problems.append(Problem(0, "not a member: no key and colon", excerpt(text)))
            continue
        try:
            name = decode(key[1])
        except MalformedJson as error:
            problems.append(Problem(0, f"not a member, its key is malformed: {error}", excerpt(text)))
            continue
        if name in members:
            problems.append(Problem(0, f"the member {name!r} is there twice, the first is taken", excerpt(text)))
            continue
        members[name] = text[key.end() :]
    return members, problems


def _children(text: bytes) -> _Children:
    """The children of the container that `text` begins with."""
    texts: list[bytes] = []
    depth, begin, end = 0, 1, None
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in (b"[", b"{"):
            depth += 1
        elif mark in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                end = token.end()
                break
        elif mark == b",":
            if depth == 1:
                texts.append(text[begin : token.start()].strip())
                begin = token.end()
        elif mark == b'"':  # a string that does not end: nothing behind it can be told apart
            break
    last = text[begin : len(text) if end is None else end - 1].strip()
    # A comma promises another child; `[]` has none, and neither has a document cut off behind its comma.
    if last or (texts and end is not None):
        texts.append(last)
    return _Children(tuple(texts), end)
