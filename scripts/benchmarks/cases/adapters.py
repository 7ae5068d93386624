"""The adapters against the storage that each framework brings along: adding, reading, many processes, disk."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..apart import apart, ready, together
from ..figures import Bench, Figure
from ..frameworks import OURS, THEIRS, Framework, framework
from ..rounds import Contestant, Spread, fresh_directory, interleave
from ..stores import NotThereError
from .disk import on_disk

SESSION = "agent"
PROCESSES = 8
_GROWING = "langgraph"
"""Each checkpoint of its own storage has all that was said before: sessions are kept short."""


async def verify(used: Framework, whose: str, root: Path, session_id: str, count: int) -> None:
    """Open the session anew and see that all of `count` turns is there."""
    talk = await used.open(whose, root, session_id)
    try:
        expected, records = used.told(count)
        found, there = await talk.load(), await talk.count()
    finally:
        await talk.close()
    if found != expected or there != records:
        raise NotThereError(
            f"{used.name}, {whose}: {len(found)} of {len(expected)}, {there} of {records} are there, or not the same"
        )


async def _play(used: Framework, whose: str, root: Path, count: int, reads: list[int]) -> tuple[list[int], int]:
    script = used.script(count, SESSION)
    clock = time.perf_counter_ns
    samples: list[int] = []
    begun = clock()
    talk = await used.open(whose, root, SESSION)
    for turn in script:
        start = clock()
        await talk.add(turn)
        samples.append(clock() - start)
    total = clock() - begun
    for _ in range(3):
        start = clock()
        await talk.load()
        reads.append(clock() - start)
    start = clock()
    await talk.close()
    total += clock() - start
    await verify(used, whose, root, SESSION, count)
    return samples, total


def contestant(used: Framework, whose: str, count: int, reads: list[int]) -> Contestant:
    """A round: open, add `count` turns, close; reads of all that is there are timed apart."""
    return lambda directory: asyncio.run(_play(used, whose, directory, count, reads))


def in_turns(name: str, count: int, rounds: int, under: str) -> dict[str, Any]:
    """In a process apart: interleaved rounds of both; for each, what turns and reads took, in microseconds."""
    used = framework(name)
    reads: dict[str, list[int]] = {OURS: [], THEIRS: []}
    contestants = {whose: contestant(used, whose, count, reads[whose]) for whose in (OURS, THEIRS)}
    spreads = interleave(contestants, Path(under), rounds)
    return {
        whose: {
            "mean": spread.mean,
            "median": spread.median,
            "p99": spread.p99,
            "read": statistics.median(reads[whose]) / 1000,
        }
        for whose, spread in spreads.items()
    }


def written(name: str, whose: str, root: str, count: int) -> None:
    """In a process apart: a session of `count` turns, closed and verified."""
    used = framework(name)

    async def write() -> None:
        talk = await used.open(whose, Path(root), SESSION)
        for turn in used.script(count, SESSION):
            await talk.add(turn)
        await talk.close()
        await verify(used, whose, Path(root), SESSION, count)

    asyncio.run(write())


def probe(name: str, whose: str, root: str, count: int) -> dict[str, Any]:
    """In a process apart, which did the same on a small session before: one cold open and load, in nanoseconds."""
    used = framework(name)
    expected, _ = used.told(count)

    async def read(where: Path) -> tuple[int, list[Any]]:
        start = time.perf_counter_ns()
        talk = await used.open(whose, where, SESSION)
        found = await talk.load()
        taken = time.perf_counter_ns() - start
        await talk.close()
        return taken, found

    with tempfile.TemporaryDirectory() as small:
        written(name, whose, small, 2)
        asyncio.run(read(Path(small)))
    taken, found = asyncio.run(read(Path(root)))
    return {"ns": taken, "good": found == expected}


def work(name: str, whose: str, root: str, session_id: str, count: int) -> dict[str, Any]:
    """In a process apart: add turns to a session of one's own."""
    used = framework(name)
    script = used.script(count, session_id)
    samples: list[int] = []

    async def play() -> tuple[int, int]:
        talk = await used.open(whose, Path(root), session_id)
        ready()
        begun = time.monotonic_ns()
        for turn in script:
            start = time.perf_counter_ns()
            await talk.add(turn)
            samples.append(time.perf_counter_ns() - start)
        ended = time.monotonic_ns()
        await talk.close()
        return begun, ended

    begun, ended = asyncio.run(play())
    return {"begun": begun, "ended": ended, "samples": samples}


