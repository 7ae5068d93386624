"""`log`, `rewind`, `undo`, `branches`, `branch`, `fork` and `tree`."""

import uuid

import pytest

from localstore.cli import ExitCode, output
from localstore.testing.builders import chain, node, owner, said
from tests.cli.sample import loaded, opened
from tests.commits import commit

SESSION = "session-1"


@pytest.fixture
def grown(session):
    """Two commits: the path alpha, beta, beta-2, gamma."""
    commit(session, said("alpha", None, "Hello \x1b[31mthere"), *chain("beta", "beta-2", after="alpha"))
    commit(session, node("gamma", "beta-2"))
    return session


def leaf(session):
    return session.load_session_head().leaf_node_id


class TestRewind:
    def test_says_where_the_head_is_now(self, run, grown):
        result = run("rewind", "sess", "alpha")
        assert (result.code, result.lines) == (
            ExitCode.OK,
            ["the head is at alpha, it was at gamma; revision 3"],
        )
        assert leaf(grown) == "alpha"
        move = run("rewind", SESSION, "gamma", "--json").json
        assert move == {
            "record": "head_move",
            "schema_version": 1,
            "session_id": SESSION,
            "revision": 4,
            "at_ms": grown.head_log(1)[0].at_ms,
            "kind": "rewind",
            "leaf_node_id": "gamma",
            "previous_leaf_node_id": "alpha",
            "turn_id": None,
            "branch": None,
            "undone_revision": None,
        }

    def test_takes_the_beginning_of_an_id(self, run, grown):
        assert run("rewind", SESSION, "al").code == ExitCode.OK
        assert leaf(grown) == "alpha"
        assert run("rewind", SESSION, "beta").code == ExitCode.OK
        assert leaf(grown) == "beta"

    def test_goes_before_the_first_node(self, run, grown):
        assert run("rewind", SESSION, "--none").lines == [
            "the head is before the first node, it was at gamma; revision 3"
        ]
        assert leaf(grown) is None

    @pytest.mark.parametrize(
        ("arguments", "code", "told"),
        [
            ((), ExitCode.USAGE, "--none"),
            (("alpha", "--none"), ExitCode.USAGE, "--none"),
            (("nobody",), ExitCode.NOT_FOUND, "no node of the session fits 'nobody'"),
            (("b",), ExitCode.USAGE, "'b' fits 2 nodes: 'beta', 'beta-2'"),
            (("",), ExitCode.USAGE, "a node is named by"),
        ],
    )
    def test_refuses(self, run, grown, arguments, code, told):
        result = run("rewind", SESSION, *arguments)
        assert (result.code, result.out) == (code, "")
        assert told in result.err
        assert leaf(grown) == "gamma"

    def test_respects_whoever_holds_the_session(self, run, grown):
        held = grown.try_claim_session_execution_lease(SESSION, owner("someone"), 60_000).acquired()
        for command in (("rewind", SESSION, "alpha"), ("undo", SESSION)):
            result = run(*command)
            assert result.code == ExitCode.REFUSED
            until = output.when(held.expires_at_epoch_ms)
            assert f"is held by 'someone', until {until} unless that is renewed" in result.err
        assert leaf(grown) == "gamma"


class TestUndo:
    def test_walks_back_and_says_when_there_is_nothing_left(self, run, grown):
        assert run("undo", SESSION).lines == [
            "revision 2 is undone: the head is at beta-2, it was at gamma; revision 3",
            "to go there again: localstore rewind session-1 gamma",
        ]
        assert run("undo", SESSION, "--json").json["undone_revision"] == 1
        lines = run("show", SESSION).lines
        assert "head     revision 4, before the first node" in lines
        assert lines[-1] == "no node leads to the head; for all of them: --full"
        result = run("undo", SESSION)
        assert result.code == ExitCode.REFUSED
        assert "no move of its head left to undo" in result.err


class TestLog:
    def test_is_newest_first(self, run, grown):
        grown.rewind("alpha")
        grown.undo()
        lines = run("log", SESSION).lines
        assert lines[0].split() == ["REVISION", "WHEN", "MOVE", "LEAF", "BEFORE", "BRANCH", "TURN"]
        assert [line.split()[0] for line in lines[1:]] == ["4", "3", "2", "1"]
        assert "undo of 3" in lines[1]
        assert "rewind" in lines[2]
        assert [line.split()[0] for line in run("log", SESSION, "--last", "2").lines[1:]] == ["4", "3"]

    def test_as_json_has_all(self, run, grown):
        for _ in range(20):
            grown.rewind("alpha")
            grown.undo()
        moves = run("log", SESSION, "--json").json["moves"]
        assert [move["revision"] for move in moves] == list(range(42, 0, -1))
        assert len(run("log", SESSION).lines) == 31
        assert run("log", SESSION, "--last", "0", "--json").json["moves"] == []

    def test_of_a_session_without_commits(self, run, session):
        assert run("log", SESSION).lines == ["the head has not moved"]


