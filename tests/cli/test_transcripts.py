"""Files that grow, sessions that go on, nodes that were hidden: what an import adds then, and what it never does."""

from dataclasses import replace

import pytest

from localstore import (
    ActivePath,
    AgentFrameRecord,
    FullGraph,
    GraphAppend,
    HydratedSessionCheckpoint,
    LeaseOwnerIdentity,
    PersistedSessionConfig,
    PersistedTurnState,
    RuntimeCommit,
    SessionNodeRecord,
)
from localstore.importers import read_transcript
from localstore.transcripts import MAX_TURN, put_transcript, turns
from tests.cli.sample import DEMO, DEMO_ID, claude_line, lines_of

LINES = DEMO.read_bytes().splitlines(keepends=True)


def read(raw):
    return read_transcript(raw, name="session.jsonl")


def nodes_of(store, session_id):
    return store.open_session(session_id).load_session(FullGraph()).graph.nodes


def leaf_of(store, session_id):
    return store.open_session(session_id).load_session_head().leaf_node_id


def claude(*lines):
    return read(lines_of(*lines))


@pytest.mark.parametrize("cut", range(1, len(LINES)))
def test_a_file_that_grew_adds_only_what_is_new(store, cut):
    first = put_transcript(store, read(b"".join(LINES[:cut])), "session.jsonl")
    again = put_transcript(store, read(b"".join(LINES)), "session.jsonl")
    assert first.added_count + again.added_count == len(LINES)
    assert (first.is_new_session, again.is_new_session) == (True, False)
    transcript = read(b"".join(LINES))
    assert [node.node_id for node in nodes_of(store, DEMO_ID)] == [entry.entry_id for entry in transcript.entries]
    assert leaf_of(store, DEMO_ID) == transcript.metadata["leaf_entry_id"]
    assert put_transcript(store, transcript, "session.jsonl").added_count == 0


def test_a_file_that_grows_line_by_line(store):
    total = put_transcript(store, read(LINES[0]), "session.jsonl").usage
    for count in range(2, len(LINES) + 1):
        added = put_transcript(store, read(b"".join(LINES[:count])), "session.jsonl")
        assert (added.added_count, added.commit_count) == (1, 1)
        total = total.plus(added.usage)
    loaded = store.open_session(DEMO_ID).load_session(ActivePath())
    assert loaded.checkpoint.turn_state.token_usage == total
    assert loaded.head_revision == loaded.checkpoint.turn_state.turn_index == len(LINES)


@pytest.mark.parametrize("cut", [1, 5, 9, 12, 20, 30, 31])
@pytest.mark.parametrize("vacuumed", [False, True])
def test_what_was_hidden_does_not_come_back(store, cut, vacuumed):
    put_transcript(store, read(b"".join(LINES[:cut])), "session.jsonl")
    session = store.open_session(DEMO_ID)
    hidden = [node.node_id for node in nodes_of(store, DEMO_ID)][: cut - 1 : 2] or [leaf_of(store, DEMO_ID)]
    session.tombstone_nodes(hidden)
    if vacuumed:
        session.vacuum()
    added = put_transcript(store, read(b"".join(LINES)), "session.jsonl")
    assert added.added_count == len(LINES) - cut
    found = [node.node_id for node in nodes_of(store, DEMO_ID)]
    assert found == [entry.entry_id for entry in read(b"".join(LINES)).entries if entry.entry_id not in hidden]


def test_a_turn_that_was_hidden_whole_does_not_come_back(store):
    put_transcript(store, read(b"".join(LINES)), "session.jsonl")
    session = store.open_session(DEMO_ID)
    session.tombstone_nodes([node.node_id for node in nodes_of(store, DEMO_ID)])
    session.vacuum()
    assert put_transcript(store, read(b"".join(LINES)), "session.jsonl").added_count == 0


def test_an_entry_that_was_put_in_between_is_added(store):
    put_transcript(store, claude(claude_line("a", None, "one"), claude_line("c", "a", "three")), "file")
    grown = claude(claude_line("a", None, "one"), claude_line("b", "a", "two"), claude_line("c", "a", "three"))
    assert put_transcript(store, grown, "file").added_count == 1
    assert [node.node_id for node in nodes_of(store, "claude-session")] == ["a", "c", "b"]


