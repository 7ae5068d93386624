"""Waking who follows a session as soon as its files change, where watchdog (the extra `watch`) can tell.

It is an ear and no more: an event may be missed, on a network mount no event ever comes, and where there is no watchdog
or the system's limit of watches is reached nothing is listened to. Whoever follows looks by itself every so often.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def listen(folder: str, wake: Callable[[], None]) -> Callable[[], None]:
    """Call `wake`, in some thread, whenever a file of the folder changes, until the returned function is called."""
    try:
        observer = _observe(folder, wake)
    except Exception:  # noqa: BLE001 - whatever keeps watchdog from working, the follower polls
        return _nothing
    return lambda: _end(observer)


def _observe(folder: str, wake: Callable[[], None]) -> Any:
    from watchdog.events import FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileSystemEvent
    from watchdog.events import FileSystemEventHandler as Handler
    from watchdog.observers import Observer

    class Ear(Handler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            wake()

    observer = Observer()
    try:
        # Without a filter the follower's own reading would wake it.
        observer.schedule(Ear(), folder, event_filter=[FileCreatedEvent, FileModifiedEvent, FileMovedEvent])
        observer.start()
    except BaseException:
        _end(observer)
        raise
    return observer


def _end(observer: Any) -> None:
    try:
        observer.stop()
        if observer.is_alive():
            observer.join()
    except Exception:  # noqa: BLE001 - it is of no use any more, however it ends
        return


def _nothing() -> None:
    return
