"""`rm`, `trash`, `restore`, `purge` and `prune`."""

import pytest

from localstore import LocalStore, SystemClock
from localstore.cli import ExitCode
from localstore.cli.amounts import byte_count, milliseconds
from localstore.cli.invocation import CommandFailure
from localstore.testing import ManualClock
from localstore.testing.builders import next_input, node, owner
from tests.cli.sample import dead_owner
from tests.commits import commit

SESSION = "session-1"
DAY = 86_400_000


@pytest.fixture
def three(root, store):
    """Sessions that were written to one after the other, a second between them, a minute ago."""
    clock = ManualClock(SystemClock().now_ms() - 60_000)
    with LocalStore(root, clock=clock) as earlier:
        earlier.create_session(SESSION, session_name="A session", model="a-model", cwd="/somewhere")
        for session_id in (SESSION, "other", "another"):
            clock.advance(1_000)
            commit(earlier.create_session(session_id), node("n"))
    return store


def listed(store):
    return sorted(row.session_id for row in store.list_sessions())


class TestRm:
    def test_moves_to_the_trash(self, run, three):
        result = run("rm", "A session")
        assert result.code == ExitCode.OK
        assert result.lines[0].startswith("session-1 is in the trash: 1 node, ")
        assert listed(three) == ["another", "other"]
        (entry,) = three.trash()
        removed = run("rm", "oth", "another", "--json").json
        assert (removed["record"], [item["session_id"] for item in removed["sessions"]]) == (
            "removal",
            ["other", "another"],
        )
        assert set(removed["sessions"][0]) == {
            "session_id",
            "session_name",
            "deleted_at_ms",
            "updated_at_ms",
            "node_count",
            "head_revision",
            "size_bytes",
        }
        assert entry.session_name == "A session"

    def test_of_a_wrong_name_among_others_removes_none(self, run, three):
        assert run("rm", "other", "nobody").code == ExitCode.NOT_FOUND
        assert run("rm", "other", "o", "s").code == ExitCode.OK
        assert listed(three) == ["another"]

    def test_respects_whoever_holds_one(self, run, three):
        handle = three.open_session("other")
        handle.try_claim_session_execution_lease("other", owner("someone"), 60_000)
        result = run("rm", "another", "other")
        assert result.code == ExitCode.REFUSED
        assert "session 'other' is held by someone" in result.err
        assert listed(three) == ["another", "other", SESSION]
        assert run("rm", "other", "--force").code == ExitCode.OK
        assert listed(three) == ["another", SESSION]

    def test_does_not_wait_for_the_dead(self, run, session):
        session.try_claim_session_execution_lease("session-1", dead_owner("ghost"), 60_000)
        assert run("rm", "session-1").code == ExitCode.OK

    def test_needs_a_session(self, run, three):
        assert run("rm").code == ExitCode.USAGE


class TestTrash:
    def test_is_listed(self, run, three):
        assert run("trash").lines == ["the trash is empty"]
        three.delete_session(SESSION)
        lines = run("trash").lines
        assert lines[0].split() == ["SESSION", "DELETED", "UPDATED", "NODES", "SIZE", "NAME"]
        assert lines[1].split()[0] == SESSION
        assert lines[1].endswith("A session")
        (item,) = run("trash", "--json").json["sessions"]
        (entry,) = three.trash()
        assert (item["session_id"], item["deleted_at_ms"]) == (SESSION, entry.deleted_at_ms)
        assert (item["size_bytes"], item["node_count"]) == (entry.size_bytes, 1)


class TestRestore:
    @pytest.mark.parametrize("given", [SESSION, "A session", "sess", "A s"])
    def test_brings_one_back(self, run, three, given):
        three.delete_session(SESSION)
        result = run("restore", given)
        assert result.lines == ["session-1 is a session again: 1 node"]
        assert SESSION in listed(three)

    def test_takes_the_one_deleted_at_a_time(self, run, three):
        three.delete_session(SESSION)
        three.create_session(SESSION)
        three.delete_session(SESSION)
        first = min(entry.deleted_at_ms for entry in three.trash())
        told = run("restore", SESSION, "--deleted-at", str(first), "--json").json
        assert (told["record"], told["deleted_at_ms"], told["node_count"]) == ("restoration", first, 1)

    def test_refuses(self, run, three):
        assert run("restore", SESSION).code == ExitCode.NOT_FOUND
        three.delete_session("other")
        three.delete_session("another")
        assert run("restore", "").code == ExitCode.NOT_FOUND
        three.create_session("other")
        result = run("restore", "other")
        assert result.code == ExitCode.REFUSED
        assert "exists already" in result.err
        three.create_session("outer")
        three.delete_session("outer")
        result = run("restore", "o")
        assert result.code == ExitCode.USAGE
        assert "fits 2 deleted sessions" in result.err


