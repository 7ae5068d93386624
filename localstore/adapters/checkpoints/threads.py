"""The threads of a store: those that were used last are kept at hand."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from ...contract.errors import SessionNotFound
from ...contract.graph import ActivePath
from ...contract.sessions import Durability
from ...store import Store
from .._stores import StoreOrPath, Tenancy
from .picture import KINDS
from .thread import FRAMEWORK, Thread

R = TypeVar("R")

_CACHE_BYTES: Final = 64 * 1024 * 1024
"""About how much of the threads that were used last is kept in memory; the last one is whatever its size."""


class Threads:
    """The threads of a store, for a saver and its clones. The store is given back when nobody refers to this."""

    def __init__(self, store_or_path: StoreOrPath, durability: Durability) -> None:
        self.tenancy = Tenancy(store_or_path, durability, "the saver")
        self._mutex = threading.Lock()
        self._open: OrderedDict[str, Thread] = OrderedDict()

    def close(self) -> None:
        """Let go of the store. Idempotent."""
        with self._mutex:
            self._open.clear()
        self.tenancy.close()

    def on(self, thread_id: str, work: Callable[[Thread], R], otherwise: R, *, make: bool = False) -> R:
        """Do `work` on a thread; `otherwise` is the answer where there is none and none is made.

        It is done once more where the session was deleted since it was opened.
        """
        for is_last in (False, True):
            thread = self._find(thread_id, make=make)
            if thread is None:
                return otherwise
            try:
                with thread.mutex:
                    return work(thread)
            except SessionNotFound:
                self._forget(thread_id, thread)
                if is_last:
                    raise
            finally:
                self._bound(thread_id)
        raise AssertionError("the last attempt returns or raises")

    def ids(self) -> Iterator[str]:
        """The threads of this store: the sessions whose head is a node of ours."""
        for summary in self._store().list_sessions():
            session = self._store().open_session(summary.session_id)
            head = None if session is None else session.load_session_head()
            if session is None or head is None:
                continue
            if head.leaf_node_id is None:
                read = session.load_session(ActivePath())
                is_own = read is not None and read.config.provider_id == FRAMEWORK
            else:
                leaf = session.load_node(head.leaf_node_id)
                is_own = leaf is not None and leaf.payload.get("kind") in KINDS
            if is_own:
                yield summary.session_id

    def delete(self, thread_id: str) -> None:
        """Delete the session of a thread."""
        self._forget(thread_id)
        self._store().delete_session(thread_id)

    def _store(self) -> Store:
        self.tenancy.check_open()
        return self.tenancy.store

    def _find(self, thread_id: str, *, make: bool) -> Thread | None:
        store = self._store()
        with self._mutex:
            thread = self._open.get(thread_id)
            if thread is None:
                session = store.create_session(thread_id) if make else store.open_session(thread_id)
                if session is None:
                    return None
                thread = self._open[thread_id] = Thread(session)
            self._open.move_to_end(thread_id)
            return thread

    def _forget(self, thread_id: str, thread: Thread | None = None) -> None:
        with self._mutex:
            if thread is None or self._open.get(thread_id) is thread:
                self._open.pop(thread_id, None)

    def _bound(self, thread_id: str) -> None:
        with self._mutex:
            total = sum(thread.size for thread in self._open.values())
            while total > _CACHE_BYTES and len(self._open) > 1:
                oldest = next(iter(self._open))
                total -= self._open.pop(oldest).size
