"""How much space a store takes, by session and by what it is for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import orjson

from ..contract.errors import BackendError, CorruptRecord
from . import names
from .head import MAX_HEAD
from .leftovers import size_of_file
from .names import EntryKind, Place
from .system import system

FOLDERS = "folders"
OTHER = "other"
KINDS = ("nodes", "blobs", "queues", "journals", "records", "quarantine", FOLDERS, OTHER)
"""What the bytes of a session are for, in the order they are shown."""

_INSIDE = {
    names.NODES: "nodes",
    names.BLOBS: "blobs",
    names.INPUTS: "queues",
    names.WORK: "queues",
    names.QUARANTINE: "quarantine",
    names.REDACTIONS: "records",
}
_RECORDS = {EntryKind.META, EntryKind.HEAD, EntryKind.LEASE, EntryKind.RECEIPT, EntryKind.LOCK}


@dataclass(slots=True)
class SessionSpace:
    """What one session takes, in bytes.

    Attributes:
        folder: its folder, relative to the store's root, with `/`.
        session_id: `None` where the folder does not say.
        is_trashed: whether it is in the trash.
        kinds: bytes by kind; every one of `KINDS` is there.
        shared_bytes: how much of it lies in files that are in other sessions as well, as a fork's are.
    """

    folder: str
    session_id: str | None
    is_trashed: bool
    kinds: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    shared_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """All of it, whether or not it is shared."""
        return sum(self.kinds.values())


@dataclass(slots=True)
class StoreSpace:
    """What a store takes, in bytes; a file that several sessions share counts once in the sums.

    Attributes:
        sessions: the largest first, those in the trash, too.
        session_bytes: all sessions that are not in the trash.
        trash_bytes: what only the trash needs.
        attachment_bytes: the attachments.
        other_bytes: everything else below the root, and the folders themselves.
    """

    sessions: list[SessionSpace] = field(default_factory=list)
    session_bytes: int = 0
    trash_bytes: int = 0
    attachment_bytes: int = 0
    other_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """As `du -b` has it: the length of every file and folder, hard links once."""
        return self.session_bytes + self.trash_bytes + self.attachment_bytes + self.other_bytes


def measure(root: str | os.PathLike[str], tell: Callable[[int, int], None] | None = None) -> StoreSpace:
    """Look at every entry below `root`, and read none but for the sessions' ids. Changes nothing, takes no lock.

    What comes and goes meanwhile is counted or not. `tell` is called with how many sessions are done, and of how many.
    """
    measuring = _Measuring(os.fspath(root), tell or (lambda done, total: None))
    measuring.run()
    measuring.space.sessions.sort(key=lambda each: (-each.total_bytes, each.folder))
    return measuring.space


class _Measuring:
    def __init__(self, root: str, tell: Callable[[int, int], None]) -> None:
        self.space = StoreSpace()
        self._tell = tell
        self._done = self._total = 0
        self._root = root
        self._seen: set[tuple[int, int]] = set()
        self._linked: list[tuple[SessionSpace, tuple[int, int], int]] = []

    def run(self) -> None:
        for inside in (names.SESSIONS, names.TRASH):
            try:
                self._total += len(system.listdir(os.path.join(self._root, inside)))
            except FileNotFoundError:
                continue
        # Sessions before the trash: what both have is not freed by purging.
        for name, is_folder, status in _entries(self._root):
            if not (is_folder and name in {names.SESSIONS, names.TRASH, names.ATTACHMENTS}):
                self.space.other_bytes += self._sum(os.path.join(self._root, name), is_folder, status)
        self.space.other_bytes += size_of_file(self._root)
        self.space.session_bytes += self._sessions(names.SESSIONS)
        self.space.trash_bytes += self._sessions(names.TRASH)
        folder = os.path.join(self._root, names.ATTACHMENTS)
        self.space.attachment_bytes += self._below(folder) + size_of_file(folder)
        self._tell_shared()
        self._tell(self._total, self._total)

    def _sessions(self, inside: str) -> int:
        where, is_trash = os.path.join(self._root, inside), inside == names.TRASH
        place, kind = (Place.TRASH, EntryKind.TRASHED) if is_trash else (Place.SESSIONS, EntryKind.SESSION)
        total = size_of_file(where)
        for name, is_folder, status in _entries(where):
            self._tell(min(self._done, self._total), self._total)
            self._done += 1
            path = os.path.join(where, name)
            if names.classify(name, is_folder, place) is kind:
                session = SessionSpace(f"{inside}/{name}", id_said(path), is_trash)
                self.space.sessions.append(session)
                total += self._session(path, session)
            else:
                total += self._sum(path, is_folder, status)
        return total

    def _session(self, folder: str, session: SessionSpace) -> int:
        """Count a session; the bytes of it that were not counted before."""
        session.kinds[FOLDERS] += size_of_file(folder)
        fresh = session.kinds[FOLDERS]
        for path, is_folder, status in _walk(folder):
            kind = FOLDERS if is_folder else _kind(os.path.relpath(path, folder))
            session.kinds[kind] += status.st_size
            if not is_folder and status.st_nlink > 1:
                self._linked.append((session, (status.st_dev, status.st_ino), status.st_size))
            fresh += self._fresh(is_folder, status)
        return fresh

    def _tell_shared(self) -> None:
        holders: dict[tuple[int, int], set[str]] = {}
        for session, file, _ in self._linked:
            holders.setdefault(file, set()).add(session.folder)
        for session, file, size in self._linked:
            if len(holders[file]) > 1:
                session.shared_bytes += size

    def _sum(self, path: str, is_folder: bool, status: os.stat_result) -> int:
        return self._fresh(is_folder, status) + (self._below(path) if is_folder else 0)

    def _below(self, folder: str) -> int:
        return sum(self._fresh(is_folder, status) for _, is_folder, status in _walk(folder))

    def _fresh(self, is_folder: bool, status: os.stat_result) -> int:
        """The size of an entry; 0 for a file that was counted under another name."""
        if is_folder or status.st_nlink < 2:
            return status.st_size
        key = (status.st_dev, status.st_ino)
        if key in self._seen:
            return 0
        self._seen.add(key)
        return status.st_size


def _kind(path: str) -> str:
    inside, _, rest = path.partition(os.sep)
    if rest:
        return _INSIDE.get(inside, OTHER)
    kind = names.classify(path, False, Place.SESSION)
    if kind is EntryKind.JOURNAL:
        return "journals"
    return "records" if kind in _RECORDS else OTHER


def _walk(folder: str) -> Iterator[tuple[str, bool, os.stat_result]]:
    for name, is_folder, status in _entries(folder):
        path = os.path.join(folder, name)
        yield path, is_folder, status
        if is_folder:
            yield from _walk(path)


def _entries(folder: str) -> list[tuple[str, bool, os.stat_result]]:
    """Name, whether it is a real folder, and status of each entry; what goes meanwhile is left out."""
    found = []
    try:
        for name, is_folder in system.entries(folder):
            try:
                found.append((name, is_folder, system.stat(os.path.join(folder, name))))
            except FileNotFoundError:
                continue
    except FileNotFoundError:
        return found
    return found


def id_said(folder: str) -> str | None:
    """The id that a session's folder says, be its head damaged or not."""
    for name in (names.HEAD, names.META):
        try:
            fields = orjson.loads(system.read_file(os.path.join(folder, name), MAX_HEAD))
        except (FileNotFoundError, BackendError, CorruptRecord, orjson.JSONDecodeError):
            continue
        if isinstance(fields, dict) and isinstance(fields.get("session_id"), str):
            return str(fields["session_id"])
    return None
