"""Making node files: in memory for small ones, through a temporary file for large ones. `nodefile` has the layout."""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import sha256
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from zlib import crc32

import orjson

from ..contract.errors import BackendError, InvalidArgument
from . import keyindex, names
from .lines import BODY_AT, check_line, encode_line
from .linescan import MAX_LINE
from .system import system

if TYPE_CHECKING:
    from .nodefile import NodeFile

VERSION: Final = 1
"""The version of the node file's layout."""

_OURS: Final = b'{"kind":"file.'
_BEFORE_PAGES: Final = b'"kind":"file.index","pages":"'
_BEFORE_ENTRIES: Final = b'","entries":"'
_CHUNK: Final = 1 << 20


class NodeLine(NamedTuple):
    """A record to write.

    Attributes:
        body: one JSON object in one line, without checksum. A `kind` that starts with "file." is not allowed.
        kind: a code from 0 to 255 that `NodeFile.entries_of_kind` looks for; the file gives it no meaning.
        keys: what the record is found by. The last line of a file that has a key owns it.
    """

    body: bytes
    kind: int
    keys: tuple[str, ...]


def build_node_file(lines: Iterable[NodeLine], head: bytes | dict[str, Any]) -> tuple[str, bytes]:
    """Name (the SHA-256) and bytes of a node file, held in memory.

    Args:
        lines: the records, in order.
        head: the copy of the head: a JSON object in one line, or what becomes one.
    """
    made = NodeFileBytes()
    for line in lines:
        made.add(*line)
    return made.finish(head)


class NodeFileBytes:
    """A node file that is made in memory, record by record."""

    def __init__(self) -> None:
        self._contents = _Contents()
        self._pieces: list[bytes] = []

    @property
    def size(self) -> int:
        """The bytes of the records so far."""
        return self._contents.size

    def add(self, body: bytes, kind: int, keys: tuple[str, ...]) -> None:
        """Appends a record; see `NodeLine`."""
        self._pieces.append(self._contents.line(body, kind, keys))

    def finish(self, head: bytes | dict[str, Any]) -> tuple[str, bytes]:
        """Name and bytes of the file, with this copy of the head: a JSON object in one line, or what becomes one."""
        raw = b"".join([*self._pieces, self._contents.ending(head)])
        return sha256(raw).hexdigest(), raw


class NodeFileWriter:
    """Writes a node file of any size piece by piece; in memory it has only the index.

    Until `finish` there is a temporary file in the folder, which leaving the `with` block removes.

    Args:
        folder: where node files are.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._path = os.path.join(folder, names.temporary("merge"))
        self._contents = _Contents()
        self._digest = sha256()
        self._pieces: list[bytes] = []
        self._pending = 0
        self._written = 0
        self._fd = system.open_write(self._path, True, True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    @property
    def size(self) -> int:
        """The bytes of the records so far."""
        return self._contents.size

    def add(self, line: NodeLine) -> None:
        """Appends a record."""
        self._put(self._contents.line(*line))

    def add_line(self, line: bytes, kind: int, keys: tuple[str, ...]) -> None:
        """Appends a record as `NodeFile` read it: a line without newline."""
        if check_line(line) is None:
            raise InvalidArgument("a line that was read before must have its checksum")
        self._contents.note(len(line) + 1, kind, keys)
        self._put(line + b"\n")

    def add_file(self, file: NodeFile) -> None:
        """Appends all records of another node file as they are, with their places in its index."""
        base = self._contents.size
        entries = file.copy_records(self._put)
        self._contents.note_file(file.record_bytes, file.count, [entry + (base << 8) for entry in entries])

    def finish(self, head: bytes | dict[str, Any], flush: bool) -> str:
        """Completes the file, gives it its name in the folder, and returns that name's SHA-256.

        With `flush` the bytes survive a power cut; the name does once the folder is flushed. A file of this name, which
        has the same bytes, is replaced.
        """
        self._put(self._contents.ending(head))
        self._write()
        if flush:
            system.flush(self._fd)
        fd, self._fd = self._fd, -1
        try:
            system.close(fd)
            sha = self._digest.hexdigest()
            system.replace(self._path, os.path.join(self._folder, names.node_file(sha)))
        except BaseException:
            self._remove()
            raise
        return sha

    def abort(self) -> None:
        """Gives up: removes the temporary file. Does nothing once the file is finished."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            system.let_go(fd)
            self._remove()

    def _put(self, piece: bytes) -> None:
        if self._fd < 0:
            raise BackendError(f"{self._path} is finished; nothing can be added")
        self._pieces.append(piece)
        self._pending += len(piece)
        if self._pending >= _CHUNK:
            self._write()

    def _write(self) -> None:
        chunk = b"".join(self._pieces)
        system.pwrite_all(self._fd, chunk, self._written)
        self._digest.update(chunk)
        self._written += len(chunk)
        self._pieces.clear()
        self._pending = 0

    def _remove(self) -> None:
        try:
            system.unlink(self._path)
        except (BackendError, FileNotFoundError):
            pass  # a temporary file: nobody relies on it, and a sweep removes it


