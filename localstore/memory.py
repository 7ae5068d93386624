"""Sessions in memory: the machine with neither journal nor files, for tests and ephemeral hosts."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from typing import TypeVar

from .contract import checks
from .contract.attachments import (
    AttachmentCreateMeta,
    AttachmentRef,
    AttachmentStore,
    StoredAttachment,
)
from .contract.clock import Clock
from .contract.errors import AttachmentNotFound, SessionNotFound
from .contract.sessions import DurabilityTier, GcReport, SessionMeta, SessionSummary, VacuumReport
from .keeper import Keeper
from .machine import attachments as rows
from .machine import reading, upkeep
from .machine.apply import apply_record
from .machine.decision import Decide, View
from .machine.facts import Recent
from .machine.state import SessionState
from .store import Store
from .surroundings import Surroundings, fresh_id

R = TypeVar("R")

_MAX_RECORDS = 1 << 16
"""Records that the change feed of a session in memory reaches back, at most."""


class MemoryKeeper:
    """One session in memory."""

    def __init__(self, meta: SessionMeta, surroundings: Surroundings) -> None:
        moment = surroundings.moment()
        self._surroundings = surroundings
        self._mutex = threading.RLock()
        self._recent = Recent()
        self._state = SessionState(
            meta.session_id,
            fresh_id(),
            meta=meta,
            created_at_ms=moment.now_ms,
            updated_at_ms=moment.now_ms,
            fencing_boot_id=moment.boot_id,
        )
        self._removed = False

    @property
    def session_id(self) -> str:
        return self._state.session_id

    def _require(self) -> None:
        if self._removed:
            raise SessionNotFound(self.session_id)

    def mark_removed(self) -> None:
        with self._mutex:
            self._removed = True

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
            return decision.result

    def checkpoint(self) -> None:
        with self._mutex:
            self._require()

    def vacuum(self) -> VacuumReport:
        with self._mutex:
            self._require()
            report = upkeep.vacuum_report(self._state)
            kept = list(upkeep.vacuumed(self._state, self._recent))
            self._recent.keep(kept)
            upkeep.note_vacuumed(self._state)
            return report

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

    def find(self, session_id: str) -> Keeper | None:
        return self._keepers.get(session_id)

    def make(self, meta: SessionMeta) -> Keeper:
        with self._mutex:
            if meta.session_id not in self._keepers:
                self._keepers[meta.session_id] = MemoryKeeper(meta, self.surroundings)
            return self._keepers[meta.session_id]

    def remove(self, session_id: str) -> None:
        with self._mutex:
            keeper = self._keepers.pop(session_id, None)
            if keeper is not None:
                keeper.mark_removed()

    def keepers(self) -> Iterable[Keeper]:
        return list(self._keepers.values())

    def summaries(self) -> Iterable[SessionSummary]:
        return [keeper.summary() for keeper in list(self._keepers.values())]

    def sweep_bytes(self, orphans: frozenset[str], older_than_ms: int) -> tuple[str, ...]:
        with self._mutex:
            named = {row for keeper in self.keepers() for row in keeper.read(rows.named_ids())}
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


class InMemoryStore(Store):
    """A store with the face of `LocalStore` and no files; its state ends with it.

    `clock` defaults to the machine's.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(MemorySessions(Surroundings(clock)))
