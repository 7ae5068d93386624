"""State that many sessions share, in a session of its own whose nodes are the changes.

Every change names its source, and is made once. From time to time the changes are drawn together into one node.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from ..contract.clock import rfc3339
from ..contract.commits import RuntimeTurnCommitStamp
from ..contract.errors import NodeNotFound, SessionNotFound
from ..contract.graph import ActivePath, GraphAppend, GraphReplaceFull, SessionGraph, SessionNodeRecord
from ..contract.sessions import SessionHead
from ..contract.values import JsonObject
from ..session import SessionStore
from ..store import Store
from ._lane import Lane, Step
from ._opened import OpenedLanes

_STATE: Final = "adk.state"
_MAX_CHANGES: Final = 64


def read_values(store: Store, session_id: str) -> dict[str, Any]:
    """The values of the state as they are."""
    session = store.open_session(session_id)
    try:
        return {} if session is None else _values(session)
    except SessionNotFound:
        return {}  # deleted just now


def settle(sessions: OpenedLanes, store: Store, session_id: str, source: str, values: JsonObject) -> None:
    """Make the change `values` that comes from `source`, unless it was made before."""
    mark = hashlib.sha256(source.encode()).hexdigest()[:32]
    known = store.open_session(session_id)
    try:
        if known is not None and known.load_node(mark) is not None:
            return
    except SessionNotFound:
        pass

    def change(lane: Lane) -> None:
        # Changes that were drawn together are not found by their mark: the stamp knows them.
        stamp = RuntimeTurnCommitStamp(session_id, f"state:{mark}", mark)
        now = rfc3339(lane.session.clock.now_ms())

        def decide(head: SessionHead | None) -> tuple[Step, bool]:
            leaf = None if head is None else head.leaf_node_id
            if head is None or head.node_count < _MAX_CHANGES:
                node = SessionNodeRecord(mark, leaf, now, {"kind": _STATE, "values": values})
                return Step(GraphAppend((node,), mark), stamp), False
            whole = {**_values(lane.session), **values}
            node = SessionNodeRecord(mark, None, now, {"kind": _STATE, "values": whole})
            return Step(GraphReplaceFull(SessionGraph((node,), mark)), stamp), True

        if lane.commit(decide):
            lane.session.vacuum()

    sessions.on_made(session_id, change, None)


def _values(session: SessionStore) -> dict[str, Any]:
    values: dict[str, Any] = {}
    try:
        read = session.load_session(ActivePath())
    except NodeNotFound:
        return values
    for node in read.graph.nodes if read is not None else ():
        payload = node.payload
        if payload.get("kind") == _STATE:
            values |= payload["values"]
    return values