class _Contents:
    """What a node file in the making knows of its records."""

    def __init__(self) -> None:
        self.size = 0
        self._count = 0
        self._newest: dict[str, int] = {}
        self._copied: list[int] = []

    def line(self, body: bytes, kind: int, keys: tuple[str, ...]) -> bytes:
        """The record's line, noted as the next one."""
        if body.startswith(_OURS):
            raise InvalidArgument('a kind that starts with "file." is the node file\'s own')
        line = _encoded(body)
        self.note(len(line), kind, keys)
        return line

    def note(self, size: int, kind: int, keys: tuple[str, ...]) -> None:
        if not 0 <= kind <= 255:
            raise InvalidArgument(f"the code of a kind must be between 0 and 255, not {kind}")
        if self.size > keyindex.MAX_OFFSET or len(self._newest) + len(keys) > keyindex.MAX_ENTRIES:
            raise BackendError(f"a node file holds at most {keyindex.MAX_ENTRIES} keys; write more files")
        for key in keys:
            self._newest[key] = self.size << 8 | kind
        self.size += size
        self._count += 1

    def note_file(self, size: int, count: int, entries: list[int]) -> None:
        """Take note of another file's records. A key may be here twice then: the later line is found first."""
        if self.size > keyindex.MAX_OFFSET or len(self._copied) + len(entries) > keyindex.MAX_ENTRIES:
            raise BackendError(f"a node file holds at most {keyindex.MAX_ENTRIES} keys; write more files")
        self._copied += entries
        self.size += size
        self._count += count

    def ending(self, head: bytes | dict[str, Any]) -> bytes:
        """All that comes after the records."""
        hash_key = keyindex.hash_key
        entries = [hash_key(key) << 56 | place for key, place in self._newest.items()] + self._copied
        pages, texts = keyindex.build(entries)
        index = _encoded(b"".join((b"{", _BEFORE_PAGES, pages, _BEFORE_ENTRIES, texts, b'"}')))
        copy = _encoded(b'{"kind":"file.head","head":%b}' % _json_object(head))
        pages_at = self.size + BODY_AT + len(_BEFORE_PAGES)
        entries_at = pages_at + len(pages) + len(_BEFORE_ENTRIES)
        end = {
            "kind": "file.end",
            "version": VERSION,
            "lines": self._count,
            "index": (self.size, len(index)),
            "head": (self.size + len(index), len(copy)),
            "pages": (pages_at, len(pages) // keyindex.PAGE_CHARS, crc32(pages)),
            "entries": (entries_at, len(entries), crc32(texts)),
        }
        return index + copy + _encoded(orjson.dumps(end))


def _encoded(body: bytes) -> bytes:
    if body[:2] != b'{"' or body[-1:] != b"}" or b"\n" in body:
        raise InvalidArgument("the body of a line must be one JSON object with members, in one line")
    if len(body) + BODY_AT > MAX_LINE:
        raise InvalidArgument(f"a line with {len(body)} bytes is too long, at most {MAX_LINE} are allowed")
    return encode_line(body)


def _json_object(head: bytes | dict[str, Any]) -> bytes:
    if isinstance(head, bytes):
        return head
    try:
        return orjson.dumps(head)
    except TypeError as error:
        raise InvalidArgument(f"the copy of the head is not JSON: {error}") from error
