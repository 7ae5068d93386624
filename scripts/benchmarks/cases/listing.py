"""Listing many sessions in a process that was just started."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import psutil

from ..apart import apart
from ..figures import Bench, Figure
from ..kinds import OURS, SQLITE, kind_of
from ..rounds import fresh_directory
from ..stores import NotThereError, StoreKind, opened, whole_turn
from ..workload import turns


def _fill(kind: StoreKind, root: Path, count: int) -> None:
    (only,) = turns(1)
    with opened(kind, root, flushed=False) as store:
        for index in range(count):
            whole_turn(store.session(f"session-{index:05d}"), only)


def listed(kind_name: str, root: str) -> dict[str, Any]:
    """In a process apart: what opening the store and listing its sessions take, and how many were listed whole."""
    kind = kind_of(kind_name)
    mine = psutil.Process()
    before = mine.memory_info().rss
    start = time.perf_counter_ns()
    store = kind.open(Path(root), flushed=False)
    found = store.list_sessions()
    taken = time.perf_counter_ns() - start
    grown = mine.memory_info().rss - before
    store.close()
    whole = {row[0] for row in found if row[1] and row[2] == 2}
    return {"ns": taken, "bytes": grown, "count": len(whole)}


def run(bench: Bench) -> list[Figure]:
    count, repeats = bench.scale.of(10_000, 1_000), bench.scale.of(7, 3)
    milliseconds: dict[str, float] = {}
    megabytes: dict[str, float] = {}
    for name in (OURS, SQLITE):
        with fresh_directory(bench.place) as root:
            _fill(kind_of(name), root, count)
            found = [apart(listed, kind_name=name, root=str(root)) for _ in range(repeats)]
        if any(each["count"] != count for each in found):
            raise NotThereError(f"{name}: not every session was listed with its summary")
        milliseconds[name] = statistics.median(each["ns"] for each in found) / 1e6
        megabytes[name] = statistics.median(each["bytes"] for each in found) / 1e6
    goal = 300.0 * count / 10_000
    return [
        Figure(f"list {count:,} sessions, cold process, warm page cache", "ms", milliseconds[OURS], goal=goal),
        Figure("  memory it takes", "MB", megabytes[OURS], goal=50.0),
        Figure("  SQLite, for comparison", "ms", milliseconds[OURS], "SQLite", milliseconds[SQLITE]),
    ]
