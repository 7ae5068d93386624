"""SWE-agent trajectories: one JSON object whose `history` is the conversation.

Every message follows the one before it. The agent's own fields of a message (`thought`, `action`,
`message_type`, ...) are its `source`. No user types anything once the agent works: a "user" message after the
agent's first answer is the observation of its action and gets the role "tool". A demonstration (`is_demo`)
gets "system".

A trajectory has one count of tokens for the whole run (`info.model_stats`). It stands at the last entry, so
import a trajectory once its run is over. Metadata: `document`, all members but the history as they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .documents import Document
from .drafts import Draft, derived_session_id, event_payload, non_empty, rfc3339
from .pieces import Piece
from .records import JsonObject, Problem, Transcript
from .strict_json import MalformedJson, decode, excerpt
from .usage import NOTHING, MalformedUsage, swe_agent_usage

SOURCE_FORMAT = "swe-agent"
MESSAGES_MEMBER = "history"

_MESSAGE_FIELDS = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "tool_call_ids"})


def read(document: Document, name: str) -> Transcript:
    """The transcript of the trajectory; `name` is the file's, for the session's id."""
    pieces = document.elements(MESSAGES_MEMBER)
    members, unreadable = document.values(without=MESSAGES_MEMBER)
    session_id = derived_session_id(name, _opening(pieces.items))
    draft = Draft(SOURCE_FORMAT, session_id, (*document.problems, *unreadable, *pieces.problems))
    model = non_empty(_descend(members, "replay_config", "agent", "model", "name"))
    answered = False
    for piece in pieces.items:
        role = piece.value.get("role")
        draft.add(
            piece,
            _payload(piece.value, answered=answered),
            parent_id=draft.last_id,
            timestamp=rfc3339(piece.value.get("timestamp")),
            model=model if role == "assistant" else None,
        )
        answered = answered or role == "assistant"
    _count_run(draft, _descend(members, "info", "model_stats"), model)
    return draft.finish(
        cwd=non_empty(_descend(members, "trajectory", 0, "state", "working_dir")),
        model=model or "",
        metadata={"document": members},
    )


def _count_run(draft: Draft, stats: Any, model: str | None) -> None:
    try:
        usage = swe_agent_usage(stats)
    except MalformedUsage as error:
        draft.problems.append(Problem(0, f"info.model_stats: {error}", excerpt(repr(stats).encode())))
        return
    if usage != NOTHING and draft.entries:
        draft.entries[-1] = replace(draft.entries[-1], usage=usage, model=model)


def _opening(pieces: tuple[Piece, ...]) -> list[JsonObject]:
    """The messages up to the task, which tell one run from another; all runs share their first message."""
    for index, piece in enumerate(pieces):
        if piece.value.get("role") == "user" and not _is_demonstration(piece.value):
            return [opening.value for opening in pieces[: index + 1]]
    return [piece.value for piece in pieces[:1]]


def _is_demonstration(message: JsonObject) -> bool:
    return message.get("is_demo") is True


def _payload(line: JsonObject, *, answered: bool) -> JsonObject:
    if not isinstance(line.get("role"), str):
        return {"kind": f"{SOURCE_FORMAT}.record", "source": line}
    message = {field: value for field, value in line.items() if field in _MESSAGE_FIELDS}
    source = {field: value for field, value in line.items() if field not in _MESSAGE_FIELDS}
    role = None
    if line["role"] == "user":
        role = "system" if _is_demonstration(line) else "tool" if answered else None
    return event_payload(message, source, role=role)


def _descend(value: Any, *path: str | int) -> Any:
    """The member of `value` at `path`, `None` if there is none. Some releases write objects as JSON in a
    string.
    """
    for step in path:
        if isinstance(value, str):
            try:
                value = decode(value.encode())
            except MalformedJson:
                return None
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and step < len(value) else None
    return value
