"""The same file gives the same ids, and so does what a grown file had before."""

from typing import Any

import orjson
import pytest

from localstore.importers import read_transcript
from tests.importers.transcript_checks import DEMO, judge, lines_of

MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "ping"},
    {"role": "assistant", "content": "pong", "usage": {"prompt_tokens": 5, "completion_tokens": 1}},
    {"role": "user", "content": "ping"},
    {"role": "assistant", "content": "pong"},
]
CODEX = [
    {"type": "session_meta", "payload": {"id": "c1"}},
    {"type": "turn_context", "payload": {"model": "m"}},
    *({"type": "response_item", "payload": {"type": "message", **message}} for message in MESSAGES),
    *(
        {
            "type": "event_msg",
            "payload": {"type": "token_count", "info": {"total_token_usage": {"input_tokens": n}}},
        }
        for n in (3, 3, 8)
    ),
]
NO_IDS = [
    {key: value for key, value in orjson.loads(line).items() if key != "sessionId"}
    for line in DEMO.read_bytes().splitlines()
]
GROWING = {
    "claude-code": [DEMO.read_bytes().splitlines(keepends=True)[:n] for n in range(1, 32)],
    "claude-code without ids": [[lines_of(*NO_IDS[:n])] for n in range(1, 32)],
    "codex": [[lines_of(*CODEX[:n])] for n in range(1, len(CODEX) + 1)],
    "messages-jsonl": [[lines_of(*MESSAGES[:n])] for n in range(2, 6)],
    "messages-json": [[orjson.dumps(MESSAGES[:n])] for n in range(2, 6)],
    "messages in an object": [[orjson.dumps({"messages": MESSAGES[:n], "n": n})] for n in range(2, 6)],
    "swe-agent": [[orjson.dumps({"history": MESSAGES[:n], "info": {"n": n}})] for n in range(2, 6)],
}


@pytest.mark.parametrize("parts", GROWING.values(), ids=GROWING)
def test_a_grown_file_begins_as_before(parts):
    versions = [judge(read_transcript(b"".join(version), name="growing")) for version in parts]
    last = versions[-1]
    for version in versions:
        assert version.session_id == last.session_id
        assert version.entries == last.entries[: len(version.entries)]
        assert version.problems == ()
    assert [len(version.entries) for version in versions] == sorted({len(v.entries) for v in versions})


@pytest.mark.parametrize("parts", GROWING.values(), ids=GROWING)
def test_the_same_bytes_give_the_same_transcript(parts):
    raw = b"".join(parts[-1])
    assert read_transcript(raw) == read_transcript(bytes(bytearray(raw)))


def test_equal_messages_at_two_places_have_two_ids():
    entries = read_transcript(lines_of(*MESSAGES)).entries
    assert len({entry.entry_id for entry in entries}) == 5
    assert all(len(entry.entry_id) == 64 for entry in entries)


def test_the_ids_are_these():
    # Stored sessions are continued by id: another derivation would import every session a second time.
    transcript = read_transcript(lines_of(*MESSAGES[:2]), name="pinned.jsonl")
    assert transcript.session_id == "pinned-2d69bbbcf332a880"
    assert [entry.entry_id for entry in transcript.entries] == [
        "1810d4c123b5e1c94898ca8deb66dc585983f0c825d92d46b225f47226e3a072",
        "4cd546d620ee62a41d22ed5e2cb9a081a7b42debb0758cc5c1f65bb47e94a9c1",
    ]


def test_the_layout_of_a_document_does_not_matter():
    compact = orjson.dumps({"messages": MESSAGES})
    wide = orjson.dumps({"messages": MESSAGES}, option=orjson.OPT_INDENT_2)
    sorted_keys = orjson.dumps({"messages": MESSAGES}, option=orjson.OPT_SORT_KEYS)
    assert read_transcript(compact) == read_transcript(wide) == read_transcript(sorted_keys)


def test_a_line_that_was_cut_and_is_whole_later_changes_nothing_before_it():
    raw = lines_of(*MESSAGES)
    cut = read_transcript(raw[:-20])
    whole = read_transcript(raw)
    assert len(cut.problems) == 1
    assert cut.entries == whole.entries[:4]
    assert cut.session_id == whole.session_id


def test_ids_of_two_sessions_differ():
    first = read_transcript(lines_of(*MESSAGES), name="one")
    second = read_transcript(lines_of(*MESSAGES), name="two")
    assert not {entry.entry_id for entry in first.entries} & {entry.entry_id for entry in second.entries}


def test_key_order_is_kept_and_does_not_change_ids():
    message = MESSAGES[1]
    turned = dict(reversed(message.items()))
    first, second = read_transcript(lines_of(message)), read_transcript(lines_of(turned))
    assert [entry.entry_id for entry in first.entries] == [entry.entry_id for entry in second.entries]
    assert list(second.entries[0].payload["message"]) == ["content", "role"]
