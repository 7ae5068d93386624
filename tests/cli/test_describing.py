"""What a node is said to say, for the shapes of messages that there are."""

import pytest

from localstore import SessionNodeRecord
from localstore.cli.describing import said

CALL = {"name": "Bash", "input": {"command": "ls"}}


def node(payload):
    return SessionNodeRecord("n", None, "2026-01-01T00:00:00Z", payload)


@pytest.mark.parametrize(
    "message, text",
    [
        ({"role": "user", "content": "hello"}, "hello"),
        ({"role": "user", "content": [{"type": "text", "text": "one"}, "two"]}, "one\ntwo"),
        ({"role": "user", "parts": [{"kind": "text", "content": "one"}]}, "one"),
        ({"role": "user", "content": [{"type": "image", "source": {}}]}, "(image)"),
        ({"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}]}, "hm"),
        ({"role": "assistant", "content": [{"type": "tool_use", **CALL}]}, '→ Bash({"command":"ls"})'),
        ({"role": "tool", "content": [{"type": "tool_result", "content": "done"}]}, "← done"),
        ({"role": "tool", "content": [{"type": "tool_result", "content": [{"text": "a"}, {"text": "b"}]}]}, "← a\nb"),
        ({"role": "tool", "content": "done"}, "← done"),
        ({"role": "tool", "type": "function_call_output", "output": "done"}, "← done"),
        ({"role": "assistant", "type": "function_call", "name": "shell", "arguments": "{}"}, "→ shell({})"),
        ({"role": "tool", "type": "shell_call_output", "output": [{"stdout": "a"}]}, '← {"stdout":"a"}'),
        ({"role": "tool", "type": "computer_call_output", "output": {"type": "screenshot"}}, "← (screenshot)"),
        ({"role": "assistant", "type": "custom_tool_call", "name": "patch", "input": "+a"}, "→ patch(+a)"),
        ({"role": "assistant", "type": "shell_call", "action": {"commands": []}}, '→ shell({"commands":[]})'),
        ({"role": "assistant", "type": "mcp_call", "name": "f", "arguments": "{}", "output": "x"}, "→ f({})\n← x"),
        ({"role": "assistant", "type": "web_search_call", "action": None}, "→ web_search({})"),
        ({"role": "assistant", "type": "reasoning", "summary": [{"text": "hm"}, {}], "content": None}, "hm"),
        ({"role": "assistant", "type": "reasoning", "encrypted_content": "x"}, "(reasoning)"),
        ({"role": "model", "parts": [{"text": "one"}, {"function_call": {"name": "f"}}]}, "one\n→ f({})"),
        ({"role": "tool", "parts": [{"function_response": {"response": {"result": "x"}}}]}, "← x"),
        ({"role": "tool", "parts": [{"function_response": {"response": {"a": 1}}}]}, '← {"a":1}'),
        ({"role": "model", "parts": [{"inline_data": {"mime_type": "audio/wav"}}, {}]}, "(audio/wav)"),
        (
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
            "→ f({})",
        ),
        ({"role": "assistant", "content": 7, "tool_calls": [1], "parts": {}}, ""),
        ({"role": "assistant", "content": [None, 3, {}, {"type": 1}]}, ""),
    ],
)
def test_messages(message, text):
    for payload in ({"kind": "event", "message": message}, {"kind": "event", "event": message}, message):
        assert said(node(payload)) == (message["role"], text)


@pytest.mark.parametrize(
    "payload, role, text",
    [
        ({"kind": "claude-code.summary", "source": {"summary": "short"}}, "claude-code.summary", "short"),
        ({"kind": "plugin", "value": 1}, "plugin", '{"kind":"plugin","value":1}'),
        ({"kind": "x", "source": [1]}, "x", '{"kind":"x","source":[1]}'),
        ({}, "?", "{}"),
    ],
)
def test_records(payload, role, text):
    assert said(node(payload)) == (role, text)
