"""Claude Code lines: the chain, roles, usage, and what is odd about them."""

from typing import Any

import pytest

from localstore.importers import EntryUsage, read_transcript
from tests.importers.transcript_checks import judge, lines_of, originals, roles, total_usage

TOOL_RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "done"}


def line(uuid: str, parent: str | None = None, **fields: Any) -> dict[str, Any]:
    """A line of the user's, unless `fields` make it another."""
    usual = {"type": "user", "sessionId": "s", "message": {"role": "user", "content": uuid}}
    return {**usual, "uuid": uuid, "parentUuid": parent, **fields}


def answer(uuid: str, usage: Any, **fields: Any) -> dict[str, Any]:
    message = {"id": "m1", "role": "assistant", "model": "large", "content": [], "usage": usage}
    return line(uuid, type="assistant", message=message, requestId="r1", **fields)


def test_chain_branches_and_forward_references_are_kept():
    raw = lines_of(line("b", "c"), line("a"), line("c", "a"), line("d", "a", isSidechain=True), line("e", "gone"))
    transcript = judge(read_transcript(raw))
    parents = {entry.entry_id: entry.parent_id for entry in transcript.entries}
    assert parents == {"b": "c", "a": None, "c": "a", "d": "a", "e": "gone"}
    assert transcript.problems == ()


def test_the_leaf_is_the_end_of_the_main_line():
    raw = lines_of(line("a"), line("b", "a"), line("x", "a", isSidechain=True), {"type": "summary", "leafUuid": "b"})
    transcript = judge(read_transcript(raw))
    assert transcript.metadata["leaf_entry_id"] == "b"
    assert transcript.metadata["sidechain_entry_count"] == 1
    only_side = judge(read_transcript(lines_of(line("x", isSidechain=True), line("y", "x", isSidechain=True))))
    assert only_side.metadata["leaf_entry_id"] == "y"


@pytest.mark.parametrize(
    ("parents", "cut"),
    [
        ({"a": "a"}, {"a": 1}),
        ({"a": "b", "b": "a"}, {"b": 2}),
        ({"a": "c", "b": "a", "c": "b", "d": "c"}, {"c": 3}),
        ({"d": "c", "c": "b", "b": "c"}, {"b": 3}),
        ({"a": "b", "b": "a", "c": "d", "d": "c", "e": None}, {"b": 2, "d": 4}),
    ],
)
def test_a_circle_is_cut_at_its_last_line_and_reported(parents, cut):
    transcript = judge(read_transcript(lines_of(*(line(uuid, parent) for uuid, parent in parents.items()))))
    assert [problem.line for problem in transcript.problems] == sorted(cut.values())
    assert all("lead back to itself" in problem.reason for problem in transcript.problems)
    expected = {**parents, **dict.fromkeys(cut)}
    assert {entry.entry_id: entry.parent_id for entry in transcript.entries} == expected
    assert [original["parentUuid"] for original in originals(transcript)] == list(parents.values())


def test_a_long_chain_in_reverse_is_walked_once():
    count = 20_000
    raw = lines_of(*(line(str(n), str(n + 1)) for n in range(count)), line(str(count), "0"))
    transcript = judge(read_transcript(raw))
    assert [problem.line for problem in transcript.problems] == [count + 1]


def test_a_repeated_line_is_ignored_and_a_changed_one_reported():
    first = line("a", extra={"x": 1, "y": True})
    same = dict(reversed(first.items()))
    raw = lines_of(first, same, line("a", extra={"x": 1, "y": 1}), line("b", "a"))
    transcript = judge(read_transcript(raw))
    assert [entry.entry_id for entry in transcript.entries] == ["a", "b"]
    assert [(problem.line, "line 1" in problem.reason) for problem in transcript.problems] == [(3, True)]
    assert originals(transcript)[0] == first


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "user"),
        ({"message": {"role": "user", "content": [TOOL_RESULT, TOOL_RESULT]}}, "tool"),
        ({"message": {"role": "user", "content": [TOOL_RESULT, {"type": "text", "text": "and?"}]}}, "user"),
        ({"message": {"role": "user", "content": []}}, "user"),
        ({"message": {"role": "user", "content": [None, 1]}}, "user"),
        ({"message": {"role": "assistant", "content": [TOOL_RESULT]}}, "assistant"),
        ({"isMeta": True}, "system"),
        ({"isMeta": False}, "user"),
        ({"isCompactSummary": True}, "system"),
        ({"isSidechain": True}, "user"),
        ({"message": {"role": 5}}, "claude-code.user"),
        ({"message": "hello"}, "claude-code.user"),
        ({"message": None, "type": "progress"}, "claude-code.progress"),
        ({"type": "system", "message": None, "content": "compacted"}, "claude-code.system"),
    ],
)
def test_roles_tell_what_the_user_typed_and_the_original_comes_back(fields, expected):
    source = line("a", **fields)
    transcript = judge(read_transcript(lines_of(source)))
    assert roles(transcript) == [expected]
    assert originals(transcript) == [source]


