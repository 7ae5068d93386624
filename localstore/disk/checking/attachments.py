"""Attachment bytes: what their names say, with the JSON beside, and named by the rows of sessions."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

from ...contract.errors import BackendError, CorruptRecord, RecordSchemaVersionError
from .. import names
from ..attachments import KIND, MAX_BYTES, AttachmentRecord
from ..files import read_sealed
from ..system import system
from .heads import MAX_SMALL
from .look import REPAIR, Look

_CHUNK = 1 << 20


def check_attachments(look: Look, named: Mapping[str, bool], *, all_named: bool) -> None:
    """Every attachment. `named` are the ids that rows of sessions name, `all_named` says that these are all rows."""
    there: set[str] = set()
    for shard in _shards(look.folder):
        where = look.path(shard)
        found = set(_listed(where))
        for name in sorted(found):
            if names.is_sha256(name):
                there.add(name)
                _check_bytes(look, where, name, found)
                if all_named and name not in named:
                    look.info("orphan", os.path.join(where, name), "no row of any session names it; a sweep removes it")
            elif names.parse_aside(name) is not None:
                _check_aside(look, where, name, found, named)
            elif names.is_sha256(name.removesuffix(".json")) and name.removesuffix(".json") not in found:
                look.info("leftover", os.path.join(where, name), "its bytes are gone: a put or a sweep was interrupted")
    for attachment_id, is_committed in sorted(named.items()):
        if is_committed and names.is_sha256(attachment_id) and attachment_id not in there:
            path = look.path(names.attachment_shard(attachment_id), attachment_id)
            look.error("attachment_missing", path, "a committed row names it", "put it back from a copy")


def _shards(folder: str) -> list[str]:
    try:
        found = system.entries(folder)
    except (FileNotFoundError, BackendError):
        return []
    return sorted(name for name, is_folder in found if is_folder and len(name) == 2)


def _listed(folder: str) -> list[str]:
    try:
        return system.listdir(folder)
    except (FileNotFoundError, BackendError):
        return []


def _check_bytes(look: Look, where: str, name: str, found: set[str]) -> None:
    """The bytes have the name's SHA-256, and the JSON beside is theirs."""
    path = os.path.join(where, name)
    look.count(attachments=1)
    record = _check_record(look, os.path.join(where, names.attachment_row(name)), name, found)
    if not look.is_regular(path):
        return
    size = system.stat(path).st_size
    if record is not None and size != record.byte_len:
        message = f"it has {size} bytes, {record.byte_len} were put"
        look.error("truncated", path, message, "put the attachment again", offset=min(size, record.byte_len))
        return
    if size > MAX_BYTES:
        look.error("too_large", path, f"it has {size} bytes, more than the {MAX_BYTES} it may have")
        return
    digest = _digest(look, path)
    if digest is not None and digest != name:
        message = f"its bytes have the SHA-256 {digest}, not that of its name"
        look.error("damaged_attachment", path, message, "put the attachment again", offset=0)


def _digest(look: Look, path: str) -> str | None:
    try:
        fd = system.open_read(path)
    except FileNotFoundError:
        return None
    except BackendError as error:
        look.unreadable(path, error)
        return None
    digest = hashlib.sha256()
    try:
        at = 0
        while piece := system.pread(fd, _CHUNK, at):
            digest.update(piece)
            at += len(piece)
    finally:
        system.let_go(fd)
    look.count(files=1, bytes=at)
    return digest.hexdigest()


def _check_record(look: Look, path: str, name: str, found: set[str]) -> AttachmentRecord | None:
    raw = look.read(path, MAX_SMALL)
    if raw is None:
        if os.path.basename(path) not in found:
            look.error(
                "record_missing", path, "what was said of the attachment is missing", f"put it again, or {REPAIR}"
            )
        return None
    try:
        record = read_sealed(AttachmentRecord, KIND, raw, path)
    except RecordSchemaVersionError as error:
        look.version_error(path, error, raw, KIND)
        return None
    except CorruptRecord as error:
        look.error("damaged_record", path, error.reason, offset=0)
        return None
    look.check_ending(path, raw)
    if record.id != name:
        look.error("damaged_record", path, f"it is of attachment {record.id}")
        return None
    return record


def _check_aside(look: Look, where: str, name: str, found: set[str], named: Mapping[str, bool]) -> None:
    """What a sweep put aside is its own again once somebody needs it."""
    path = os.path.join(where, name)
    before = names.parse_aside(name) or ""
    if before not in found and before in named:
        look.error("put_aside", path, "a sweep was interrupted; a row of a session names it")
    else:
        look.info("leftover", path, "a sweep was interrupted; nobody names it")
