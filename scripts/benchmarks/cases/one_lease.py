"""Eight processes that all want the lease of one session: how long after a release the next one has it."""

from __future__ import annotations

import statistics
import threading
import time
from itertools import pairwise
from pathlib import Path

from ..apart import ready, together
from ..figures import Bench, Figure
from ..kinds import OURS, SQLITE, kind_of
from ..rounds import fresh_directory
from ..stores import NotThereError, opened

PROCESSES = 8
SESSION = "agent"
_RETRY_S = 0.0005
_HOLD_S = 0.001


def fight(kind_name: str, root: str, milliseconds: int) -> list[list[int]]:
    """In a process apart: claim, hold for 1 ms, release, again; when each claim was granted and its release began."""
    held: list[list[int]] = []
    pause = threading.Event()
    with opened(kind_of(kind_name), Path(root), flushed=False) as store:
        session = store.session(SESSION)
        ready()
        deadline = time.monotonic_ns() + milliseconds * 1_000_000
        while time.monotonic_ns() < deadline:
            if not session.claim_lease():
                pause.wait(_RETRY_S)
                continue
            granted = time.monotonic_ns()
            pause.wait(_HOLD_S)
            held.append([granted, time.monotonic_ns()])
            session.release()
            pause.wait(_RETRY_S)
    return held


def _gaps(bench: Bench, kind_name: str) -> float:
    """The median time in milliseconds from a release to the next claim; nobody may have held it together."""
    with fresh_directory(bench.place) as directory:
        arguments = {"kind_name": kind_name, "root": str(directory), "milliseconds": bench.scale.of(3_000, 1_500)}
        with opened(kind_of(kind_name), directory, flushed=False) as store:
            store.session(SESSION)
        held: list[list[int]] = sorted(each for found in together(fight, [arguments] * PROCESSES) for each in found)
    gaps = [later[0] - earlier[1] for earlier, later in pairwise(held)]
    if not gaps or min(gaps) < 0:
        raise NotThereError(f"{kind_name}: two processes held the lease at once, or nobody did")
    return statistics.median(gaps) / 1e6


def run(bench: Bench) -> list[Figure]:
    ours, theirs = _gaps(bench, OURS), _gaps(bench, SQLITE)
    what = "8 processes fighting for one lease: release to next claim, median"
    return [Figure(what, "ms", ours, goal=2.0), Figure("  SQLite, for comparison", "ms", ours, "SQLite", theirs)]
