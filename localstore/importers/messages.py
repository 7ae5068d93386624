"""Plain messages with role and content, in the style of the chat APIs: a list of them, an object with such a
list as its `messages`, or JSONL with one message a line.

Every message follows the one before it. A message is kept whole, `tool_calls` and `tool_call_id` included. A
"user" message that only carries tool results gets the role "tool". An object without a role becomes a record
of kind `messages.record`.

Metadata of an object with `messages`: `document`, all other members as they are; of them `session_id` (or
`id`), `title`, `cwd`, `model` and `created_at` are taken for the transcript.
"""

from __future__ import annotations

from .documents import Document
from .drafts import (
    Draft,
    derived_session_id,
    event_payload,
    non_empty,
    only_tool_results,
    rfc3339,
    session_identifier,
)
from .pieces import Piece, Pieces
from .records import EntryUsage, JsonObject, Problem, Transcript
from .usage import NOTHING, MalformedUsage, message_usage

DOCUMENT_FORMAT = "messages-json"
LINES_FORMAT = "messages-jsonl"
MESSAGES_MEMBER = "messages"

_BODIES = ("content", "tool_calls", "function_call", "parts")


def recognises(line: JsonObject) -> bool:
    """Whether `line` is a message."""
    return isinstance(line.get("role"), str) and any(body in line for body in _BODIES)


def read_document(document: Document, name: str) -> Transcript:
    """The transcript of a list, or of an object with `messages`; `name` is the file's, for the id."""
    if document.is_list:
        return _read(DOCUMENT_FORMAT, document.elements(""), name, None, document.problems)
    members, unreadable = document.values(without=MESSAGES_MEMBER)
    pieces = document.elements(MESSAGES_MEMBER)
    return _read(DOCUMENT_FORMAT, pieces, name, members, (*document.problems, *unreadable))


def read_lines(pieces: Pieces, name: str) -> Transcript:
    """The transcript of the lines in `pieces`; `name` is the file's, for the session's id."""
    return _read(LINES_FORMAT, pieces, name, None, ())


def _read(
    source_format: str, pieces: Pieces, name: str, members: JsonObject | None, problems: tuple[Problem, ...]
) -> Transcript:
    about = members or {}
    named = session_identifier(about.get("session_id")) or session_identifier(about.get("id"))
    session_id = named or derived_session_id(name, _opening(pieces.items))
    draft = Draft(source_format, session_id, (*problems, *pieces.problems))
    ids: set[str] = set()
    for piece in pieces.items:
        line = piece.value
        own_id = non_empty(line.get("id"))
        draft.add(
            piece,
            _payload(line),
            # Some writers repeat the id of the model's answer: only the first one can have it.
            entry_id=None if own_id in ids else own_id,
            parent_id=draft.last_id,
            timestamp=rfc3339(line.get("timestamp")) or rfc3339(line.get("created_at")),
            model=non_empty(line.get("model")),
            usage=_usage(draft, piece),
        )
        ids.update(entry.entry_id for entry in draft.entries[-1:])
    models = [entry.model for entry in draft.entries if entry.model]
    return draft.finish(
        title=non_empty(about.get("title")),
        cwd=non_empty(about.get("cwd")),
        model=models[-1] if models else non_empty(about.get("model")) or "",
        created_at=rfc3339(about.get("created_at")),
        metadata={} if members is None else {"document": members},
    )


def _opening(pieces: tuple[Piece, ...]) -> list[JsonObject]:
    """The messages up to the first of the user: many sessions share their first message."""
    for index, piece in enumerate(pieces):
        if piece.value.get("role") == "user":
            return [opening.value for opening in pieces[: index + 1]]
    return [piece.value for piece in pieces[:1]]


def _payload(line: JsonObject) -> JsonObject:
    if not isinstance(line.get("role"), str):
        return {"kind": "messages.record", "source": line}
    return event_payload(line, {}, role="tool" if line["role"] == "user" and only_tool_results(line) else None)


def _usage(draft: Draft, piece: Piece) -> EntryUsage:
    try:
        return message_usage(piece.value.get("usage"))
    except MalformedUsage as error:
        draft.report(piece, str(error))
        return NOTHING
