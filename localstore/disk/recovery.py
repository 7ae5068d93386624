"""What is done about damage when a session is next written: nothing is believed, and nothing is thrown away."""

from __future__ import annotations

import os
from dataclasses import replace

from ..contract.errors import BackendError, CorruptRecord, RecordSchemaVersionError
from ..machine.facts import Recent
from . import names
from .fold import write_head
from .journal import Journal, Record, open_journal
from .leftovers import remove_quietly
from .loading import Loaded, load_folded, replay
from .quarantine import quarantine, set_aside
from .system import system


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
    for bad in loaded.bad_entries:
        try:
            set_aside(folder, bad.path, str(bad.error))
        except FileNotFoundError:
            name = os.path.basename(bad.path).replace("?", "lost")
            quarantine(folder, name, b"", str(bad.error))
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
        write_head(folder, bumped)
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
        _acknowledged(fresh, loaded, old)
    finally:
        fresh.close()


def _acknowledged(fresh: Journal, loaded: Loaded, old: Journal) -> list[Record]:
    """The records in `fresh`, which must be those that were acknowledged when they were written to `old`."""
    records = fresh.read_all(loaded.header(), "", end=old.offset)
    if (fresh.last_seq, fresh.last_sum, fresh.torn) != (old.last_seq, old.last_sum, 0):
        raise CorruptRecord(fresh.path, "it does not hold the records that were acknowledged")
    return records


def step_back(folder: str, loaded: Loaded) -> None:
    """Take a record whose flush failed out of the state again: make it anew from the files and the records before."""
    if not loaded.is_ahead:
        return
    old = loaded.journal
    assert old is not None
    records = _acknowledged(Journal(old.path, old.fd, old.first_seq, loaded.head.folded_sum), loaded, old)
    loaded.archive.recent = Recent()
    load_folded(folder, loaded, queues=True)
    replay(loaded, records)
    loaded.is_ahead = False
