"""What a turn costs in a long session against a short one, and what it costs to open a long one for a commit."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

from ..apart import apart
from ..figures import Bench, Figure
from ..kinds import OURS, kind_of
from ..prepared import NODES_PER_TURN, SESSION, long_session, long_turn_count
from ..rounds import Spread, fresh_directory
from ..stores import NotThereError, OpenStore, Session, opened, whole_turn
from ..workload import Turn, node, turn, turns

_SHORT_TURNS = 50
_CHUNK = 50


def _script(prefix: int) -> Iterator[Turn]:
    """Turns that no prepared session has, each with two nodes."""
    index = prefix
    while True:
        yield turn(index, (node(2 * index, None), node(2 * index + 1, None)))
        index += 1


class _Runner:
    """One of the two sessions, and what its turns took."""

    def __init__(self, root: Path, prefix: int) -> None:
        self._root = root
        self._script = _script(prefix)
        start = time.perf_counter_ns()
        self._store: OpenStore = kind_of(OURS).open(root, flushed=False)
        self._session: Session = self._store.session(SESSION)
        self.total = time.perf_counter_ns() - start
        self.samples: list[int] = []
        self._revision = self._session.revision()

    def play(self, count: int) -> None:
        for each in list(islice(self._script, count)):
            start = time.perf_counter_ns()
            whole_turn(self._session, each)
            self.samples.append(time.perf_counter_ns() - start)

    def close(self) -> None:
        start = time.perf_counter_ns()
        self._store.close()
        self.total += time.perf_counter_ns() - start + sum(self.samples)
        with opened(kind_of(OURS), self._root, flushed=False) as store:
            if store.session(SESSION).revision() != self._revision + len(self.samples):
                raise NotThereError("not every turn was read back")


def _turns_in_both(bench: Bench, long_root: Path) -> tuple[Spread, Spread]:
    """Turns of the short and of the long session in turn, a chunk of each; opening and closing count."""
    spreads = Spread(), Spread()
    count, rounds = bench.scale.of(1_000, 300), bench.scale.of(3, 2)
    first = 10_000_000
    for _ in range(rounds):
        with fresh_directory(bench.place) as directory:
            with opened(kind_of(OURS), directory, flushed=False) as store:
                session = store.session(SESSION)
                for each in turns(_SHORT_TURNS):
                    whole_turn(session, each)
            runners = _Runner(directory, first), _Runner(long_root, first)
            for _ in range(count // _CHUNK):
                for runner in runners:
                    runner.play(_CHUNK)
            for runner, spread in zip(runners, spreads, strict=True):
                runner.close()
                spread.add_round(runner.samples, runner.total)
        first += count
    return spreads


def open_and_commit(root: str, first: int) -> dict[str, Any]:
    """In a process apart: what opening the store, claiming the lease and committing one turn take."""
    kind = kind_of(OURS)
    script = _script(first)
    with fresh_directory(Path(root).parent) as directory, opened(kind, directory, flushed=False) as store:
        session = store.session(SESSION)
        whole_turn(session, next(script))
    mine = psutil.Process()
    each = next(script)
    before = mine.memory_info().rss
    start = time.perf_counter_ns()
    store = kind.open(Path(root), flushed=False)
    session = store.session(SESSION)
    session.claim_lease()
    revision = session.commit(each)
    taken = time.perf_counter_ns() - start
    grown = mine.memory_info().rss - before
    session.release()
    store.close()
    with opened(kind, Path(root), flushed=False) as store:
        good = store.session(SESSION).revision() == revision
    return {"ns": taken, "bytes": grown, "good": good}


def _cold_opens(bench: Bench, root: Path) -> tuple[float, float]:
    """Milliseconds and megabytes, medians."""
    found = [apart(open_and_commit, root=str(root), first=90_000_000 + 10 * n) for n in range(bench.scale.of(9, 5))]
    if not all(each["good"] for each in found):
        raise NotThereError("a commit right after opening was not read back")
    milliseconds = statistics.median(each["ns"] for each in found) / 1e6
    return milliseconds, statistics.median(each["bytes"] for each in found) / 1e6


def run(bench: Bench) -> list[Figure]:
    root = long_session(bench, kind_of(OURS))
    turn_count = long_turn_count(bench.scale)
    short, long = _turns_in_both(bench, root)
    milliseconds, megabytes = _cold_opens(bench, root)
    size = f"{turn_count * NODES_PER_TURN:,} nodes, {turn_count:,} turns"
    return [
        Figure(f"turn at {size}: mean, open and close included", "us", long.mean, "at 100 nodes", short.mean, 1.1),
        Figure("  99th percentile", "us", long.p99, "at 100 nodes", short.p99, 1.5),
        Figure(f"cold open for a commit at {size}", "ms", milliseconds, goal=5.0),
        Figure("  memory it takes", "MB", megabytes, goal=10.0),
    ]
