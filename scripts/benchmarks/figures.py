"""What a case finds: one figure a line of the table, held against its goal."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One line: what we need, what the other one needs, and the goal for the ratio (or for ours alone).

    `unit` is that of `ours` and `theirs`. Without `theirs` the goal is in that unit. `goal` is `None` for a figure that
    is only shown beside others. `more_is_better`: the goal is a least one.
    """

    what: str
    unit: str
    ours: float
    against: str = ""
    theirs: float | None = None
    goal: float | None = None
    more_is_better: bool = False

    @property
    def measured(self) -> float:
        """What is held against the goal."""
        return self.ours if self.theirs is None else self.ours / self.theirs

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; `None` where there is none."""
        if self.goal is None:
            return None
        return self.measured >= self.goal if self.more_is_better else self.measured <= self.goal

    @property
    def of_goal(self) -> float | None:
        """How much of the goal is used up: 1 is just met, below it is better."""
        if self.goal is None:
            return None
        return self.goal / self.measured if self.more_is_better else self.measured / self.goal


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: enough, or `quick`."""

    quick: bool

    def of(self, full: int, quick: int) -> int:
        """`full`, or `quick` where it must be."""
        return quick if self.quick else full


@dataclass(slots=True)
class Bench:
    """What a case is given: where to measure, how much, and what an earlier case left for it.

    `device` is the block device that nothing else writes to meanwhile, if there is one.
    """

    place: Path
    scale: Scale
    device: str | None = None
    prepared: dict[str, Path] = field(default_factory=dict)
