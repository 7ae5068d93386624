"""Claiming the first of many queued batches against the first of few."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localstore import (
    DeliveryPolicy,
    Durability,
    LeaseOwnerIdentity,
    LocalStore,
    ProcessWake,
    QueuedWorkBatchDraft,
    QueuedWorkClaimBoundary,
    SessionExecutionLease,
    SessionStore,
    SlotPolicy,
)

from ..figures import Bench, Figure
from ..rounds import fresh_directory
from ..stores import NotThereError

SESSION = "agent"
_SHORT = 100
_TTL_MS = 600_000
_OWNER = LeaseOwnerIdentity.opaque("worker", "1")


@contextmanager
def _queue(root: Path, count: int) -> Iterator[tuple[SessionStore, SessionExecutionLease]]:
    """A session with that many batches, opened anew after they were put, and its lease."""
    with LocalStore(root, durability=Durability.PROCESS) as store:
        session = store.create_session(SESSION)
        for index in range(count):
            wake = ProcessWake({"index": index, "reason": "a tool has finished"})
            draft = QueuedWorkBatchDraft(SESSION, DeliveryPolicy.EARLIEST_SAFE_BOUNDARY, SlotPolicy.EXCLUSIVE, (wake,))
            session.enqueue_queued_work(draft)
    with LocalStore(root, durability=Durability.PROCESS) as store:
        session = store.create_session(SESSION)
        lease = session.try_claim_session_execution_lease(SESSION, _OWNER, _TTL_MS).acquired()
        if lease is None:
            raise NotThereError("the lease was not granted")
        yield session, lease


def _claim_first(session: SessionStore, lease: SessionExecutionLease) -> int:
    """The time that claiming the first batch takes; it is given back."""
    start = time.perf_counter_ns()
    claim = session.claim_ready_queued_work(SESSION, lease.fence(), _OWNER, QueuedWorkClaimBoundary.IDLE, _TTL_MS, 1)
    taken = time.perf_counter_ns() - start
    if claim is None or claim.batches[0].enqueue_seq != 1:
        raise NotThereError("the first batch was not claimed")
    session.abandon_queued_work_claim(claim)
    return taken


def run(bench: Bench) -> list[Figure]:
    count = bench.scale.of(100_000, 10_000)
    samples: tuple[list[int], list[int]] = ([], [])
    with (
        fresh_directory(bench.place) as short_root,
        fresh_directory(bench.place) as long_root,
        _queue(short_root, _SHORT) as short,
        _queue(long_root, count) as long,
    ):
        for _ in range(bench.scale.of(500, 200)):
            for taken, (session, lease) in zip(samples, (short, long), strict=True):
                taken.append(_claim_first(session, lease))
    of_few, of_many = (statistics.median(taken) / 1000 for taken in samples)
    return [Figure(f"claim the first of {count:,} queued batches", "us", of_many, f"of {_SHORT}", of_few, 1.2)]
