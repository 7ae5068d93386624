"""Transcripts of the Claude Agent SDK: `LocalStoreSessionStore` is a `claude_agent_sdk.SessionStore`.

```python
from localstore.adapters.claude_agent_sdk import LocalStoreSessionStore

async with LocalStoreSessionStore("sessions") as store:  # was: no session_store, or InMemorySessionStore()
    async for message in query(prompt="Hello", options=ClaudeAgentOptions(session_store=store)):
        print(message)
```

`resume`, `continue_conversation`, and the functions of the SDK that take a store (`import_session_to_store` for
transcripts that exist already, `list_sessions_from_store`, `fork_session_via_store` and so on) work on it. How it is
kept:

- **A session is a transcript.** The id of a main transcript is `<project_key>/<session_id>`; that of a subagent's is
  `<project_key>/<session_id>/<subpath>`, and it is a child session of the main one. `session_id_of` gives the id; a "/"
  or "%" in the first two is percent-encoded. The SDK's own project keys begin with "-": `localstore show -- ID`.
- **A node is an entry**, and its id the entry's `uuid` where it has one. Its payload is the entry with a `kind` before
  it: `claude.<type>`. Messages in the user's name that are no words of the user show another role, which is undone on
  loading: `claude/tool` for results of tools, `claude/system` for what the program put in. Whatever the kind, the entry
  that comes back is the one that was appended.
- **A turn is one `append`**: its entries are committed together or not at all.
- **The head is the last entry.** Entries follow each other as they were appended, whatever their `parentUuid`; `load`
  reads the way to the head, so that after a rewind with `localstore` the transcript is resumed from there. A fork to an
  id of the form above is a transcript of that project.
- **The summary** that `list_session_summaries` gives is kept with the node that made it another one, as `caused_by`, so
  that it is that of the head wherever the head is, and nothing but a few nodes is read for it.

**An entry is there once**: one whose `uuid` is in the session already is passed over, so that transcripts can be
imported again. Entries without one are added as often as they are appended, but for a retry: an `append` with equal
entries that follows one which did not return - it raised, or was cancelled - on the same `LocalStoreSessionStore`.

`delete` moves to the trash of the store, which keeps it for the store's `trash_grace_ms`.

Several processes may append to one transcript: each call is decided on the head that it finds, under the session's
lease, and waits for others up to a minute. Needs asyncio.
"""

from __future__ import annotations

import hashlib
import os
from types import TracebackType
from typing import Any, Final, Self

import orjson

from ..contract import checks
from ..contract.clock import rfc3339
from ..contract.commits import RuntimeTurnCommitStamp
from ..contract.errors import NodeNotFound, SessionNotFound
from ..contract.graph import ActivePath, GraphAppend, SessionNodeRecord
from ..contract.sessions import ChildSession, Durability, RootSession, SessionHead, SessionSummary
from ..session import SessionStore as Handle
from ._entries import entry_of, node_id_of, payload_of, timestamp_of
from ._ids import escaped, unescaped
from ._lane import Lane, Step
from ._opened import OpenedLanes
from ._stores import StoreOrPath, Tenancy

try:
    from claude_agent_sdk import (
        SessionKey,
        SessionListSubkeysKey,
        SessionStore,
        SessionStoreEntry,
        SessionStoreListEntry,
        SessionSummaryEntry,
        fold_session_summary,
    )
except ImportError as error:
    raise ImportError("the Claude Agent SDK is missing: pip install 'localstore[claude-agent-sdk]'") from error

_FRAMEWORK: Final = "claude-agent-sdk"
_SUMMARY: Final = "summary"
_MAX_WITHOUT_SUMMARY: Final = 32
"""After how many nodes a summary is written though it did not change, so that few are read to find it."""


def session_id_of(project_key: str, session_id: str, subpath: str | None = None) -> str:
    """The id of the session that keeps a transcript, for `localstore show` and the like."""
    parts = [escaped("project_key", project_key), escaped("session_id", session_id)]
    if subpath is not None:
        parts.append(checks.identifier("subpath", subpath))
    return "/".join(parts)


