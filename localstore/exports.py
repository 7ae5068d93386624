"""Conversations for others to read: as Markdown, and as messages in the style of OpenAI's chat API.

Both take nodes as they come, such as `load_session(ActivePath()).graph.nodes`, whichever of the common shapes their
payloads have, and leave out what is no message. What neither form has a place for (thinking, unknown parts) is left out
of the messages, and named in the Markdown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from .contract.graph import SessionNodeRecord
from .contract.values import JsonObject
from .machine.searching import role_of
from .machine.spoken import in_parts

_TEXTS = {"text", "input_text", "output_text"}
_IMAGES = {"image_url", "input_image", "image"}
_ROLES = {"model": "assistant"}
"""What others call the roles of OpenAI's messages."""


def to_messages(nodes: Iterable[SessionNodeRecord]) -> Iterator[JsonObject]:
    """Messages with `role`, `content`, `tool_calls`, and `tool_call_id`, in order.

    A node with results of several tools becomes as many messages. The arguments of a call are JSON text.
    """
    for node in nodes:
        message = message_of(node)
        for each in () if message is None else _converted(message):
            content = each["content"]
            if each["role"] != "tool":
                content = [part for part in content if part["type"] == "text" or part["type"] in _IMAGES]
                if not content and "tool_calls" not in each:
                    continue
            yield {**each, "content": _joined(content)}


def message_of(node: SessionNodeRecord) -> JsonObject | None:
    """The message that a node is or holds, with the role that the node is given; `None` where there is none."""
    payload = node.payload
    role = role_of(payload)
    for holder in (payload.get("message"), payload.get("event"), payload):
        if role is not None and isinstance(holder, dict) and (holder is payload or _has_body(holder)):
            return {**holder, "role": role}
    return None


def _has_body(holder: JsonObject) -> bool:
    return any(name in holder for name in ("role", "content", "parts", "tool_calls", "arguments", "output"))


def _converted(message: JsonObject) -> Iterator[JsonObject]:
    """Messages in OpenAI's style; `content` is text where it is the result of a tool, and otherwise a list of parts.

    Of parts that are neither text nor image, such as thinking, there is no more than their `type`.
    """
    role = _ROLES.get(message["role"], message["role"])
    message = in_parts(message)
    calls = [_call(each) for each in _dicts(message.get("tool_calls"))]
    if isinstance(message.get("name"), str) and "arguments" in message:
        calls.append(_function(message.get("call_id") or message.get("id"), message["name"], message["arguments"]))
    content: list[JsonObject] = []
    results: list[JsonObject] = []
    for part in _parts(message):
        kind = part.get("type")
        if kind == "tool_use":
            calls.append(_function(part.get("id"), part.get("name"), part.get("input")))
        elif kind == "tool_result":
            results.append(_result(part.get("tool_use_id"), part.get("content")))
        elif kind in _TEXTS or (kind is None and isinstance(part.get("text"), str)):
            content.append({"type": "text", "text": str(part.get("text", ""))})
        elif isinstance(kind, str):
            content.append(part if kind in _IMAGES else {"type": kind})
    if role == "tool" and not results:
        given = message.get("tool_call_id") or message.get("call_id")
        ids = message.get("tool_call_ids")
        given = given or (ids[0] if isinstance(ids, list) and ids else None)
        yield _result(given, message.get("output", message.get("content")))
        return
    said = []
    if content or calls:
        made: JsonObject = {"role": role, "content": content}
        said = [{**made, "tool_calls": calls} if calls else made]
    # Who calls hears the results afterwards; who speaks beside results answers to them.
    yield from [*said, *results] if calls else [*results, *said]


def _parts(message: JsonObject) -> list[JsonObject]:
    found: list[JsonObject] = []
    for name in ("content", "parts"):
        body = message.get(name)
        if isinstance(body, str):
            found.append({"type": "text", "text": body})
        for item in body if isinstance(body, list) else ():
            if isinstance(item, str):
                found.append({"type": "text", "text": item})
            elif isinstance(item, dict):
                found.append(item)
    return found


def _dicts(value: Any) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _joined(content: str | list[JsonObject]) -> Any:
    if isinstance(content, str):
        return content
    if not content:
        return None
    if all(part.get("type") == "text" for part in content):
        return "\n".join(part["text"] for part in content)
    return content


def _call(call: JsonObject) -> JsonObject:
    function = call.get("function")
    if not isinstance(function, dict):
        return call
    return _function(call.get("id"), function.get("name"), function.get("arguments"))


def _function(call_id: Any, name: Any, arguments: Any) -> JsonObject:
    text = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


def _result(call_id: Any, content: Any) -> JsonObject:
    if isinstance(content, str):
        text = content
    elif isinstance(content, list):
        texts = (_result_text(part) for part in _parts({"content": content}))
        text = "\n".join(each for each in texts if each is not None)
    else:
        text = "" if content is None else orjson.dumps(content).decode()
    made: JsonObject = {"role": "tool", "content": text}
    return made if call_id is None else {**made, "tool_call_id": call_id}


def _result_text(part: JsonObject) -> str | None:
    if isinstance(part.get("text"), str):
        return str(part["text"])
    return None if "type" in part else orjson.dumps(part).decode()


def to_markdown(title: str, nodes: Iterable[SessionNodeRecord]) -> Iterator[str]:
    """A document in pieces: a heading, and a section a message; calls of tools and their results in fenced blocks."""
    yield f"# {' '.join(title.split())}\n"
    for node in nodes:
        message = message_of(node)
        for each in () if message is None else _converted(message):
            yield f"\n## {str(each['role']).capitalize()}\n"
            yield f"\n*{node.timestamp}*\n"
            yield from _sections(each)


def _sections(message: JsonObject) -> Iterator[str]:
    content = message.get("content")
    if message["role"] == "tool":
        yield _fenced(str(content), "text")
    for part in content if isinstance(content, list) else ():
        yield f"\n{part['text'].rstrip()}\n" if part.get("type") == "text" else f"\n*({part.get('type')})*\n"
    for call in _dicts(message.get("tool_calls")):
        function = call.get("function")
        if isinstance(function, dict):
            yield f"\nCalls `{function.get('name')}`:\n"
            yield _fenced(str(function.get("arguments")), "json")


def _fenced(text: str, language: str) -> str:
    """A block that nothing in `text` can end."""
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    fence = "`" * max(3, longest + 1)
    return f"\n{fence}{language}\n{text.rstrip()}\n{fence}\n"
