"""Names for leaves: created, listed, switched to, dropped, and followed by the current one."""

import pytest

from localstore import (
    Branch,
    BranchExists,
    BranchNotFound,
    GraphLeaf,
    GraphReplaceFull,
    HeadMoveKind,
    InvalidArgument,
    NodeNotFound,
    SessionGraph,
)
from localstore.contract.history import MAX_BRANCH_NAME, MAX_BRANCHES
from localstore.testing import SESSION, chain, node
from tests.history.living import Living, leaf, nodes, path, revision

TIMESTAMP = node("x").timestamp


@pytest.fixture
def grown(live: Living) -> Living:
    """The path a, b, c."""
    live.append(*chain("a", "b", "c"))
    return live


def leaves_of(live: Living) -> dict[str, str | None]:
    return {branch.name: branch.leaf_node_id for branch in live.session.branches()}


def current(live: Living) -> str | None:
    return next((branch.name for branch in live.session.branches() if branch.is_current), None)


class TestCreating:
    def test_names_the_leaf_or_a_node(self, grown: Living) -> None:
        assert grown.session.create_branch("tip") == Branch("tip", "c")
        assert grown.session.create_branch("early", "a") == Branch("early", "a")
        for _ in range(2):
            assert grown.session.branches() == (Branch("early", "a"), Branch("tip", "c"))
            grown.reopen()

    def test_moves_no_head_and_needs_no_lease(self, grown: Living) -> None:
        grown.lease(grown.session)
        grown.session.create_branch("tip")
        assert (revision(grown.session), leaf(grown.session), current(grown)) == (1, "c", None)

    def test_may_name_the_beginning(self, live: Living) -> None:
        assert live.session.create_branch("start") == Branch("start", None)
        live.append(node("a"))
        live.session.switch_branch("start")
        assert path(live.session) == []

    def test_refuses_a_name_that_is_taken(self, grown: Living) -> None:
        grown.session.create_branch("tip")
        with pytest.raises(BranchExists) as caught:
            grown.session.create_branch("tip", "a")
        assert (caught.value.session_id, caught.value.branch) == (SESSION, "tip")
        assert leaves_of(grown) == {"tip": "c"}

    def test_refuses_a_node_that_is_not_there(self, grown: Living) -> None:
        grown.session.tombstone_nodes(["a"])
        for missing in ("a", "nobody"):
            with pytest.raises(NodeNotFound):
                grown.session.create_branch("x", missing)
        assert grown.session.branches() == ()

    @pytest.mark.parametrize(
        "bad",
        ["", " x", "x ", "-x", "a\nb", "a\0", "\x1b[1m", "\u2028", "\ud800", "x" * (MAX_BRANCH_NAME + 1), 7, None],
    )
    def test_refuses_what_is_no_name(self, grown: Living, bad: object) -> None:
        for call in (grown.session.create_branch, grown.session.switch_branch, grown.session.drop_branch):
            with pytest.raises(InvalidArgument):
                call(bad)  # type: ignore[arg-type]
        assert grown.session.branches() == ()

    @pytest.mark.parametrize("good", ["x", "x" * MAX_BRANCH_NAME, "what if/2", "идея", "分岐", "a.b-c_d"])
    def test_takes_any_readable_name(self, grown: Living, good: str) -> None:
        grown.session.create_branch(good)
        grown.reopen()
        assert leaves_of(grown) == {good: "c"}

    def test_is_bounded(self, grown: Living) -> None:
        for number in range(MAX_BRANCHES):
            grown.session.create_branch(f"{number:04d}")
        with pytest.raises(InvalidArgument, match="drop some"):
            grown.session.create_branch("one more")
        grown.session.drop_branch("0500")
        grown.session.create_branch("one more")
        grown.reopen()
        assert len(grown.session.branches()) == MAX_BRANCHES


