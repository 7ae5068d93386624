"""The cases, in the order of the table: each module has `run(bench)`, which gives the lines it stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..figures import Bench, Figure
from ..frameworks import NAMES
from . import (
    active_path,
    adapters,
    commit_floor,
    disk,
    enqueue,
    full_load,
    lease,
    listing,
    long_queue,
    long_session,
    many_processes,
    one_lease,
    one_node,
    startup,
    whole_turn,
)


@dataclass(frozen=True, slots=True)
class Case:
    """One case: `once` where the second disk would tell nothing new, or would suffer from the many files."""

    name: str
    run: Callable[[Bench], list[Figure]]
    once: bool = False


CASES = (
    Case("whole-turn", whole_turn.run),
    Case("commit-floor", commit_floor.run),
    Case("enqueue", enqueue.run),
    Case("lease", lease.run),
    Case("full-load", full_load.run),
    Case("one-node", one_node.run),
    Case("active-path", active_path.run),
    Case("long-session", long_session.run),
    Case("listing", listing.run, once=True),
    Case("many-processes", many_processes.run),
    Case("one-lease", one_lease.run),
    Case("long-queue", long_queue.run, once=True),
    Case("disk", disk.run),
    Case("startup", startup.run, once=True),
    *(Case(f"adapter-{name}", adapters.run(name)) for name in NAMES),
)
