"""What the workers of a trial were told, as they logged it, and what the store has of it."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ... import FullGraph, LocalStore
from ...disk import names
from ...disk.head import MAX_HEAD, Head, unseal_head
from ...disk.system import system
from .workers import SESSION

REFUSED = "refused"
WAIT_S = 60.0
"""How long a worker may take to come so far as is waited for, seconds."""
_POLL_S = 0.01


class Answer(NamedTuple):
    """A `commit` or an `input` that was answered, or what was `refused`.

    Its id, a commit's revision, and when it was answered, nanoseconds since the epoch.
    """

    kind: str
    mark: str
    revision: int
    at: int


class Held(NamedTuple):
    """The ids of a session's nodes and of what waits in it, in order."""

    nodes: list[str]
    inputs: list[str]


def answers_in(logs: str) -> list[Answer]:
    """What the workers logged that have their logs in this folder."""
    found: list[Answer] = []
    for name in sorted(os.listdir(logs)):
        with open(os.path.join(logs, name), encoding="ascii") as file:
            # A last line without an end was cut off by the kill.
            lines = [line.split() for line in file if line.endswith("\n")]
        found += [Answer(kind, mark, int(revision), int(at)) for kind, mark, revision, at in lines]
    return found


def held_by(root: str) -> Held:
    """What the workers' session has. Raises `StoreError` where it cannot be read."""
    with LocalStore(root) as store:
        session = store.create_session(SESSION)
        read = session.load_session(FullGraph())
        inputs = [each.input_id for each in session.list_pending_turn_inputs(SESSION)]
    return Held([] if read is None else [each.node_id for each in read.graph.nodes], inputs)


def head_of(root: str) -> Head:
    """The head of the workers' session, as it is now."""
    path = os.path.join(root, names.SESSIONS, names.session_dirname(SESSION), names.HEAD)
    return unseal_head(system.read_file(path, MAX_HEAD), path)


def wait_for(workers: Sequence[subprocess.Popen[bytes]], is_so: Callable[[], bool], otherwise: str) -> list[str]:
    """Wait until it is so. What went wrong: a worker ended, or `otherwise` after a minute."""
    pace, until = threading.Event(), time.monotonic() + WAIT_S
    while not is_so():
        ended = ended_by_themselves(workers)
        if ended:
            return ended
        if time.monotonic() > until:
            return [f"{otherwise} in {WAIT_S:.0f} s"]
        pace.wait(_POLL_S)
    return []


def ended_by_themselves(workers: Sequence[subprocess.Popen[bytes]]) -> list[str]:
    """A failure for each worker that does not run any more."""
    return [
        f"a worker ended by itself with {worker.returncode}: its error is in the output above"
        for worker in workers
        if worker.poll() is not None
    ]
