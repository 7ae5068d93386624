"""Taking in one user input durably, against a put of the same text into queues on SQLite that flush each put."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ..figures import Bench, Figure
from ..localstore_turn import LocalTurns
from ..queue_peers import DurableQueue, LiteQueueFull, PersistQueue
from ..rounds import Contestant, interleave
from ..stores import NotThereError, opened
from ..workload import Turn, turns

SESSION = "agent"


def _enqueues(script: list[Turn]) -> Contestant:
    def play(directory: Path) -> tuple[list[int], int]:
        kind = LocalTurns()
        samples: list[int] = []
        with opened(kind, directory, flushed=True) as store:
            session = store.session(SESSION)
            for turn in script:
                start = time.perf_counter_ns()
                session.enqueue(turn)
                samples.append(time.perf_counter_ns() - start)
        with opened(kind, directory, flushed=True) as store:
            if store.session(SESSION).pending_inputs() != len(script):
                raise NotThereError("not every input waits")
        return samples, sum(samples)

    return play


def _puts(make: Callable[[Path], DurableQueue], script: list[Turn]) -> Contestant:
    def play(directory: Path) -> tuple[list[int], int]:
        queue = make(directory)
        samples: list[int] = []
        try:
            for turn in script:
                start = time.perf_counter_ns()
                queue.put({"source_key": turn.source_key, "text": turn.text})
                samples.append(time.perf_counter_ns() - start)
            if queue.count() != len(script):
                raise NotThereError("not every item that was put waits")
        finally:
            queue.close()
        return samples, sum(samples)

    return play


def run(bench: Bench) -> list[Figure]:
    script = list(turns(bench.scale.of(1000, 200)))
    peers: dict[str, tuple[Callable[[Path], DurableQueue], float]] = {
        "persist-queue put": (PersistQueue, 0.7),
        "litequeue put, FULL": (LiteQueueFull, 1.0),
    }
    contestants = {"localstore": _enqueues(script)}
    contestants |= {name: _puts(make, script) for name, (make, _) in peers.items()}
    spreads = interleave(contestants, bench.place, bench.scale.of(5, 2))
    ours = spreads["localstore"]
    return [
        Figure("durable enqueue of an input, FULL, median", "us", ours.median, name, spreads[name].median, goal)
        for name, (_, goal) in peers.items()
    ]
