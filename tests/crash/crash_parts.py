"""Visits the points of a recorded run in two processes, each of which makes the recording anew."""

from __future__ import annotations

import multiprocessing
import random
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache

from tests.crash.crash_oracle import History, remember
from tests.crash.crash_recovery import Judge
from tests.crash.crash_settings import Setting, scratch
from tests.crash.crash_visits import Recording, record, visit
from tests.crash.crash_workload import SCRIPT

WORKERS = 2
PARTS = 6
"""More than there are processes: the states of later points take longer."""
MANY, MANY_PARTS = 20, 48
"""From so many states a point there are so many parts: what one of them has seen stays in memory until its end."""


@dataclass
class Visits:
    """What was wrong, how many states were visited, by the kind of crash, and of these how many were opened."""

    wrong: list[str] = field(default_factory=list)
    visits: Counter[str] = field(default_factory=Counter)
    distinct: int = 0
    effects: int = 0


def visit_all(setting: Setting, seed: int, *, most: int, every: int = 0) -> Visits:
    """What `visit` finds at every point of the script, in parts; `most` and `every` are as there."""
    found = Visits()
    parts = PARTS if most < MANY else MANY_PARTS
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        running = [pool.submit(_visit_part, setting, seed, most, every, part, parts) for part in range(parts)]
        for part in (each.result() for each in running):
            found.wrong += part.wrong
            found.visits += part.visits
            found.distinct += part.distinct
            found.effects = part.effects
    return found


def _visit_part(setting: Setting, seed: int, most: int, every: int, part: int, parts: int) -> Visits:
    recording, history = _recorded(setting)
    effects = len(recording.log)
    points = range(part * (effects + 1) // parts, (part + 1) * (effects + 1) // parts)
    with scratch() as base:
        judge = Judge(setting, f"{base}/states")
        rng = random.Random(seed + part)
        wrong = list(visit(recording, history, judge, rng, most=most, every=every, points=points))
    return Visits(wrong, judge.visits, judge.distinct, effects)


@cache
def _recorded(setting: Setting) -> tuple[Recording, History]:
    history = remember(SCRIPT)
    with scratch() as base:
        return record(SCRIPT, setting, history, f"{base}/run"), history
