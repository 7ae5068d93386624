"""Receipts: of redactions that came to their end, and of deletions."""

from __future__ import annotations

import os

from ...contract.errors import BackendError, CorruptRecord, RecordSchemaVersionError
from ...contract.trash import TrashedSession
from .. import names
from ..files import read_sealed
from ..redacting import KIND, RedactionReceipt
from ..system import MAX_READ, system
from ..trash import KIND as DELETION
from .look import Look

_AGAIN = "redact again: what is done is passed over"


def check_redactions(look: Look) -> None:
    """Each receipt can be read, and says that its redaction was carried out."""
    where = look.path(names.REDACTIONS)
    try:
        found = sorted(system.listdir(where))
    except (FileNotFoundError, BackendError):
        return  # none was made, or no folder of ours, as the look at the entries says
    for name in found:
        path = look.path(names.REDACTIONS, name)
        kind = names.classify(name, False, names.Place.REDACTIONS)
        raw = look.read(path, MAX_READ) if kind is names.EntryKind.REDACTION else None
        if raw is None:
            continue
        try:
            receipt = read_sealed(RedactionReceipt, KIND, raw, path)
        except RecordSchemaVersionError as error:
            look.version_error(path, error, raw, KIND)
        except CorruptRecord as error:
            look.error("damaged_record", path, error.reason, _AGAIN, offset=0)
        else:
            look.check_ending(path, raw)
            if not receipt.done:
                look.warning("redaction_unfinished", path, "a redaction was begun, and perhaps not ended", _AGAIN)


def check_deletion(look: Look) -> None:
    """A session that is deleted has a receipt that says when."""
    path = look.path(names.RECEIPT)
    remedy = "it can be restored or purged all the same; by the store it counts as deleted just now"
    raw = look.read(path, MAX_READ)
    if raw is None:
        if not os.path.lexists(path):
            look.warning("receipt_missing", path, "when the session was deleted is not known any more", remedy)
        return
    try:
        read_sealed(TrashedSession, DELETION, raw, path)
    except RecordSchemaVersionError as error:
        look.version_error(path, error, raw, DELETION)
    except CorruptRecord as error:
        look.warning("damaged_receipt", path, error.reason, remedy)
    else:
        look.check_ending(path, raw)
