"""The root of a store: its folders and `store.json`, which says what format it is."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..contract.errors import BackendError, CorruptRecord
from . import names
from .files import read_sealed, seal
from .leftovers import remove_quietly
from .system import system

KIND = "store"


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """The fields of `store.json`."""

    store_id: str
    created_at: str


def open_root(root: str, fresh: StoreRecord) -> StoreRecord:
    """Open the store at `root`, made with `fresh` where there is none yet.

    Raises `BackendError` for a root that is no folder or cannot be written, and the schema version errors for one that
    another release wrote; nothing is touched then. A damaged `store.json` is `CorruptRecord` where there are no
    sessions; it is left to the check otherwise. Any number of processes may do this at once.

    The folders are durable before `store.json` is: where that is, what sessions flush cannot hang in the air.
    """
    _make_root(root)
    path = os.path.join(root, names.STORE)
    try:
        found = _read(path)
    except CorruptRecord:
        # Each session says what format it is of: one small file that is damaged keeps nobody from them.
        if not _has_sessions(root):
            raise
        found = fresh
    if not os.access(root, os.W_OK):
        raise BackendError(f"the store {root} cannot be written; check the permissions of its folder and file system")
    made = [system.make_dir(os.path.join(root, folder)) for folder in (names.SESSIONS, names.ATTACHMENTS)]
    if found is None or any(made):
        _flush_name(root)
        system.flush_dir(root)
    if found is None:
        _publish(root, path, fresh)
        found = _read(path) or fresh
    return found


def _has_sessions(root: str) -> bool:
    where = os.path.join(root, names.SESSIONS)
    try:
        found = system.entries(where)
    except (BackendError, FileNotFoundError):
        return False
    kinds = {names.classify(name, is_folder, names.Place.SESSIONS) for name, is_folder in found}
    return names.EntryKind.SESSION in kinds


def _make_root(root: str) -> None:
    if os.path.isdir(root):
        return
    # Another process may make it between two looks.
    if os.path.lexists(root) and not os.path.isdir(root):
        raise BackendError(f"the store root {root} is not a folder; name one, or a path where one can be made")
    parent = os.path.dirname(root)
    if parent and parent != root:
        _make_root(parent)
    if system.make_dir(root):
        _flush_name(root)


def _flush_name(folder: str) -> None:
    """Make the name of a folder durable, unless what it is in may not be opened, as one that others own."""
    try:
        system.flush_dir(os.path.dirname(folder))
    except BackendError as error:
        if not isinstance(error.__cause__, PermissionError):
            raise


def _read(path: str) -> StoreRecord | None:
    try:
        raw = system.read_file(path)
    except FileNotFoundError:
        return None
    return read_sealed(StoreRecord, KIND, raw, path)


def _publish(root: str, path: str, fresh: StoreRecord) -> None:
    temporary = os.path.join(root, names.temporary(names.STORE))
    system.write_new(temporary, seal(KIND, fresh), True)
    try:
        system.link_new(temporary, path)
    except FileExistsError:
        system.unlink(temporary)
    except BaseException:
        remove_quietly(temporary)
        raise
    system.flush_dir(root)
