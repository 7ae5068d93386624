"""The spools: pending input and queued work, one immutable JSON file an entry, in the order of their names.

While a journal exists, a new entry's file is a view for people; the fold makes it true. What became of an entry since
it was written - claimed, deferred, gone - is said by the head and the journal alone.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..contract.errors import BackendError, CorruptRecord, RecordSchemaVersionError
from ..contract.work import QueuedWorkBatch
from ..machine.apply import defer
from ..machine.facts import StoredInput
from ..machine.state import LiveBatch, LiveInput
from . import names
from .files import read_said, seal
from .head import SpoolIndex
from .system import system

E = TypeVar("E", LiveInput, LiveBatch)
MAX_ENTRY = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SpoolKind(Generic[E]):
    """What one of the two spools holds and where."""

    folder: str
    record: str
    load: Callable[[bytes, str], E]
    seal: Callable[[E], bytes]
    name: Callable[[E], str]
    seq: Callable[[E], int]


def _load_input(raw: bytes, path: str) -> LiveInput:
    stored, said = read_said(StoredInput, "input", raw, path)
    return LiveInput(stored, said=said)


def _load_work(raw: bytes, path: str) -> LiveBatch:
    batch, said = read_said(QueuedWorkBatch, "work", raw, path)
    return LiveBatch(batch, said=said)


INPUTS: SpoolKind[LiveInput] = SpoolKind(
    names.INPUTS,
    "input",
    _load_input,
    lambda live: seal("input", live.stored, live.said),
    lambda live: names.spool_entry(live.stored.record.enqueue_seq, live.stored.record.input_id),
    lambda live: live.stored.record.enqueue_seq,
)
WORK: SpoolKind[LiveBatch] = SpoolKind(
    names.WORK,
    "work",
    _load_work,
    lambda live: seal("work", live.batch, live.said),
    lambda live: names.spool_entry(live.batch.enqueue_seq, live.batch.batch_id),
    lambda live: live.batch.enqueue_seq,
)


@dataclass(frozen=True, slots=True)
class BadEntry:
    """A live entry whose file is missing or damaged."""

    seq: int
    path: str
    error: CorruptRecord | RecordSchemaVersionError


def load_spool(folder: str, kind: SpoolKind[E], index: SpoolIndex) -> tuple[list[E], list[BadEntry]]:
    """The live entries of a spool in order, and those that cannot be read."""
    if not index.live:
        return [], []
    where = os.path.join(folder, kind.folder)
    found = names_by_seq(where)
    held = {seq: item.claim for item in index.claims for seq in item.seqs}
    deferred = frozenset(index.deferred)
    entries: list[E] = []
    bad: list[BadEntry] = []
    for seq in index.seqs():
        try:
            entry = _load_one(kind, where, seq, found.get(seq, []))
        except _Unreadable as failure:
            bad.append(failure.entry)
            continue
        if seq in deferred and isinstance(entry, LiveInput):
            defer(entry)
        entry.claim = held.get(seq)
        entries.append(entry)
    return entries, bad


class _Unreadable(Exception):
    def __init__(self, entry: BadEntry) -> None:
        super().__init__(entry.error)
        self.entry = entry


def names_by_seq(where: str) -> dict[int, list[str]]:
    """The names of the entries in the folder of a spool; more than one where something put a file beside ours."""
    found: dict[int, list[str]] = {}
    try:
        listed = system.listdir(where)
    except FileNotFoundError:
        return found
    for name in listed:
        parsed = names.parse_spool_entry(name)
        if parsed is not None:
            found.setdefault(parsed[0], []).append(name)
    return found


def _load_one(kind: SpoolKind[E], where: str, seq: int, candidates: list[str]) -> E:
    """The entry of this number. Of several files the one counts that is whole and has its own name; only one may."""
    bad: list[BadEntry] = []
    good: list[E] = []
    for path in [os.path.join(where, name) for name in sorted(candidates)]:
        try:
            good.append(load_entry(kind, path, seq))
        except (CorruptRecord, RecordSchemaVersionError) as error:
            bad.append(BadEntry(seq, path, error))
    if len(good) == 1:
        return good[0]
    if good:
        path = os.path.join(where, min(candidates))
        raise _Unreadable(BadEntry(seq, path, CorruptRecord(path, f"{len(good)} files say that they are entry {seq}")))
    path = os.path.join(where, f"{seq:016d}-?")
    raise _Unreadable(bad[0] if bad else BadEntry(seq, path, CorruptRecord(path, "the entry's file is missing")))


def load_entry(kind: SpoolKind[E], path: str, seq: int) -> E:
    """The entry in the file at `path`, which must have this number. Damage is `CorruptRecord`."""
    try:
        raw = system.read_file(path, MAX_ENTRY)
    except FileNotFoundError as error:
        raise CorruptRecord(path, "the entry's file is missing") from error
    except BackendError as error:
        if not stat.S_ISREG(system.stat(path).st_mode):
            raise CorruptRecord(path, f"it is no regular file: {error}") from error
        raise
    entry = kind.load(raw, path)
    if kind.seq(entry) != seq or kind.name(entry) != os.path.basename(path):
        raise CorruptRecord(path, f"it holds entry {kind.name(entry)}")
    return entry


def entry_path(folder: str, kind: SpoolKind[Any], entry: LiveInput | LiveBatch) -> str:
    """The path of an entry's file."""
    return os.path.join(folder, kind.folder, kind.name(entry))
