"""One session on disk: each call under the session's lock, caught up with what others wrote, one record a call."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from .. import liveness
from ..contract.errors import BackendError, CorruptRecord, InvalidArgument, SessionNotFound
from ..contract.sessions import Durability, GcReport, SessionSummary, VacuumReport
from ..machine import reading, upkeep
from ..machine.apply import apply_record
from ..machine.decision import Decide, View
from ..machine.events import Event
from ..machine.moment import Moment
from ..surroundings import Surroundings
from . import housekeeping, names, views
from .compaction import adopt, due, merge
from .fold import fold, write_head
from .housekeeping import Housekeeper
from .journal import MAX_RECORD, Journal, boot_tag, encode_record
from .loading import Loaded, attach_journal, head_path, identity_of, load_session, replay
from .lock import SessionLock
from .recovery import quarantine_tail, rescue, set_aside_entries
from .system import system

R = TypeVar("R")

LOCK_DEADLINE_S = 10.0
FOLD_BYTES = 4 * 1024 * 1024
"""A journal of this size is folded."""
_READ_TRIES = 5


class FileKeeper:
    """Keeps the session in `folder`.

    A call takes this object's mutex and then the lock file, compares what it has loaded with what is there, replays
    what others appended, decides, appends one record, and lets go. Readers take no lock: they read the immutable files
    and the journal as far as it is whole, and look again under the lock before they report damage.
    """

    def __init__(self, folder: str, session_id: str, durability: Durability, surroundings: Surroundings) -> None:
        self.folder = folder
        self._head_path = head_path(folder)
        self._session_id = session_id
        self._full = durability is Durability.FULL
        self._surroundings = surroundings
        self._mutex = threading.RLock()
        self._lock: SessionLock | None = None
        self._loaded: Loaded | None = None
        self._incarnation = ""
        self._refuses: str | None = None
        self._wrote = False
        self._views = views.Views(folder)
        self._views_due = False
        self.housekeeper: Housekeeper | None = None
        self.on_open: Callable[[FileKeeper], None] | None = None

    @property
    def session_id(self) -> str:
        return self._session_id

    @property
    def incarnation(self) -> str:
        return self._incarnation

    # The calls.

    def read(self, view: View[R]) -> R:
        with self._mutex:
            for _ in range(_READ_TRIES):
                try:
                    loaded = self._current(write=False)
                    return view(loaded.state, loaded.archive, self._surroundings.moment())
                except (CorruptRecord, FileNotFoundError):
                    # Perhaps a writer was at it: what is true is seen from the start.
                    self._unload()
            with self._locked():
                loaded = self._current(write=False)
                return view(loaded.state, loaded.archive, self._surroundings.moment())

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

    def refresh_views(self) -> None:
        """Bring `lease.json` and the files of new spool entries up to date."""
        with self._mutex, self._locked():
            self._views_due = False
            self._views.refresh(self._current(write=True).state)

    def checkpoint(self) -> None:
        with self._mutex, self._locked():
            self._fold(self._current(write=True), at_rest=False)

    def vacuum(self) -> VacuumReport:
        with self._mutex, self._locked():
            loaded = self._current(write=True)
            report = upkeep.vacuum_report(loaded.state)
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
                self._fold(loaded, at_rest=False)
            return decision.result

    def summary(self) -> SessionSummary:
        """The session's line in a list."""
        size = self.size_bytes()
        return self.read(lambda state, archive, moment: reading.summarize(state, size))

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
                    self.merge_due()
                    with self._locked():
                        self._fold(self._current(write=True), at_rest=True)
            except SessionNotFound:
                pass
            finally:
                self._wrote = False
                self._let_go()

    def forget_inherited(self) -> None:
        """In a forked child: close what the parent opened, without unlocking or flushing anything."""
        self._mutex = threading.RLock()
        self._wrote = self._views_due = False
        self._views = views.Views(self.folder)
        self._let_go()

    def _let_go(self) -> None:
        self._unload()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

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
            return True

    # Locking and catching up.

    def _take_lock(self) -> SessionLock:
        lock = self._lock
        if lock is None:
            self._opens()
            try:
                lock = self._lock = SessionLock(os.path.join(self.folder, names.LOCK))
            except FileNotFoundError:
                raise SessionNotFound(self._session_id) from None
        lock.acquire(LOCK_DEADLINE_S)
        return lock

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._take_lock()
        try:
            yield
        finally:
            lock.release()

    def _opens(self) -> None:
        if self.on_open is not None:
            self.on_open(self)

    def _current(self, *, write: bool) -> Loaded:
        """The session as it is now."""
        if self._refuses is not None and write:
            raise BackendError(self._refuses)
        loaded = self._loaded
        if loaded is None or not self._is_same(loaded):
            self._unload()
            loaded = self._load(write=write)
        elif loaded.journal is None or loaded.journal.offset == 0:
            # At rest when it was loaded, or its journal had just been made.
            if loaded.journal is None:
                loaded.journal = attach_journal(self.folder, loaded, write=True)
            if loaded.journal is not None:
                replay(loaded, loaded.journal.read_all(loaded.header(), self._boot()))
        else:
            records = loaded.journal.read_new()
            if records:
                replay(loaded, records)
        return loaded

    def _is_same(self, loaded: Loaded) -> bool:
        try:
            return loaded.identity == identity_of(system.stat(self._head_path))
        except FileNotFoundError:
            return False

    def _load(self, *, write: bool) -> Loaded:
        self._opens()
        loaded = load_session(self.folder, self._session_id, self._boot(), write=True)
        if not self._incarnation:
            self._incarnation = loaded.head.incarnation
        elif loaded.head.incarnation != self._incarnation:
            loaded.close()
            raise SessionNotFound(self._session_id)
        if not self._is_same(loaded) and loaded.healed is None:
            # Somebody folded while this was read.
            loaded.close()
            raise CorruptRecord(head_path(self.folder), "it was replaced while it was read")
        self._loaded = loaded
        return loaded

    def _unload(self) -> None:
        if self._loaded is not None:
            loaded, self._loaded = self._loaded, None
            loaded.close()

    def _boot(self) -> str:
        return boot_tag(liveness.boot_id())

    # Writing.

    def _append(self, loaded: Loaded, moment: Moment, events: tuple[Event, ...], flush: bool) -> None:
        state = loaded.state
        if loaded.bad_entries:
            set_aside_entries(self.folder, loaded)
        journal = loaded.journal
        seq, boot = state.seq + 1, boot_tag(moment.boot_id)
        prev = loaded.head.folded_sum if journal is None else journal.last_sum
        flushed = state.seq if journal is None else journal.flushed_seq
        line = encode_record(seq, prev, flushed, boot, moment.now_ms, events)
        if len(line) > MAX_RECORD:
            raise InvalidArgument(
                f"the call comes to {len(line)} bytes in one record, at most {MAX_RECORD} are allowed"
            )
        if journal is None:
            path = os.path.join(self.folder, names.journal(seq))
            journal = Journal(path, system.open_write(path, True, True), seq, prev)
            loaded.journal = journal
        if journal.torn:
            journal.judge_again(boot)
            quarantine_tail(self.folder, journal)
        if journal.offset == 0:
            line = loaded.first_line(boot) + line
        self._wrote = True
        journal.append(line, ahead=self._full)
        if self._full and flush:
            self._flush(loaded, seq)
        journal.accept(seq, line, boot)
        apply_record(state, loaded.archive.recent, seq, moment.now_ms, events)

    def _acknowledge(self, loaded: Loaded) -> None:
        """An answer from what may not be on the disk is an acknowledgement of it: flush it first."""
        journal = loaded.journal
        if self._full and journal is not None and journal.flushed_seq < journal.last_seq:
            self._flush(loaded, journal.last_seq)

    def _flush(self, loaded: Loaded, seq: int) -> None:
        journal = loaded.journal
        assert journal is not None
        try:
            if journal.flushed_seq < journal.first_seq:
                system.flush_dir(self.folder)
            journal.flush(seq)
        except BackendError as error:
            try:
                rescue(self.folder, loaded)
            except (BackendError, CorruptRecord, FileNotFoundError, FileExistsError) as worse:
                self._refuses = (
                    f"a flush of {journal.path} failed and its records could not be saved elsewhere ({worse});"
                    " close the store, and open it again once the disk is well"
                )
            self._unload()
            raise error

    def _after(self, loaded: Loaded, events: tuple[Event, ...]) -> None:
        """Views and a fold that is due. What is written is acknowledged: no failure here fails the call."""
        if self._views.note(events) and not self._views_due:
            if housekeeping.VIEW_DELAY_S > 0 and self.housekeeper is not None:
                self._views_due = True
                self.housekeeper.later(self.refresh_views)
            else:
                self._views.refresh(loaded.state)
        journal = loaded.journal
        if journal is not None and (journal.offset >= FOLD_BYTES or loaded.bad_entries):
            try:
                self._fold_now(loaded, at_rest=False)
            except (BackendError, CorruptRecord, FileNotFoundError, FileExistsError):
                return

    def _fold(self, loaded: Loaded, *, at_rest: bool) -> None:
        if loaded.journal is not None or loaded.healed is not None or loaded.bad_entries:
            self._fold_now(loaded, at_rest=at_rest)

    def _fold_now(self, loaded: Loaded, *, at_rest: bool, **kwargs: Any) -> None:
        try:
            fold(self.folder, loaded, at_rest=at_rest, **kwargs)
        except BaseException:
            self._unload()
            raise
        self._views.folded()
        if due(loaded.head.files) and self.housekeeper is not None and not at_rest:
            self.housekeeper.later(self.merge_due)

    def merge_due(self) -> None:
        """Merge node files if enough of them have piled up. They are copied without the lock."""
        try:
            with self._mutex, self._locked():
                head = self._current(write=True).head
            run = due(head.files)
            if not run:
                return
            merged = merge(self.folder, head, run)
            with self._mutex, self._locked():
                adopt(self.folder, self._current(write=True), run, merged)
        except FileNotFoundError:
            return  # others merged or removed these files meanwhile

    def mark_deleted(self) -> None:
        """Say in the head that the session is deleted, so that every handle on it sees it; then let go."""
        with self._mutex:
            with self._locked():
                loaded = self._current(write=True)
                mark = replace(loaded.head, generation=loaded.head.generation + 1, deleted=True)
                write_head(self.folder, mark, loaded.unknown)
            self._wrote = False
            self._let_go()

    def close_unless_busy(self) -> bool:
        """Close, unless a call is under way or the lock is held; whether it did."""
        if not self._mutex.acquire(blocking=False):
            return False
        try:
            self.close()
        except BackendError:
            return False
        finally:
            self._mutex.release()
        return True


def size_of(folder: str, loaded: Loaded) -> int:
    """Bytes on disk: the files that the head counts, and the journal."""
    head = loaded.head
    total = sum(ref.size for ref in head.files) + head.blob_bytes + head.spool_bytes
    journal = loaded.journal
    if journal is not None:
        total += system.size(journal.fd)
    for name in (names.HEAD, names.META, names.LEASE):
        try:
            total += system.stat(os.path.join(folder, name)).st_size
        except FileNotFoundError:
            continue
    return total
