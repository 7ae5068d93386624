"""Where time comes from, so that every expiry can be tested without waiting."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from .. import liveness
from . import checks
from .errors import InvalidArgument

_LAST_RFC3339_MS = 253_402_300_799_999
"""The end of the year 9999."""


@runtime_checkable
class Clock(Protocol):
    """Anything with `now_ms()`: integer milliseconds since the Unix epoch.

    A clock may also have `boot_ms()`: milliseconds since the machine booted, counting suspend and ignoring steps of the
    wall clock (or `None`). Within one boot, expiry is then judged by that; without it, by `now_ms()`.
    """

    def now_ms(self) -> int:
        """Wall time in milliseconds since the Unix epoch."""
        ...


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    def now_ms(self) -> int:
        """Wall time in milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000

    def boot_ms(self) -> int | None:
        """Milliseconds since boot, suspend included; `None` where the platform cannot tell."""
        return liveness.monotonic_boot_ms()


class CheckedClock:
    """`clock`, held to the contract: what it tells is an integer of milliseconds, or the call is refused.

    A fraction, as from `time.time() * 1000`, would otherwise be written, and found to be no record when it is read.
    """

    __slots__ = ("_boot_ms", "_clock")

    def __init__(self, clock: Clock) -> None:
        if not callable(getattr(clock, "now_ms", None)):
            raise InvalidArgument(f"clock must have now_ms(), which {type(clock).__name__} has not")
        self._clock = clock
        self._boot_ms = getattr(clock, "boot_ms", None)

    def now_ms(self) -> int:
        """Wall time in milliseconds since the Unix epoch; `InvalidArgument` for what is no such time."""
        return checks.integer("what the clock's now_ms() returns", self._clock.now_ms())

    def boot_ms(self) -> int | None:
        """Milliseconds since boot; `None` where the clock has none. `InvalidArgument` for what is no such time."""
        if self._boot_ms is None:
            return None
        return checks.optional_integer("what the clock's boot_ms() returns", self._boot_ms())


def rfc3339(epoch_ms: int) -> str:
    """`epoch_ms` as an RFC 3339 timestamp in UTC with milliseconds; `InvalidArgument` past the year 9999."""
    if epoch_ms > _LAST_RFC3339_MS:
        raise InvalidArgument(f"{epoch_ms} ms since the epoch is past the year 9999; see to the clock")
    moment = datetime.fromtimestamp(epoch_ms // 1000, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}Z"
