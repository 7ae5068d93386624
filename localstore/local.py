"""The store on files."""

from __future__ import annotations

import os
from pathlib import Path

from .contract import checks
from .contract.clock import Clock, rfc3339
from .contract.errors import InvalidArgument
from .contract.sessions import Durability
from .disk.root import StoreRecord, open_root
from .disk.sessions import FileSessions
from .store import TRASH_GRACE_MS, Store
from .surroundings import Surroundings, fresh_id


class LocalStore(Store):
    """A store in a folder.

    Args:
        root: the folder, made (with its parents) if it does not exist.
        durability: what a call that returned has survived; see `Durability`. Default `FULL`.
        clock: where the time comes from; the machine's clocks by default.
        trash_grace_ms: how long a deleted session can be restored, at least, milliseconds. Default seven days; at 0 it
            is gone with the deletion itself.

    Raises:
        StoreError: a root that is no folder, cannot be written, or was written by a newer format; nothing is touched.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        durability: Durability = Durability.FULL,
        clock: Clock | None = None,
        trash_grace_ms: int = TRASH_GRACE_MS,
    ) -> None:
        if not isinstance(root, (str, os.PathLike)):
            raise InvalidArgument(f"root must be a path, not {type(root).__name__}")
        path = checks.identifier("root", os.fspath(root))
        if "\0" in path:
            raise InvalidArgument("root must be a path without NUL characters")
        chosen = checks.member("durability", durability, Durability)
        grace_ms = checks.integer("trash_grace_ms", trash_grace_ms)
        surroundings = Surroundings(clock)
        fresh = StoreRecord(fresh_id(), rfc3339(surroundings.clock.now_ms()))
        self._root = Path(os.path.abspath(path))
        open_root(str(self._root), fresh)
        super().__init__(FileSessions(str(self._root), chosen, surroundings), grace_ms)

    @property
    def root(self) -> Path:
        """The store's folder."""
        return self._root
