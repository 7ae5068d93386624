"""Crashes after crashes: of those who make a call again that a death cut off, and of those who recover."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

from localstore import LocalStore
from localstore.testing import ManualClock
from tests.crash.crash_disk import Disk, Tree
from tests.crash.crash_kernel import Kernel
from tests.crash.crash_oracle import History, remember_later
from tests.crash.crash_recovery import LAST_BOOT, LATER_MS, NEXT_BOOT, Judge
from tests.crash.crash_settings import ROOT_NAME, Setting, lay_out
from tests.crash.crash_visits import Recording, Start, record, visit, wrong
from tests.crash.crash_workload import A, Ids, World, later_steps


def visit_repeats(
    recording: Recording,
    history: History,
    judge: Judge,
    base: str,
    rng: random.Random,
    *,
    most: int,
    share: float = 1.0,
) -> Iterator[str]:
    """A process dies in a call, another one makes the same call, and is answered; then the power is cut.

    What it was answered from may not be on the disk yet: an answer is an acknowledgement.

    Args:
        most: how many states to visit after each such answer.
        share: the part of all system calls to die at.
    """
    disk = recording.disk.copy()
    for point, (method, *arguments) in enumerate(recording.log, 1):
        getattr(disk, method)(*arguments)
        number = recording.at(point)[1]
        if not number or not history.steps[number - 1].again or not recording.began[number - 1] < point:
            continue
        if point > recording.ended[number - 1] or rng.random() >= share:
            continue
        after = _answered(recording, history, number, disk, base)
        where = (
            f"after step {number} ({history.steps[number - 1].name}) was made again by another process (call {point})"
        )
        for tree in after.cuts(rng, most, 0):
            found = judge.recover(tree, boot=NEXT_BOOT, kind="power cut after an answer")
            yield from wrong(found, history, number, number, recording.setting.durability, f"cut {where}")


def _answered(recording: Recording, history: History, number: int, disk: Disk, base: str) -> Disk:
    """The disk once another process has made a step again."""
    start = recording.starts[number - 1]
    setting = replace(recording.setting, first_name=1 << 32)
    kernel = Kernel(base, disk.copy())
    lay_out(disk.now(), base)
    clock = ManualClock(start.now_ms)
    ids = Ids()
    with ExitStack() as stack:
        stack.enter_context(setting.installed())
        stack.enter_context(kernel.installed())
        stack.enter_context(ids.installed())
        root = f"{base}/{ROOT_NAME}"
        opens = lambda: LocalStore(root, durability=setting.durability, clock=clock)  # noqa: E731
        world = World(clock, opens, True, dict(start.held), dict(start.tokens))
        ids.start(number)
        clock.advance(1_000)
        history.steps[number - 1].run(world)
        kernel.bury()
    shutil.rmtree(base)
    return kernel.disk


def visit_recoveries(
    tree: Tree,
    seen: int,
    recording: Recording,
    history: History,
    setting: Setting,
    base: str,
    rng: random.Random,
    *,
    most: int,
) -> tuple[list[str], Judge]:
    """The power was cut and left `tree`, in which the first session is as after call `seen`. A store works on; then it
    crashes as well, at each of its system calls."""
    steps = later_steps("later")
    tokens = {key: token for key, token in history.after[-1].tokens.items() if key.endswith(A)}
    later = remember_later(steps, history.steps[:seen], tokens, LATER_MS, NEXT_BOOT)
    start = Start(Disk(tree), dict(recording.starts[-1].held), tokens, LATER_MS, NEXT_BOOT)
    lay_out(tree, f"{base}/run")
    again = record(steps, replace(setting, first_name=1 << 36), later, f"{base}/run", start)
    shutil.rmtree(f"{base}/run")
    judge = Judge(setting, f"{base}/states")
    found = list(visit(again, later, judge, rng, most=most, next_boot=LAST_BOOT, boot=NEXT_BOOT))
    return found, judge
