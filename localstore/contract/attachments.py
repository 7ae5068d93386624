"""Attachments: bytes by content, and the write-ahead manifest that says which session named them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from . import checks


@dataclass(frozen=True, slots=True)
class AttachmentIntent:
    """The intention to store an attachment, recorded before its bytes are written. Times are epoch milliseconds."""

    attachment_id: str
    session_id: str
    canonical_uri: str
    intent_at_epoch_ms: int

    def __post_init__(self) -> None:
        checks.identifier("attachment_id", self.attachment_id)
        checks.session_id(self.session_id)
        checks.text("canonical_uri", self.canonical_uri)
        checks.integer("intent_at_epoch_ms", self.intent_at_epoch_ms)


@dataclass(frozen=True, slots=True)
class AttachmentManifestEntry:
    """A row of the manifest; `committed_at_epoch_ms` is `None` until a commit named the attachment."""

    attachment_id: str
    session_id: str
    canonical_uri: str
    intent_at_epoch_ms: int
    committed_at_epoch_ms: int | None = None

    def __post_init__(self) -> None:
        checks.identifier("attachment_id", self.attachment_id)
        checks.session_id(self.session_id)
        checks.text("canonical_uri", self.canonical_uri)
        checks.integer("intent_at_epoch_ms", self.intent_at_epoch_ms)
        checks.optional_integer("committed_at_epoch_ms", self.committed_at_epoch_ms)


@dataclass(frozen=True, slots=True)
class AttachmentCreateMeta:
    """What is known of the bytes; `width` and `height` in pixels."""

    media_type: str
    width: int | None = None
    height: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        checks.text("media_type", self.media_type)
        checks.optional_integer("width", self.width)
        checks.optional_integer("height", self.height)
        checks.optional_text("label", self.label)


@dataclass(frozen=True, slots=True)
class AttachmentRef:
    """A stored attachment: `id` is the SHA-256 of its bytes in hex, `byte_len` their count."""

    id: str
    media_type: str
    byte_len: int
    width: int | None = None
    height: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        checks.identifier("id", self.id)
        checks.text("media_type", self.media_type)
        checks.integer("byte_len", self.byte_len)
        checks.optional_integer("width", self.width)
        checks.optional_integer("height", self.height)
        checks.optional_text("label", self.label)


@dataclass(frozen=True, slots=True)
class StoredAttachment:
    """The bytes, and the meta of the first put."""

    meta: AttachmentCreateMeta
    data: bytes


@dataclass(frozen=True, slots=True)
class AttachmentSweepReport:
    """What a sweep deleted: ids whose bytes are gone, and how many manifest rows."""

    deleted_attachment_ids: tuple[str, ...]
    deleted_row_count: int


class AttachmentStore(ABC):
    """Attachment bytes by content, shared by all sessions of a store."""

    @abstractmethod
    def put(self, data: bytes, meta: AttachmentCreateMeta) -> AttachmentRef:
        """Store `data` once under its SHA-256, and return its reference.

        Equal bytes are one file and keep the first put's meta. The bytes survive a process crash and, with
        `Durability.FULL`, a power cut once this returns. Raises `InvalidArgument` and `BackendError`.
        """

    @abstractmethod
    def get(self, attachment_id: str) -> StoredAttachment:
        """The bytes and meta under `attachment_id`.

        Raises `AttachmentNotFound` when there are none, `CorruptRecord` when the bytes are not those of the id.
        """


class AttachmentManifest(ABC):
    """The write-ahead manifest of attachments. Rows belong to a session.

    `record_intent` and `commit_refs` name theirs; `list_uncommitted` and `forget` are about the handle's.
    """

    @abstractmethod
    def record_intent(self, intent: AttachmentIntent) -> None:
        """Record a row before the bytes are written. Idempotent, and never un-commits a row.

        Raises `SessionNotFound` where the intent's session is unknown.
        """

    @abstractmethod
    def commit_refs(self, session_id: str, attachment_ids: tuple[str, ...]) -> None:
        """Stamp rows committed, outside a turn commit.

        Raises `InvalidCommit` for an id without a row, `SessionNotFound` where the session is unknown.
        """

    @abstractmethod
    def list_uncommitted(self, older_than_epoch_ms: int) -> tuple[AttachmentManifestEntry, ...]:
        """Rows never committed whose intent is at or before `older_than_epoch_ms`, oldest first."""

    @abstractmethod
    def forget(self, attachment_id: str) -> None:
        """Drop the row; unknown ids are ignored. The bytes stay until a sweep."""


class NoopAttachmentManifest(AttachmentManifest):
    """A mixin for backends without attachments: rows are accepted and not kept."""

    def record_intent(self, intent: AttachmentIntent) -> None:
        """Accept the row and keep nothing."""
        checks.instance("intent", intent, AttachmentIntent)

    def commit_refs(self, session_id: str, attachment_ids: tuple[str, ...]) -> None:
        """Accept the stamps and keep nothing."""
        checks.session_id(session_id)
        checks.identifiers("attachment_ids", attachment_ids)

    def list_uncommitted(self, older_than_epoch_ms: int) -> tuple[AttachmentManifestEntry, ...]:
        """Nothing: no row was kept."""
        checks.integer("older_than_epoch_ms", older_than_epoch_ms)
        return ()

    def forget(self, attachment_id: str) -> None:
        """Do nothing: no row was kept."""
        checks.identifier("attachment_id", attachment_id)
