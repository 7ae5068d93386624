"""Where time comes from, so that every expiry can be tested without waiting."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from .. import liveness


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


def rfc3339(epoch_ms: int) -> str:
    """`epoch_ms` as an RFC 3339 timestamp in UTC with milliseconds."""
    moment = datetime.fromtimestamp(epoch_ms // 1000, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}Z"
