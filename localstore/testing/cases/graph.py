"""Reading the graph: scopes, paths and single nodes."""

from __future__ import annotations

import pytest

from ... import ActivePath, FullGraph, HydratedSessionCheckpoint, NodeNotFound, PersistedSessionRead, SessionNodeRecord
from ..builders import OTHER, SESSION, append_commit, chain, frame, node, unchanged_commit
from .world import Conformance, World


def ids(nodes: tuple[SessionNodeRecord, ...]) -> list[str]:
    """The ids of nodes, in order."""
    return [item.node_id for item in nodes]


def path(world: World, leaf: str | None = None) -> PersistedSessionRead:
    """The session as read along one path."""
    read = world.session.load_session(ActivePath(leaf))
    assert read is not None
    return read


class TestLoadSession(Conformance):
    """Reading a session in its scopes."""

    def test_is_none_before_the_first_commit(self, world: World) -> None:
        """There is no settled state before the first commit, in any scope."""
        assert world.session.load_session(FullGraph()) is None
        assert world.session.load_session(ActivePath()) is None

    def test_tells_session_and_revision(self, world: World) -> None:
        """A read carries the session's id and head revision, in both scopes."""
        world.append(node("a"))
        world.append(node("b", "a"))
        for read in (world.read(), path(world)):
            assert (read.session_id, read.head_revision) == (SESSION, 2)

    def test_differs_between_scopes_in_the_graph_alone(self, world: World) -> None:
        """The scope chooses nodes and leaf; all else is the same."""
        world.append(*chain("a", "b"))
        world.append(node("c", "a"))
        full, narrow = world.read(), path(world, "b")
        for name in ("config", "agent_frames", "checkpoint_ref", "checkpoint", "token_ledger"):
            assert getattr(full, name) == getattr(narrow, name)

    def test_full_graph_has_all_branches_in_commit_order(self, world: World) -> None:
        """A full graph has every node, of all branches, in the order of the commits."""
        world.append(*chain("r", "a1"))
        world.append(*chain("b1", "b2", after="r"))
        world.append(node("a2", "a1"), node("0"))
        read = world.read()
        assert ids(read.graph.nodes) == ["r", "a1", "b1", "b2", "a2", "0"]
        assert read.graph.leaf_node_id == "0"

    def test_full_graph_leaves_tombstoned_nodes_out(self, world: World) -> None:
        """A full graph has no tombstoned node, and keeps the order of the others."""
        world.append(*chain("a", "b", "c", "d"))
        world.session.tombstone_nodes(("b",))
        assert world.node_ids() == ["a", "c", "d"]

    def test_full_graph_may_be_empty(self, world: World) -> None:
        """A commit without nodes makes a session without nodes."""
        world.settle(unchanged_commit())
        assert world.read().graph.nodes == ()
        assert world.read().graph.leaf_node_id is None

    def test_active_path_is_the_leaf_s_ancestry_root_first(self, world: World) -> None:
        """The active path goes from the root to the persisted leaf, without other branches."""
        world.append(*chain("r", "a1", "a2"))
        world.append(*chain("b1", "b2", after="r"))
        graph = path(world).graph
        assert ids(graph.nodes) == ["r", "b1", "b2"]
        assert graph.leaf_node_id == "b2"

    def test_active_path_of_a_node_is_its_ancestry(self, world: World) -> None:
        """A path to an asked leaf is that leaf's ancestry, and the graph's leaf is the asked one."""
        world.append(*chain("r", "a1", "a2"))
        world.append(node("b1", "r"))
        graph = path(world, "a1").graph
        assert ids(graph.nodes) == ["r", "a1"]
        assert graph.leaf_node_id == "a1"
        assert world.read().graph.leaf_node_id == "b1"

    def test_active_path_of_a_root_is_the_root(self, world: World) -> None:
        """A root has no ancestry but itself."""
        world.append(*chain("r", "a"))
        assert path(world, "r").graph.nodes == (node("r"),)

    def test_path_is_in_order_of_ancestry_not_of_commits(self, world: World) -> None:
        """A parent that was committed after its child still stands before it."""
        world.append(node("child", "parent"))
        world.append(node("parent"))
        assert ids(path(world, "child").graph.nodes) == ["parent", "child"]
        assert world.node_ids() == ["child", "parent"]

    def test_path_stops_at_a_missing_parent(self, world: World) -> None:
        """A path stops where a parent is missing, as in a trimmed history."""
        world.append(*chain("b", "c", after="trimmed"))
        assert ids(path(world).graph.nodes) == ["b", "c"]

    def test_path_stops_at_a_tombstoned_parent(self, world: World) -> None:
        """A path stops below a tombstoned node, though the nodes above it are there."""
        world.append(*chain("a", "b", "c", "d"))
        world.session.tombstone_nodes(("b",))
        assert ids(path(world).graph.nodes) == ["c", "d"]
        assert ids(path(world, "c").graph.nodes) == ["c"]
        assert ids(path(world, "a").graph.nodes) == ["a"]

    def test_path_goes_on_when_the_parent_is_committed_again(self, world: World) -> None:
        """A re-committed parent joins the path again."""
        world.append(*chain("a", "b", "c"))
        world.session.tombstone_nodes(("b",))
        world.settle(append_commit(node("b", "a"), leaf="c"))
        assert ids(path(world).graph.nodes) == ["a", "b", "c"]

    def test_unknown_leaf_is_not_found(self, world: World) -> None:
        """A path to an unknown node raises NodeNotFound with its id."""
        world.append(node("a"))
        with pytest.raises(NodeNotFound) as caught:
            world.session.load_session(ActivePath("nowhere"))
        assert caught.value.node_id == "nowhere"

    def test_tombstoned_leaf_is_not_found(self, world: World) -> None:
        """A path to a tombstoned node raises NodeNotFound, before and after a vacuum."""
        world.append(*chain("a", "b"))
        world.session.tombstone_nodes(("a",))
        with pytest.raises(NodeNotFound):
            world.session.load_session(ActivePath("a"))
        world.session.vacuum()
        with pytest.raises(NodeNotFound):
            world.session.load_session(ActivePath("a"))

    def test_tombstoned_persisted_leaf_is_none(self, world: World) -> None:
        """When the persisted leaf is tombstoned the leaf reads as None in both scopes, and the path is empty."""
        world.append(*chain("a", "b"))
        world.session.tombstone_nodes(("b",))
        for _ in range(2):
            assert world.read().graph.leaf_node_id is None
            assert path(world).graph.leaf_node_id is None
            assert path(world).graph.nodes == ()
            assert world.node_ids() == ["a"]
            head = world.session.load_session_head()
            assert head is not None
            assert head.leaf_node_id is None
            world.session.vacuum()

    def test_path_without_a_leaf_is_empty(self, world: World) -> None:
        """When the leaf is None the active path is empty."""
        world.settle(append_commit(*chain("a", "b"), leaf=None))
        assert path(world).graph.nodes == ()
        assert path(world).graph.leaf_node_id is None
        assert world.node_ids() == ["a", "b"]

    def test_long_paths_are_read(self, world: World) -> None:
        """A path may be thousands of nodes long."""
        names = [f"n{number}" for number in range(3000)]
        world.append(*chain(*names))
        assert ids(path(world).graph.nodes) == names
        assert ids(path(world, "n1500").graph.nodes) == names[:1501]

    def test_of_another_session_is_another_graph(self, world: World) -> None:
        """Nodes belong to their session, leaf included."""
        world.store.create_session(OTHER)
        world.append(node("a"))
        world.settle(append_commit(node("b"), session_id=OTHER))
        with pytest.raises(NodeNotFound):
            world.session.load_session(ActivePath("b"))
        assert world.node_ids() == ["a"]