class TestSwitching:
    def test_moves_the_head_to_the_leaf(self, grown: Living) -> None:
        grown.session.create_branch("early", "a")
        assert grown.session.switch_branch("early").head_revision == 2
        assert (path(grown.session), current(grown)) == (["a"], "early")
        assert grown.session.head_log()[-1].kind is HeadMoveKind.SWITCH
        assert grown.session.head_log()[-1].branch == "early"
        grown.reopen()
        assert (path(grown.session), current(grown)) == (["a"], "early")

    def test_lets_the_branch_follow_commits(self, grown: Living) -> None:
        grown.session.create_branch("main")
        grown.session.create_branch("idea", "a")
        grown.session.switch_branch("idea")
        grown.append(node("d", "a"))
        assert leaves_of(grown) == {"idea": "d", "main": "c"}
        grown.session.switch_branch("main")
        grown.append(node("e", "c"))
        for _ in range(2):
            assert leaves_of(grown) == {"idea": "d", "main": "e"}
            assert current(grown) == "main"
            grown.reopen()
        grown.session.switch_branch("idea")
        assert path(grown.session) == ["a", "d"]

    def test_lets_the_branch_follow_rewinds_and_undos(self, grown: Living) -> None:
        grown.session.create_branch("main")
        grown.session.switch_branch("main")
        grown.session.rewind("a")
        assert leaves_of(grown) == {"main": "a"}
        grown.session.undo()
        assert leaves_of(grown) == {"main": "c"}

    def test_leaves_the_others_where_they_are(self, grown: Living) -> None:
        grown.session.create_branch("early", "a")
        grown.append(node("d", "c"))
        grown.session.rewind("b")
        assert leaves_of(grown) == {"early": "a"}

    def test_is_undone_with_the_branch_that_was_current(self, grown: Living) -> None:
        grown.session.create_branch("main")
        grown.session.create_branch("early", "a")
        grown.session.switch_branch("main")
        grown.session.switch_branch("early")
        grown.session.undo()
        assert (leaf(grown.session), current(grown)) == ("c", "main")
        grown.session.undo()
        assert (leaf(grown.session), current(grown)) == ("c", None)
        assert leaves_of(grown) == {"early": "a", "main": "c"}

    def test_is_undone_to_no_branch_where_that_one_was_dropped(self, grown: Living) -> None:
        grown.session.create_branch("main")
        grown.session.create_branch("early", "a")
        grown.session.switch_branch("main")
        grown.session.switch_branch("early")
        grown.session.drop_branch("main")
        grown.session.undo()
        assert (leaf(grown.session), current(grown)) == ("c", None)
        assert leaves_of(grown) == {"early": "a"}

    def test_to_the_current_one_is_a_move_as_well(self, grown: Living) -> None:
        grown.session.create_branch("main")
        grown.session.switch_branch("main")
        assert grown.session.switch_branch("main").head_revision == 3
        grown.session.undo()
        assert (leaf(grown.session), current(grown)) == ("c", "main")

    def test_refuses_a_branch_that_is_not_there(self, grown: Living) -> None:
        with pytest.raises(BranchNotFound) as caught:
            grown.session.switch_branch("nobody")
        assert (caught.value.session_id, caught.value.branch) == (SESSION, "nobody")
        assert revision(grown.session) == 1


class TestLeavesThatGo:
    def test_tombstoned_ones_are_told(self, grown: Living) -> None:
        grown.session.create_branch("tip")
        grown.session.create_branch("early", "a")
        grown.session.tombstone_nodes(["c"])
        assert grown.session.branches() == (Branch("early", "a"), Branch("tip", "c", is_gone=True))
        with pytest.raises(NodeNotFound):
            grown.session.switch_branch("tip")
        grown.session.vacuum()
        assert grown.session.branches() == (Branch("early", "a"), Branch("tip", "c", is_gone=True))

    def test_the_current_one_follows_the_head(self, grown: Living) -> None:
        grown.session.create_branch("tip")
        grown.session.switch_branch("tip")
        grown.session.tombstone_nodes(["c"])
        assert grown.session.branches() == (Branch("tip", None, is_current=True),)

    def test_of_a_graph_that_was_replaced(self, grown: Living) -> None:
        grown.session.create_branch("old")
        grown.settle(grown.session, GraphReplaceFull(SessionGraph((node("n"),), "n")))
        assert grown.session.branches() == (Branch("old", "c", is_gone=True),)


class TestDropping:
    def test_forgets_the_name_alone(self, grown: Living) -> None:
        grown.session.create_branch("early", "a")
        grown.session.drop_branch("early")
        grown.reopen()
        assert grown.session.branches() == ()
        assert (revision(grown.session), nodes(grown.session)) == (1, ["a", "b", "c"])

    def test_of_the_current_one_leaves_none_current(self, grown: Living) -> None:
        grown.session.create_branch("early", "a")
        grown.session.switch_branch("early")
        grown.session.drop_branch("early")
        assert (path(grown.session), current(grown)) == (["a"], None)
        grown.append(node("d", "a"))
        grown.session.create_branch("early", "b")
        assert leaves_of(grown) == {"early": "b"}

    def test_refuses_a_branch_that_is_not_there(self, grown: Living) -> None:
        with pytest.raises(BranchNotFound):
            grown.session.drop_branch("early")


class TestLeaves:
    def test_are_the_tips_in_commit_order(self, grown: Living) -> None:
        assert grown.session.leaves() == (GraphLeaf("c", TIMESTAMP, is_head=True),)
        grown.session.create_branch("main")
        grown.session.create_branch("same")
        grown.session.rewind("a")
        grown.append(node("d", "a"))
        grown.append(node("r"))
        for _ in range(2):
            assert grown.session.leaves() == (
                GraphLeaf("c", TIMESTAMP, ("main", "same")),
                GraphLeaf("d", TIMESTAMP),
                GraphLeaf("r", TIMESTAMP, is_head=True),
            )
            grown.reopen()

    def test_are_only_those_that_can_be_read(self, grown: Living) -> None:
        grown.session.tombstone_nodes(["c"])
        assert grown.session.leaves() == (GraphLeaf("b", TIMESTAMP),)

    def test_of_nothing_are_none(self, live: Living) -> None:
        assert live.session.leaves() == ()
