"""An asynchronous store driven from synchronous code, so that one suite judges both faces."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any, cast

from .. import AttachmentStore, RuntimePersistence
from .backends import StoreFace


class LoopThread:
    """An event loop that runs in a thread of its own until it is stopped."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="conformance-loop", daemon=True)
        self._thread.start()

    def run(self, call: Callable[[], Any]) -> Any:
        """What `call` returns in the loop's thread, awaited where it is awaitable."""

        async def inside() -> Any:
            result = call()
            return await result if inspect.isawaitable(result) else result

        return asyncio.run_coroutine_threadsafe(inside(), self.loop).result()

    def stop(self) -> None:
        """Stop the loop and wait for its thread. Doing so twice is harmless."""
        if self.loop.is_closed():
            return
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def _is_asynchronous(thing: object) -> bool:
    kind = type(thing)
    return any(inspect.iscoroutinefunction(getattr(kind, name, None)) for name in dir(kind))


class SyncOverAsync:
    """The synchronous face of an object with coroutine methods; each call runs to its end on the loop.

    What a call returns is wrapped too when it has coroutine methods itself, as a session of an asynchronous store has.
    """

    def __init__(self, thread: LoopThread, target: object) -> None:
        self._loop_thread = thread
        self._target = target

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return self._shown(found)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._shown(self._loop_thread.run(lambda: found(*args, **kwargs)))

        return call

    def _shown(self, result: Any) -> Any:
        return SyncOverAsync(self._loop_thread, result) if _is_asynchronous(result) else result


# The face is complete at run time, and what asks for an instance of the bases gets one.
RuntimePersistence.register(SyncOverAsync)
AttachmentStore.register(SyncOverAsync)


def store_over_async(thread: LoopThread, store: object) -> StoreFace:
    """The synchronous face of an asynchronous store."""
    return cast(StoreFace, SyncOverAsync(thread, store))
