"""The sessions that an adapter of many has open, each with its lane; the least recently used are let go."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar

from ..contract.errors import SessionNotFound
from ..contract.sessions import RootSession, SessionRelation
from ..store import Store
from ._lane import Lane

R = TypeVar("R")

_MAX_OPEN: Final = 256


class OpenedLanes:
    """Lanes of the sessions of a store by id; threads may share it."""

    def __init__(self, store: Store, framework: str) -> None:
        self._store = store
        self._framework = framework
        self._mutex = threading.Lock()
        self._lanes: OrderedDict[str, Lane] = OrderedDict()

    def on(self, session_id: str, work: Callable[[Lane], R], otherwise: R) -> R:
        """Do `work` on the session; `otherwise`: there is none."""
        return self._do(session_id, work, lambda: self._find(session_id), otherwise)

    def on_made(
        self,
        session_id: str,
        work: Callable[[Lane], R],
        otherwise: R,
        *,
        cwd: str | None = None,
        relation: SessionRelation = RootSession(),
    ) -> R:
        """Do `work` on the session, which is made with this metadata where there is none."""

        def make() -> Lane:
            return Lane(self._store.create_session(session_id, cwd=cwd, relation=relation), self._framework)

        return self._do(session_id, work, make, otherwise)

    def forget(self, session_id: str) -> None:
        """Open the session anew next time."""
        with self._mutex:
            self._lanes.pop(session_id, None)

    def _find(self, session_id: str) -> Lane | None:
        session = self._store.open_session(session_id)
        return None if session is None else Lane(session, self._framework)

    def _do(self, session_id: str, work: Callable[[Lane], R], opens: Callable[[], Lane | None], otherwise: R) -> R:
        with self._mutex:
            lane = self._lanes.get(session_id)
            if lane is not None:
                self._lanes.move_to_end(session_id)
        if lane is not None:
            try:
                return work(lane)
            except SessionNotFound:
                # It was deleted since it was opened, and perhaps made again.
                self.forget(session_id)
        lane = opens()
        if lane is None:
            return otherwise
        with self._mutex:
            self._lanes[session_id] = lane
            self._lanes.move_to_end(session_id)
            if len(self._lanes) > _MAX_OPEN:
                self._lanes.popitem(last=False)
        return work(lane)
