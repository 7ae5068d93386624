"""The thread that brings the views of live sessions up to date, a moment after they changed.

A lease that is taken and released within one short turn, or input that is enqueued and completed in it, is never
written out: nobody could have read it. What holds longer is.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

from ..contract.errors import StoreError

VIEW_DELAY_S = 0.05
"""How long after a change the views follow. At 0 they follow in the call itself."""


_IDLE_S = 1.0


class Housekeeper:
    """Runs each task once, `VIEW_DELAY_S` after it was first asked for.

    The thread starts with the first task, and ends when there was none for a while.
    """

    def __init__(self) -> None:
        mutex = threading.Lock()
        self._wake = threading.Condition(mutex)
        self._due = threading.Condition(mutex)
        self._tasks: dict[Callable[[], None], None] = {}
        self._thread: threading.Thread | None = None
        self._stopped = False

    def later(self, task: Callable[[], None]) -> None:
        """Run `task` soon; asking again before it ran changes nothing."""
        with self._wake:
            if self._stopped:
                return
            self._tasks[task] = None
            if self._thread is None:
                self._thread = threading.Thread(target=_work, args=(weakref.ref(self),), daemon=True)
                self._thread.name = "localstore-views"
                self._thread.start()
            elif len(self._tasks) == 1:
                self._wake.notify()

    def take(self) -> list[Callable[[], None]] | None:
        """Wait for tasks to be due and take them; `None` to end."""
        with self._wake:
            if not self._tasks and not self._stopped:
                self._wake.wait(_IDLE_S)
            if self._tasks and not self._stopped:
                self._due.wait(VIEW_DELAY_S)
            if self._stopped or not self._tasks:
                self._thread = None
                return None
            tasks, self._tasks = list(self._tasks), {}
            return tasks

    def stop(self) -> None:
        """End the thread; tasks that are not due yet are dropped."""
        with self._wake:
            self._stopped = True
            self._tasks.clear()
            self._wake.notify_all()
            self._due.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def forget_inherited(self) -> None:
        """In a forked child, where the thread is not."""
        self.__init__()  # type: ignore[misc]


def _work(reference: weakref.ref[Housekeeper]) -> None:
    # The thread holds no strong reference while it waits for nothing: a store that is dropped unclosed ends it.
    while True:
        housekeeper = reference()
        if housekeeper is None:
            return
        tasks = housekeeper.take()
        del housekeeper
        if tasks is None:
            return
        for task in tasks:
            try:
                task()
            except (StoreError, OSError):
                continue  # a view that could not be written: the fold makes it good
        del tasks
