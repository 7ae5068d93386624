"""Journals: the chain of records from the head on, and what stands behind it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import orjson

from ...contract.errors import BackendError, CorruptRecord, RecordSchemaVersionError
from ...machine.apply import apply_record
from ...machine.facts import Recent
from ...machine.state import SessionState
from ..copies import read_all as read_copied
from ..head import Head
from ..healing import journals
from ..journal import KIND, MAX_JOURNAL, Header, Journal, open_journal, read_header, salvage_records
from ..linescan import Finding as Stretch
from .findings import Severity
from .look import Look

_NODE_ID = re.compile(rb'"node_id":("(?:[^"\\]|\\.)*")')


@dataclass(slots=True)
class Replayed:
    """What came of the journal: the state and the facts since the head; `intact` says that no record is missing."""

    state: SessionState
    recent: Recent
    intact: bool = True


def check_journals(look: Look, head: Head, state: SessionState, boot: str) -> Replayed:
    """The journal that continues the head is whole; others are left over, or something between is missing."""
    replayed = Replayed(state, Recent())
    for first, path in journals(look.folder):
        if first <= head.folded_seq:
            look.info("leftover", path, "its records are in node files; it stays a minute for readers and copies")
        elif first == head.folded_seq + 1:
            _check_journal(look, head, path, replayed, boot)
        else:
            replayed.intact = False
            message = f"the head ends at record {head.folded_seq}: what lies between is missing"
            look.error("journal_gap", path, message)
    return replayed


def _check_journal(look: Look, head: Head, path: str, replayed: Replayed, boot: str) -> None:
    raw = look.read(path, MAX_JOURNAL)
    if raw is None:
        replayed.intact = False
        return
    first = head.folded_seq + 1
    header = Header(head.session_id, head.incarnation, first, head.folded_sum)
    try:
        journal = open_journal(path, first, head.folded_sum, write=False)
    except BackendError:
        journal = None
    if journal is None:
        return  # a fold removed it meanwhile
    try:
        read = read_copied if look.copied else Journal.read_all
        for record in read(journal, header, boot):
            apply_record(replayed.state, replayed.recent, record.seq, record.at_ms, record.events)
        torn, unended = journal.torn, journal.unended
        offset = journal.offset
    except RecordSchemaVersionError as error:
        replayed.intact = False
        look.version_error(path, error, raw.partition(b"\n")[0], KIND)
        return
    except CorruptRecord as error:
        replayed.intact = False
        _report(look, path, raw, error)
        return
    finally:
        journal.close()
    if torn:
        message = (
            f"{torn} bytes behind the last record are no record: a write that was cut short and never acknowledged,"
            " or else the file was cut short since"
        )
        look.note(Severity.INFO, "torn_write", path, message, "the next call sets them aside", offset=offset)
    if unended:
        _check_last_ending(look, path, raw[offset - 1 : offset], offset - 1)
    _check_separators(look, path, raw[: offset - unended], boot)


def _check_last_ending(look: Look, path: str, found: bytes, offset: int) -> None:
    if found.strip(b"\0"):
        look.error(
            "damaged_ending", path, "the line end of the last record is damaged; the record is whole", offset=offset
        )
        return
    message = "the line end of the last record was cut off; the record is whole"
    look.note(Severity.INFO, "torn_write", path, message, "the next call writes it", offset=offset)


def _check_separators(look: Look, path: str, raw: bytes, boot: str) -> None:
    """Header and line ends are whole. Where they are not, the chain proves the records all the same.

    Of what an earlier boot than `boot` wrote and was not known to be flushed, a power cut may have lost any part.
    """
    try:
        has_header = not raw or read_header(raw, path) is not None
    except (CorruptRecord, RecordSchemaVersionError):
        has_header = False
    records, stretches = salvage_records(raw, path)
    earlier = [record for _, record in records if record.boot != boot]
    flushed = max((record.flushed for record in earlier), default=0)
    lost = range(flushed + 1, earlier[-1].seq + 1) if earlier else range(0)

    def note(kind: str, what: str, seq: int, offset: int) -> None:
        severity = Severity.WARNING if seq in lost else Severity.ERROR
        look.note(severity, kind, path, what, offset=offset)

    if not has_header:
        first = records[0][1].seq if records else 0
        note("damaged_header", "its first line is damaged; the records behind it are proven", first, 0)
    for stretch in stretches:
        if has_header or stretch.offset:
            before = max((record.seq for offset, record in records if offset < stretch.offset), default=0)
            note("damaged_ending", "a line end is damaged; the records around it are proven", before, stretch.offset)


def _report(look: Look, path: str, raw: bytes, error: CorruptRecord) -> None:
    try:
        records, stretches = salvage_records(raw, path)
    except CorruptRecord as worse:
        look.error("damaged_record", path, worse.reason)
        return
    if not stretches:
        look.error("damaged_record", path, error.reason)
    for stretch in stretches:
        ids = _node_ids(raw, stretch)
        later = sum(offset > stretch.offset for offset, _ in records)
        message = f"{stretch.size} bytes are damaged: {stretch.reason}; {later} whole records are behind them"
        if len(ids) > 1:
            message += f"; the nodes {', '.join(ids)} were in them"
        node_id = ids[0] if ids else None
        look.note(Severity.ERROR, "damaged_record", path, message, offset=stretch.offset, node_id=node_id)


def _node_ids(raw: bytes, stretch: Stretch) -> list[str]:
    found = []
    for match in _NODE_ID.finditer(raw[stretch.offset : stretch.offset + stretch.size]):
        try:
            found.append(str(orjson.loads(match[1])))
        except orjson.JSONDecodeError:
            continue
    return found
