"""The archive file of a session: an uncompressed tar of its files, with a manifest that no byte escapes.

`manifest.json` comes first and says size and SHA-256 of each member behind it; `manifest.sha256` comes last and says
that of the manifest. `tar` unpacks such a file, and `sha256sum` checks it. It is read by what is below alone, and
nothing in it chooses where a byte goes: members are regular files, of names that this module would give.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256

from ..contract.errors import CorruptRecord
from . import names
from .files import read_sealed, seal
from .snapshots import KINDS, PLACES
from .system import system

KIND = "archive"
MANIFEST = "manifest.json"
MANIFEST_SUM = "manifest.sha256"
SESSION = "session"

MAX_MANIFEST = 256 * 1024 * 1024
_BLOCK = tarfile.BLOCKSIZE
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The fields of `manifest.json`. `last_seq` and `last_sum` are those of the last record of the session."""

    session_id: str
    session_name: str
    head_revision: int
    node_count: int
    attachment_count: int
    exported_at_ms: int
    last_seq: int
    last_sum: str
    members: tuple[Member, ...]


def member_of(name: str, path: str) -> Member:
    """The member that the file at `path` is. What is named by its bytes must be what its name says."""
    digest, size = sha256(), 0
    for piece in pieces(path):
        digest.update(piece)
        size += len(piece)
    found = digest.hexdigest()
    own = own_sha256(name)
    if own not in (None, found):
        raise CorruptRecord(path, "its bytes are not those of its name")
    return Member(name, size, found)


def own_sha256(name: str) -> str | None:
    """The SHA-256 that a member's name promises, if it promises one."""
    last = name.rpartition("/")[2]
    return names.parse_node_file(last) or (last if names.is_sha256(last) else None)


def pieces(path: str) -> Generator[bytes]:
    """The bytes of a file, some at a time. Whoever stops before its end closes it."""
    fd = system.open_read(path)
    try:
        at = 0
        while piece := system.pread(fd, _PIECE, at):
            yield piece
            at += len(piece)
    finally:
        system.let_go(fd)


def is_member(name: str) -> bool:
    """Whether a member may be called that."""
    parts = name.split("/")
    if parts[0] == SESSION and len(parts) == 2:
        return parts[1] in {names.META, names.HEAD}
    if parts[0] == SESSION and len(parts) == 3:
        return parts[1] in PLACES and names.classify(parts[2], False, PLACES[parts[1]]) in KINDS
    if parts[0] == names.ATTACHMENTS and len(parts) == 3:
        sha = parts[2].removesuffix(".json")
        return names.is_sha256(sha) and parts[1] == names.attachment_shard(sha)
    return False


