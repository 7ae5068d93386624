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
_TOOL: Final = "adk.tool"

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
    # The ADK has results of tools said by the user, as the model's interface wants it.
    if content.get("role") == "user" and any("function_response" in part for part in content.get("parts") or ()):
        return {"kind": _TOOL, "message": {**content, "role": "tool"}, "event": fields}
    return {"kind": _EVENT, "message": content, "event": fields}


def event_of(payload: JsonObject) -> Event | None:
    """The event in a node's payload, or `None` where the node holds none."""
    if payload.get("kind") not in (_EVENT, _TOOL):
        return None
    fields = dict(payload["event"])
    if "message" in payload:
        fields["content"] = dict(payload["message"])
        if payload["kind"] == _TOOL:
            fields["content"]["role"] = "user"
    return Event.model_validate(fields)


def delta_of(payload: JsonObject) -> dict[str, Any]:
    """What a node changes in the state, with the prefixes of the keys."""
    if payload.get("kind") == SESSION:
        return dict(payload["state"])
    if payload.get("kind") in (_EVENT, _TOOL):
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
