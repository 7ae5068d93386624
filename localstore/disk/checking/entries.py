"""What is in the folders of a store: everything by its name, and of the type and mode that it should have."""

from __future__ import annotations

import os
import stat
from typing import Final

import orjson

from ...contract.errors import BackendError
from .. import platforms
from ..lines import check_line
from ..names import EntryKind, Place, classify
from ..system import DIRECTORY_MODE, MAX_READ, system
from .look import Look, is_regular

_FOLDERS: Final = {
    EntryKind.ATTACHMENTS: Place.ATTACHMENTS,
    EntryKind.ATTACHMENT_SHARD: Place.ATTACHMENT_SHARD,
    EntryKind.NODES: Place.NODES,
    EntryKind.BLOBS: Place.BLOBS,
    EntryKind.INPUTS: Place.INPUTS,
    EntryKind.WORK: Place.WORK,
    EntryKind.QUARANTINE: Place.QUARANTINE,
    EntryKind.REDACTIONS: Place.REDACTIONS,
}
"""Folders that are looked into, and what their entries are judged by; sessions and the trash are looked at apart."""


def check_folder(look: Look, folder: str, place: Place) -> dict[str, EntryKind]:
    """Look at each entry of a folder and, but for sessions, of the folders in it; the kinds of its own entries."""
    try:
        found = system.entries(folder)
    except FileNotFoundError:
        return {}
    except BackendError as error:
        if Look.is_regular(folder) or not os.path.isdir(folder) or os.path.islink(folder):
            return {}  # of the wrong type, as the look at the folder above says
        look.unreadable(folder, error)
        return {}
    kinds: dict[str, EntryKind] = {}
    for name, is_folder in sorted(found):
        kind = _check_entry(look, os.path.join(folder, name), is_folder, place)
        if kind is None:
            continue
        kinds[name] = kind
        inner = _FOLDERS.get(kind)
        if inner is not None and is_folder:
            check_folder(look, os.path.join(folder, name), inner)
    return kinds


def _check_entry(look: Look, path: str, is_folder: bool, place: Place) -> EntryKind | None:
    """The kind of an entry; `None` where it is not ours, or is of another type than it should be."""
    name = os.path.basename(path)
    if place is Place.QUARANTINE and classify(name, False, place) is EntryKind.QUARANTINED:
        message = f"it was set aside: {_reason(look, path)}"
        look.warning("quarantined", path, message, "see whether anything in it is needed, and remove it")
        return None
    kind = classify(name, is_folder, place)
    if kind is EntryKind.FOREIGN:
        if classify(name, not is_folder, place) not in {EntryKind.FOREIGN, EntryKind.CONFLICTED_COPY}:
            look.error("wrong_type", path, f"it should be a {'file' if is_folder else 'folder'}, and is {_type(path)}")
        else:
            look.info("foreign", path, "the store did not make it, and leaves it alone", "move it elsewhere if you can")
        return None
    if kind is EntryKind.CONFLICTED_COPY:
        look.warning(
            "conflicted_copy",
            path,
            "a tool that copies or synchronises folders left a second version of a file here; it is never read",
            "keep the store out of synchronised folders; remove the copy once nothing in it is needed",
        )
        return None
    if not is_folder and not _is_regular(look, path):
        return None
    if kind is EntryKind.TEMPORARY:
        look.info("leftover", path, "somebody is making it, or died doing so; nobody relies on it")
        return None
    _check_mode(look, path, is_folder)
    return kind


def _is_regular(look: Look, path: str) -> bool:
    """Whether that is a regular file; what it is otherwise is taken down."""
    try:
        if is_regular(system.stat(path)):
            return True
    except FileNotFoundError:
        pass
    except BackendError as error:
        look.unreadable(path, error)
        return False
    look.error("wrong_type", path, f"it should be a regular file, and is {_type(path)}")
    return False


def _reason(look: Look, path: str) -> str:
    """What the receipt says in front of what was set aside."""
    raw = look.read(path, 2 * MAX_READ) if Look.is_regular(path) else None
    line = b"" if raw is None else raw.partition(b"\n")[0]
    if check_line(line) is None:
        return "it could not be read"
    fields = orjson.loads(line)
    return str(fields.get("reason", "it could not be read")) if isinstance(fields, dict) else "it could not be read"


def _type(path: str) -> str:
    try:
        mode = system.stat(path).st_mode
    except (FileNotFoundError, BackendError):
        return "gone"
    words = (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISREG, "a file"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((word for test, word in words if test(mode)), "a device")


def _check_mode(look: Look, path: str, is_folder: bool) -> None:
    """Nobody but the owner may read or write it."""
    if platforms.WINDOWS:
        return
    wanted = DIRECTORY_MODE if is_folder else platforms.FILE_MODE
    try:
        mode = stat.S_IMODE(system.stat(path).st_mode)
    except (FileNotFoundError, BackendError):
        return
    if mode & 0o077:
        message = f"its mode {mode:04o} lets others at it"
        look.warning("permissions", path, message, f"chmod {wanted:04o}, as `localstore check --repair` does")
