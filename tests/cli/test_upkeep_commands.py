"""`vacuum` and `gc`: what they removed, and how much a session has shrunk."""

import pytest

from localstore import AttachmentCreateMeta, HydratedSessionCheckpoint
from localstore.cli import ExitCode
from localstore.testing.builders import chain, node
from tests.commits import commit

SESSION = "session-1"


def on_disk(root):
    return sum(file.stat().st_size for file in (root / "sessions").rglob("*") if file.is_file())


class TestVacuum:
    def test_says_what_it_removed(self, run, store, session):
        commit(session, *(node(f"n{number}", payload={"kind": "event", "text": "x" * 2000}) for number in range(50)))
        session.tombstone_nodes([f"n{number}" for number in range(1, 50)])
        (row,) = run("vacuum", SESSION, "--json").json["sessions"]
        assert (row["session_id"], row["removed_node_count"]) == (SESSION, 49)
        assert row["removed_pending_turn_input_tombstone_count"] == 0
        assert row["freed_bytes"] > 90_000
        assert row["size_bytes"] < 20_000

    def test_frees_the_disk_before_it_ends(self, run, store, session, root):
        commit(session, *(node(f"n{number}", payload={"kind": "event", "text": "x" * 2000}) for number in range(50)))
        session.tombstone_nodes([f"n{number}" for number in range(1, 50)])
        store.close()
        before = on_disk(root)
        told = run("vacuum", "--all", "--json").json
        assert before - on_disk(root) > 0.9 * told["freed_bytes"] > 80_000

    def test_of_a_fork_that_has_nothing_to_remove_leaves_it_shared(self, run, store, session, root):
        commit(session, *chain(*(f"n{number}" for number in range(200))))
        for number in range(5):
            session.fork(f"fork-{number}")
        store.close()
        before = {file.stat().st_ino for file in (root / "sessions").rglob("*.jsonl")}
        result = run("vacuum", "--all")
        assert result.code == ExitCode.OK
        assert result.lines[-1] == "6 sessions, 0 B freed"
        assert {file.stat().st_ino for file in (root / "sessions").rglob("*.jsonl")} == before

    def test_for_people(self, run, session):
        commit(session, *chain("a", "b"))
        session.tombstone_nodes(["b"])
        lines = run("vacuum", SESSION).lines
        assert lines[0].startswith("session-1: 1 node and 0 inputs removed, ")
        assert lines[1].startswith("1 session, ")

    @pytest.mark.parametrize("command", ["vacuum", "gc"])
    def test_needs_to_be_told_which(self, run, session, command):
        for arguments in ((), (SESSION, "--all")):
            result = run(command, *arguments)
            assert result.code == ExitCode.USAGE
            assert "--all" in result.err
        assert run(command, "nobody").code == ExitCode.NOT_FOUND


class TestGc:
    def test_says_what_it_removed(self, run, session):
        for number in range(3):
            state = HydratedSessionCheckpoint(execution_state=bytes([number]) * 50_000)
            commit(session, node(f"n{number}"), checkpoint=state)
        (row,) = run("gc", SESSION, "--json").json["sessions"]
        assert (row["root_count"], row["retained_blob_count"], row["deleted_blob_count"]) == (1, 2, 4)
        assert row["freed_bytes"] > 90_000
        lines = run("gc", "--all").lines
        assert lines[0].startswith("session-1: 0 values removed, 2 kept, 0 B freed, ")

    def test_sweeps_attachments_when_asked(self, run, store, session):
        kept = store.attachments.put(b"bytes", AttachmentCreateMeta("text/plain"))
        assert run("gc", "--all", "--json").json["deleted_attachment_ids"] == []
        assert run("gc", "--attachments", "1d", "--json").json == {
            "record": "gc_report",
            "schema_version": 1,
            "sessions": [],
            "freed_bytes": 0,
            "deleted_attachment_ids": [],
            "unreadable": [],
        }
        assert run("gc", "--attachments", "0s", "--json").json["deleted_attachment_ids"] == [kept.id]
        assert run("gc", "--attachments", "0s").lines == ["0 attachments removed"]
