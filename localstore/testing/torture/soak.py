"""Workers on one session, killed at random; what they were told is judged afterwards."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time

from ... import FullGraph, LocalStore
from ...disk.check import check_store
from .probes import Trial, end, start
from .workers import SESSION

WORKERS = 2
_POLL_S = 0.01


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
            failures += _wait_for(process, log, pace)
            pace.wait(chance.random() * 0.3)
            failures += _killed(process)
            count += 1
            if failures:
                break
            alive.append(_begin(root, logs, count + WORKERS))
    finally:
        for process, _ in alive:
            end(process, kill=True)
    answers, _ = answers_in(logs)
    failures += judge(root, answers)
    return Trial("kills", count, f"{len(answers)} answers judged", tuple(failures))


def _begin(root: str, logs: str, number: int) -> tuple[subprocess.Popen[bytes], str]:
    log = os.path.join(logs, f"{number}")
    return start("work", root, log, f"w{number}"), log


def _wait_for(process: subprocess.Popen[bytes], log: str, pace: threading.Event) -> list[str]:
    """Wait until the worker was answered once."""
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        if os.path.exists(log) and os.path.getsize(log):
            return []
        pace.wait(_POLL_S)
    return ["a worker was answered nothing in a minute"] if process.poll() is None else []


def _killed(process: subprocess.Popen[bytes]) -> list[str]:
    ended = process.poll()
    end(process, kill=True)
    return [] if ended is None else [f"a worker ended by itself with {ended}: its error is in the output above"]


def answers_in(logs: str) -> tuple[list[tuple[str, str, int]], list[str]]:
    """What was answered (commit or input, its id, and a commit's revision), and the ids of what was refused."""
    found: list[tuple[str, str, int]] = []
    refused: list[str] = []
    for name in sorted(os.listdir(logs)):
        with open(os.path.join(logs, name), encoding="ascii") as file:
            # A last line without an end was cut off by the kill.
            lines = [line.split() for line in file if line.endswith("\n")]
        found += [(kind, mark, int(revision)) for kind, mark, revision, _ in lines if kind != "refused"]
        refused += [mark for kind, mark, _, _ in lines if kind == "refused"]
    return found, refused


def judge(root: str, answers: list[tuple[str, str, int]]) -> list[str]:
    """What of it is not so, and what a check of the store finds."""
    with LocalStore(root) as store:
        session = store.create_session(SESSION)
        read = session.load_session(FullGraph())
        nodes = [] if read is None else [each.node_id for each in read.graph.nodes]
        inputs = [each.input_id for each in session.list_pending_turn_inputs(SESSION)]
    failures = [f"{found.path}: {found.message}" for found in check_store(root).errors]
    place = {node_id: at for at, node_id in enumerate(nodes, 1)}
    if len(place) != len(nodes) or len(set(inputs)) != len(inputs):
        failures.append("something that was sent once is there twice")
    for kind, mark, revision in answers:
        if kind == "commit" and place.get(mark) != revision:
            failures.append(f"commit {mark} was answered with revision {revision}, and is at {place.get(mark)}")
    lost = {mark for kind, mark, _ in answers if kind == "input"}.difference(inputs)
    failures += [f"input {mark} was accepted, and is lost" for mark in sorted(lost)]
    return failures
