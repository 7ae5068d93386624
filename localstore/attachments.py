"""Attachments of one session: the intent is recorded before the bytes are written."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from .contract import checks
from .contract.attachments import (
    AttachmentCreateMeta,
    AttachmentIntent,
    AttachmentRef,
    AttachmentStore,
    StoredAttachment,
)
from .contract.clock import Clock, SystemClock
from .contract.persistence import RuntimePersistence


class AttachmentsWhileOpen(AttachmentStore):
    """The attachments of a store as long as it is open: `reach` gives them, or raises `StoreClosed`."""

    __slots__ = ("_reach",)

    def __init__(self, reach: Callable[[], AttachmentStore]) -> None:
        self._reach = reach

    def put(self, data: bytes, meta: AttachmentCreateMeta) -> AttachmentRef:
        """As `AttachmentStore.put`."""
        return self._reach().put(data, meta)

    def get(self, attachment_id: str) -> StoredAttachment:
        """As `AttachmentStore.get`."""
        return self._reach().get(attachment_id)


class SessionScopedAttachmentStore:
    """`store` for one session: puts are written ahead in the session's manifest and await the next commit.

    `session` is any `RuntimePersistence` with a `session_id`; `clock` defaults to the session's own where it has one.
    """

    def __init__(
        self,
        store: AttachmentStore,
        session: RuntimePersistence,
        *,
        session_id: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._store: AttachmentStore = checks.instance("store", store, AttachmentStore)
        self._session: RuntimePersistence = checks.instance("session", session, RuntimePersistence)
        self._session_id = checks.session_id(getattr(session, "session_id", None) if session_id is None else session_id)
        self._clock: Clock = getattr(session, "clock", None) or SystemClock() if clock is None else clock
        self._mutex = threading.Lock()
        self._pending: dict[str, None] = {}

    def put(self, data: bytes, meta: AttachmentCreateMeta) -> AttachmentRef:
        """Record the intent, then store the bytes; the id joins those that the next commit must stamp."""
        content = checks.octets("data", data)
        checks.instance("meta", meta, AttachmentCreateMeta)
        attachment_id = hashlib.sha256(content).hexdigest()
        uri = f"attachment:sha256/{attachment_id}"
        self._session.record_intent(AttachmentIntent(attachment_id, self._session_id, uri, self._clock.now_ms()))
        ref = self._store.put(content, meta)
        with self._mutex:
            self._pending[ref.id] = None
        return ref

    def get(self, attachment_id: str) -> StoredAttachment:
        """The bytes and meta; `AttachmentNotFound` when there are none."""
        return self._store.get(attachment_id)

    def take_pending_attachment_ids(self) -> tuple[str, ...]:
        """The ids put since the last take, in order: what the next commit must stamp. Empties the list."""
        with self._mutex:
            taken = tuple(self._pending)
            self._pending.clear()
        return taken