class TestLoadNode(Conformance):
    """Reading one node."""

    @pytest.mark.parametrize("kind", ["event", "plugin", "host-defined kind ✓"])
    def test_gives_the_node_as_committed(self, world: World, kind: str) -> None:
        """A node comes back equal in every field, whatever its kind."""
        payload = {
            "kind": kind,
            "text": 'quote " backslash \\ newline \n nul \0 line\u2028separator 🗂️',
            "numbers": [0, -1, 2**63 - 1, -(2**63), 1.5, -0.1, 1e300, 5e-324],
            "nested": {"": None, "a": [True, False, [], {}]},
        }
        full = node(
            "n ✓",
            "some parent",
            payload=payload,
            timestamp="2026-01-31T12:00:00.123456+05:30",
            caused_by={"tool": ["x", None]},
            agent_frame_id="frame-9",
        )
        world.append(full)
        found = world.session.load_node("n ✓")
        assert found == full
        assert found is not None
        assert found.payload == payload
        assert world.read().graph.nodes == (full,)

    def test_keeps_the_order_of_the_payload_s_keys(self, world: World) -> None:
        """A payload is kept and never interpreted, the order of its keys included."""
        keys = ["z", "a", "kind", "m"]
        world.append(node("n", payload=dict.fromkeys(keys, 1)))
        found = world.session.load_node("n")
        assert found is not None
        assert list(found.payload) == keys

    def test_keeps_large_payloads(self, world: World) -> None:
        """A payload of a megabyte is no special case."""
        large = node("large", payload={"kind": "event", "text": "0123456789abcdef✓" * 60_000})
        world.append(large, node("small", "large"))
        assert world.session.load_node("large") == large
        assert world.read().graph.find_node("large") == large

    def test_is_none_for_an_unknown_node(self, world: World) -> None:
        """An unknown node is None, before the first commit too."""
        assert world.session.load_node("a") is None
        world.append(node("a"))
        assert world.session.load_node("A") is None

    def test_is_none_for_a_tombstoned_node(self, world: World) -> None:
        """A tombstoned node is None."""
        world.append(node("a"))
        world.session.tombstone_nodes(("a",))
        assert world.session.load_node("a") is None

    def test_does_not_need_the_active_path(self, world: World) -> None:
        """A node of any branch is found."""
        world.append(*chain("r", "a"))
        world.append(node("b", "r"))
        assert world.session.load_node("a") == node("a", "r")

    @pytest.mark.parametrize("node_id", ["../x", "a/b", "CON", "\0", " ", "语" * 500, "x" * 5000])
    def test_takes_any_text_as_a_node_id(self, world: World, node_id: str) -> None:
        """Node ids are any non-empty text."""
        world.append(node(node_id))
        assert world.session.load_node(node_id) == node(node_id)


