"""What the workers do on shared sessions until they are killed, and the log in which each says what it was told."""

from __future__ import annotations

import json
import os
import random
import time
import warnings
from pathlib import Path
from typing import Any

from localstore import (
    Durability,
    HeadRevisionConflict,
    HydratedSessionCheckpoint,
    LeaseBusy,
    LeaseOwnerIdentity,
    LocalStore,
    QueuedWorkClaim,
    QueuedWorkClaimBoundary,
    QueuedWorkClaimExpired,
    SessionExecutionLease,
    SessionExecutionLeaseExpired,
    SessionStore,
    StoreError,
    TurnInputClaim,
    TurnInputClaimExpired,
)
from localstore.testing import append_commit, next_input, node, owner, wake

LANES = ("lane a", "lane b")
"""Sessions that one worker at a time has the lease of."""
RACE = "race"
"""A session whose lease all workers share, so that the compare-and-swap alone decides."""
SESSIONS = (*LANES, RACE)
LONG_MS, SHORT_MS = 60_000, 30
REFUSALS = (
    HeadRevisionConflict,
    QueuedWorkClaimExpired,
    SessionExecutionLeaseExpired,
    TurnInputClaimExpired,
)
"""What a worker has to expect when others work too."""


class Log:
    """Lines that survive the death of the process: one write each, to a file that only grows."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def say(self, what: str, **facts: Any) -> None:
        line = json.dumps({"what": what, "at": time.time_ns(), **facts})
        os.write(self._fd, line.encode() + b"\n")

    def close(self) -> None:
        os.close(self._fd)


class Worker:
    """Opens the store, and does one random thing after the other."""

    def __init__(
        self, root: Path, log: Log, name: str, seed: int, durability: Durability, *, upkeep: bool = True
    ) -> None:
        self.name, self.log, self._upkeep = name, log, upkeep
        self._chance = random.Random(seed)
        self._store = LocalStore(root, durability=durability)
        self._owner = LeaseOwnerIdentity.local_process(name, "1")
        self._handles = {session_id: self._store.create_session(session_id) for session_id in SESSIONS}
        self._count = 0

    def close(self) -> None:
        self._store.close()

    def becomes(self, name: str, log: Log) -> None:
        """Go on as another, with the store that is open."""
        self.name, self.log, self._count = name, log, 0
        self._owner = LeaseOwnerIdentity.local_process(name, "1")
        self._chance = random.Random(name)

    def act(self) -> None:
        """Do something; what another worker's doings forbid is no trouble, all else is."""
        session = self._handles[self._chance.choice(SESSIONS)]
        try:
            match self._chance.randrange(12):
                case 0 | 1:
                    self._enqueue_input(session)
                case 2:
                    self._enqueue_work(session)
                case 3:
                    self._read(session)
                case 4 if self._upkeep:
                    self._chance.choice((session.checkpoint, session.vacuum, session.gc_unreachable))()
                case _ if session.session_id == RACE:
                    self._race(session)
                case _:
                    self._turn(session)
        except REFUSALS as error:
            self.log.say("refused", error=type(error).__name__)
        except StoreError as error:
            self.log.say("trouble", error=repr(error), cause=repr(error.__cause__))

    def _mark(self) -> str:
        self._count += 1
        return f"{self.name}.{self._count}"

    def _enqueue_input(self, session: SessionStore) -> None:
        mark = self._mark()
        self.log.say("asks input", session=session.session_id, id=mark)
        draft = next_input(mark, session_id=session.session_id, input_id=mark, source_key=mark)
        record = session.enqueue_pending_turn_input(draft)
        self.log.say("has input", session=session.session_id, id=record.input_id, seq=record.enqueue_seq)

    def _enqueue_work(self, session: SessionStore) -> None:
        mark = self._mark()
        self.log.say("asks work", session=session.session_id, id=mark)
        batch = session.enqueue_queued_work(wake(mark, session_id=session.session_id, source_key=mark))
        self.log.say("has work", session=session.session_id, id=mark, seq=batch.enqueue_seq)

    def _read(self, session: SessionStore) -> None:
        begun = time.time_ns()
        head = session.load_session_head()
        revision = 0 if head is None else head.head_revision
        self.log.say("reads", session=session.session_id, begun=begun, revision=revision)

    def _take(self, session: SessionStore, who: LeaseOwnerIdentity, ttl_ms: int) -> SessionExecutionLease | None:
        begun = time.time_ns()
        outcome = session.try_claim_session_execution_lease(session.session_id, who, ttl_ms)
        if isinstance(outcome, LeaseBusy):
            outcome = session.reclaim_session_execution_lease(session.session_id, who, outcome.holder.fence(), ttl_ms)
        lease = outcome.acquired()
        if lease is not None:
            self.log.say(
                "has lease",
                session=session.session_id,
                begun=begun,
                token=lease.fencing_token,
                expires_ms=lease.expires_at_epoch_ms,
            )
        return lease

    def _turn(self, session: SessionStore) -> None:
        ttl_ms = SHORT_MS if self._chance.randrange(8) == 0 else LONG_MS
        lease = self._take(session, self._owner, ttl_ms)
        if lease is None:
            return
        inputs = work = None
        if self._chance.randrange(3):
            inputs, work = self._claim(session, lease)
        with_commit = self._chance.random() < 0.5
        if self._chance.randrange(10):
            self._commit(session, lease, inputs, work, release=with_commit)
            inputs = work = None
        if inputs is not None:
            session.abandon_turn_input_claim(inputs)
        if work is not None:
            session.abandon_queued_work_claim(work)
        self._say_released(session, lease)
        session.release_session_execution_lease(lease.completion())

    def _say_released(self, session: SessionStore, lease: SessionExecutionLease) -> None:
        self.log.say("gives lease", session=session.session_id, token=lease.fencing_token)

    def _claim(
        self, session: SessionStore, lease: SessionExecutionLease
    ) -> tuple[TurnInputClaim | None, QueuedWorkClaim | None]:
        most, fence, idle = self._chance.randint(1, 4), lease.fence(), QueuedWorkClaimBoundary.IDLE
        session_id, ttl_ms = session.session_id, LONG_MS
        inputs = session.claim_next_turn_inputs(session_id, fence, lease.owner, ttl_ms, most)
        work = session.claim_ready_queued_work(session_id, fence, lease.owner, idle, ttl_ms, most)
        return inputs, work

    def _race(self, session: SessionStore) -> None:
        lease = self._take(session, owner("team"), LONG_MS)
        assert lease is not None
        self._commit(session, lease, None, None, release=False)

    def _checkpoint_of(self, mark: str) -> HydratedSessionCheckpoint:
        return HydratedSessionCheckpoint()

    def _commit(
        self,
        session: SessionStore,
        lease: SessionExecutionLease,
        inputs: TurnInputClaim | None,
        work: QueuedWorkClaim | None,
        *,
        release: bool,
    ) -> None:
        head = session.load_session_head()
        revision = 0 if head is None else head.head_revision
        done = [item.input_id for item in inputs.inputs] if inputs else []
        marks = [str(batch.source_key) for batch in work.batches] if work else []
        mark = self._mark()
        payload = {"kind": "event", "inputs": done, "work": marks, "token": lease.fencing_token}
        commit = append_commit(
            node(mark, None if head is None else head.leaf_node_id, payload=payload),
            session_id=session.session_id,
            expected_head_revision=revision,
            session_execution_lease=lease.fence(),
            checkpoint=self._checkpoint_of(mark),
        )
        commit = commit if inputs is None else commit.completing_turn_input_claim(inputs)
        commit = commit if work is None else commit.completing_queue_claim(work)
        if release:
            commit = commit.releasing_session_execution_lease(lease.completion())
            self._say_released(session, lease)
        self.log.say("asks commit", session=session.session_id, id=mark, expected=revision)
        result = session.commit_runtime_state(commit)
        self.log.say("has commit", session=session.session_id, id=mark, revision=result.head_revision)


