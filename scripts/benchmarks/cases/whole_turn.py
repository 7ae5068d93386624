"""The whole turn against the tuned SQLite one: mean over rounds with opening, folds, checkpoints and closing."""

from __future__ import annotations

import time
from pathlib import Path

from localstore import InMemoryStore

from ..figures import Bench, Figure
from ..localstore_turn import LocalTurns
from ..rounds import Contestant, Spread, interleave
from ..sqlite_turn import SqliteTurns
from ..stores import StoreKind, verify_turns, whole_turn
from ..workload import Turn, turns

SESSION = "agent"
_IN_MEMORY = "in memory"


class TurnsInMemory(LocalTurns):
    """This package's rules alone: the store that writes nothing."""

    name = _IN_MEMORY

    def __init__(self) -> None:
        super().__init__(opens=lambda root, *, durability: InMemoryStore())


def contestant(kind: StoreKind, script: list[Turn], *, flushed: bool, verified: bool = True) -> Contestant:
    """A round of `kind`: open, play `script`, close; then (not timed) read back that all is there."""

    def play(directory: Path) -> tuple[list[int], int]:
        clock = time.perf_counter_ns
        samples: list[int] = []
        begun = clock()
        store = kind.open(directory, flushed=flushed)
        try:
            session = store.session(SESSION)
            for turn in script:
                start = clock()
                whole_turn(session, turn)
                samples.append(clock() - start)
        finally:
            store.close()
        total = clock() - begun
        if verified:
            verify_turns(kind, directory, SESSION, script)
        return samples, total

    return play


def compare(
    kinds: list[StoreKind], under: Path, *, flushed: bool, count: int, rounds: int, verified: bool = True
) -> dict[str, Spread]:
    """The spreads of `kinds` over `rounds` interleaved rounds of `count` turns."""
    script = list(turns(count))
    playing = {kind.name: contestant(kind, script, flushed=flushed, verified=verified) for kind in kinds}
    return interleave(playing, under, rounds)


def run(bench: Bench) -> list[Figure]:
    kinds: list[StoreKind] = [LocalTurns(), SqliteTurns()]
    found: list[Figure] = []
    alone = compare([TurnsInMemory()], bench.place, flushed=False, count=400, rounds=3, verified=False)[_IN_MEMORY]
    for durability, synchronous, flushed, goal in (("FULL", "FULL", True, 0.7), ("PROCESS", "NORMAL", False, 0.6)):
        count, rounds = bench.scale.of(1000, 400), bench.scale.of(5, 2)
        spreads = compare(kinds, bench.place, flushed=flushed, count=count, rounds=rounds)
        ours, theirs = spreads["localstore"], spreads["SQLite"]
        against = f"SQLite {synchronous}"
        found += [
            Figure(
                f"whole turn, {durability}: mean, open and close included", "us", ours.mean, against, theirs.mean, goal
            ),
            Figure("  median", "us", ours.median, against, theirs.median),
            Figure("  99th percentile", "us", ours.p99, against, theirs.p99),
        ]
    found.append(Figure("  the rules of a turn alone, in memory", "us", alone.mean))
    return found
