"""The journal: what happened to a session since its head was last renamed, one record a call.

```
{"sum":"..","file":"journal","schema_version":1,"session_id":..,"incarnation":..,"first_seq":12,"prev":"<sum of 11>"}
{"sum":"..","seq":12,"prev":"<sum of 11>","flushed":11,"boot":"<8 hex>","at":<ms>,"events":[..]}
{"sum":"..","seq":13,"prev":"<sum of 12>",...}
<zeros, where space was made ahead>
```

Each record names the sum of the one before, so a hole or a foreign record cannot pass. That also proves the records
where only a line end or the header is damaged. `flushed` is the last record that its writer knew to be on the disk, and
`boot` the boot it was written in: together they tell a record that a power cut tore, which ends the journal, from one
that was damaged later, which is an error.

The journal of a session that has no node file yet, which would hold a copy of the head, has that copy in its header, as
`"head"`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

import orjson

from ..contract.errors import BackendError, CorruptRecord
from ..machine import later
from ..machine.encoding import EVENT_CLASSES, KINDS, Malformed, dump, load_one_of, plain
from ..machine.events import Event
from .files import seal, unseal
from .lines import check_line, encode_line, sum_of
from .linescan import Finding, intact_lines
from .refusals import WriteFailed, is_full
from .system import system

KIND = "journal"
CHUNK = 256 * 1024
"""Bytes of zeros that are written ahead where calls are flushed: an overwrite costs half the flush of an append."""
MAX_RECORD = 256 * 1024 * 1024
MAX_JOURNAL = 4 * MAX_RECORD
"""The largest journal that is read, bytes."""
_PEEK = 4096
_EVENTS = {KINDS[cls]: cls for cls in EVENT_CLASSES}


@dataclass(frozen=True, slots=True)
class Record:
    """One call's events; `said` are these as parsed JSON, where a later release said something in one."""

    seq: int
    at_ms: int
    events: tuple[Event, ...]
    flushed: int
    boot: str
    sum: str = ""
    said: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """The journal's first line; `boot` is the mark of the boot it was written in."""

    session_id: str
    incarnation: str
    first_seq: int
    prev: str
    boot: str = ""
    head: dict[str, Any] | None = None


@lru_cache(maxsize=8)
def boot_tag(boot_id: str) -> str:
    """The mark of a boot in records."""
    return sha256(boot_id.encode()).hexdigest()[:8]


def encode_record(seq: int, prev: str, flushed: int, boot: str, at_ms: int, events: tuple[Event, ...]) -> bytes:
    """The line of one record, newline included."""
    said = [plain(event) for event in events]
    return encode_line(dump({"seq": seq, "prev": prev, "flushed": flushed, "boot": boot, "at": at_ms, "events": said}))


def _parse(line: bytes) -> dict[str, Any] | None:
    """The fields of a line that is a whole, undamaged record, whatever came before it."""
    if check_line(line) is None:
        return None
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    ints = ("seq", "flushed", "at")
    texts = ("prev", "boot")
    good = all(type(fields.get(name)) is int for name in ints) and all(type(fields.get(name)) is str for name in texts)
    return fields if good and type(fields.get("events")) is list else None


def _record(fields: dict[str, Any]) -> Record:
    told = fields["events"]
    events = tuple([load_one_of(event, _EVENTS) for event in told])
    said = tuple(told) if any(map(later.said, map(type, events), told)) else ()
    return Record(fields["seq"], fields["at"], events, fields["flushed"], fields["boot"], fields["sum"], said)


def read_header(data: bytes, path: str) -> dict[str, Any] | None:
    """The fields of the header in the bytes of a journal, or `None` where there is no whole one."""
    end = data.find(b"\n")
    return unseal(KIND, data[:end], path) if end >= 0 and check_line(data[:end]) is not None else None


def salvage_records(data: bytes, path: str) -> tuple[list[tuple[int, Record]], list[Finding]]:
    """Every whole record in the bytes of a damaged journal, with its offset, and what is damaged between them.

    Raises `CorruptRecord` for a record that this release cannot read.
    """
    good, findings = intact_lines(data.rstrip(b"\0"))
    records: list[tuple[int, Record]] = []
    for offset, line in good:
        fields = _parse(line)
        if fields is not None and (not records or fields["seq"] > records[-1][1].seq):
            try:
                records.append((offset, _record(fields)))
            except Malformed as error:
                raise CorruptRecord(path, f"the record at offset {offset} is malformed: {error}") from error
    return records, findings


