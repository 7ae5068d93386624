"""What is still to be read of a node file that is damaged.

Each line has its own checksum, so a damaged index, end or line end takes nothing away: the lines are found by going
through all of them. Where a line itself is damaged, or the file is cut short, what else it held is not known.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator

import orjson

from ..contract.errors import BackendError, CorruptRecord
from ..machine.facts import Fact
from . import names
from .factlines import decode_fact
from .head import NodeFileRef
from .lines import BODY_AT
from .linescan import intact_lines
from .system import system

_INDEX = b'"kind":"file.index",'
_END = b'"kind":"file.end",'
_OURS = b'"kind":"file.'


class SalvagedFile:
    """The intact records of a node file, and what is damaged.

    Attributes:
        path: the file.
        records: the line (without newline) of each intact record by its offset, in order.
        findings: what is damaged, the whole file included.
        complete: whether the records are all that the file ever held.
        damage: what to tell of it.
    """

    def __init__(self, folder: str, ref: NodeFileRef) -> None:
        self.path = os.path.join(folder, names.NODES, names.node_file(ref.name))
        raw = _read(self.path, ref.size)
        good, self.findings = intact_lines(raw)
        self.records = {at: line for at, line in good if not line.startswith(_OURS, BODY_AT)}
        self.complete = _tiles(self.records, _end_of_records(good))
        self.damage = self._told(ref, len(raw))
        self._newest: dict[str, int] | None = None

    def find(self, key: str, read_blob: Callable[[str], bytes]) -> Fact | None:
        """The newest intact fact under the key."""
        if self._newest is None:
            self._newest = {each: offset for offset, fact in self.facts() for each in fact.keys()}  # noqa: SIM118
        at = self._newest.get(key)
        return None if at is None else decode_fact(self.records[at], self.path, at, read_blob)

    def facts(self) -> Iterator[tuple[int, Fact]]:
        """Each intact record with its offset, in order; large values without their content."""
        for offset, line in self.records.items():
            fact = decode_fact(line, self.path, offset)
            fact.line = line
            yield offset, fact

    def fact_at(self, offset: int) -> Fact:
        """The intact record at an offset; a large value without its content."""
        fact = decode_fact(self.records[offset], self.path, offset)
        fact.line = self.records[offset]
        return fact

    def _told(self, ref: NodeFileRef, size: int) -> CorruptRecord:
        if not os.path.lexists(self.path):
            return CorruptRecord(self.path, "it is missing")
        if not size:
            return CorruptRecord(self.path, "it is empty, or no regular file")
        if not self.findings:
            return CorruptRecord(self.path, f"it ends at offset {size}, it had {ref.size} bytes")
        first = self.findings[0]
        return CorruptRecord(self.path, f"{first.size} bytes from offset {first.offset}: {first.reason}")


def _read(path: str, size: int) -> bytes:
    """As many bytes as the file had when it was written; none of what is no regular file."""
    try:
        if not stat.S_ISREG(system.stat(path).st_mode):
            return b""
        fd = system.open_read(path)
    except (FileNotFoundError, BackendError) as error:
        if isinstance(error, BackendError) and not isinstance(error.__cause__, FileNotFoundError):
            raise
        return b""
    try:
        return system.pread(fd, size, 0)
    finally:
        system.let_go(fd)


def _end_of_records(good: Iterable[tuple[int, bytes]]) -> int | None:
    """Where the records end, by the index behind them or by the last line; `None` where both are damaged."""
    for offset, line in good:
        if line.startswith(_INDEX, BODY_AT):
            return offset
        if line.startswith(_END, BODY_AT):
            index = orjson.loads(line).get("index")
            if isinstance(index, list) and index and type(index[0]) is int:
                return index[0]
    return None


def _tiles(records: dict[int, bytes], end: int | None) -> bool:
    """Whether the records follow each other without a gap up to `end`."""
    at = 0
    for offset, line in records.items():
        if offset != at:
            return False
        at = offset + len(line) + 1
    return at == end
