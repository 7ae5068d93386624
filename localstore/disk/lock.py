"""The lock file of a session: one process at a time, by a lock that the system drops when its holder dies.

It excludes other descriptors, in this process or another, but not threads that share this object: those need a mutex
of their own. Where the file system keeps no locks, taking one fails; nothing is pretended.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from ..contract.errors import BackendError
from .refusals import backend_error
from .system import system

_TRIES_AT_ONCE: Final = 5
_FIRST_WAIT_S: Final = 0.000_05
_LONGEST_WAIT_S: Final = 0.001
_NO_LOCKS: Final = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


class SessionLock:
    """An exclusive lock on the file at `path`, which is made when it is missing and never removed.

    The file stays open from here to `close`, so that a round costs two system calls.

    Attributes:
        path: the lock file.
        fd: its descriptor, -1 once closed.
    """

    __slots__ = ("_identity", "_lock", "_unlock", "fd", "path")

    def __init__(self, path: str) -> None:
        # The package takes some 50 ms to import, which those who only read are spared.
        from filelock import lock_descriptor, unlock_descriptor

        self._lock: Callable[..., bool] = lock_descriptor
        self._unlock: Callable[[int], None] = unlock_descriptor
        self.path = path
        self.fd = system.open_write(path, True, False)
        try:
            self._identity = system.identity(self.fd)
        except BaseException:
            self.close()
            raise

    def acquire(self, deadline_s: float) -> None:
        """Takes the lock, waiting up to `deadline_s` seconds for its holder.

        Raises:
            BackendError: it stayed held (the message names the holder), or the file system keeps no locks.
        """
        try:
            if self._lock(self.fd, blocking=False):
                return
        except OSError as error:
            raise self._refused(error) from error
        if not self._acquired_by(time.monotonic() + deadline_s):
            raise BackendError(
                f"the lock {self.path} stayed held for {deadline_s:g} s by {self._holder()};"
                " wait until it is done, or end it"
            )

    def release(self) -> None:
        """Gives the lock to whoever asks next."""
        try:
            self._unlock(self.fd)
        except OSError as error:
            raise backend_error("unlock", self.path, error) from error

    def path_changed(self) -> bool:
        """Whether the path leads to another file than the open one, or to none: the session was removed or replaced.

        An inode number may have been used again: `False` alone proves nothing.
        """
        try:
            found = system.stat(self.path)
        except FileNotFoundError:
            return True
        return (found.st_dev, found.st_ino) != self._identity

    def close(self) -> None:
        """Closes the file, again and again if need be. A forked child that closes leaves its parent the lock."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            system.let_go(fd)

    def _acquired_by(self, deadline: float) -> bool:
        never = threading.Event()
        wait_s = _FIRST_WAIT_S
        tries = 1
        while True:
            try:
                if self._lock(self.fd, blocking=False):
                    return True
            except OSError as error:
                raise self._refused(error) from error
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            tries += 1
            if tries > _TRIES_AT_ONCE:
                # The clock's last digits are as good as dice: waiters must not march in step.
                jitter = 0.5 + (time.perf_counter_ns() // 100 & 1023) / 1024
                never.wait(min(wait_s * jitter, left_s))
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def _refused(self, error: OSError) -> BackendError:
        if error.errno in _NO_LOCKS:
            return BackendError(
                f"the file system of {self.path} keeps no locks ({error.strerror});"
                " put the store on a local file system that does"
            )
        return backend_error("lock", self.path, error)

    def _holder(self) -> str:
        pid = _holder_of(*self._identity)
        if pid is None:
            return "another process"
        if pid == os.getpid():
            return f"another handle in this process ({pid})"
        return f"process {pid}{_command_of(pid)}"


def lock_holder(path: str) -> int | None:
    """The pid of the process that holds this lock right now, where the system tells (Linux); else `None`."""
    try:
        found = system.stat(path)
    except FileNotFoundError:
        return None
    return _holder_of(found.st_dev, found.st_ino)


def _holder_of(device: int, inode: int) -> int | None:
    """Linux: the process that took the lock on this file, if it is in our pid namespace."""
    try:
        with open("/proc/locks", encoding="ascii", errors="replace") as table:
            rows = [line.split() for line in table]
    except OSError:
        return None
    number = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    # Rows of waiters have an arrow before the kind.
    held = [row for row in rows if len(row) >= 6 and row[1] in {"FLOCK", "OFDLCK", "POSIX"}]
    # Some file systems (btrfs, overlays) show another device there than to those who ask for it.
    for matches in (number.__eq__, lambda shown: shown.rpartition(":")[2] == str(inode)):
        pids = {row[4] for row in held if matches(row[5])}
        if len(pids) == 1 and (pid := pids.pop()).isdecimal() and int(pid) > 0:
            return int(pid)
    return None


def _command_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return f" ({file.read().strip()})"
    except OSError:
        return ""
