"""Plain copies of a store that others write to and fold all the time; each is judged afterwards."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
import time
from typing import NamedTuple

from ... import FullGraph, LocalStore, SessionStore
from ...contract.errors import StoreError
from ...disk.check import check_store
from ...disk.checking.findings import Severity
from .probes import Trial, end, start
from .workers import SESSION

WORKERS = 2
MOST = 50
"""How many copies are made at most."""
_WAIT_S = 60.0
_POLL_S = 0.01


class Copy(NamedTuple):
    """Where it is, and from when to when it was made, nanoseconds since the epoch."""

    root: str
    begun: int
    ended: int


class Answer(NamedTuple):
    """What was answered: a commit or an input, its id, and when."""

    kind: str
    mark: str
    at: int


def copies(folder: str, seconds: float) -> Trial:
    """Copy the store again and again: each copy is sound, and of a moment since the copying began."""
    root, logs = os.path.join(folder, "copied"), os.path.join(folder, "copied-logs")
    os.mkdir(logs)
    paths = [os.path.join(logs, f"{number}") for number in range(WORKERS)]
    alive = [start("fold", root, path, f"w{at}") for at, path in enumerate(paths)]
    made: list[Copy] = []
    pace, chance = threading.Event(), random.Random()
    failures: list[str] = []
    try:
        failures += _wait_for(alive, paths, pace)
        until = time.monotonic() + seconds
        while not failures and (not made or (time.monotonic() < until and len(made) < MOST)):
            pace.wait(chance.random() * 0.1)
            made.append(_copy(root, os.path.join(folder, f"copy-{len(made)}")))
        failures += [f"a worker ended by itself with {each.poll()}" for each in alive if each.poll() is not None]
    finally:
        for process in alive:
            end(process, kill=True)
    answers = [answer for path in paths for answer in _answers(path)]
    if not failures:
        final = _nodes(root)
        failures += [f"copy {at}: {why}" for at, copy in enumerate(made) for why in judge(copy, answers, final)]
    failed = len({failure.partition(":")[0] for failure in failures})
    return Trial(
        "copies", len(made), f"plain copies judged while the store was folded, {failed} failed", tuple(failures)
    )


def _wait_for(alive: list[subprocess.Popen[bytes]], paths: list[str], pace: threading.Event) -> list[str]:
    """Wait until each worker was answered once."""
    until = time.monotonic() + _WAIT_S
    for process, path in zip(alive, paths, strict=True):
        while not (os.path.exists(path) and os.path.getsize(path)):
            if process.poll() is not None or time.monotonic() > until:
                return ["a worker was answered nothing"]
            pace.wait(_POLL_S)
    return []


def _copy(root: str, target: str) -> Copy:
    begun = time.time_ns()
    try:
        shutil.copytree(root, target)
    except shutil.Error:
        pass  # a file in the making was gone when it got there: the copy is judged, not the tool
    return Copy(target, begun, time.time_ns())


def _answers(path: str) -> list[Answer]:
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii") as file:
        # A last line without an end was cut off by the kill.
        lines = [line.split() for line in file if line.endswith("\n")]
    return [Answer(kind, mark, int(at)) for kind, mark, _, at in lines]


def judge(copy: Copy, answers: list[Answer], final: list[str]) -> list[str]:
    """What is wrong with a copy of a session that has the nodes `final` in the end."""
    # A file that went while it was copied has whatever mode the tool had given it by then.
    found = [each for each in check_store(copy.root).findings if each.kind != "permissions"]
    found = [each for each in found if each.severity is not Severity.INFO]
    if found:
        return [f"{each.path}: {each.message}" for each in found]
    try:
        nodes, inputs = _nodes(copy.root), _inputs(copy.root)
    except StoreError as error:
        return [f"it does not open: {error}"]
    if nodes != final[: len(nodes)]:
        return ["its history is not one that there was"]
    there = {"commit": frozenset(nodes), "input": frozenset(inputs)}
    known = [each for each in answers if each.at < copy.begun]
    return [
        f"{each.kind} {each.mark} was answered before it began" for each in known if each.mark not in there[each.kind]
    ]


def _session(store: LocalStore) -> SessionStore:
    return store.create_session(SESSION)


def _nodes(root: str) -> list[str]:
    with LocalStore(root) as store:
        read = _session(store).load_session(FullGraph())
    return [] if read is None else [each.node_id for each in read.graph.nodes]


def _inputs(root: str) -> list[str]:
    with LocalStore(root) as store:
        return [each.input_id for each in _session(store).list_pending_turn_inputs(SESSION)]
