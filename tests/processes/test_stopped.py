"""Processes that are stopped and go on later, that all start at once, or that write across a deletion."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from localstore import FullGraph, HeadRevisionConflict, LocalStore, SystemClock
from localstore.testing import append_commit, node, owner
from tests.processes import single_acts
from tests.processes.crews import context, wait_until
from tests.processes.single_acts import HOUR, SESSION

pytestmark = pytest.mark.race
needs_signals = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="the system stops no processes")
COLD_STARTERS = 16
COLD_STARTS = int(os.environ.get("LOCALSTORE_COLD_STARTS", "6"))


@contextmanager
def running(task, root: Path, *more):
    """A process that does the task, and this end of its pipe."""
    chosen = context()
    mine, theirs = chosen.Pipe()
    process = chosen.Process(target=task, args=(root, theirs, *more))
    process.start()
    theirs.close()
    try:
        yield process, mine
        process.join(60)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()
        process.close()
        mine.close()


def told(end):
    assert end.poll(60), "the process said nothing for a minute"
    return end.recv()


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    is_stopped(pid)


def is_stopped(pid: int) -> None:
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, "the process was stopped")


@needs_signals
def test_a_holder_that_was_stopped_between_two_calls_is_fenced(tmp_path: Path) -> None:
    root = tmp_path / "store"
    with running(single_acts.hold_and_commit, root, HOUR) as (process, end):
        token = told(end)
        stop(process.pid)
        with LocalStore(root, clock=_Later()) as store:
            session = store.open_session(SESSION)
            assert session is not None
            lease = session.try_claim_session_execution_lease(SESSION, owner("taker"), HOUR).acquired()
            assert lease is not None
            assert lease.fencing_token > token
            os.kill(process.pid, signal.SIGCONT)
            end.send("go on")
            answers = told(end)
            fenced = "SessionExecutionLeaseExpired"
            assert [answer.partition(":")[0] for answer in answers] == [fenced, fenced, fenced, "done"]
            # Its release was of a lease that is not the current one, and took nothing from the taker.
            commit = append_commit(node("taken over"), session_id=SESSION)
            session.commit_runtime_state(commit.with_session_execution_lease(lease.fence()))
            read = session.load_session(FullGraph())
            assert read is not None
            assert [each.node_id for each in read.graph.nodes] == ["taken over"]


class _Later:
    """The clock of this machine, two hours on."""

    def __init__(self) -> None:
        self._clock = SystemClock()

    def now_ms(self) -> int:
        return self._clock.now_ms() + 2 * HOUR

    def boot_ms(self) -> int:
        boot_ms = self._clock.boot_ms()
        assert boot_ms is not None
        return boot_ms + 2 * HOUR


@needs_signals
def test_a_holder_stopped_inside_a_call_costs_others_a_bounded_wait_and_is_named(tmp_path: Path) -> None:
    root = tmp_path / "store"
    with running(single_acts.stop_inside_a_call, root) as (_, end):
        pid = told(end)
        end.send("stop")
        is_stopped(pid)
        with running(single_acts.enqueue_impatiently, root, 0.2) as (_, other):
            first, read = told(other)
            assert first.startswith("BackendError:")
            assert f"process {pid}" in first
            assert "0.2 s" in first
            assert read == "done"  # readers need no lock
            os.kill(pid, signal.SIGCONT)
            assert told(end) == "done"
            other.send("again")
            assert told(other) == "done"
    with LocalStore(root) as store:
        session = store.open_session(SESSION)
        assert session is not None
        waiting = [each.input_id for each in session.list_pending_turn_inputs(SESSION)]
        assert waiting == ["from the stopped", "second"]


def test_many_processes_start_cold_on_an_empty_root(tmp_path: Path) -> None:
    chosen = context()
    for round_number in range(COLD_STARTS):
        root = tmp_path / f"{round_number}" / "store"
        gate = chosen.Barrier(COLD_STARTERS)
        ends = []
        processes = []
        for number in range(COLD_STARTERS):
            mine, theirs = chosen.Pipe()
            process = chosen.Process(target=single_acts.start_cold, args=(root, gate, theirs, number))
            process.start()
            theirs.close()
            ends.append(mine)
            processes.append(process)
        assert [told(end) for end in ends] == ["done"] * COLD_STARTERS
        for process, end in zip(processes, ends, strict=True):
            process.join(60)
            assert process.exitcode == 0
            process.close()
            end.close()
        with LocalStore(root) as store:
            assert len(store.list_sessions()) == COLD_STARTERS + 1
            session = store.open_session(SESSION)
            assert session is not None
            waiting = {each.input_id for each in session.list_pending_turn_inputs(SESSION)}
            assert waiting == {f"{number}" for number in range(COLD_STARTERS)}


@needs_signals
@pytest.mark.parametrize("made_again", [False, True])
@pytest.mark.parametrize("purged", [False, True])
def test_a_writer_paused_across_a_deletion_leaves_nothing_behind(
    tmp_path: Path, made_again: bool, purged: bool
) -> None:
    root = tmp_path / "store"
    with running(single_acts.write_across_a_deletion, root) as (process, end):
        assert told(end) == "ready"
        stop(process.pid)
        with LocalStore(root) as store:
            store.delete_session(SESSION)
            if purged:
                store.purge(everything=True)
            if made_again:
                store.create_session(SESSION)
            os.kill(process.pid, signal.SIGCONT)
            end.send("go on")
            answers = told(end)
            assert [answer.partition(":")[0] for answer in answers[:4]] == ["SessionNotFound"] * 4
            assert answers[5].startswith("SessionNotFound")
            assert [row.session_id for row in store.list_sessions()] == [SESSION] * made_again
            found = store.open_session(SESSION)
            assert (found is not None) == made_again
            if found is not None:
                assert found.load_session(FullGraph()) is None
                assert found.list_pending_turn_inputs(SESSION) == ()
            if not purged:
                assert [entry.node_count for entry in store.trash()] == [1]
            elif not made_again:
                assert list((root / "sessions").iterdir()) == []


def test_the_session_lock_keeps_threads_of_one_store_apart(tmp_path: Path) -> None:
    """Threads that race for one revision through one handle: one winner a revision, and every loss is a conflict."""
    with LocalStore(tmp_path / "store") as store:
        session = store.create_session(SESSION)
        lease = session.try_claim_session_execution_lease(SESSION, owner("team"), HOUR).acquired()
        assert lease is not None
        gate = threading.Barrier(4)
        won: list[tuple[int, int]] = []
        lost: list[tuple[int, int]] = []

        def race(number: int) -> None:
            for revision in range(25):
                gate.wait(60)
                commit = append_commit(
                    node(f"{revision}.{number}"), session_id=SESSION, expected_head_revision=revision
                ).with_session_execution_lease(lease.fence())
                try:
                    session.commit_runtime_state(commit)
                    won.append((revision, number))
                except HeadRevisionConflict as error:
                    lost.append((error.expected, error.actual))

        threads = [threading.Thread(target=race, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(revision for revision, _ in won) == list(range(25))
        assert len(lost) == 75
        assert all(actual == expected + 1 for expected, actual in lost)
