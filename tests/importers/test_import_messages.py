"""Plain role/content messages: as a list, as an object with `messages`, one a line."""

from typing import Any

import orjson
import pytest

from localstore.importers import EntryUsage, Transcript, read_transcript
from tests.importers.transcript_checks import judge, lines_of, originals, roles

CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "You add."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "1 and 1"}, {"type": "image_url", "image_url": {}}],
    },
    {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None},
    {"role": "tool", "tool_call_id": "call_1", "content": "2"},
    {"role": "assistant", "content": "2"},
    {"role": "user", "content": "Thanks", "name": "ada"},
]


def as_list(messages: Any) -> Transcript:
    return read_transcript(orjson.dumps(messages))


def as_object(messages: Any) -> Transcript:
    return read_transcript(orjson.dumps({"temperature": 0.5, "messages": messages}, option=orjson.OPT_INDENT_2))


def as_lines(messages: Any) -> Transcript:
    return read_transcript(lines_of(*messages))


READERS = pytest.mark.parametrize("read", [as_list, as_object, as_lines])


@READERS
def test_messages_are_kept_whole_in_a_chain(read):
    transcript = judge(read(MESSAGES))
    assert transcript.problems == ()
    assert roles(transcript) == [message["role"] for message in MESSAGES]
    assert [entry.payload for entry in transcript.entries] == [
        {"kind": "event", "message": message} for message in MESSAGES
    ]
    ids = [entry.entry_id for entry in transcript.entries]
    assert [entry.parent_id for entry in transcript.entries] == [None, *ids[:-1]]
    assert transcript.metadata["leaf_entry_id"] == ids[-1]
    assert originals(transcript) == MESSAGES


@READERS
def test_a_user_message_of_tool_results_alone_is_the_tools(read):
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "2"}]}
    transcript = judge(read([MESSAGES[0], result]))
    assert roles(transcript) == ["system", "tool"]
    assert transcript.entries[1].payload["source"] == {"role": "user"}
    assert originals(transcript) == [MESSAGES[0], result]


@READERS
def test_an_object_without_a_role_is_a_record(read):
    transcript = judge(read([{"note": "header"}, *MESSAGES]))
    assert transcript.entries[0].payload == {"kind": "messages.record", "source": {"note": "header"}}
    assert len(transcript.entries) == 7


@READERS
def test_ids_of_the_source_are_taken_once(read):
    messages = [{**message, "id": identifier} for message, identifier in zip(MESSAGES, "aab", strict=False)]
    transcript = judge(read([*messages, {**MESSAGES[3], "id": ""}]))
    ids = [entry.entry_id for entry in transcript.entries]
    assert (ids[0], ids[2]) == ("a", "b")
    assert [len(ids[1]), len(ids[3])] == [64, 64]


@READERS
@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, None),
        ({"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57}, EntryUsage(50, 7)),
        (
            {
                "prompt_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 30},
                "completion_tokens": 7,
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            EntryUsage(20, 7, 30, 0, 5),
        ),
        (
            {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 2},
            EntryUsage(5, 2, 4),
        ),
        ({"input_tokens": 9, "cache_creation_input_tokens": 3, "output_tokens": 2}, EntryUsage(9, 2, 0, 3)),
        ({"input_tokens": 9, "cache_read_input_tokens": 3, "output_tokens": 2}, EntryUsage(9, 2, 3)),
    ],
)
def test_usage_in_every_dialect(read, usage, expected):
    transcript = judge(read([MESSAGES[0], {**MESSAGES[4], "usage": usage, "model": "m1"}]))
    assert transcript.entries[1].usage == expected
    assert transcript.entries[1].model == transcript.model == "m1"


@pytest.mark.parametrize("usage", [3, {"prompt_tokens": 5, "prompt_tokens_details": 7}, {"output_tokens": -1}])
def test_usage_that_is_none_is_reported(usage):
    transcript = judge(as_lines([MESSAGES[0], {**MESSAGES[4], "usage": usage}]))
    assert [problem.line for problem in transcript.problems] == [2]
    assert transcript.entries[1].usage is None


def test_the_members_of_the_object_tell_about_the_session():
    document = {
        "session_id": "chat-7",
        "title": "Sums",
        "cwd": "/home/dev",
        "model": "m2",
        "": [{"role": "x"}],
        "created_at": "2025-03-12T09:14:02+01:00",
        "messages": MESSAGES,
        "tools": [{"name": "add"}],
    }
    transcript = judge(read_transcript(orjson.dumps(document)))
    assert (transcript.session_id, transcript.title, transcript.cwd) == ("chat-7", "Sums", "/home/dev")
    assert (transcript.model, transcript.created_at) == ("m2", "2025-03-12T09:14:02+01:00")
    assert {**transcript.metadata["document"], "messages": originals(transcript)} == document


def test_an_object_without_messages_in_it_is_an_empty_session():
    transcript = judge(read_transcript(b'{"messages": []}'))
    assert (transcript.entries, transcript.problems) == ((), ())
    assert transcript.metadata == {"leaf_entry_id": None, "document": {}}


def test_times_of_messages():
    times = ["2025-03-12T09:14:02Z", 1741770842, None]
    messages = [{**MESSAGES[0], "timestamp": time} for time in times]
    transcript = judge(as_lines([*messages, {**MESSAGES[0], "created_at": "2025-03-12T09:15:00.5Z"}]))
    assert [entry.timestamp for entry in transcript.entries] == [
        times[0],
        None,
        None,
        "2025-03-12T09:15:00.5Z",
    ]
    assert transcript.created_at == times[0]


def test_sessions_are_told_apart_by_name_and_opening():
    raw = orjson.dumps(MESSAGES)
    session_id = read_transcript(raw, name="out/chat.json").session_id
    assert session_id == read_transcript(raw, name="C:\\out\\chat.json").session_id
    assert session_id.startswith("chat-")
    assert session_id != read_transcript(raw, name="chat2.json").session_id
    other = [MESSAGES[0], {"role": "user", "content": "2 and 2"}]
    assert session_id != read_transcript(orjson.dumps(other), name="chat.json").session_id
    assert session_id == read_transcript(orjson.dumps(MESSAGES[:2]), name="chat.json").session_id


@pytest.mark.parametrize("name", ["", "///", "..", "\0", "a" * 5000, "\udcff.json", "名前.jsonl", ".hidden"])
def test_any_name_gives_a_session_id(name):
    transcript = judge(read_transcript(orjson.dumps(MESSAGES), name=name))
    assert len(transcript.session_id) <= 81
