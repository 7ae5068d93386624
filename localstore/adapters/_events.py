"""Events of the ADK as payloads of nodes, and back; and what they change in which state."""

from __future__ import annotations

from typing import Any, Final

from ..contract.values import JsonObject

try:
    from google.adk.events.event import Event
    from google.adk.events.event_actions import EventActions
    from pydantic_core import to_jsonable_python
except ImportError as error:
    raise ImportError("the Agent Development Kit is missing: pip install 'localstore[adk]'") from error

SESSION: Final = "adk.session"
_EVENT: Final = "adk.event"
_ROLES: Final[dict[str, tuple[str, str | None]]] = {
    "adk.model": ("assistant", "model"),
    "adk.tool": ("tool", "user"),
    "adk.agent": ("assistant", None),
    "adk.user": ("user", None),
}
"""Kinds of events whose messages show another role than they have: which, and their own (`None`: they have none)."""
_EVENTS: Final = frozenset({_EVENT, *_ROLES})

_APP: Final = "app:"
_USER: Final = "user:"
_TEMP: Final = "temp:"


def opening_payload(state: dict[str, Any], created_at: float) -> JsonObject:
    """The payload of a session's first node; `created_at` is in epoch seconds."""
    return {"kind": SESSION, "created_at": created_at, "state": _kept(to_jsonable_python(state, fallback=repr))}


def payload_of(event: Event) -> JsonObject:
    """The payload of an event's node, without what is temporary in it."""
    actions: EventActions | None = event.actions
    delta = to_jsonable_python(dict(actions.state_delta or {}), fallback=repr) if actions else {}
    stated = event.model_copy(update={"actions": actions.model_copy(update={"state_delta": {}})}) if actions else event
    fields = stated.model_dump(exclude_none=True, mode="json")
    if delta:
        fields["actions"]["state_delta"] = _kept(delta)
    content = fields.pop("content", None)
    if content is None:
        return {"kind": _EVENT, "event": fields}
    kind = _kind(content, event.author)
    if kind in _ROLES:
        content["role"] = _ROLES[kind][0]
    return {"kind": kind, "message": content, "event": fields}


def _kind(content: dict[str, Any], author: str) -> str:
    role = content.get("role")
    if role is None:
        return "adk.user" if author == "user" else "adk.agent"
    # The ADK has results of tools said by the user, as the model's interface wants it.
    if role == "user" and any("function_response" in part for part in content.get("parts") or ()):
        return "adk.tool"
    return "adk.model" if role == "model" else _EVENT


def event_of(payload: JsonObject) -> Event | None:
    """The event in a node's payload, or `None` where the node holds none."""
    kind = payload.get("kind")
    if kind not in _EVENTS:
        return None
    fields = dict(payload["event"])
    if "message" in payload:
        content = fields["content"] = dict(payload["message"])
        if kind in _ROLES:
            del content["role"]
            own_role = _ROLES[kind][1]
            if own_role is not None:
                content["role"] = own_role
    return Event.model_validate(fields)


def delta_of(payload: JsonObject) -> dict[str, Any]:
    """What a node changes in the state, with the prefixes of the keys."""
    if payload.get("kind") == SESSION:
        return dict(payload["state"])
    if payload.get("kind") in _EVENTS:
        return dict((payload["event"].get("actions") or {}).get("state_delta") or {})
    return {}


def own(delta: dict[str, Any]) -> dict[str, Any]:
    """The part of it that is the session's."""
    return {key: value for key, value in delta.items() if not key.startswith((_APP, _USER, _TEMP))}


def shared(delta: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parts of it that are the app's and the user's, without the prefixes."""
    of_app = {key.removeprefix(_APP): value for key, value in delta.items() if key.startswith(_APP)}
    of_user = {key.removeprefix(_USER): value for key, value in delta.items() if key.startswith(_USER)}
    return of_app, of_user


def _kept(delta: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in delta.items() if not key.startswith(_TEMP)}
