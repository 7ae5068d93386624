"""The face of a store: sessions made, opened, listed and deleted."""

from __future__ import annotations

import threading
import weakref
from types import TracebackType
from typing import Self

from .contract import checks
from .contract.attachments import AttachmentStore, AttachmentSweepReport
from .contract.clock import rfc3339
from .contract.errors import StoreClosed
from .contract.sessions import DurabilityTier, RootSession, SessionMeta, SessionRelation, SessionSummary
from .keeper import Keeper, Sessions
from .machine import attachments as rows
from .session import SessionStore


class Store:
    """What `LocalStore` and `InMemoryStore` have in common."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._closed = False
        self._mutex = threading.Lock()
        self._handles: weakref.WeakSet[SessionStore] = weakref.WeakSet()

    def _open(self) -> Sessions:
        if self._closed:
            raise StoreClosed()
        return self._sessions

    def _handle(self, keeper: Keeper) -> SessionStore:
        handle = SessionStore(self._sessions, keeper)
        with self._mutex:
            self._handles.add(handle)
        return handle

    @property
    def attachments(self) -> AttachmentStore:
        """The bytes of attachments, shared by all sessions of this store."""
        return self._open().attachments

    def create_session(
        self,
        session_id: str,
        *,
        session_name: str | None = None,
        model: str = "",
        cwd: str | None = None,
        relation: SessionRelation = RootSession(),
    ) -> SessionStore:
        """Make the session and seed its metadata; an existing one is returned, and nothing of it overwritten.

        `session_name` defaults to the id. Raises `InvalidArgument` for an id that is empty or over 1,024 characters.
        Once this returns the session survives a power cut in `Durability.FULL`, and a crash of the process in any.
        """
        sessions = self._open()
        checks.session_id(session_id)
        now = rfc3339(sessions.surroundings.clock.now_ms())
        name = session_id if session_name is None else session_name
        keeper = sessions.make(SessionMeta(session_id, name, now, model, cwd, relation))
        return self._handle(keeper)

    def open_session(self, session_id: str) -> SessionStore | None:
        """A handle on the session, or `None` when it does not exist."""
        keeper = self._open().find(checks.session_id(session_id))
        return None if keeper is None else self._handle(keeper)

    def delete_session(self, session_id: str) -> None:
        """Remove the session and everything of it: lease, queues, pending input, blobs. Idempotent.

        Handles on it raise `SessionNotFound` from then on, also when a session of that id is made again.
        """
        self._open().remove(checks.session_id(session_id))

    def list_sessions(self) -> tuple[SessionSummary, ...]:
        """One summary a session, newest activity first; any write but vacuum and gc is activity. Reads no nodes."""
        found = self._open().summaries()
        return tuple(sorted(found, key=lambda item: (-item.updated_at_ms, item.session_id)))

    def sweep_attachments(self, older_than_epoch_ms: int) -> AttachmentSweepReport:
        """Delete the manifest rows of orphans, and the bytes that no row of any session names.

        An orphan is a row never committed whose intent is at or before `older_than_epoch_ms`. Bytes that never had a
        row go when they were put at or before that time.
        """
        sessions = self._open()
        older_than = checks.integer("older_than_epoch_ms", older_than_epoch_ms)
        orphans: set[str] = set()
        row_count = 0
        for keeper in sessions.keepers():
            if keeper.read(rows.list_uncommitted(older_than)):
                gone = keeper.write(rows.forget_orphans(older_than))
                row_count += len(gone)
                orphans.update(row.attachment_id for row in gone)
        deleted = sessions.sweep_bytes(frozenset(orphans), older_than)
        return AttachmentSweepReport(tuple(sorted(deleted)), row_count)

    def durability_tier(self) -> DurabilityTier:
        """How far this store's state reaches: `DURABLE` on disk, `INLINE` in memory."""
        return self._open().tier

    def close(self) -> None:
        """Close the store and its handles. Idempotent. A file store folds, so that no journal stays behind."""
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            handles = list(self._handles)
        for handle in handles:
            handle.mark_closed()
        self._sessions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
