"""Codex rollout files: JSONL of `{"timestamp", "type", "payload"}`, in the order of what happened.

Every line follows the one before it. A `response_item` is a message: calls of tools and reasoning get the
role "assistant", outputs of tools the role "tool" (the source gives them none). Other lines become records of
kind `codex.<type>`; an `event_msg` only repeats for the screen what the items say, so it is never a message.

A "user" message that is nothing but context put in by the program (environment, instructions) gets the role
"system". The `token_count` events carry the usage: each the growth of the session's totals since the last
one.
"""

from __future__ import annotations

from .drafts import Draft, derived_session_id, event_payload, non_empty, rfc3339, session_identifier
from .pieces import Piece, Pieces
from .records import EntryUsage, JsonObject, Transcript
from .usage import NOTHING, MalformedUsage, added, codex_usage

SOURCE_FORMAT = "codex"
MESSAGE_FIELD = "payload"

_TYPES = frozenset({"session_meta", "turn_context", "response_item", "event_msg", "compacted"})
_CONTEXT_OPENINGS = (
    "<environment_context>",
    "<user_instructions>",
    "<permissions instructions>",
    "<turn_aborted>",
    "# AGENTS.md instructions for ",
)


def recognises(line: JsonObject) -> bool:
    """Whether `line` can only be a line of this format."""
    kind = line.get("type")
    return isinstance(kind, str) and kind in _TYPES and isinstance(line.get("payload"), dict)


def read(pieces: Pieces, name: str) -> Transcript:
    """The transcript of the lines in `pieces`; `name` is the file's, for the id where the lines give none."""
    metas = [_payload(piece.value) for piece in pieces.items if piece.value.get("type") == "session_meta"]
    named = (session_identifier(meta.get("id")) for meta in metas)
    opening = [piece.value for piece in pieces.items[:1]]
    session_id = next((own for own in named if own), None) or derived_session_id(name, opening)
    draft = Draft(SOURCE_FORMAT, session_id, pieces.problems)
    model: str | None = None
    totals = NOTHING
    for piece in pieces.items:
        payload = _payload(piece.value)
        if piece.value.get("type") == "turn_context":
            model = non_empty(payload.get("model")) or model
        usage, totals = _usage(draft, piece, totals)
        entry = _entry_payload(piece.value)
        answered = usage != NOTHING or entry.get("message", {}).get("role") == "assistant"
        draft.add(
            piece,
            entry,
            parent_id=draft.last_id,
            timestamp=rfc3339(piece.value.get("timestamp")),
            model=model if answered else None,
            usage=usage,
        )
    contexts = [
        *metas,
        *(_payload(piece.value) for piece in pieces.items if piece.value.get("type") == "turn_context"),
    ]
    return draft.finish(
        cwd=next((cwd for context in contexts if (cwd := non_empty(context.get("cwd")))), None),
        model=model or "",
        created_at=next((time for meta in metas if (time := rfc3339(meta.get("timestamp")))), None),
        metadata={},
    )


def _payload(line: JsonObject) -> JsonObject:
    payload = line.get("payload")
    return payload if isinstance(payload, dict) else {}


def _entry_payload(line: JsonObject) -> JsonObject:
    item = _payload(line)
    role = _role(item) if line.get("type") == "response_item" else None
    if role is None:
        return {"kind": f"{SOURCE_FORMAT}.{non_empty(line.get('type')) or 'record'}", "source": line}
    source = {field: value for field, value in line.items() if field != MESSAGE_FIELD}
    return event_payload(item, source, role=role, at=MESSAGE_FIELD)


def _role(item: JsonObject) -> str | None:
    """The role of a response item; `None` if it is no message."""
    if "role" in item:
        role = item["role"]
        return "system" if role == "user" and _is_context(item) else non_empty(role)
    kind = item.get("type")
    if not isinstance(kind, str):
        return None
    if kind.endswith("_output"):
        return "tool"
    return "assistant" if kind == "reasoning" or kind.endswith("_call") else None


def _is_context(item: JsonObject) -> bool:
    content = item.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    return bool(texts) and all(isinstance(text, str) and text.startswith(_CONTEXT_OPENINGS) for text in texts)


def _usage(draft: Draft, piece: Piece, before: EntryUsage) -> tuple[EntryUsage, EntryUsage]:
    """What the line adds to the session's usage, and the totals after it.

    The same totals are reported again whenever the rate limits change, so only their growth counts.
    """
    event = _payload(piece.value)
    info = event.get("info")
    if piece.value.get("type") != "event_msg" or event.get("type") != "token_count" or not isinstance(info, dict):
        return NOTHING, before
    try:
        last = codex_usage(info.get("last_token_usage"))
        if info.get("total_token_usage") is None:
            return last, before
        total = codex_usage(info["total_token_usage"])
    except MalformedUsage as error:
        draft.report(piece, str(error))
        return NOTHING, before
    # Totals that shrink have started anew, with this event's own call as the first.
    if added(before, total) != NOTHING:
        return last, total
    return added(total, before), total
