"""Node files: content-addressed, immutable, one self-checked JSON line a record, found by key through an index.

The name is the SHA-256 of all bytes. In this order the file holds

```
{"sum":"…","kind":"node",…}                                             the records, one a line
{"sum":"…","kind":"file.index","pages":"…","entries":"…"}               see `keyindex`
{"sum":"…","kind":"file.head","head":{…}}                               a copy of the session's head
{"sum":"…","kind":"file.end","version":1,"lines":2,"index":[…],…}       where all that is; at most 512 bytes
```

In the last line `index` and `head` are offset and size of those lines with their newlines, `pages` and `entries` are
offset, number of items and CRC-32 of those texts, and `lines` counts the records. A reader starts with the end of the
file; a lookup then reads a few small pieces.

What a record says and what its kind means is not known here. Files are read, not mapped: when somebody truncates a
mapped file, or its disk fails, the process is killed where a read would raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, Final, NamedTuple, TypeVar

import orjson

from ..contract.errors import (
    BackendError,
    CorruptRecord,
    InvalidRecordSchemaVersion,
    MissingRecordSchemaVersion,
    UnsupportedRecordSchemaVersion,
)
from . import keyindex
from .keyindex import Extent, KeyIndex
from .lines import BODY_AT, check_line
from .linescan import MAX_LINE, Finding, body_of, checked_lines, intact_lines
from .nodewriter import VERSION, NodeFileWriter, NodeLine, build_node_file
from .system import system

T = TypeVar("T")

__all__ = [
    "MAX_LINE",
    "VERSION",
    "Finding",
    "NodeFile",
    "NodeFileWriter",
    "NodeLine",
    "body_of",
    "build_node_file",
    "salvage_head",
    "salvage_lines",
]

_CHUNK: Final = 1 << 20
_NEARBY: Final = 1 << 14
_END_SIZE: Final = 512
_OURS: Final = b'"kind":"file.'
_OUR_HEAD: Final = b'"kind":"file.head",'


class _Span(NamedTuple):
    offset: int
    size: int


class NodeFile:
    """An open node file. `open` makes one; threads may share it.

    Every answer is checked first: what is not as it was written raises `CorruptRecord`, and where the operating system
    refuses, it is `BackendError`.

    Attributes:
        path: the file.
        name: the SHA-256 that its name promises; only `verify` looks.
        fd: its descriptor, -1 once closed.
        size: its bytes.
        count: its records.
        key_count: the keys that they are found by.
    """

    __slots__ = ("_end_at", "_guess", "_head", "_index", "_keys", "count", "fd", "key_count", "name", "path", "size")

    def __init__(self, path: str, name: str, fd: int) -> None:
        self.path = path
        self.name = name
        self.fd = fd
        self.size = system.size(fd)
        start = max(0, self.size - _END_SIZE)
        tail = system.pread(fd, _END_SIZE, start)
        begin = tail.rfind(b"\n", 0, max(len(tail) - 1, 0)) + 1
        line = tail[begin:-1]
        end = _json(line) if tail.endswith(b"\n") and check_line(line) is not None else None
        if end is None or end.get("kind") != "file.end":
            raise CorruptRecord(path, f"it ends at offset {self.size} without its last line")
        _check_version(end)
        self._end_at = start + begin
        self.count, self._index, self._head, pages, entries = _layout(path, end)
        self._check_layout(pages, entries)
        # What one read gets of a line whose length is not known: mostly all of it, and not much more.
        self._guess = min(4096, max(512, 2 * self._index.offset // max(self.count, 1)))
        self.key_count = entries.items
        self._keys = KeyIndex(path, fd, pages, entries)

    @classmethod
    def open(cls, path: str, name: str) -> NodeFile:
        """Opens the file at `path`, whose name is the SHA-256 `name`; reads only its last bytes.

        Raises:
            FileNotFoundError: there is none.
            CorruptRecord: its end is missing or damaged.
            UnsupportedRecordSchemaVersion: another release wrote it.
        """
        fd = system.open_read(path)
        try:
            return cls(path, name, fd)
        except BaseException:
            system.let_go(fd)
            raise

    def close(self) -> None:
        """Closes the file, again and again if need be."""
        fd, self.fd = self.fd, -1
        self._keys.fd = -1
        if fd >= 0:
            system.let_go(fd)

    def lookup(self, key: str, accept: Callable[[bytes], bool] | None = None) -> bytes | None:
        """The last line that has this key, checked and without newline, or `None` if none has.

        Args:
            key: as it was written.
            accept: tells whether a line really has the key. Keys share a hash of 64 bits by accident hardly ever, but
                whoever makes ids may make two that do: without `accept` the later line of the two answers.
        """
        found = self._keys.find(keyindex.hash_key(key))
        for offset, _ in found:
            line = self.line_at(offset)
            if accept is None or accept(line):
                return line
        return None

    def candidates(self, key: str) -> list[bytes]:
        """All lines found under the hash of this key, the latest first."""
        return [self.line_at(offset) for offset, _ in self._keys.find(keyindex.hash_key(key))]

    def probe(self, owner: T) -> keyindex.Probe[T]:
        """What `keyindex.perhaps` needs to say that this file, which is `owner` there, may have a key."""
        return self._keys.probe(owner)

    def find(self, hashed: int) -> list[keyindex.Entry]:
        """Offset and kind of the lines under this `keyindex.hash_key`, the latest first; reads no line.

        Whoever looks for one key in several files hashes it once.
        """
        return self._keys.find(hashed)

    def line_at(self, offset: int) -> bytes:
        """The line that starts there, checked and without newline."""
        end = self._index.offset
        size = self._guess
        while True:
            piece = system.pread(self.fd, min(size, end - offset), offset) if 0 <= offset < end else b""
            newline = piece.find(b"\n")
            if newline >= 0:
                line = piece[:newline]
                if check_line(line) is None:
                    raise CorruptRecord(self.path, f"the line at offset {offset} does not match its checksum")
                return line
            if len(piece) < size or size >= MAX_LINE:
                raise CorruptRecord(self.path, f"the line at offset {offset} has no end")
            size = min(size * 8, MAX_LINE)

    def lines_before(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """The records before the one at `offset`, the nearest first, as `lines` gives them, each checked.

        It reads ahead, and ends without a word at what is damaged, very long or cannot be read: whoever needs one of
        those looks it up, and is told.
        """
        size, rest = _NEARBY, b""
        while offset > 0 and len(rest) <= _CHUNK:
            start = max(0, offset - len(rest) - size)
            # `rest` is the end of a line, whose beginning is read now; the offset stays behind it.
            begin = offset - len(rest)
            try:
                piece = self._read(begin - start, start)
            except BackendError:
                return
            if len(piece) != begin - start or not (rest or piece.endswith(b"\n")):
                return
            lines = (piece + rest).split(b"\n")
            whole = lines[1:-1] if start > 0 else lines[:-1]
            for line in reversed(whole):
                offset -= len(line) + 1
                if check_line(line) is None:
                    return
                yield offset, line
            if start == 0:
                return
            rest = lines[0] + b"\n"
            size = min(2 * size, _CHUNK)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """All records in order: offset, and the line without newline, each checked."""
        count = 0
        for found in checked_lines(self.path, self._read, 0, self._index.offset):
            count += 1
            yield found
        if count != self.count:
            raise CorruptRecord(self.path, f"it has {count} records, not {self.count}")

    def entries_of_kind(self, kind: int) -> Iterator[int]:
        """The offsets of lines of this kind, ascending, from the index alone.

        A line without a key, or whose keys all belong to later lines, is not among them.
        """
        return iter(sorted({offset for offset, code in self._keys.entries() if code == kind}))

    def index_entries(self) -> Iterator[int]:
        """The whole index as `keyindex.packed` numbers, in order."""
        return self._keys.packed()

    @property
    def record_bytes(self) -> int:
        """The bytes of the records, which stand first."""
        return self._index.offset

    def copy_records(self, write: Callable[[bytes], None]) -> list[int]:
        """Hand all records to `write` in pieces, and return the index as `keyindex.packed` numbers.

        The whole file is read and checked against its name, so that damage is never copied under a new one.
        """
        digest = sha256()
        end = self._index.offset
        for offset in range(0, self.size, _CHUNK):
            piece = self._read(min(_CHUNK, self.size - offset), offset)
            digest.update(piece)
            if offset < end:
                write(piece[: end - offset])
        if digest.hexdigest() != self.name:
            raise CorruptRecord(self.path, f"its bytes have the SHA-256 {digest.hexdigest()}, not that of its name")
        return list(self.index_entries())

    def head_copy(self) -> dict[str, Any]:
        """The copy of the head that the file was written with."""
        offset, size = self._head
        line = self._read(size, offset)[:-1]
        head = _head_in(line) if check_line(line) is not None else None
        if head is None:
            raise CorruptRecord(self.path, f"the copy of the head at offset {offset} does not match its checksum")
        return head

    def verify(self) -> None:
        """Reads all bytes: each line against its checksum, the whole against its name.

        Raises:
            CorruptRecord: with the offset of the first damaged line, if it is one line that is damaged.
        """
        digest = sha256()

        def read(n: int, offset: int) -> bytes:
            piece = self._read(n, offset)
            digest.update(piece)
            return piece

        for _ in checked_lines(self.path, read, 0, self.size):
            pass
        if digest.hexdigest() != self.name:
            raise CorruptRecord(self.path, f"its bytes have the SHA-256 {digest.hexdigest()}, not that of its name")

    def _read(self, n: int, offset: int) -> bytes:
        return system.pread(self.fd, n, offset)

    def _check_layout(self, pages: Extent, entries: Extent) -> None:
        """Everything lies where it can, whatever the last line says; sizes that are read at once are bounded by it."""
        index_end = self._index.offset + self._index.size
        holds = (
            index_end == self._head.offset
            and self._head.offset + self._head.size == self._end_at
            and pages.items >= 1
            and self._index.offset <= pages.offset
            and pages.offset + pages.items * keyindex.PAGE_CHARS <= entries.offset
            and entries.offset + entries.items * keyindex.ENTRY_CHARS <= index_end
        )
        if not holds:
            raise CorruptRecord(self.path, f"its last line, at offset {self._end_at}, does not fit the file")


def salvage_lines(raw: bytes) -> tuple[list[tuple[int, bytes]], list[Finding]]:
    """The records of a damaged file that are intact, in order, and what is damaged.

    Args:
        raw: the bytes of the file, or what is left of them.

    Returns:
        Offset and line (without newline) of each intact record; offset, size and reason of each damaged stretch. The
        index, the head's copy and the last line are no records, but damage to them is among the findings.
    """
    good, findings = intact_lines(raw)
    return [(offset, line) for offset, line in good if not line.startswith(_OURS, BODY_AT)], findings


def salvage_head(raw: bytes) -> dict[str, Any] | None:
    """The copy of the head in the bytes of a damaged file, or `None` if it is not intact."""
    for _, line in reversed(intact_lines(raw)[0]):
        if line.startswith(_OUR_HEAD, BODY_AT):
            return _head_in(line)
    return None


def _head_in(line: bytes) -> dict[str, Any] | None:
    head = (_json(line) or {}).get("head")
    return head if isinstance(head, dict) else None


def _json(line: bytes) -> dict[str, Any] | None:
    try:
        record = orjson.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _check_version(end: dict[str, Any]) -> None:
    version = end.get("version")
    if version is None:
        raise MissingRecordSchemaVersion("node file", VERSION)
    if type(version) is not int:
        raise InvalidRecordSchemaVersion("node file", version, VERSION)
    if version != VERSION:
        raise UnsupportedRecordSchemaVersion("node file", version, VERSION)


def _layout(path: str, end: dict[str, Any]) -> tuple[int, _Span, _Span, Extent, Extent]:
    """What the last line says: records, index, head's copy, pages and entries."""
    try:
        index, head = _Span(*end["index"]), _Span(*end["head"])
        pages, entries = Extent(*end["pages"]), Extent(*end["entries"])
        lines: int = end["lines"]
    except (KeyError, TypeError) as error:
        raise CorruptRecord(path, f"its last line has not the numbers that it should have: {error!r}") from error
    for number in (lines, *index, *head, *pages, *entries):
        if type(number) is not int or not 0 <= number < 2**53:
            raise CorruptRecord(path, f"its last line has {number!r:.40} where a number should be")
    return lines, index, head, pages, entries
