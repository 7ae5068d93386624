"""Formats are told apart by content; what is none of them is refused with a reason."""

import pickle
from pathlib import Path

import orjson
import pytest

from localstore.importers import (
    FORMATS,
    UnknownTranscriptFormat,
    detect,
    read_transcript,
    read_transcript_file,
)
from tests.importers.transcript_checks import DEMO, lines_of, recorded

MESSAGE = {"role": "user", "content": "hello"}
CLAUDE = {"type": "user", "uuid": "a", "parentUuid": None, "message": MESSAGE}
CODEX = {"type": "event_msg", "payload": {"type": "task_started"}}

KNOWN = [
    ("claude-code", lines_of(CLAUDE)),
    ("claude-code", orjson.dumps(CLAUDE)),
    ("claude-code", lines_of({"type": "summary", "summary": "s", "leafUuid": "a"})),
    ("claude-code", lines_of({"type": "file-history-snapshot", "messageId": "a", "snapshot": {}})),
    ("claude-code", lines_of({"type": "queue-operation", "sessionId": "a"}, CLAUDE)),
    ("claude-code", lines_of({"type": "system", "uuid": "a", "sessionId": "s"})),
    ("claude-code", lines_of(b"damage", {"type": "unheard of"}, b"[", CLAUDE)),
    ("claude-code", lines_of(b"[", b"{", CLAUDE)),
    ("codex", lines_of(CODEX)),
    ("codex", lines_of({"type": "session_meta", "payload": {}})),
    ("codex", b'{"type":"session_meta","payl\n' + lines_of(CODEX)),
    ("messages-jsonl", lines_of(MESSAGE)),
    ("messages-jsonl", orjson.dumps(MESSAGE)),
    ("messages-jsonl", lines_of({"role": "assistant", "tool_calls": []})),
    ("messages-jsonl", lines_of({"session": "header"}, MESSAGE)),
    ("messages-json", orjson.dumps([MESSAGE])),
    ("messages-json", orjson.dumps([MESSAGE], option=orjson.OPT_INDENT_2)),
    ("messages-json", b"[\n" + orjson.dumps(MESSAGE) + b"\n]"),
    ("messages-json", orjson.dumps([3, None, MESSAGE])),
    ("messages-json", orjson.dumps({"messages": [MESSAGE]})),
    ("messages-json", orjson.dumps({"messages": [MESSAGE], "history": []}, option=orjson.OPT_INDENT_2)),
    ("messages-json", b'{"messages": []}'),
    ("messages-json", b'{"model": "m",\n "messages": [\n {"role": "user", "content": "x"},\n {"ro'),
    ("swe-agent", orjson.dumps({"history": [MESSAGE], "trajectory": [], "info": {}})),
    ("swe-agent", b'{"trajectory": [], "history": [' + orjson.dumps(MESSAGE) + b", {"),
]

UNKNOWN = [
    (b"", "nothing but white space"),
    (b" \r\n\t\n", "nothing but white space"),
    (b"\xef\xbb\xbf", "nothing but white space"),
    (b"hello\nworld\n", "0 JSON objects on 2 lines, no message; line 1: not JSON"),
    (b"\x00" * 1000, "0 JSON objects on 1 lines"),
    (MESSAGE.__repr__().encode(), "JSON object"),
    (orjson.dumps(MESSAGE).decode().encode("utf-16"), "not UTF-8"),
    (b"[]", "a JSON list without role/content messages"),
    (b"[1, 2]", "a JSON list without role/content messages"),
    (b"{}", "a JSON object with no members"),
    (b'{"messages": {"role": "user", "content": "x"}}', "the members 'messages'"),
    (b'{"messages": ["hello"]}', "the members 'messages'"),
    (b'{"history": []}', "the members 'history'"),
    (b'{"history": [{"role": NaN}]}', "the members 'history'; element 1 of the list: NaN is not JSON"),
    (b'[{"role": "user", "content": "\\ud800"}]', "messages; element 1 of the list: a \\u escape is half"),
    (orjson.dumps({"data": {"messages": [MESSAGE]}}, option=orjson.OPT_INDENT_2), "the members 'data'"),
    (b'{"data": [\n' + orjson.dumps(MESSAGE) + b"\n]}", "the members 'data'"),
    (lines_of({"role": "user"}), "the members 'role'"),
    (lines_of({"type": "user", "uuid": "a"}, {"a": 1}), "2 JSON objects on 2 lines, no message"),
    (lines_of({"type": "session_meta", "payload": 3}, {"a": 1}), "2 JSON objects on 2 lines, no message"),
    (b"\x1f\x8b\x08\x00binary", "0 JSON objects"),
    (b"SQLite format 3\x00", "0 JSON objects"),
    (b'"' + b"\\" * 100_001, "0 JSON objects"),
    (b"[" * 100_000, "0 JSON objects"),
]


@pytest.mark.parametrize(("expected", "raw"), KNOWN)
def test_a_known_format(expected, raw):
    assert detect(raw) == expected
    assert expected in FORMATS
    assert read_transcript(raw).source_format == expected
    assert detect(b"\xef\xbb\xbf\r\n" + raw) == expected


@pytest.mark.parametrize(("raw", "found"), UNKNOWN)
def test_an_unknown_format(raw, found):
    assert detect(raw) is None
    with pytest.raises(UnknownTranscriptFormat) as caught:
        read_transcript(raw, name="notes.txt")
    assert caught.value.name == "notes.txt"
    assert found in caught.value.found
    assert "'notes.txt'" in str(caught.value)
    assert "Claude Code JSONL" in str(caught.value)
    assert str(caught.value).endswith(f"found {caught.value.found}")
    assert isinstance(caught.value, ValueError)


def test_the_error_pickles():
    error = pickle.loads(pickle.dumps(UnknownTranscriptFormat("notes.txt", "nothing but white space")))
    assert (error.name, error.found) == ("notes.txt", "nothing but white space")
    assert "nothing but white space" in str(error)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude-code/session_b.jsonl", "claude-code"),
        ("codex/example-session.jsonl", "codex"),
        ("swe-agent/test-repo-i1.traj", "swe-agent"),
    ],
)
def test_recorded_formats(name, expected):
    assert detect(recorded(name).read_bytes()) == expected


def test_the_name_of_a_file_does_not_matter(tmp_path: Path):
    path = tmp_path / "messages.traj"
    path.write_bytes(DEMO.read_bytes())
    assert read_transcript_file(path) == read_transcript_file(DEMO)
    assert read_transcript_file(str(path)).source_format == "claude-code"


def test_a_file_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        read_transcript_file(tmp_path / "none.jsonl")
