"""Files in a session's folder that its head does not rely on, and what of a redactor's pattern is in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from ..contract.errors import BackendError, CorruptRecord
from ..contract.redaction import LeftPlace, RedactedKind, RedactedPlace
from ..machine.redactor import Redactor
from . import names
from .head import Head, SpoolIndex
from .leftovers import remove_quietly
from .names import EntryKind, Place
from .system import system

MAX_FILE = 2 * 1024 * 1024 * 1024


class Stray(NamedTuple):
    """A file that nothing relies on. Of `ours` the store may dispose; `aside` is what was put in the quarantine."""

    path: str
    ours: bool
    aside: bool = False


_INSIDE = {
    EntryKind.NODES: Place.NODES,
    EntryKind.BLOBS: Place.BLOBS,
    EntryKind.INPUTS: Place.INPUTS,
    EntryKind.WORK: Place.WORK,
    EntryKind.QUARANTINE: Place.QUARANTINE,
    EntryKind.REDACTIONS: Place.REDACTIONS,
}


def strays(folder: str, head: Head, blobs: frozenset[str], bad: frozenset[str] = frozenset()) -> Iterator[Stray]:
    """The strays of a session with this head and these live values; `bad` are paths of entries that are damaged."""
    wanted = {names.node_file(ref.name) for ref in head.files}
    for path, name, kind in _walk(folder, Place.SESSION):
        first = names.parse_journal(name)
        if kind is EntryKind.QUARANTINED:
            yield Stray(path, ours=True, aside=True)
        elif (
            kind is EntryKind.TEMPORARY
            or path in bad
            or (kind is EntryKind.NODE_FILE and name not in wanted)
            or (kind is EntryKind.BLOB and name not in blobs)
            or (kind is EntryKind.JOURNAL and first is not None and first <= head.folded_seq)
            or (kind is EntryKind.SPOOL_ENTRY and _is_gone(path, head))
        ):
            yield Stray(path, ours=True)
        elif kind in {EntryKind.FOREIGN, EntryKind.CONFLICTED_COPY}:
            yield Stray(path, ours=False)


def _is_gone(path: str, head: Head) -> bool:
    index: SpoolIndex = head.inputs if os.path.basename(os.path.dirname(path)) == names.INPUTS else head.work
    entry = names.parse_spool_entry(os.path.basename(path))
    return entry is not None and entry[0] < index.next_seq and entry[0] not in frozenset(index.seqs())


def _walk(folder: str, place: Place | None) -> Iterator[tuple[str, str, EntryKind]]:
    """Every file below the folder. What is in a folder that is not ours (`place` is `None`) is not ours either."""
    try:
        found = sorted(system.entries(folder))
    except FileNotFoundError:
        return
    for name, is_folder in found:
        path = os.path.join(folder, name)
        kind = EntryKind.FOREIGN if place is None else names.classify(name, is_folder, place)
        if is_folder:
            yield from _walk(path, _INSIDE.get(kind))
        else:
            yield path, name, kind


def matching(
    folder: str, found: Iterator[Stray], redactor: Redactor
) -> Iterator[tuple[Stray, RedactedPlace | LeftPlace]]:
    """The strays that have matches, or of which it cannot be told."""
    for stray in found:
        shown = os.path.relpath(stray.path, folder).replace(os.sep, "/")
        try:
            count = redactor.count_in(system.read_file(stray.path, MAX_FILE))
        except FileNotFoundError:
            continue
        except (BackendError, CorruptRecord) as error:
            yield stray, LeftPlace("file", shown, f"it cannot be read: {error}")
            continue
        if count and stray.ours:
            yield stray, RedactedPlace(RedactedKind.FILE, shown, count)
        elif count:
            yield stray, LeftPlace("file", shown, "the store did not make it and leaves it alone; remove it yourself")


def outside_sessions(root: str, redactor: Redactor, *, apply: bool) -> Iterator[RedactedPlace | LeftPlace]:
    """Matches in what was set aside at the root, which goes with `apply`, and in folders that nobody finished."""
    aside = (Stray(path, ours=True, aside=True) for path, _, _ in _walk(os.path.join(root, names.QUARANTINE), None))
    for stray, place in matching(root, aside, redactor):
        if apply and isinstance(place, RedactedPlace):
            remove_quietly(stray.path)
            system.flush_dir(os.path.dirname(stray.path))
        yield place
    for inside in (names.SESSIONS, names.TRASH):
        where = os.path.join(root, inside)
        for name in filter(names.is_temporary, sorted(system.listdir(where)) if os.path.lexists(where) else ()):
            unfinished = (Stray(path, ours=False) for path, _, _ in _walk(os.path.join(where, name), None))
            if any(matching(root, unfinished, redactor)):
                why = "somebody makes or removes it, or died doing so: it goes when the store is opened in a minute"
                yield LeftPlace("file", f"{inside}/{name}", why)


def remove(folder: str, found: Iterator[Stray], redactor: Redactor) -> None:
    """Remove what is ours and unneeded, and of what was set aside that which has matches, as far as can be done."""
    for stray in list(found):
        if stray.ours and (not stray.aside or _has_match(folder, stray, redactor)):
            remove_quietly(stray.path)


def _has_match(folder: str, stray: Stray, redactor: Redactor) -> bool:
    return any(isinstance(place, RedactedPlace) for _, place in matching(folder, iter((stray,)), redactor))
