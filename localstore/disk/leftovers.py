"""What interrupted calls leave behind beside the sessions: it is removed when the store is next opened.

Something in the making may be another process's, at work right now: it goes once it is old. What is in a session's
folder is removed by that session's next fold, and what is beside attachments by their next sweep.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from ..contract.errors import BackendError
from . import names
from .system import system

STALE_S = 60.0
"""How long nothing may have happened to something in the making before its maker is taken to be gone."""


def clear_leftovers(root: str) -> None:
    """Remove what was never finished, and what was being purged from the trash. Never fails."""
    for path in unfinished(root):
        remove_quietly(path)
    for folder in (names.SESSIONS, names.TRASH):
        for path in unfinished(os.path.join(root, folder)):
            remove_tree_quietly(path)


def is_stale(path: str, after_s: float | None = None) -> bool:
    """Whether nothing happened to the file or folder for `after_s` (`STALE_S`) seconds, and it is still there."""
    try:
        return time.time() - system.stat(path).st_mtime > (STALE_S if after_s is None else after_s)
    except (BackendError, FileNotFoundError):
        return False


def remove_quietly(path: str) -> None:
    """Remove a file that nobody relies on; where that fails, it stays for another time."""
    try:
        system.unlink(path)
    except (BackendError, FileNotFoundError):
        pass


def remove_tree_quietly(folder: str) -> None:
    """Remove a folder that nobody relies on; where that fails, it stays for another time."""
    try:
        system.remove_tree(folder)
    except BackendError:
        pass


def size_of_file(path: str) -> int:
    """The bytes of a file, 0 where there is none."""
    try:
        return system.stat(path).st_size
    except FileNotFoundError:
        return 0


def unfinished(folder: str) -> Iterator[str]:
    """What in the folder was in the making, whose maker is gone."""
    for name in filter(names.is_temporary, _listed(folder)):
        path = os.path.join(folder, name)
        if is_stale(path):
            yield path


def _listed(folder: str) -> list[str]:
    try:
        system.check_dir(folder)
        return system.listed(folder)
    except (BackendError, FileNotFoundError):
        return []
