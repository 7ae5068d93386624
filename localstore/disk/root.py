"""The root of a store: its folders and `store.json`, which says what format it is."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..contract.errors import BackendError
from . import names
from .files import read_sealed, seal
from .system import system

KIND = "store"


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """The fields of `store.json`."""

    store_id: str
    created_at: str


def open_root(root: str, fresh: StoreRecord, *, flush: bool) -> StoreRecord:
    """Open the store at `root`, made with `fresh` where there is none yet.

    Raises `BackendError` for a root that is no folder or cannot be written, and the schema version errors for one that
    another release wrote; nothing is touched then. Any number of processes may do this at once.
    """
    _make_root(root)
    path = os.path.join(root, names.STORE)
    found = _read(path)
    if found is None:
        _publish(root, path, fresh, flush)
        found = _read(path) or fresh
    if not os.access(root, os.W_OK):
        raise BackendError(f"the store {root} cannot be written; check the permissions of its folder and file system")
    for folder in (names.SESSIONS, names.ATTACHMENTS):
        system.make_dir(os.path.join(root, folder))
    return found


def _make_root(root: str) -> None:
    if os.path.isdir(root):
        return
    if os.path.lexists(root):
        raise BackendError(f"the store root {root} is not a folder; name one, or a path where one can be made")
    parent = os.path.dirname(root)
    if parent and parent != root:
        _make_root(parent)
    system.make_dir(root)


def _read(path: str) -> StoreRecord | None:
    try:
        raw = system.read_file(path)
    except FileNotFoundError:
        return None
    return read_sealed(StoreRecord, KIND, raw, path)


def _publish(root: str, path: str, fresh: StoreRecord, flush: bool) -> None:
    temporary = os.path.join(root, names.temporary(names.STORE))
    system.write_new(temporary, seal(KIND, fresh), flush)
    try:
        system.link_new(temporary, path)
    except FileExistsError:
        system.unlink(temporary)
    if flush:
        system.flush_dir(root)