class TestBranches:
    def test_are_made_switched_listed_and_dropped(self, run, grown):
        assert run("branch", SESSION, "early", "--at", "al").lines == ["created early, at alpha"]
        assert run("branch", SESSION, "main").lines == ["created main, at gamma"]
        changed = run("branch", SESSION, "early", "--switch", "--json").json
        assert changed == {
            "record": "branch_change",
            "schema_version": 1,
            "session_id": SESSION,
            "action": "switched",
            "branch": {"name": "early", "leaf_node_id": "alpha", "is_current": True, "is_gone": False},
            "head_revision": 3,
        }
        assert leaf(grown) == "alpha"
        lines = [line.split() for line in run("branches", SESSION).lines]
        assert lines[1:] == [["*", "early", "alpha", "head"], ["main", "gamma"]]
        told = run("branches", SESSION, "--json").json
        assert [branch["name"] for branch in told["branches"]] == ["early", "main"]
        assert told["leaves"] == [
            {"node_id": "gamma", "timestamp": node("x").timestamp, "branches": ["main"], "is_head": False}
        ]
        assert run("branch", SESSION, "early", "--drop").lines == ["dropped early"]
        assert run("branch", SESSION, "main", "--drop", "--json").json["branch"] is None
        lines = [line.split() for line in run("branches", SESSION).lines]
        assert lines[1:] == [["(no", "name)", "gamma"]]

    def test_say_what_is_gone(self, run, grown):
        grown.create_branch("main")
        grown.tombstone_nodes(["gamma"])
        assert run("branches", SESSION).lines[1].split() == ["main", "gamma", "gone"]

    def test_of_nothing(self, run, session):
        assert run("branches", SESSION).lines == ["no branches, and no nodes"]

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (("main", "--switch", "--drop"), ExitCode.USAGE),
            (("main", "--switch", "--at", "alpha"), ExitCode.USAGE),
            (("nobody", "--switch"), ExitCode.NOT_FOUND),
            (("nobody", "--drop"), ExitCode.NOT_FOUND),
            (("new", "--at", "nobody"), ExitCode.NOT_FOUND),
            (("a\nb",), ExitCode.USAGE),
            (("main",), ExitCode.REFUSED),
        ],
    )
    def test_refuse(self, run, grown, arguments, code):
        grown.create_branch("main")
        assert run("branch", SESSION, *arguments).code == code
        assert [branch.name for branch in grown.branches()] == ["main"]


class TestFork:
    def test_makes_a_session(self, run, store, grown):
        result = run("fork", SESSION, "what-if", "--at", "beta-2", "--name", "What if")
        assert result.lines == ["what-if goes on from beta-2 of session-1"]
        child = opened(store, "what-if")
        assert leaf(child) == "beta-2"
        meta = child.load_session_meta()
        assert meta is not None
        assert meta.session_name == "What if"
        told = run("fork", SESSION, "other", "--json").json
        assert told == {
            "record": "fork",
            "schema_version": 1,
            "session_id": "other",
            "session_name": "other",
            "parent_session_id": SESSION,
            "leaf_node_id": "gamma",
            "head_revision": 2,
        }

    def test_finds_an_id(self, run, store, grown):
        made = run("fork", SESSION, "--json").json["session_id"]
        assert str(uuid.UUID(made)) == made
        assert loaded(opened(store, made)).graph == loaded(grown).graph

    def test_refuses_an_id_that_is_taken(self, run, grown):
        result = run("fork", SESSION, SESSION)
        assert result.code == ExitCode.REFUSED
        assert "exists already" in result.err


class TestTree:
    def test_folds_stretches_without_branches(self, run, grown):
        grown.rewind("beta")
        commit(grown, node("delta", "beta"))
        grown.create_branch("main", "gamma")
        grown.create_branch("idea")
        grown.switch_branch("idea")
        assert run("tree", SESSION).lines == [
            "alpha … beta (2 nodes) user: Hello \N{REPLACEMENT CHARACTER}[31mthere",
            '├─ beta-2 … gamma (2 nodes) [main] event: {"kind":"event","label":"beta-2"}',
            '└─ delta [head, *idea] event: {"kind":"event","label":"delta"}',
        ]
        assert len(run("tree", SESSION, "--full").lines) == 5

    def test_shows_what_is_hidden(self, run, grown):
        grown.tombstone_nodes(["beta-2", "gamma"])
        lines = run("tree", SESSION).lines
        assert lines[0].startswith("alpha … beta (2 nodes) user:")
        assert lines[1].startswith("beta-2 … gamma (2 nodes) (hidden) event:")
        hidden = [item["node_id"] for item in run("tree", SESSION, "--json").json["nodes"] if item["is_hidden"]]
        assert hidden == ["beta-2", "gamma"]
        grown.vacuum()
        assert len(run("tree", SESSION).lines) == 1

    def test_as_json(self, run, grown):
        grown.create_branch("main")
        told = run("tree", SESSION, "--json").json
        assert (told["record"], told["leaf_node_id"], told["current_branch"]) == ("tree", "gamma", None)
        assert told["nodes"][-1] == {
            "node_id": "gamma",
            "parent_node_id": "beta-2",
            "timestamp": node("x").timestamp,
            "is_hidden": False,
            "is_head": True,
            "branches": ["main"],
        }

    def test_of_a_deep_graph_needs_no_deep_stack(self, run, session):
        names = [f"n{number}" for number in range(3000)]
        sides = [node(f"s{number}", f"n{number}") for number in range(0, 2900, 2)]
        commit(session, *chain(*names), *sides)
        lines = run("tree", SESSION).lines
        assert len(lines) == 2 * len(sides) + 1
        assert len(run("tree", SESSION, "--full").lines) == len(names) + len(sides)

    def test_of_roots_and_lost_parents(self, run, session):
        commit(session, node("a"), node("b", "lost"), node("c", "b"))
        assert [line.split()[0] for line in run("tree", SESSION).lines] == ["a", "b"]

    def test_of_nothing(self, run, session):
        assert run("tree", SESSION).lines == ["no nodes"]
