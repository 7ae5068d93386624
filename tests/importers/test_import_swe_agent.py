"""SWE-agent trajectories in shapes that the recorded ones do not have."""

from typing import Any

import orjson
import pytest

from localstore.importers import EntryUsage, read_transcript
from tests.importers.transcript_checks import judge, originals, roles

HISTORY: list[dict[str, Any]] = [
    {"role": "system", "content": "You are an autonomous programmer.", "agent": "primary"},
    {"role": "user", "content": "A demonstration.", "agent": "primary", "is_demo": True},
    {"role": "user", "content": "Fix the parser.", "agent": "primary"},
    {"role": "assistant", "content": "Looking.", "thought": "Looking.", "action": "ls", "agent": "primary"},
    {"role": "user", "content": "src", "agent": "primary"},
    {"role": "user", "content": "Your output was not formatted correctly.", "agent": "primary"},
    {"role": "assistant", "content": "", "thought": "", "action": "submit", "agent": "primary"},
]


def trajectory(**members: Any) -> bytes:
    usual = {"environment": "main", "trajectory": [], "history": HISTORY, "info": {}}
    return orjson.dumps({**usual, **members})


def test_what_the_harness_says_is_not_the_users():
    transcript = judge(read_transcript(trajectory()))
    assert roles(transcript) == ["system", "system", "user", "assistant", "tool", "tool", "assistant"]
    assert originals(transcript) == HISTORY
    assert (transcript.title, transcript.cwd, transcript.model, transcript.created_at) == (
        None,
        None,
        "",
        None,
    )


@pytest.mark.parametrize("as_text", [False, True])
def test_objects_written_as_text_are_understood(as_text):
    def written(value: Any) -> Any:
        return orjson.dumps(value).decode() if as_text else value

    raw = trajectory(
        replay_config=written({"agent": {"model": {"name": "gpt-4o"}}}),
        trajectory=[{"action": "ls", "state": written({"working_dir": "/testbed"})}],
        info={"model_stats": {"tokens_sent": 500, "tokens_received": 40, "api_calls": 2}},
    )
    transcript = judge(read_transcript(raw))
    assert (transcript.model, transcript.cwd) == ("gpt-4o", "/testbed")
    assert transcript.entries[-1].usage == EntryUsage(500, 40)
    assert [entry.model for entry in transcript.entries] == [None, None, None, "gpt-4o", None, None, "gpt-4o"]
    assert {**transcript.metadata["document"], "history": originals(transcript)} == orjson.loads(raw)


@pytest.mark.parametrize(
    "members",
    [
        {"replay_config": "{not json", "trajectory": ["x"], "info": None},
        {"replay_config": {"agent": ["model"]}, "trajectory": [{"state": 5}], "info": {"model_stats": None}},
        {"replay_config": {"agent": {"model": {"name": 4}}}, "trajectory": {}, "info": []},
    ],
)
def test_odd_members_are_kept_and_harmless(members):
    transcript = judge(read_transcript(trajectory(**members)))
    assert transcript.problems == ()
    assert (transcript.model, transcript.cwd) == ("", None)
    assert transcript.metadata["document"] == {"environment": "main", **members}


@pytest.mark.parametrize("stats", [{"tokens_sent": "many"}, {"tokens_received": -1}, 5])
def test_stats_that_are_none_are_reported(stats):
    transcript = judge(read_transcript(trajectory(info={"model_stats": stats})))
    assert [problem.line for problem in transcript.problems] == [0]
    assert "model_stats" in transcript.problems[0].reason
    assert [entry.usage for entry in transcript.entries] == [None] * 7


def test_a_message_without_a_role_is_kept_as_a_record():
    transcript = judge(read_transcript(trajectory(history=[*HISTORY, {"note": 1}])))
    assert transcript.entries[-1].payload == {"kind": "swe-agent.record", "source": {"note": 1}}


def test_runs_on_two_tasks_are_two_sessions_and_a_grown_run_is_one():
    other = [*HISTORY[:2], {**HISTORY[2], "content": "Fix the lexer."}, *HISTORY[3:]]
    first = read_transcript(trajectory(), name="run.traj").session_id
    assert read_transcript(trajectory(history=other), name="run.traj").session_id != first
    assert read_transcript(trajectory(history=HISTORY[:4]), name="run.traj").session_id == first
