"""Reads from a store that was not open before: a new process, then a fresh handle for each sample.

The process first does the same on a small store elsewhere, so that modules are imported and statements known. What is
measured is opening this store and reading from it, with the page cache warm.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .apart import apart
from .kinds import OURS, SQLITE, kind_of
from .prepared import SESSION
from .stores import NotThereError, OpenStore, Session, StoreKind, opened, whole_turn
from .workload import node, node_id, turns


def _read_all(session: Session, chance: random.Random, nodes: int) -> bool:
    return session.read_all() == nodes


def _read_path(session: Session, chance: random.Random, nodes: int) -> bool:
    return session.read_path() == nodes


def _load_node(session: Session, chance: random.Random, nodes: int) -> bool:
    index = chance.randrange(nodes)
    found = session.load_node(node_id(index))
    return found is not None and found == node(index, found.parent_node_id)


READS: dict[str, Callable[[Session, random.Random, int], bool]] = {
    "all": _read_all,
    "path": _read_path,
    "node": _load_node,
}
"""Each reads and says whether it got what it expected: `nodes` nodes, or one of them, whole."""


def _warm_up(kind: StoreKind, read: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        with opened(kind, Path(directory), flushed=False) as store:
            session = store.session(SESSION)
            for turn in turns(3):
                whole_turn(session, turn)
        with opened(kind, Path(directory), flushed=False) as store:
            READS[read](store.session(SESSION), random.Random(1), 6)


def probe(kind_name: str, root: str, read: str, nodes: int, repeats: int) -> dict[str, Any]:
    """In a process apart: the times of `repeats` cold reads in nanoseconds, and whether each read what is there."""
    kind = kind_of(kind_name)
    _warm_up(kind, read)
    chance = random.Random(5)
    samples: list[int] = []
    good = True
    for _ in range(repeats):
        start = time.perf_counter_ns()
        store: OpenStore = kind.open(Path(root), flushed=False)
        got = READS[read](store.session(SESSION), chance, nodes)
        samples.append(time.perf_counter_ns() - start)
        store.close()
        good = good and got
    return {"samples": samples, "good": good}


def compare(roots: dict[str, Path], read: str, nodes: int, *, repeats: int, rounds: int) -> dict[str, float]:
    """The median of cold reads on each store, in microseconds; processes of the two take turns."""
    samples: dict[str, list[int]] = {OURS: [], SQLITE: []}
    for _ in range(rounds):
        for name, root in roots.items():
            found = apart(probe, kind_name=name, root=str(root), read=read, nodes=nodes, repeats=repeats)
            if not found["good"]:
                raise NotThereError(f"{name}: a cold read of {read} did not give what was written")
            samples[name] += found["samples"]
    return {name: statistics.median(taken) / 1000 for name, taken in samples.items()}
