"""The graph of a commit: what may be appended, what may be the leaf, and that no cycle is ever closed."""

from __future__ import annotations

import pytest

from ... import ActivePath, GraphAppend, InvalidCommit, RuntimeCommit, SessionNodeRecord
from ..builders import OTHER, append_commit, chain, commit_of, node, replace_commit, unchanged_commit
from .world import Conformance, World


def fails(world: World, commit: RuntimeCommit) -> None:
    """The commit is invalid, and changes nothing."""
    world.fence()
    before = world.everything()
    with pytest.raises(InvalidCommit):
        world.settle(commit)
    assert world.everything() == before


def path_ids(world: World, leaf: str) -> list[str]:
    """The ids of the path to `leaf`, root first."""
    read = world.session.load_session(ActivePath(leaf))
    assert read is not None
    return [item.node_id for item in read.graph.nodes]


class TestAppend(Conformance):
    """Appending nodes."""

    def test_adds_nodes_and_moves_the_leaf(self, world: World) -> None:
        """The nodes are added to those that are there, and the leaf is the named one."""
        world.append(*chain("a", "b"))
        world.settle(append_commit(*chain("c", "d", after="b"), leaf="c"))
        assert world.node_ids() == ["a", "b", "c", "d"]
        assert world.read().graph.leaf_node_id == "c"

    def test_may_add_nothing(self, world: World) -> None:
        """An append of no node may still move the leaf."""
        world.append(*chain("a", "b"))
        world.settle(commit_of(GraphAppend((), "a")))
        assert world.read().graph.leaf_node_id == "a"

    def test_may_name_no_leaf(self, world: World) -> None:
        """The leaf may be None."""
        world.append(node("a"))
        world.settle(append_commit(node("b", "a"), leaf=None))
        assert world.read().graph.leaf_node_id is None
        assert world.node_ids() == ["a", "b"]

    def test_may_name_an_older_leaf(self, world: World) -> None:
        """The leaf may be any node of the resulting graph."""
        world.append(*chain("a", "b"))
        world.settle(append_commit(node("c", "b"), leaf="a"))
        assert world.read().graph.leaf_node_id == "a"

    def test_may_have_many_roots(self, world: World) -> None:
        """A graph may have several roots."""
        world.append(node("a"), node("b"), node("c", "a"))
        assert path_ids(world, "c") == ["a", "c"]
        assert path_ids(world, "b") == ["b"]

    def test_takes_nodes_in_any_order(self, world: World) -> None:
        """A node may stand before its parent in the commit."""
        world.append(node("c", "b"), node("b", "a"), node("a"))
        assert world.node_ids() == ["c", "b", "a"]
        assert path_ids(world, "c") == ["a", "b", "c"]

    def test_may_lack_parents(self, world: World) -> None:
        """Parents may be missing, since a trimmed history is legal."""
        world.append(node("b", "trimmed"))
        assert world.session.load_node("b") == node("b", "trimmed")

    def test_of_an_existing_id_is_invalid(self, world: World) -> None:
        """An appended id that exists already is invalid, with equal content too."""
        world.append(*chain("a", "b"))
        fails(world, append_commit(node("b", "a"), leaf="a"))
        fails(world, append_commit(node("new"), node("a", payload={"kind": "other"}), leaf="new"))

    def test_of_an_id_twice_is_invalid(self, world: World) -> None:
        """A duplicate inside the commit is invalid."""
        fails(world, append_commit(node("a"), node("a")))
        fails(world, append_commit(node("a"), node("b"), node("a", "b"), leaf="b"))

    def test_of_an_id_twice_names_it(self, world: World) -> None:
        """The error says which of the ids it is."""
        with pytest.raises(InvalidCommit, match="'twice'"):
            world.settle(append_commit(node("first"), node("twice"), node("twice"), node("last")))

    def test_of_an_unknown_leaf_is_invalid(self, world: World) -> None:
        """A leaf that is not in the resulting graph is invalid."""
        fails(world, append_commit(node("a"), leaf="elsewhere"))

    def test_of_a_missing_parent_as_leaf_is_invalid(self, world: World) -> None:
        """A missing parent is not in the graph."""
        fails(world, append_commit(node("b", "trimmed"), leaf="trimmed"))

    def test_of_a_tombstoned_leaf_is_invalid(self, world: World) -> None:
        """A tombstoned node is not in the graph, before and after a vacuum."""
        world.append(*chain("a", "b"))
        world.session.tombstone_nodes(("a",))
        fails(world, append_commit(node("c", "b"), leaf="a"))
        world.session.vacuum()
        fails(world, append_commit(node("c", "b"), leaf="a"))

    def test_of_another_session_s_leaf_is_invalid(self, world: World) -> None:
        """A node of another session is not in the graph."""
        world.store.create_session(OTHER)
        world.settle(append_commit(node("there"), session_id=OTHER))
        fails(world, unchanged_commit("there"))

    def test_of_a_tombstoned_node_brings_it_back(self, world: World) -> None:
        """A re-committed node is no longer tombstoned, has its new content, and takes its new place."""
        world.append(*chain("a", "b", "c"))
        world.session.tombstone_nodes(("b",))
        again = node("b", "a", payload={"kind": "event", "again": True})
        world.append(again, node("d", "b"))
        assert world.session.load_node("b") == again
        assert world.node_ids() == ["a", "c", "b", "d"]
        assert path_ids(world, "d") == ["a", "b", "d"]
        assert path_ids(world, "c") == ["a", "b", "c"]

    def test_of_a_vacuumed_node_is_a_new_node(self, world: World) -> None:
        """An id that was vacuumed away may be used again."""
        world.append(*chain("a", "b"))
        world.session.tombstone_nodes(("a",))
        world.session.vacuum()
        world.append(node("a"))
        assert world.node_ids() == ["b", "a"]
        assert world.session.vacuum().removed_node_count == 0

    def test_of_a_node_that_came_back_is_invalid_again(self, world: World) -> None:
        """A re-committed node exists, so it cannot be appended once more."""
        world.append(node("a"))
        world.session.tombstone_nodes(("a",))
        world.append(node("a"))
        fails(world, append_commit(node("a")))

    def test_of_many_nodes_is_one_step(self, world: World) -> None:
        """A thousand nodes are one commit and one revision."""
        result = world.append(*chain(*(f"n{number}" for number in range(1000))))
        assert result.head_revision == 1
        assert len(world.read().graph.nodes) == 1000


