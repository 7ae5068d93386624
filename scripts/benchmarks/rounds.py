"""Rounds that take turns: A B A B, each on a fresh directory, so that what the machine does meanwhile hits both."""

from __future__ import annotations

import gc
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_TO_US = 1_000


@contextmanager
def fresh_directory(under: Path) -> Iterator[Path]:
    """An empty directory in `under` that is gone afterwards."""
    made = Path(tempfile.mkdtemp(prefix="round-", dir=under))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@dataclass(slots=True)
class Spread:
    """Times of one contestant in microseconds: of each operation, and of whole rounds by operation."""

    samples: list[float] = field(default_factory=list)
    round_means: list[float] = field(default_factory=list)

    def add_round(self, samples_ns: Sequence[int], total_ns: int) -> None:
        """One round: the time of each operation, and of all of it with what came before and after them."""
        self.samples.extend(sample / _TO_US for sample in samples_ns)
        self.round_means.append(total_ns / _TO_US / len(samples_ns))

    @property
    def mean(self) -> float:
        """The median over the rounds of a round's whole time by operation, opening and closing included."""
        return statistics.median(self.round_means)

    @property
    def median(self) -> float:
        """The median operation."""
        return statistics.median(self.samples)

    @property
    def p99(self) -> float:
        """The operation that one in a hundred is slower than."""
        ordered = sorted(self.samples)
        return ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]

    def shown(self) -> dict[str, float]:
        """For the report."""
        return {"mean_us": self.mean, "median_us": self.median, "p99_us": self.p99}


Contestant = Callable[[Path], tuple[list[int], int]]
"""Plays one round in a fresh directory: the time of each operation, and of the whole round, in nanoseconds."""


def interleave(contestants: dict[str, Contestant], under: Path, rounds: int) -> dict[str, Spread]:
    """Play `rounds` rounds of each contestant in turn; the order is reversed in every other round."""
    spreads = {name: Spread() for name in contestants}
    order = list(contestants)
    for _ in range(rounds):
        for name in order:
            with fresh_directory(under) as directory:
                gc.collect()
                spreads[name].add_round(*contestants[name](directory))
        order.reverse()
    return spreads


def timed(operations: Iterator[Callable[[], object]] | Sequence[Callable[[], object]]) -> list[int]:
    """The time that each operation takes, in nanoseconds."""
    samples: list[int] = []
    clock = time.perf_counter_ns
    for operation in operations:
        start = clock()
        operation()
        samples.append(clock() - start)
    return samples