class FoldingWorker(Worker):
    """A worker that folds all the time, and whose checkpoints are too large for a line."""

    def act(self) -> None:
        super().act()
        if self._chance.randrange(3):
            return
        session = self._handles[self._chance.choice(SESSIONS)]
        fold = self._chance.choices((session.checkpoint, session.vacuum, session.gc_unreachable), (8, 1, 1))[0]
        try:
            fold()
        except StoreError as error:
            self.log.say("trouble", error=repr(error), cause=repr(error.__cause__))

    def _checkpoint_of(self, mark: str) -> HydratedSessionCheckpoint:
        return HydratedSessionCheckpoint(plugin_snapshot=mark * (20_000 // len(mark)))


def work_until_killed(
    root: Path, log_path: Path, name: str, seed: int, durability: Durability, upkeep: bool = True, folds: bool = False
) -> None:
    """What a worker process runs. Without `upkeep` nothing is folded in it, with `folds` all the time."""
    log = Log(log_path)
    kind = FoldingWorker if folds else Worker
    worker = kind(root, log, name, seed, durability, upkeep=upkeep)
    while True:
        worker.act()


def work_for(root: Path, log_path: Path, name: str, seed: int, acts: int) -> None:
    """A worker that comes to its end."""
    log = Log(log_path)
    worker = Worker(root, log, name, seed, Durability.PROCESS)
    for _ in range(acts):
        worker.act()
    worker.close()
    log.close()


def work_on_both_sides_of_a_fork(root: Path, folder: Path, acts: int) -> None:
    """A worker that forks in the midst of its work: parent and child go on with the store that was open."""
    log = Log(folder / "parent.log")
    worker = Worker(root, log, "parent", 1, Durability.PROCESS)
    for _ in range(acts):
        worker.act()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the store's own thread, which the child does without
        child = os.fork()
    if child == 0:
        status = 1
        try:
            worker.becomes("child", Log(folder / "child.log"))
            for _ in range(acts):
                worker.act()
            worker.close()
            status = 0
        finally:
            os._exit(status)
    for _ in range(acts):
        worker.act()
    _, status = os.waitpid(child, 0)
    worker.close()
    log.close()
    if status:
        raise SystemExit(status)
