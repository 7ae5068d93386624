"""The graph part of a commit: which nodes may enter, and that no cycle closes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..contract.errors import InvalidCommit
from ..contract.graph import GraphAppend, GraphDelta, GraphReplaceFull, SessionNodeRecord
from .facts import Archive, DanglingFact, NodeFact
from .state import SessionState


@dataclass(frozen=True, slots=True)
class GraphStep:
    """What the graph part of a commit comes to.

    `revived` counts appended nodes that were tombstoned; `dangling` are parents that no node of the graph has.
    """

    nodes: tuple[SessionNodeRecord, ...]
    leaf_node_id: str | None
    replaces: bool = False
    revived: int = 0
    dangling: tuple[str, ...] = ()


def find_node(state: SessionState, archive: Archive, node_id: str) -> SessionNodeRecord | None:
    """The node, unless it is unknown, tombstoned, or of a graph that was replaced."""
    fact = archive.find(f"n:{node_id}")
    return fact.node if isinstance(fact, NodeFact) and fact.seq >= state.floor_seq else None


def plan(state: SessionState, archive: Archive, delta: GraphDelta) -> GraphStep:
    """The step that `delta` asks for, or `InvalidCommit`."""
    if isinstance(delta, GraphReplaceFull):
        return _plan_replace(delta)
    if isinstance(delta, GraphAppend):
        return _plan_append(state, archive, delta)
    _require_leaf(state, archive, {}, delta.leaf_node_id)
    return GraphStep((), delta.leaf_node_id)


def _by_id(nodes: Sequence[SessionNodeRecord]) -> dict[str, SessionNodeRecord]:
    by_id = {node.node_id: node for node in nodes}
    if len(by_id) != len(nodes):
        seen: set[str] = set()
        twice = next(node.node_id for node in nodes if node.node_id in seen or seen.add(node.node_id))  # type: ignore[func-returns-value]
        raise InvalidCommit(f"node {twice!r} is twice in the commit; every node id is given once")
    return by_id


def _require_leaf(state: SessionState, archive: Archive, new: dict[str, SessionNodeRecord], leaf: str | None) -> None:
    if leaf is None or leaf in new or leaf == state.leaf_node_id:
        return
    if find_node(state, archive, leaf) is None:
        raise InvalidCommit(f"leaf {leaf!r} is not in the resulting graph; commit the node or name another leaf")


def _plan_replace(delta: GraphReplaceFull) -> GraphStep:
    nodes, leaf = delta.graph.nodes, delta.graph.leaf_node_id
    new = _by_id(nodes)
    if leaf is not None and leaf not in new:
        raise InvalidCommit(f"leaf {leaf!r} is not in the resulting graph; add the node or name another leaf")
    _refuse_cycles(new, nodes, lambda node_id: None)
    dangling = {node.parent_node_id: None for node in nodes if node.parent_node_id and node.parent_node_id not in new}
    return GraphStep(nodes, leaf, replaces=True, dangling=tuple(dangling))


def _plan_append(state: SessionState, archive: Archive, delta: GraphAppend) -> GraphStep:
    new = _by_id(delta.nodes)
    revived = 0
    suspects: list[SessionNodeRecord] = []
    dangling: dict[str, None] = {}
    previous: str | None = None
    for node in delta.nodes:
        fact = archive.find(f"n:{node.node_id}")
        if fact is not None and getattr(fact, "seq", 0) >= state.floor_seq:
            if isinstance(fact, NodeFact):
                raise InvalidCommit(f"node {node.node_id!r} exists already; append it under a new id")
            revived += 1
            suspects.append(node)
        elif state.dangling_count and isinstance(archive.find(f"d:{node.node_id}"), DanglingFact):
            suspects.append(node)
        parent = node.parent_node_id
        if parent is None or parent in (previous, state.leaf_node_id):
            pass
        elif parent in new:
            # A parent that comes later, or the node itself, is the only way to a cycle inside the commit.
            suspects.append(node)
        elif find_node(state, archive, parent) is None:
            dangling[parent] = None
        previous = node.node_id
    _require_leaf(state, archive, new, delta.leaf_node_id)
    _refuse_cycles(new, suspects, lambda node_id: find_node(state, archive, node_id))
    return GraphStep(delta.nodes, delta.leaf_node_id, revived=revived, dangling=tuple(dangling))


def _refuse_cycles(new, starts, find) -> None:  # type: ignore[no-untyped-def]
    """Raise `InvalidCommit` if the ancestry of a node of `starts` comes back to itself."""
    clean: set[str] = set()
    for start in starts:
        path: set[str] = set()
        node = start
        while node is not None and node.node_id not in clean:
            if node.node_id in path:
                raise InvalidCommit(f"node {start.node_id!r} would close a cycle; check the parents in the commit")
            path.add(node.node_id)
            parent = node.parent_node_id
            node = None if parent is None else (new.get(parent) or find(parent))
        clean |= path
