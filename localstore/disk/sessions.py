"""The sessions of a store on disk: made, found, listed, removed, and at most so many of them open."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator

from .. import liveness
from ..contract.archives import ArchiveInfo, BackupReport, OnConflict
from ..contract.errors import (
    BackendError,
    CorruptRecord,
    InvalidArgument,
    SessionExists,
    SessionNotFound,
    StoreError,
    TrashedSessionNotFound,
)
from ..contract.redaction import LeftPlace, RedactedPlace, SessionRedaction
from ..contract.sessions import Durability, DurabilityTier, SessionMeta, SessionSummary, UnreadableSession
from ..contract.trash import TrashedSession
from ..keeper import Keeper
from ..machine import attachments as rows
from ..machine.decision import View
from ..machine.forks import ForkRequest, child_of
from ..machine.lineage import has_record
from ..machine.redactor import Redactor
from ..machine.state import SessionState
from ..surroundings import Surroundings, fresh_id
from . import listing, names, publishing
from .archives import ArchiveReader
from .attachments import FileAttachments
from .crowd import Crowd
from .forking import build_child
from .housekeeping import Housekeeper
from .journal import boot_tag
from .keeper import FileKeeper
from .leftovers import clear_leftovers, remove_tree_quietly
from .loading import Loaded
from .platforms import MAX_PASSES
from .strays import outside_sessions
from .system import system
from .trash import Trash

_alive: weakref.WeakSet[FileSessions] = weakref.WeakSet()


class FileSessions:
    """The sessions under `root`."""

    tier = DurabilityTier.DURABLE

    def __init__(self, root: str, durability: Durability, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self.attachments = FileAttachments(os.path.join(root, names.ATTACHMENTS), surroundings)
        self._root = root
        self._durability = durability
        self._full = durability is Durability.FULL
        self._mutex = threading.RLock()
        self._housekeeper = Housekeeper()
        self._keepers: weakref.WeakValueDictionary[str, FileKeeper] = weakref.WeakValueDictionary()
        self._crowd = Crowd()
        self._trash = Trash(root, surroundings)
        clear_leftovers(root)
        _alive.add(self)

    # Finding and making.

    def _folder(self, session_id: str) -> str:
        return os.path.join(self._root, names.SESSIONS, names.session_dirname(session_id))

    def _keeper(self, session_id: str, incarnation: str = "") -> FileKeeper:
        keeper = FileKeeper(self._folder(session_id), session_id, self._durability, self.surroundings, incarnation)
        keeper.on_open = self._crowd.opened
        keeper.housekeeper = self._housekeeper
        return keeper

    def find(self, session_id: str) -> Keeper | None:
        with self._mutex:
            keeper = self._keepers.get(session_id)
        if keeper is not None and keeper.is_current():
            return keeper
        fresh = self._keeper(session_id)
        try:
            system.check_dir(fresh.folder)
        except FileNotFoundError:
            return None
        if not fresh.is_current():
            return None
        with self._mutex:
            self._keepers[session_id] = fresh
        return fresh

    def make(self, meta: SessionMeta) -> Keeper:
        for _ in range(MAX_PASSES):
            found = self.find(meta.session_id)
            if found is not None:
                return self._acknowledged(found)
            self._trash.take(meta.session_id)
            try:
                made = publishing.make_folder(self._folder(meta.session_id), meta, self.surroundings, flush=self._full)
            except FileNotFoundError:
                continue  # it took so long that somebody thought it was left behind
            if made is not None:
                return self._known(meta.session_id, made)
        raise BackendError(
            f"cannot make {self._folder(meta.session_id)}: it comes and goes; see which program does that"
        )

    def _acknowledged(self, found: Keeper) -> Keeper:
        """A session that was there, as the answer to a call that would have made it."""
        if self._full and isinstance(found, FileKeeper):
            found.make_named()
        return found

    # Removing and bringing back.

    def remove(self, session_id: str, unless: View[bool] | None = None) -> bool:
        try:
            found = self.find(session_id)
        except CorruptRecord:
            found = self._keeper(session_id)  # what is damaged can be deleted
        if isinstance(found, FileKeeper):
            try:
                if not found.delete(unless):
                    return False
            except SessionNotFound:
                pass
            with self._mutex:
                self._keepers.pop(session_id, None)
            self._crowd.leave(found)
        try:
            self._trash.take(session_id)
        except (BackendError, FileNotFoundError):
            pass  # it is deleted where it is, too; whoever needs its place moves it
        return True

    def make_way(self, session_id: str) -> None:
        """Move the folder of a session that was deleted out of its place, if it is there still."""
        self._trash.take(session_id)

    def trashed(self, session_id: str | None = None, deleted_until_ms: int = names.MAX_SEQ) -> Iterable[TrashedSession]:
        return [entry.session for entry in self._trash.entries(session_id, deleted_until_ms)]

    def restore(self, trashed: TrashedSession) -> Keeper:
        incarnation = fresh_id()
        for entry in self._trash.entries(trashed.session_id):
            if entry.session == trashed:
                try:
                    is_revived = self._trash.restore(entry, boot_tag(liveness.boot_id()), incarnation)
                except FileExistsError:
                    raise SessionExists(trashed.session_id) from None
                except FileNotFoundError:
                    break
                return self._known(trashed.session_id, incarnation if is_revived else "")
        raise TrashedSessionNotFound(trashed.session_id, trashed.deleted_at_ms)

    def purge(self, trashed: TrashedSession) -> bool:
        found = next((entry for entry in self._trash.entries(trashed.session_id) if entry.session == trashed), None)
        return found is not None and self._trash.purge(found)

    # Redacting.

    def redact_trash(
        self, redactor: Redactor, session_ids: frozenset[str] | None, *, apply: bool
    ) -> Iterable[SessionRedaction | UnreadableSession]:
        from .trash_redaction import redact_entries

        return redact_entries(self._trash, redactor, session_ids, self.surroundings.moment(), apply=apply)

    def redact_shared(
        self, redactor: Redactor, attachment_ids: frozenset[str] | None, *, apply: bool
    ) -> Iterable[RedactedPlace | LeftPlace]:
        yield from self.attachments.redact(redactor, attachment_ids, apply=apply)
        if attachment_ids is None:
            yield from outside_sessions(self._root, redactor, apply=apply)

    # Out, in, and beside.

    def export(self, keeper: Keeper, path: str, tell: Callable[[int, int], None]) -> ArchiveInfo:
        from . import transfer

        if not isinstance(keeper, FileKeeper):
            raise InvalidArgument("only a session of this store can be exported from it")
        attachments = os.path.join(self._root, names.ATTACHMENTS)
        return transfer.export_session(keeper, attachments, path, self.surroundings.moment(), tell)

    def restore_archive(self, path: str, session_id: str | None, on_conflict: OnConflict) -> Keeper:
        from . import transfer

        with transfer.opened(path) as reader:
            wanted = reader.manifest.session_id if session_id is None else session_id
            number = 1
            while True:
                found = self.find(wanted)
                if found is None:
                    try:
                        return self._unpack(reader, wanted)
                    except FileExistsError:
                        continue
                manifest = reader.manifest
                if on_conflict is OnConflict.SKIP or found.read(has_record(manifest.last_seq, manifest.last_sum)):
                    return self._acknowledged(found)
                if on_conflict is OnConflict.REFUSE:
                    raise SessionExists(wanted)
                number += 1
                wanted = f"{reader.manifest.session_id if session_id is None else session_id}-{number}"

    def _unpack(self, reader: ArchiveReader, session_id: str) -> Keeper:
        from . import transfer

        self._trash.take(session_id)
        folder = self._folder(session_id)
        # As long as it is checked, it is what the archive says that it is.
        archived = names.session_dirname(reader.manifest.session_id)
        building = os.path.join(self._root, names.SESSIONS, names.temporary(archived))
        try:
            made = transfer.build_session(reader, building, session_id, self.attachments, boot_tag(liveness.boot_id()))
            publishing.publish(building, folder)
        except BaseException:
            remove_tree_quietly(building)
            raise
        return self._known(session_id, made)

    def backup(self, path: str, tell: Callable[[int, int], None]) -> BackupReport:
        from . import backups

        return backups.back_up(self, self._root, path, tell)

    # Forking.

    def fork(self, parent: Keeper, request: ForkRequest) -> Keeper:
        if not isinstance(parent, FileKeeper):
            raise InvalidArgument("only a session of this store can be forked in it")
        if self.find(request.session_id) is not None:
            raise SessionExists(request.session_id)
        self._trash.take(request.session_id)
        folder = self._folder(request.session_id)
        building = os.path.join(self._root, names.SESSIONS, names.temporary(os.path.basename(folder)))

        def build(loaded: Loaded) -> SessionState:
            state = child_of(loaded.state, loaded.archive, self.surroundings.moment(), request)
            build_child(parent.folder, loaded, state, building)
            return state

        try:
            state = parent.folded(build)
            publishing.publish(building, folder)
        except FileExistsError:
            remove_tree_quietly(building)
            raise SessionExists(request.session_id) from None
        except BaseException:
            remove_tree_quietly(building)
            raise
        return self._known(request.session_id, state.incarnation)

    def _known(self, session_id: str, incarnation: str) -> FileKeeper:
        """The keeper of a session that is there, which is not looked at yet."""
        fresh = self._keeper(session_id, incarnation)
        with self._mutex:
            self._keepers[session_id] = fresh
        return fresh

    # All of them.

    def _folders(self) -> Iterator[str]:
        where = os.path.join(self._root, names.SESSIONS)
        for name, is_folder in system.entries(where):
            if is_folder and names.is_session_dirname(name):
                yield where + os.sep + name

    def keepers(self) -> Iterable[Keeper]:
        for session_id in [item.session_id for item in self.summaries()]:
            keeper = self.find(session_id)
            if keeper is not None:
                yield keeper

    def summaries(self) -> Iterable[SessionSummary]:
        boot = boot_tag(liveness.boot_id())
        found = (listing.summarize(folder, boot) for folder in self._folders())
        return [summary for summary in found if summary is not None]

    def survey(self) -> tuple[list[SessionSummary], list[UnreadableSession]]:
        from .space import id_said

        found, unreadable = self.look_over()
        return found, [UnreadableSession(id_said(folder), folder, str(error)) for folder, error in unreadable]

    def look_over(self) -> tuple[list[SessionSummary], list[tuple[str, StoreError]]]:
        """Every session in a line, and the folders of those that cannot be read, each with why."""
        boot = boot_tag(liveness.boot_id())
        found: list[SessionSummary] = []
        unreadable: list[tuple[str, StoreError]] = []
        for folder in self._folders():
            try:
                summary = listing.summarize(folder, boot)
            except StoreError as error:
                unreadable.append((folder, error))
            except FileNotFoundError:
                continue  # deleted meanwhile
            else:
                found += [] if summary is None else [summary]
        return found, unreadable

    def sweep_bytes(self, orphans: frozenset[str], older_than_ms: int) -> tuple[str, ...]:
        def named() -> frozenset[str]:
            view = rows.named_ids()
            # A session that moves between two looks would be in neither.
            with self._trash.standing_still():
                keepers = list(self.keepers())
                live = [keeper.read(view) for keeper in keepers]
                for keeper in keepers:
                    # A row that was forgotten must not come back once its bytes are gone.
                    if isinstance(keeper, FileKeeper):
                        keeper.flush()
                return frozenset().union(*live, *self._trash.views(view, boot_tag(liveness.boot_id())))

        return self.attachments.sweep(named, orphans, older_than_ms)

    # Being open.

    def close(self) -> None:
        self._housekeeper.stop()
        with self._mutex:
            keepers = {*self._keepers.values(), *self._crowd.leave_all()}
        failure: BaseException | None = None
        for keeper in keepers:
            try:
                keeper.close()
            except (BackendError, CorruptRecord) as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def forget_inherited(self) -> None:
        """In a forked child: open nothing of the parent's again, and wait for no thread that is not here."""
        self._mutex = threading.RLock()
        self._housekeeper.forget_inherited()
        for keeper in {*self._keepers.values(), *self._crowd.forget_inherited()}:
            keeper.forget_inherited()


def _after_fork_in_child() -> None:
    for sessions in list(_alive):
        sessions.forget_inherited()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