class TestCycles(Conformance):
    """Cycles, which are never closed."""

    @pytest.mark.parametrize(
        "nodes",
        [
            (node("a", "a"),),
            (node("a", "b"), node("b", "a")),
            (node("root"), node("a", "c"), node("b", "a"), node("c", "b")),
        ],
        ids=["of one", "of two", "of three"],
    )
    def test_inside_a_commit_are_invalid(self, world: World, nodes: tuple[SessionNodeRecord, ...]) -> None:
        """A commit whose own nodes form a cycle is invalid."""
        fails(world, append_commit(*nodes))
        fails(world, replace_commit(*nodes))

    def test_through_a_missing_parent_are_invalid(self, world: World) -> None:
        """A node that fills in for a missing parent must not descend from its own child."""
        world.append(*chain("b", "c", after="a"))
        fails(world, append_commit(node("a", "c")))
        fails(world, append_commit(node("a", "x"), node("x", "b")))
        world.append(node("a"))
        assert path_ids(world, "c") == ["a", "b", "c"]

    def test_through_a_tombstoned_node_committed_again_are_invalid(self, world: World) -> None:
        """A re-committed node must not come to descend from itself."""
        world.append(*chain("a", "b", "c"))
        world.session.tombstone_nodes(("a",))
        fails(world, append_commit(node("a", "c")))
        world.append(node("a"))
        assert path_ids(world, "c") == ["a", "b", "c"]

    def test_through_a_vacuumed_node_committed_again_are_invalid(self, world: World) -> None:
        """A node committed again after a vacuum must not come to descend from itself."""
        world.append(*chain("a", "b", "c"))
        world.session.tombstone_nodes(("a",))
        world.session.vacuum()
        fails(world, append_commit(node("a", "c")))
        fails(world, append_commit(node("x", "c"), node("a", "x")))
        world.append(node("a", "elsewhere"))
        assert path_ids(world, "c") == ["a", "b", "c"]

    def test_are_never_left_when_two_holes_are_filled(self, world: World) -> None:
        """When two missing nodes are filled in one after the other, the second cannot close a cycle."""
        world.append(node("b", "a"), node("d", "c"))
        world.append(node("a", "d"))
        fails(world, append_commit(node("c", "b")))
        world.append(node("c"))
        assert path_ids(world, "b") == ["c", "d", "a", "b"]

    def test_of_two_tombstoned_nodes_committed_together_are_invalid(self, world: World) -> None:
        """Nodes that come back together must not form a cycle with those that stayed."""
        world.append(*chain("a", "b", "c", "d"))
        world.session.tombstone_nodes(("a", "c"))
        fails(world, append_commit(node("a", "d"), node("c", "b"), leaf="d"))
        world.settle(append_commit(node("c"), node("a"), leaf="d"))
        assert path_ids(world, "d") == ["c", "d"]

    def test_through_a_replaced_graph_s_missing_parent_are_invalid(self, world: World) -> None:
        """A missing parent of a full replacement is filled in under the same rule."""
        world.append(*chain("a", "x"))
        world.settle(replace_commit(*chain("b", "c", after="a")))
        fails(world, append_commit(node("a", "c")))
        world.append(node("a"))
        assert path_ids(world, "c") == ["a", "b", "c"]

    @pytest.mark.parametrize("when", ["never", "before", "after"])
    def test_through_a_node_that_was_tombstoned_before_its_child_came_are_invalid(
        self, world: World, when: str
    ) -> None:
        """A child may be appended below a tombstoned leaf, vacuumed or not; the leaf cannot come back below it."""
        world.append(*chain("a", "b"))
        world.session.tombstone_nodes(("b",))
        if when == "before":
            world.session.vacuum()
        world.append(node("c", "b"))
        if when == "after":
            world.session.vacuum()
        fails(world, append_commit(node("b", "c")))
        world.settle(append_commit(node("b", "a"), leaf="c"))
        assert path_ids(world, "c") == ["a", "b", "c"]

    def test_through_two_generations_of_one_id_are_invalid(self, world: World) -> None:
        """It does not matter how often a node was tombstoned and committed again."""
        world.append(*chain("a", "b"))
        for _ in range(3):
            world.session.tombstone_nodes(("a",))
            fails(world, append_commit(node("a", "b")))
            world.settle(append_commit(node("a"), leaf="b"))
            assert path_ids(world, "b") == ["a", "b"]

    def test_are_not_seen_in_diamonds(self, world: World) -> None:
        """Branches that share ancestors are no cycle."""
        world.append(*chain("r", "a", "b"), *chain("c", "d", after="r"), node("e", "b"))
        assert path_ids(world, "e") == ["r", "a", "b", "e"]


