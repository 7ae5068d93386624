"""Claiming and releasing the lease, against the same on SQLite in NORMAL: neither flushes."""

from __future__ import annotations

import time
from pathlib import Path

from ..figures import Bench, Figure
from ..localstore_turn import LocalTurns
from ..rounds import Contestant, interleave
from ..sqlite_turn import SqliteTurns
from ..stores import NotThereError, StoreKind, opened

SESSION = "agent"


def _claims(kind: StoreKind, count: int) -> Contestant:
    def play(directory: Path) -> tuple[list[int], int]:
        samples: list[int] = []
        with opened(kind, directory, flushed=False) as store:
            session = store.session(SESSION)
            for _ in range(count):
                start = time.perf_counter_ns()
                granted = session.claim_lease()
                session.release()
                samples.append(time.perf_counter_ns() - start)
                if not granted:
                    raise NotThereError("the lease was not granted although it was released")
        return samples, sum(samples)

    return play


def run(bench: Bench) -> list[Figure]:
    kinds: list[StoreKind] = [LocalTurns(), SqliteTurns()]
    count = bench.scale.of(2000, 500)
    spreads = interleave({kind.name: _claims(kind, count) for kind in kinds}, bench.place, bench.scale.of(5, 2))
    ours, theirs = spreads["localstore"], spreads["SQLite"]
    return [
        Figure("lease: claim and release, PROCESS, median", "us", ours.median, "SQLite NORMAL", theirs.median, 1.0),
        Figure("  99th percentile", "us", ours.p99, "SQLite NORMAL", theirs.p99),
    ]
