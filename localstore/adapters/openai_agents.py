"""Sessions of the OpenAI Agents SDK: `LocalStoreSession` is an `agents.memory.Session`.

```python
from localstore.adapters.openai_agents import LocalStoreSession

session = LocalStoreSession("user-7", "sessions")  # was: SQLiteSession("user-7", "sessions.db")
result = await Runner.run(agent, "What was my last question?", session=session)
```

How it is kept, in the session of the same id:

- **A node is an item.** Its payload is the item itself with a `kind` before it: `openai.item` where the item has a
  `role` of its own (the messages of the user and of the model), `openai.record` where one was put in for people who
  look (`assistant` for calls and reasoning, `tool` for their results), and `openai.wrapped` with the item in `item`
  where its own keys would be in the way. Whatever the kind, the item that comes back is the one that was added.
- **A turn is one `add_items`**: its items are committed together or not at all.
- **The head is the last item.** `get_items` reads the way to it. `pop_item` moves it one item back: what was popped
  stays in the tree beside the path, and the move is in the head's log like any other. A head that is moved by other
  means, say a rewind, is where the conversation goes on.
- `clear_session` removes all items from the disk; the session and its metadata stay.

Items of other kinds on the path, say those that a transcript was imported as, are passed over.

**A retry adds nothing twice.** An `add_items` that did not return - it raised, or was cancelled - may have been carried
out or not. An `add_items` with equal items that follows it on the same `LocalStoreSession` is taken for its retry: it
has the same turn stamp, so that the items are there once. A call that returned is over, and so is what failed before
it: equal items that are added later are there twice, as was asked for. Where a retry may come from elsewhere (another
process, after a crash), give both calls the same `batch_id`; stamps are kept for ever.

Several processes may use one session: each call is decided on the head that it finds, under the session's lease, and
waits for others up to a minute.
"""

from __future__ import annotations

import hashlib
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from ..contract import checks
from ..contract.clock import rfc3339
from ..contract.commits import RuntimeTurnCommitStamp
from ..contract.errors import InvalidArgument, NodeNotFound
from ..contract.graph import ActivePath, GraphAppend, GraphReplaceFull, GraphUnchanged, SessionGraph, SessionNodeRecord
from ..contract.sessions import Durability, SessionHead
from ..contract.values import JsonObject
from ..session import SessionStore
from ._lane import Lane, Step
from ._opened import OpenedLanes
from ._stores import StoreOrPath, Tenancy

try:
    from agents.memory import SessionSettings
except ImportError as error:
    raise ImportError("the OpenAI Agents SDK is missing: pip install 'localstore[openai-agents]'") from error

if TYPE_CHECKING:
    from agents.items import TResponseInputItem

_FRAMEWORK: Final = "openai-agents"
_ITEM: Final = "openai.item"
_RECORD: Final = "openai.record"
_WRAPPED: Final = "openai.wrapped"
_MAX_READS: Final = 16
"""How often a read is begun anew because the head moved away under it."""


