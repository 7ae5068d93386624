"""Threads for the calls of event loops: those of one lane run in the order they were made, lanes beside each other."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias, TypeVar

from .contract.errors import BackendError, StoreClosed

R = TypeVar("R")

Outcome: TypeAlias = tuple[Any, BaseException | None]

THREAD_NAME = "localstore"
"""What the names of the threads start with."""


class _Call:
    """Work that a coroutine asked for. It is done whether or not the coroutine still waits for it."""

    __slots__ = ("_loop", "_work", "told")

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self.told: asyncio.Future[Outcome] = self._loop.create_future()

    def run(self) -> None:
        value, error = _outcome(self._work)
        try:
            self._loop.call_soon_threadsafe(_tell, self.told, value, error)
        except RuntimeError:  # the loop is closed: nobody waits
            pass
        # The error's traceback keeps this frame and this call; without this it would keep itself alive through them.
        del value, error, self._work, self.told


def _outcome(work: Callable[[], Any]) -> Outcome:
    try:
        return work(), None
    except BaseException as error:  # noqa: BLE001 - the coroutine that waits raises it
        return None, error


def _tell(told: asyncio.Future[Outcome], value: Any, error: BaseException | None) -> None:
    # Errors travel as results: an exception that was set and that nobody awaits any more would be logged.
    if not told.done():
        told.set_result((value, error))


def _settle(outcome: Outcome) -> Any:
    value, error = outcome
    if error is None:
        return value
    try:
        raise error
    finally:
        del outcome, error


class _Lane:
    """Calls in the order they were made. A lane is in the hands of one thread at most."""

    __slots__ = ("calls", "name")

    def __init__(self, name: str | None, *calls: _Call) -> None:
        self.name = name
        self.calls = deque(calls)


class Lanes:
    """At most `width` threads, started as they are needed; a lane occupies one at most, however many calls it has.

    Threads take the lanes in turn, one call a turn, so that long lanes hold up no short ones. A call that was made is
    run to its end even when its caller was cancelled, its event loop closed, or the interpreter is shutting down.
    """

    def __init__(self) -> None:
        self.width = min(32, (os.cpu_count() or 1) + 4)
        self._threads = ThreadPoolExecutor(self.width, THREAD_NAME)
        self._mutex = threading.Lock()
        self._lanes: dict[str, _Lane] = {}
        self._ready: deque[_Lane] = deque()
        self._workers = 0
        self._under_way = 0
        self._closing: _Lane | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether calls are refused."""
        return self._closing is not None

    async def run(self, name: str | None, work: Callable[[], R]) -> R:
        """What `work` returns or raises, run in the lane `name`; without a name, beside everything else.

        Raises `StoreClosed` after `close`, and `BackendError` when no thread can be started.
        """
        call = _Call(work)
        # Taken before a thread may have the call, which lets go of all it holds once it is done.
        told = call.told
        self._enter(name, call)
        outcome = await told
        del call, told
        try:
            result: R = _settle(outcome)
            return result
        finally:
            del outcome

    async def close(self, last: Callable[[], None]) -> None:
        """Refuse calls from now on, wait for those that were made, run `last`, and end the threads.

        Every call that waits for the end runs `last`, one after the other; later ones find nothing to do.
        """
        closing = self.begin_close(last)
        outcome: Outcome = (None, None) if closing is None else await closing
        del closing
        # The threads have nothing left to do, so that this takes no longer than waking them.
        self._threads.shutdown()
        _settle(outcome)

    def begin_close(self, last: Callable[[], None]) -> asyncio.Future[Outcome] | None:
        """`close` without waiting for the end; `None` when it is over."""

        def end() -> None:
            try:
                last()
            finally:
                with self._mutex:
                    self._closed = True
                self._threads.shutdown(wait=False)

        with self._mutex:
            if self._closed:
                return None
            call = _Call(end)
            self._hire()
            if self._closing is None:
                self._closing = _Lane(None)
            self._closing.calls.append(call)
            return call.told

    def _enter(self, name: str | None, call: _Call) -> None:
        with self._mutex:
            if self._closing is not None:
                raise StoreClosed()
            lane = None if name is None else self._lanes.get(name)
            if lane is not None:
                lane.calls.append(call)
                return
            self._hire()
            lane = _Lane(name, call)
            self._ready.append(lane)
            if name is not None:
                self._lanes[name] = lane

    def _hire(self) -> None:
        """See to it that a thread looks for ready lanes once the mutex is free."""
        if self._workers >= self.width:
            return
        try:
            self._threads.submit(self._work)
        except RuntimeError as error:
            if self._workers <= 0:
                raise BackendError(f"no thread can be started for the call ({error}); try again") from error
        else:
            self._workers += 1

    def _work(self) -> None:
        lane: _Lane | None = None
        while True:
            with self._mutex:
                if lane is not None:
                    self._leave(lane)
                lane = self._next()
                if lane is None:
                    # A thread may come that was not counted: one whose start failed at first.
                    self._workers = max(0, self._workers - 1)
                    return
                self._under_way += 1
                call = lane.calls.popleft()
            call.run()
            del call

    def _leave(self, lane: _Lane) -> None:
        self._under_way -= 1
        if lane.calls:
            self._ready.append(lane)
        elif lane.name is not None:
            del self._lanes[lane.name]

    def _next(self) -> _Lane | None:
        if self._ready:
            return self._ready.popleft()
        if self._closing is not None and self._closing.calls and not self._under_way:
            return self._closing
        return None
