"""Attachment bytes: `attachments/<aa>/<sha256>`, and a small JSON beside with what the first put said of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..contract import checks
from ..contract.attachments import AttachmentCreateMeta, AttachmentRef, AttachmentStore, StoredAttachment
from ..contract.errors import AttachmentNotFound, BackendError, CorruptRecord
from ..contract.sessions import Durability
from ..surroundings import Surroundings
from . import names
from .files import read_sealed, seal
from .system import system
from .views import write_whole

KIND = "attachment"
MAX_BYTES = 2 * 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class AttachmentRecord:
    """The fields of the JSON beside the bytes."""

    id: str
    byte_len: int
    put_at_ms: int
    meta: AttachmentCreateMeta


class FileAttachments(AttachmentStore):
    """The attachment bytes of a store, shared by all of its sessions."""

    def __init__(self, folder: str, durability: Durability, surroundings: Surroundings) -> None:
        self._folder = folder
        self._full = durability is Durability.FULL
        self._surroundings = surroundings

    def _paths(self, attachment_id: str) -> tuple[str, str]:
        shard = os.path.join(self._folder, names.attachment_shard(attachment_id))
        bytes_path = os.path.join(shard, names.attachment(attachment_id))
        return bytes_path, os.path.join(shard, names.attachment_row(attachment_id))

    def put(self, data: bytes, meta: AttachmentCreateMeta) -> AttachmentRef:
        content = checks.octets("data", data)
        checks.instance("meta", meta, AttachmentCreateMeta)
        attachment_id = hashlib.sha256(content).hexdigest()
        path, row_path = self._paths(attachment_id)
        shard = os.path.dirname(path)
        made = system.make_dir(shard)
        record = self._record(row_path)
        if record is None or not self._holds(path, content):
            record = record or AttachmentRecord(attachment_id, len(content), self._surroundings.clock.now_ms(), meta)
            # The row first: bytes without one could not be given out again.
            write_whole(row_path, seal(KIND, record), flush=self._full)
            write_whole(path, content, flush=self._full)
        elif self._full:
            self._flush(path)
            self._flush(row_path)
        if self._full:
            system.flush_dir(shard)
            if made:
                system.flush_dir(self._folder)
        kept = record.meta
        return AttachmentRef(attachment_id, kept.media_type, len(content), kept.width, kept.height, kept.label)

    def get(self, attachment_id: str) -> StoredAttachment:
        if not names.is_sha256(checks.identifier("attachment_id", attachment_id)):
            raise AttachmentNotFound(attachment_id)
        path, row_path = self._paths(attachment_id)
        try:
            content = system.read_file(path, MAX_BYTES)
        except FileNotFoundError:
            raise AttachmentNotFound(attachment_id) from None
        if hashlib.sha256(content).hexdigest() != attachment_id:
            raise CorruptRecord(path, "its bytes are not those of its name")
        record = self._record(row_path)
        if record is None:
            raise CorruptRecord(row_path, "what was said of the attachment is missing; put the bytes again")
        return StoredAttachment(record.meta, content)

    @staticmethod
    def _record(row_path: str) -> AttachmentRecord | None:
        try:
            raw = system.read_file(row_path)
        except FileNotFoundError:
            return None
        return read_sealed(AttachmentRecord, KIND, raw, row_path)

    @staticmethod
    def _holds(path: str, content: bytes) -> bool:
        """Whether the bytes are there and undamaged; damaged ones are written again."""
        try:
            return system.read_file(path, MAX_BYTES) == content
        except (FileNotFoundError, CorruptRecord):
            return False

    @staticmethod
    def _flush(path: str) -> None:
        """Bytes that another call put may not be on the disk yet: saying that they are stored takes a flush."""
        fd = system.open_read(path)
        try:
            system.flush_file(fd)
        finally:
            system.close(fd)

    def ids(self) -> Iterator[str]:
        """Every attachment of which there are bytes, or bytes that a sweep put aside and did not finish with."""
        for shard, is_folder in system.entries(self._folder):
            if not is_folder:
                continue
            for name in system.listdir(os.path.join(self._folder, shard)):
                if names.is_sha256(name):
                    yield name

    def sweep(
        self, named: Callable[[], frozenset[str]], orphans: frozenset[str], older_than_ms: int
    ) -> tuple[str, ...]:
        """Delete bytes that nobody names: `orphans`, and what was put at or before `older_than_ms`.

        They are put aside first and the rows read again: a session that named one meanwhile gets it back.
        """
        keep = named()
        aside = []
        for attachment_id in list(self.ids()):
            path, row_path = self._paths(attachment_id)
            if attachment_id in keep:
                continue
            record = self._record(row_path)
            put_at_ms = 0 if record is None else record.put_at_ms
            if attachment_id in orphans or put_at_ms <= older_than_ms:
                system.replace(path, names.aside(path))
                aside.append((attachment_id, path, row_path))
        keep = named() if aside else keep
        deleted = []
        for attachment_id, path, row_path in aside:
            if attachment_id in keep:
                self._restore(path)
                continue
            for gone in (names.aside(path), row_path):
                self._remove(gone)
            deleted.append(attachment_id)
        return tuple(deleted)

    @staticmethod
    def _restore(path: str) -> None:
        if not os.path.lexists(path):
            system.replace(names.aside(path), path)

    @staticmethod
    def _remove(path: str) -> None:
        try:
            system.unlink(path)
        except FileNotFoundError:
            pass
        except BackendError:
            pass  # nobody names it: the next sweep removes it
