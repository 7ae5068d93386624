"""Following the change feed: batches of changes as they come, by whichever process makes them.

What is given is read from the feed itself, so that it is as exact as `changes` is; being woken only makes it prompt.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial
from typing import Any, Protocol, TypeAlias

from .contract.errors import InvalidArgument, StoreClosed
from .contract.feed import ChangeBatch

LOOK_S = 0.1
"""How long it takes at most until `stop` is noticed, seconds."""
PAGE = 10_000
"""Calls whose changes are read at a time, at most."""

Look: TypeAlias = Callable[[str | None], ChangeBatch]
"""What is behind a cursor now; nothing at all is an empty batch."""
Listen: TypeAlias = Callable[[Callable[[], None]], Callable[[], None]]
"""Has the session call back whenever it may have changed, until what it returns is called."""


class Stop(Protocol):
    """What ends a `watch`: an event of `threading`, `multiprocessing` or `asyncio`."""

    def is_set(self) -> bool:
        """Whether it is to end."""
        ...


def interval(poll_s: float) -> float:
    """`poll_s` if it is a time to wait, in seconds."""
    if isinstance(poll_s, bool) or not isinstance(poll_s, (int, float)):
        raise InvalidArgument(f"poll_s must be a number of seconds, not {type(poll_s).__name__}")
    if not (math.isfinite(poll_s) and poll_s > 0):
        raise InvalidArgument(f"poll_s must be a positive number of seconds, not {poll_s}")
    return float(poll_s)


def stopping(stop: Stop | None) -> Stop | None:
    """`stop` if it can be asked whether it is set."""
    if stop is not None and not callable(getattr(stop, "is_set", None)):
        raise InvalidArgument(f"stop must be an event, not {type(stop).__name__}")
    return stop


class _Ear:
    """Listening that can be ended from another thread, also before it has begun."""

    def __init__(self, listen: Listen, wake: Callable[[], None]) -> None:
        self._listen = listen
        self._wake = wake
        self._mutex = threading.Lock()
        self._closed = False
        self._end: Callable[[], None] | None = None

    def open(self) -> None:
        end = self._listen(self._wake)
        with self._mutex:
            if not self._closed:
                self._end = end
                return
        end()

    def close(self) -> None:
        with self._mutex:
            self._closed = True
            end, self._end = self._end, None
        if end is not None:
            end()


def follow(
    look: Look, listen: Listen, since: str | None, poll_s: float, stop: Stop | None
) -> Generator[ChangeBatch, None, None]:
    """Batches of what `look` finds behind the last one, looked for when woken, and at least every `poll_s`."""
    woken = threading.Event()
    ear = _Ear(listen, woken.set)
    ear.open()
    try:
        while not _is_set(stop):
            # Cleared before it is looked: what changes meanwhile wakes again.
            woken.clear()
            batch = look(since)
            since = batch.cursor
            if batch.changes:
                yield batch
            else:
                _wait(woken, poll_s, stop)
    finally:
        ear.close()


def _wait(woken: threading.Event, poll_s: float, stop: Stop | None) -> None:
    until = time.monotonic() + poll_s
    while (left := until - time.monotonic()) > 0 and not _is_set(stop):
        if woken.wait(left if stop is None else min(left, LOOK_S)):
            return


async def follow_async(
    run: Callable[[Callable[[], Any]], Awaitable[Any]],
    look: Look,
    listen: Listen,
    since: str | None,
    poll_s: float,
    stop: Stop | None,
) -> AsyncGenerator[ChangeBatch, None]:
    """As `follow`, with `look` and `listen` in threads that `run` has, none of which waits."""
    loop, woken = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(woken.set)
        except RuntimeError:  # the loop is closed: nobody waits
            pass

    ear = _Ear(listen, wake)
    try:
        await run(ear.open)
        while not _is_set(stop):
            woken.clear()
            batch: ChangeBatch = await run(partial(look, since))
            since = batch.cursor
            if batch.changes:
                yield batch
            else:
                await _wait_async(woken, poll_s, stop)
    finally:
        try:
            await run(ear.close)
        except StoreClosed:
            ear.close()


async def _wait_async(woken: asyncio.Event, poll_s: float, stop: Stop | None) -> None:
    until = time.monotonic() + poll_s
    while (left := until - time.monotonic()) > 0 and not _is_set(stop):
        try:
            async with asyncio.timeout(left if stop is None else min(left, LOOK_S)):
                await woken.wait()
        except TimeoutError:
            continue
        return


def _is_set(stop: Stop | None) -> bool:
    return stop is not None and stop.is_set()