class LocalStoreSession:
    """A session of the Agents SDK, kept in a store.

    Args:
        session_id: which one; it is made by the first item that is added.
        store_or_path: an open store, which its owner closes, or the folder of one, which is opened once a process.
        session_settings: as the SDK's own sessions take them: how many items are read where no limit is given.
        durability: of a store that is opened by path; see `Durability`.

    An `add_items`, `pop_item` or `clear_session` that returned survives a crash as the store's durability says; one
    that did not is there whole or not at all. All calls run in threads, those of one session in the order they were
    made; a cancelled one is carried out nevertheless.

    Raises:
        StoreError: as the store's calls do, from every method.
    """

    session_id: str
    session_settings: SessionSettings | None

    def __init__(
        self,
        session_id: str,
        store_or_path: StoreOrPath,
        *,
        session_settings: SessionSettings | dict[str, Any] | None = None,
        durability: Durability = Durability.FULL,
    ) -> None:
        self.session_id = checks.session_id(session_id)
        given = SessionSettings() if session_settings is None else session_settings
        self.session_settings = SessionSettings(**given) if isinstance(given, dict) else given
        self._tenancy = Tenancy(store_or_path, durability, "the session")
        self._sessions = OpenedLanes(self._tenancy.store, _FRAMEWORK)
        self._calls = 0
        self._unsettled: dict[str, tuple[int, str]] = {}

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """The items of the conversation, oldest first: all, or the latest `limit`, by default that of the settings."""
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        return await self._tenancy.run(self.session_id, lambda: self._read(limit))

    async def add_items(self, items: list[TResponseInputItem], *, batch_id: str | None = None) -> None:
        """Add items at the end, all or none.

        `batch_id` names the batch: one that was added before is not added again, by whichever process and whatever has
        happened since. Raises `RuntimeTurnCommitConflict` where other items were added under it, and
        `InvalidArgument` for an item that is not JSON.
        """
        self._tenancy.check_open()
        if not items:
            return
        payloads = [_payload(item) for item in items]
        digest = _digest(payloads)
        call = self._begin()
        _, turn_id = self._unsettled.pop(digest, (0, f"add:{os.urandom(8).hex()}"))
        named = turn_id if batch_id is None else f"batch:{checks.identifier('batch_id', batch_id)}"
        try:
            await self._tenancy.run(self.session_id, lambda: self._add(payloads, named, digest))
        except BaseException:
            # Nobody knows whether the items are there.
            self._unsettled[digest] = (call, turn_id)
            raise
        self._settle(call)

    async def pop_item(self) -> TResponseInputItem | None:
        """Take the latest item from the conversation and return it; `None` when there is none."""
        call = self._begin()
        item = await self._tenancy.run(self.session_id, self._pop)
        self._settle(call)
        return item

    async def clear_session(self) -> None:
        """Remove all items, of every branch, from the disk too. What was added by `batch_id` stays known."""
        call = self._begin()
        await self._tenancy.run(self.session_id, self._clear)
        self._settle(call)

    def _begin(self) -> int:
        self._calls += 1
        return self._calls

    def _settle(self, call: int) -> None:
        """A call that returned ends the wait for retries of what failed before it."""
        self._unsettled = {digest: (made, turn) for digest, (made, turn) in self._unsettled.items() if made > call}

    def close(self) -> None:
        """Let go of the store; one that was opened by path closes with its last user. Idempotent."""
        self._tenancy.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tenancy.close_after(self.session_id, self.close)

    # In the threads.

    def _read(self, limit: int | None) -> list[TResponseInputItem]:
        if limit is not None and limit < 0:
            limit = None  # as the SDK's own sessions have it
        return self._sessions.on(self.session_id, lambda lane: _items(lane.session, limit), [])

    def _add(self, payloads: list[JsonObject], turn_id: str, digest: str) -> None:
        def add(lane: Lane) -> None:
            stamp = RuntimeTurnCommitStamp(self.session_id, turn_id, digest)
            timestamp = rfc3339(lane.session.clock.now_ms())

            def decide(head: SessionHead | None) -> tuple[Step, None]:
                nodes: list[SessionNodeRecord] = []
                parent = None if head is None else head.leaf_node_id
                for payload in payloads:
                    nodes.append(SessionNodeRecord(os.urandom(8).hex(), parent, timestamp, payload))
                    parent = nodes[-1].node_id
                return Step(GraphAppend(tuple(nodes), parent), stamp), None

            lane.commit(decide)

        self._sessions.on_made(self.session_id, add, None)

    def _pop(self) -> TResponseInputItem | None:
        def pop(lane: Lane) -> TResponseInputItem | None:
            session = lane.session

            def decide(head: SessionHead | None) -> tuple[Step | None, TResponseInputItem | None]:
                node = None if head is None else _last_item(session, head.leaf_node_id)
                if node is None:
                    return None, None
                parent = None if node.parent_node_id is None else session.load_node(node.parent_node_id)
                return Step(GraphUnchanged(None if parent is None else parent.node_id)), _item(node.payload)

            return lane.commit(decide)

        return self._sessions.on(self.session_id, pop, None)

    def _clear(self) -> None:
        def clear(lane: Lane) -> None:
            def decide(head: SessionHead | None) -> tuple[Step | None, None]:
                return None if head is None or not head.node_count else Step(GraphReplaceFull(SessionGraph())), None

            lane.commit(decide)
            lane.session.vacuum()

        self._sessions.on(self.session_id, clear, None)


def _payload(item: object) -> JsonObject:
    """The node's payload for an item."""
    if not isinstance(item, dict):
        raise InvalidArgument(f"an item must be a dict, not {type(item).__name__}")
    if "kind" in item:
        payload = {"kind": _WRAPPED, "item": item}
    elif "role" in item:
        payload = {"kind": _ITEM, **item}
    else:
        answers = str(item.get("type", "")).endswith(("_output", "_response"))
        payload = {"kind": _RECORD, "role": "tool" if answers else "assistant", **item}
    return {key: _as_json(value) for key, value in payload.items()}


def _as_json(value: Any) -> Any:
    """`value` with tuples as lists, which is what JSON makes of them everywhere else."""
    if isinstance(value, dict):
        return {key: _as_json(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(inner) for inner in value]
    return value


def _item(payload: JsonObject) -> Any:
    """The item in a node's payload, or `None` where the node holds none."""
    kind = payload.pop("kind", None)
    if kind == _WRAPPED:
        return payload.get("item")
    if kind == _RECORD:
        payload.pop("role", None)
    return payload if kind in (_ITEM, _RECORD) else None


def _digest(payloads: list[JsonObject]) -> str:
    try:
        text = orjson.dumps(payloads, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"an item is not plain JSON: {error}") from error
    return hashlib.sha256(text).hexdigest()[:32]


def _items(session: SessionStore, limit: int | None) -> list[Any]:
    if limit is None:
        try:
            read = session.load_session(ActivePath())
        except NodeNotFound:
            return []
        found = () if read is None else read.graph.nodes
        return [item for node in found if (item := _item(node.payload)) is not None]
    for _ in range(_MAX_READS):
        head = session.load_session_head()
        if head is None or limit == 0:
            return []
        latest, is_whole = _latest(session, head.leaf_node_id, limit)
        # A path may begin behind nodes that are gone; were they removed just now, the head moved too.
        if is_whole or session.load_session_head() == head:
            return latest
    return _items(session, None)[-limit:]


def _latest(session: SessionStore, leaf: str | None, limit: int) -> tuple[list[Any], bool]:
    """The latest `limit` items on the way to `leaf`, and whether all nodes on it were found."""
    found: list[Any] = []
    node_id = leaf
    while node_id is not None and len(found) < limit:
        node = session.load_node(node_id)
        if node is None:
            return found[::-1], False
        item = _item(node.payload)
        if item is not None:
            found.append(item)
        node_id = node.parent_node_id
    return found[::-1], True


def _last_item(session: SessionStore, node_id: str | None) -> SessionNodeRecord | None:
    while node_id is not None:
        node = session.load_node(node_id)
        if node is None or node.payload.get("kind") in (_ITEM, _RECORD, _WRAPPED):
            return node
        node_id = node.parent_node_id
    return None
