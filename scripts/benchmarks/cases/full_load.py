"""Opening a store and loading a whole session, every payload decoded: against SQLite, and reading and parsing alone."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import orjson

from .. import cold
from ..figures import Bench, Figure
from ..kinds import OURS, SQLITE, both
from ..prepared import chain_length, chain_session
from ..workload import turns


def _read_and_parse(path: Path, repeats: int) -> float:
    """The floor in microseconds: the same nodes as lines of JSON, read at once and parsed line by line."""
    samples: list[int] = []
    for _ in range(repeats):
        start = time.perf_counter_ns()
        with path.open("rb") as file:
            parsed = [orjson.loads(line) for line in file.read().splitlines()]
        samples.append(time.perf_counter_ns() - start)
        del parsed
    return statistics.median(samples) / 1000


def run(bench: Bench) -> list[Figure]:
    roots = {kind.name: chain_session(bench, kind) for kind in both()}
    count = chain_length(bench.scale)
    lines = bench.place / "chain.jsonl"
    nodes = (node for turn in turns(count // 10, 10) for node in turn.nodes)
    lines.write_bytes(b"".join(orjson.dumps(node) + b"\n" for node in nodes))
    floor = _read_and_parse(lines, 7)
    lines.unlink()
    found = cold.compare(roots, "all", count, repeats=3, rounds=bench.scale.of(4, 2))
    what = f"cold open and load of all {count:,} nodes (2.5 KB each)"
    return [
        Figure(what, "us", found[OURS], "SQLite", found[SQLITE], 0.5),
        Figure("  the same", "us", found[OURS], "read and parse", floor, 1.5),
    ]
