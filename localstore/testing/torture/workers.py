"""What the processes of a trial do."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from ... import (
    HeadRevisionConflict,
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
    store = LocalStore(root)
    session = store.create_session(SESSION)
    who = LeaseOwnerIdentity.local_process(name, "1")
    number = 0
    while True:
        number += 1
        mark = f"{name}.{number}"
        if number % 3 == 0:
            session.enqueue_pending_turn_input(next_input(mark, session_id=SESSION, input_id=mark))
            os.write(fd, f"input {mark} 0 {time.time_ns()}\n".encode())
            continue
        try:
            revision = _commit(session, who, mark)
        except (HeadRevisionConflict, SessionExecutionLeaseExpired):
            continue
        if revision:
            os.write(fd, f"commit {mark} {revision} {time.time_ns()}\n".encode())
        if number % 50 == 0:
            session.vacuum()


def _commit(session: SessionStore, who: LeaseOwnerIdentity, mark: str) -> int:
    """Commit a node under the lease, taken over from the dead where it must be; 0 where somebody lives who has it."""
    outcome = session.try_claim_session_execution_lease(SESSION, who, _TTL_MS)
    if isinstance(outcome, LeaseBusy):
        outcome = session.reclaim_session_execution_lease(SESSION, who, outcome.holder.fence(), _TTL_MS)
    lease = outcome.acquired()
    if lease is None:
        return 0
    commit = append_commit(node(mark), session_id=SESSION).with_session_execution_lease(lease.fence())
    return session.commit_runtime_state(commit.releasing_session_execution_lease(lease.completion())).head_revision


TASKS: dict[str, Callable[..., None]] = {"rename": rename, "count": count, "hold": hold, "work": work}


def run() -> None:
    """Do the task that the process's arguments name."""
    TASKS[sys.argv[1]](*sys.argv[2:])
