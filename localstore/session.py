"""The handle of one session: every method of the contract, checked at the door and run by a keeper."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator, Sequence
from types import TracebackType
from typing import Self

from . import watching
from .contract import checks
from .contract.attachments import AttachmentIntent, AttachmentManifestEntry
from .contract.clock import Clock, rfc3339
from .contract.commits import PersistedSessionRead, RuntimeCommit, RuntimeCommitResult
from .contract.errors import InvalidArgument, SessionNotFound, StoreClosed
from .contract.feed import ChangeBatch
from .contract.graph import SessionNodeRecord, SessionReadScope, check_scope
from .contract.leases import (
    LeaseOwnerIdentity,
)
from .contract.redaction import REPLACEMENT, SessionRedaction
from .contract.sessions import DurabilityTier, GcReport, SessionHead, SessionMeta, VacuumReport
from .history import SessionHistory
from .keeper import AbsentKeeper, Keeper, Sessions
from .machine import attachments, commits, feed, reading, upkeep
from .machine.forks import ForkRequest
from .machine.redactor import Redactor
from .queues import SessionQueues


class Handles:
    """The handles that a store gave out, so that it can close them."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._mutex = threading.Lock()
        self._given: weakref.WeakSet[SessionStore] = weakref.WeakSet()
        self._closed = False

    def give(self, keeper: Keeper) -> SessionStore:
        """A handle on the keeper's session; `StoreClosed` where the store was closed meanwhile."""
        handle = SessionStore(self._sessions, keeper, self)
        with self._mutex:
            if self._closed:
                raise StoreClosed()
            self._given.add(handle)
        return handle

    def close(self) -> None:
        """Close all of them, and give no more."""
        with self._mutex:
            self._closed = True
            given = list(self._given)
        for handle in given:
            handle.mark_closed()