class LocalStoreSessionStore(SessionStore):
    """A session store of the Agent SDK on a store.

    Args:
        store_or_path: an open store, which its owner closes, or the folder of one, which is opened once a process.
        durability: of a store that is opened by path; see `Durability`.

    An `append` or `delete` that returned survives a crash as the store's durability says; an `append` that did not is
    there whole or not at all. All calls run in threads, those of one session in the order they were made; a cancelled
    one is carried out nevertheless.

    Raises:
        StoreError: as the store's calls do, from every method; `InvalidArgument` for an entry that is not JSON.
    """

    def __init__(self, store_or_path: StoreOrPath, *, durability: Durability = Durability.FULL) -> None:
        self._tenancy = Tenancy(store_or_path, durability, "the session store")
        self._sessions = OpenedLanes(self._tenancy.store, _FRAMEWORK)
        self._unsettled: dict[str, tuple[str, str]] = {}

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        self._tenancy.check_open()
        session_id = _session_of(key)
        if not entries:
            return
        batch = _Batch(key, session_id, entries)
        digest, turn_id = self._unsettled.pop(session_id, ("", ""))
        if digest != batch.digest:
            turn_id = f"append:{os.urandom(8).hex()}"
        try:
            await self._tenancy.run(session_id, lambda: self._append(batch, turn_id))
        except BaseException:
            # Nobody knows whether the entries are there.
            self._unsettled[session_id] = (batch.digest, turn_id)
            raise

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        session_id = _session_of(key)
        return await self._tenancy.run(session_id, lambda: self._sessions.on(session_id, _load, None))

    async def list_sessions(self, project_key: str) -> list[SessionStoreListEntry]:
        prefix = f"{escaped('project_key', project_key)}/"

        def listed() -> list[SessionStoreListEntry]:
            return [
                SessionStoreListEntry(session_id=unescaped(name), mtime=row.updated_at_ms)
                for name, row in self._rows(prefix)
                if "/" not in name
            ]

        return await self._tenancy.run(None, listed)

    async def list_session_summaries(self, project_key: str) -> list[SessionSummaryEntry]:
        prefix = f"{escaped('project_key', project_key)}/"

        def listed() -> list[SessionSummaryEntry]:
            found = []
            for name, row in self._rows(prefix):
                if "/" in name:
                    continue
                key = SessionKey(project_key=project_key, session_id=unescaped(name))
                data = self._summary(row.session_id, key)
                if data is not None:
                    found.append(SessionSummaryEntry(session_id=key["session_id"], mtime=row.updated_at_ms, data=data))
            return found

        return await self._tenancy.run(None, listed)

    async def delete(self, key: SessionKey) -> None:
        session_id = _session_of(key)

        def delete() -> None:
            store = self._tenancy.store
            if key.get("subpath") is None:
                # First, so that a crash leaves none behind without the main one.
                for row in store.list_sessions():
                    if row.session_id.startswith(f"{session_id}/"):
                        store.delete_session(row.session_id)
            store.delete_session(session_id)

        await self._tenancy.run(session_id, delete)
        self._unsettled.pop(session_id, None)

    async def list_subkeys(self, key: SessionListSubkeysKey) -> list[str]:
        prefix = f"{session_id_of(key['project_key'], key['session_id'])}/"
        return await self._tenancy.run(None, lambda: sorted(name for name, _ in self._rows(prefix)))

    def close(self) -> None:
        """Let go of the store; one that was opened by path closes with its last user. Idempotent."""
        self._tenancy.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tenancy.close_after(None, self.close)

    # In the threads.

    def _rows(self, prefix: str) -> list[tuple[str, SessionSummary]]:
        """The sessions with a node whose ids begin with `prefix`, by what follows it."""
        return [
            (row.session_id[len(prefix) :], row)
            for row in self._tenancy.store.list_sessions()
            if row.session_id.startswith(prefix) and row.node_count
        ]

    def _summary(self, session_id: str, key: SessionKey) -> dict[str, Any] | None:
        def read(session: Handle) -> dict[str, Any] | None:
            head = session.load_session_head()
            return None if head is None else _summary_at(session, head.leaf_node_id, key)[0]

        session = self._tenancy.store.open_session(session_id)
        try:
            return None if session is None else read(session)
        except SessionNotFound:
            return None  # deleted just now

    def _append(self, batch: _Batch, turn_id: str) -> None:
        def append(lane: Lane) -> None:
            stamp = RuntimeTurnCommitStamp(batch.session_id, turn_id, batch.digest) if batch.has_nameless else None
            now = rfc3339(lane.session.clock.now_ms())

            def decide(head: SessionHead | None) -> tuple[Step | None, None]:
                nodes = batch.nodes(lane.session, None if head is None else head.leaf_node_id, now)
                return Step(GraphAppend(nodes, nodes[-1].node_id), stamp) if nodes else None, None

            lane.commit(decide)

        self._sessions.on_made(batch.session_id, append, None, cwd=batch.cwd, relation=batch.relation)


