"""The face of a store: sessions made, opened, listed and deleted."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from .contract import checks
from .contract.attachments import AttachmentStore, AttachmentSweepReport
from .contract.clock import rfc3339
from .contract.errors import BackendError, CorruptRecord, InvalidArgument, StoreClosed, TrashedSessionNotFound
from .contract.sessions import DurabilityTier, RootSession, SessionMeta, SessionRelation, SessionSummary
from .contract.trash import PruneReport, SparedSession, SpareReason, TrashedSession
from .keeper import Sessions
from .machine import attachments as rows
from .pruning import Limits, choose, stays, uses
from .session import Handles, SessionStore

TRASH_GRACE_MS = 7 * 24 * 60 * 60 * 1000
"""How long the trash keeps a deleted session unless the store says otherwise, milliseconds: seven days."""
_PURGED_EVERY_MS = 60_000


class Store:
    """What `LocalStore` and `InMemoryStore` have in common."""

    def __init__(self, sessions: Sessions, trash_grace_ms: int = TRASH_GRACE_MS) -> None:
        self._sessions = sessions
        self._closed = False
        self._mutex = threading.Lock()
        self._handles = Handles(sessions)
        self._trash_grace_ms = checks.integer("trash_grace_ms", trash_grace_ms)
        self._purged_at_ms: int | None = None

    def _open(self) -> Sessions:
        if self._closed:
            raise StoreClosed()
        return self._sessions

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
        return self._handles.give(keeper)

    def open_session(self, session_id: str) -> SessionStore | None:
        """A handle on the session, or `None` when it does not exist."""
        keeper = self._open().find(checks.session_id(session_id))
        return None if keeper is None else self._handles.give(keeper)

    def delete_session(self, session_id: str) -> None:
        """Move the session and everything of it to the trash: lease, queues, pending input, blobs. Idempotent.

        It is no session any more: handles on it raise `SessionNotFound` from then on, also when a session of that id is
        made again, or this one is restored. The trash keeps it, and the attachments that it names, for the store's
        `trash_grace_ms`; what is past that goes for good with some later deletion. Once this returns, the deletion
        survives a power cut in any durability.
        """
        sessions = self._open()
        sessions.remove(checks.session_id(session_id))
        now_ms = sessions.surroundings.clock.now_ms()
        last = self._purged_at_ms
        if last is None or not 0 <= now_ms - last < min(_PURGED_EVERY_MS, self._trash_grace_ms):
            self._purged_at_ms = now_ms
            try:
                self.purge()
            except (BackendError, CorruptRecord):
                return  # the session is deleted; what cannot be purged now is by a later call

    def trash(self) -> tuple[TrashedSession, ...]:
        """The deleted sessions that can be restored, the latest deletion first. Changes nothing."""
        found = self._open().trashed()
        return tuple(sorted(found, key=lambda item: (-item.deleted_at_ms, item.session_id)))

    def restore_session(self, session_id: str, *, deleted_at_ms: int | None = None) -> SessionStore:
        """Make a deleted session a session again, all of it as it was, and give a handle on it.

        Of several with this id it is the one deleted last, unless `deleted_at_ms` (epoch milliseconds, as `trash()`
        has it) names another. Raises `TrashedSessionNotFound`, and `SessionExists` where the id is taken again. A crash
        leaves it restored or in the trash, and whole.
        """
        sessions = self._open()
        checks.session_id(session_id)
        checks.optional_integer("deleted_at_ms", deleted_at_ms)
        found = [entry for entry in sessions.trashed(session_id) if deleted_at_ms in (None, entry.deleted_at_ms)]
        if not found:
            raise TrashedSessionNotFound(session_id, deleted_at_ms)
        keeper = sessions.restore(max(found, key=lambda entry: entry.deleted_at_ms))
        return self._handles.give(keeper)

    def purge(
        self, session_id: str | None = None, *, deleted_at_ms: int | None = None, everything: bool = False
    ) -> tuple[TrashedSession, ...]:
        """Remove deleted sessions from the trash for good; returns those that this call removed.

        By default these are all past their grace, by the recorded time of deletion. With a `session_id` it is all that
        were deleted under it, or the one of `deleted_at_ms`, and with `everything` the whole trash, whatever their
        grace.
        """
        sessions = self._open()
        if session_id is not None:
            checks.session_id(session_id)
        checks.optional_integer("deleted_at_ms", deleted_at_ms)
        if session_id is None and deleted_at_ms is not None:
            raise InvalidArgument("deleted_at_ms tells apart sessions of one id: give the session_id, too")
        if session_id is not None:
            found = [item for item in sessions.trashed(session_id) if deleted_at_ms in (None, item.deleted_at_ms)]
        elif everything:
            found = list(sessions.trashed())
        else:
            found = self._past_grace(sessions)
        return tuple(item for item in found if sessions.purge(item))

    def _past_grace(self, sessions: Sessions) -> list[TrashedSession]:
        until_ms = sessions.surroundings.clock.now_ms() - self._trash_grace_ms
        return list(sessions.trashed(None, until_ms)) if until_ms >= 0 else []

    def prune(
        self,
        *,
        older_than_ms: int | None = None,
        max_bytes: int | None = None,
        max_sessions: int | None = None,
        apply: bool = False,
        force: bool = False,
    ) -> PruneReport:
        """Choose sessions to delete, and with `apply` move them to the trash; otherwise only say which.

        The longest unused ones are chosen, by the recorded time of their latest activity: those without any for
        `older_than_ms` milliseconds, and as many more as it takes until at most `max_sessions` are left, of at most
        `max_bytes` on disk. A session whose lease is live or in which input or work waits is spared, unless `force`.
        What of the trash is past its grace is purged along with it. A crash in the midst leaves some of them deleted.
        """
        sessions = self._open()
        limits = Limits(
            checks.optional_integer("older_than_ms", older_than_ms),
            checks.optional_integer("max_bytes", max_bytes),
            checks.optional_integer("max_sessions", max_sessions),
        )

        def in_use(row: SessionSummary) -> SpareReason | None:
            keeper = None if force else sessions.find(row.session_id)
            return None if keeper is None else keeper.read(uses())

        choice = choose(sessions.summaries(), limits, sessions.surroundings.clock.now_ms(), in_use)
        chosen, spared = choice.chosen, [SparedSession(row.session_id, reason) for row, reason in choice.spared]
        past_grace = tuple(self._past_grace(sessions))
        if apply:
            past_grace = self.purge()
            chosen = []
            for row in choice.chosen:
                if sessions.remove(row.session_id, stays(row, force=force)):
                    chosen.append(row)
                else:
                    spared.append(SparedSession(row.session_id, SpareReason.ACTIVITY))
        return PruneReport(apply, tuple(chosen), tuple(spared), past_grace)

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
        self._handles.close()
        self._sessions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