class SessionStore(SessionHistory, SessionQueues):
    """A handle bound to one session. Cheap; any number of them, in threads and processes, may hold one session.

    Lease and queue methods take a session id and work for any session of the store. A handle whose session was deleted,
    or deleted and made again since, raises `SessionNotFound`; one that was closed, `StoreClosed`.
    """

    def __init__(self, sessions: Sessions, keeper: Keeper, family: Handles) -> None:
        self._sessions = sessions
        self._keeper = keeper
        self._family = family
        self._session_id = keeper.session_id
        self._closed = False

    @property
    def session_id(self) -> str:
        """The id of the session this handle is bound to."""
        return self._session_id

    @property
    def clock(self) -> Clock:
        """The clock of the store."""
        return self._sessions.surroundings.given

    def close(self) -> None:
        """Close this handle; others on the session stay open. Idempotent."""
        self._closed = True

    mark_closed = close

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _own(self) -> Keeper:
        if self._closed:
            raise StoreClosed("the handle")
        return self._keeper

    def _of(self, session_id: str) -> Keeper | AbsentKeeper:
        """The keeper of any session of the store; a stand-in that finds nothing for one that does not exist."""
        if session_id == self._session_id:
            return self._own()
        if self._closed:
            raise StoreClosed("the handle")
        found = self._sessions.find(checks.session_id(session_id))
        return AbsentKeeper(session_id, self._sessions.surroundings) if found is None else found

    def _made(self, session_id: str) -> Keeper:
        """The keeper of any session of the store, made with default metadata if it does not exist."""
        if session_id == self._session_id:
            return self._own()
        if self._closed:
            raise StoreClosed("the handle")
        now = rfc3339(self._sessions.surroundings.clock.now_ms())
        return self._sessions.make(SessionMeta(checks.session_id(session_id), session_id, now, ""))

    # Graph and commits.

    def load_session(self, scope: SessionReadScope) -> PersistedSessionRead | None:
        return self._own().read(reading.load_session(check_scope(scope)))

    def load_node(self, node_id: str) -> SessionNodeRecord | None:
        return self._own().read(reading.load_node(checks.identifier("node_id", node_id)))

    def load_session_head(self) -> SessionHead | None:
        return self._own().read(reading.load_head())

    def commit_runtime_state(self, commit: RuntimeCommit) -> RuntimeCommitResult:
        checks.instance("commit", commit, RuntimeCommit)
        return self._own().write(commits.commit(commit))

    def commit_in_passing(self, commit: RuntimeCommit, owner: LeaseOwnerIdentity) -> RuntimeCommitResult:
        """Commit under a lease that `owner` takes and gives back within the call: for writers whose turn is one commit.

        It is one record where claiming, committing and releasing are three, so that it costs less and a crash leaves
        nobody holding the session. `commit` names no lease, and should say `expected_head_revision`: nothing else keeps
        others from committing before. Raises `SessionExecutionLeaseHeld` where somebody holds the lease who is not
        provably dead, else as `commit_runtime_state` does; what survives is the same too.
        """
        checks.instance("commit", commit, RuntimeCommit)
        checks.instance("owner", owner, LeaseOwnerIdentity)
        if commit.session_execution_lease or commit.release_session_execution_lease:
            raise InvalidArgument("a commit in passing names no lease")
        return self._own().write(commits.commit(commit, owner))

    def save_session_meta(self, meta: SessionMeta) -> None:
        checks.instance("meta", meta, SessionMeta)
        self._own().write(upkeep.save_meta(meta))

    def load_session_meta(self) -> SessionMeta | None:
        return self._own().read(upkeep.load_meta())

    def tombstone_nodes(self, ids: Sequence[str]) -> None:
        self._own().write(upkeep.tombstone(checks.identifiers("ids", ids)))

    def vacuum(self) -> VacuumReport:
        return self._own().vacuum()

    def gc_unreachable(self) -> GcReport:
        return self._own().collect()

    def redact(
        self, pattern: str, *, regex: bool = False, replacement: str = REPLACEMENT, apply: bool = False
    ) -> SessionRedaction:
        """Replace what `pattern` is, or matches with `regex`, everywhere in this session; see `LocalStore.redact`.

        Without `apply` it is only told. Labels of attachments and the trash are left to the store's method. Raises
        `SessionExecutionLeaseHeld` where the lease is held by somebody not known to be dead, and `InvalidArgument`. A
        crash leaves the session as it was, or redacted.
        """
        redactor = Redactor(pattern, replacement, regex=checks.instance("regex", regex, bool))
        return self._own().redact(redactor, apply=checks.instance("apply", apply, bool))

    def checkpoint(self) -> None:
        """Fold the journal into node files, spools and `head.json`, as a clean close does; the handle stays open."""
        self._own().checkpoint()

    def changes(self, since: str | None = None, *, limit: int | None = None) -> ChangeBatch:
        """What happened since the cursor `since`, every change once and in order, across processes and restarts.

        `None` starts at the oldest change that is kept: at least the latest 4,096. `limit` bounds the number of calls
        whose changes are given. Raises `CursorExpired` for a cursor that is too old or of another session.
        """
        after = checks.optional_identifier("since", since)
        return self._own().read(feed.changes(after, checks.optional_integer("limit", limit)))

    def watch(
        self, since: str | None = None, *, poll_s: float = 1.0, stop: watching.Stop | None = None
    ) -> Generator[ChangeBatch, None, None]:
        """Follow `changes`: batches of changes as they come, each once and in order, whichever process makes them.

        A batch has all changes of one or more calls, and the cursor to go on from: who stores that with what it made of
        the batch misses nothing and does nothing twice, also after a crash. It ends once `stop` is set (a
        `threading.Event`, or anything with `is_set()`), within 0.1 seconds; without one, when it is closed.

        It looks at least every `poll_s` seconds, and at once where it is woken: in memory, or by watchdog (the extra
        `watch`) where that works. Raises as `changes` does, `SessionNotFound` once the session is deleted, and
        `StoreClosed` once the handle is closed. What others wrote is seen before it is flushed: a power cut can take it
        back, and then the cursor is one of `CursorExpired`.
        """
        after = checks.optional_identifier("since", since)
        interval, end = watching.interval(poll_s), watching.stopping(stop)
        return watching.follow(self._news, self._own().listen, after, interval, end)

    def _news(self, since: str | None) -> ChangeBatch:
        return self._own().read(feed.news(since, watching.PAGE))

    def durability_tier(self) -> DurabilityTier:
        return self._sessions.tier

    def fork(self, session_id: str, *, at: str | None = None, session_name: str | None = None) -> SessionStore:
        """Make a child session that begins at the node `at` (the leaf, where it is `None`), and give a handle on it.

        It has all nodes, branches, config, frames, checkpoint and usage of this session, the revision, and its
        committed attachments; nobody holds it, nothing waits in it, and no turn stamp or source key of the parent binds
        it. `session_name` defaults to the id. On disk both share their files, so that a fork writes next to nothing
        and each can be vacuumed or deleted without the other (a file system without hard links gets copies).

        Raises `SessionExists` and `NodeNotFound`. A crash leaves a whole child or none.
        """
        keeper = self._own()
        name = checks.session_id(session_id) if session_name is None else checks.text("session_name", session_name)
        begin = checks.optional_identifier("at", at)
        request = ForkRequest(
            checks.session_id(session_id), name, begin, rfc3339(self._sessions.surroundings.clock.now_ms())
        )
        return self._family.give(self._sessions.fork(keeper, request))

    # The attachment manifest.

    def record_intent(self, intent: AttachmentIntent) -> None:
        checks.instance("intent", intent, AttachmentIntent)
        self._existing(intent.session_id).write(attachments.record_intent(intent))

    def commit_refs(self, session_id: str, attachment_ids: Sequence[str]) -> None:
        decide = attachments.commit_refs(checks.identifiers("attachment_ids", attachment_ids))
        self._existing(session_id).write(decide)

    def list_uncommitted(self, older_than_epoch_ms: int) -> tuple[AttachmentManifestEntry, ...]:
        older_than = checks.integer("older_than_epoch_ms", older_than_epoch_ms)
        return self._own().read(attachments.list_uncommitted(older_than))

    def forget(self, attachment_id: str) -> None:
        self._own().write(attachments.forget(checks.identifier("attachment_id", attachment_id)))

    def _existing(self, session_id: str) -> Keeper:
        keeper = self._of(session_id)
        if isinstance(keeper, AbsentKeeper):
            raise SessionNotFound(session_id)
        return keeper
