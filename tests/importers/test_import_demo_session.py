"""The demonstration session: what a new user sees first, so every kind of line is in it and none is odd."""

import orjson

from localstore.importers import EntryUsage, read_transcript_file
from tests.importers.transcript_checks import DEMO, judge, originals, role, roles, total_usage


def test_session():
    transcript = judge(read_transcript_file(DEMO))
    assert transcript.source_format == "claude-code"
    assert transcript.session_id == "7c1e52d0-4b7e-4b0e-9a51-6f2f1d0c8e37"
    assert transcript.title == "Fix day and month swapped in parse_date"
    assert transcript.cwd == "/home/dev/invoices"
    assert transcript.model == "claude-sonnet-4-20250514"
    assert transcript.created_at == "2025-03-12T09:14:04.212Z"
    assert transcript.problems == ()
    assert originals(transcript) == [orjson.loads(line) for line in DEMO.read_bytes().splitlines()]


def test_four_turns_and_a_sidechain():
    transcript = read_transcript_file(DEMO)
    side = [entry for entry in transcript.entries if entry.payload["source"].get("isSidechain")]
    main = [entry for entry in transcript.entries if entry not in side]
    assert [role(entry) for entry in side] == ["user", "assistant", "tool", "assistant"]
    assert transcript.metadata["sidechain_entry_count"] == 4
    assert sum(role(entry) == "user" for entry in main) == 4
    assert roles(transcript)[-1] == "claude-code.summary"
    by_id = {entry.entry_id: entry for entry in transcript.entries}
    path = [by_id[transcript.metadata["leaf_entry_id"]]]
    while path[-1].parent_id is not None:
        path.append(by_id[path[-1].parent_id])
    assert path[::-1] == main[:-1]
    assert by_id[side[0].parent_id or ""] in main


def test_every_tool_call_has_its_result():
    calls, results = [], []
    for entry in read_transcript_file(DEMO).entries:
        content = entry.payload.get("message", {}).get("content")
        for part in content if isinstance(content, list) else []:
            if part["type"] == "tool_use":
                calls.append(part["id"])
            elif part["type"] == "tool_result":
                results.append(part["tool_use_id"])
    assert len(calls) == len(set(calls)) == 10
    assert sorted(results) == sorted(calls)


def test_usage_counts_an_answer_on_two_lines_once():
    transcript = read_transcript_file(DEMO)
    answers = [entry for entry in transcript.entries if role(entry) == "assistant"]
    calls = {entry.payload["message"]["id"] for entry in answers}
    assert (len(answers), len(calls)) == (15, 14)
    assert len([entry for entry in answers if entry.usage]) == 14
    assert total_usage(transcript) == EntryUsage(62, 1843, 198377, 25274)
