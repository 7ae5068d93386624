"""The life of an adapter: it uses a store, its calls run in threads, and it gives the store back.

Stores that are opened by path are one a root and process, closed with the last adapter that uses it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from ..contract.errors import InvalidArgument, StoreClosed
from ..contract.sessions import Durability
from ..lanes import Lanes
from ..local import LocalStore
from ..store import Store

StoreOrPath: TypeAlias = Store | str | os.PathLike[str]
"""An open store, which its owner closes, or the folder of one."""

R = TypeVar("R")

_Key: TypeAlias = tuple[int, str, Durability]

_mutex = threading.Lock()
_opened: dict[_Key, tuple[LocalStore, int]] = {}
_abandoned: deque[_Key] = deque()
_lanes: dict[int, Lanes] = {}


class Tenancy:
    """An adapter's use of a store, which ends when it is closed, or when nobody refers to this any more.

    Args:
        store_or_path: an open store, which its owner closes, or the folder of one.
        durability: of a store that is opened by path.
        tenant: what is told to be closed, to those who call it later: "the session".
    """

    def __init__(self, store_or_path: StoreOrPath, durability: Durability, tenant: str) -> None:
        use = _Use(store_or_path, durability)
        self._use = use
        self._tenant = tenant
        self._end = weakref.finalize(self, use.abandon)
        self.store = use.store

    def check_open(self) -> None:
        """Raise `StoreClosed` once it is closed."""
        if not self._end.alive:
            raise StoreClosed(self._tenant)

    async def run(self, session_id: str | None, work: Callable[[], R]) -> R:
        """Do `work` in a thread: after what was asked for on the same session before, or beside everything else."""
        self.check_open()
        return await lanes().run(self._lane(session_id), work)

    def close(self) -> None:
        """Let go of the store. Idempotent."""
        if self._end.detach() is not None:
            self._use.end()

    async def close_after(self, session_id: str | None, close: Callable[[], None]) -> None:
        """Do `close`, the adapter's own, in a thread: after what was asked for on the session, or right away."""
        await lanes().run(self._lane(session_id), close)

    def _lane(self, session_id: str | None) -> str | None:
        return None if session_id is None else f"{id(self.store)} {session_id}"


class _Use:
    """The use of a store: of one that was given, or of one that this process has open for all its tenants."""

    __slots__ = ("_key", "store")

    def __init__(self, store_or_path: StoreOrPath, durability: Durability) -> None:
        self._key: _Key | None = None
        if isinstance(store_or_path, Store):
            self.store: Store = store_or_path
            return
        if not isinstance(store_or_path, (str, os.PathLike)):
            raise InvalidArgument(f"a store or the path of one is needed, not {type(store_or_path).__name__}")
        key = (os.getpid(), os.path.realpath(os.fspath(store_or_path)), durability)
        with _mutex:
            store, users = _opened.get(key) or (LocalStore(store_or_path, durability=durability), 0)
            _opened[key] = (store, users + 1)
        self.store, self._key = store, key
        _give_back(wait=True)

    def end(self) -> None:
        """Give the store back. Idempotent."""
        self._leave()
        _give_back(wait=True)

    def abandon(self) -> None:
        """Give the store back from a finalizer, which may run in the midst of anything: what cannot be done is left."""
        self._leave()
        _give_back(wait=False)

    def _leave(self) -> None:
        key, self._key = self._key, None
        if key is not None and key[0] == os.getpid():  # a forked child does not close what is its parent's
            _abandoned.append(key)


def _give_back(*, wait: bool) -> None:
    if not _mutex.acquire(blocking=wait):
        return
    try:
        while _abandoned:
            key = _abandoned.popleft()
            store, users = _opened[key]
            if users > 1:
                _opened[key] = (store, users - 1)
                continue
            del _opened[key]
            # Under the mutex, so that who opens the same root next finds it closed and folded.
            store.close()
    finally:
        _mutex.release()


def lanes() -> Lanes:
    """The threads of this process that work for the coroutines of adapters."""
    # Not under the mutex: a store that closes may hold it for long.
    pid = os.getpid()
    return _lanes.get(pid) or _lanes.setdefault(pid, Lanes())