class _Batch:
    """The entries of one `append`."""

    def __init__(self, key: SessionKey, session_id: str, entries: list[SessionStoreEntry]) -> None:
        self.session_id = session_id
        self.is_main = key.get("subpath") is None
        self.relation = (
            RootSession() if self.is_main else ChildSession(session_id_of(key["project_key"], key["session_id"]))
        )
        self._key = key
        self._entries = [(node_id_of(entry), payload_of({**entry}), entry) for entry in entries]
        self.has_nameless = any(node_id is None for node_id, _, _ in self._entries)
        text = orjson.dumps([payload for _, payload, _ in self._entries], option=orjson.OPT_SORT_KEYS)
        self.digest = hashlib.sha256(text).hexdigest()[:32]
        folders = (entry.get("cwd") for entry in entries)
        self.cwd: str | None = next((folder for folder in folders if isinstance(folder, str) and folder), None)

    def nodes(self, session: Handle, leaf: str | None, now: str) -> tuple[SessionNodeRecord, ...]:
        """What of it the session has not, as nodes after `leaf`."""
        nodes: list[SessionNodeRecord] = []
        added: list[SessionStoreEntry] = []
        seen: set[str] = set()
        parent = leaf
        for uuid, payload, entry in self._entries:
            if uuid is not None and (uuid in seen or session.load_node(uuid) is not None):
                continue
            node_id = os.urandom(8).hex() if uuid is None else uuid
            seen.add(node_id)
            nodes.append(SessionNodeRecord(node_id, parent, timestamp_of(entry, now), payload))
            added.append(entry)
            parent = node_id
        if nodes and self.is_main:
            nodes[-1] = self._summarised(session, leaf, added, nodes[-1])
        return tuple(nodes)

    def _summarised(
        self, session: Handle, leaf: str | None, added: list[SessionStoreEntry], last: SessionNodeRecord
    ) -> SessionNodeRecord:
        before, distance = _summary_at(session, leaf, self._key)
        after = _folded(before, self._key, added)
        if after == before and distance + len(added) <= _MAX_WITHOUT_SUMMARY:
            return last
        try:
            orjson.dumps(after)
        except (TypeError, ValueError):
            return last  # then it is made from the entries, when it is asked for
        return SessionNodeRecord(
            last.node_id, last.parent_node_id, last.timestamp, last.payload, caused_by={_SUMMARY: after}
        )


def _session_of(key: SessionKey) -> str:
    return session_id_of(key["project_key"], key["session_id"], key.get("subpath"))


def _load(lane: Lane) -> list[SessionStoreEntry] | None:
    try:
        read = lane.session.load_session(ActivePath())
    except NodeNotFound:
        return None
    found = () if read is None else read.graph.nodes
    return [entry for node in found if (entry := entry_of(node.payload)) is not None] or None


def _summary_at(session: Handle, leaf: str | None, key: SessionKey) -> tuple[dict[str, Any] | None, int]:
    """The summary of the entries up to `leaf`, and how many nodes before it was written; `None`: there are none."""
    later: list[SessionStoreEntry] = []
    known: dict[str, Any] | None = None
    node_id, distance = leaf, 0
    while node_id is not None and known is None:
        node = session.load_node(node_id)
        if node is None:
            break
        cause = node.caused_by
        if isinstance(cause, dict) and isinstance(cause.get(_SUMMARY), dict):
            known = cause[_SUMMARY]
            break
        entry = entry_of(node.payload)
        if entry is not None:
            later.append(entry)
        node_id, distance = node.parent_node_id, distance + 1
    if not later:
        return known, distance
    return _folded(known, key, later[::-1]), distance


def _folded(before: dict[str, Any] | None, key: SessionKey, entries: list[SessionStoreEntry]) -> dict[str, Any]:
    previous = None if before is None else SessionSummaryEntry(session_id=key["session_id"], mtime=0, data=before)
    return fold_session_summary(previous, key, entries)["data"]
