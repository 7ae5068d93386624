"""Sessions of Google's Agent Development Kit: `LocalStoreSessionService` is a `BaseSessionService`.

```python
from localstore.adapters.adk import LocalStoreSessionService

service = LocalStoreSessionService("sessions")  # was: SqliteSessionService("sessions.db")
runner = Runner(agent=agent, app_name="trains", session_service=service)
```

How it is kept:

- **A session is a session**; its id is `adk/<app>/<user>/<session>`, with "/" and "%" in a name percent-encoded, and
  `session_id_of` gives it. The state of a user is in the session `adk/<app>/<user>`, that of an app in `adk/<app>`.
- **A node is an event**, and its id the event's. Its payload has the event as JSON in `event`, with its content in
  `message` for people. There the model has the role "assistant", results of tools "tool", and what has no role that of
  its author, which the node's kind tells (`adk.model`, `adk.tool`, `adk.agent`, `adk.user`; else `adk.event`) and is
  undone on reading. The first node of a session, of kind `adk.session`, has the state that it was created with.
- **A turn is one call**: the event of an `append_event` and its changes of the state are committed together.
- **The head is the last event.** The state of a session is what the events on the way to the head make of it, so that
  a rewind with `localstore` takes back the state too, and a fork begins with the state of its node.
- **Changes of the state of apps and users** (`app:`, `user:`) are in the event as well, and are carried over to the
  sessions of those states once the event is there; should the process die between the two, whoever reads or appends
  next makes up for it. These states are not rewound.

**From one revision one `append_event` wins**, of all threads and processes; the others raise the `StaleSessionError` of
the ADK and change nothing, not even the session object that they were given. Read the session again then. An event
that is there already, equal and with the same id, is not appended again, so that a call that did not return - it
raised, or was cancelled - can be repeated.

State is kept as JSON; values that have no JSON form become their `repr`. `delete_session` moves to the trash of the
store, which keeps it for the store's `trash_grace_ms`.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Final, Self

from ..contract.clock import rfc3339
from ..contract.errors import NodeNotFound, SessionNotFound
from ..contract.graph import ActivePath, GraphAppend, SessionNodeRecord
from ..contract.sessions import Durability, SessionHead
from ..session import SessionStore
from ._events import SESSION, delta_of, event_of, opening_payload, own, payload_of, shared
from ._ids import escaped, unescaped
from ._lane import Lane, Step
from ._opened import OpenedLanes
from ._shared_state import read_values, settle
from ._stores import StoreOrPath, Tenancy

try:
    from google.adk.errors import StaleSessionError
    from google.adk.errors.already_exists_error import AlreadyExistsError
    from google.adk.errors.session_not_found_error import SessionNotFoundError
    from google.adk.events.event import Event
    from google.adk.sessions import BaseSessionService, Session
    from google.adk.sessions.base_session_service import GetSessionConfig, ListSessionsResponse
except ImportError as error:
    raise ImportError("the Agent Development Kit is missing: pip install 'localstore[adk]'") from error

_FRAMEWORK: Final = "google-adk"


def session_id_of(app_name: str, user_id: str | None = None, session_id: str | None = None) -> str:
    """The id of what keeps a session, or the state of a user or of an app, for `localstore show` and the like."""
    parts = {"app_name": app_name, "user_id": user_id, "session_id": session_id}
    named = [escaped(name, part) for name, part in parts.items() if part is not None]
    return "/".join(["adk", *named])


class LocalStoreSessionService(BaseSessionService):
    """A session service of the ADK on a store.

    Args:
        store_or_path: an open store, which its owner closes, or the folder of one, which is opened once a process.
        durability: of a store that is opened by path; see `Durability`.

    A call that returned survives a crash as the store's durability says; one that did not is there whole or not at
    all. All calls run in threads, those of one session in the order they were made; a cancelled one is carried out
    nevertheless.

    Raises:
        StoreError: as the store's calls do, from every method.
    """

    def __init__(self, store_or_path: StoreOrPath, *, durability: Durability = Durability.FULL) -> None:
        super().__init__()
        self._tenancy = Tenancy(store_or_path, durability, "the session service")
        self._sessions = OpenedLanes(self._tenancy.store, _FRAMEWORK)

    async def create_session(
        self, *, app_name: str, user_id: str, state: dict[str, Any] | None = None, session_id: str | None = None
    ) -> Session:
        name = (session_id or "").strip() or os.urandom(16).hex()
        at = _Address(app_name, user_id, name)
        return await self._tenancy.run(at.session, lambda: self._create(at, state or {}))

    async def get_session(
        self, *, app_name: str, user_id: str, session_id: str, config: GetSessionConfig | None = None
    ) -> Session | None:
        at = _Address(app_name, user_id, session_id.strip())
        return await self._tenancy.run(at.session, lambda: self._get(at, config, is_whole=True))

    async def list_sessions(self, *, app_name: str, user_id: str | None = None) -> ListSessionsResponse:
        prefix = f"{session_id_of(app_name, user_id)}/"

        def listed() -> list[Session]:
            found = []
            for row in self._tenancy.store.list_sessions():
                if row.session_id.startswith(prefix) and row.session_id.count("/") == 3:
                    _, _, user, name = map(unescaped, row.session_id.split("/"))
                    session = self._get(_Address(app_name, user, name), None, is_whole=False)
                    if session is not None:
                        found.append(session)
            return sorted(found, key=lambda session: (session.last_update_time, session.user_id, session.id))

        return ListSessionsResponse(sessions=await self._tenancy.run(None, listed))

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        at = _Address(app_name, user_id, session_id.strip())
        await self._tenancy.run(at.session, lambda: self._tenancy.store.delete_session(at.session))

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        user = session_id_of(app_name, user_id)
        return await self._tenancy.run(None, lambda: read_values(self._tenancy.store, user))

    async def append_event(self, session: Session, event: Event) -> Event:
        """Append an event to the session, and take what it changes into the session object.

        Raises `StaleSessionError` where the session has changed since the object was read, and `SessionNotFoundError`
        where it does not exist.
        """
        if event.partial:
            return event
        at = _Address(session.app_name, session.user_id, session.id)
        payload = payload_of(event)
        last = session.events[-1].id if session.events else None
        marker = session._storage_update_marker
        revision, is_new = await self._tenancy.run(
            at.session, lambda: self._append(at, event.id, payload, marker, last)
        )
        if revision is not None:
            session._storage_update_marker = revision
        if is_new or (revision is not None and last != event.id):
            await super().append_event(session, event)
            session.last_update_time = event.timestamp
        return event

    async def close(self) -> None:
        """Let go of the store; one that was opened by path closes with its last user. Idempotent."""
        await self._tenancy.close_after(None, self._tenancy.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # In the threads.

    def _create(self, at: _Address, state: dict[str, Any]) -> Session:
        def create(lane: Lane) -> SessionNodeRecord:
            now_ms = lane.session.clock.now_ms()
            payload = opening_payload(state, now_ms / 1000)
            node = SessionNodeRecord(os.urandom(8).hex(), None, rfc3339(now_ms), payload)

            def decide(head: SessionHead | None) -> tuple[Step, SessionNodeRecord]:
                if head is not None and head.leaf_node_id is not None:
                    raise AlreadyExistsError(f"Session with id {at.name} already exists.")
                return Step(GraphAppend((node,), node.node_id)), node

            return lane.commit(decide)

        node = self._sessions.on_made(at.session, create, None)
        assert node is not None
        self._settle(at, node)
        session = self._get(at, None, is_whole=True)
        if session is None:
            raise SessionNotFoundError(f"Session {at.name} not found.")  # deleted just now
        return session

    def _get(self, at: _Address, config: GetSessionConfig | None, *, is_whole: bool) -> Session | None:
        handle = self._tenancy.store.open_session(at.session)
        try:
            read = None if handle is None else handle.load_session(ActivePath())
        except (NodeNotFound, SessionNotFound):
            return None
        if handle is None or read is None or not read.graph.nodes:
            return None
        nodes = read.graph.nodes
        self._settle(at, nodes[-1])
        state: dict[str, Any] = {}
        created_at = 0.0
        events: list[Event] = []
        for node in nodes:
            payload = node.payload
            state |= own(delta_of(payload))
            if payload.get("kind") == SESSION:
                created_at = payload["created_at"]
            else:
                last_event = event_of(payload)
                if last_event is not None:
                    events.append(last_event)
        store = self._tenancy.store
        state |= {f"app:{key}": value for key, value in read_values(store, session_id_of(at.app)).items()}
        state |= {f"user:{key}": value for key, value in read_values(store, session_id_of(at.app, at.user)).items()}
        session = Session(
            id=at.name,
            app_name=at.app,
            user_id=at.user,
            state=state,
            events=_chosen(events, config) if is_whole else [],
            last_update_time=events[-1].timestamp if events else created_at,
        )
        session._storage_update_marker = str(read.head_revision)
        return session

    def _append(
        self, at: _Address, event_id: str, payload: Any, marker: str | None, last: str | None
    ) -> tuple[str | None, bool]:
        """The revision that the session object is at now (`None`: it is none the newest), and whether this made it."""

        def append(lane: Lane) -> tuple[str | None, bool, SessionNodeRecord]:
            now = rfc3339(lane.session.clock.now_ms())

            def decide(head: SessionHead | None) -> tuple[Step | None, tuple[str | None, bool, SessionNodeRecord]]:
                leaf = None if head is None or head.leaf_node_id is None else lane.session.load_node(head.leaf_node_id)
                if head is None or leaf is None:
                    raise SessionNotFoundError(f"Session {at.name} not found.")
                known = None if not event_id else lane.session.load_node(event_id)
                if known is not None and known.payload == payload and _is_on_path(lane.session, leaf, event_id):
                    # Only an object that was read just before the event has all that is before it.
                    was_next = marker in (None, str(head.head_revision - 1), str(head.head_revision))
                    is_newest = was_next and leaf.node_id == event_id
                    return None, (str(head.head_revision) if is_newest else None, False, known)
                is_current = marker == str(head.head_revision) if marker is not None else _is_last(leaf, last)
                if not is_current:
                    raise StaleSessionError(
                        f"session {at.name!r} has changed since it was read; get it again and retry on what it is now"
                    )
                self._settle(at, leaf)
                node_id = event_id if event_id and known is None else os.urandom(8).hex()
                node = SessionNodeRecord(node_id, leaf.node_id, now, payload)
                answer = (str(head.head_revision + 1), True, node)
                return Step(GraphAppend((node,), node.node_id)), answer

            return lane.commit(decide)

        found = self._sessions.on(at.session, append, None)
        if found is None:
            raise SessionNotFoundError(f"Session {at.name} not found.")
        revision, is_new, node = found
        self._settle(at, node)
        return revision, is_new

    def _settle(self, at: _Address, node: SessionNodeRecord) -> None:
        """Carry what a node changes in the states of the app and the user over to them, once."""
        changes = shared(delta_of(node.payload))
        source = f"{at.session}\n{node.node_id}"
        for session_id, values in zip((session_id_of(at.app), session_id_of(at.app, at.user)), changes, strict=True):
            if values:
                settle(self._sessions, self._tenancy.store, session_id, source, values)


class _Address:
    """Which session: by the names of the ADK, and by the id in the store."""

    def __init__(self, app_name: str, user_id: str, session_id: str) -> None:
        self.app, self.user, self.name = app_name, user_id, session_id
        self.session = session_id_of(app_name, user_id, session_id)


def _chosen(events: list[Event], config: GetSessionConfig | None) -> list[Event]:
    if config is None:
        return events
    if config.after_timestamp is not None:
        events = [event for event in events if event.timestamp >= config.after_timestamp]
    limit = config.num_recent_events
    return events if limit is None else events[len(events) - min(limit, len(events)) :]


def _is_last(leaf: SessionNodeRecord, event_id: str | None) -> bool:
    """Whether a session object that no service gave has the newest event, or neither has any."""
    return leaf.payload.get("kind") == SESSION if event_id is None else leaf.node_id == event_id


def _is_on_path(session: SessionStore, leaf: SessionNodeRecord, node_id: str) -> bool:
    node: SessionNodeRecord | None = leaf
    while node is not None and node.node_id != node_id:
        node = None if node.parent_node_id is None else session.load_node(node.parent_node_id)
    return node is not None
