"""One call on a store that is there already: recorded, and the states that a crash anywhere in it would have left."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from tests.crash.crash_disk import Disk, Tree
from tests.crash.crash_kernel import Entry, Kernel
from tests.crash.crash_settings import Setting, read_tree


@dataclass
class Single:
    """The system calls of one call, and of what came before and after it in the same process.

    Attributes:
        before: what was there, all of it durable.
        log: the effects, in order.
        begun: how many there were before the call began.
        ended: how many there were when it returned.
    """

    before: Tree
    log: list[Entry]
    begun: int
    ended: int


@dataclass(frozen=True)
class State:
    """What a crash left.

    Attributes:
        where: at which effect of how many, and in which way.
        acknowledged: whether the call had returned.
        cut: whether the power was cut.
    """

    where: str
    tree: Tree
    acknowledged: bool
    cut: bool


def record_single(setting: Setting, base: str, run: Callable[[Callable[[], None]], object]) -> Single:
    """Record what `run` does on the files under `base`; it calls what it is given before the call, and after it."""
    before = read_tree(base)
    kernel = Kernel(base, Disk(before))
    marks: list[int] = []
    with ExitStack() as stack:
        run_due = stack.enter_context(setting.installed())
        stack.enter_context(kernel.installed())
        run(lambda: marks.append(len(kernel.log)))
        run_due()
    assert kernel.open_count == 0, "descriptors stay open after the stores were closed"
    assert kernel.disk.now() == read_tree(base), "a call that changes files went past the recorder"
    begun, ended = marks
    return Single(before, kernel.log, begun, ended)


def states(single: Single, rng: random.Random, *, most: int, share: float = 1.0, every: int = 0) -> Iterator[State]:
    """What a crash would have left, at a `share` of the points between its system calls, and at all after it.

    Each state is given once. `most` and `every` are those of `Disk.cuts`.
    """
    disk = Disk(single.before)
    seen: set[tuple[bool, bool, frozenset[tuple[str, bytes | None]]]] = set()
    for point in range(len(single.log) + 1):
        if point >= single.begun and (rng.random() < share or point >= single.ended):
            acknowledged = point >= single.ended
            found = [(False, disk.now()), *((True, tree) for tree in disk.cuts(rng, most, every))]
            for cut, tree in found:
                key = acknowledged, cut, frozenset(tree.items())
                if key not in seen:
                    seen.add(key)
                    how = "power cut" if cut else "death"
                    yield State(f"{how} at effect {point} of {len(single.log)}", tree, acknowledged, cut)
        if point < len(single.log):
            method, *arguments = single.log[point]
            getattr(disk, method)(*arguments)
