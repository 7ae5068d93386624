"""The face of a store: sessions made, opened, listed and deleted."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from . import redacting
from .attachments import AttachmentsWhileOpen
from .contract import checks
from .contract.archives import ArchiveInfo, BackupReport, OnConflict
from .contract.attachments import AttachmentStore, AttachmentSweepReport
from .contract.clock import rfc3339
from .contract.errors import (
    BackendError,
    CorruptRecord,
    InvalidArgument,
    SessionNotFound,
    StoreClosed,
    TrashedSessionNotFound,
)
from .contract.redaction import REPLACEMENT, RedactionReport
from .contract.search import SearchHit
from .contract.sessions import (
    DurabilityTier,
    RootSession,
    SessionMeta,
    SessionRelation,
    SessionSummary,
    SessionSurvey,
)
from .contract.trash import PruneReport, SparedSession, SpareReason, TrashedSession
from .keeper import Sessions
from .listing import Wanted, page
from .machine import attachments as rows
from .machine.redactor import Redactor
from .machine.searching import query_of, search
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
        self._open()
        return AttachmentsWhileOpen(lambda: self._open().attachments)

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
        return tuple(_latest_first(self._open().trashed()))

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
        """Remove deleted sessions from the trash for good; returns those that this call removed, as `trash` lists them.

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
        return tuple(item for item in _latest_first(found) if sessions.purge(item))

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
        `max_bytes` on disk. A session whose lease is live or in which input or work waits is spared, unless `force`; a
        damaged one stays, and is told. What of the trash is past its grace is purged along with it. A crash in the
        midst leaves some of them deleted.
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

        found, unreadable = sessions.survey()
        choice = choose(found, limits, sessions.surroundings.clock.now_ms(), in_use)
        chosen, spared = choice.chosen, [SparedSession(row.session_id, reason) for row, reason in choice.spared]
        past_grace = tuple(_latest_first(self._past_grace(sessions)))
        if apply:
            past_grace = self.purge()
            chosen = []
            for row in choice.chosen:
                if sessions.remove(row.session_id, stays(row, force=force)):
                    chosen.append(row)
                else:
                    spared.append(SparedSession(row.session_id, SpareReason.ACTIVITY))
        return PruneReport(apply, tuple(chosen), tuple(spared), past_grace, tuple(unreadable))

    def list_sessions(self) -> tuple[SessionSummary, ...]:
        """One summary a session, newest activity first; any write but vacuum and gc is activity. Reads no nodes."""
        found = self._open().summaries()
        return tuple(sorted(found, key=lambda item: (-item.updated_at_ms, item.session_id)))

    def search(
        self,
        text: str,
        *,
        regex: bool = False,
        ignore_case: bool = True,
        role: str | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        session_ids: Iterable[str] | None = None,
        limit: int | None = None,
    ) -> tuple[SearchHit, ...]:
        """The nodes with a string in their payload that `text` is in, or matches as a pattern of `re` with `regex`.

        Sessions come as in `list_sessions`, or as `session_ids` names them; the nodes of one in commit order, each
        once; at most `limit`. Tombstoned nodes are not found. `role` is that of a message, and times are of the nodes,
        epoch milliseconds, both ends included. The strings are searched one by one, `^` and `$` being ends of lines;
        the words of a message's form (`kind`, `role`, `type`) are left out.

        Raises `InvalidArgument` for a text that is empty or no pattern, `SessionNotFound` for a session that was named
        and does not exist, `CorruptRecord` where damage may hide a hit. Changes nothing.
        """
        sessions = self._open()
        query = query_of(
            checks.identifier("text", text),
            regex=regex,
            ignore_case=ignore_case,
            role=checks.optional_text("role", role),
            since_ms=checks.optional_integer("since_ms", since_ms),
            until_ms=checks.optional_integer("until_ms", until_ms),
        )
        checks.optional_integer("limit", limit)
        if session_ids is None:
            chosen = [row.session_id for row in self.list_sessions()]
        else:
            chosen = list(dict.fromkeys(checks.identifiers("session_ids", session_ids)))
        hits: list[SearchHit] = []
        for session_id in chosen:
            left = None if limit is None else limit - len(hits)
            if left == 0:
                break
            try:
                keeper = sessions.find(session_id)
                if keeper is None:
                    raise SessionNotFound(session_id)
                hits += keeper.read(search(query, left))
            except SessionNotFound:
                if session_ids is not None:
                    raise
        return tuple(hits)

    def export_session(
        self, session_id: str, path: str | os.PathLike[str], *, tell: Callable[[int, int], None] | None = None
    ) -> ArchiveInfo:
        """Write everything of the session to one new file: nodes, values, attachments, metadata, waiting queues.

        It is an uncompressed tar with a manifest of SHA-256 sums, of the session at one moment, whoever writes to it
        meanwhile. `tell` is called with how many bytes were gone over, and of how many. Raises `SessionNotFound`,
        `InvalidArgument` where `path` exists or its folder does not, and `CorruptRecord` for damage, which is never
        exported. A crash leaves no file of that name, and what it leaves beside is removed by the next export to it,
        after a minute.
        """
        keeper = self._open().find(checks.session_id(session_id))
        if keeper is None:
            raise SessionNotFound(session_id)
        return self._sessions.export(keeper, checks.path("path", path), checks.optional_call("tell", tell))

    def import_session(
        self,
        path: str | os.PathLike[str],
        *,
        session_id: str | None = None,
        on_conflict: OnConflict = OnConflict.REFUSE,
    ) -> SessionStore:
        """Make the session of an exported file a session of this store, and give a handle on it.

        It has the archive's id, or `session_id`; node ids, history and queues are the same, its lease is free, and what
        was claimed waits again. Under another id it has no turn stamps, as a fork. Where a session of the id has all of
        the archive's history already, that one is given, whatever it did since; where it is another session,
        `on_conflict` says what to do. Attachments become the store's.

        Raises `CorruptRecord` for a file that is not, to the last byte, what was exported, `SessionExists`, and the
        schema version errors. A crash leaves the whole session or nothing of it.
        """
        if session_id is not None:
            checks.session_id(session_id)
        chosen = checks.member("on_conflict", on_conflict, OnConflict)
        keeper = self._open().restore_archive(checks.path("path", path), session_id, chosen)
        return self._handles.give(keeper)

    def backup(self, path: str | os.PathLike[str], *, tell: Callable[[int, int], None] | None = None) -> BackupReport:
        """Make the folder `path` a copy of this store, or bring such a copy up to date. The store may be in use.

        Each session is copied as it is at one moment, while others go on with it; a later backup touches what has
        changed alone. Immutable files are hard links where that is possible: damage to their bytes on this disk is
        damage to both, so that a copy on another disk is needed, too. A session that was deleted goes to the backup's
        trash, and stays there; so does one that went another way since, as when this store was put back to how it was
        before. The trash of this store is not copied. The backup is a store, but one that was written to is refused.
        `tell` is called with how many sessions are done, and of how many.

        Raises `BackendError` for a folder that has anything else in it. What is damaged or refused raises once all else
        is copied. A crash leaves each session as it was in the last backup, or as it is in this one.
        """
        return self._open().backup(checks.path("path", path), checks.optional_call("tell", tell))

    def redact(
        self,
        pattern: str,
        *,
        regex: bool = False,
        replacement: str = REPLACEMENT,
        session_ids: Iterable[str] | None = None,
        apply: bool = False,
        tell: Callable[[int, int], None] | None = None,
    ) -> RedactionReport:
        """Replace what `pattern` is, or matches with `regex`, wherever sessions have it; without `apply` only tell.

        It is looked for, upper case told from lower, in the strings, keys and whole numbers of payloads, causes and
        options, in stored values and images, in the text of input and work that waits or is settled, in metadata,
        frames, configuration and usage, in the summary, and in files that nothing reads any more. All sessions are
        redacted, and the trash; or those of `session_ids`, with what was deleted under these ids. Of attachments it is
        the labels. What is encoded within a text (base64, compressed) is not seen.

        Ids stay, also where they match, and so do attachments' bytes, which are their ids: the report names these. What
        is stored under the SHA-256 of its content gets a new address, and everything that refers to it is rewritten: a
        turn that is tried again gives the new checkpoint. Waiting entries keep their ids and order and get new
        `enqueue_seq`; one that is enqueued again under its source key with the old text is another one now.

        Afterwards no file of these sessions has a match: journals, node files, blobs and entries of before are removed
        at once, whoever reads them. Each session gets a receipt of it in its folder. Copies elsewhere (backups,
        exports) have what they had. Each session is redacted whole or not at all: a crash leaves some of them so.
        `tell` is called with how many sessions are done, the trash's too, and of how many.

        A session whose lease is held by somebody not known to be dead is spared, and a damaged one told of; the others
        are redacted. Raises `InvalidArgument` for a pattern that is empty, malformed, or matches what replaces it, and
        `SessionNotFound` for a session that was named.
        """
        redactor = Redactor(pattern, replacement, regex=checks.instance("regex", regex, bool))
        wanted = None if session_ids is None else tuple(dict.fromkeys(checks.identifiers("session_ids", session_ids)))
        applied = checks.instance("apply", apply, bool)
        return redacting.redact(self._open(), redactor, wanted, checks.optional_call("tell", tell), apply=applied)

    def survey_sessions(
        self,
        *,
        cwd: str | None = None,
        model: str | None = None,
        parent: str | None = None,
        text: str | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> SessionSurvey:
        """As `list_sessions`, and the sessions that cannot be read beside those that can, instead of raising.

        Only those are listed that fit what is given: with this `cwd` or one below it, with `model` somewhere in their
        model's name, with the session `parent` as their parent, with `text` in their id, name or first user message (in
        any case), with their latest activity from `since_ms` to `until_ms`, both epoch milliseconds and included. Of
        these the first `offset` are left out, and at most `limit` are given; `fitting_count` says how many there are.
        """
        found, unreadable = self._open().survey()
        wanted = Wanted(
            cwd=None if cwd is None else checks.text("cwd", cwd),
            model=None if model is None else checks.text("model", model),
            parent=None if parent is None else checks.identifier("parent", parent),
            text=None if text is None else checks.text("text", text),
            since_ms=checks.optional_integer("since_ms", since_ms),
            until_ms=checks.optional_integer("until_ms", until_ms),
        )
        fitting = list(filter(wanted.fits, found))
        shown = page(fitting, checks.integer("offset", offset), checks.optional_integer("limit", limit))
        return SessionSurvey(shown, tuple(unreadable), len(fitting))

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


def _latest_first(found: Iterable[TrashedSession]) -> list[TrashedSession]:
    return sorted(found, key=lambda item: (-item.deleted_at_ms, item.session_id))