class TestOwnCopies(Conformance):
    """What a caller does to a value that it gave or got."""

    def test_of_payloads_are_the_store_s_own(self, world: World) -> None:
        """The store keeps its own copy of what it is given, and gives out fresh ones."""
        payload = {"kind": "event", "list": [1]}
        world.append(node("a", payload=payload))
        payload["list"] = "changed before reading"
        for _ in range(2):
            found = world.session.load_node("a")
            assert found is not None
            got = found.payload
            assert got == {"kind": "event", "list": [1]}
            got["list"].append(2)
            got["more"] = 1

    def test_of_bytes_are_the_store_s_own(self, world: World) -> None:
        """A buffer may be used again once the call has returned."""
        buffer = bytearray(b"state")
        checkpoint = HydratedSessionCheckpoint(execution_state=buffer)  # type: ignore[arg-type]
        world.settle(append_commit(node("a"), checkpoint=checkpoint))
        buffer[:] = b"other"
        assert world.read().checkpoint.execution_state == b"state"

    def test_of_id_lists_are_the_store_s_own(self, world: World) -> None:
        """A list of ids may change after the call."""
        world.append(*chain("a", "b"))
        ids_given = ["a"]
        world.session.tombstone_nodes(ids_given)
        ids_given.append("b")
        assert world.node_ids() == ["b"]


class TestSessionHead(Conformance):
    """Reading the head alone."""

    def test_is_none_before_the_first_commit(self, world: World) -> None:
        """There is no head before the first commit."""
        assert world.session.load_session_head() is None

    def test_agrees_with_the_session(self, world: World) -> None:
        """The head says what a full read would say."""
        frames = (frame("f1"), frame("f2"))
        world.append(*chain("a", "b"))
        world.settle(append_commit(node("c", "a"), agent_frames=frames, current_agent_frame_id="f2"))
        read, head = world.read(), world.session.load_session_head()
        assert head is not None
        assert head.session_id == read.session_id == SESSION
        assert head.head_revision == read.head_revision == 2
        assert head.leaf_node_id == read.graph.leaf_node_id == "c"
        assert head.checkpoint_ref == read.checkpoint_ref
        assert head.current_agent_frame_id == read.current_agent_frame_id == "f2"
        assert head.node_count == len(read.graph.nodes) == 3

    def test_does_not_count_tombstoned_nodes(self, world: World) -> None:
        """Tombstoned nodes do not count, whether vacuumed or not."""
        world.append(*chain("a", "b", "c"))
        world.session.tombstone_nodes(("a",))
        for _ in range(2):
            head = world.session.load_session_head()
            assert head is not None
            assert head.node_count == 2
            world.session.vacuum()
