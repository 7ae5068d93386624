"""Where the machine's moments come from: the clock, this boot, fresh ids, and the word on other processes."""

from __future__ import annotations

import os

from . import liveness
from .contract.clock import CheckedClock, Clock, SystemClock
from .contract.leases import LeaseOwnerIdentity
from .machine.moment import Moment


def fresh_id() -> str:
    """128 random bits in hex."""
    return os.urandom(16).hex()


class Surroundings:
    """Makes the `Moment` of each call. `clock` defaults to the machine's; one that is none is `InvalidArgument`."""

    __slots__ = ("clock", "given")

    def __init__(self, clock: Clock | None = None) -> None:
        self.given: Clock = SystemClock() if clock is None else clock
        self.clock: SystemClock | CheckedClock = SystemClock() if clock is None else CheckedClock(clock)

    def moment(self) -> Moment:
        """Now. A verdict of death is reached once a moment and holder, however many entries the holder has."""
        verdicts: dict[LeaseOwnerIdentity, bool] = {}

        def is_dead(holder: LeaseOwnerIdentity, claimant: LeaseOwnerIdentity) -> bool:
            verdict = verdicts.get(holder)
            if verdict is None:
                verdict = verdicts[holder] = holder.is_definitely_dead_for_claimant(claimant)
            return verdict

        return Moment(self.clock.now_ms(), liveness.boot_id(), self.clock.boot_ms(), fresh_id, is_dead)