class TestUnchanged(Conformance):
    """Commits that add no node."""

    def test_moves_the_leaf(self, world: World) -> None:
        """An unchanged graph may move the leaf to any node."""
        world.append(*chain("a", "b"))
        world.settle(unchanged_commit("a"))
        assert world.read().graph.leaf_node_id == "a"
        assert world.node_ids() == ["a", "b"]
        assert path_ids(world, "a") == ["a"]

    def test_may_move_the_leaf_to_none(self, world: World) -> None:
        """The leaf may become None, and a node again."""
        world.append(*chain("a", "b"))
        world.settle(unchanged_commit(None))
        assert world.read().graph.leaf_node_id is None
        world.settle(unchanged_commit("b"))
        assert world.read().graph.leaf_node_id == "b"

    def test_to_an_unknown_leaf_is_invalid(self, world: World) -> None:
        """The leaf must be in the graph."""
        fails(world, unchanged_commit("a"))
        world.append(node("a"))
        fails(world, unchanged_commit("b"))

    @pytest.mark.parametrize("leaf", ["a", "b"], ids=["another", "persisted"])
    def test_to_a_tombstoned_leaf_is_invalid(self, world: World, leaf: str) -> None:
        """A tombstoned node cannot be made the leaf, nor stay it."""
        world.append(*chain("a", "b"))
        world.session.tombstone_nodes((leaf,))
        fails(world, unchanged_commit(leaf))
        fails(world, append_commit(node("c"), leaf=leaf))
        world.session.vacuum()
        fails(world, unchanged_commit(leaf))