class ArchiveWriter:
    """Writes one archive into an open file.

    Attributes:
        size: the bytes written so far.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._digest = sha256()
        self.size = 0

    def write(self, manifest: Manifest, path_of: Callable[[str], str], tell: Callable[[int, int], None]) -> str:
        """Write all of it, members from where `path_of` says, and flush it; the SHA-256 of the file."""
        raw = seal(KIND, manifest)
        self._file(MANIFEST, len(raw), [raw])
        total = sum(member.size for member in manifest.members)
        done = total
        for member in manifest.members:
            tell(done, 2 * total)
            done += member.size
            with closing(pieces(path_of(member.name))) as content:
                self._file(member.name, member.size, content)
        tell(done, 2 * total)
        line = f"{sha256(raw).hexdigest()}  {MANIFEST}\n".encode()
        self._file(MANIFEST_SUM, len(line), [line])
        self._put(bytes(2 * _BLOCK))
        system.flush_file(self._fd)
        return self._digest.hexdigest()

    def _file(self, name: str, size: int, content: Iterator[bytes] | list[bytes]) -> None:
        header = tarfile.TarInfo(name)
        header.size, header.mode = size, 0o600
        self._put(header.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict"))
        start = self.size
        for piece in content:
            self._put(piece)
        if self.size - start != size:
            raise CorruptRecord(name, "it changed while it was exported")
        self._put(bytes(-size % _BLOCK))

    def _put(self, piece: bytes) -> None:
        system.pwrite_all(self._fd, piece, self.size)
        self._digest.update(piece)
        self.size += len(piece)


class ArchiveReader:
    """Reads one archive, which may be anything. Whatever is not as it was written is `CorruptRecord`.

    Attributes:
        manifest: what it says of itself, which only `members` makes sure of.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = system.open_read(path)
        try:
            self._size = system.size(self._fd)
            raw, self._begin = self._whole(0, MANIFEST)
            self._manifest_sum = sha256(raw).hexdigest()
            self.manifest = read_sealed(Manifest, KIND, raw, path)
            self._check_names()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            system.let_go(fd)

    def _damaged(self, reason: str) -> CorruptRecord:
        return CorruptRecord(self.path, reason)

    def _check_names(self) -> None:
        seen = [member.name for member in self.manifest.members]
        if len(set(seen)) != len(seen):
            raise self._damaged("its manifest names a file twice")
        for member in self.manifest.members:
            if not is_member(member.name) or member.size < 0 or not names.is_sha256(member.sha256):
                raise self._damaged(f"a session's archive has no file {member.name[:200]!r} like that")
            if own_sha256(member.name) not in (None, member.sha256):
                raise self._damaged(f"the name of {member.name!r} is not that of its bytes")
        for needed in (names.META, names.HEAD):
            if f"{SESSION}/{needed}" not in seen:
                raise self._damaged(f"it has no {needed}")

    def members(self, take: Callable[[Member, Iterator[bytes]], None]) -> None:
        """Hand each member and its bytes to `take`, and check all of the file on the way.

        Only once this returns is anything of it known to be what was exported.
        """
        at = self._begin
        for member in self.manifest.members:
            size, start = self._header(at, member.name)
            if size != member.size:
                raise self._damaged(f"{member.name!r} has not the size that the manifest says")
            digest = sha256()
            take(member, self._summed(start, size, digest.update))
            if digest.hexdigest() != member.sha256:
                raise self._damaged(f"the bytes of {member.name!r} are not what was exported")
            at = start + size + -size % _BLOCK
        line, end = self._whole(at, MANIFEST_SUM)
        if line != f"{self._manifest_sum}  {MANIFEST}\n".encode():
            raise self._damaged("its manifest is not what was exported")
        if self._read(end, 2 * _BLOCK) != bytes(2 * _BLOCK) or end + 2 * _BLOCK != self._size:
            raise self._damaged("it does not end where it should")

    def _summed(self, start: int, size: int, note: Callable[[bytes], None]) -> Iterator[bytes]:
        at = start
        while at < start + size:
            piece = self._read(at, min(_PIECE, start + size - at))
            note(piece)
            at += len(piece)
            yield piece

    def _whole(self, at: int, name: str) -> tuple[bytes, int]:
        """The bytes of a small member, and where the next one begins."""
        size, start = self._header(at, name)
        if size > MAX_MANIFEST:
            raise self._damaged(f"{name} is larger than it may be")
        return self._read(start, size), start + size + -size % _BLOCK

    def _header(self, at: int, name: str) -> tuple[int, int]:
        """Size and start of the member whose header is at `at`, and which must be a regular file of this name."""
        block = self._read(at, _BLOCK)
        try:
            found = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, UnicodeError) as error:
            raise self._damaged(f"there is no file at offset {at}: {error}") from error
        if found.name != name or found.type != tarfile.REGTYPE:
            raise self._damaged(f"at offset {at} there is no regular file {name!r}, but {found.name[:200]!r}")
        if not 0 <= found.size <= self._size:
            raise self._damaged(f"{name!r} is larger than the file that it is in")
        return found.size, at + _BLOCK

    def _read(self, at: int, size: int) -> bytes:
        data = system.pread(self._fd, size, at) if 0 <= at <= self._size - size else b""
        if len(data) != size:
            raise self._damaged(f"it ends at offset {self._size}, before all of it is there")
        return data


def verify(path: str | os.PathLike[str]) -> None:
    """Raise `CorruptRecord` for an archive that is not, to the last byte, what was exported."""
    with closing(ArchiveReader(os.path.realpath(path))) as reader:
        reader.members(_use_up)


def _use_up(member: Member, content: Iterator[bytes]) -> None:
    for _ in content:
        pass


_FIRST = re.compile(re.escape(MANIFEST.encode()) + rb"\0")


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Whether the file looks like the archive of a session, by its first bytes."""
    fd = system.open_read(os.path.realpath(path))
    try:
        start = system.pread(fd, _BLOCK, 0)
    finally:
        system.let_go(fd)
    return len(start) == _BLOCK and _FIRST.match(start) is not None and start[257:262] == b"ustar"
