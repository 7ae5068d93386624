"""Claude Code session files: JSONL, each line with a `uuid` and the `parentUuid` that it follows.

The chain is kept as it is: `uuid` is the entry's id, `parentUuid` its parent, and sidechains are branches. Where
no line names a parent there is no chain, and each line but those of sidechains follows the one before it. A
`summary` line follows the line that it names. Lines without a message become records of kind
`claude-code.<type>`. What a compaction left behind stays before it: its line has no parent, but names a
`logicalParentUuid`.

Roles: a "user" line that only carries tool results gets the role "tool"; one that the program itself put in
(`isMeta`, `isCompactSummary`) gets "system". The prompt of a sidechain stays "user", as its model sees it.

Metadata: `session_ids` (all that the file names, the first is the transcript's), `sidechain_entry_count`.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

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
from .records import EntryUsage, JsonObject, Transcript, TranscriptEntry
from .strict_json import canonical
from .usage import NOTHING, MalformedUsage, added, anthropic_usage, largest

SOURCE_FORMAT = "claude-code"
MESSAGE_FIELD = "message"

_SYNTHETIC_MODEL = "<synthetic>"
_OWN_FIELD_OF_TYPE = {
    "summary": "leafUuid",
    "file-history-snapshot": "messageId",
    "queue-operation": "sessionId",
    "custom-title": "sessionId",
}


def recognises(line: JsonObject) -> bool:
    """Whether `line` can only be a line of this format."""
    kind = line.get("type")
    if not isinstance(kind, str):
        return False
    if non_empty(line.get("uuid")) and ("parentUuid" in line or "sessionId" in line):
        return True
    return non_empty(line.get(_OWN_FIELD_OF_TYPE.get(kind, ""))) is not None


def read(pieces: Pieces, name: str) -> Transcript:
    """The transcript of the lines in `pieces`; `name` is the file's, for the id where the lines give none."""
    session_ids = _session_ids(pieces)
    opening = [piece.value for piece in pieces.items[:1]]
    session_id = session_ids[0] if session_ids else derived_session_id(name, opening)
    draft = Draft(SOURCE_FORMAT, session_id, pieces.problems)
    seen: dict[str, Piece] = {}
    counted: dict[tuple[str, str], EntryUsage] = {}
    for piece in pieces.items:
        uuid = non_empty(piece.value.get("uuid"))
        if uuid in seen:
            if canonical(seen[uuid].value) != canonical(piece.value):
                first = seen[uuid].position
                draft.report(piece, f"the uuid {uuid!r} is that of line {first}, with other content; the first is kept")
            continue
        if _add(draft, piece, uuid, counted) and uuid:
            seen[uuid] = piece
    draft.cut_cycles()
    _follow_in_order(draft)
    return _finish(draft, session_ids)


def _follow_in_order(draft: Draft) -> None:
    """Make lines each of which says that it has no parent a conversation, in their order."""
    named = [place for place, piece in enumerate(draft.pieces) if non_empty(piece.value.get("uuid"))]
    if any(non_empty(draft.pieces[place].value.get("parentUuid")) for place in named):
        return
    main = [place for place in named if draft.pieces[place].value.get("isSidechain") is not True]
    for before, place in pairwise(main):
        draft.entries[place] = replace(draft.entries[place], parent_id=draft.entries[before].entry_id)


def _session_ids(pieces: Pieces) -> list[str]:
    named = (session_identifier(piece.value.get("sessionId")) for piece in pieces.items)
    return list(dict.fromkeys(session_id for session_id in named if session_id))


def _add(draft: Draft, piece: Piece, uuid: str | None, counted: dict[tuple[str, str], EntryUsage]) -> bool:
    line = piece.value
    parent_id = non_empty(line.get("parentUuid")) or non_empty(line.get("logicalParentUuid"))
    timestamp = rfc3339(line.get("timestamp"))
    message = line.get(MESSAGE_FIELD)
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        kind = f"{SOURCE_FORMAT}.{non_empty(line.get('type')) or 'record'}"
        if line.get("type") == "summary":
            parent_id = parent_id or non_empty(line.get("leafUuid"))
        payload = {"kind": kind, "source": line}
        return draft.add(piece, payload, entry_id=uuid, parent_id=parent_id, timestamp=timestamp)
    source = {field: value for field, value in line.items() if field != MESSAGE_FIELD}
    return draft.add(
        piece,
        event_payload(message, source, role=_role(line, message), at=MESSAGE_FIELD),
        entry_id=uuid,
        parent_id=parent_id,
        timestamp=timestamp,
        model=non_empty(message.get("model")),
        usage=_usage(draft, piece, message, counted),
    )


def _role(line: JsonObject, message: JsonObject) -> str | None:
    if message["role"] != "user":
        return None
    if only_tool_results(message):
        return "tool"
    if line.get("isMeta") is True or line.get("isCompactSummary") is True:
        return "system"
    return None


def _usage(draft: Draft, piece: Piece, message: JsonObject, counted: dict[tuple[str, str], EntryUsage]) -> EntryUsage:
    """What this line adds. The blocks of one answer are lines of their own, each with the counts of all so
    far.
    """
    try:
        total = anthropic_usage(message.get("usage"))
    except MalformedUsage as error:
        draft.report(piece, str(error))
        return NOTHING
    answer = non_empty(message.get("id"))
    if answer is None:
        return total
    call = (answer, str(piece.value.get("requestId")))
    before = counted.get(call, NOTHING)
    counted[call] = largest(total, before)
    return added(total, before)


def _finish(draft: Draft, session_ids: list[str]) -> Transcript:
    lines = [piece.value for piece in draft.pieces]
    main = [
        entry
        for entry, line in zip(draft.entries, lines, strict=True)
        if non_empty(line.get("uuid")) and line.get("isSidechain") is not True
    ]
    return draft.finish(
        leaf=main[-1] if main else None,
        title=_last_string(lines, "custom-title", "customTitle") or _last_string(lines, "summary", "summary"),
        cwd=next((cwd for line in lines if (cwd := non_empty(line.get("cwd")))), None),
        model=_last_model(main) or _last_model(draft.entries) or "",
        metadata={
            "session_ids": session_ids,
            "sidechain_entry_count": sum(line.get("isSidechain") is True for line in lines),
        },
    )


def _last_string(lines: list[JsonObject], kind: str, field: str) -> str | None:
    texts = (non_empty(line.get(field)) for line in reversed(lines) if line.get("type") == kind)
    return next((text for text in texts if text), None)


def _last_model(entries: list[TranscriptEntry]) -> str | None:
    models = (entry.model for entry in reversed(entries))
    return next((model for model in models if model and model != _SYNTHETIC_MODEL), None)
