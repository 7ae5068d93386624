"""Codex rollout lines: items as messages, events as records, usage from totals."""

from typing import Any

import pytest

from localstore.importers import EntryUsage, read_transcript
from tests.importers.transcript_checks import judge, lines_of, originals, roles, total_usage

CONTEXT = "<environment_context>\n  <cwd>/home/dev/invoices</cwd>\n</environment_context>"


def line(kind: str, payload: Any) -> dict[str, Any]:
    return {"timestamp": "2025-11-23T19:24:17.722Z", "type": kind, "payload": payload}


def item(**payload: Any) -> dict[str, Any]:
    return line("response_item", payload)


def said(role: str, *texts: str) -> dict[str, Any]:
    content = [{"type": "output_text" if role == "assistant" else "input_text", "text": text} for text in texts]
    return item(type="message", role=role, content=content)


def tokens(total: dict[str, int] | None, last: dict[str, int] | None = None) -> dict[str, Any]:
    info = {"total_token_usage": total, "last_token_usage": last, "model_context_window": 272000}
    return line("event_msg", {"type": "token_count", "info": info, "rate_limits": None})


SESSION = (
    line(
        "session_meta",
        {
            "id": "0199-aa",
            "timestamp": "2025-11-23T19:24:16Z",
            "cwd": "/home/dev/invoices",
            "cli_version": "0.63.0",
        },
    ),
    said("developer", "be terse"),
    said("user", CONTEXT),
    line("turn_context", {"cwd": "/home/dev/other", "model": "gpt-5-codex", "effort": "high"}),
    said("user", "why does it fail?"),
    line("event_msg", {"type": "user_message", "message": "why does it fail?", "images": []}),
    item(type="reasoning", summary=[], content=None, encrypted_content="gAAA"),
    item(type="function_call", name="shell", arguments='{"command":["ls"]}', call_id="call_1"),
    item(type="function_call_output", call_id="call_1", output="src"),
    item(type="custom_tool_call", name="apply_patch", input="*** Begin", call_id="call_2", status="completed"),
    item(type="custom_tool_call_output", call_id="call_2", output="ok"),
    said("assistant", "A typo."),
    line("event_msg", {"type": "agent_message", "message": "A typo."}),
    line("compacted", {"message": "earlier", "replacement_history": []}),
    item(type="ghost_snapshot", ghost_commit={"id": "c0"}),
)


def test_items_are_messages_and_events_never_repeat_them():
    transcript = judge(read_transcript(lines_of(*SESSION)))
    assert transcript.problems == ()
    assert roles(transcript) == [
        *("codex.session_meta", "developer", "system", "codex.turn_context", "user", "codex.event_msg"),
        *("assistant", "assistant", "tool", "assistant", "tool", "assistant", "codex.event_msg"),
        *("codex.compacted", "codex.response_item"),
    ]
    assert originals(transcript) == list(SESSION)


def test_session_facts_and_chain():
    transcript = judge(read_transcript(lines_of(*SESSION)))
    assert transcript.session_id == "0199-aa"
    assert transcript.created_at == "2025-11-23T19:24:16Z"
    assert transcript.cwd == "/home/dev/invoices"
    assert transcript.model == "gpt-5-codex"
    ids = [entry.entry_id for entry in transcript.entries]
    assert [entry.parent_id for entry in transcript.entries] == [None, *ids[:-1]]
    assert transcript.metadata == {"leaf_entry_id": ids[-1]}
    answering = [entry.model for entry in transcript.entries if entry.model]
    assert answering == ["gpt-5-codex"] * 4


