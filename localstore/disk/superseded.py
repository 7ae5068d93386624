"""What a fold supersedes: it stays a while for readers and for copies of the folder under way.

Whoever copies a session's folder lists it at one moment and gets to its files at later ones. So that the head of that
moment, or a later one, is whole in the copy, everything that a head relied on stays for `GRACE_S` from when a later
head took its place: its journal, node files, blobs, and the files of its spool entries. The age of a file counts from
its times, which are set to now when it is superseded. A session that is left at rest keeps nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..contract.errors import BackendError, CorruptRecord
from . import names, spool
from .leftovers import is_stale, remove_quietly
from .system import system

if TYPE_CHECKING:
    from .archive import FileArchive
    from .head import Head, SpoolIndex

GRACE_S = 60.0
"""How long what is superseded stays, seconds."""
MOST_JOURNALS = 64
MOST_BYTES = 32 * 1024 * 1024
"""How many folded journals stay at most, and how large they are together: heavy load does not fill the disk."""
MOST_BLOBS = 1000
"""How many dropped blobs stay at most; what is beyond goes at once."""
_TEMPORARY = names.EntryKind.TEMPORARY


def kept_from(folder: str, old: Head, folded_seq: int) -> int:
    """The first record of the oldest journal that stays when a head up to `folded_seq` supersedes `old`."""
    oldest = old.folded_seq + 1
    if GRACE_S < 0:
        return oldest
    found = sorted(filter(None, map(names.parse_journal, _listed(folder))), reverse=True)
    paths = {first: os.path.join(folder, names.journal(first)) for first in found if first <= folded_seq}
    count = size = 0
    for first, path in paths.items():
        count, size = count + 1, size + _size(path)
        # The journal that is superseded now stays, however large it is.
        if first < oldest and (count > MOST_JOURNALS or size > MOST_BYTES or is_old(path)):
            break
        oldest = min(oldest, first)
    return oldest


def retire(folder: str, old: Head, new: Head) -> None:
    """Set the times of what `old` relied on and `new` does not. Where that fails, it goes the sooner."""
    paths = [os.path.join(folder, names.NODES, name) for name in _node_files(old) - _node_files(new)]
    if new.folded_seq > old.folded_seq:
        paths.append(os.path.join(folder, names.journal(old.folded_seq + 1)))
    paths += spool_paths(folder, spool.INPUTS, set(old.inputs.seqs()) - set(new.inputs.seqs()))
    paths += spool_paths(folder, spool.WORK, set(old.work.seqs()) - set(new.work.seqs()))
    paths += [_blob(folder, ref) for ref in set(new.dropped_blobs) - set(old.dropped_blobs)]
    for path in paths:
        try:
            system.touch(path)
        except (BackendError, FileNotFoundError):
            continue


def spool_paths(folder: str, kind: spool.SpoolKind[spool.E], seqs: set[int]) -> list[str]:
    """The files of the entries of these numbers."""
    where = os.path.join(folder, kind.folder)
    found = spool.names_by_seq(where) if seqs else {}
    return [os.path.join(where, name) for seq in seqs for name in found.get(seq, [])]


def still_dropped(folder: str, archive: FileArchive, refs: Iterable[str]) -> list[str]:
    """Those of the values `refs`, which were dropped once, that are not stored again and whose blobs are there."""
    found = []
    for ref in refs:
        try:
            if os.path.lexists(_blob(folder, ref)) and not archive.has_value(ref):
                found.append(ref)
        except (CorruptRecord, BackendError):
            continue  # nobody knows, so that it stays
    return found


def kept_blobs(folder: str, old: Head, dropped: list[str]) -> tuple[str, ...]:
    """Which blobs of the values `dropped` stay; those of `old` are superseded since longer."""
    known = frozenset(old.dropped_blobs)
    kept = [ref for ref in dropped if ref not in known or not is_old(_blob(folder, ref))]
    return tuple(kept[-MOST_BLOBS:]) if GRACE_S >= 0 else ()


def clean(folder: str, old: Head, head: Head, dropped: Iterable[str] = (), *, beyond: bool = False) -> None:
    """Remove what `head` no longer needs, now that it is there. What cannot be removed now is by a later fold.

    `old` is the head before, `dropped` are the values that were dropped up to now. With `beyond` there may be files of
    spool entries that were never made, as in a copy.
    """
    for name in _listed(folder):
        first = names.parse_journal(name)
        is_gone = first is not None and first <= head.folded_seq and (not head.kept_from or first < head.kept_from)
        # A receipt is of a deletion that did not come about, or that was taken back.
        is_stray = names.classify(name, False, names.Place.SESSION) is _TEMPORARY
        is_stray = is_stray or (name == names.RECEIPT and not head.deleted)
        if is_gone or is_stray:
            remove_quietly(os.path.join(folder, name))
    rests = not head.kept_from
    for inside, before, index in ((names.INPUTS, old.inputs, head.inputs), (names.WORK, old.work, head.work)):
        last = names.MAX_SEQ if beyond else index.next_seq - 1
        # An entry that came and went between two heads was none of either.
        relied_on = 0 if rests else before.next_seq - 1
        where = os.path.join(folder, inside)
        _clean_files(where, _settled(where, index, relied_on + 1, last), rests=True)
        _clean_files(where, _settled(where, index, 0, relied_on), rests=rests)
    for ref in set(dropped) - set(head.dropped_blobs):
        remove_quietly(_blob(folder, ref))
    where = os.path.join(folder, names.NODES)
    wanted = _node_files(head)
    _clean_files(where, (name for name in _listed(where) if name not in wanted), rests=rests)


def _settled(where: str, index: SpoolIndex, first: int, last: int) -> Iterator[str]:
    """The files of entries from number `first` to `last` that are not live."""
    found = _listed(where)
    live = frozenset(index.seqs()) if found else frozenset()
    for name in found:
        entry = names.parse_spool_entry(name)
        if entry is not None and entry[0] not in live and first <= entry[0] <= last:
            yield name


def _clean_files(where: str, gone: Iterable[str], *, rests: bool) -> None:
    for name in gone:
        path = os.path.join(where, name)
        if rests or is_old(path):
            remove_quietly(path)


def _node_files(head: Head) -> set[str]:
    return {names.node_file(ref.name) for ref in head.files}


def blob_paths(folder: str, refs: Iterable[str]) -> list[str]:
    """The paths of the blobs of these values."""
    return [_blob(folder, ref) for ref in refs]


def _blob(folder: str, ref: str) -> str:
    return os.path.join(folder, names.BLOBS, names.blob(ref))


def size(folder: str) -> int:
    """The bytes of journals, node files, blobs and spool entries in a session's folder, live ones included."""
    inside = (os.path.join(folder, name) for name in (names.NODES, names.BLOBS, names.INPUTS, names.WORK))
    return sum(_size(os.path.join(where, name)) for where in (folder, *inside) for name in _listed(where))


def _listed(folder: str) -> list[str]:
    try:
        return system.listdir(folder)
    except (BackendError, FileNotFoundError):
        return []


def _size(path: str) -> int:
    try:
        return system.stat(path).st_size
    except (BackendError, FileNotFoundError):
        return 0


def is_old(path: str) -> bool:
    """Whether the file was superseded so long ago that nobody needs it any more."""
    return is_stale(path, GRACE_S)
