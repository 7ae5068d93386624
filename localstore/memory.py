"""Sessions in memory: the machine with neither journal nor files, for tests and ephemeral hosts."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from .contract import checks
from .contract.archives import ArchiveInfo, BackupReport, OnConflict
from .contract.attachments import (
    AttachmentCreateMeta,
    AttachmentRef,
    AttachmentStore,
    StoredAttachment,
)
from .contract.clock import Clock
from .contract.errors import (
    AttachmentNotFound,
    BackendError,
    InvalidArgument,
    SessionExists,
    SessionNotFound,
    TrashedSessionNotFound,
)
from .contract.redaction import (
    LeftPlace,
    RedactedKind,
    RedactedPlace,
    SessionRedaction,
    attachment_left,
)
from .contract.sessions import DurabilityTier, GcReport, SessionMeta, SessionSummary, UnreadableSession, VacuumReport
from .contract.trash import TrashedSession
from .keeper import Keeper
from .machine import attachments as rows
from .machine import feed, reading, upkeep
from .machine.apply import apply_record
from .machine.decision import Decide, View
from .machine.facts import Recent
from .machine.forks import ForkRequest, child_of
from .machine.redaction import Redaction, require_free
from .machine.redactor import Redactor
from .machine.state import SessionState
from .store import TRASH_GRACE_MS, Store
from .surroundings import Surroundings, fresh_id

R = TypeVar("R")

_MAX_RECORDS = 1 << 16
"""Records that the change feed of a session in memory reaches back, at most."""


class MemoryKeeper:
    """One session in memory."""

    def __init__(self, state: SessionState, recent: Recent, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._mutex = threading.RLock()
        self._recent = recent
        self._state = state
        self._removed = False
        self._followers: list[Callable[[], None]] = []

    @property
    def session_id(self) -> str:
        return self._state.session_id

    def _require(self) -> None:
        if self._removed:
            raise SessionNotFound(self.session_id)

    def remove(self, now_ms: int, unless: View[bool] | None) -> TrashedSession | None:
        """Delete the session; its receipt, or `None` where it stays, since `unless` says yes of its state."""
        with self._mutex:
            self._require()
            if unless is not None and self.read(unless):
                return None
            self._removed = True
            self._wake()
            line = reading.summarize(self._state, 0)
            return TrashedSession(
                line.session_id,
                line.session_name,
                now_ms,
                line.updated_at_ms,
                line.node_count,
                line.head_revision,
                line.size_bytes,
            )

    def revived(self) -> MemoryKeeper:
        """The deleted session as another incarnation, so that handles on it stay what they are."""
        with self._mutex:
            return MemoryKeeper(replace(self._state, incarnation=fresh_id()), self._recent, self._surroundings)

    def names_attachments(self) -> frozenset[str]:
        """The attachments that the session names, deleted or not."""
        with self._mutex:
            return rows.named_ids()(self._state, self._recent, self._surroundings.moment())

    def fork(self, request: ForkRequest) -> MemoryKeeper:
        """A child of the session, which shares the facts up to now."""
        with self._mutex:
            self._require()
            state = child_of(self._state, self._recent, self._surroundings.moment(), request)
            shared = Recent()
            shared.log, shared.by_key = list(self._recent.log), dict(self._recent.by_key)
            shared.records = list(self._recent.records)
            return MemoryKeeper(state, shared, self._surroundings)

    def read(self, view: View[R]) -> R:
        with self._mutex:
            self._require()
            return view(self._state, self._recent, self._surroundings.moment())

    def write(self, decide: Decide[R], *, flush: bool = True) -> R:
        with self._mutex:
            self._require()
            moment = self._surroundings.moment()
            decision = decide(self._state, self._recent, moment)
            if decision.events:
                apply_record(self._state, self._recent, self._state.seq + 1, moment.now_ms, decision.events)
                if len(self._recent.records) > _MAX_RECORDS:
                    del self._recent.records[: _MAX_RECORDS // 2]
                self._wake()
            return decision.result

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` at every change of the session, until the returned function is called."""
        with self._mutex:
            self._followers.append(wake)
        return lambda: self._forget(wake)

    def _forget(self, wake: Callable[[], None]) -> None:
        with self._mutex:
            self._followers.remove(wake)

    def _wake(self) -> None:
        for wake in self._followers:
            wake()

    def checkpoint(self) -> None:
        with self._mutex:
            self._require()

    def vacuum(self) -> VacuumReport:
        with self._mutex:
            self._require()
            report = upkeep.vacuum_report(self._state)
            if upkeep.has_waste(self._state, self._recent):
                self._recent.keep(upkeep.vacuumed(self._state, self._recent))
                upkeep.note_vacuumed(self._state)
            return report

    def redact(self, redactor: Redactor, *, apply: bool) -> SessionRedaction:
        """Replace what matches; without `apply` only tell what does."""
        with self._mutex:
            self._require()
            if apply:
                require_free(self._state, self._surroundings.moment())
            return self.reword(redactor, apply=apply)

    def reword(self, redactor: Redactor, *, apply: bool) -> SessionRedaction:
        """As `redact`, of a session that was deleted as well."""
        with self._mutex:
            redaction = Redaction(redactor, self._state, self._recent)
            if apply and (redaction.refs or redaction.places):
                facts = list(redaction.facts())
                if self._recent.records:
                    facts.append(feed.gathered(self._recent.records))
                self._recent.keep(facts)
                self._state = redaction.state
            return SessionRedaction(self.session_id, apply, redaction.places, redaction.left)

    def collect(self) -> GcReport:
        return self.write(upkeep.collect())

    def summary(self) -> SessionSummary:
        return self.read(lambda state, archive, moment: reading.summarize(state, 0))


