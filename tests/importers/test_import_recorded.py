"""Transcripts that other tools really wrote, with everything that is known about them."""

import orjson
import pytest

from localstore.importers import EntryUsage, read_transcript, read_transcript_file
from tests.importers.transcript_checks import judge, originals, recorded, roles, total_usage


def test_claude_code_session_with_tools_and_no_parents():
    transcript = judge(read_transcript_file(recorded("claude-code/representative_messages.jsonl")))
    assert transcript.source_format == "claude-code"
    assert transcript.session_id == "test_session"
    assert transcript.title is not None
    assert transcript.title.startswith("User learned about Python decorators, including basic")
    assert transcript.cwd == "/tmp"
    assert transcript.model == "claude-3-sonnet-20240229"
    assert transcript.created_at == "2025-06-14T10:00:00Z"
    assert transcript.problems == ()
    assert roles(transcript) == [
        *("user", "assistant", "user", "assistant", "tool", "assistant", "user", "assistant", "tool"),
        *("assistant", "user", "claude-code.summary"),
    ]
    assert [entry.entry_id for entry in transcript.entries[:11]] == [f"msg_{n:03}" for n in range(1, 12)]
    assert [entry.parent_id for entry in transcript.entries] == [None, *(f"msg_{n:03}" for n in range(1, 12))]
    assert total_usage(transcript) == EntryUsage(input_tokens=218, output_tokens=445)
    assert transcript.metadata == {
        "leaf_entry_id": "msg_011",
        "session_ids": ["test_session"],
        "sidechain_entry_count": 0,
    }


def test_claude_code_session_with_a_chain_of_parents():
    transcript = judge(read_transcript_file(recorded("claude-code/todowrite_examples.jsonl")))
    assert transcript.title == "Feature Implementation with Task Management"
    assert transcript.model == "claude-sonnet-4"
    assert roles(transcript) == [
        *("user", "assistant", "assistant", "tool", "assistant", "assistant", "tool", "user", "assistant"),
        *("assistant", "tool", "claude-code.summary"),
    ]
    chain = transcript.entries[:11]
    assert [entry.parent_id for entry in chain] == [None, *(entry.entry_id for entry in chain[:-1])]
    assert transcript.entries[11].parent_id == "assistant_006"
    assert transcript.metadata["leaf_entry_id"] == "user_005"
    assert total_usage(transcript) == EntryUsage(input_tokens=883, output_tokens=328)
    results = chain[3].payload["message"]["content"]
    assert [part["tool_use_id"] for part in results] == ["toolu_todowrite_001"]
    assert len(chain[3].payload["source"]["toolUseResult"]["newTodos"]) == 5


def test_claude_code_session_that_is_short():
    transcript = judge(read_transcript_file(recorded("claude-code/session_b.jsonl")))
    assert roles(transcript) == ["user", "assistant", "user"]
    assert transcript.session_id == "session_b"
    assert transcript.title is None
    assert [entry.usage for entry in transcript.entries] == [None, EntryUsage(20, 35), None]
    assert [entry.model for entry in transcript.entries] == [None, "claude-3-sonnet-20240229", None]


def test_codex_session_of_one_line_without_a_line_end():
    transcript = judge(read_transcript_file(recorded("codex/example-session.jsonl")))
    assert transcript.source_format == "codex"
    assert transcript.session_id == "019ab22c-95af-7160-b11d-8f552d0ce721"
    assert transcript.cwd == "/home/user/projects/temp/codex-session-view"
    assert transcript.created_at == "2025-11-23T19:24:17.712Z"
    assert transcript.model == ""
    assert roles(transcript) == ["codex.session_meta"]
    assert transcript.entries[0].timestamp == "2025-11-23T19:24:17.722Z"
    assert transcript.entries[0].payload["source"]["payload"]["cli_version"] == "0.63.0"


def test_swe_agent_trajectory_with_function_calls():
    transcript = judge(read_transcript_file(recorded("swe-agent/marshmallow-1867-function-calling.traj")))
    assert transcript.source_format == "swe-agent"
    assert transcript.model == "gpt-4o"
    assert transcript.cwd == "/testbed"
    assert roles(transcript) == ["system", "user", *["assistant", "tool"] * 11]
    assert [entry.model for entry in transcript.entries[:4]] == [None, None, "gpt-4o", None]
    assert [entry.usage for entry in transcript.entries] == [None] * 24
    call, result = transcript.entries[2].payload, transcript.entries[3].payload
    assert call["message"]["tool_calls"][0]["function"]["name"] == "create"
    assert result["message"]["tool_call_ids"] == [call["message"]["tool_calls"][0]["id"]]
    assert set(call["source"]) == {"message_type", "thought", "action", "agent"}
    assert set(transcript.metadata["document"]) == {"environment", "trajectory", "info", "replay_config"}
    assert transcript.session_id.startswith("marshmallow-1867-function-calling-")


def test_swe_agent_trajectory_with_a_demonstration_and_usage():
    transcript = judge(read_transcript_file(recorded("swe-agent/test-repo-i1.traj")))
    assert roles(transcript) == ["system", "system", "user", *["assistant", "tool"] * 4, "assistant"]
    assert transcript.entries[1].payload["source"] == {"agent": "primary", "is_demo": True, "role": "user"}
    assert transcript.entries[4].payload["source"]["role"] == "user"
    assert transcript.entries[2].payload["source"] == {"agent": "primary"}
    assert [entry.usage for entry in transcript.entries] == [None] * 11 + [EntryUsage(52861, 326)]
    assert transcript.cwd == "/klieret__swe-agent-test-repo"


def test_swe_agent_trajectory_with_text_actions():
    transcript = judge(read_transcript_file(recorded("swe-agent/humanevalfix-python-0.traj")))
    assert roles(transcript) == ["system", "user", *["assistant", "tool"] * 4, "assistant"]
    ids = [entry.entry_id for entry in transcript.entries]
    assert [entry.parent_id for entry in transcript.entries] == [None, *ids[:-1]]
    assert transcript.metadata["leaf_entry_id"] == ids[-1]
    assert transcript.metadata["document"]["info"]["exit_status"] == "submitted"


@pytest.mark.parametrize(
    "name",
    [
        "claude-code/representative_messages.jsonl",
        "claude-code/todowrite_examples.jsonl",
        "claude-code/session_b.jsonl",
        "codex/example-session.jsonl",
    ],
)
def test_every_line_can_be_put_together_again(name):
    raw = recorded(name).read_bytes()
    assert originals(read_transcript(raw)) == [orjson.loads(line) for line in raw.splitlines()]


@pytest.mark.parametrize(
    "name", ["humanevalfix-python-0.traj", "marshmallow-1867-function-calling.traj", "test-repo-i1.traj"]
)
def test_every_trajectory_can_be_put_together_again(name):
    raw = recorded(f"swe-agent/{name}").read_bytes()
    transcript = read_transcript(raw)
    assert {**transcript.metadata["document"], "history": originals(transcript)} == orjson.loads(raw)
