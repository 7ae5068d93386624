"""A store in memory and one on files that get the same calls, one after the other, and have to answer the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from typing import Any

from localstore import (
    ChangeBatch,
    CursorExpired,
    Durability,
    FullGraph,
    LocalStore,
    SessionStore,
    SessionSummary,
    StoreError,
    TrashedSession,
)
from localstore.disk.check import check_store
from localstore.memory import MemorySessions
from localstore.store import TRASH_GRACE_MS, Store
from localstore.surroundings import Surroundings
from localstore.testing import SteppedClock
from tests.crash.crash_settings import ROOT_NAME, Setting, scratch
from tests.crash.crash_workload import Ids

DURABILITIES = (Durability.FULL, Durability.PROCESS)
"""A store each, both on the same folder: what one writes the other has to see."""
DOORS = len(DURABILITIES)
MOST_HANDLES = 12
FOLDS_OFTEN = Setting(Durability.FULL, fold_bytes=6_000, ahead=512, grace_s=0.0, fan_in=3, at_once=True)

Act = Callable[["Side"], Any]


@dataclass
class Side:
    """One of the two: its stores, the handles they gave, and how far each feed was read."""

    opens: Callable[[int], Store]
    stores: list[Store] = field(default_factory=list)
    handles: list[tuple[int, SessionStore]] = field(default_factory=list)
    cursors: dict[str, str] = field(default_factory=dict)

    def session(self, door: int, session_id: str, pick: int) -> SessionStore:
        """A handle that was given before, perhaps of a session deleted since, or a new one."""
        known = [handle for _, handle in self.handles if handle.session_id == session_id]
        at = pick % (len(known) + 1)
        return known[at] if at < len(known) else self.keep(door, self.stores[door].create_session(session_id))

    def fork(self, session: SessionStore, other: str, at: str | None) -> Any:
        """The child is of the store that gave the handle, whichever door was asked for it."""
        door = next(door for door, handle in self.handles if handle is session)
        return self.keep(door, session.fork(other, at=at))

    def keep(self, door: int, handle: SessionStore | None) -> Any:
        if handle is not None:
            self.handles = [*self.handles, (door, handle)][-MOST_HANDLES:]
        return handle

    def reopen(self, door: int, *, close: bool) -> None:
        """Open the store again; without closing it before, it is what the death of its process leaves."""
        self.handles = [(at, handle) for at, handle in self.handles if at != door]
        if close and isinstance(self.stores[door], LocalStore):
            self.stores[door].close()
        self.stores[door] = self.opens(door)


class Pair:
    """The two sides, on one clock, with ids that depend on the number of the call alone."""

    def __init__(self, setting: Setting = FOLDS_OFTEN) -> None:
        self._stack = ExitStack()
        self.run_due = self._stack.enter_context(setting.installed())
        self.scratch = self._stack.enter_context(scratch())
        self.root = f"{self.scratch}/{ROOT_NAME}"
        self.clock = SteppedClock()
        self._ids = Ids()
        self._stack.enter_context(self._ids.installed())
        self._abandoned: list[Store] = []
        memory = MemorySessions(Surroundings(self.clock))
        self._sides = (
            Side(lambda door: Store(memory, TRASH_GRACE_MS)),
            Side(lambda door: LocalStore(self.root, durability=DURABILITIES[door], clock=self.clock)),
        )
        for side in self._sides:
            side.stores = [side.opens(door) for door in range(DOORS)]
        self.steps = 0
        self.refused = False

    def do(self, act: Act) -> Any:
        """Call it on both; what the store in memory gave, or `None` for an error."""
        self.steps += 1
        answers = [self._answer(side, act) for side in self._sides]
        self.run_due()
        shown = [shown_of(answer) for answer in answers]
        assert shown[0] == shown[1]
        self.refused = isinstance(answers[0], StoreError)
        return None if self.refused else answers[0]

    def _answer(self, side: Side, act: Act) -> Any:
        self._ids.start(self.steps)
        try:
            return act(side)
        except StoreError as error:
            return error

    def reopen(self, door: int, *, close: bool) -> None:
        if not close:
            self._abandoned.append(self._sides[1].stores[door])
        for side in self._sides:
            side.reopen(door, close=close)

    def compare(self) -> None:
        """Everything that can be seen is the same, through every door."""
        for door in range(DOORS):
            self.do(partial(seen_through, door))

    def compare_reopened(self) -> None:
        """Compare, open again, compare, and close everything."""
        try:
            self.compare()
            for door in range(DOORS):
                self.reopen(door, close=door % 2 == 0)
            self.compare()
        finally:
            for store in (*self._abandoned, *self._sides[1].stores):
                store.close()

    def end(self) -> None:
        """Compare, open again, compare, and check the store."""
        try:
            self.compare_reopened()
        finally:
            found = check_store(self.root).errors
            self._stack.close()
        assert found == ()


def shown_of(answer: Any) -> Any:
    """The answer without what only files have: their sizes, and the marks in cursors."""
    match answer:
        case StoreError():
            text = "" if isinstance(answer, CursorExpired) else str(answer)
            return type(answer).__name__, text
        case SessionStore():
            return "a handle", answer.session_id
        case SessionSummary() | TrashedSession():
            return replace(answer, size_bytes=0)
        case ChangeBatch():
            return [(each.seq, each.at_ms, each.kind, each.ids, each.revision) for each in answer.changes]
        case tuple() | list():
            return [shown_of(each) for each in answer]
    if is_dataclass(answer) and any(isinstance(getattr(answer, item.name), tuple) for item in fields(answer)):
        return type(answer).__name__, [shown_of(getattr(answer, item.name)) for item in fields(answer)]
    return answer


def seen_through(door: int, side: Side) -> object:
    store = side.stores[door]
    rows: list[object] = []
    for row in store.list_sessions():
        session = store.open_session(row.session_id)
        assert session is not None
        rows.append([row, *(look() for look in looks(session))])
    return [rows, store.trash()]


def looks(session: SessionStore) -> list[Callable[[], object]]:
    """Everything that can be seen of a session."""
    session_id = session.session_id
    return [
        lambda: session.load_session(FullGraph()),
        session.load_session_meta,
        session.load_session_head,
        session.head_log,
        session.branches,
        session.leaves,
        lambda: session.get_session_execution_lease(session_id),
        lambda: session.list_pending_turn_inputs(session_id),
        lambda: session.list_queued_work(session_id),
        lambda: session.list_pending_queued_work(session_id),
        lambda: session.list_uncommitted(1 << 50),
    ]