def test_lines_of_which_none_names_a_parent_follow_each_other():
    raw = lines_of(
        line("a"), line("side", isSidechain=True), line("b"), {"type": "summary", "leafUuid": "b"}, line("c")
    )
    transcript = judge(read_transcript(raw))
    assert [entry.parent_id for entry in transcript.entries] == [None, None, "a", "b", "b"]
    assert transcript.metadata["leaf_entry_id"] == "c"
    grown = judge(read_transcript(raw + lines_of(line("d", "b"))))
    assert [entry.parent_id for entry in grown.entries] == [None, None, None, "b", None, "b"]


def test_what_was_compacted_stays_before_the_compaction():
    boundary = {"type": "system", "subtype": "compact_boundary", "uuid": "c", "parentUuid": None, "sessionId": "s"}
    summary = line("d", "c", isCompactSummary=True)
    lines = [line("a"), line("b", "a"), {**boundary, "logicalParentUuid": "b"}, summary]
    transcript = judge(read_transcript(lines_of(*lines)))
    assert [entry.parent_id for entry in transcript.entries] == [None, "a", "b", "c"]
    assert originals(transcript) == lines


def test_nothing_of_a_message_is_stored_twice():
    source = line("a", message={"role": "user", "content": [TOOL_RESULT], "note": "n"}, version="1")
    (entry,) = read_transcript(lines_of(source)).entries
    assert entry.payload == {
        "kind": "event",
        "message": {"role": "tool", "content": [TOOL_RESULT], "note": "n"},
        "source": {
            "type": "user",
            "sessionId": "s",
            "uuid": "a",
            "parentUuid": None,
            "version": "1",
            "message": {"role": "user"},
        },
    }


def test_usage_of_one_answer_on_several_lines_grows_and_is_counted_once():
    raw = lines_of(
        answer("a", {"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 70}),
        answer("b", {"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 70}),
        answer("c", {"input_tokens": 5, "output_tokens": 40, "cache_creation_input_tokens": 9}),
        answer("d", {"input_tokens": 5, "output_tokens": 3}),
    )
    transcript = judge(read_transcript(raw))
    usages = [entry.usage for entry in transcript.entries]
    assert usages == [EntryUsage(5, 1, 70), None, EntryUsage(0, 39, 0, 9), None]
    assert total_usage(transcript) == EntryUsage(5, 40, 70, 9)


def test_answers_of_two_requests_are_counted_both():
    raw = lines_of(answer("a", {"output_tokens": 4}), {**answer("b", {"output_tokens": 4}), "requestId": "r2"})
    assert total_usage(read_transcript(raw)) == EntryUsage(output_tokens=8)


@pytest.mark.parametrize("count", [-1, 1.5, True, "7", 2**53, [], {}])
def test_a_count_that_is_none_is_reported_and_the_entry_kept(count):
    source = answer("a", {"input_tokens": 3, "output_tokens": count})
    transcript = judge(read_transcript(lines_of(source)))
    assert [(problem.line, "output_tokens" in problem.reason) for problem in transcript.problems] == [(1, True)]
    assert [entry.usage for entry in transcript.entries] == [None]
    assert originals(transcript) == [source]


def test_usage_that_is_no_object_is_reported():
    transcript = judge(read_transcript(lines_of(answer("a", 12))))
    assert ["not an object" in problem.reason for problem in transcript.problems] == [True]


def test_title_model_and_directory():
    synthetic = {"role": "assistant", "model": "<synthetic>", "content": "error"}
    side = {"role": "assistant", "model": "small", "content": "found"}
    raw = lines_of(
        {"type": "summary", "summary": "an earlier session", "leafUuid": "elsewhere"},
        line("a", timestamp="2025-03-12T09:14:02.118Z"),
        answer("b", None, cwd="/home/dev/one"),
        line("c", type="assistant", message=side, isSidechain=True),
        line("d", type="assistant", message=synthetic, cwd="/home/dev/two"),
    )
    transcript = judge(read_transcript(raw))
    assert (transcript.title, transcript.model, transcript.cwd) == (
        "an earlier session",
        "large",
        "/home/dev/one",
    )
    assert transcript.created_at == "2025-03-12T09:14:02.118Z"
    named = read_transcript(raw + lines_of({"type": "custom-title", "customTitle": "Mine", "sessionId": "s"}))
    assert named.title == "Mine"


def test_the_first_session_id_is_the_transcripts_and_all_are_listed():
    transcript = judge(read_transcript(lines_of(line("a"), line("b", sessionId="t"), line("c", sessionId=""))))
    assert transcript.session_id == "s"
    assert transcript.metadata["session_ids"] == ["s", "t"]


@pytest.mark.parametrize("session_id", ["", None, 7, "x" * 1025])
def test_a_session_id_that_is_none_is_derived(session_id):
    raw = lines_of(line("a", sessionId=session_id))
    transcript = judge(read_transcript(raw, name="/home/dev/My notes.jsonl"))
    assert transcript.session_id.startswith("My-notes-")
    assert transcript.session_id == read_transcript(raw, name="My notes.jsonl").session_id


@pytest.mark.parametrize(
    "timestamp", ["yesterday", 1741770842, None, "2025-03-12", "2025-13-40T09:14:02Z", "2025-03-12T09:14:02"]
)
def test_a_time_that_is_not_rfc3339_is_left_in_the_source_only(timestamp):
    source = line("a", timestamp=timestamp)
    transcript = judge(read_transcript(lines_of(source)))
    assert [entry.timestamp for entry in transcript.entries] == [None]
    assert transcript.created_at is None
    assert originals(transcript) == [source]
