"""Which session a command means."""

import pytest

from localstore.cli import ExitCode
from localstore.cli.invocation import CommandFailure
from localstore.cli.selecting import look, select
from localstore.machine.reading import load_head
from localstore.testing import next_input, node, wake
from tests.commits import commit


@pytest.fixture
def named(store):
    store.create_session("abc-1", session_name="Alpha")
    store.create_session("abc-2", session_name="Beta")
    store.create_session("xyz", session_name="abc-1")
    store.create_session("Beta-test", session_name="Gamma")
    return store


@pytest.mark.parametrize(
    "given, found",
    [
        ("abc-1", "abc-1"),
        ("abc-2", "abc-2"),
        ("x", "xyz"),
        ("Alpha", "abc-1"),
        ("Al", "abc-1"),
        ("Beta", "abc-2"),
        ("Beta-", "Beta-test"),
        ("Gam", "Beta-test"),
    ],
)
def test_by_id_by_name_by_the_beginning_of_either(named, given, found):
    assert select(named, given).session_id == found


@pytest.mark.parametrize(
    "given, code, said",
    [
        ("abc", ExitCode.USAGE, "fits 3 sessions"),
        ("Be", ExitCode.USAGE, "fits 2 sessions"),
        ("nope", ExitCode.NOT_FOUND, "no session fits 'nope'"),
        ("ABC-1", ExitCode.NOT_FOUND, "no session fits"),
        ("", ExitCode.USAGE, "1 to 1,024 characters"),
        ("x" * 1025, ExitCode.USAGE, "1 to 1,024 characters"),
    ],
)
def test_none_or_too_many(named, given, code, said):
    with pytest.raises(CommandFailure, match=said) as caught:
        select(named, given)
    assert caught.value.code == code


def test_what_was_copied_from_a_table_that_cuts_it(run, named):
    assert select(named, "abc-2…").session_id == "abc-2"
    commit(named.open_session("xyz"), node("a" * 20), node("b" * 20, "a" * 20))
    shown = run("branches", "xyz").lines[-1].split()[-2]
    assert shown == "b" * 11 + "…"
    assert run("rewind", "xyz", "a" * 11 + "…").code == ExitCode.OK
    named.delete_session("abc-2")
    assert run("restore", "abc…").code == ExitCode.OK
    named.create_session("abc…", session_name="Dots")
    assert select(named, "abc…").session_id == "abc…"


def test_only_a_few_of_many_are_named(store):
    for number in range(9):
        store.create_session(f"s{number}")
    with pytest.raises(CommandFailure, match="and 4 more"):
        select(store, "s")


def test_the_command_says_so(run, named):
    result = run("show", "abc")
    assert result.code == ExitCode.USAGE
    assert result.err.startswith("localstore: 'abc' fits 3 sessions: ")
    assert run("queue", "nope").code == ExitCode.NOT_FOUND


def test_looking_at_a_session_that_is_gone(named):
    assert look(named, "xyz", load_head()) is None
    named.delete_session("xyz")
    with pytest.raises(CommandFailure, match="was deleted meanwhile"):
        look(named, "xyz", load_head())


def offered(shell, root, *words):
    """What bash is offered for the last of these words."""
    result = shell(
        LOCALSTORE_ROOT=str(root),
        _LOCALSTORE_COMPLETE="complete_bash",
        COMP_WORDS=" ".join(("localstore", *words)),
        COMP_CWORD=str(len(words)),
    )
    assert (result.code, result.err) == (ExitCode.OK, "")
    return result.lines


@pytest.mark.parametrize("command", ["show", "rm", "vacuum", "du"])
def test_the_shell_completes_ids(shell, root, named, command):
    named.create_session("abc of two words")
    assert sorted(offered(shell, root, command, "ab")) == ["abc-1", "abc-2"]


def test_the_shell_completes_what_is_in_a_session(shell, root, named):
    session = named.open_session("abc-1")
    commit(session, node("n1"), node("n2", "n1"))
    session.create_branch("idea", "n1")
    session.enqueue_pending_turn_input(next_input("hello", session_id="abc-1", input_id="i1"))
    batch = session.enqueue_queued_work(wake(session_id="abc-1"))
    assert offered(shell, root, "rewind", "abc-1", "n") == ["n1", "n2"]
    assert offered(shell, root, "show", "Alpha", "--at", "n2") == ["n2"]
    assert offered(shell, root, "fork", "abc-1", "--at", "") == ["n1", "n2"]
    assert offered(shell, root, "branch", "abc-1", "i") == ["idea"]
    assert offered(shell, root, "cancel", "abc-1", "i") == ["i1"]
    assert offered(shell, root, "cancel", "abc-1", "--batch", batch.batch_id[:4]) == [batch.batch_id]
    assert [line for line in offered(shell, root, "rewind", "nope", "n") if line] == []


def test_the_shell_completes_what_is_in_the_trash(shell, root, named):
    named.delete_session("abc-2")
    assert offered(shell, root, "restore", "a") == ["abc-2"]
    assert offered(shell, root, "purge", "a") == ["abc-2"]
    assert offered(shell, root, "show", "a") == ["abc-1"]


def test_the_shell_completes_commands_and_options_and_needs_no_store(shell, root, named, tmp_path):
    assert offered(shell, root, "vac") == ["vacuum"]
    assert offered(shell, root, "show", "--ful") == ["--full"]
    assert offered(shell, root, "--root", str(root), "show", "x") == ["xyz"]
    absent = tmp_path / "absent"
    assert [line for line in offered(shell, absent, "show", "a") if line] == []
    assert not absent.exists()
