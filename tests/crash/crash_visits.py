"""Runs the script on files once, then visits what a crash at each system call would have left."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from localstore import Durability, LocalStore
from localstore.testing import START_MS, ManualClock
from tests.crash.crash_copies import wrong_beside
from tests.crash.crash_disk import Disk, Tree
from tests.crash.crash_kernel import Entry, Kernel
from tests.crash.crash_oracle import History, difference, is_there, see
from tests.crash.crash_recovery import NEXT_BOOT, Judge, Recovery
from tests.crash.crash_settings import ROOT_NAME, Setting, read_tree
from tests.crash.crash_workload import Ids, Step, World


@dataclass
class Start:
    """Where a run begins: what is on the disk, what earlier calls gave, and when it is."""

    disk: Disk = field(default_factory=Disk)
    held: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    now_ms: int = START_MS
    boot: str = ""


@dataclass
class Recording:
    """The system calls of a run.

    Attributes:
        disk: what was there before the first of them.
        log: their effects, in order.
        began: how many effects there were before each step.
        ended: how many there were once it had returned.
        starts: from where each step could be made anew; the disk is that of the beginning.
    """

    setting: Setting
    disk: Disk
    log: list[Entry]
    began: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)

    def at(self, point: int) -> tuple[int, int]:
        """The last call acknowledged once `point` effects had happened, and the last one begun."""
        acknowledged = sum(1 for end in self.ended if end <= point)
        begun = acknowledged
        if acknowledged < len(self.began) and self.began[acknowledged] < point:
            begun += 1
        return acknowledged, begun

    def disk_at(self, point: int) -> Disk:
        """The disk after `point` effects."""
        disk = self.disk.copy()
        for method, *arguments in self.log[:point]:
            getattr(disk, method)(*arguments)
        return disk


def record(
    steps: Sequence[Step], setting: Setting, history: History, base: str, start: Start | None = None
) -> Recording:
    """Run the script on files under `base`, which is what `start` says, or empty."""
    start = start or Start()
    os.makedirs(base, exist_ok=True)
    kernel = Kernel(base, start.disk.copy())
    recording = Recording(setting, start.disk, kernel.log)
    clock = ManualClock(start.now_ms)
    ids = Ids()
    with ExitStack() as stack:
        run_due = stack.enter_context(setting.installed())
        stack.enter_context(kernel.installed())
        stack.enter_context(ids.installed())
        if start.boot:
            stack.enter_context(mock.patch("localstore.liveness.boot_id", return_value=start.boot))
        root = f"{base}/{ROOT_NAME}"
        world = World(
            clock,
            lambda: LocalStore(root, durability=setting.durability, clock=clock),
            True,
            dict(start.held),
            dict(start.tokens),
        )
        for number, step in enumerate(steps, 1):
            recording.starts.append(Start(start.disk, dict(world.held), dict(world.tokens), clock.now_ms(), start.boot))
            ids.start(number)
            clock.advance(1_000)
            recording.began.append(len(kernel.log))
            step.run(world)
            recording.ended.append(len(kernel.log))
            if number % setting.due_after == 0:
                run_due()
            _compare(world, clock, history, number, step.name)
        world.close()
    assert kernel.open_count == 0, "descriptors stay open after the stores were closed"
    assert kernel.disk.now() == read_tree(base), "a call that changes files went past the recorder"
    return recording


def _compare(world: World, clock: ManualClock, history: History, number: int, name: str) -> None:
    for session_id, expected in history.after[number].sessions.items():
        found = see(world.store, clock, session_id)
        assert found == expected, f"after {name}: {difference(found, expected)}"
    assert world.tokens == history.after[number].tokens, f"after {name}"


def visit(
    recording: Recording,
    history: History,
    judge: Judge,
    rng: random.Random,
    *,
    most: int,
    every: int = 0,
    next_boot: str = NEXT_BOOT,
    boot: str = "",
    points: range | None = None,
) -> Iterator[str]:
    """Visit every point between two system calls; what was wrong there.

    Args:
        most: how many states to visit at each point where the power is cut.
        every: up to how many combinations of unflushed effects all of them are visited.
        next_boot: the boot after a power cut.
        boot: the boot that the run was in.
        points: where, if not everywhere: after how many effects.
    """
    points = range(len(recording.log) + 1) if points is None else points
    disk = recording.disk_at(points.start)
    for point in points:
        acknowledged, begun = recording.at(point)
        where = f"after call {point} of {len(recording.log)}, in {_name(history, begun)}"
        found = judge.recover(disk.now(), boot=boot)
        yield from wrong(found, history, acknowledged, begun, None, f"death {where}")
        for tree in disk.cuts(rng, most, every):
            found = judge.recover(tree, boot=next_boot, kind="power cut")
            yield from wrong(found, history, acknowledged, begun, recording.setting.durability, f"cut {where}")
        if point == len(recording.log):
            break
        method, *arguments = recording.log[point]
        if method == "write":
            started = max(begun, recording.at(point + 1)[1])
            for tree in _torn(disk, arguments, rng, min(most, 3)):
                found = judge.recover(tree, boot=boot, kind="death in a write")
                yield from wrong(found, history, acknowledged, started, None, f"death in the write {where}")
        getattr(disk, method)(*arguments)


def _torn(disk: Disk, write: list[Any], rng: random.Random, most: int) -> Iterator[Tree]:
    """A write that a death cut short."""
    inode, offset, content = write
    size = len(content.rstrip(b"\0"))
    cuts = {1, size - 1, rng.randrange(max(size, 1))} - {0, -1}
    for cut in rng.sample(sorted(cuts), min(len(cuts), most)):
        twin = disk.copy()
        twin.write(inode, offset, content[:cut])
        yield twin.now()


def _name(history: History, number: int) -> str:
    return f"step {number} ({history.steps[number - 1].name})" if number else "opening"


def wrong(
    found: Recovery, history: History, acknowledged: int, begun: int, durability: Durability | None, where: str
) -> Iterator[str]:
    """What is wrong with what was found after a crash. `durability` is `None` where the power was not cut."""
    if found.trouble:
        yield f"{where}: {found.trouble}"
        return
    latest = history.after[acknowledged]
    for name in (*latest.sessions, *latest.attachments):
        first = history.kept(name, acknowledged, durability)
        seen: Any = found.sessions[name] if name in latest.sessions else found.attachments[name]
        allowed = history.allowed(name, first, begun)
        if seen not in allowed:
            yield f"{where}: {name} is of none of the calls {first} to {begun}: {_like(history, name, seen, allowed)}"
    yield from wrong_beside(found.copies, history, acknowledged, begun, where)
    for key, token in latest.tokens.items():
        session_id = key.split(" of ", 1)[1]
        if is_there(found.sessions[session_id]) and found.tokens.get(key, token + 1) <= token:
            yield f"{where}: the {key} got token {found.tokens[key]} after {token} was given out"


def _like(history: History, name: str, seen: Any, allowed: list[Any]) -> str:
    if isinstance(seen, bool):
        return "there" if seen else "missing"
    for number, snapshot in enumerate(history.after):
        if snapshot.sessions[name] == seen:
            return f"it is as after call {number}"
    return difference(seen, allowed[-1])
