"""Pending input and queued work: each live entry has its file, and no file stands for what is not live."""

from __future__ import annotations

import os
from typing import Any

from ...contract.errors import BackendError, CorruptRecord, RecordSchemaVersionError
from ...machine.state import LiveBatch, LiveInput, SessionState
from .. import names, spool
from ..head import Head, SpoolIndex
from .look import REPAIR, Look


def check_spool(
    look: Look, kind: spool.SpoolKind[spool.E], index: SpoolIndex, live: dict[int, spool.E] | None
) -> tuple[spool.E, ...]:
    """The files of a spool fit the head's `index`; the entries in them.

    `live` are the entries by number after the journal, or `None` where that is damaged.
    """
    where = look.path(kind.folder)
    try:
        found = spool.names_by_seq(where)
    except BackendError:
        return ()  # no folder of ours, as the look at the entries says
    entries = []
    for seq in index.seqs():
        entries += _check_entry(look, kind, where, seq, found.pop(seq, []))
    for seq, candidates in sorted(found.items()):
        for path in [os.path.join(where, name) for name in candidates]:
            _check_view(look, kind, path, seq, index, live)
    _check_claims(look, kind, index)
    if live is not None:
        for seq in live:
            if seq >= index.next_seq and seq not in found:
                path = os.path.join(where, kind.name(live[seq]))
                look.info("view_behind", path, "the entry has no file yet; it is in the journal")
    return tuple(entries)


def _check_entry(
    look: Look, kind: spool.SpoolKind[spool.E], where: str, seq: int, candidates: list[str]
) -> list[spool.E]:
    """The file of a live entry is there and whole, and the only one."""
    good = []
    for path in [os.path.join(where, name) for name in candidates]:
        raw = look.read(path, spool.MAX_ENTRY)
        try:
            good.append(spool.load_entry(kind, path, seq))
        except RecordSchemaVersionError as error:
            look.version_error(path, error, raw or b"", kind.record)
        except CorruptRecord as error:
            look.error("damaged_record", path, error.reason, offset=0)
        except BackendError:
            continue  # taken down when it was read
        else:
            look.check_ending(path, raw or b"")
    if not candidates:
        look.error("entry_missing", os.path.join(where, f"{seq:016d}-?"), f"the file of live entry {seq} is missing")
    elif len(good) > 1:
        look.error(
            "entry_twice", os.path.join(where, candidates[0]), f"{len(good)} files say that they are entry {seq}"
        )
    return good[:1]


def _check_view(
    look: Look,
    kind: spool.SpoolKind[spool.E],
    path: str,
    seq: int,
    index: SpoolIndex,
    live: dict[int, spool.E] | None,
) -> None:
    """A file of an entry that the head does not say is live."""
    if seq < index.next_seq:
        look.info("leftover", path, "the entry is settled; its file stays a minute for readers and copies")
        return
    entry = None if live is None else live.get(seq)
    if entry is None:
        look.info("leftover", path, "the entry is settled or was lost in a power cut; the next fold removes its file")
        return
    try:
        found: Any = spool.load_entry(kind, path, seq)
        raw = look.read(path, spool.MAX_ENTRY) or b""
    except (CorruptRecord, RecordSchemaVersionError) as error:
        look.view("damaged_view", path, str(error), f"the journal has it all; the next fold writes it, or {REPAIR}")
        return
    except BackendError:
        return
    if raw[raw.rfind(b"}") + 1 :] != b"\n":
        look.view("damaged_view", path, "its line end is damaged", f"the next fold writes it, or {REPAIR}")
    elif _content(found) != _content(entry):
        look.info("view_behind", path, "the file is not what is in the journal, which counts; the next fold writes it")


def _content(entry: LiveInput | LiveBatch) -> object:
    # What became of an entry since is not in its file.
    return entry.batch if isinstance(entry, LiveBatch) else entry.stored.record.input_id


def _check_claims(look: Look, kind: spool.SpoolKind[Any], index: SpoolIndex) -> None:
    """Claims and deferrals are of live entries, and no entry is claimed twice."""
    live = set(index.seqs())
    claimed = [seq for claim in index.claims for seq in claim.seqs]
    strays = [seq for seq in (*claimed, *index.deferred) if seq not in live]
    if strays or len(claimed) != len(set(claimed)):
        message = f"the claims on {kind.folder} do not fit its live entries"
        look.error("claims", look.path(names.HEAD), message, REPAIR)


def check_spools(
    look: Look, head: Head, state: SessionState | None
) -> tuple[tuple[LiveInput, ...], tuple[LiveBatch, ...]]:
    """Both spools; `state` is the one after the journal, or `None` where that is damaged."""
    inputs = None if state is None else {live.stored.record.enqueue_seq: live for live in state.inputs.values()}
    work = None if state is None else {live.batch.enqueue_seq: live for live in state.work.values()}
    found = check_spool(look, spool.INPUTS, head.inputs, inputs)
    return found, check_spool(look, spool.WORK, head.work, work)
