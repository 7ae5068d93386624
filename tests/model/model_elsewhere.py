"""Sessions that go elsewhere: into an archive and out of it, into a backup, into a plain copy of the store."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

from localstore import CorruptRecord, LocalStore, SessionStore, TrashedSession
from localstore.contract.values import altered
from localstore.disk import names, transfer
from localstore.disk.check import check_store
from localstore.disk.repair import repair_store
from localstore.machine.facts import Recent, StoredInput
from localstore.machine.state import LiveBatch, LiveInput, SessionState
from localstore.memory import MemoryKeeper, MemorySessions
from localstore.store import TRASH_GRACE_MS, Store
from localstore.surroundings import Surroundings, fresh_id
from tests.crash.crash_settings import Setting
from tests.model.model_damage import Damage, losses, lossy
from tests.model.model_pair import DOORS, Pair, Side, looks, seen_through, shown_of

Kept = tuple[SessionState, Recent]
Remembered = tuple[str, dict[str, Kept], dict[tuple[str, int], tuple[TrashedSession, Kept]], dict[str, Any]]


class Travelled(Pair):
    """A pair of which the files are damaged, copied, backed up, exported and imported, where memory stays as it is."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.memory, self.files = self._sides
        self._number = count(1)
        self._stack.enter_context(mock.patch.object(transfer, "fresh_id", self._fresh_id))
        self._roots = [self.root]
        self.backups = f"{self.scratch}/backup"
        self.damaged = False

    def _fresh_id(self) -> str:
        return f"f{next(self._number):031x}"  # no name that the setting gives

    def place(self, name: str) -> str:
        """A path beside the store that nothing has yet."""
        return f"{self.scratch}/{name}-{next(self._number)}"

    def ids(self) -> list[str]:
        """The sessions that there are."""
        return sorted(row.session_id for row in self.memory.stores[0].list_sessions())

    # Damage.

    def damage(self, root: str, wanted: Damage) -> None:
        """Take a file from one of the sessions at `root`, or spoil it, if another copy proves what was in it."""
        found = losses(root, wanted)
        for path in found[wanted.pick % len(found) :][:1] if found else ():
            self.damaged = self.damaged or os.path.basename(path) == names.HEAD
            wanted.carry_out(path)

    def close_all(self) -> None:
        """Close every door, so that sessions are at rest."""
        for door in range(DOORS):
            self.files.stores[door].close()

    def reopen_all(self, *, close: bool) -> None:
        for door in range(DOORS):
            self.reopen(door, close=close)

    def repair(self) -> None:
        """Repair the store, in use or not."""
        told = repair_store(self.root)
        assert _outside_trash(told.after.errors) == []
        assert [each for each in told.actions if each.lost] == []

    # Elsewhere.

    def same_in(self, root: str, *, trash: bool = True) -> None:
        """The store at `root` shows what memory does."""
        store = LocalStore(root, clock=self.clock)
        try:
            self.same(self.memory, Side(lambda door: store, [store]), trash=trash)
        finally:
            store.close()

    @staticmethod
    def same(here: Side, there: Side, *, trash: bool = True) -> None:
        shown = [shown_of(seen_through(0, side)) for side in (here, there)]
        if not trash:
            for each in shown:
                del each[1]
        assert shown[0] == shown[1]

    def copy(self, *, go_on: bool) -> None:
        """A plain copy of the store shows the same, and is one to go on with."""
        target = self.place("copy")
        shutil.copytree(self.root, target)
        self.same_in(target)
        assert self.errors_of(target) == []
        self.same_in(target)
        if go_on:
            self.move(target)
        else:
            shutil.rmtree(target)

    def move(self, target: str) -> None:
        """Go on in another folder; the store before is left as a crash leaves it."""
        self.root = target
        self._roots.append(target)
        self.reopen_all(close=False)

    def never_another(self, pick: int, damage: list[Damage]) -> None:
        """In a copy with a session damaged beyond what another file proves, what is shown is right, or refused."""
        known = self.ids()
        if not known:
            return
        target = self.place("damaged")
        shutil.copytree(self.root, target)
        folder = Path(target, names.SESSIONS, names.session_dirname(known[pick % len(known)]))
        for each, found in [(each, lossy(folder, each)) for each in damage]:
            for path in found[each.pick % len(found) :][:1] if found else ():
                if path.exists():
                    each.carry_out(str(path))
        for repaired in (False, True):
            if repaired:
                told = repair_store(target)
                if any(each.lost for each in told.actions):
                    break
                assert _outside_trash(told.after.errors) == []
            with LocalStore(target, clock=self.clock) as store:
                for session_id in self.ids():
                    self._right_or_refused(session_id, store, repaired=repaired)
        shutil.rmtree(target)

    def _right_or_refused(self, session_id: str, store: LocalStore, *, repaired: bool) -> None:
        here = self.memory.stores[0].open_session(session_id)
        assert here is not None
        try:
            there = store.open_session(session_id)
            assert there is not None
        except CorruptRecord:
            assert not repaired
            return
        for look, same in zip(looks(here), looks(there), strict=True):
            try:
                found = same()
            except CorruptRecord:
                assert not repaired
                continue
            assert shown_of(look()) == shown_of(found)

    def remember(self) -> Remembered:
        """How both stores are now."""
        sessions = self.memory.stores[0]._sessions
        assert isinstance(sessions, MemorySessions)
        target = self.place("remembered")
        shutil.copytree(self.root, target)
        kept = {key: take_out(keeper) for key, keeper in sessions._keepers.items()}
        trash = {key: (receipt, take_out(keeper)) for key, (receipt, keeper) in sessions._trash.items()}
        return target, kept, trash, dict(sessions.attachments._stored)

    def put_back(self, remembered: Remembered) -> None:
        """Go on from how both stores were."""
        source, kept, trash, stored = remembered
        target = self.place("put-back")
        shutil.copytree(source, target)
        sessions = self.memory.stores[0]._sessions
        assert isinstance(sessions, MemorySessions)

        def keeper(found: Kept) -> MemoryKeeper:
            return MemoryKeeper(*take_out(MemoryKeeper(*found, sessions.surroundings)), sessions.surroundings)

        for gone in sessions._keepers.values():
            gone._removed = True
        sessions._keepers = {key: keeper(found) for key, found in kept.items()}
        sessions._trash = {key: (receipt, keeper(found)) for key, (receipt, found) in trash.items()}
        sessions.attachments._stored = dict(stored)
        for side in self._sides:
            side.cursors.clear()
        self.move(target)
        self.compare()

    def back_up(self, door: int, damage: Damage | None, *, go_on: bool) -> None:
        """A backup shows the same, the trash aside."""
        self.files.stores[door].backup(self.backups)
        if damage is not None:
            self.damage(self.backups, damage)
        self.same_in(self.backups, trash=False)
        assert self.errors_of(self.backups) == []
        if go_on:
            target = self.place("from-backup")
            shutil.copytree(self.backups, target)
            self.move(target)
            self.do(_clear_out)

    def pass_on(self, door: int, names_on_the_way: list[str]) -> None:
        """Every session, exported and imported into another store, under other ids and back under its own."""
        target = self.place("imported")
        stores = [LocalStore(f"{target}/{number}", clock=self.clock) for number in range(len(names_on_the_way))]
        sessions = MemorySessions(Surroundings(self.clock))
        memory = Store(sessions, TRASH_GRACE_MS)
        try:
            for at, session_id in enumerate(self.ids()):
                found = self.memory.stores[0]._sessions.find(session_id)
                assert isinstance(found, MemoryKeeper)
                known, source, name = take_out(found), self.files.stores[door], session_id
                for number, store in enumerate(stores):
                    archive = f"{target}/{at}-{number}"
                    source.export_session(name, archive)
                    name = names_on_the_way[number] + session_id
                    store.import_session(archive, session_id=name)
                    known, source = settled(known, name), store
                sessions._keepers[name] = MemoryKeeper(*known, sessions.surroundings)
            self.same(Side(lambda door: memory, [memory]), Side(lambda door: stores[-1], [stores[-1]]))
        finally:
            for store in stores:
                store.close()
        for number in range(len(stores)):
            assert self.errors_of(f"{target}/{number}") == []
        shutil.rmtree(target)

    def renamed(self, door: int, session_id: str, other: str, damage: Damage | None) -> None:
        """A session is exported, what has the other id deleted, and the archive imported under it."""

        def act(side: Side) -> object:
            store = side.stores[door]
            if isinstance(store, LocalStore):
                archive = self.place("archive")
                store.export_session(session_id, archive)
                store.delete_session(other)
                if damage is not None:
                    self.damage(self.root, damage)
                return side.keep(door, store.import_session(archive, session_id=other))
            found = store._sessions.find(session_id)
            known = None if not isinstance(found, MemoryKeeper) else settled(take_out(found), other)
            if known is None:
                return store.export_session(session_id, "")
            store.delete_session(other)
            return side.keep(door, bring_in(store, *known))

        if session_id in self.ids():
            self.do(act)

    # The end.

    def errors_of(self, root: str) -> list[str]:
        """What is wrong with a store, but for heads that were damaged on purpose."""
        return [
            f"{each.kind} {each.path}: {each.message}"
            for each in check_store(root).errors
            if not (self.damaged and each.path.endswith("/" + names.HEAD) and each.kind in _ON_PURPOSE)
        ]

    def end(self) -> None:
        self.compare_reopened()
        try:
            for root in self._roots:
                assert self.errors_of(root) == []
            self.repair()
            for door in range(DOORS):
                self.files.stores[door] = self.files.opens(door)
            self.compare()
        finally:
            for store in self.files.stores:
                store.close()
            found = _outside_trash(check_store(self.root).errors)
            self._stack.close()
        assert found == []