class Journal:
    """An open journal, and how far it has been read.

    `torn` is the length of what stands behind the last whole record and is none: a write that a crash cut short. It is
    believed by nobody, and cut off by the next writer. `unended` says that the last record is whole but for its line
    end, which the next writer puts there.
    """

    __slots__ = (
        "_allocated",
        "boot",
        "fd",
        "first_seq",
        "flushed_seq",
        "last_seq",
        "last_sum",
        "offset",
        "path",
        "torn",
        "unended",
    )

    def __init__(self, path: str, fd: int, first_seq: int, prev: str) -> None:
        self.path = path
        self.fd = fd
        self.first_seq = first_seq
        self.last_seq = first_seq - 1
        self.last_sum = prev
        self.flushed_seq = first_seq - 1
        self.offset = 0
        self.torn = 0
        self.unended = False
        self._allocated = 0
        self.boot = ""

    def close(self) -> None:
        system.let_go(self.fd)

    # Reading.

    def read_all(self, header: Header, boot: str, end: int | None = None) -> list[Record]:
        """Every record of a journal just opened, before offset `end` if that is given.

        `boot` is the mark of the running boot.
        """
        size = system.size(self.fd) if end is None else end
        if size > MAX_JOURNAL:
            raise CorruptRecord(self.path, f"it has {size} bytes, more than the {MAX_JOURNAL} it may have")
        data = system.pread(self.fd, size, 0)
        self._allocated = len(data)
        records: list[Record] = []
        fields = read_header(data, self.path)
        if fields is not None:
            self._check_header(fields, header)
            self.offset = data.index(b"\n") + 1
            records = self._scan(data, self.offset)
        # The header is written with the first record: a journal without a whole one holds nothing, unless what stands
        # behind it proves that it was whole once.
        rest = data[self.offset :].rstrip(b"\0")
        if rest:
            records += self._proven(rest)
            self._judge(data, self.offset, boot)
        return records

    def _check_header(self, fields: dict[str, Any], header: Header) -> None:
        expected = orjson.loads(dump(header))
        if any(fields.get(name) != value for name, value in expected.items()):
            raise CorruptRecord(self.path, "it does not continue the head of this session")
        boot = fields.get("boot")
        self.boot = boot if type(boot) is str else ""

    def _proven(self, rest: bytes) -> list[Record]:
        """Accept the records of `rest` that are proven although what parts them is damaged. It is at `self.offset`."""
        start = self.offset
        records: list[Record] = []
        for at, line in intact_lines(rest)[0]:
            fields = _parse(line)
            if fields is None and not records:
                continue  # the header, whose line end is damaged
            if fields is None or not self._continues(fields):
                break
            records.append(self._accepted(fields, line))
            end = at + len(line)
            self.unended = rest[end : end + 1] != b"\n"
            self.offset = start + end + 1
        return records

    def read_new(self) -> list[Record]:
        """The records that were appended since, by whomever. A line that is not whole yet is left for later."""
        data = system.pread(self.fd, _PEEK, self.offset)
        if not data or data[0] == 0:
            return []
        size = _PEEK
        while len(data) == size and b"\0" not in data[-64:]:
            size *= 16
            data = system.pread(self.fd, size, self.offset)
        start = self.offset
        records = self._scan(data, 0)
        rest = data[self.offset - start :]
        if b"\n" in rest and rest[:1] != b"\0":
            raise CorruptRecord(self.path, f"the record at offset {self.offset} is damaged")
        self.torn = len(rest.rstrip(b"\0"))
        self._allocated = max(self._allocated, start + len(data))
        return records

    def judge_again(self, boot: str) -> None:
        """Under the lock: judge what stands behind the last whole record, which may have been a write under way."""
        self._judge(system.pread(self.fd, system.size(self.fd) - self.offset, self.offset), 0, boot)

    def _scan(self, data: bytes, at: int) -> list[Record]:
        """Accept whole records from `data[at:]`, which stands at `self.offset` of the file."""
        records = []
        while (end := data.find(b"\n", at)) >= 0:
            line = data[at:end]
            fields = _parse(line)
            if fields is None or not self._continues(fields):
                break
            records.append(self._accepted(fields, line))
            self.offset += end + 1 - at
            at = end + 1
        return records

    def _continues(self, fields: dict[str, Any]) -> bool:
        return bool(fields["seq"] == self.last_seq + 1 and fields["prev"] == self.last_sum)

    def _accepted(self, fields: dict[str, Any], line: bytes) -> Record:
        """The record in a line that continues the journal, which is the last one from now on."""
        try:
            record = _record(fields)
        except Malformed as error:
            raise CorruptRecord(self.path, f"the record at offset {self.offset} is malformed: {error}") from error
        self.last_seq, self.last_sum, self.boot = record.seq, sum_of(line), record.boot
        self.flushed_seq = max(self.flushed_seq, record.flushed)
        return record

    def _judge(self, data: bytes, at: int, boot: str) -> None:
        """Judge what stands behind the last whole record: nothing, a torn write, or damage."""
        rest = data[at:]
        self.torn = len(rest.rstrip(b"\0"))
        if not self.torn:
            return
        expected = self.last_seq + 1
        problem = f"record {expected} at offset {self.offset} is damaged or missing"
        for line in rest.split(b"\n"):
            other = _parse(line.strip(b"\0"))
            if other is None or other["seq"] < expected:
                continue
            # A crash of a process leaves no hole, and a power cut none in what was flushed.
            if other["flushed"] >= expected or other["boot"] == boot:
                raise CorruptRecord(self.path, f"{problem}, and record {other['seq']} behind it is whole")
        first, newline, _ = rest.partition(b"\n")
        if newline and first.strip(b"\0") and (self.boot == boot or b'"boot":"%s"' % boot.encode() in first):
            raise CorruptRecord(self.path, f"{problem}, though no power was cut since it was written")

    def read_tail(self) -> bytes:
        """The torn bytes behind the last whole record."""
        return system.pread(self.fd, self.torn, self.offset)

    def cut_tail(self) -> None:
        """Cut off what stands behind the last whole record."""
        system.truncate(self.fd, self.offset)
        self._allocated = self.offset
        self.torn = 0

    # Writing.

    def append(self, line: bytes, *, ahead: bool, soon: bool = False) -> None:
        """Write one record's line behind the last; `ahead` makes space for more with it, where there is room for that.

        With `soon` the disk begins at once with what a flush will wait for. A failure leaves the journal as it was, or,
        where that fails too, a torn write that the next reader sees.
        """
        start = self.offset
        data = line
        if self.unended:
            start, data = start - 1, b"\n" + line
        if ahead and start + len(data) > self._allocated:
            try:
                self._write(data + bytes(CHUNK), start)
            except BackendError as error:
                if self.torn or not is_full(error):
                    raise
                self._write(data, start)
        else:
            self._write(data, start)
        if soon:
            system.start_flush(self.fd, start, len(data))

    def _write(self, data: bytes, start: int) -> None:
        try:
            system.pwrite_all(self.fd, data, start)
        except BackendError as error:
            if not isinstance(error, WriteFailed) or error.written:
                self._undo(start)
            raise
        self._allocated = max(self._allocated, start + len(data))

    def _undo(self, start: int) -> None:
        try:
            system.truncate(self.fd, start)
        except BackendError:
            self.torn = 1
            return
        self._allocated = start

    def accept(self, seq: int, size: int, mark: str, boot: str) -> None:
        """Count what was just appended, `size` bytes that end with the record of this sum, as the last record."""
        self.offset += size
        self.unended = False
        self.last_seq, self.last_sum, self.boot = seq, mark, boot

    def flush(self, seq: int) -> None:
        """Bring everything up to record `seq` to the disk."""
        system.flush(self.fd)
        self.flushed_seq = seq


def open_journal(path: str, first_seq: int, prev: str, *, write: bool) -> Journal | None:
    """The journal at `path`, or `None` when there is none."""
    try:
        fd = system.open_write(path) if write else system.open_read(path)
    except FileNotFoundError:
        return None
    return Journal(path, fd, first_seq, prev)


def header_line(header: Header) -> bytes:
    """The journal's first line, written together with its first record."""
    return seal(KIND, header)


def last_at(records: Iterable[Record]) -> int:
    """The time of the latest record, 0 if there is none."""
    return max((record.at_ms for record in records), default=0)