class MemoryAttachments(AttachmentStore):
    """Attachment bytes in memory."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._stored: dict[str, tuple[StoredAttachment, int]] = {}

    def put(self, data: bytes, meta: AttachmentCreateMeta) -> AttachmentRef:
        content = checks.octets("data", data)
        checks.instance("meta", meta, AttachmentCreateMeta)
        attachment_id = hashlib.sha256(content).hexdigest()
        fresh = (StoredAttachment(meta, content), self._surroundings.clock.now_ms())
        kept = self._stored.setdefault(attachment_id, fresh)[0].meta
        return AttachmentRef(attachment_id, kept.media_type, len(content), kept.width, kept.height, kept.label)

    def get(self, attachment_id: str) -> StoredAttachment:
        found = self._stored.get(checks.identifier("attachment_id", attachment_id))
        if found is None:
            raise AttachmentNotFound(attachment_id)
        return found[0]

    def redact(
        self, redactor: Redactor, attachment_ids: frozenset[str] | None, *, apply: bool
    ) -> Iterator[RedactedPlace | LeftPlace]:
        """Redact the labels of all attachments, or of these, and tell which bytes match."""
        for attachment_id, (stored, put_at) in list(self._stored.items()):
            if attachment_ids is not None and attachment_id not in attachment_ids:
                continue
            label, count = redactor.optional(stored.meta.label)
            if count:
                if apply:
                    fresh = StoredAttachment(replace(stored.meta, label=label), stored.data)
                    self._stored[attachment_id] = (fresh, put_at)
                yield RedactedPlace(RedactedKind.LABEL, attachment_id, count)
            if redactor.octets(stored.data)[1]:
                yield attachment_left(attachment_id)

    def put_times(self) -> dict[str, int]:
        """When each attachment was put, in epoch milliseconds."""
        return {attachment_id: put_at for attachment_id, (_, put_at) in self._stored.items()}

    def delete(self, attachment_id: str) -> None:
        """Drop the bytes."""
        self._stored.pop(attachment_id, None)


class MemorySessions:
    """The sessions of an in-memory store."""

    tier = DurabilityTier.INLINE

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self.attachments = MemoryAttachments(surroundings)
        self._mutex = threading.RLock()
        self._keepers: dict[str, MemoryKeeper] = {}
        self._trash: dict[tuple[str, int], tuple[TrashedSession, MemoryKeeper]] = {}

    def find(self, session_id: str) -> Keeper | None:
        return self._keepers.get(session_id)

    def make(self, meta: SessionMeta) -> Keeper:
        with self._mutex:
            if meta.session_id not in self._keepers:
                self._keepers[meta.session_id] = MemoryKeeper(self._blank(meta), Recent(), self.surroundings)
            return self._keepers[meta.session_id]

    def _blank(self, meta: SessionMeta) -> SessionState:
        moment = self.surroundings.moment()
        return SessionState(
            meta.session_id,
            fresh_id(),
            meta=meta,
            created_at_ms=moment.now_ms,
            updated_at_ms=moment.now_ms,
            fencing_boot_id=moment.boot_id,
        )

    def fork(self, parent: Keeper, request: ForkRequest) -> Keeper:
        with self._mutex:
            if request.session_id in self._keepers:
                raise SessionExists(request.session_id)
            if not isinstance(parent, MemoryKeeper):
                raise InvalidArgument("only a session of this store can be forked in it")
            child = self._keepers[request.session_id] = parent.fork(request)
            return child

    def remove(self, session_id: str, unless: View[bool] | None = None) -> bool:
        with self._mutex:
            keeper = self._keepers.get(session_id)
            if keeper is None:
                return True
            receipt = keeper.remove(self.surroundings.clock.now_ms(), unless)
            if receipt is None:
                return False
            # Of one id, each time of deletion names one session.
            while (session_id, receipt.deleted_at_ms) in self._trash:
                receipt = replace(receipt, deleted_at_ms=receipt.deleted_at_ms + 1)
            self._trash[session_id, receipt.deleted_at_ms] = (receipt, keeper)
            del self._keepers[session_id]
            return True

    def trashed(
        self, session_id: str | None = None, deleted_until_ms: int = checks.MAX_INTEGER
    ) -> Iterable[TrashedSession]:
        with self._mutex:
            found = [item for item, _ in self._trash.values() if session_id in (None, item.session_id)]
            return [item for item in found if item.deleted_at_ms <= deleted_until_ms]

    def restore(self, trashed: TrashedSession) -> Keeper:
        key = (trashed.session_id, trashed.deleted_at_ms)
        with self._mutex:
            if key not in self._trash:
                raise TrashedSessionNotFound(*key)
            if trashed.session_id in self._keepers:
                raise SessionExists(trashed.session_id)
            keeper = self._keepers[trashed.session_id] = self._trash.pop(key)[1].revived()
            return keeper

    def purge(self, trashed: TrashedSession) -> bool:
        with self._mutex:
            return self._trash.pop((trashed.session_id, trashed.deleted_at_ms), None) is not None

    def export(self, keeper: Keeper, path: str, tell: Callable[[int, int], None]) -> ArchiveInfo:
        raise _no_files()

    def restore_archive(self, path: str, session_id: str | None, on_conflict: OnConflict) -> Keeper:
        raise _no_files()

    def backup(self, path: str, tell: Callable[[int, int], None]) -> BackupReport:
        raise _no_files()

    def keepers(self) -> Iterable[Keeper]:
        return list(self._keepers.values())

    def summaries(self) -> Iterable[SessionSummary]:
        return [keeper.summary() for keeper in list(self._keepers.values())]

    def redact_trash(
        self, redactor: Redactor, session_ids: frozenset[str] | None, *, apply: bool
    ) -> Iterable[SessionRedaction | UnreadableSession]:
        told = []
        with self._mutex:
            for key, (receipt, keeper) in self._trash.items():
                if session_ids is None or receipt.session_id in session_ids:
                    found = keeper.reword(redactor, apply=apply)
                    told.append(replace(found, deleted_at_ms=receipt.deleted_at_ms))
                    if apply:
                        name = redactor.text(receipt.session_name)[0]
                        self._trash[key] = (replace(receipt, session_name=name), keeper)
        return told

    def redact_shared(
        self, redactor: Redactor, attachment_ids: frozenset[str] | None, *, apply: bool
    ) -> Iterable[RedactedPlace | LeftPlace]:
        return self.attachments.redact(redactor, attachment_ids, apply=apply)

    def survey(self) -> tuple[list[SessionSummary], list[UnreadableSession]]:
        return [keeper.summary() for keeper in list(self._keepers.values())], []

    def sweep_bytes(self, orphans: frozenset[str], older_than_ms: int) -> tuple[str, ...]:
        with self._mutex:
            known = [*self._keepers.values(), *(keeper for _, keeper in self._trash.values())]
            named = frozenset().union(*(keeper.names_attachments() for keeper in known))
            deleted = [
                attachment_id
                for attachment_id, put_at in self.attachments.put_times().items()
                if attachment_id not in named and (attachment_id in orphans or put_at <= older_than_ms)
            ]
            for attachment_id in deleted:
                self.attachments.delete(attachment_id)
            return tuple(deleted)

    def close(self) -> None:
        with self._mutex:
            self._keepers.clear()
            self._trash.clear()


def _no_files() -> BackendError:
    return BackendError("a store in memory has no files to export, import or back up; use a LocalStore")


class InMemoryStore(Store):
    """A store with the face of `LocalStore` and no files; its state ends with it.

    `clock` defaults to the machine's; `trash_grace_ms` is that of `LocalStore`.
    """

    def __init__(self, clock: Clock | None = None, *, trash_grace_ms: int = TRASH_GRACE_MS) -> None:
        super().__init__(MemorySessions(Surroundings(clock)), trash_grace_ms)
