"""Single acts of processes that the tests stop, let go on, or start all at once."""

from __future__ import annotations

import os
import signal
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from unittest import mock

from localstore import LeaseOwnerIdentity, LocalStore, SessionStore, StoreError
from localstore.disk import openfolder
from localstore.disk.system import System
from localstore.testing import append_commit, next_input, node, owner

SESSION = "shared"
HOUR = 3_600_000


def outcome(call) -> str:
    """What came of a call: `done`, or the error with its text."""
    try:
        call()
    except StoreError as error:
        return f"{type(error).__name__}: {error}"
    return "done"


def hold_and_commit(root: Path, answer: Connection, ttl_ms: int) -> None:
    """Take the lease, say so, wait for a word, and commit and release with what may be stale by then."""
    store = LocalStore(root)
    session = store.create_session(SESSION)
    lease = session.try_claim_session_execution_lease(SESSION, owner("holder"), ttl_ms).acquired()
    assert lease is not None
    answer.send(lease.fencing_token)
    answer.recv()
    commit = append_commit(node("late"), session_id=SESSION).with_session_execution_lease(lease.fence())
    told = [
        outcome(lambda: session.commit_runtime_state(commit)),
        outcome(lambda: session.renew_session_execution_lease(lease.fence(), HOUR)),
        outcome(lambda: session.claim_next_turn_inputs(SESSION, lease.fence(), lease.owner, HOUR, 9)),
        outcome(lambda: session.release_session_execution_lease(lease.completion())),
    ]
    answer.send(told)
    store.close()


def stop_inside_a_call(root: Path, answer: Connection) -> None:
    """Stop oneself in the midst of a commit, when its lock is held and nothing is written yet."""
    store = LocalStore(root)
    session = store.create_session(SESSION)
    lease = session.try_claim_session_execution_lease(SESSION, owner("stopped"), HOUR).acquired()
    assert lease is not None
    session.release_session_execution_lease(lease.completion())
    answer.send(os.getpid())
    answer.recv()
    write = System.pwrite_all
    stops = iter((True,))

    def stop_first(self: System, fd: int, data: bytes, offset: int) -> None:
        if next(stops, False):
            os.kill(os.getpid(), signal.SIGSTOP)
        write(self, fd, data, offset)

    with mock.patch.object(System, "pwrite_all", stop_first):
        draft = next_input("from the stopped", session_id=SESSION, input_id="from the stopped")
        answer.send(outcome(lambda: session.enqueue_pending_turn_input(draft)))
    store.close()


def enqueue_impatiently(root: Path, answer: Connection, patience_s: float) -> None:
    """Enqueue with little patience for a lock that others hold, then again when told to."""
    with mock.patch.object(openfolder, "LOCK_DEADLINE_S", patience_s):
        store = LocalStore(root)
        session = store.open_session(SESSION)
        assert session is not None
        answer.send([outcome(lambda: _enqueue(session, "first")), outcome(lambda: _read(session))])
        answer.recv()
        answer.send(outcome(lambda: _enqueue(session, "second")))
        store.close()


def _enqueue(session: SessionStore, text: str) -> None:
    session.enqueue_pending_turn_input(next_input(text, session_id=SESSION, input_id=text))


def _read(session: SessionStore) -> None:
    session.list_pending_turn_inputs(SESSION)


def start_cold(root: Path, gate: Barrier, answer: Connection, number: int) -> None:
    """Open the store when all are there, and write in it."""
    gate.wait(60)
    try:
        with LocalStore(root) as store:
            session = store.create_session(SESSION)
            session.enqueue_pending_turn_input(next_input(f"{number}", session_id=SESSION, input_id=f"{number}"))
            store.create_session(f"own-{number}")
        answer.send("done")
    except BaseException as error:
        answer.send(repr(error))
        raise


def write_across_a_deletion(root: Path, answer: Connection) -> None:
    """Hold the lease with a handle that has written, pause, and write on with it."""
    store = LocalStore(root)
    session = store.create_session(SESSION)
    who = LeaseOwnerIdentity.local_process("paused", "1")
    lease = session.try_claim_session_execution_lease(SESSION, who, HOUR).acquired()
    assert lease is not None
    first = append_commit(node("before"), session_id=SESSION).with_session_execution_lease(lease.fence())
    session.commit_runtime_state(first)
    answer.send("ready")
    answer.recv()
    commit = append_commit(node("after"), session_id=SESSION).with_session_execution_lease(lease.fence())
    told = [
        outcome(lambda: session.commit_runtime_state(commit)),
        outcome(lambda: session.enqueue_pending_turn_input(next_input("after", session_id=SESSION))),
        outcome(session.checkpoint),
        outcome(session.vacuum),
        outcome(lambda: session.renew_session_execution_lease(lease.fence(), HOUR)),
        outcome(session.load_session_head),
    ]
    answer.send(told)
    store.close()
