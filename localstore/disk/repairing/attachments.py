"""Repairing attachments: bytes are their own proof; what was said of them is not to be had again."""

from __future__ import annotations

import os

from ...contract.attachments import AttachmentCreateMeta
from ...contract.errors import CorruptRecord, RecordSchemaVersionError
from .. import names
from ..attachments import KIND, AttachmentRecord
from ..checking.findings import Finding
from ..files import read_sealed, seal
from ..system import system
from ..views import write_whole
from .actions import Actions

_UNKNOWN = AttachmentCreateMeta("application/octet-stream")


def repair_attachment(actions: Actions, path: str, found: Finding) -> None:
    """Make good what was found at `path`, as far as that can be."""
    name = os.path.basename(path)
    if found.kind in {"truncated", "damaged_attachment", "too_large", "wrong_type"}:
        actions.set_aside("attachment_set_aside", path, found.message, lost=True)
    elif found.kind == "put_aside":
        system.replace(path, os.path.join(os.path.dirname(path), names.parse_aside(name) or name))
        actions.note("put_back", path, "a sweep that was interrupted had put it aside")
    elif found.kind in {"damaged_record", "record_missing"} and names.is_sha256(name.removesuffix(".json")):
        actions.set_aside("record_set_aside", path, found.message, lost=True)
        _write_record(actions, path, name.removesuffix(".json"))
    elif found.kind == "damaged_ending":
        _write_again(actions, path)


def _write_record(actions: Actions, path: str, attachment_id: str) -> None:
    """A record for bytes that are there, which says of them what can be seen."""
    data = os.path.join(os.path.dirname(path), attachment_id)
    try:
        found = system.stat(data)
    except FileNotFoundError:
        return
    record = AttachmentRecord(attachment_id, found.st_size, int(found.st_mtime * 1000), _UNKNOWN)
    write_whole(path, seal(KIND, record), flush=True)
    actions.note(
        "record_made_good", path, f"media type, size in pixels and label are lost; it is {_UNKNOWN.media_type}"
    )


def _write_again(actions: Actions, path: str) -> None:
    try:
        record = read_sealed(AttachmentRecord, KIND, system.read_file(path), path)
    except (FileNotFoundError, CorruptRecord, RecordSchemaVersionError):
        return
    write_whole(path, seal(KIND, record), flush=True)
    actions.note("record_made_good", path, "its line end was damaged")
