"""A session's folder as one process has it open: locked, caught up with what others wrote, appended to, folded."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .. import liveness
from ..contract.errors import BackendError, CorruptRecord, InvalidArgument, SessionNotFound
from ..contract.sessions import Durability
from ..machine.apply import apply_record
from ..machine.events import Event, InputsClaimed, LeaseSet, WorkClaimed
from ..machine.moment import Moment
from ..machine.state import SessionState
from ..surroundings import Surroundings
from . import housekeeping, names, views
from .compaction import adopt, due, merge
from .fold import fold, tidy
from .housekeeping import Housekeeper
from .journal import MAX_RECORD, Journal, boot_tag, encode_record
from .lines import sum_of
from .loading import Loaded, attach_journal, head_path, identity_of, load_head_only, load_session, replay
from .lock import SessionLock
from .recovery import quarantine_tail, rescue, set_aside_entries, step_back
from .system import system

LOCK_DEADLINE_S = 10.0
FOLD_BYTES = 8 * 1024 * 1024
"""A journal of this size is folded."""


class OpenFolder:
    """The folder of one session, and what is known of it.

    Whoever uses it holds its mutex, and to write its lock too, and works on what `_current` gives then.
    """

    def __init__(
        self,
        folder: str,
        session_id: str,
        durability: Durability,
        surroundings: Surroundings,
        incarnation: str = "",
    ) -> None:
        self.folder = folder
        self._head_path = head_path(folder)
        self._session_id = session_id
        self._full = durability is Durability.FULL
        self._surroundings = surroundings
        self._mutex = threading.RLock()
        self._lock: SessionLock | None = None
        self._loaded: Loaded | None = None
        self._incarnation = incarnation
        self._unsaved: str | None = None
        self._damaged: tuple[tuple[int, ...], int] | None = None
        self._wrote = False
        self._patience_s = LOCK_DEADLINE_S
        self._views = views.Views(folder)
        self._views_due = False
        self._named = False
        self.housekeeper: Housekeeper | None = None
        self.on_open: Callable[[Any], None] | None = None

    @property
    def session_id(self) -> str:
        return self._session_id

    @property
    def incarnation(self) -> str:
        return self._incarnation

    def _let_go(self) -> None:
        self._named = False
        self._unload()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # Locking and catching up.

    def _take_lock(self) -> SessionLock:
        lock = self._lock
        if lock is None:
            self._opens()
            try:
                lock = self._lock = SessionLock(os.path.join(self.folder, names.LOCK))
            except FileNotFoundError:
                raise SessionNotFound(self._session_id) from None
        lock.acquire(self._patience_s)
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
        loaded = self._loaded
        if self._unsaved is not None and loaded is not None:
            if not write:
                step_back(self.folder, loaded)
                return loaded
            self._save(loaded)
            loaded = None
        if loaded is None or not self._is_same(loaded):
            self._unload()
            loaded = self._load()
        elif loaded.journal is None or loaded.journal.offset == 0:
            # At rest when it was loaded, or its journal had just been made.
            if loaded.journal is None:
                loaded.journal = attach_journal(self.folder, loaded, write=True, again=True)
            if loaded.journal is not None:
                replay(loaded, loaded.journal.read_all(loaded.header(), self._boot()))
        else:
            try:
                records = loaded.journal.read_new()
                if records:
                    replay(loaded, records)
            except CorruptRecord:
                # What looks damaged from where it was read so far may be proven from the start.
                self._unload()
                loaded = self._load()
        return self._settled(loaded) if write and loaded.copied else loaded

    def _settled(self, loaded: Loaded) -> Loaded:
        """Fold a copy that is written to for the first time: what it holds beside its own is not looked at again."""
        if loaded.journal is not None and loaded.journal.torn:
            quarantine_tail(self.folder, loaded.journal)
        self._fold_now(loaded, at_rest=True)
        return self._current(write=True)

    def _is_same(self, loaded: Loaded) -> bool:
        try:
            return loaded.identity == identity_of(system.stat(self._head_path))
        except FileNotFoundError:
            return False

    def _load(self) -> Loaded:
        self._opens()
        loaded = load_session(self.folder, self._session_id, self._boot(), write=True)
        try:
            if self._incarnation not in ("", loaded.head.incarnation):
                raise SessionNotFound(self._session_id)
            if not self._is_same(loaded) and loaded.healed is None:
                # Somebody folded while this was read.
                raise CorruptRecord(head_path(self.folder), "it was replaced while it was read")
        except BaseException:
            loaded.close()
            raise
        self._incarnation = loaded.head.incarnation
        self._loaded = loaded
        return loaded

    def _unload(self) -> None:
        self._unsaved = None
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
        mark = sum_of(line)
        if journal.offset == 0:
            line = loaded.first_line(boot) + line
        self._wrote = True
        flush = (self._full and flush) or _renews_fencing(state, moment, events)
        try:
            journal.append(line, ahead=self._full, soon=flush)
            # The disk writes meanwhile; and after the wait for it, this would take three times as long.
            loaded.is_ahead = True
            apply_record(state, loaded.archive.recent, seq, moment.now_ms, events, mark)
            if flush:
                self._flush(loaded, seq)
            journal.accept(seq, len(line), mark, boot)
            loaded.is_ahead = False
        except BackendError:
            raise  # the record is not there
        except BaseException:
            self._unload()  # an interrupted call: it is seen from the journal whether its record is there
            raise

    def _acknowledge(self, loaded: Loaded) -> None:
        """An answer from what may not be on the disk is an acknowledgement of it: flush it first."""
        if self._full:
            self._flush_all(loaded)

    def _flush_all(self, loaded: Loaded) -> None:
        journal = loaded.journal
        if journal is not None and journal.flushed_seq < journal.last_seq:
            self._flush(loaded, journal.last_seq)
        elif journal is None:
            if not loaded.named:
                # Who folded may have died before the head's name was flushed.
                system.flush_dir(self.folder)
                loaded.named = True
            self.make_named()

    def _flush(self, loaded: Loaded, seq: int) -> None:
        journal = loaded.journal
        assert journal is not None
        try:
            if journal.flushed_seq < journal.first_seq:
                system.flush_dir(self.folder)
                self.make_named()
            journal.flush(seq)
        except BackendError:
            self._rescue(loaded)
            raise

    def make_named(self) -> None:
        """Make the folder's own name durable, once as long as it is open.

        The session may have been made, forked, imported or restored without a flush, or by somebody who died before it.
        """
        if not self._named:
            system.flush_dir(os.path.dirname(self.folder))
            self._named = True

    def _rescue(self, loaded: Loaded) -> None:
        """After a failed flush; see `rescue`. Where that fails too, nothing is written until it succeeds."""
        try:
            rescue(self.folder, loaded)
        except (BackendError, CorruptRecord, FileNotFoundError, FileExistsError) as error:
            self._unsaved = str(error)
        else:
            self._unload()

    def _save(self, loaded: Loaded) -> None:
        """Try again to rescue what a flush failed to save, unless somebody else folded it meanwhile."""
        now = load_head_only(self.folder, self._session_id)
        now.close()
        if (now.head.incarnation, now.head.folded_seq) != (loaded.head.incarnation, loaded.head.folded_seq):
            self._unload()
            return
        self._rescue(loaded)
        if self._unsaved is not None:
            raise BackendError(
                f"a flush of {self.folder} failed, and what it should have flushed cannot be saved elsewhere yet:"
                f" {self._unsaved}"
            )

    def _after(self, loaded: Loaded, events: tuple[Event, ...]) -> None:
        """Views and a fold that is due. What is written is acknowledged: no failure here fails the call."""
        if self._views.note(events) and not self._views_due:
            if housekeeping.VIEW_DELAY_S > 0 and self.housekeeper is not None:
                self._views_due = True
                self.housekeeper.later(self.refresh_views)
            else:
                self._views.refresh(loaded.state, loaded.head)
        journal = loaded.journal
        if journal is not None and (journal.offset >= FOLD_BYTES or loaded.fold_due):
            self._fold_if_possible(loaded)

    def _fold_if_possible(self, loaded: Loaded) -> None:
        """Fold after a call that is acknowledged; where that fails, another fold does it."""
        try:
            self._fold_now(loaded, at_rest=False)
        except (BackendError, CorruptRecord, FileNotFoundError, FileExistsError):
            return

    def _fold(self, loaded: Loaded, *, at_rest: bool) -> None:
        if loaded.journal is not None or loaded.healed is not None or loaded.bad_entries or loaded.fold_due:
            self._fold_now(loaded, at_rest=at_rest)
        elif at_rest:
            tidy(self.folder, loaded)

    def _fold_now(self, loaded: Loaded, *, at_rest: bool, **kwargs: Any) -> None:
        settled = False
        if not at_rest:
            self._wrote = True  # a clean close removes what is superseded now
        try:
            if loaded.bad_entries:
                set_aside_entries(self.folder, loaded)
            self.make_named()
            settled = fold(self.folder, loaded, at_rest=at_rest, **kwargs)
        finally:
            if not settled:
                self._unload()
        self._views.folded()
        if due(loaded.head.files) and self.housekeeper is not None and not at_rest:
            self.housekeeper.later(self.merge_due)

    # Upkeep, a moment later.

    def refresh_views(self) -> None:
        """Bring `lease.json` and the files of new spool entries up to date."""
        with self._mutex, self._locked():
            self._views_due = False
            loaded = self._current(write=True)
            self._views.refresh(loaded.state, loaded.head)

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


def _renews_fencing(state: SessionState, moment: Moment, events: tuple[Event, ...]) -> bool:
    """Whether a token jumps past those that a power cut may have lost.

    Such a claim is flushed, in any durability: if a second cut lost it, the jump after that would end at its token.
    """
    if state.fencing_boot_id in (None, moment.boot_id):
        return False
    return any(isinstance(event, LeaseSet | InputsClaimed | WorkClaimed) for event in events)
