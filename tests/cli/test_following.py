"""`localstore changes` and `tail`."""

import signal
import subprocess
import sys

import orjson
import pytest

from localstore.cli import ExitCode
from localstore.machine import feed
from localstore.testing.builders import append_commit, next_input, node, owner
from tests.cli.sample import REPOSITORY


def commit(session, *nodes):
    lease = session.try_claim_session_execution_lease("session-1", owner(), 60_000).acquired()
    session.commit_runtime_state(
        append_commit(*nodes, session_id="session-1").with_session_execution_lease(lease.fence())
    )
    session.release_session_execution_lease(lease.completion())


def say(session, text):
    return session.enqueue_pending_turn_input(next_input(text)).input_id


class TestChanges:
    def test_all_of_them(self, run, session):
        commit(session, node("n1"))
        input_id = say(session, "x")
        result = run("changes", "session-1")
        assert result.lines[0].split() == ["SEQ", "WHEN", "CHANGE", "REVISION", "IDS"]
        assert [line.split()[3] for line in result.lines[1:]] == [
            "lease_set",
            "committed",
            "lease_cleared",
            "input_enqueued",
        ]
        assert result.lines[2].split()[4:] == ["1", "n1"]
        found = run("changes", "session-1", "--json").json
        assert (found["record"], found["session_id"]) == ("changes", "session-1")
        [last] = session.changes().changes[-1:]
        assert found["changes"][-1] == {
            "seq": last.seq,
            "at_ms": last.at_ms,
            "kind": "input_enqueued",
            "ids": [input_id],
            "revision": None,
            "cursor": last.cursor,
        }
        assert found["cursor"] == last.cursor

    def test_those_after_a_cursor(self, run, session):
        say(session, "x")
        cursor = run("changes", "session-1", "--json").json["cursor"]
        assert run("changes", "session-1", "--since", cursor).lines == ["nothing happened"]
        input_id = say(session, "y")
        [change] = run("changes", "session-1", "--since", cursor, "--json").json["changes"]
        assert change["ids"] == [input_id]

    @pytest.mark.parametrize("command", ["changes", "tail"])
    def test_a_cursor_that_is_too_old(self, run, session, monkeypatch, command):
        monkeypatch.setattr(feed, "KEPT", 1)
        cursor = session.changes().cursor
        for _ in range(3):
            session.cancel_pending_turn_input("session-1", say(session, "x"))
        session.vacuum()
        result = run(command, "session-1", "--since", cursor)
        assert result.code == ExitCode.REFUSED
        assert "too old" in result.err
        assert run(command, "session-1", "--since", "").code == ExitCode.USAGE


class TestTail:
    def test_the_last_ones_with_what_was_said(self, run, session):
        payload = {"kind": "event", "role": "user", "content": "Find me a train."}
        commit(session, type(node("n1"))("n1", None, "2026-01-01T00:00:00Z", payload), node("n2", "n1"))
        session.tombstone_nodes(["n2"])
        session.vacuum()
        lines = run("tail", "session-1", "--last", "3").lines
        assert [line.split()[2] for line in lines if not line.startswith(" ")] == [
            "committed",
            "lease_cleared",
            "nodes_tombstoned",
        ]
        assert lines[0].endswith("committed revision 1")
        assert lines[1:3] == ["    n1 user: Find me a train.", "    n2  (removed since)"]
        assert run("tail", "session-1", "--last", "0").lines == []
        assert len(run("tail", "session-1").lines) == 6

    def test_json_is_a_line_a_change(self, run, session):
        cursor = session.changes().cursor
        for number in range(12):
            say(session, str(number))
        lines = [orjson.loads(line) for line in run("tail", "session-1", "--json").lines]
        expected = run("changes", "session-1", "--json").json["changes"]
        assert lines == [
            {"record": "change", "schema_version": 1, "session_id": "session-1", **change} for change in expected[-10:]
        ]
        assert len(run("tail", "session-1", "--since", cursor).lines) == 12

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
    @pytest.mark.parametrize("blocked", [(), ("watchdog",)], ids=["woken", "polling"])
    def test_it_follows_another_process_until_it_is_interrupted(self, root, session, blocked):
        say(session, "before")
        block = "".join(f"sys.modules[{name!r}] = None; " for name in blocked)
        # A shell starts what runs in the background with SIGINT ignored, and children inherit that.
        heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        code = f"import sys; {heard}{block}from localstore.cli import main; sys.exit(main(sys.argv[1:]))"
        arguments = ["--root", str(root), "tail", "session-1", "-f", "--last", "1", "--poll", "0.02", "--json"]
        with subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, *arguments],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            seen = [orjson.loads(process.stdout.readline())]
            ids = []
            for number in range(6):
                ids.append(say(session, str(number)))
                if number == 2:
                    session.checkpoint()
                seen.append(orjson.loads(process.stdout.readline()))
            process.send_signal(signal.SIGINT)
            rest, complaints = process.communicate(timeout=60)
        assert [change["ids"] for change in seen[1:]] == [[input_id] for input_id in ids]
        assert (process.returncode, rest, complaints) == (ExitCode.OK, b"", b"")
