"""Eight processes on eight sessions at once, against SQLite with one file for all and with one file each."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ..apart import ready, together
from ..figures import Bench, Figure
from ..kinds import OURS, SQLITE, kind_of
from ..rounds import Spread, fresh_directory
from ..stores import opened, verify_turns, whole_turn
from ..workload import turns

PROCESSES = 8


def work(kind_name: str, root: str, session_id: str, count: int, flushed: bool) -> dict[str, Any]:
    """In a process apart: play turns on a session of one's own; when it began and ended, and what each turn took."""
    script = list(turns(count))
    samples: list[int] = []
    with opened(kind_of(kind_name), Path(root), flushed=flushed) as store:
        session = store.session(session_id)
        ready()
        begun = time.monotonic_ns()
        for turn in script:
            start = time.perf_counter_ns()
            whole_turn(session, turn)
            samples.append(time.perf_counter_ns() - start)
        ended = time.monotonic_ns()
    return {"begun": begun, "ended": ended, "samples": samples}


def _played(bench: Bench, kind_name: str, each_a_file: bool, count: int, flushed: bool) -> tuple[float, Spread]:
    """Turns a second of all together, and the spread of the turns."""
    spread = Spread()
    rates: list[float] = []
    for _ in range(bench.scale.of(3, 1)):
        with fresh_directory(bench.place) as directory:
            roots = [directory / str(n) if each_a_file else directory for n in range(PROCESSES)]
            for root in roots:
                root.mkdir(exist_ok=True)
            names = [f"agent-{n}" for n in range(PROCESSES)]
            found = together(
                work,
                [
                    {"kind_name": kind_name, "root": str(root), "session_id": name, "count": count, "flushed": flushed}
                    for root, name in zip(roots, names, strict=True)
                ],
            )
            for root, name in zip(roots, names, strict=True):
                verify_turns(kind_of(kind_name), root, name, list(turns(count)))
        span = max(each["ended"] for each in found) - min(each["begun"] for each in found)
        rates.append(PROCESSES * count * 1e9 / span)
        for each in found:
            spread.add_round(each["samples"], each["ended"] - each["begun"])
    return sorted(rates)[len(rates) // 2], spread


def run(bench: Bench) -> list[Figure]:
    count = bench.scale.of(200, 60)
    figures: list[Figure] = []
    for durability, synchronous, flushed in (("FULL", "FULL", True), ("PROCESS", "NORMAL", False)):
        rate, spread = _played(bench, OURS, False, count, flushed)
        for label, each_a_file in (("one file for all", False), ("one file each", True)):
            against = f"SQLite {synchronous}, {label}"
            their_rate, theirs = _played(bench, SQLITE, each_a_file, count, flushed)
            what = f"8 processes on 8 sessions, {durability}: turns a second"
            figures += [
                Figure(what, "/s", rate, against, their_rate, 1.5, more_is_better=True),
                Figure("  99th percentile of a turn", "us", spread.p99, against, theirs.p99, 0.5),
            ]
    return figures