def test_a_session_that_went_another_way_keeps_its_head_and_its_state(store):
    put_transcript(store, claude(claude_line("a", None, "one")), "file")
    session = store.open_session("claude-session")
    owner = LeaseOwnerIdentity.opaque("runtime", "1")
    lease = session.try_claim_session_execution_lease("claude-session", owner, 60_000).acquired()
    frame = AgentFrameRecord("frame", "claude-session", execution_state_snapshot=b"frame state")
    checkpoint = HydratedSessionCheckpoint(
        PersistedTurnState(41), {"tools": "state"}, plugin_snapshot=["plugin"], execution_state=b"state"
    )
    session.commit_runtime_state(
        RuntimeCommit(
            "claude-session",
            1,
            PersistedSessionConfig("provider", {"name": "another"}),
            (frame,),
            "frame",
            GraphAppend((SessionNodeRecord("own", "a", "2026-01-02T00:00:00Z", {"kind": "event"}),), "own"),
            checkpoint,
            session_execution_lease=lease.fence(),
            release_session_execution_lease=lease.completion(),
        )
    )
    before = session.load_session(ActivePath())
    grown = claude(claude_line("a", None, "one"), claude_line("b", "a", "two"))
    assert put_transcript(store, grown, "file").added_count == 1
    after = session.load_session(ActivePath())
    assert after.graph.leaf_node_id == "own"
    assert session.load_node("b") is not None
    assert after.config == before.config
    assert (after.agent_frames, after.current_agent_frame_id) == (before.agent_frames, "frame")
    turn_state = replace(before.checkpoint.turn_state, turn_index=42)
    assert after.checkpoint == replace(before.checkpoint, turn_state=turn_state)


def test_a_second_file_that_continues_the_session_moves_its_head(store):
    put_transcript(store, claude(claude_line("a", None, "one")), "first")
    put_transcript(store, claude(claude_line("b", "a", "two"), claude_line("c", "b", "three")), "second")
    assert leaf_of(store, "claude-session") == "c"


def test_a_file_of_side_conversations_does_not_move_the_head(store):
    put_transcript(store, claude(claude_line("a", None, "one")), "first")
    put_transcript(store, claude(claude_line("s", None, "aside", isSidechain=True)), "second")
    assert leaf_of(store, "claude-session") == "a"
    assert [node.node_id for node in nodes_of(store, "claude-session")] == ["a", "s"]


def test_turns_begin_where_the_user_speaks():
    transcript = claude(
        {"type": "summary", "summary": "before", "leafUuid": "x"},
        claude_line("a", None, "one"),
        claude_line("b", "a", "answer", "assistant"),
        claude_line("s", "b", "aside", isSidechain=True),
        claude_line("m", "b", "put in by the program", isMeta=True),
        claude_line("c", "b", "two"),
    )
    assert [len(turn) for turn in turns(transcript.entries)] == [5, 1]


@pytest.mark.parametrize("count", [1, MAX_TURN - 1, MAX_TURN, MAX_TURN + 1, 2 * MAX_TURN, 2 * MAX_TURN + 1])
def test_a_long_turn_comes_in_parts_that_stay_where_they_are(count):
    lines = [claude_line("u", None, "go")]
    lines += [claude_line(f"n{number}", None, "answer", "assistant") for number in range(count - 1)]
    short = list(turns(claude(*lines).entries))
    longer = list(turns(claude(*lines, claude_line("z", None, "end", "assistant")).entries))
    assert sum(map(len, short)) == count
    assert max(map(len, short)) <= MAX_TURN
    full = [part for part in short if len(part) == MAX_TURN]
    assert longer[: len(full)] == full


def test_a_turn_in_parts_is_found_again(store):
    lines = [claude_line("u", None, "go")]
    lines += [claude_line(f"n{number}", "u", "answer", "assistant") for number in range(3 * MAX_TURN)]
    first = put_transcript(store, claude(*lines), "file")
    assert (first.added_count, first.commit_count) == (3 * MAX_TURN + 1, 4)
    assert put_transcript(store, claude(*lines), "file").added_count == 0
