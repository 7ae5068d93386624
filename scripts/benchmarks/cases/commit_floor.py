"""One commit in FULL against the floor: the same bytes written over zeroed space and fdatasync, nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import orjson

from ..figures import Bench, Figure
from ..localstore_turn import LocalTurns
from ..rounds import Contestant, interleave
from ..stores import NotThereError, opened
from ..workload import Turn, turns

SESSION = "agent"


def _commits(script: list[Turn]) -> Contestant:
    """Commits under one lease, no input: the call alone is timed."""

    def play(directory: Path) -> tuple[list[int], int]:
        kind = LocalTurns()
        samples: list[int] = []
        with opened(kind, directory, flushed=True) as store:
            session = store.session(SESSION)
            session.claim_lease()
            for turn in script:
                start = time.perf_counter_ns()
                session.commit(turn)
                samples.append(time.perf_counter_ns() - start)
        with opened(kind, directory, flushed=True) as store:
            if store.session(SESSION).load_all() != [node for turn in script for node in turn.nodes]:
                raise NotThereError("not every committed node was read back")
        return samples, sum(samples)

    return play


def _bare(script: list[Turn]) -> Contestant:
    """The JSON of the same nodes, overwriting zeros: what the disk alone takes."""
    records = [b"".join(orjson.dumps(node) for node in turn.nodes) for turn in script]

    def play(directory: Path) -> tuple[list[int], int]:
        flush = getattr(os, "fdatasync", os.fsync)
        path = directory / "bare"
        path.write_bytes(bytes(sum(map(len, records)) + 4096))
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.fsync(descriptor)
            samples: list[int] = []
            at = 0
            for record in records:
                start = time.perf_counter_ns()
                at += os.pwrite(descriptor, record, at)
                flush(descriptor)
                samples.append(time.perf_counter_ns() - start)
        finally:
            os.close(descriptor)
        if not path.read_bytes().startswith(b"".join(records)):
            raise NotThereError("the bare bytes were not read back")
        return samples, sum(samples)

    return play


def run(bench: Bench) -> list[Figure]:
    script = list(turns(bench.scale.of(600, 200)))
    spreads = interleave({"localstore": _commits(script), "bare": _bare(script)}, bench.place, bench.scale.of(5, 2))
    ours, bare = spreads["localstore"], spreads["bare"]
    against = "bare write and fdatasync"
    return [
        Figure("one FULL commit of two nodes (5 KB), median", "us", ours.median, against, bare.median, 1.5),
        Figure("  99th percentile", "us", ours.p99, against, bare.p99),
    ]
