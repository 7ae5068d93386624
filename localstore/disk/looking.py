"""The system calls that look at files and change nothing; `system` has these and all others."""

from __future__ import annotations

import os
import stat

from ..contract.errors import BackendError
from . import platforms
from .refusals import backend_error, name_of


class Looking:
    """The operating system's files, as they are. Paths are `str`, sizes and offsets are bytes."""

    # Open files.

    def open_read(self, path: str) -> int:
        """A descriptor for reading a regular file."""
        return platforms.opened(path, os.O_RDONLY)

    def let_go(self, fd: int) -> None:
        """Closes a descriptor that nothing was written to, or nothing that still matters. Never fails."""
        platforms.close_quietly(fd)

    def size(self, fd: int) -> int:
        try:
            return os.fstat(fd).st_size
        except OSError as error:
            raise backend_error("examine", name_of(fd), error) from error

    def status(self, fd: int) -> os.stat_result:
        """As `stat`, of an open file."""
        try:
            return os.fstat(fd)
        except OSError as error:
            raise backend_error("examine", name_of(fd), error) from error

    def identity(self, fd: int) -> tuple[int, int]:
        """Device and inode of an open file; an inode number is used again once its file is gone."""
        try:
            found = os.fstat(fd)
        except OSError as error:
            raise backend_error("examine", name_of(fd), error) from error
        return found.st_dev, found.st_ino

    def pread(self, fd: int, n: int, offset: int) -> bytes:
        """Reads `n` bytes; fewer only where the file ends."""
        try:
            found = platforms.pread(fd, n, offset)
            if len(found) == n or not found:
                return found
            pieces = [found]
            got = len(found)
            while got < n and (found := platforms.pread(fd, n - got, offset + got)):
                pieces.append(found)
                got += len(found)
        except OSError as error:
            raise backend_error("read", name_of(fd), error) from error
        return b"".join(pieces)

    def start_flush(self, fd: int, offset: int, n: int) -> None:
        """Has the system begin to write these bytes to the disk, where it takes such advice. Proves nothing."""
        platforms.start_flush(fd, offset, n)

    # Names.

    def stat(self, path: str) -> os.stat_result:
        """The entry itself; a symlink is not followed."""
        try:
            return os.lstat(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise backend_error("examine", path, error) from error

    def check_dir(self, path: str) -> os.stat_result:
        """Refuses what is not a real folder; `FileNotFoundError` if there is nothing. What it is, as `stat` says."""
        found = self.stat(path)
        if not stat.S_ISDIR(found.st_mode) or platforms.is_link(found):
            raise BackendError(f"refused: {path} must be a real folder, not a symbolic link or a file; move it away")
        return found

    def listdir(self, path: str) -> list[str]:
        """The names in a folder, in no order."""
        return [name for name, _ in self.entries(path)]

    def listed(self, path: str) -> list[str]:
        """As `listdir`, of a folder that is known to be a real one."""
        try:
            return os.listdir(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise backend_error("list the folder", path, error) from error

    def entries(self, path: str) -> list[tuple[str, bool]]:
        """Each name in a folder, and whether it is a real folder, in no order. A symlink to a folder is refused."""
        self.check_dir(path)
        try:
            with os.scandir(path) as found:
                return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
        except FileNotFoundError:
            raise
        except OSError as error:
            raise backend_error("list the folder", path, error) from error
