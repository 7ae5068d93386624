"""A backup: another store with the same sessions, which is brought up to date session by session.

Each session of it is at any moment what the session was at one moment: its new files come first, then its head takes
the old one's place, as in a fold. Immutable files are hard links where the file system has them, so that they take no
space of their own, and what is there from the last time is not touched.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ..contract.archives import BackupReport
from ..contract.errors import BackendError, CorruptRecord, SessionNotFound, StoreError
from ..contract.sessions import Durability
from ..machine.lineage import parted_from
from . import names, snapshots
from .files import read_sealed, seal
from .fold import write_head
from .head import Head, at_rest
from .keeper import FileKeeper
from .leftovers import remove_quietly, remove_tree_quietly, unfinished
from .loading import load_head_only
from .lock import SessionLock
from .names import EntryKind
from .root import KIND as STORE_KIND
from .root import StoreRecord, open_root
from .snapshots import Copier, Snapshot
from .superseded import clean
from .system import system
from .trash import DEADLINE_S
from .views import LEASE_KIND, show_lease, write_whole

if TYPE_CHECKING:
    from .sessions import FileSessions

R = TypeVar("R")


def back_up(source: FileSessions, root: str, path: str, tell: Callable[[int, int], None]) -> BackupReport:
    """Bring the backup at `path` of the store at `root` up to date; what cannot be copied is told at the end.

    `tell` is called with how many sessions are done, and of how many.
    """
    from .sessions import FileSessions

    _open_target(root, path)
    target = FileSessions(path, Durability.FULL, source.surroundings)
    try:
        return _Backup(source, target, root, path).run(tell)
    finally:
        target.close()


def _open_target(root: str, path: str) -> None:
    """Make `path` a store of the same identity as that at `root`, unless it is one already."""
    here, there = os.path.realpath(root), os.path.realpath(path)
    if os.path.commonpath([here, there]) in {here, there} and _same_drive(here, there):
        raise BackendError(f"a backup of {root} cannot be in it, or have it within itself; name another folder")
    own = _record(root)
    if os.path.lexists(os.path.join(path, names.STORE)):
        if _record(path).store_id != own.store_id:
            raise BackendError(f"{path} is a store of its own, not a backup of {root}; name another folder")
    elif os.path.isdir(path) and not _is_begun(path):
        raise BackendError(f"{path} has something else in it; name an empty folder, or one that is to be made")
    open_root(path, own)
    # Whoever began it may have been cut off before its names were durable.
    system.flush_dir(path)
    try:
        system.flush_dir(os.path.dirname(path))
    except BackendError as error:
        if not isinstance(error.__cause__, PermissionError):
            raise  # but what it is in may be a folder that others own


def _is_begun(path: str) -> bool:
    """Whether nothing is in the folder but what a first backup has made of it when it is cut off."""
    for name, is_folder in system.entries(path):
        if is_folder and name in (names.SESSIONS, names.ATTACHMENTS):
            if system.listed(os.path.join(path, name)):
                return False
        elif is_folder or names.classify(name, False, names.Place.ROOT) is not names.EntryKind.TEMPORARY:
            return False
    return True


def _same_drive(here: str, there: str) -> bool:
    return os.path.splitdrive(here)[0] == os.path.splitdrive(there)[0]


def _record(root: str) -> StoreRecord:
    path = os.path.join(root, names.STORE)
    return read_sealed(StoreRecord, STORE_KIND, system.read_file(path), path)


def _content(path: str) -> bytes | None:
    try:
        return system.read_file(path)
    except (FileNotFoundError, CorruptRecord):
        return None


def _is_written_to(folder: str, head: Head) -> bool:
    """Whether a session of a backup, of which this is the head, was written to by others since."""
    # The heads of a backup have no place, which every head that is written there by others has.
    return bool(head.place) or any(names.parse_journal(name) is not None for name in system.listdir(folder))


class _Backup:
    def __init__(self, source: FileSessions, target: FileSessions, root: str, path: str) -> None:
        self._source = source
        self._target = target
        self._from = os.path.join(root, names.ATTACHMENTS)
        self._to = os.path.join(path, names.ATTACHMENTS)
        self._path = path
        self._copier = Copier()
        self._seen: set[str] = set()
        self._copied: list[str] = []
        self._unchanged: list[str] = []

    def run(self, tell: Callable[[int, int], None]) -> BackupReport:
        found, unreadable = self._source.look_over()
        failure = unreadable[0][1] if unreadable else None
        for done, session_id in enumerate(sorted(row.session_id for row in found)):
            tell(done, len(found))
            try:
                self._session(session_id)
            except SessionNotFound:
                continue  # it was deleted meanwhile
            except StoreError as error:
                failure = failure or error
        tell(len(found), len(found))
        trashed, trouble = self._trash_deleted()
        failure = failure or trouble
        self._attachments()
        self._settle()
        if failure is not None:
            raise failure
        return BackupReport(
            self._path,
            tuple(self._copied),
            tuple(self._unchanged),
            trashed,
            self._copier.linked,
            self._copier.copied_bytes,
        )

    def _session(self, session_id: str) -> None:
        keeper = self._source.find(session_id)
        if not isinstance(keeper, FileKeeper):
            raise SessionNotFound(session_id)
        folder = os.path.join(self._path, names.SESSIONS, os.path.basename(keeper.folder))
        if os.path.lexists(folder) and self._is_another(keeper, folder):
            self._target.remove(session_id)
            self._target.make_way(session_id)
        # Somebody else may be making the same backup.
        if os.path.lexists(folder) or not self._is_made(keeper, folder):
            self._update(keeper, folder)

    def _of_one_moment(self, keeper: FileKeeper, take: Callable[[Snapshot], R]) -> R:
        return snapshots.of_one_moment(keeper, self._from, self._source.surroundings.moment(), take)

    @staticmethod
    def _is_another(keeper: FileKeeper, folder: str) -> bool:
        """Whether the session of this name in the backup is another one, or went another way.

        That is so where the store was put back to how it was before the backup, and went on from there.
        """
        try:
            there = load_head_only(folder, keeper.session_id)
        except (CorruptRecord, SessionNotFound):
            return True
        there.close()
        head = there.head
        if head.incarnation != keeper.incarnation:
            return True
        if _is_written_to(folder, head):
            return False  # it is refused, whichever way it went
        last = (head.folded_seq, head.folded_sum)
        if keeper.folded(lambda loaded: (loaded.head.folded_seq, loaded.head.folded_sum)) == last:
            return False
        return keeper.read(parted_from(*last))

    def _is_made(self, keeper: FileKeeper, folder: str) -> bool:
        """Make the session, which is not there yet; `False` where somebody else was first."""
        building = os.path.join(os.path.dirname(folder), names.temporary(os.path.basename(folder)))

        def take(snapshot: Snapshot) -> Snapshot:
            self._take_attachments(snapshot)
            self._remove_gone(building, snapshots.take_parts(snapshot.parts, building, self._copier))
            return snapshot

        try:
            system.make_dir(building)
            snapshot = self._of_one_moment(keeper, take)
            for name, content in snapshot.records.items():
                system.write_new(os.path.join(building, name), content, True)
            system.write_new(os.path.join(building, names.LOCK), b"", False)
            show_lease(building, snapshot.lease, flush=True)
            system.flush_dir(building)
            system.rename_dir(building, folder)
        except FileExistsError:
            remove_tree_quietly(building)
            return False
        except BaseException:
            remove_tree_quietly(building)
            raise
        system.flush_dir(os.path.dirname(folder))
        self._copied.append(snapshot.head.session_id)
        return True

    def _update(self, keeper: FileKeeper, folder: str) -> None:
        lock = SessionLock(os.path.join(folder, names.LOCK))
        try:
            lock.acquire(DEADLINE_S)
            there = load_head_only(folder, keeper.session_id)
            there.close()
            self._of_one_moment(keeper, lambda snapshot: self._bring_up(snapshot, folder, there.head))
        finally:
            lock.close()

    def _bring_up(self, snapshot: Snapshot, folder: str, there: Head) -> None:
        """Bring a session up to date of which `there` is the head."""
        if _is_written_to(folder, there):
            raise BackendError(f"{folder} was written to since it was backed up; make the backup in another folder")
        is_new = _content(os.path.join(folder, names.HEAD)) != snapshot.records[names.HEAD]
        self._take_attachments(snapshot)
        taken = {part.name for part in snapshot.parts}
        if is_new:
            snapshots.take_parts(snapshot.parts, folder, self._copier)
        # Also where nothing is new: who made it so may have been cut off before it was durable, or before all was
        # removed. A power cut may have left this head and the views of another one.
        self._show(folder, snapshot)
        now = there
        if is_new:
            now = write_head(folder, at_rest(snapshot.head), placed=False)
        else:
            system.flush_dir(folder)
        clean(folder, there, now)
        self._remove_gone(folder, taken)
        (self._copied if is_new else self._unchanged).append(snapshot.head.session_id)

    @staticmethod
    def _show(folder: str, snapshot: Snapshot) -> None:
        """Bring the views of the head up to date."""
        path, meta = os.path.join(folder, names.META), snapshot.records[names.META]
        if _content(path) != meta:
            write_whole(path, meta, flush=True)
        lease = snapshot.lease
        if _content(os.path.join(folder, names.LEASE)) != (None if lease is None else seal(LEASE_KIND, lease)):
            show_lease(folder, lease, flush=True)

    def _take_attachments(self, snapshot: Snapshot) -> None:
        for attachment_id in snapshot.attachments:
            if not self._take_attachment(attachment_id):
                raise FileNotFoundError(attachment_id)  # it was swept since

    def _take_attachment(self, attachment_id: str) -> bool:
        """Take what is missing of it, once a run; whether its bytes are here."""
        if attachment_id not in self._seen:
            found = snapshots.take_attachment(self._from, attachment_id, self._to, self._copier)
            if not found:
                return False
            self._renew_label(found[0])
            self._seen.add(attachment_id)
        return True

    def _renew_label(self, source: snapshots.Source) -> None:
        """Bytes never change; what is said of them beside does in a redaction."""
        path = os.path.join(self._to, *source.name.split("/"))
        try:
            there = system.stat(path)
            if (there.st_dev, there.st_ino) == (system.stat(source.path).st_dev, system.stat(source.path).st_ino):
                return
            content = system.read_file(source.path)
            if content == system.read_file(path):
                return
        except FileNotFoundError:
            return
        write_whole(path, content, flush=True)
        system.flush_dir(os.path.dirname(path))

    @staticmethod
    def _remove_gone(folder: str, taken: set[str]) -> None:
        """Remove files that the session does not rely on any more, and what was not finished."""
        for inside, place in snapshots.PLACES.items():
            where = os.path.join(folder, inside)
            for name in system.listdir(where) if os.path.lexists(where) else ():
                is_ours = names.classify(name, False, place) in {*snapshots.KINDS, EntryKind.TEMPORARY}
                if is_ours and f"{inside}/{name}" not in taken:
                    remove_quietly(os.path.join(where, name))

    def _trash_deleted(self) -> tuple[tuple[str, ...], StoreError | None]:
        """What was deleted goes to the backup's trash, and stays there until that is purged; what hindered it."""
        found, unreadable = self._target.look_over()
        failure = unreadable[0][1] if unreadable else None
        gone = []
        for session_id in sorted(row.session_id for row in found):
            try:
                # What cannot be read is not deleted.
                if self._source.find(session_id) is None:
                    self._target.remove(session_id)
                    gone.append(session_id)
            except StoreError as error:
                failure = failure or error
        return tuple(gone), failure

    def _attachments(self) -> None:
        """Those that no session names, too."""
        for shard, is_folder in system.entries(self._from):
            for name in system.listdir(os.path.join(self._from, shard)) if is_folder else ():
                if names.is_sha256(name):
                    self._take_attachment(name)

    def _settle(self) -> None:
        """Make names durable that a backup before this one may have left unflushed; remove what it left over."""
        for shard, is_folder in system.entries(self._to):
            if is_folder:
                where = os.path.join(self._to, shard)
                for path in unfinished(where):
                    remove_quietly(path)
                system.flush_dir(where)
        system.flush_dir(self._to)
        for folder in (names.SESSIONS, names.TRASH):
            if os.path.lexists(os.path.join(self._path, folder)):
                system.flush_dir(os.path.join(self._path, folder))
