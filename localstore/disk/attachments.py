"""Attachment bytes: `attachments/<aa>/<sha256>`, and a small JSON beside with what the first put said of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ..contract import checks
from ..contract.attachments import AttachmentCreateMeta, AttachmentRef, AttachmentStore, StoredAttachment
from ..contract.errors import AttachmentNotFound, BackendError, CorruptRecord
from ..contract.redaction import LeftPlace, RedactedKind, RedactedPlace, attachment_left
from ..machine.redactor import Redactor
from ..surroundings import Surroundings
from . import names
from .files import read_sealed, seal
from .leftovers import is_stale, remove_quietly
from .quarantine import set_aside
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

    def __init__(self, folder: str, surroundings: Surroundings) -> None:
        self._folder = folder
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
        system.make_dir(shard)
        record = self._record_to_keep(row_path)
        if record is None or not self._holds(path, content):
            record = record or AttachmentRecord(attachment_id, len(content), self._surroundings.clock.now_ms(), meta)
            # The row first: bytes without one could not be given out again. Flushed in any durability: a name without
            # its content would be a damaged attachment, and a fold makes rows durable that name it.
            write_whole(row_path, seal(KIND, record), flush=True)
            system.flush_dir(shard)
            write_whole(path, content, flush=True)
        # Whoever put it may have died before the names were flushed: saying that it is stored takes a flush.
        system.flush_dir(shard)
        system.flush_dir(self._folder)
        kept = record.meta
        return AttachmentRef(attachment_id, kept.media_type, len(content), kept.width, kept.height, kept.label)

    def get(self, attachment_id: str) -> StoredAttachment:
        if not names.is_sha256(checks.identifier("attachment_id", attachment_id)):
            raise AttachmentNotFound(attachment_id)
        path, row_path = self._paths(attachment_id)
        try:
            system.check_dir(os.path.dirname(path))
        except FileNotFoundError:
            raise AttachmentNotFound(attachment_id) from None
        record = self._record(row_path)
        content = self._bytes(path, MAX_BYTES if record is None else record.byte_len)
        if content is None:
            raise AttachmentNotFound(attachment_id)
        if hashlib.sha256(content).hexdigest() != attachment_id:
            raise CorruptRecord(path, "its bytes are not those of its name")
        if record is None:
            raise CorruptRecord(row_path, "what was said of the attachment is missing; put the bytes again")
        return StoredAttachment(record.meta, content)

    def _record_to_keep(self, row_path: str) -> AttachmentRecord | None:
        """What the first put said, unless it is damaged: then it is set aside, and this put's word counts."""
        try:
            return self._record(row_path)
        except CorruptRecord as damage:
            set_aside(os.path.dirname(self._folder), row_path, damage.reason)
            return None

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
    def _bytes(path: str, limit: int) -> bytes | None:
        """The bytes at `path`, or where a sweep puts them while it looks who names them."""
        for place in (path, names.aside(path), path):
            try:
                return system.read_file(place, limit)
            except FileNotFoundError:
                continue
        return None

    def redact(
        self, redactor: Redactor, attachment_ids: frozenset[str] | None, *, apply: bool
    ) -> Iterator[RedactedPlace | LeftPlace]:
        """Redact the labels of all attachments, or of these, and tell which bytes match or cannot be looked at."""
        for attachment_id in sorted(self._ids() if attachment_ids is None else attachment_ids):
            path, row_path = self._paths(attachment_id)
            try:
                yield from self._redact_label(row_path, redactor, apply=apply)
                content = self._bytes(path, MAX_BYTES)
            except (BackendError, CorruptRecord) as error:
                yield LeftPlace("attachment", attachment_id, f"it cannot be looked at: {error}")
                continue
            if content is not None and redactor.octets(content)[1]:
                yield attachment_left(attachment_id)

    def _ids(self) -> frozenset[str]:
        """Every attachment of which there are bytes, in their place or put aside, or a row."""
        shards = [os.path.join(self._folder, name) for name, is_folder in system.entries(self._folder) if is_folder]
        found = (names.parse_aside(name) or name for shard in shards for name in system.listdir(shard))
        ids = (name.removesuffix(".json") for name in found)
        return frozenset(ident for ident in ids if names.is_sha256(ident))

    def _redact_label(self, row_path: str, redactor: Redactor, *, apply: bool) -> Iterator[RedactedPlace]:
        record = self._record(row_path)
        label, count = redactor.optional(None if record is None else record.meta.label)
        if record is None or not count:
            return
        if apply:
            fresh = replace(record, meta=replace(record.meta, label=label))
            write_whole(row_path, seal(KIND, fresh), flush=True)
            system.flush_dir(os.path.dirname(row_path))
        yield RedactedPlace(RedactedKind.LABEL, record.id, count)

    def _listed(self) -> dict[str, set[str]]:
        """Each attachment of which there is anything: bytes, bytes put aside, a row."""
        found: dict[str, set[str]] = {}
        for shard, is_folder in system.entries(self._folder):
            where = os.path.join(self._folder, shard)
            for name in system.listdir(where) if is_folder else ():
                attachment_id = (names.parse_aside(name) or name).removesuffix(".json")
                if names.is_sha256(attachment_id):
                    found.setdefault(attachment_id, set()).add(name)
                elif names.is_temporary(name) and is_stale(os.path.join(where, name)):
                    remove_quietly(os.path.join(where, name))
        return found

    def sweep(
        self, named: Callable[[], frozenset[str]], orphans: frozenset[str], older_than_ms: int
    ) -> tuple[str, ...]:
        """Delete bytes that nobody names: `orphans`, and what was put at or before `older_than_ms`.

        They are put aside first and the rows read again: a session that named one meanwhile gets it back. So does one
        that named what a sweep put aside before it died.
        """
        keep = named()
        aside = []
        for attachment_id, found in self._listed().items():
            path, row_path = self._paths(attachment_id)
            was_aside = names.aside(names.attachment(attachment_id)) in found
            if names.attachment(attachment_id) not in found:
                # Bytes that another sweep put aside, or a row alone, of a put that was interrupted or is under way.
                if was_aside or is_stale(row_path):
                    aside.append((attachment_id, path, row_path))
                continue
            if was_aside:
                remove_quietly(names.aside(path))  # they were put again meanwhile
            if attachment_id not in keep and (attachment_id in orphans or self._is_old(row_path, older_than_ms)):
                system.replace(path, names.aside(path))
                aside.append((attachment_id, path, row_path))
        return self._delete(aside, named() if aside else keep)

    def _is_old(self, row_path: str, older_than_ms: int) -> bool:
        record = self._record(row_path)
        return record is None or record.put_at_ms <= older_than_ms

    def _delete(self, aside: list[tuple[str, str, str]], keep: frozenset[str]) -> tuple[str, ...]:
        """Remove what is aside and not to be kept, bytes first: a row alone is no damage."""
        gone, rows = [], []
        for attachment_id, path, row_path in aside:
            if attachment_id in keep:
                self._restore(path)
            elif self._remove(names.aside(path)):
                gone.append(attachment_id)
                rows.append(row_path)
            elif not any(map(os.path.lexists, (path, names.aside(path)))) and is_stale(row_path):
                rows.append(row_path)
        # Of a row alone, too: whoever removed its bytes may have failed to make that durable.
        for shard in {os.path.dirname(row_path) for row_path in rows}:
            system.flush_dir(shard)
        for row_path in rows:
            remove_quietly(row_path)
        return tuple(gone)

    @staticmethod
    def _restore(path: str) -> None:
        try:
            if not os.path.lexists(path):
                system.replace(names.aside(path), path)
        except FileNotFoundError:
            pass  # another sweep restored it

    @staticmethod
    def _remove(path: str) -> bool:
        try:
            system.unlink(path)
        except (BackendError, FileNotFoundError):
            return False  # nobody names it: the next sweep removes it
        return True
