"""The spools: pending input and queued work, one immutable JSON file an entry, in the order of their names.

While a journal exists, a new entry's file is a view for people; the fold makes it true. What became of an entry since
it was written - claimed, deferred, gone - is said by the head and the journal alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..contract.errors import CorruptRecord, RecordSchemaVersionError
from ..contract.work import QueuedWorkBatch
from ..machine.apply import defer
from ..machine.facts import StoredInput
from ..machine.state import LiveBatch, LiveInput
from . import names
from .files import read_sealed, seal
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
    return LiveInput(read_sealed(StoredInput, "input", raw, path))


def _load_work(raw: bytes, path: str) -> LiveBatch:
    return LiveBatch(read_sealed(QueuedWorkBatch, "work", raw, path))


INPUTS: SpoolKind[LiveInput] = SpoolKind(
    names.INPUTS,
    "input",
    _load_input,
    lambda live: seal("input", live.stored),
    lambda live: names.spool_entry(live.stored.record.enqueue_seq, live.stored.record.input_id),
    lambda live: live.stored.record.enqueue_seq,
)
WORK: SpoolKind[LiveBatch] = SpoolKind(
    names.WORK,
    "work",
    _load_work,
    lambda live: seal("work", live.batch),
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
    found: dict[int, str] = {}
    for name in system.listdir(where):
        parsed = names.parse_spool_entry(name)
        if parsed is not None:
            found[parsed[0]] = name
    held = {seq: item.claim for item in index.claims for seq in item.seqs}
    deferred = frozenset(index.deferred)
    entries: list[E] = []
    bad: list[BadEntry] = []
    for seq in index.seqs():
        path = os.path.join(where, found.get(seq, f"{seq:016d}-?"))
        try:
            entry = _load_entry(kind, path, seq)
        except (CorruptRecord, RecordSchemaVersionError) as error:
            bad.append(BadEntry(seq, path, error))
            continue
        if seq in deferred and isinstance(entry, LiveInput):
            defer(entry)
        entry.claim = held.get(seq)
        entries.append(entry)
    return entries, bad


def _load_entry(kind: SpoolKind[E], path: str, seq: int) -> E:
    try:
        raw = system.read_file(path, MAX_ENTRY)
    except FileNotFoundError as error:
        raise CorruptRecord(path, "the entry's file is missing") from error
    entry = kind.load(raw, path)
    if kind.seq(entry) != seq:
        raise CorruptRecord(path, f"it holds entry {kind.seq(entry)}, not {seq}")
    return entry


def entry_path(folder: str, kind: SpoolKind[Any], entry: LiveInput | LiveBatch) -> str:
    """The path of an entry's file."""
    return os.path.join(folder, kind.folder, kind.name(entry))
