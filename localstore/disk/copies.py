"""A plain copy of a session's folder, such as `cp -r` makes of one that is in use.

The copy's `head.json`, journals, node files and queues may be of different moments, with folds between them. What was
live when the copying began is in it, since folds keep what they supersede for a while (see `superseded`): so that head,
or a later one, is whole in the copy, together with what its journal had by then. It is found by the copies of heads in
node files and journals. A head knows the folder that it was written into: where that is another, this is a copy.

Nothing is looked over where the session was at rest. Whoever only reads a copy looks it over each time and changes
nothing; whoever writes to it folds it first, so that it is a session like others.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ..contract.errors import BackendError, CorruptRecord, RecordSchemaVersionError
from . import names, spool
from .archive import FileArchive
from .head import Head, place_of
from .healing import Journals, has_files, head_copies
from .journal import Header, Journal, Record, salvage_records
from .system import system

_PAGE = 4096
"""What a copying program reads at once is made up of such pieces, bytes."""


class Found(NamedTuple):
    """The head to go by in a copy, and the latest generation of any head in it."""

    head: Head
    newest: int


def is_elsewhere(where: os.stat_result, head: Head) -> bool:
    """Whether the head was written into another folder than the one it is in, of which `where` is the status."""
    return bool(head.place) and head.place != place_of(where)


def look_over(folder: str, own: Head) -> Found | None:
    """Look over a folder that `own`, the head in its `head.json`, was not written into.

    The newest head that is whole in it and that is not older than the copy, or `None` where `own` is to be gone by:
    the session was at rest, or deleted, or no head is whole.

    Raises `CorruptRecord` where whatever could be seen would be older than the copy.
    """
    if own.deleted:
        return None
    if not own.kept_from and not any(names.parse_journal(name) for name in system.listdir(folder)):
        return None
    journals = Journals(folder)
    copies = [head for head in head_copies(folder) if head.generation != own.generation]
    heads = sorted([own, *copies], key=lambda head: -head.generation)
    recent = [head for head in heads if _is_recent(head, heads, journals)]
    for head in recent:
        if _is_whole(folder, head, journals):
            return Found(head, heads[0].generation)
    if not any(head is own for head in recent):
        path = os.path.join(folder, names.HEAD)
        raise CorruptRecord(path, "the folder was copied in so long a time that parts of it were gone; copy it again")
    return None


def _is_recent(head: Head, heads: list[Head], journals: Journals) -> bool:
    """Whether the head, with its journal, may be of a moment since the copying began, by all `heads` in the copy.

    A later head tells from which record on every journal was still kept. What ends before that may have been continued
    by a journal that is not in the copy only because it was removed before the copying program got to it.
    """
    reach = journals.reach(head)
    ends = {each.folded_seq for each in heads}
    for later in heads:
        if later.generation <= head.generation:
            continue
        if reach + 1 >= (later.kept_from or later.folded_seq + 1):
            continue
        # Closed cleanly meanwhile: then its journal was copied while it was the last one, or it would end at a head.
        if later.kept_from or reach in ends:
            return False
    return True


def _is_whole(folder: str, head: Head, journals: Journals) -> bool:
    """Whether everything that the head relies on is there, and no journal goes on unseen."""
    try:
        return (
            has_files(folder, head)
            and journals.continue_from(head)
            and not spool.load_spool(folder, spool.INPUTS, head.inputs)[1]
            and not spool.load_spool(folder, spool.WORK, head.work)[1]
            and _has_blobs(folder, head)
        )
    except (BackendError, CorruptRecord, RecordSchemaVersionError):
        return False


def _has_blobs(folder: str, head: Head) -> bool:
    archive = FileArchive(folder)
    archive.rely_on(head)
    try:
        stored = archive.blobs()
    finally:
        archive.close()
    try:
        there = frozenset(system.listdir(os.path.join(folder, names.BLOBS)))
    except FileNotFoundError:
        there = frozenset()
    return there.issuperset(map(names.blob, stored))


def read_all(journal: Journal, header: Header, boot: str) -> list[Record]:
    """`Journal.read_all` of a journal that was copied while others wrote to it.

    The copying program may have read a page before, and the next one after, records were written: then zeros up to the
    end of the page stand for the first of these. They are later than the beginning of the copy, and are left out.
    """
    try:
        return journal.read_all(header, boot)
    except CorruptRecord:
        data = system.pread(journal.fd, system.size(journal.fd), 0)
        if not _ends_in_zeros(data, journal.offset):
            raise
        records, _ = salvage_records(data[: journal.offset], journal.path)
        return [record for _, record in records]


def _ends_in_zeros(data: bytes, offset: int) -> bool:
    """Whether the first thing that is damaged is a record of which zeros up to the end of a page stand for a part."""
    begin = data.find(b"\0", offset)
    if begin < 0 or b"\n" in data[offset:begin]:
        return False
    end = len(data) - len(data[begin:].lstrip(b"\0"))
    return end == len(data) or end % _PAGE == 0
