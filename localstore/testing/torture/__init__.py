"""The proof on one's own disk: whether a folder keeps the promises that a store needs of it.

`torture` works in a folder of its own, which it removes in the end: `localstore torture DIR` on the command line.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...disk.filesystems import file_system, synced_by
from . import full_disk, livecopies, probes, soak

__all__ = ["Certificate", "Trial", "torture"]

Trial = probes.Trial


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was tried where, how often, and what failed. Times are epoch milliseconds.

    `warnings` are about the place itself: a network, a folder that is synchronised, a disk that may not flush.
    """

    folder: str
    file_system: str
    system: str
    python: str
    started_at_ms: int
    seconds: float
    warnings: tuple[str, ...]
    trials: tuple[Trial, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed; warnings are no failure."""
        return not any(trial.failures for trial in self.trials)


def torture(
    folder: str | os.PathLike[str], *, seconds: float = 20.0, tell: Callable[[str, float], None] = lambda *_: None
) -> Certificate:
    """Try what a store needs of `folder`, which must exist, for about `seconds` seconds.

    `tell` hears of each trial as it begins, with the share of the time that is over. Workers are killed in mid-call,
    and what they were told is judged afterwards. Raises `OSError` where not even a folder can be made there.
    """
    where = os.path.abspath(os.fspath(folder))
    started, begun = time.time_ns() // 1_000_000, time.monotonic()
    base = tempfile.mkdtemp(prefix="localstore-torture-", dir=where)
    trials: list[Trial] = []
    share = max(0.2, seconds / 10)
    plan: Sequence[tuple[str, Callable[[], Trial]]] = (
        ("flushes", lambda: probes.flushes(base, share)),
        ("renames", lambda: probes.renames(base, share)),
        ("locks", lambda: probes.locks(base, share)),
        ("copies", lambda: livecopies.copies(base, 2 * share)),
        (full_disk.NAME, lambda: full_disk.full_disk(base, share)),
        ("kills", lambda: soak.kills(base, max(0.5, seconds - 6 * share))),
    )
    try:
        for name, trial in plan:
            tell(name, min(1.0, (time.monotonic() - begun) / max(seconds, 0.1)))
            trials.append(trial())
    finally:
        shutil.rmtree(base, ignore_errors=True)
    place = file_system(where)
    return Certificate(
        where,
        place.type or "unknown",
        platform.platform(),
        platform.python_version(),
        started,
        round(time.monotonic() - begun, 3),
        (*_about(where), *(note for trial in trials for note in trial.notes)),
        tuple(trials),
    )


def _about(folder: str) -> list[str]:
    place, tool = file_system(folder), synced_by(folder)
    found = []
    if place.is_network:
        found.append(f"{place.type} is, or may be, a network file system: locks of other machines may not hold here")
    if place.is_passing:
        found.append(f"{place.type} goes with a reboot or a container: nothing in it survives a power cut")
    if tool is not None:
        found.append(f"{tool} synchronises this folder: it copies files that are in use, and may put old ones back")
    return found