class TestPurge:
    def test_of_one(self, run, three):
        three.delete_session(SESSION)
        three.delete_session("other")
        size = next(entry.size_bytes for entry in three.trash() if entry.session_id == SESSION)
        told = run("purge", SESSION, "--json").json
        assert (told["record"], told["freed_bytes"]) == ("purge", size)
        assert [entry.session_id for entry in three.trash()] == ["other"]

    def test_of_what_is_past_its_grace(self, run, three):
        three.delete_session(SESSION)
        assert run("purge").lines == ["gone for good: 0 sessions, 0 B"]
        assert len(three.trash()) == 1

    def test_of_everything(self, run, three):
        three.delete_session(SESSION)
        assert run("purge", "--all").lines[0].startswith("gone for good: 1 session, ")
        assert three.trash() == ()

    @pytest.mark.parametrize("arguments", [(SESSION, "--all"), ("--deleted-at", "7")])
    def test_refuses(self, run, three, arguments):
        three.delete_session(SESSION)
        assert run("purge", *arguments).code == ExitCode.USAGE
        assert run("purge", "nobody").code == ExitCode.NOT_FOUND
        assert len(three.trash()) == 1


class TestPrune:
    def test_only_says_so(self, run, three):
        result = run("prune", "--max-sessions", "1")
        assert result.code == ExitCode.OK
        assert [line.split()[0] for line in result.lines[1:3]] == [SESSION, "other"]
        assert "would be moved to the trash: 2 sessions" in result.lines[-1]
        assert "see --apply" in result.lines[-1]
        assert len(listed(three)) == 3

    def test_does_it(self, run, three):
        waiting = three.open_session("other")
        waiting.enqueue_pending_turn_input(next_input("hello", session_id="other"))
        report = run("prune", "--older-than", "0s", "--apply", "--json").json
        assert (report["record"], report["applied"]) == ("prune_report", True)
        assert sorted(row["session_id"] for row in report["sessions"]) == ["another", SESSION]
        assert report["spared"] == [{"session_id": "other", "reason": "input"}]
        assert (report["purged"], report["purged_bytes"]) == ([], 0)
        assert report["session_bytes"] == sum(row["size_bytes"] for row in report["sessions"])
        assert listed(three) == ["other"]
        assert run("prune", "--max-size", "0", "--apply").lines[1].endswith("spared: user input waits in it")
        assert run("prune", "--max-size", "0", "--apply", "--force").code == ExitCode.OK
        assert listed(three) == []

    def test_keeps_what_is_young_or_small(self, run, three):
        assert run("prune", "--older-than", "1d", "--max-size", "1GB", "--json").json["sessions"] == []

    @pytest.mark.parametrize(
        "arguments",
        [(), ("--apply",), ("--older-than", "x"), ("--max-size", "-1"), ("--max-size", "1d"), ("--max-sessions", "-1")],
    )
    def test_refuses(self, run, three, arguments):
        assert run("prune", *arguments).code == ExitCode.USAGE
        assert len(listed(three)) == 3


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("30", 30 * DAY),
        ("30d", 30 * DAY),
        ("1.5h", 5_400_000),
        ("2w", 14 * DAY),
        (" 90 S ", 90_000),
        ("0.001ms", 0),
        ("5m", 300_000),
    ],
)
def test_times(text, amount):
    assert milliseconds(text) == amount


@pytest.mark.parametrize(
    ("text", "amount"), [("7", 7), ("1.5kb", 1536), ("500MB", 500 << 20), ("2 GB", 2 << 30), ("1tb", 1 << 40)]
)
def test_sizes(text, amount):
    assert byte_count(text) == amount


@pytest.mark.parametrize("text", ["", "d", "1y", "1.d", "-1d", "1e3", "\N{ARABIC-INDIC DIGIT ONE}d", "9" * 16])
def test_what_is_no_amount(text):
    for read in (milliseconds, byte_count):
        with pytest.raises(CommandFailure) as caught:
            read(text)
        assert caught.value.code == ExitCode.USAGE