def test_a_tool_call_gets_a_role_and_loses_it_on_the_way_back():
    (entry,) = read_transcript(lines_of(SESSION[7])).entries
    assert entry.payload == {
        "kind": "event",
        "message": {
            "type": "function_call",
            "name": "shell",
            "arguments": '{"command":["ls"]}',
            "call_id": "call_1",
            "role": "assistant",
        },
        "source": {
            "timestamp": "2025-11-23T19:24:17.722Z",
            "type": "response_item",
            "payload": {"role": None},
        },
    }


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"role": "user", "content": "<user_instructions>x</user_instructions>"}, "system"),
        (
            {"role": "user", "content": [{"text": "# AGENTS.md instructions for /x"}, {"text": CONTEXT}]},
            "system",
        ),
        ({"role": "user", "content": [{"text": CONTEXT}, {"text": "and my question"}]}, "user"),
        ({"role": "user", "content": [{"text": CONTEXT}, {"image_url": "data:"}]}, "user"),
        ({"role": "user", "content": []}, "user"),
        ({"role": "user"}, "user"),
        ({"role": "assistant", "content": CONTEXT}, "assistant"),
        ({"role": None, "type": "message"}, "codex.response_item"),
        ({"role": None, "type": "function_call"}, "codex.response_item"),
        ({"role": 3, "type": "web_search_call"}, "codex.response_item"),
        ({"type": "web_search_call"}, "assistant"),
        ({"type": None}, "codex.response_item"),
        ({}, "codex.response_item"),
    ],
)
def test_roles_of_items(payload, expected):
    source = item(**payload)
    transcript = judge(read_transcript(lines_of(source)))
    assert roles(transcript) == [expected]
    assert originals(transcript) == [source]


@pytest.mark.parametrize("odd", [{"payload": 3}, {"type": 7, "payload": {"type": "token_count"}}, {}, {"role": "user"}])
def test_odd_lines_are_kept_as_records(odd):
    transcript = judge(read_transcript(lines_of(SESSION[0], odd)))
    assert originals(transcript) == [SESSION[0], odd]
    assert transcript.entries[1].payload["kind"] == "codex.record"


def test_usage_is_the_growth_of_the_totals():
    first = {
        "input_tokens": 100,
        "cached_input_tokens": 60,
        "output_tokens": 20,
        "reasoning_output_tokens": 8,
    }
    second = {
        "input_tokens": 250,
        "cached_input_tokens": 160,
        "output_tokens": 25,
        "reasoning_output_tokens": 8,
    }
    raw = lines_of(
        *SESSION[:4],
        line("event_msg", {"type": "token_count", "info": None}),
        tokens(first, first),
        tokens(first, first),
        tokens(second, {"input_tokens": 150, "cached_input_tokens": 100, "output_tokens": 5}),
    )
    transcript = judge(read_transcript(raw))
    usages = [entry.usage for entry in transcript.entries[4:]]
    assert usages == [None, EntryUsage(40, 20, 60, 0, 8), None, EntryUsage(50, 5, 100, 0, 0)]
    assert total_usage(transcript) == EntryUsage(90, 25, 160, 0, 8)
    assert transcript.entries[5].model == "gpt-5-codex"


def test_totals_that_start_anew_count_the_event_s_own_call():
    raw = lines_of(
        tokens({"input_tokens": 100, "output_tokens": 20}),
        tokens({"input_tokens": 7, "output_tokens": 2}, {"input_tokens": 7, "output_tokens": 2}),
        tokens({"input_tokens": 9, "output_tokens": 3}, {"input_tokens": 2, "output_tokens": 1}),
        tokens(None, {"input_tokens": 1, "output_tokens": 1}),
    )
    usages = [entry.usage for entry in judge(read_transcript(raw)).entries]
    assert usages == [EntryUsage(100, 20), EntryUsage(7, 2), EntryUsage(2, 1), EntryUsage(1, 1)]


def test_totals_that_are_none_are_reported():
    transcript = judge(read_transcript(lines_of(tokens({"input_tokens": -3}), tokens({"input_tokens": 3}))))
    assert [problem.line for problem in transcript.problems] == [1]
    assert [entry.usage for entry in transcript.entries] == [None, EntryUsage(3)]
