"""Plain copies of a store that others write to and fold all the time; each is judged afterwards."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from typing import NamedTuple

from ...contract.errors import StoreError
from ...disk import superseded
from ...disk.check import check_store
from ...disk.checking.findings import Severity
from .answers import Answer, Held, answers_in, ended_by_themselves, head_of, held_by, wait_for
from .probes import Trial, end, start

WORKERS = 2
MOST = 50
"""How many copies are made at most."""


class Copy(NamedTuple):
    """Where it is, from when to when it was made, nanoseconds since the epoch, and how many folds went on meanwhile."""

    root: str
    begun: int
    ended: int
    folds: int

    @property
    def is_promised(self) -> bool:
        """Whether what it was copied from stayed for all of it: a disk that is slow is not a bad one."""
        return self.folds <= superseded.MOST_JOURNALS and self.ended - self.begun < superseded.GRACE_S * 1e9


def copies(folder: str, seconds: float) -> Trial:
    """Copy the store again and again: each copy is sound, and of a moment since the copying began."""
    root, logs = os.path.join(folder, "copied"), os.path.join(folder, "copied-logs")
    os.mkdir(logs)
    alive = [start("fold", root, os.path.join(logs, f"{number}"), f"w{number}") for number in range(WORKERS)]
    made: list[Copy] = []
    pace, chance = threading.Event(), random.Random()
    try:
        failures = wait_for(alive, lambda: _is_folded(root, logs), "a worker was answered nothing, or folded nothing")
        until = time.monotonic() + seconds
        while not failures and (not made or (time.monotonic() < until and len(made) < MOST)):
            pace.wait(chance.random() * 0.1)
            made.append(_copy(root, os.path.join(folder, f"copy-{len(made)}")))
        failures = failures or ended_by_themselves(alive)
    finally:
        for process in alive:
            end(process, kill=True)
    return _judged(made, root, answers_in(logs), failures)


def _is_folded(root: str, logs: str) -> bool:
    """Whether each worker was answered once, and the session was folded since it was made."""
    return len({each.mark.partition(".")[0] for each in answers_in(logs)}) == WORKERS and head_of(root).folded_seq > 0


def _copy(root: str, target: str) -> Copy:
    generation, begun = head_of(root).generation, time.time_ns()
    try:
        shutil.copytree(root, target)
    except shutil.Error:
        pass  # a file in the making was gone when it got there: the copy is judged, not the tool
    return Copy(target, begun, time.time_ns(), head_of(root).generation - generation)


def _judged(made: list[Copy], root: str, answers: list[Answer], failures: list[str]) -> Trial:
    promised = [copy for copy in made if copy.is_promised]
    if not failures:
        final = held_by(root)
        failures = [f"copy {at}: {why}" for at, copy in enumerate(promised) for why in judge(copy, answers, final)]
    failed = len({failure.partition(":")[0] for failure in failures})
    slow = len(made) - len(promised)
    note = (
        f"{slow} of {len(made)} copies took longer than what is superseded stays, {superseded.MOST_JOURNALS} folds or"
        f" {superseded.GRACE_S:.0f} s, and were not judged: `localstore backup` copies a store in use on any disk"
    )
    what = f"plain copies judged while the store was folded, {failed} failed"
    return Trial("copies", len(promised), what, tuple(failures), (note,) if slow else ())


def judge(copy: Copy, answers: list[Answer], final: Held) -> list[str]:
    """What is wrong with a copy of a session that has `final` in the end."""
    # A file that went while it was copied has whatever mode the tool had given it by then.
    found = [each for each in check_store(copy.root).findings if each.kind != "permissions"]
    found = [each for each in found if each.severity is not Severity.INFO]
    if found:
        return [f"{each.path}: {each.message}" for each in found]
    try:
        held = held_by(copy.root)
    except StoreError as error:
        return [f"it does not open: {error}"]
    if held.nodes != final.nodes[: len(held.nodes)]:
        return ["its history is not one that there was"]
    there = {"commit": frozenset(held.nodes), "input": frozenset(held.inputs)}
    known = [each for each in answers if each.at < copy.begun]
    return [
        f"{each.kind} {each.mark} was answered before it began" for each in known if each.mark not in there[each.kind]
    ]