def verify_apart(name: str, whose: str, root: str, session_ids: list[str], count: int) -> bool:
    """In a process apart: whether every session is there; what is not is raised."""
    for session_id in session_ids:
        asyncio.run(verify(framework(name), whose, Path(root), session_id, count))
    return True


def _at_once(bench: Bench, name: str, count: int, rounds: int) -> dict[str, tuple[float, Spread]]:
    """Of each, turns a second of all processes together, and the spread of the turns."""
    spreads = {OURS: Spread(), THEIRS: Spread()}
    rates: dict[str, list[float]] = {OURS: [], THEIRS: []}
    session_ids = [f"agent-{number}" for number in range(PROCESSES)]
    for _ in range(rounds):
        for whose in (OURS, THEIRS):
            with fresh_directory(bench.place) as root:
                given: dict[str, Any] = {"name": name, "whose": whose, "root": str(root), "count": count}
                # The first to open it makes it, before all of them do so at once.
                apart(written, name=name, whose=whose, root=str(root), count=1)
                found = together(work, [{**given, "session_id": session_id} for session_id in session_ids])
                apart(verify_apart, **given, session_ids=session_ids)
            span = max(each["ended"] for each in found) - min(each["begun"] for each in found)
            rates[whose].append(PROCESSES * count * 1e9 / span)
            for each in found:
                spreads[whose].add_round(each["samples"], each["ended"] - each["begun"])
    return {whose: (statistics.median(rates[whose]), spread) for whose, spread in spreads.items()}


def _lying(bench: Bench, name: str, count: int, probes: int) -> tuple[dict[str, float], dict[str, float]]:
    """Of a session at rest: microseconds of a cold open and load, and bytes on the disk."""
    samples: dict[str, list[int]] = {OURS: [], THEIRS: []}
    sizes: dict[str, float] = {}
    with fresh_directory(bench.place) as base:
        for whose in samples:
            root = base / whose
            root.mkdir()
            apart(written, name=name, whose=whose, root=str(root), count=count)
            sizes[whose] = on_disk(root)
        for _ in range(probes):
            for whose, taken in samples.items():
                found = apart(probe, name=name, whose=whose, root=str(base / whose), count=count)
                if not found["good"]:
                    raise NotThereError(f"{name}, {whose}: a cold load did not give what was written")
                taken.append(found["ns"])
    return {whose: statistics.median(taken) / 1000 for whose, taken in samples.items()}, sizes


def _run(name: str, bench: Bench) -> list[Figure]:
    used = framework(name)
    is_growing = name == _GROWING
    count = bench.scale.of(100, 30) if is_growing else bench.scale.of(300, 100)
    long = bench.scale.of(200, 60) if is_growing else bench.scale.of(1_000, 200)
    each = bench.scale.of(40, 15) if is_growing else bench.scale.of(60, 20)
    turns = apart(in_turns, name=name, count=count, rounds=bench.scale.of(5, 2), under=str(bench.place))
    ours, theirs = turns[OURS], turns[THEIRS]
    cold, sizes = _lying(bench, name, long, bench.scale.of(7, 3))
    at_once = _at_once(bench, name, each, bench.scale.of(3, 1))
    (rate, spread), (their_rate, their_spread) = at_once[OURS], at_once[THEIRS]
    against = used.theirs
    title = f"{name}: a turn ({used.turn}), mean of {count}, open and close included"
    more = f"  {PROCESSES} processes on {PROCESSES} sessions: turns a second"
    return [
        Figure(title, "us", ours["mean"], against, theirs["mean"], 1.0),
        Figure("  median", "us", ours["median"], against, theirs["median"]),
        Figure("  99th percentile", "us", ours["p99"], against, theirs["p99"]),
        Figure(f"  read of {count} turns by who has it open", "us", ours["read"], against, theirs["read"], 1.0),
        Figure(f"  cold open and read of {long:,} turns", "us", cold[OURS], against, cold[THEIRS], 1.0),
        Figure(more, "/s", rate, against, their_rate, 1.0, more_is_better=True),
        Figure("  99th percentile of their turns", "us", spread.p99, against, their_spread.p99, 1.0),
        Figure(f"  bytes on disk after {long:,} turns", "MB", sizes[OURS] / 1e6, against, sizes[THEIRS] / 1e6, 1.0),
    ]


def run(name: str) -> Callable[[Bench], list[Figure]]:
    """The case of a framework."""
    return partial(_run, name)
