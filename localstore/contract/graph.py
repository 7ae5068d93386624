"""The session graph: nodes that name their parent, and a leaf that is the head of the conversation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from . import checks
from .constructors import IDENTIFIER, OPTIONAL_IDENTIFIER, TIMESTAMP, each, quick
from .errors import InvalidArgument
from .values import JsonObject, JsonValue, held


@quick(
    node_id=IDENTIFIER,
    parent_node_id=OPTIONAL_IDENTIFIER,
    timestamp=TIMESTAMP,
    agent_frame_id=OPTIONAL_IDENTIFIER,
)
@held(payload="object", caused_by="value")
@dataclass(frozen=True, slots=True)
class SessionNodeRecord:
    """One node of a session's graph.

    `payload` is a JSON object that the store keeps and never interprets, but for the session summary; its `"kind"` is
    `"event"`, `"plugin"` or any kind of the host's. `parent_node_id` is `None` at a root. `timestamp` is RFC 3339.
    """

    node_id: str
    parent_node_id: str | None
    timestamp: str
    payload: JsonObject
    caused_by: JsonValue = None
    agent_frame_id: str | None = None


@dataclass(frozen=True, slots=True)
class SessionGraph:
    """Nodes in commit order, and the leaf that is the head (`None`: no head)."""

    nodes: tuple[SessionNodeRecord, ...] = ()
    leaf_node_id: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", checks.instances("nodes", self.nodes, SessionNodeRecord))
        checks.optional_identifier("leaf_node_id", self.leaf_node_id)

    def find_node(self, node_id: str) -> SessionNodeRecord | None:
        """The node of that id, or `None`."""
        return next((node for node in self.nodes if node.node_id == node_id), None)

    def active_path(self) -> tuple[SessionNodeRecord, ...]:
        """The leaf's ancestry, root first. It stops where a parent is not in this graph; without a leaf it is empty."""
        by_id = {node.node_id: node for node in self.nodes}
        path: list[SessionNodeRecord] = []
        node = by_id.get(self.leaf_node_id) if self.leaf_node_id is not None else None
        while node is not None and len(path) < len(by_id):
            path.append(node)
            node = by_id.get(node.parent_node_id) if node.parent_node_id is not None else None
        return tuple(reversed(path))


@dataclass(frozen=True, slots=True)
class FullGraph:
    """Read scope: every node that is not tombstoned, all branches, in commit order."""


@dataclass(frozen=True, slots=True)
class ActivePath:
    """Read scope: the ancestry of `leaf_node_id`, or of the persisted leaf where it is `None`."""

    leaf_node_id: str | None = None

    def __post_init__(self) -> None:
        checks.optional_identifier("leaf_node_id", self.leaf_node_id)


SessionReadScope: TypeAlias = FullGraph | ActivePath


@dataclass(frozen=True, slots=True)
class GraphUnchanged:
    """Graph part of a commit that adds no node; it may move the leaf, to `None` too."""

    leaf_node_id: str | None = None

    def __post_init__(self) -> None:
        checks.optional_identifier("leaf_node_id", self.leaf_node_id)


@quick(
    nodes=each(SessionNodeRecord),
    leaf_node_id=OPTIONAL_IDENTIFIER,
)
@dataclass(frozen=True, slots=True)
class GraphAppend:
    """Graph part of a commit that adds `nodes` and makes `leaf_node_id` the leaf."""

    nodes: tuple[SessionNodeRecord, ...]
    leaf_node_id: str | None


@dataclass(frozen=True, slots=True)
class GraphReplaceFull:
    """Graph part of a commit after which the nodes of `graph` are all there are."""

    graph: SessionGraph

    def __post_init__(self) -> None:
        checks.instance("graph", self.graph, SessionGraph)


GraphDelta: TypeAlias = GraphUnchanged | GraphAppend | GraphReplaceFull


def check_scope(scope: object) -> SessionReadScope:
    """`scope`, or `InvalidArgument` when it is no read scope."""
    if isinstance(scope, (FullGraph, ActivePath)):
        return scope
    raise InvalidArgument(f"scope must be FullGraph() or ActivePath(), not {checks.shown(scope)}")
