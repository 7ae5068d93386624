"""One session on disk: each call under the session's lock, caught up with what others wrote, one record a call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from ..contract.errors import BackendError, CorruptRecord, SessionNotFound
from ..contract.redaction import SessionRedaction
from ..contract.sessions import GcReport, SessionSummary, VacuumReport
from ..machine import reading, upkeep
from ..machine.decision import Decide, View
from ..machine.facts import Archive
from ..machine.moment import Moment
from ..machine.redaction import Redaction, require_free
from ..machine.redactor import Redactor
from ..machine.state import SessionState
from . import openfolder, redacting, views, waking
from .fold import make_room
from .head import state_of
from .listing import size_of
from .loading import Loaded, load_head_only
from .openfolder import OpenFolder
from .partial import PartialSession
from .refusals import is_full
from .trash import mark_deleted

R = TypeVar("R")

_READ_TRIES = 2


class FileKeeper(OpenFolder):
    """Keeps the session in `folder`.

    A call takes this object's mutex and then the lock file, compares what it has loaded with what is there, replays
    what others appended, decides, appends one record, and lets go. Readers take no lock: they read the immutable files
    and the journal as far as it is whole, and look again under the lock before they report damage.
    """

    # The calls.

    def read(self, view: View[R]) -> R:
        with self._mutex:
            for _ in range(_READ_TRIES):
                try:
                    loaded = self._current(write=False)
                    return view(loaded.state, loaded.archive, self._surroundings.moment())
                except (CorruptRecord, FileNotFoundError):
                    # Perhaps a writer was at it: what is true is seen from the start.
                    if self._drop_what_misled():
                        raise
            with self._locked():
                try:
                    loaded = self._current(write=False)
                except CorruptRecord as damage:
                    return self._read_past(damage, view)
                try:
                    return view(loaded.state, loaded.archive, self._surroundings.moment())
                except CorruptRecord:
                    self._damaged = (loaded.identity, loaded.head.generation)
                    raise

    def _drop_what_misled(self) -> bool:
        """Load anew next time; whether that is of no use, since under this head damage was seen under the lock."""
        loaded = self._loaded
        known = loaded is not None and (loaded.identity, loaded.head.generation) == self._damaged
        if self._unsaved is None:
            self._unload()
        return known

    def _read_past(self, damage: CorruptRecord, view: View[R]) -> R:
        """What `view` sees of a session whose journal is damaged, if that is certain all the same."""
        loaded = load_head_only(self.folder, self._session_id)
        try:
            if self._incarnation not in ("", loaded.head.incarnation):
                raise SessionNotFound(self._session_id)
            intact = PartialSession(self.folder, loaded, damage)
            return view(intact.state, intact.archive, self._surroundings.moment())
        finally:
            loaded.close()

    def write(self, decide: Decide[R], *, flush: bool = True) -> R:
        with self._mutex:
            lock = self._take_lock()
            try:
                loaded = self._current(write=True)
                moment = self._surroundings.moment()
                decision = decide(loaded.state, loaded.archive, moment)
                if decision.events:
                    self._append(loaded, moment, decision.events, flush)
                    self._after(loaded, decision.events)
                elif flush:
                    self._acknowledge(loaded)
            finally:
                lock.release()
            return decision.result

    def checkpoint(self) -> None:
        with self._mutex, self._locked():
            loaded = self._current(write=True)
            self._fold(loaded, at_rest=False)
            self._flush_all(loaded)

    def flush(self) -> None:
        """Bring to the disk whatever was written, by whomever, in any durability."""
        with self._mutex, self._locked():
            self._flush_all(self._current(write=True))

    def vacuum(self) -> VacuumReport:
        with self._mutex, self._locked():
            try:
                return self._vacuumed()
            except BackendError as failure:
                # What stays is written anew first. Where there is no room for that, what is superseded goes at once.
                if not (is_full(failure) and make_room(self.folder, self._current(write=True))):
                    raise
            return self._vacuumed()

    def _vacuumed(self) -> VacuumReport:
        loaded = self._current(write=True)
        report = upkeep.vacuum_report(loaded.state)
        if not upkeep.has_waste(loaded.state, loaded.archive):
            self._fold(loaded, at_rest=False)
            self._flush_all(loaded)
            return report
        facts = upkeep.vacuumed(loaded.state, loaded.archive)
        upkeep.note_vacuumed(loaded.state)
        self._fold_now(loaded, at_rest=False, facts=facts, kept=())
        return report

    def collect(self) -> GcReport:
        with self._mutex, self._locked():
            loaded = self._current(write=True)
            moment = self._surroundings.moment()
            decision = upkeep.collect()(loaded.state, loaded.archive, moment)
            if decision.events:
                self._append(loaded, moment, decision.events, True)
                self._fold_if_possible(loaded)
            else:
                self._acknowledge(loaded)
            return decision.result

    def redact(self, redactor: Redactor, *, apply: bool) -> SessionRedaction:
        """Replace what matches; without `apply` only tell what does."""

        def preview(state: SessionState, archive: Archive, moment: Moment) -> SessionRedaction:
            redaction = Redaction(redactor, state, archive)
            loaded = self._loaded
            assert loaded is not None
            return redacting.preview(self.folder, loaded, redaction, redactor)

        def fold_anew(loaded: Loaded, **kwargs: Any) -> Loaded:
            self._fold_now(loaded, at_rest=True, **kwargs)
            return self._current(write=True)

        if not apply:
            return self.read(preview)
        with self._mutex, self._locked():
            loaded = self._current(write=True)
            moment = self._surroundings.moment()
            require_free(loaded.state, moment)
            redaction = Redaction(redactor, loaded.state, loaded.archive)
            beside = redacting.found_beside(self.folder, loaded, redaction, redactor)
            self._fold(loaded, at_rest=True)
            loaded = self._current(write=True)
            try:
                return redacting.carry_out(self.folder, loaded, redactor, moment.now_ms, fold_anew, beside)
            except BaseException:
                self._unload()  # its state may be that of a redaction that did not come about
                raise

    def summary(self) -> SessionSummary:
        """The session's line in a list."""
        size = self.size_bytes()
        return self.read(lambda state, archive, moment: reading.summarize(state, size))

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when a file of the session changes, where the system tells, until what is returned is called."""
        return waking.listen(self.folder, wake)

    def size_bytes(self) -> int:
        """Bytes on disk: what the head counts, and the journal."""
        with self._mutex:
            loaded = self._current(write=False)
            return size_of(self.folder, loaded)

    # Being open.

    def close(self) -> None:
        """Fold what this keeper wrote, so that no journal stays behind, and let go of every descriptor.

        Idempotent; the keeper opens again when it is used again.
        """
        with self._mutex:
            try:
                if self._wrote:
                    self._merge_if_possible()
                    with self._locked():
                        self._fold(self._current(write=True), at_rest=True)
            except SessionNotFound:
                pass
            finally:
                self._wrote = False
                self._let_go()

    def _merge_if_possible(self) -> None:
        try:
            self.merge_due()
        except (BackendError, CorruptRecord):
            return  # files that cannot be merged stay as they are; those who read them find out

    def forget_inherited(self) -> None:
        """In a forked child: close what the parent opened, without unlocking or flushing anything."""
        self._mutex = threading.RLock()
        self._wrote = self._views_due = False
        self._views = views.Views(self.folder)
        self._let_go()

    @property
    def descriptor_count(self) -> int:
        """How many descriptors are open."""
        loaded = self._loaded
        return (self._lock is not None) + (0 if loaded is None else 2 + loaded.archive.descriptor_count)

    def is_current(self) -> bool:
        """Whether the folder still holds the session that this keeper was opened on."""
        with self._mutex:
            try:
                self._current(write=False)
            except SessionNotFound:
                return False
            except (CorruptRecord, FileNotFoundError):
                # Damaged, or somebody folds: either way it is there, and calls on it find out more.
                if self._unsaved is None:
                    self._unload()
                return self._is_there()
            return True

    def _is_there(self) -> bool:
        try:
            loaded = load_head_only(self.folder, self._session_id)
        except SessionNotFound:
            return False
        loaded.close()
        self._incarnation = self._incarnation or loaded.head.incarnation
        return self._incarnation == loaded.head.incarnation

    def folded(self, work: Callable[[Loaded], R]) -> R:
        """What `work` makes of the session, of which everything is in files, and on the disk, under its lock."""
        with self._mutex, self._locked():
            self._fold(self._current(write=True), at_rest=False)
            loaded = self._current(write=True)
            self._flush_all(loaded)
            return work(loaded)

    def delete(self, unless: View[bool] | None) -> bool:
        """Mark the session deleted, so that every handle sees it, and let go; whether `unless` did not say no.

        Once the mark is on the disk the session is deleted, whatever becomes of its folder. What is damaged can be
        deleted, where nothing of it is asked first.
        """
        with self._mutex:
            try:
                with self._locked():
                    moment = self._surroundings.moment()
                    if unless is not None:
                        loaded = self._current(write=True)
                        if unless(loaded.state, loaded.archive, moment):
                            return False
                    self._rest()
                    mark_deleted(self.folder, self._session_id, self._deletable(), moment.now_ms)
                    self._wrote = False
            finally:
                self._let_go()
            return True

    def _rest(self) -> None:
        """Fold if that is possible: a journal that stays is as good, but not as easily read by people."""
        try:
            self._fold(self._current(write=True), at_rest=True)
        except (BackendError, CorruptRecord, FileNotFoundError, FileExistsError):
            self._unload()

    def _deletable(self) -> Loaded | None:
        """The session as far as it can be read."""
        try:
            return self._current(write=True)
        except CorruptRecord:
            self._unload()
        try:
            loaded = load_head_only(self.folder, self._session_id)
        except CorruptRecord:
            return None
        self._loaded = loaded
        if self._incarnation not in ("", loaded.head.incarnation):
            raise SessionNotFound(self._session_id)
        loaded.state = state_of(loaded.head)
        return loaded

    def close_unless_busy(self) -> bool:
        """Close, unless a call is under way or the lock is held; whether it did.

        It does not wait: who asks may hold the lock of another session, and so may who holds this one's.
        """
        if not self._mutex.acquire(blocking=False):
            return False
        wrote, self._patience_s = self._wrote, 0.0
        try:
            self.close()
        except (BackendError, CorruptRecord):
            self._wrote = wrote  # what is not folded now is by a later close
            return False
        finally:
            self._patience_s = openfolder.LOCK_DEADLINE_S
            self._mutex.release()
        return True
