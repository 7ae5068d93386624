"""Which format a source has, told by its content alone, and the reader for it."""

from __future__ import annotations

import os
from pathlib import Path

from . import claude_code, codex, messages, swe_agent
from .documents import Document, read_document
from .drafts import original_message_line
from .pieces import Pieces, read_lines
from .records import JsonObject, Transcript, UnknownTranscriptFormat

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MESSAGE_FIELDS: dict[str, str | None] = {
    claude_code.SOURCE_FORMAT: claude_code.MESSAGE_FIELD,
    codex.SOURCE_FORMAT: codex.MESSAGE_FIELD,
    swe_agent.SOURCE_FORMAT: None,
    messages.DOCUMENT_FORMAT: None,
    messages.LINES_FORMAT: None,
}
_LINE_FORMATS = (
    (claude_code.SOURCE_FORMAT, claude_code.recognises),
    (codex.SOURCE_FORMAT, codex.recognises),
    (messages.LINES_FORMAT, messages.recognises),
)

FORMATS: tuple[str, ...] = tuple(_MESSAGE_FIELDS)
"""The names that `detect` gives."""


def detect(raw: bytes) -> str | None:
    """The name of the format of `raw`, one of `FORMATS`; `None` if it is no known transcript.

    A single line or message that can only be of that format is enough; damage around it does not matter.
    """
    found = _recognise(raw)
    return found[0] if isinstance(found, tuple) else None


def read_transcript(raw: bytes, *, name: str = "transcript") -> Transcript:
    """The transcript in `raw`: UTF-8 with or without a byte order mark, any line ends.

    `name` is used in messages, and with the session's opening for its id where the source gives it none; of a
    path only the last part counts. Damaged parts are left out and reported in `problems`;
    `UnknownTranscriptFormat` if nothing in `raw` is of a known format.
    """
    found = _recognise(raw)
    if isinstance(found, str):
        raise UnknownTranscriptFormat(name, found)
    source_format, source = found
    if isinstance(source, Document):
        read = swe_agent.read if source_format == swe_agent.SOURCE_FORMAT else messages.read_document
        return read(source, name)
    if source_format == claude_code.SOURCE_FORMAT:
        return claude_code.read(source, name)
    return codex.read(source, name) if source_format == codex.SOURCE_FORMAT else messages.read_lines(source, name)


def read_transcript_file(path: str | os.PathLike[str]) -> Transcript:
    """The transcript in the file at `path`, as `read_transcript` gives it; `OSError` if the file cannot be
    read.
    """
    file = Path(path)
    return read_transcript(file.read_bytes(), name=file.name)


def original_record(payload: JsonObject, source_format: str) -> JsonObject:
    """The line, or the list element, that the payload of an entry was made from, equal to what the source
    has.
    """
    return original_message_line(payload, _MESSAGE_FIELDS[source_format])


def _recognise(raw: bytes) -> tuple[str, Document | Pieces] | str:
    """The format and what to read it from, or what was found instead."""
    raw = raw.removeprefix(_BYTE_ORDER_MARK)
    document = read_document(raw)
    if document is not None:
        source_format = _document_format(document)
        if source_format:
            return source_format, document
        # Lines inside of a document that is laid out over several lines are not JSONL.
        if document.rest == b"" and b"\n" in raw.strip():
            return _description(document)
    lines = read_lines(raw)
    for piece in lines.items:
        for source_format, recognises in _LINE_FORMATS:
            if recognises(piece.value):
                return source_format, lines
    if document is not None and document.rest == b"":
        return _description(document)
    if not lines.items and not lines.problems:
        return "nothing but white space"
    first = lines.problems[0] if lines.problems else None
    damage = f"; line {first.line}: {first.reason}" if first else ""
    total = len(lines.items) + len(lines.problems)
    return f"{len(lines.items)} JSON objects on {total} lines, no message{damage}"


def _document_format(document: Document) -> str | None:
    if document.has_list(swe_agent.MESSAGES_MEMBER) and _has_message(document, swe_agent.MESSAGES_MEMBER):
        return swe_agent.SOURCE_FORMAT
    if document.has_list(messages.MESSAGES_MEMBER):
        empty = document.elements(messages.MESSAGES_MEMBER) == Pieces((), ())
        if empty or _has_message(document, messages.MESSAGES_MEMBER):
            return messages.DOCUMENT_FORMAT
    if document.is_list and _has_message(document, ""):
        return messages.DOCUMENT_FORMAT
    return None


def _has_message(document: Document, member: str) -> bool:
    return any(messages.recognises(piece.value) for piece in document.elements(member).items)


def _description(document: Document) -> str:
    if document.is_list:
        return f"a JSON list without role/content messages{_first_damage(document, '')}"
    keys = ", ".join(repr(key[:40]) for key in list(document.members)[:10])
    lists = (name for name in (messages.MESSAGES_MEMBER, swe_agent.MESSAGES_MEMBER) if document.has_list(name))
    damage = "".join(_first_damage(document, name) for name in lists)
    return f"a JSON object with {f'the members {keys}' if keys else 'no members'}{damage}"


def _first_damage(document: Document, member: str) -> str:
    """Why the list that is the member `member` has no message, if it is damaged."""
    problems = document.elements(member).problems
    return f"; element {problems[0].line} of the list: {problems[0].reason}" if problems else ""