class TestReplaceFull(Conformance):
    """Replacing the whole graph."""

    def test_makes_its_nodes_all_there_are(self, world: World) -> None:
        """After a full replacement the old nodes are gone from every read."""
        world.append(*chain("a", "b", "c"))
        world.settle(replace_commit(*chain("x", "y"), leaf="x"))
        assert world.node_ids() == ["x", "y"]
        assert world.read().graph.leaf_node_id == "x"
        assert world.session.load_node("b") is None

    def test_keeps_an_id_with_its_new_content(self, world: World) -> None:
        """A node of an old id is the new node, at its new place."""
        world.append(*chain("a", "b", "c"))
        changed = node("a", "c", payload={"kind": "event", "new": True})
        world.settle(replace_commit(node("c"), changed))
        assert world.node_ids() == ["c", "a"]
        assert world.session.load_node("a") == changed

    def test_leaves_nothing_to_vacuum(self, world: World) -> None:
        """Replaced nodes are gone, not tombstoned."""
        world.append(*chain("a", "b"))
        world.settle(replace_commit(node("x")))
        assert world.session.vacuum().removed_node_count == 0

    def test_leaves_no_former_tombstones(self, world: World) -> None:
        """Nodes that were tombstoned before are gone with the others: nothing to vacuum, and their ids are free."""
        world.append(*chain("a", "b", "c"))
        world.session.tombstone_nodes(("a", "c"))
        world.settle(replace_commit(node("x")))
        assert world.session.vacuum().removed_node_count == 0
        world.append(*chain("a", "c", after="x"))
        assert world.node_ids() == ["x", "a", "c"]
        world.session.tombstone_nodes(("a", "b"))
        assert world.session.vacuum().removed_node_count == 1

    def test_clears_tombstones(self, world: World) -> None:
        """A node that was tombstoned before is visible when the new graph has it."""
        world.append(*chain("a", "b"))
        world.session.tombstone_nodes(("a",))
        world.settle(replace_commit(*chain("a", "b")))
        assert world.node_ids() == ["a", "b"]

    def test_takes_its_own_ids(self, world: World) -> None:
        """What is in the new graph exists: its ids are not free for an append."""
        world.settle(replace_commit(*chain("x", "y")))
        fails(world, append_commit(node("x"), leaf="y"))
        fails(world, append_commit(node("y", "x")))
        assert world.node_ids() == ["x", "y"]

    def test_frees_the_old_ids(self, world: World) -> None:
        """An id that the replacement removed may be appended again."""
        world.append(*chain("a", "b"))
        world.settle(replace_commit(node("x")))
        world.append(node("a", "x"))
        assert world.node_ids() == ["x", "a"]

    def test_may_be_empty(self, world: World) -> None:
        """A session may be emptied."""
        world.append(*chain("a", "b"))
        world.settle(replace_commit())
        assert world.node_ids() == []
        assert world.read().graph.leaf_node_id is None

    def test_may_be_the_first_commit(self, world: World) -> None:
        """A replacement needs nothing to replace."""
        assert world.settle(replace_commit(*chain("a", "b"))).head_revision == 1
        assert world.node_ids() == ["a", "b"]

    def test_may_lack_parents(self, world: World) -> None:
        """A trimmed history is legal here too."""
        world.append(*chain("a", "b", "c"))
        world.settle(replace_commit(*chain("b", "c", after="a")))
        assert path_ids(world, "c") == ["b", "c"]

    def test_of_an_id_twice_is_invalid(self, world: World) -> None:
        """A duplicate inside the new graph is invalid."""
        world.append(node("a"))
        fails(world, replace_commit(node("x"), node("x")))

    def test_of_an_old_leaf_is_invalid(self, world: World) -> None:
        """The leaf must be in the new graph, the old one does not count."""
        world.append(node("a"))
        fails(world, replace_commit(node("x"), leaf="a"))
