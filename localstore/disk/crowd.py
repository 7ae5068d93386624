"""Which sessions are open: at most so many at once, the ones that were used last."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from .keeper import FileKeeper

MAX_OPEN_SESSIONS = 64
MAX_OPEN_DESCRIPTORS = 400
"""Sessions and descriptors that stay open; past that, the longest unused is folded and closed."""


class Crowd:
    """The keepers that have files open."""

    def __init__(self) -> None:
        self._mutex = threading.RLock()
        self._open: OrderedDict[FileKeeper, None] = OrderedDict()
        self._making_room = threading.local()

    def opened(self, keeper: FileKeeper) -> None:
        """A keeper opens files: it is the last used now, and the longest unused may have to close."""
        with self._mutex:
            self._open[keeper] = None
            self._open.move_to_end(keeper)
            crowd = list(self._open)
        if getattr(self._making_room, "now", False):
            return  # the closing one opens to fold: whoever it closed for is in the midst of a call
        self._making_room.now = True
        try:
            self._make_room(crowd)
        finally:
            self._making_room.now = False

    def _make_room(self, crowd: list[FileKeeper]) -> None:
        spare = len(crowd) - MAX_OPEN_SESSIONS
        total = sum(each.descriptor_count for each in crowd)
        for each in crowd[:-1]:
            if spare <= 0 and total <= MAX_OPEN_DESCRIPTORS:
                break
            count = each.descriptor_count
            if each.close_unless_busy():
                spare -= 1
                total -= count
                self.leave(each)

    def leave(self, keeper: FileKeeper) -> None:
        """A keeper that is closed, or whose session is gone."""
        with self._mutex:
            self._open.pop(keeper, None)

    def leave_all(self) -> Iterable[FileKeeper]:
        """All of them, to be closed."""
        with self._mutex:
            found = list(self._open)
            self._open.clear()
        return found

    def forget_inherited(self) -> Iterable[FileKeeper]:
        """In a forked child: all of them, and no lock that another thread may have held."""
        self._mutex = threading.RLock()
        return self.leave_all()
