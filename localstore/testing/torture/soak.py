"""Workers on one session, killed at random; what they were told is judged afterwards."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time

from ...disk.check import check_store
from .answers import REFUSED, Answer, answers_in, ended_by_themselves, held_by, wait_for
from .probes import Trial, end, start

WORKERS = 2


def kills(folder: str, seconds: float) -> Trial:
    """Kill workers in the midst of their calls: what was answered is there once, and the store checks clean."""
    root, logs = os.path.join(folder, "store"), os.path.join(folder, "logs")
    os.mkdir(logs)
    chance, pace = random.Random(), threading.Event()
    count, failures = 0, []
    alive = [_begin(root, logs, number) for number in range(WORKERS)]
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until or not count:
            process, log = alive.pop(0)
            failures += wait_for([process], lambda log=log: _has_answer(log), "a worker was answered nothing")  # type: ignore[misc]
            pace.wait(chance.random() * 0.3)
            failures = failures or ended_by_themselves([process])
            end(process, kill=True)
            count += 1
            if failures:
                break
            alive.append(_begin(root, logs, count + WORKERS))
    finally:
        for process, _ in alive:
            end(process, kill=True)
    answers = answers_in(logs)
    failures += judge(root, answers)
    return Trial("kills", count, f"{len(answers)} answers judged", tuple(failures))


def _begin(root: str, logs: str, number: int) -> tuple[subprocess.Popen[bytes], str]:
    log = os.path.join(logs, f"{number}")
    return start("work", root, log, f"w{number}"), log


def _has_answer(log: str) -> bool:
    return os.path.exists(log) and os.path.getsize(log) > 0


def judge(root: str, answers: list[Answer]) -> list[str]:
    """What of the answers is not so, what was refused and is there, and what a check of the store finds."""
    nodes, inputs = held_by(root)
    failures = [f"{found.path}: {found.message}" for found in check_store(root).errors]
    place = {node_id: at for at, node_id in enumerate(nodes, 1)}
    if len(place) != len(nodes) or len(set(inputs)) != len(inputs):
        failures.append("something that was sent once is there twice")
    waiting = frozenset(inputs)
    for kind, mark, revision, _ in answers:
        if kind == "commit" and place.get(mark) != revision:
            failures.append(f"commit {mark} was answered with revision {revision}, and is at {place.get(mark)}")
        elif kind == "input" and mark not in waiting:
            failures.append(f"input {mark} was accepted, and is lost")
        elif kind == REFUSED and (mark in place or mark in waiting):
            failures.append(f"{mark} was refused, and is there")
    return failures