def _clear_out(side: Side) -> None:
    """A backup has no trash of this store, and attachments that were swept here since."""
    side.stores[0].purge(everything=True)
    side.stores[0].sweep_attachments(1 << 50)


_ON_PURPOSE = ("head_missing", "damaged_record")


def _outside_trash(found: Any) -> list[str]:
    return [
        f"{each.kind} {each.path}: {each.message}"
        for each in found
        if not (each.path.startswith(names.TRASH) and each.kind in _ON_PURPOSE)
    ]


def take_out(keeper: MemoryKeeper) -> Kept:
    """What an archive has of a session in memory."""
    recent = Recent()
    recent.log, recent.by_key = list(keeper._recent.log), dict(keeper._recent.by_key)
    recent.records = list(keeper._recent.records)
    state = keeper._state
    return replace(
        state,
        branches=dict(state.branches),
        ledger=dict(state.ledger),
        summary=replace(state.summary),
        inputs={key: replace(live) for key, live in state.inputs.items()},
        input_by_source=dict(state.input_by_source),
        work={key: replace(live) for key, live in state.work.items()},
        batch_by_source=dict(state.batch_by_source),
        uncommitted=dict(state.uncommitted),
    ), recent


def settled(kept: Kept, session_id: str) -> Kept:
    """What an import makes of it: nobody holds it, what was claimed waits, and under another id it is as a fork."""
    state, recent = kept
    inputs = {key: LiveInput(live.stored, None, live.deferred) for key, live in state.inputs.items()}
    work = {key: LiveBatch(live.batch, None) for key, live in state.work.items()}
    state = replace(state, incarnation=fresh_id(), lease=None, inputs=inputs, work=work)
    if session_id == state.session_id:
        return state, recent
    for live in state.inputs.values():
        record = altered(live.stored.record, session_id=session_id)
        live.stored = StoredInput(record, live.stored.submitted, live.stored.images)
    for batch in state.work.values():
        batch.batch = altered(batch.batch, session_id=session_id)
    own = state.session_id
    assert state.meta is not None
    return replace(
        state,
        session_id=session_id,
        inherited_seq=state.seq,
        settled_input_count=0,
        attachment_row_count=state.attachment_row_count - len(state.uncommitted),
        uncommitted={},
        meta=replace(state.meta, session_id=session_id),
        frames=tuple(
            altered(frame, session_id=session_id) if frame.session_id == own else frame for frame in state.frames
        ),
    ), recent


def bring_in(store: Store, state: SessionState, recent: Recent) -> SessionStore:
    """Make the session one of a store in memory."""
    sessions = store._sessions
    assert isinstance(sessions, MemorySessions)
    keeper = MemoryKeeper(state, recent, sessions.surroundings)
    sessions._keepers[state.session_id] = keeper
    return store._handles.give(keeper)
