"""Stores that adapters open by path: one a root and process, closed with the last adapter that uses it."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TypeAlias

from ..contract.errors import InvalidArgument
from ..contract.sessions import Durability
from ..lanes import Lanes
from ..local import LocalStore
from ..store import Store

StoreOrPath: TypeAlias = Store | str | os.PathLike[str]
"""An open store, which its owner closes, or the folder of one."""

_Key: TypeAlias = tuple[int, str, Durability]

_mutex = threading.Lock()
_opened: dict[_Key, tuple[LocalStore, int]] = {}
_abandoned: deque[_Key] = deque()
_lanes: dict[int, Lanes] = {}


class Tenancy:
    """The use of a store: of one that was given, or of one that this process has open for all its tenants."""

    __slots__ = ("_key", "store")

    def __init__(self, store_or_path: StoreOrPath, durability: Durability = Durability.FULL) -> None:
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
