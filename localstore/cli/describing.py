"""Records in words: what a node says, who holds a lease, what an input or a piece of work is."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from ..contract.graph import SessionNodeRecord
from ..contract.inputs import ActiveTurn, TextItem, TurnInput, TurnInputIngress
from ..contract.leases import LeaseOwnerIdentity, LocalProcess
from ..contract.state import TokenUsage
from ..contract.work import ProcessWake, QueuedWorkPayload
from ..machine.spoken import in_parts

CALL = "→"
RESULT = "←"


class Said(NamedTuple):
    """Who speaks in a node and what it says, for people; nothing of it is cut."""

    role: str
    text: str


class Part(NamedTuple):
    """A part of what is said; calls of tools and their results are `folded` where one reads what was said."""

    text: str
    folded: bool = False


def said(node: SessionNodeRecord) -> Said:
    """What a node says: text, calls of tools and their results, whichever of the common shapes its payload has."""
    role, parts = parts_said(node)
    return Said(role, "\n".join([part.text for part in parts]))


def parts_said(node: SessionNodeRecord) -> tuple[str, list[Part]]:
    """Who speaks in a node, and the parts of what it says; see `said`."""
    payload = node.payload
    for holder in (payload.get("message"), payload.get("event"), payload):
        if isinstance(holder, dict) and isinstance(holder.get("role"), str):
            return holder["role"], _parts(in_parts(holder))
    return str(payload.get("kind", "?")), [Part(_record_text(payload), folded=True)]


def _record_text(payload: dict[str, Any]) -> str:
    source = payload.get("source")
    shown = source if isinstance(source, dict) else payload
    for key in ("summary", "customTitle", "text", "content"):
        if isinstance(shown.get(key), str):
            return str(shown[key])
    return _compact(shown)


def _parts(message: dict[str, Any]) -> list[Part]:
    found: list[Part] = []
    for key in ("content", "parts", "output"):
        body = message.get(key)
        if isinstance(body, str):
            is_result = message["role"] == "tool"
            found.append(Part(f"{RESULT} {body}" if is_result else body, is_result))
        elif isinstance(body, list):
            found.extend(made for part in body if (made := _part(part)).text)
    if isinstance(message.get("name"), str) and "arguments" in message:
        found.append(_call(message["name"], message["arguments"]))
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            found.append(_call(function.get("name"), function.get("arguments")))
    return found


def _part(part: Any) -> Part:
    if isinstance(part, str):
        return Part(part)
    if not isinstance(part, dict):
        return Part("")
    kind = part.get("type")
    if kind == "tool_use":
        return _call(part.get("name"), part.get("input"))
    if kind == "tool_result":
        content = part.get("content")
        inner = content if isinstance(content, list) else [content]
        return Part(f"{RESULT} " + "\n".join(text for item in inner if (text := _result_text(item))), folded=True)
    for key in ("text", "content", "thinking"):
        if isinstance(part.get(key), str):
            return Part(str(part[key]))
    return Part(f"({kind})" if isinstance(kind, str) else "")


def _result_text(item: Any) -> str:
    return _part(item).text or (_compact(item) if isinstance(item, dict) and item and "type" not in item else "")


def _call(name: object, arguments: object) -> Part:
    return Part(f"{CALL} {name}({arguments if isinstance(arguments, str) else _compact(arguments)})", folded=True)


def _compact(value: object) -> str:
    return orjson.dumps(value).decode()


def input_text(given: TurnInput) -> str:
    """What the user gave, images by their names."""
    return "\n".join(item.text if isinstance(item, TextItem) else f"(image {item.id})" for item in given.items)


def payload_text(payload: QueuedWorkPayload) -> str:
    """What queued work is about."""
    if isinstance(payload, ProcessWake):
        return f"wake {_compact(payload.wake)}"
    return f"command {_compact(payload.command)}"


def ingress_text(ingress: TurnInputIngress) -> str:
    """Which turn an input is for."""
    return f"turn {ingress.turn_id}" if isinstance(ingress, ActiveTurn) else "next turn"


def is_dead(owner: LeaseOwnerIdentity) -> bool:
    """Whether the owner is proved to be dead, as far as that can be done from here."""
    return owner.is_definitely_dead_for_claimant(LeaseOwnerIdentity.local_process("localstore", "1"))


def owner_text(owner: LeaseOwnerIdentity) -> str:
    """Who that is, and whether it is dead, as far as can be proved from here."""
    alive = owner.liveness
    if not isinstance(alive, LocalProcess):
        return owner.owner_id
    verdict = ", dead" if is_dead(owner) else ""
    return f"{owner.owner_id} (pid {alive.pid}{verdict})"


def usage_counts(usage: TokenUsage) -> dict[str, int]:
    """The counts of a usage, as `--json` prints them."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
        "cache_write_input_tokens": usage.cache_write_input_tokens,
        "reasoning_output_tokens": usage.reasoning_output_tokens,
    }


def owner_fields(owner: LeaseOwnerIdentity) -> dict[str, Any]:
    """An owner, as `--json` prints it; `process` is `null` for one of which nothing but its names is known."""
    alive = owner.liveness
    process: dict[str, Any] | None = None
    if isinstance(alive, LocalProcess):
        dead = is_dead(owner)
        process = {"host_id": alive.host_id, "boot_id": alive.boot_id, "pid": alive.pid, "definitely_dead": dead}
    return {"owner_id": owner.owner_id, "incarnation_id": owner.incarnation_id, "process": process}
