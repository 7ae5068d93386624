"""What is around the bytes of a store: where it lies, who has it locked, what was left behind, how far limits reach.

It reads names and modes and no session's content; that is what `check` is for.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..contract.errors import BackendError
from . import names, platforms
from .checking.entries import check_folder
from .checking.findings import Finding
from .checking.look import Look
from .crowd import MAX_OPEN_DESCRIPTORS
from .filesystems import FileSystem, file_system, synced_by
from .lock import lock_holder
from .names import EntryKind, Place
from .system import system

NEEDED_DESCRIPTORS = MAX_OPEN_DESCRIPTORS + 112
"""Descriptors that a process should be allowed to have open: the store's, and some for itself."""
LOW_BYTES = 64 * 1024 * 1024
_INOTIFY = "/proc/sys/fs/inotify"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the system; `None` where there is no such limit or it cannot be told."""

    open_files: int | None = None
    open_files_hard: int | None = None
    inotify_watches: int | None = None
    inotify_instances: int | None = None
    has_watchdog: bool = False


@dataclass(slots=True)
class Diagnosis:
    """What was found. `locked_by` has the pid of whoever holds the lock of a session's folder right now."""

    root: str
    place: FileSystem
    synced_by: str | None
    limits: Limits
    locked_by: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def diagnose(root: str | os.PathLike[str]) -> Diagnosis:
    """Look at the store at `root`. Changes nothing, takes no lock."""
    path = os.path.abspath(os.fspath(root))
    found = Diagnosis(path, file_system(path), synced_by(path), limits())
    look = Look(path, path)
    _judge_place(look, found)
    _judge_limits(look, found.limits)
    _judge_owner(look)
    check_folder(look, path, Place.ROOT)
    found.findings += look.findings
    for place, inside, kind in (
        (Place.SESSIONS, names.SESSIONS, EntryKind.SESSION),
        (Place.TRASH, names.TRASH, EntryKind.TRASHED),
    ):
        for folder in _folders(found, os.path.join(path, inside), place, kind):
            look = Look(path, folder)
            check_folder(look, folder, Place.SESSION)
            found.findings += look.findings
            pid = lock_holder(os.path.join(folder, names.LOCK))
            if pid is not None:
                found.locked_by[os.path.basename(folder)] = pid
    return found


def limits() -> Limits:
    """The limits of this process and of the system."""
    soft = hard = None
    try:
        import resource
    except ImportError:  # Windows
        pass
    else:
        soft, hard = (None if each == resource.RLIM_INFINITY else each for each in _open_files())
    return Limits(
        soft,
        hard,
        _number(os.path.join(_INOTIFY, "max_user_watches")),
        _number(os.path.join(_INOTIFY, "max_user_instances")),
        importlib.util.find_spec("watchdog") is not None,
    )


def _open_files() -> tuple[int, int]:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)


def _number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read(32))
    except (OSError, ValueError):
        return None


def _folders(found: Diagnosis, where: str, place: Place, kind: EntryKind) -> Iterator[str]:
    look = Look(found.root, where)
    kinds = check_folder(look, where, place)
    found.findings += look.findings
    return (os.path.join(where, name) for name, each in kinds.items() if each is kind)


def _judge_place(look: Look, found: Diagnosis) -> None:
    place = found.place
    if place.is_network:
        look.warning(
            "network_file_system",
            look.root,
            f"it is on {place.type}, mounted at {place.mount_point}: a lock may not hold there, nor a flush,"
            " and no change is announced",
            "move the store to a disk of this machine",
        )
    if place.is_passing:
        message = f"it is on {place.type}, which goes with a reboot, or with the container"
        look.info("passing_file_system", look.root, message, "keep what should last on a disk or a volume")
    if found.synced_by is not None:
        look.warning(
            "synced_folder",
            look.root,
            f"it seems to be in a folder that {found.synced_by} keeps in step with other machines: two of them at work"
            " leave two versions of a file",
            "move the store out of it, and copy sessions with fork, export or a backup",
        )
    if place.free_bytes is not None and place.free_bytes < LOW_BYTES:
        message = f"{place.free_bytes} bytes are left on {place.mount_point}"
        look.warning(
            "disk_full", look.root, message, "make room: localstore prune, localstore purge, localstore vacuum"
        )


def _judge_limits(look: Look, limits: Limits) -> None:
    if limits.open_files is not None and limits.open_files < NEEDED_DESCRIPTORS:
        look.warning(
            "open_files_limit",
            look.root,
            f"a process may have {limits.open_files} files open, and the store uses up to {MAX_OPEN_DESCRIPTORS}",
            f"raise it: ulimit -n {NEEDED_DESCRIPTORS}",
        )
    if not limits.has_watchdog:
        message = "watchdog is not installed: who follows a session looks for changes every so often"
        look.info("no_watchdog", look.root, message, "pip install 'localstore[watch]'")
    elif limits.inotify_instances is not None and limits.inotify_instances < 64:
        message = f"{limits.inotify_instances} inotify instances are allowed, one for each who follows a session"
        look.info("inotify_limit", look.root, message, "raise fs.inotify.max_user_instances; past it, they poll")


def _judge_owner(look: Look) -> None:
    if platforms.WINDOWS:
        return
    for path in (look.root, look.path(names.SESSIONS), look.path(names.STORE)):
        try:
            status = system.stat(path)
        except (FileNotFoundError, BackendError):
            continue
        if status.st_uid != os.geteuid():
            message = f"it belongs to user {status.st_uid}, and this is user {os.geteuid()}"
            look.warning("owner", path, message, "work on a store as the one user that it belongs to")
        if path == look.root and status.st_mode & 0o022 and not status.st_mode & 0o1000:
            message = f"its mode {status.st_mode & 0o7777:04o} lets others put files into it"
            look.warning("permissions", path, message, "chmod go-w")
