"""Clocks that stand still until a test moves them."""

from __future__ import annotations

import threading
from typing import Any

START_MS = 1_767_225_600_000
"""Where the clocks start: 2026-01-01T00:00:00Z."""

_BOOTED_FOR_MS = 3_600_000


class ManualClock:
    """A wall clock that moves only when told to. It may be shared by threads; a pickled copy goes its own way."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self._lock = threading.Lock()
        self._now_ms = start_ms

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.now_ms(),)

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        with self._lock:
            return self._now_ms

    def advance(self, ms: int) -> None:
        """Let `ms` milliseconds pass."""
        with self._lock:
            self._now_ms += ms

    def set(self, ms: int) -> None:
        """Set the clock to `ms` milliseconds since the epoch, back or forth."""
        with self._lock:
            self._now_ms = ms


class SteppedClock(ManualClock):
    """A wall clock beside a boot clock: `advance` moves both, `set` steps the wall alone."""

    def __init__(self, start_ms: int = START_MS, boot_ms: int = _BOOTED_FOR_MS) -> None:
        super().__init__(start_ms)
        self._boot_ms = boot_ms

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.now_ms(), self.boot_ms())

    def boot_ms(self) -> int:
        """Milliseconds since the boot, which no step of the wall clock changes."""
        with self._lock:
            return self._boot_ms

    def advance(self, ms: int) -> None:
        """Let `ms` milliseconds pass on both clocks."""
        with self._lock:
            self._now_ms += ms
            self._boot_ms += ms
