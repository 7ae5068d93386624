"""What a store shows of itself, in one comparable text a session, and what it may show after a crash."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Final
from unittest import mock

import orjson

from localstore import (
    ActivePath,
    AttachmentNotFound,
    Durability,
    FullGraph,
    InMemoryStore,
    LocalStore,
    NodeNotFound,
    SessionNotFound,
)
from localstore.machine import branches, feed, queued_work, reading, rewinds, turn_inputs
from localstore.machine.encoding import dump
from localstore.machine.facts import (
    Archive,
    AttachmentFact,
    Fact,
    NodeFact,
    TombstoneFact,
    TraceFact,
    ValueDroppedFact,
    ValueFact,
)
from localstore.machine.moment import Moment
from localstore.machine.state import SessionState
from localstore.store import Store
from localstore.testing import START_MS, ManualClock
from tests.crash.crash_beside import IMPORTED
from tests.crash.crash_settings import ROOT_NAME, Setting, scratch
from tests.crash.crash_workload import ATTACHMENTS, SESSIONS, A, Ids, Keeps, Step, World

Seen = bytes | None
"""A session as a line of JSON, empty where there is none, and a line of what is deleted; `None` if there is neither."""

_SKIPPED: Final = {"incarnation", "fencing_boot_id", "damaged_inputs", "damaged_work", "ledger"}
_STATE: Final = tuple(item.name for item in fields(SessionState) if item.name not in _SKIPPED)


def _newest(state: SessionState, archive: Archive) -> dict[str, Fact]:
    """The fact that counts under each key, as far as anybody can tell that there is one."""
    newest: dict[str, Fact] = {}
    for fact in archive.facts():
        for key in fact.keys():  # noqa: SIM118 - a fact's keys, no mapping's
            newest[key] = fact
    gone = []
    for key, fact in newest.items():
        replaced = isinstance(fact, NodeFact | TombstoneFact) and fact.seq < state.floor_seq
        forgotten = isinstance(fact, AttachmentFact) and fact.forgotten
        if replaced or forgotten or isinstance(fact, ValueDroppedFact | TraceFact):
            gone.append(key)
    for key in gone:
        del newest[key]
    return newest


def _everything(state: SessionState, archive: Archive, moment: Moment) -> bytes:
    facts = {}
    for key, fact in sorted(_newest(state, archive).items()):
        found = archive.find(key)
        if not isinstance(fact, ValueFact):
            assert found == fact, f"under {key} the index has {found}, the file {fact}"
        facts[key] = found
    try:
        path: object = reading.load_session(ActivePath())(state, archive, moment)
    except NodeNotFound as error:
        path = error.node_id
    return dump(
        {
            "state": {name: getattr(state, name) for name in _STATE},
            "ledger": [[*key, value] for key, value in state.ledger.items()],
            "facts": facts,
            "changes": [
                [change.seq, change.at_ms, change.kind, change.ids, change.revision]
                for change in feed.changes(None)(state, archive, moment).changes
            ],
            "full": reading.load_session(FullGraph())(state, archive, moment),
            "path": path,
            "head": reading.load_head()(state, archive, moment),
            "log": rewinds.head_log(None)(state, archive, moment),
            "branches": branches.list_all()(state, archive, moment),
            "inputs": turn_inputs.list_pending()(state, archive, moment),
            "work": queued_work.list_all()(state, archive, moment),
            "waiting": queued_work.list_pending()(state, archive, moment),
        }
    )


def see(store: Store, clock: ManualClock, session_id: str) -> Seen:
    """Everything of a session and of its deleted namesakes, as it is at one and the same time whenever one looks."""
    before = clock.now_ms()
    clock.set(START_MS)
    try:
        keeper = store._sessions.find(session_id)
        seen = b"" if keeper is None else keeper.read(_everything)
    except SessionNotFound:
        seen = b""
    finally:
        clock.set(before)
    trash = [
        [item.session_name, item.deleted_at_ms, item.updated_at_ms, item.node_count, item.head_revision]
        for item in store._sessions.trashed(session_id)
    ]
    return seen + b"\n" + dump(sorted(trash)) if seen or trash else None


def is_there(seen: Seen) -> bool:
    """Whether there is a session, and not only deleted ones of its name."""
    return seen is not None and not seen.startswith(b"\n")


def has(store: Store, attachment: str) -> bool:
    """Whether the bytes of an attachment are there; damaged ones are an error."""
    try:
        store.attachments.get(attachment)
    except AttachmentNotFound:
        return False
    return True


def difference(one: Seen, other: Seen) -> str:
    """Where two sessions differ, for a message."""
    if not (is_there(one) and is_there(other)):
        return f"{(one or b'nothing')[:200]!r} instead of {(other or b'nothing')[:200]!r}"
    assert one is not None
    assert other is not None
    first, second = one.split(b"\n"), other.split(b"\n")
    found = [*_differences("", orjson.loads(first[0]), orjson.loads(second[0]))]
    return "; ".join([*found, *_differences("trash", orjson.loads(first[1]), orjson.loads(second[1]))])[:2_000]


def _differences(where: str, one: Any, other: Any) -> Iterable[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from _differences(f"{where}.{key}", one.get(key), other.get(key))
    elif one != other:
        yield f"{where} is {str(one)[:200]}, not {str(other)[:200]}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole store after one call."""

    sessions: dict[str, Seen]
    attachments: dict[str, bool]
    tokens: dict[str, int]


