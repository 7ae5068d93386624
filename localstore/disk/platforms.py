"""What platforms do differently below `system`: opening safely, reading and writing at an offset, flushing, patience.

Nothing here wraps errors except those of opening, which has refusals of its own.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from collections.abc import Callable

from ..contract.errors import BackendError
from .refusals import backend_error, not_regular

try:
    import fcntl
except ImportError:  # Windows
    F_FULLFSYNC: int | None = None
else:
    F_FULLFSYNC = getattr(fcntl, "F_FULLFSYNC", None)  # macOS

Octets = bytes | bytearray | memoryview

WINDOWS = sys.platform == "win32"
FILE_MODE = 0o600
MAX_PASSES = 64
"""How often something is tried again that a race with another process made fail."""

SAFE_FLAGS = (
    getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)

_LINK_TAGS = {0xA000000C, 0xA0000003}  # Windows: a symlink, a junction
_SHARING_VIOLATIONS = {5, 32, 33}
_SHARING_WAITS_S = tuple(0.001 * 2**step for step in range(9))  # half a second in all
_NO_FULLFSYNC = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY}


def opened(path: str, flags: int) -> int:
    if WINDOWS:
        _refuse_link(path)
    try:
        fd = os.open(path, flags | SAFE_FLAGS, FILE_MODE)
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        raise backend_error("open", path, error) from error
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise not_regular(path)
        if flags & os.O_EXCL and mode & 0o777 != FILE_MODE and not WINDOWS:
            os.fchmod(fd, FILE_MODE)
    except OSError as error:
        _abandon(fd, path, flags)
        raise backend_error("open", path, error) from error
    except BaseException:
        _abandon(fd, path, flags)
        raise
    return fd


def _abandon(fd: int, path: str, flags: int) -> None:
    """Close what was opened in vain; a file that was made by it goes."""
    close_quietly(fd)
    if flags & os.O_EXCL:
        try:
            os.unlink(path)
        except OSError:
            pass  # what failed first is what the caller must hear of


def close_quietly(fd: int) -> None:
    """Close a descriptor; it is closed even where that fails, and nothing is lost that still matters."""
    try:
        os.close(fd)
    except OSError:
        pass


def opened_or_made(path: str, flags: int, create: bool, exclusive: bool) -> int:
    if exclusive:
        return opened(path, flags | os.O_CREAT | os.O_EXCL)
    for _ in range(MAX_PASSES):
        try:
            return opened(path, flags)
        except FileNotFoundError:
            if not create:
                raise
        # Exclusively, so that whoever made it is known: the maker sets the mode.
        try:
            return opened(path, flags | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            pass
    raise BackendError(f"cannot open {path}: it comes and goes; see which program does that")


def is_link(found: os.stat_result) -> bool:
    return stat.S_ISLNK(found.st_mode) or getattr(found, "st_reparse_tag", 0) in _LINK_TAGS


def _refuse_link(path: str) -> None:
    try:
        found = os.lstat(path)
    except OSError:
        return  # opening it tells what is wrong
    if is_link(found):
        raise backend_error("open", path, OSError(errno.ELOOP, os.strerror(errno.ELOOP)))


_seeking = threading.Lock()


def _seek_and_read(fd: int, n: int, offset: int) -> bytes:
    with _seeking:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, n)


def _seek_and_write(fd: int, data: Octets, offset: int) -> int:
    with _seeking:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, data)


pread: Callable[[int, int, int], bytes] = getattr(os, "pread", _seek_and_read)
pwrite: Callable[[int, Octets, int], int] = getattr(os, "pwrite", _seek_and_write)
datasync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


if sys.platform == "linux":

    def start_flush(fd: int, offset: int, n: int) -> None:
        # Linux begins to write what is not needed in memory any more (mm/fadvise.c), and keeps it there until it has.
        try:
            os.posix_fadvise(fd, offset, n, os.POSIX_FADV_DONTNEED)
        except OSError:
            pass  # the flush writes it, and tells what is wrong

else:

    def start_flush(fd: int, offset: int, n: int) -> None:
        pass


def flush_bytes(fd: int) -> None:
    """What is needed to read the bytes again, onto the drive's platters."""
    if F_FULLFSYNC is None:
        datasync(fd)
    else:
        _flush_drive(fd, F_FULLFSYNC)


def flush_all(fd: int) -> None:
    """All that belongs to the file or folder, onto the drive's platters."""
    if F_FULLFSYNC is None:
        os.fsync(fd)
    else:
        _flush_drive(fd, F_FULLFSYNC)


def _flush_drive(fd: int, command: int) -> None:
    # On macOS fsync ends in the drive's cache. Network file systems know nothing beyond it.
    try:
        fcntl.fcntl(fd, command)
    except OSError as error:
        if error.errno not in _NO_FULLFSYNC:
            raise
        os.fsync(fd)


def patiently(change: Callable[[], None]) -> None:
    """Windows: a file that somebody holds open for a moment can be had a moment later; a real denial stays."""
    for wait_s in _SHARING_WAITS_S:
        try:
            return change()
        except OSError as error:
            if getattr(error, "winerror", None) not in _SHARING_VIOLATIONS:
                raise
        threading.Event().wait(wait_s)
    return change()
