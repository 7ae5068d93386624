"""What the operating system's refusals become: `BackendError`s that say what to do."""

from __future__ import annotations

import errno
import os

from ..contract.errors import BackendError

try:
    import fcntl
except ImportError:  # Windows
    _F_GETPATH: int | None = None
else:
    _F_GETPATH = getattr(fcntl, "F_GETPATH", None)  # macOS

_ADVICE = {
    errno.ENOSPC: "free some space and try again",
    errno.EDQUOT: "the quota is used up: free some space and try again",
    errno.EFBIG: "the file may not grow further: raise the limit on file sizes",
    errno.EACCES: "permission is missing: check the owner and the mode",
    errno.EPERM: "permission is missing: check the owner, the mode and the attributes",
    errno.EROFS: "permission is missing: the file system is mounted read-only",
    errno.EMFILE: "this process has too many open files: close some descriptors or raise the limit (ulimit -n)",
    errno.ENFILE: "the system has too many open files: close some descriptors",
    errno.EIO: "the disk or its connection fails: look into the system's log, and copy the store elsewhere",
    errno.ELOOP: "refused: a symbolic link is not followed",
    errno.EMLINK: "refused: a symbolic link is not followed",  # what FreeBSD says of one
    errno.ENXIO: "refused: it is not a regular file",
    errno.ENOTDIR: "refused: something in the path is not a folder",
    errno.EISDIR: "refused: a folder stands where a file should",
    errno.EXDEV: "the folders of a store must be on one file system",
    errno.ENAMETOOLONG: "the path is too long: put the store at a shorter one",
    errno.EAGAIN: "another program keeps it busy: try again",
    errno.EBADF: "the file was closed meanwhile: open the session again",
}


class WriteFailed(BackendError):
    """A write that stopped midway. `written` tells how many bytes had reached the file, counted from its offset."""

    written: int = 0


def backend_error(operation: str, path: str, error: OSError) -> BackendError:
    """What to raise, from `error`, when `operation` on `path` was refused."""
    return BackendError(_message(operation, path, error))


def write_failed(path: str, error: OSError, written: int) -> WriteFailed:
    """What to raise, from `error`, when a write stopped after `written` bytes."""
    failure = WriteFailed(_message("write", path, error))
    failure.written = written
    return failure


def is_full(failure: BackendError) -> bool:
    """Whether the operation was refused for want of space."""
    cause = failure.__cause__
    return isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT}


def not_regular(path: str) -> BackendError:
    return BackendError(f"cannot open {path}: refused: it is not a regular file; move it away")


def name_of(fd: int) -> str:
    """The path of an open file for a message, as far as the system knows it."""
    try:
        if _F_GETPATH is not None:
            return os.fsdecode(fcntl.fcntl(fd, _F_GETPATH, bytes(1024)).partition(b"\0")[0])
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return f"the file of descriptor {fd}"


def _message(operation: str, path: str, error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    advice = _ADVICE.get(error.errno or 0, "see that the file system is in order, and try again")
    return f"cannot {operation} {path}: {reason}; {advice}"
