"""Messages of other shapes as messages of parts: the items of OpenAI's Responses API, the parts of Gemini's, and the
calls of LangChain's, which become those of OpenAI's chat API.

Parts are `text`, `thinking`, `tool_use` (`id`, `name`, `input`), `tool_result` (`tool_use_id`, `content`), `image_url`,
and others by their type alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from ..contract.values import JsonObject

_GIVEN = ("arguments", "input", "action", "operation", "queries", "code")
"""Where the various calls of tools have what the tool was given."""
_STANDARD = str.maketrans("-_", "+/")


def in_parts(message: JsonObject) -> JsonObject:
    """The message with its `content` in parts where its shape was one of those; otherwise as it is."""
    kind = message.get("type")
    if isinstance(kind, str) and kind.endswith(("_call", "_output")):
        return {"role": message.get("role"), "content": list(_of_item(kind, message))}
    if kind == "reasoning":
        return {"role": message.get("role"), "content": list(_thoughts(message)) or [{"type": kind}]}
    calls = message.get("tool_calls")
    if isinstance(calls, list) and any(_is_langchain(call) for call in calls):
        return {**message, "tool_calls": [_of_langchain(call) if _is_langchain(call) else call for call in calls]}
    parts = message.get("parts")
    if isinstance(parts, list) and any(_is_gemini(part) for part in parts):
        return {**message, "parts": [_of_gemini(part) if _is_gemini(part) else part for part in parts]}
    return message


def _of_item(kind: str, item: JsonObject) -> Iterator[JsonObject]:
    call_id = item.get("call_id") or item.get("id")
    if kind.endswith("_output"):
        yield {"type": "tool_result", "tool_use_id": call_id, "content": item.get("output")}
        return
    given: Any = next((item[name] for name in _GIVEN if item.get(name) is not None), {})
    yield {"type": "tool_use", "id": call_id, "name": item.get("name") or kind.removesuffix("_call"), "input": given}
    if item.get("output") is not None:
        yield {"type": "tool_result", "tool_use_id": call_id, "content": item["output"]}


def _thoughts(item: JsonObject) -> Iterator[JsonObject]:
    for name in ("summary", "content"):
        parts = item.get(name)
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield {"type": "thinking", "thinking": part["text"]}


def _is_langchain(call: Any) -> bool:
    return isinstance(call, dict) and "function" not in call and "args" in call


def _of_langchain(call: JsonObject) -> JsonObject:
    function = {"name": call.get("name"), "arguments": call["args"]}
    return {"id": call.get("id"), "type": "function", "function": function}


def _is_gemini(part: Any) -> bool:
    return isinstance(part, dict) and "type" not in part and "kind" not in part


def _of_gemini(part: JsonObject) -> JsonObject:
    if isinstance(part.get("text"), str):
        is_thought = part.get("thought") is True
        return {"type": "thinking", "thinking": part["text"]} if is_thought else {"type": "text", "text": part["text"]}
    for name, made in (
        ("function_call", _called),
        ("function_response", _responded),
        ("executable_code", _code),
        ("code_execution_result", _output),
        ("inline_data", _media),
        ("file_data", _media),
    ):
        body = part.get(name)
        if isinstance(body, dict):
            return made(body)
    return {"type": next(iter(part), None)}


def _called(call: JsonObject) -> JsonObject:
    return {"type": "tool_use", "id": call.get("id"), "name": call.get("name"), "input": call.get("args") or {}}


def _responded(given: JsonObject) -> JsonObject:
    response = given.get("response")
    # What is no object, Gemini's clients put into one.
    if isinstance(response, dict) and set(response) == {"result"}:
        response = response["result"]
    text = response if isinstance(response, str) else orjson.dumps(response).decode()
    return {"type": "tool_result", "tool_use_id": given.get("id"), "content": text}


def _code(code: JsonObject) -> JsonObject:
    given = {"language": code.get("language"), "code": code.get("code")}
    return {"type": "tool_use", "id": code.get("id"), "name": "code_execution", "input": given}


def _output(result: JsonObject) -> JsonObject:
    return {"type": "tool_result", "tool_use_id": result.get("id"), "content": result.get("output") or ""}


def _media(media: JsonObject) -> JsonObject:
    kind = str(media.get("mime_type"))
    if not kind.startswith("image/"):
        return {"type": kind}
    data = media.get("data")
    url = media.get("file_uri") if data is None else f"data:{kind};base64,{str(data).translate(_STANDARD)}"
    return {"type": "image_url", "image_url": {"url": url}}
