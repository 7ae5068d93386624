"""The trash: deleted sessions, each in a folder of its own, until they are restored or purged.

A session is deleted in this order: `receipt.json` is written into its folder, its head is marked, its folder is
renamed into the trash. The mark is what counts: a folder that is marked and has not moved is in the trash as well, and
is moved by whoever needs its name. A session is restored in the reverse order, and gets a new incarnation, so that
handles from before its deletion stay what they are. Folders are moved by one process at a time, under a lock, and
out of the sessions only if they are marked: the name may be a new session's by then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple, TypeVar

from ..contract.errors import BackendError, CorruptRecord, SessionNotFound
from ..contract.trash import TrashedSession
from ..machine import reading
from ..machine.decision import View
from ..surroundings import Surroundings
from . import names
from .files import read_sealed, seal
from .fold import fold, write_head
from .leftovers import remove_quietly, remove_tree_quietly
from .listing import size_of
from .loading import Loaded, is_deleted, load_session
from .lock import SessionLock
from .system import system
from .views import write_whole

R = TypeVar("R")

KIND = "receipt"
DEADLINE_S = 10.0
"""How long to wait for another process that moves folders."""
_MOST_TRIES = 10_000


class TrashEntry(NamedTuple):
    """A deleted session, and its folder; `moved` says that this is in the trash already."""

    session: TrashedSession
    folder: str
    moved: bool


def mark_deleted(folder: str, session_id: str, loaded: Loaded | None, now_ms: int) -> None:
    """Under the session's lock: delete the session, of which nothing moves yet.

    Where not even the head can be read (`loaded` is `None`), the receipt alone says it.
    """
    if loaded is None:
        receipt = TrashedSession(session_id, session_id, now_ms, 0, 0, 0, 0)
    else:
        receipt = _receipt_of(loaded, folder, now_ms)
    write_whole(os.path.join(folder, names.RECEIPT), seal(KIND, receipt), flush=True)
    # The receipt's name before the mark's: what is deleted and has none would be in no list.
    system.flush_dir(folder)
    if loaded is None:
        return
    mark = replace(loaded.head, generation=loaded.head.generation + 1, deleted=True)
    write_head(folder, mark, before=loaded.head)


def _receipt_of(loaded: Loaded, folder: str, now_ms: int) -> TrashedSession:
    summary = reading.summarize(loaded.state, size_of(folder, loaded))
    return TrashedSession(
        summary.session_id,
        summary.session_name,
        now_ms,
        summary.updated_at_ms,
        summary.node_count,
        summary.head_revision,
        summary.size_bytes,
    )


class Trash:
    """The trash of the store at `root`."""

    def __init__(self, root: str, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._sessions = os.path.join(root, names.SESSIONS)
        self._trash = os.path.join(root, names.TRASH)
        self._named = False

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """While this is held, no process moves a folder into the trash or out of it.

        Whoever holds it may wait for a session's lock; whoever holds a session's lock must not wait for this.
        """
        system.make_dir(self._trash)
        lock = SessionLock(os.path.join(self._trash, names.TRASH_LOCK))
        try:
            lock.acquire(DEADLINE_S)
            try:
                yield
            finally:
                lock.release()
        finally:
            lock.close()

    # Looking: nothing is written.

    def entries(self, session_id: str | None = None, deleted_until_ms: int = names.MAX_SEQ) -> Iterator[TrashEntry]:
        """Every deleted session, or those of one id, or those deleted until then, in no order."""
        for folder in self._unmoved(session_id):
            yield from (each for each in self._told(folder) if each.session.deleted_at_ms <= deleted_until_ms)
        for name in self._listed(self._trash):
            parsed = names.parse_trashed(name)
            if parsed is None or parsed[1] > deleted_until_ms:
                continue
            if session_id is not None and parsed[0] != names.session_dirname(session_id):
                continue
            yield from self._told(os.path.join(self._trash, name), parsed[1])

    def views(self, view: View[R], boot: str) -> Iterator[R]:
        """What `view`, which looks at no queue, sees of each deleted session."""
        for entry in self.entries():
            loaded = load_session(entry.folder, None, boot, write=False, queues=False, deleted=True)
            try:
                yield view(loaded.state, loaded.archive, self._surroundings.moment())
            finally:
                loaded.close()

    def _unmoved(self, session_id: str | None) -> Iterator[str]:
        found = self._listed(self._sessions) if session_id is None else [names.session_dirname(session_id)]
        for name in found:
            folder = os.path.join(self._sessions, name)
            if os.path.lexists(os.path.join(folder, names.RECEIPT)) and is_deleted(folder):
                yield folder

    @staticmethod
    def _listed(folder: str) -> list[str]:
        try:
            return sorted(system.listdir(folder))
        except FileNotFoundError:
            return []

    def _told(self, folder: str, moved_at_ms: int | None = None) -> Iterator[TrashEntry]:
        try:
            receipt = self._receipt(folder)
        except (FileNotFoundError, SessionNotFound):
            if os.path.lexists(folder):
                raise
            return  # purged or restored meanwhile
        if moved_at_ms is None:
            yield TrashEntry(receipt, folder, moved=False)
        else:
            # The name in the trash tells apart what was deleted in one millisecond.
            yield TrashEntry(replace(receipt, deleted_at_ms=moved_at_ms), folder, moved=True)

    def _receipt(self, folder: str) -> TrashedSession:
        """The receipt of a deleted session; where it is damaged, one of now by what the session itself tells."""
        path = os.path.join(folder, names.RECEIPT)
        try:
            return read_sealed(TrashedSession, KIND, system.read_file(path), path)
        except (FileNotFoundError, CorruptRecord):
            loaded = load_session(folder, None, "", write=False, queues=False, deleted=True)
            try:
                return _receipt_of(loaded, folder, self._surroundings.clock.now_ms())
            finally:
                loaded.close()

    # Moving.

    def take(self, session_id: str) -> None:
        """Move the folder of a session out of the way, if it is there and marked deleted."""
        folder = self._folder(session_id)
        if os.path.lexists(folder):
            with self.standing_still():
                self._take(folder)

    def _folder(self, session_id: str) -> str:
        return os.path.join(self._sessions, names.session_dirname(session_id))

    def _take(self, folder: str) -> str | None:
        """Where the folder is now, or `None` where it is not there or not marked."""
        if not os.path.lexists(folder) or not is_deleted(folder):
            return None
        at_ms = self._receipt(folder).deleted_at_ms
        if not self._named:
            # Whoever made the trash may have died before its name was flushed.
            system.flush_dir(os.path.dirname(self._trash))
            self._named = True
        for later in range(_MOST_TRIES):
            place = os.path.join(self._trash, names.trashed(os.path.basename(folder), at_ms + later))
            try:
                system.rename_dir(folder, place)
            except FileExistsError:
                continue
            self._flush_names()
            return place
        raise BackendError(f"the trash has {_MOST_TRIES} sessions like {folder} of one moment; purge it")

    def restore(self, entry: TrashEntry, boot: str, incarnation: str) -> bool:
        """Make the deleted session a session again; `False` where it is so damaged that it stays the same incarnation.

        `FileExistsError` where there is one of its id, `FileNotFoundError` where it is not in the trash any more.
        """
        folder = self._folder(entry.session.session_id)
        with self.standing_still():
            taken = self._take(folder)
            source = entry.folder if entry.moved else taken
            if source is None:
                raise FileNotFoundError(folder)
            system.rename_dir(source, folder)
            try:
                self._flush_names()
                return _revive(folder, boot, incarnation)
            except BaseException as error:
                if _is_put_back(folder, source) or not isinstance(error, BackendError) or is_deleted(folder):
                    raise
                return True

    def _flush_names(self) -> None:
        """In any durability: half of a session must not come back under the name that it had."""
        system.flush_dir(self._sessions)
        system.flush_dir(self._trash)

    def purge(self, entry: TrashEntry) -> bool:
        """Remove the deleted session for good; `False` where it is not in the trash any more."""
        with self.standing_still():
            source = entry.folder if entry.moved else self._take(entry.folder)
            if source is None:
                return False
            doomed = os.path.join(self._trash, names.temporary(os.path.basename(source)))
            # Both: whoever moved it here may have died before the name that it had was durably gone.
            with system.flushing_dir(self._sessions) as flush_former, system.flushing_dir(self._trash) as flush:
                try:
                    system.rename_dir(source, doomed)
                except FileNotFoundError:
                    return False
                try:
                    flush_former()
                    flush()
                except BackendError:
                    if _is_put_back(doomed, source):
                        raise
        remove_tree_quietly(doomed)
        return True


def _is_put_back(moved: str, source: str) -> bool:
    """Whether what could not be moved durably has its former name again; if not, it has moved, barring a power cut."""
    try:
        system.rename_dir(moved, source)
    except (BackendError, FileNotFoundError, FileExistsError):
        return False
    return True


def _revive(folder: str, boot: str, incarnation: str) -> bool:
    """Fold the session under a head that is not marked, as another incarnation; the fold removes the receipt."""
    lock = SessionLock(os.path.join(folder, names.LOCK))
    try:
        lock.acquire(DEADLINE_S)
        loaded = load_session(folder, None, boot, write=True, deleted=True)
        try:
            loaded.state.incarnation = incarnation
            fold(folder, loaded, at_rest=True)
        finally:
            loaded.close()
    except CorruptRecord:
        # It was deleted as damaged as it is. Those who use it are told of that.
        remove_quietly(os.path.join(folder, names.RECEIPT))
        return False
    else:
        return True
    finally:
        lock.close()