@dataclass
class History:
    """What the store was after each call: number 0 before the first one.

    `halfway` is what a call that makes a session on its way leaves of it before it does what it was asked to.
    """

    steps: tuple[Step, ...]
    after: list[Snapshot] = field(default_factory=list)
    halfway: dict[int, dict[str, Seen]] = field(default_factory=dict)

    def allowed(self, name: str, first: int, last: int) -> list[Any]:
        """What a session or attachment may be, when the calls `first` to `last` may have been the last one kept."""
        is_session = name in self.after[0].sessions
        found = [
            self.after[number].sessions[name] if is_session else self.after[number].attachments[name]
            for number in range(first, last + 1)
        ]
        return found + [self.halfway[at][name] for at in range(first + 1, last + 1) if name in self.halfway.get(at, {})]

    def kept(self, name: str, acknowledged: int, durability: Durability | None) -> int:
        """The last acknowledged call that must be there; `durability` is `None` where the power was not cut."""
        if durability is None:
            return acknowledged
        enough = {Keeps.SETTLED} | ({Keeps.FLUSHED} if durability is Durability.FULL else set())
        for number in range(acknowledged, 0, -1):
            step = self.steps[number - 1]
            if step.keeps in enough and (name in step.sessions):
                return number
        return 0


def remember(steps: tuple[Step, ...]) -> History:
    """The script on the in-memory store, and what it showed after each call."""
    history = History(steps)
    world, ids = _in_memory(START_MS)
    history.after.append(_snapshot(world))
    with ids.installed():
        for number, step in enumerate(steps, 1):
            ids.start(number)
            world.clock.advance(1_000)
            if step.makes is not None:
                world.store.create_session(step.makes)
                history.halfway[number] = {step.makes: see(world.store, world.clock, step.makes)}
                ids.start(number)
            step.run(world)
            history.after.append(_snapshot(world))
    for snapshot, seen in zip(history.after, _shown_by_files(steps), strict=True):
        snapshot.sessions[IMPORTED] = seen
    return history


def _shown_by_files(steps: tuple[Step, ...]) -> list[Seen]:
    """The session that only a store on files makes, before the first call and after each, where nothing goes wrong."""
    clock, ids = ManualClock(START_MS), Ids()
    with scratch() as base, Setting(Durability.PROCESS).installed(), ids.installed():
        world = World(clock, lambda: LocalStore(f"{base}/{ROOT_NAME}", clock=clock), separate=True)
        shown = [see(world.store, clock, IMPORTED)]
        for number, step in enumerate(steps, 1):
            ids.start(number)
            clock.advance(1_000)
            step.run(world)
            shown.append(see(world.store, clock, IMPORTED))
        world.close()
    return shown


def remember_later(
    steps: tuple[Step, ...], earlier: tuple[Step, ...], tokens: dict[str, int], now_ms: int, boot: str
) -> History:
    """What the first session showed when `steps` were made in another boot, after the calls `earlier` were lost or not.

    `tokens` are those that were given out before, lost or not.
    """
    history = History(steps)
    world, ids = _in_memory(START_MS)
    with ids.installed():
        for number, step in enumerate(earlier, 1):
            ids.start(number)
            world.clock.advance(1_000)
            step.run(world)
        world.tokens = dict(tokens)
        world.clock.set(now_ms)
        with mock.patch("localstore.liveness.boot_id", return_value=boot):
            history.after.append(_snapshot(world, (A,), ()))
            for number, step in enumerate(steps, 1):
                ids.start(number)
                world.clock.advance(1_000)
                step.run(world)
                history.after.append(_snapshot(world, (A,), ()))
    return history


def _in_memory(now_ms: int) -> tuple[World, Ids]:
    clock = ManualClock(now_ms)
    store = InMemoryStore(clock)
    return World(clock, lambda: store, separate=False), Ids()


def _snapshot(
    world: World, sessions: tuple[str, ...] = SESSIONS, attachments: tuple[str, ...] = ATTACHMENTS
) -> Snapshot:
    return Snapshot(
        {session_id: see(world.store, world.clock, session_id) for session_id in sessions},
        {attachment: has(world.store, attachment) for attachment in attachments},
        dict(world.tokens),
    )
