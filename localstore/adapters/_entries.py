"""Entries of Claude's transcripts as payloads of nodes, and back."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

from ..contract import checks
from ..contract.errors import InvalidArgument
from ..contract.values import JsonObject

_KIND: Final = "claude."
_TOOL: Final = "claude/tool"
_SYSTEM: Final = "claude/system"
_WRAPPED: Final = "claude/wrapped"
_TEXT: Final = "claude/json"
_ROLES: Final = {_TOOL: "tool", _SYSTEM: "system"}


def node_id_of(entry: Any) -> str | None:
    """The id of the node for an entry: its `uuid`, or `None` where it has none."""
    if not isinstance(entry, dict):
        raise InvalidArgument(f"an entry must be a dict, not {type(entry).__name__}")
    try:
        return checks.identifier("uuid", entry.get("uuid"))
    except InvalidArgument:
        return None


def timestamp_of(entry: Any, now: str) -> str:
    """The time of an entry, or `now` where it tells none."""
    try:
        return checks.timestamp("timestamp", entry.get("timestamp"))
    except InvalidArgument:
        return now


def payload_of(entry: dict[str, Any]) -> JsonObject:
    """The node's payload for an entry."""
    try:
        orjson.dumps(entry)
    except (TypeError, ValueError, RecursionError):
        # Half a surrogate pair, where JavaScript cut a string, or an integer of over 64 bits: JSON all the same.
        try:
            return {"kind": _TEXT, "text": json.dumps(entry)}
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidArgument(f"an entry is not JSON: {error}") from error
    if "kind" in entry:
        return {"kind": _WRAPPED, "entry": entry}
    message = entry.get("message")
    if isinstance(message, dict) and message.get("role") == "user":
        kind = _kind_of_user(entry, message)
        if kind is not None:
            return {"kind": kind, **entry, "message": {**message, "role": _ROLES[kind]}}
    return {"kind": f"{_KIND}{entry.get('type')}", **entry}


def _kind_of_user(entry: dict[str, Any], message: dict[str, Any]) -> str | None:
    if entry.get("isMeta") is True or entry.get("isCompactSummary") is True:
        return _SYSTEM
    content = message.get("content")
    is_results = (
        isinstance(content, list)
        and content
        and all(isinstance(part, dict) and part.get("type") == "tool_result" for part in content)
    )
    return _TOOL if is_results else None


def entry_of(payload: JsonObject) -> Any:
    """The entry in a node's payload, or `None` where the node holds none."""
    kind = payload.pop("kind", None)
    if kind == _WRAPPED:
        return payload.get("entry")
    if kind == _TEXT:
        return json.loads(payload["text"])
    if kind in _ROLES:
        payload["message"]["role"] = "user"
        return payload
    return payload if isinstance(kind, str) and kind.startswith(_KIND) else None
