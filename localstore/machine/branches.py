"""Branches: names for leaves, kept in the head. The current one follows every move of the head."""

from __future__ import annotations

from dataclasses import dataclass

from ..contract.errors import BranchExists, BranchNotFound, InvalidArgument, NodeNotFound
from ..contract.graph import SessionNodeRecord
from ..contract.history import MAX_BRANCHES, Branch, GraphLeaf
from . import graphs, summaries
from .decision import Decide, Decision, View
from .events import BranchCreated, BranchDropped
from .facts import Archive, NodeFact, TombstoneFact
from .moment import Moment
from .state import SessionState


@dataclass(frozen=True, slots=True)
class OutlineNode:
    """A node of the graph, which may be hidden and not vacuumed yet."""

    node: SessionNodeRecord
    is_hidden: bool


@dataclass(frozen=True, slots=True)
class Outline:
    """The whole graph, in commit order, with its head and branches (names and leaves)."""

    nodes: tuple[OutlineNode, ...]
    leaf_node_id: str | None
    current_branch: str | None
    branches: tuple[tuple[str, str | None], ...]

    def branches_at(self, node_id: str) -> list[str]:
        """The branches of which this node is the leaf."""
        return [name for name, leaf in self.branches if leaf == node_id]


def create(name: str, at: str | None) -> Decide[Branch]:
    """Name the node `at`, or the head's leaf. The current branch stays what it is."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[Branch]:
        if name in state.branches:
            raise BranchExists(state.session_id, name)
        if len(state.branches) >= MAX_BRANCHES:
            raise InvalidArgument(
                f"session {state.session_id!r} has {MAX_BRANCHES} branches, which is the most; drop some first"
            )
        if at is not None and graphs.find_node(state, archive, at) is None:
            raise NodeNotFound(at)
        leaf = state.leaf_node_id if at is None else at
        return Decision((BranchCreated(name, leaf),), Branch(name, leaf))

    return decide


def drop(name: str) -> Decide[None]:
    """Forget the name; nodes and head stay where they are. Dropping the current branch leaves none current."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[None]:
        if name not in state.branches:
            raise BranchNotFound(state.session_id, name)
        return Decision((BranchDropped(name),), None)

    return decide


def list_all() -> View[tuple[Branch, ...]]:
    """All branches, by name."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> tuple[Branch, ...]:
        return tuple(
            Branch(
                name,
                leaf,
                name == state.current_branch,
                leaf is not None and graphs.find_node(state, archive, leaf) is None,
            )
            for name, leaf in sorted(state.branches.items())
        )

    return view


def leaves() -> View[tuple[GraphLeaf, ...]]:
    """The nodes without a child that can be read, in commit order."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> tuple[GraphLeaf, ...]:
        nodes = summaries.live_nodes(state, archive)
        parents = {node.parent_node_id for node in nodes}
        named: dict[str | None, list[str]] = {}
        for name, leaf in sorted(state.branches.items()):
            named.setdefault(leaf, []).append(name)
        return tuple(
            GraphLeaf(
                node.node_id,
                node.timestamp,
                tuple(named.get(node.node_id, ())),
                node.node_id == state.leaf_node_id,
            )
            for node in nodes
            if node.node_id not in parents
        )

    return view


def outline() -> View[Outline]:
    """All nodes, those that are hidden too."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> Outline:
        found: dict[str, OutlineNode] = {}
        for fact in archive.facts(NodeFact, TombstoneFact):
            if fact.seq < state.floor_seq:
                continue
            if isinstance(fact, NodeFact):
                found.pop(fact.node.node_id, None)
                found[fact.node.node_id] = OutlineNode(fact.node, is_hidden=False)
            elif isinstance(fact, TombstoneFact) and fact.node_id in found:
                found[fact.node_id] = OutlineNode(found[fact.node_id].node, is_hidden=True)
        branches = tuple(sorted(state.branches.items()))
        return Outline(tuple(found.values()), state.leaf_node_id, state.current_branch, branches)

    return view
