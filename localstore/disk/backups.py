"""A backup: another store with the same sessions, which is brought up to date session by session.

Each session of it is at any moment what the session was at one moment: its new files come first, then its head takes
the old one's place, as in a fold. Immutable files are hard links where the file system has them, so that they take no
space of their own, and what is there from the last time is not touched.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..contract.archives import BackupReport
from ..contract.errors import BackendError, CorruptRecord, SessionNotFound
from ..contract.sessions import Durability
from ..machine.moment import Moment
from . import names, snapshots
from .files import read_sealed, seal
from .fold import write_head
from .head import at_rest
from .keeper import FileKeeper
from .leftovers import remove_quietly, remove_tree_quietly, unfinished
from .loading import Loaded, load_head_only
from .lock import SessionLock
from .root import KIND as STORE_KIND
from .root import StoreRecord, open_root
from .snapshots import Copier
from .superseded import clean
from .system import system
from .trash import DEADLINE_S
from .views import LEASE_KIND, show_lease, write_whole

if TYPE_CHECKING:
    from .sessions import FileSessions


def back_up(source: FileSessions, root: str, path: str) -> BackupReport:
    """Bring the backup at `path` of the store at `root` up to date; what cannot be copied is told at the end."""
    from .sessions import FileSessions

    _open_target(root, path)
    target = FileSessions(path, Durability.FULL, source.surroundings)
    try:
        return _Backup(source, target, root, path).run()
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

    def run(self) -> BackupReport:
        failure: BackendError | CorruptRecord | None = None
        found, unreadable = self._source.survey()
        if unreadable:
            failure = CorruptRecord(unreadable[0].path, unreadable[0].reason)
        for session_id in sorted(row.session_id for row in found):
            try:
                self._session(session_id)
            except SessionNotFound:
                continue  # it was deleted meanwhile
            except (BackendError, CorruptRecord) as error:
                failure = failure or error
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
        source, folder = keeper.folder, os.path.join(self._path, names.SESSIONS, os.path.basename(keeper.folder))
        moment = self._source.surroundings.moment()
        if os.path.lexists(folder) and self._incarnation(folder, session_id) != keeper.incarnation:
            self._target.remove(session_id)

        def copy(loaded: Loaded) -> None:
            if os.path.lexists(folder):
                self._update(source, loaded, folder, moment)
            else:
                self._make(source, loaded, folder, moment)

        keeper.folded(copy)

    @staticmethod
    def _incarnation(folder: str, session_id: str) -> str | None:
        try:
            there = load_head_only(folder, session_id)
        except (CorruptRecord, SessionNotFound):
            return None
        there.close()
        return there.head.incarnation

    def _make(self, source: str, loaded: Loaded, folder: str, moment: Moment) -> None:
        building = os.path.join(os.path.dirname(folder), names.temporary(os.path.basename(folder)))
        system.make_dir(building)
        try:
            self._take(source, loaded, building, moment)
            for name, content in snapshots.records_of(loaded).items():
                system.write_new(os.path.join(building, name), content, True)
            system.write_new(os.path.join(building, names.LOCK), b"", False)
            show_lease(building, loaded.state.lease, flush=True)
            system.flush_dir(building)
            system.rename_dir(building, folder)
        except BaseException:
            remove_tree_quietly(building)
            raise
        system.flush_dir(os.path.dirname(folder))
        self._copied.append(loaded.head.session_id)

    def _update(self, source: str, loaded: Loaded, folder: str, moment: Moment) -> None:
        lock = SessionLock(os.path.join(folder, names.LOCK))
        try:
            lock.acquire(DEADLINE_S)
            session_id = loaded.head.session_id
            there = load_head_only(folder, session_id)
            there.close()
            # The heads of a backup have no place, which every head that is written there by others has.
            has_journal = any(names.parse_journal(name) is not None for name in system.listdir(folder))
            if has_journal or there.head.place or there.head.generation > loaded.head.generation:
                raise BackendError(f"{folder} was written to since it was backed up; make the backup in another folder")
            if there.head.generation == loaded.head.generation:
                self._take_attachments(loaded, moment)
                # Whoever made it so may have been cut off before it was durable, or before all was removed: a power cut
                # may have left this head and the views of another one.
                self._show(folder, loaded)
                system.flush_dir(folder)
                clean(folder, there.head, there.head)
                self._remove_gone(folder, {part.name for part in snapshots.parts_of(source, loaded)})
                self._unchanged.append(session_id)
                return
            taken = self._take(source, loaded, folder, moment)
            self._show(folder, loaded)
            clean(folder, there.head, write_head(folder, at_rest(loaded.head), loaded.unknown, placed=False))
            self._remove_gone(folder, taken)
            self._copied.append(session_id)
        finally:
            lock.close()

    @staticmethod
    def _show(folder: str, loaded: Loaded) -> None:
        """Bring the views of the head up to date."""
        path, meta = os.path.join(folder, names.META), snapshots.records_of(loaded)[names.META]
        if _content(path) != meta:
            write_whole(path, meta, flush=True)
        lease = loaded.state.lease
        if _content(os.path.join(folder, names.LEASE)) != (None if lease is None else seal(LEASE_KIND, lease)):
            show_lease(folder, lease, flush=True)

    def _take(self, source: str, loaded: Loaded, folder: str, moment: Moment) -> set[str]:
        self._take_attachments(loaded, moment)
        return snapshots.take_parts(snapshots.parts_of(source, loaded), folder, self._copier)

    def _take_attachments(self, loaded: Loaded, moment: Moment) -> None:
        """Of what the session names; while its lock is held, a sweep may put these aside, but not remove them."""
        for attachment_id in sorted(snapshots.named_attachments(loaded, moment)):
            self._take_attachment(attachment_id)

    def _take_attachment(self, attachment_id: str) -> None:
        """Take what is missing of it, once a run."""
        if attachment_id not in self._seen:
            for source in snapshots.take_attachment(self._from, attachment_id, self._to, self._copier)[:1]:
                self._renew_label(source)
            self._seen.add(attachment_id)

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
        """Blobs that the session dropped, and what a backup that was cut off did not finish."""
        for inside in (names.BLOBS, names.INPUTS, names.WORK):
            where = os.path.join(folder, inside)
            for name in system.listdir(where) if os.path.lexists(where) else ():
                is_dropped = names.is_sha256(name) and f"{inside}/{name}" not in taken
                if is_dropped or names.is_temporary(name):
                    remove_quietly(os.path.join(where, name))

    def _trash_deleted(self) -> tuple[tuple[str, ...], BackendError | CorruptRecord | None]:
        """What was deleted goes to the backup's trash, and stays there until that is purged; what hindered it."""
        found, unreadable = self._target.survey()
        failure: BackendError | CorruptRecord | None = None
        if unreadable:
            failure = CorruptRecord(unreadable[0].path, unreadable[0].reason)
        gone = []
        for session_id in sorted(filter(self._is_gone, [row.session_id for row in found])):
            try:
                self._target.remove(session_id)
            except (BackendError, CorruptRecord) as error:
                failure = failure or error
            else:
                gone.append(session_id)
        return tuple(gone), failure

    def _is_gone(self, session_id: str) -> bool:
        try:
            return self._source.find(session_id) is None
        except (BackendError, CorruptRecord):
            return False  # what cannot be read is not deleted

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
