"""Messages of other shapes, as messages of parts."""

from __future__ import annotations

from typing import Any

import pytest

from localstore.machine.spoken import in_parts

Message = dict[str, Any]


def used(call: Any, name: Any, given: Any) -> Message:
    return {"type": "tool_use", "id": call, "name": name, "input": given}


def result(call: Any, content: Any) -> Message:
    return {"type": "tool_result", "tool_use_id": call, "content": content}


ITEMS: dict[str, tuple[Message, list[Message]]] = {
    "call": (
        {"type": "function_call", "call_id": "c", "id": "i", "name": "look", "arguments": "{}"},
        [used("c", "look", "{}")],
    ),
    "call without a name": ({"type": "shell_call", "id": "i", "action": {"a": 1}}, [used("i", "shell", {"a": 1})]),
    "call that was given nothing": ({"type": "x_call", "input": None, "call_id": "c"}, [used("c", "x", {})]),
    "call with its output": (
        {"type": "x_call", "call_id": "c", "code": "1", "output": "2"},
        [used("c", "x", "1"), result("c", "2")],
    ),
    "output": ({"type": "function_call_output", "call_id": "c", "output": [1]}, [result("c", [1])]),
    "reasoning": (
        {"type": "reasoning", "summary": [{"text": "a"}, {"text": 5}, "b"], "content": [{"text": "c"}]},
        [{"type": "thinking", "thinking": "a"}, {"type": "thinking", "thinking": "c"}],
    ),
    "reasoning without words": ({"type": "reasoning", "summary": None, "content": 5}, [{"type": "reasoning"}]),
}


@pytest.mark.parametrize("name", ITEMS)
def test_items_of_the_responses_api(name):
    item, parts = ITEMS[name]
    assert in_parts({**item, "role": "assistant"}) == {"role": "assistant", "content": parts}


PARTS: dict[str, tuple[Message, Message]] = {
    "text": ({"text": "a"}, {"type": "text", "text": "a"}),
    "thought": ({"text": "a", "thought": True}, {"type": "thinking", "thinking": "a"}),
    "no thought": ({"text": "a", "thought": 1}, {"type": "text", "text": "a"}),
    "call": ({"function_call": {"id": "c", "name": "look", "args": {"a": 1}}}, used("c", "look", {"a": 1})),
    "call without arguments": ({"text": None, "function_call": {"name": "look"}}, used(None, "look", {})),
    "response": ({"function_response": {"id": "c", "response": {"a": 1}}}, result("c", '{"a":1}')),
    "response of a result": ({"function_response": {"response": {"result": "a"}}}, result(None, "a")),
    "response of a result and more": (
        {"function_response": {"response": {"result": "a", "b": 1}}},
        result(None, '{"result":"a","b":1}'),
    ),
    "response that is a list": ({"function_response": {"response": ["result"]}}, result(None, '["result"]')),
    "code": (
        {"executable_code": {"id": "c", "language": "PY", "code": "1"}},
        used("c", "code_execution", {"language": "PY", "code": "1"}),
    ),
    "output": ({"code_execution_result": {"id": "c", "output": "1"}}, result("c", "1")),
    "no output": ({"code_execution_result": {"id": "c"}}, result("c", "")),
    "image": (
        {"inline_data": {"mime_type": "image/png", "data": "a-_b"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,a+/b"}},
    ),
    "image elsewhere": (
        {"file_data": {"mime_type": "image/png", "file_uri": "file:a-_b"}},
        {"type": "image_url", "image_url": {"url": "file:a-_b"}},
    ),
    "sound": ({"inline_data": {"mime_type": "audio/wav", "data": "a"}}, {"type": "audio/wav"}),
    "another": ({"video": 1}, {"type": "video"}),
    "nothing": ({}, {"type": None}),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_gemini(name):
    given, part = PARTS[name]
    assert in_parts({"role": "model", "parts": [given]}) == {"role": "model", "parts": [part]}


def test_parts_of_others_stay_beside_them():
    others = [{"type": "text", "text": "a"}, {"kind": "text", "text": "b"}, "c"]
    assert in_parts({"parts": [*others, {"text": "d"}]}) == {"parts": [*others, {"type": "text", "text": "d"}]}


def test_calls_of_langchain():
    ours = {"id": "c", "name": "look", "args": {"a": 1}, "type": "tool_call"}
    theirs = {"id": "d", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    made = {"id": "c", "type": "function", "function": {"name": "look", "arguments": {"a": 1}}}
    others = [theirs, {**theirs, "args": 1}, {"name": "neither"}, "args"]
    assert in_parts({"role": "x", "tool_calls": [ours, *others]}) == {"role": "x", "tool_calls": [made, *others]}


SAME: list[Message] = [
    {},
    {"type": 5},
    {"type": "message", "role": "user", "content": "a"},
    {"tool_calls": "args"},
    {"tool_calls": []},
    {"tool_calls": [{"function": {}, "args": 1}, {"name": "neither"}, "function args"]},
    {"parts": "abc"},
    {"parts": [{"type": "text"}, {"kind": "text"}, "type"]},
]


@pytest.mark.parametrize("message", SAME, ids=str)
def test_others_stay_as_they_are(message):
    assert in_parts(message) is message
