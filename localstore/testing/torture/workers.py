"""What the processes of a trial do."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable

from ... import (
    BackendError,
    HeadRevisionConflict,
    HydratedSessionCheckpoint,
    LeaseBusy,
    LeaseOwnerIdentity,
    LocalStore,
    SessionExecutionLeaseExpired,
    SessionStore,
)
from ...disk.lock import SessionLock
from ..builders import append_commit, next_input, node

SESSION = "torture"
_TTL_MS = 60_000
_PAUSE_S = 0.005
_BETWEEN_FOLDS_S = 0.02
"""A copy is promised to be whole up to a number of folds during it: a pause leaves a slow disk the time for one."""


def _say(text: str) -> None:
    os.write(1, text.encode() + b"\n")


def rename(path: str, size: str) -> None:
    """Replace the file by whole ones until killed."""
    _say("ready")
    at = 0
    while True:
        at = at % 250 + 1
        with open(f"{path}.new", "wb") as file:
            file.write(bytes([at]) * int(size))
        try:
            os.replace(f"{path}.new", path)
        except PermissionError:
            continue  # Windows: it is being read


def count(path: str, counter: str, seconds: str) -> None:
    """Count up in a file under the lock, and say how often."""
    lock, done = SessionLock(path), 0
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until or not done:
        lock.acquire(30.0)
        with open(counter, "r+", encoding="ascii") as file:
            value = int(file.read())
            file.seek(0)
            file.write(f"{value + 1}")
        lock.release()
        done += 1
    lock.close()
    _say(f"{done}")


def hold(path: str) -> None:
    """Take the lock, say so, and stay until killed."""
    lock = SessionLock(path)
    lock.acquire(30.0)
    _say("held")
    sys.stdin.read()


def work(root: str, log: str, name: str) -> None:
    """Commit and enqueue until killed, and log what was answered."""
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    session = LocalStore(root).create_session(SESSION)
    number = 0
    while True:
        number += 1
        _log_answer(fd, session, name, number)
        if number % 50 == 0:
            session.vacuum()


def fold(root: str, log: str, name: str) -> None:
    """As `work`, with values too large for a line, and folding again and again."""
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    session = LocalStore(root).create_session(SESSION)
    pace = threading.Event()
    number = 0
    while True:
        number += 1
        _log_answer(fd, session, name, number, large=20_000)
        if number % 4:
            continue
        if number % 48 == 0:
            session.vacuum()
        else:
            session.checkpoint()
        pace.wait(_BETWEEN_FOLDS_S)


def fill(root: str, log: str, name: str) -> None:
    """As `work`, on a disk that is full at times: log what was refused for that, and go on. Anything else ends it."""
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    session = LocalStore(root).create_session(SESSION)
    pace = threading.Event()
    number = 0
    while True:
        number += 1
        try:
            _log_answer(fd, session, name, number)
        except BackendError as error:
            if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.ENOSPC:
                raise
            os.write(fd, f"refused {name}.{number} 0 {time.time_ns()}\n".encode())
            pace.wait(_PAUSE_S)


def _log_answer(fd: int, session: SessionStore, name: str, number: int, large: int = 0) -> None:
    """Commit, with a value of `large` bytes, or enqueue every third time, and log it once it was answered."""
    mark = f"{name}.{number}"
    if number % 3 == 0:
        session.enqueue_pending_turn_input(next_input(mark, session_id=SESSION, input_id=mark))
        os.write(fd, f"input {mark} 0 {time.time_ns()}\n".encode())
        return
    try:
        revision = _commit(session, LeaseOwnerIdentity.local_process(name, "1"), mark, large)
    except (HeadRevisionConflict, SessionExecutionLeaseExpired):
        return
    if revision:
        os.write(fd, f"commit {mark} {revision} {time.time_ns()}\n".encode())


def _commit(session: SessionStore, who: LeaseOwnerIdentity, mark: str, large: int) -> int:
    """Commit a node under the lease, taken over from the dead where it must be; 0 where somebody lives who has it."""
    outcome = session.try_claim_session_execution_lease(SESSION, who, _TTL_MS)
    if isinstance(outcome, LeaseBusy):
        outcome = session.reclaim_session_execution_lease(SESSION, who, outcome.holder.fence(), _TTL_MS)
    lease = outcome.acquired()
    if lease is None:
        return 0
    value = HydratedSessionCheckpoint(plugin_snapshot=(mark * large)[:large]) if large else HydratedSessionCheckpoint()
    commit = append_commit(node(mark), session_id=SESSION, checkpoint=value)
    commit = commit.with_session_execution_lease(lease.fence())
    return session.commit_runtime_state(commit.releasing_session_execution_lease(lease.completion())).head_revision


TASKS: dict[str, Callable[..., None]] = {
    "rename": rename,
    "count": count,
    "hold": hold,
    "work": work,
    "fold": fold,
    "fill": fill,
}


def run() -> None:
    """Do the task that the process's arguments name."""
    TASKS[sys.argv[1]](*sys.argv[2:])
