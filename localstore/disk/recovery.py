"""What is done about damage when a session is next written: nothing is believed, and nothing is thrown away."""

from __future__ import annotations

import os
from dataclasses import replace

from ..contract.errors import BackendError, CorruptRecord, RecordSchemaVersionError
from ..machine.encoding import dump
from . import names
from .fold import write_head
from .journal import Journal, open_journal
from .leftovers import remove_quietly
from .lines import encode_line
from .loading import Loaded
from .system import system


def quarantine(folder: str, name: str, content: bytes, why: str) -> str:
    """Keep `content`, which was cut from the file `name`, in the quarantine behind a line that says why; its path."""
    where = os.path.join(folder, names.QUARANTINE)
    system.make_dir(where)
    path = os.path.join(where, names.quarantined(name))
    receipt = encode_line(dump({"file": "quarantined", "schema_version": 1, "from": name, "reason": why}))
    system.write_new(path, receipt + content, True)
    system.flush_dir(where)
    return path


def quarantine_tail(folder: str, journal: Journal) -> None:
    """Move a torn write from the end of the journal to the quarantine."""
    tail = journal.read_tail()
    if tail.strip(b"\0"):
        why = f"a write at offset {journal.offset} was cut short, after record {journal.last_seq}"
        quarantine(folder, os.path.basename(journal.path), tail, why)
    journal.cut_tail()


def set_aside_entries(folder: str, loaded: Loaded) -> None:
    """Move the files of damaged spool entries to the quarantine, so that the queue goes on without them."""
    for bad in loaded.bad_entries:
        if isinstance(bad.error, RecordSchemaVersionError):
            raise bad.error  # whoever can read it shall find it where it is
    where = os.path.join(folder, names.QUARANTINE)
    system.make_dir(where)
    for bad in loaded.bad_entries:
        try:
            system.replace(bad.path, os.path.join(where, names.quarantined(os.path.basename(bad.path))))
        except FileNotFoundError:
            name = os.path.basename(bad.path).replace("?", "lost")
            quarantine(folder, name, b"", str(bad.error))
    system.flush_dir(where)
    loaded.bad_entries = []
    loaded.fold_due = True
    loaded.state.damaged_inputs = loaded.state.damaged_work = None


def rescue(folder: str, loaded: Loaded) -> None:
    """After a failed flush: write the acknowledged records to a new, flushed journal, and take its path.

    The page cache may say that the old one is clean while the disk has none of it, and the next flush of it would
    succeed. What it holds is still right to read. What was not acknowledged is cut off first, so that nobody reads it.

    The head is renamed anew, so that every process loads again, and before the journal is: whoever has the old one
    open would go on writing to a file without a name. Where this fails it may be tried again.
    """
    old = loaded.journal
    assert old is not None
    old.cut_tail()
    content = system.pread(old.fd, old.offset, 0)
    temporary = os.path.join(folder, names.temporary(os.path.basename(old.path)))
    if content:
        system.write_new(temporary, content, True)
    try:
        if content:
            _verify(temporary, loaded, old)
        bumped = replace(loaded.head, generation=loaded.head.generation + 1)
        write_head(folder, bumped, loaded.unknown)
        if content:
            system.replace(temporary, old.path)
        else:
            system.unlink(old.path)
    except BaseException:
        remove_quietly(temporary)
        raise
    system.flush_dir(folder)


def _verify(path: str, loaded: Loaded, old: Journal) -> None:
    fresh = open_journal(path, old.first_seq, loaded.head.folded_sum, write=False)
    if fresh is None:
        raise BackendError(f"{path} is gone although it was just written; look after the disk")
    try:
        fresh.read_all(loaded.header(), "")
        if (fresh.last_seq, fresh.last_sum, fresh.torn) != (old.last_seq, old.last_sum, 0):
            raise CorruptRecord(path, "it does not hold the records that were acknowledged")
    finally:
        fresh.close()
