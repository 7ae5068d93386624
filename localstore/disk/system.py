"""Every system call on files: one object, so that tests can record, refuse or tear any of them.

Other modules hold on to `system` and call its methods; `system.installed(other)` redirects each of them to another
`System` for a while. Whatever the operating system refuses becomes a `BackendError` that names the operation and the
path, says what to do, and has the `OSError` as its `__cause__`; only `FileNotFoundError` and `FileExistsError` pass,
for they are answers. A signal interrupts nothing: Python repeats the call.

Files are opened without following a symlink, without waiting for a FIFO's other end, and are regular or refused. They
get mode 0600 and folders 0700, whatever the umask. Windows has no modes, no flush of a folder and no atomic refusal of
symlinks (they are looked for just before), and a file that another process holds open is replaced or removed only
after a short, bounded wait.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..contract.errors import BackendError, CorruptRecord
from . import platforms
from .looking import Looking
from .refusals import backend_error, name_of, not_regular, write_failed

DIRECTORY_MODE = 0o700
MAX_READ = 256 * 1024 * 1024
"""The most that `read_file` reads unless told otherwise, bytes."""

_DIRECTORY_FLAGS = (
    os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_DIRECTORY", 0)
)
_MAX_WRITE = 1 << 30  # macOS refuses 2 GB in one call
_COPIED_AT_ONCE = 1 << 20
_NO_DIRECTORY_FLUSH = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF}
_NO_LINKS = {
    errno.EPERM,
    errno.EACCES,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EMLINK,
    errno.EXDEV,
}


class System(Looking):
    """The operating system's files: what looks at them, and what changes them."""

    @contextmanager
    def installed(self, other: System) -> Iterator[None]:
        """Sends every operation called on this object to `other`, until the block ends. Blocks nest."""
        before = dict(self.__dict__)
        for name in OPERATIONS:
            setattr(self, name, getattr(other, name))
        try:
            yield
        finally:
            self.__dict__.clear()
            self.__dict__.update(before)

    # Open files.

    def open_write(self, path: str, create: bool = False, exclusive: bool = False) -> int:
        """A descriptor for reading and writing; `create` makes a missing file, `exclusive` refuses one that exists."""
        return platforms.opened_or_made(path, os.O_RDWR, create, exclusive)

    def open_append(self, path: str, create: bool = False, exclusive: bool = False) -> int:
        """As `open_write`, but whatever is written goes to the end, whichever offset is asked for."""
        return platforms.opened_or_made(path, os.O_RDWR | os.O_APPEND, create, exclusive)

    def close(self, fd: int) -> None:
        """Closes a descriptor. It is closed even when this raises, which tells of an earlier write that was lost."""
        try:
            os.close(fd)
        except InterruptedError:
            pass
        except OSError as error:
            # The number may already be another file's, so it has no path any more.
            raise backend_error("close", f"the file of descriptor {fd}", error) from error

    def pwrite_all(self, fd: int, data: platforms.Octets, offset: int) -> None:
        """Writes all of `data`, or raises `WriteFailed` with the number of bytes `written`."""
        size = len(data)
        written = 0
        try:
            if size <= _MAX_WRITE:
                written = platforms.pwrite(fd, data, offset)
            while written < size:
                written += _written_some(fd, memoryview(data)[written : written + _MAX_WRITE], offset + written)
        except OSError as error:
            raise write_failed(name_of(fd), error, written) from error

    def truncate(self, fd: int, n: int) -> None:
        try:
            os.ftruncate(fd, n)
        except OSError as error:
            raise backend_error("truncate", name_of(fd), error) from error

    def flush(self, fd: int) -> None:
        """Returns once the bytes, and what is needed to read them again, would survive a power cut."""
        try:
            platforms.flush_bytes(fd)
        except OSError as error:
            raise backend_error("flush", name_of(fd), error) from error

    def flush_file(self, fd: int) -> None:
        """As `flush`, with everything that belongs to the file (times, mode)."""
        try:
            platforms.flush_all(fd)
        except OSError as error:
            raise backend_error("flush", name_of(fd), error) from error

    # Whole files.

    def read_file(self, path: str, limit: int = MAX_READ) -> bytes:
        """All bytes of a regular file.

        Raises:
            CorruptRecord: it is larger than `limit`, which no file of ours is.
        """
        fd = -1
        try:
            fd = (
                os.open(path, os.O_RDONLY | platforms.SAFE_FLAGS)
                if not platforms.WINDOWS
                else platforms.opened(path, os.O_RDONLY)
            )
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise not_regular(path)
            if found.st_size > limit:
                raise CorruptRecord(path, f"it has {found.st_size} bytes, more than the {limit} it may have")
            # One byte more than there should be, or a file that grows would be read in part.
            data = os.read(fd, found.st_size + 1)
            return data if len(data) == found.st_size else _read_on(fd, data, path, limit)
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            raise backend_error("read", path, error) from error
        finally:
            if fd >= 0:
                self.let_go(fd)

    def write_new(self, path: str, data: platforms.Octets, flush: bool) -> None:
        """Makes a file with these bytes; `FileExistsError` if there is one. A failure leaves no file behind.

        With `flush` the bytes survive a power cut; the name does once its folder is flushed.
        """
        fd = self.open_write(path, True, True)
        try:
            self._fill(fd, data, flush)
        except BaseException:
            try:
                self.unlink(path)
            except (BackendError, FileNotFoundError):
                pass  # what failed first is what the caller must hear of
            raise

    def write_over_partial(self, path: str, data: platforms.Octets, flush: bool) -> None:
        """As `write_new`, but takes the place of what an interrupted writer may have left under this name.

        A failure leaves a partial file: only for names that nothing relies on before this returns.
        """
        fd = self.open_write(path, True, False)
        try:
            self.truncate(fd, 0)
        except BaseException:
            self.let_go(fd)
            raise
        self._fill(fd, data, flush)

    def _fill(self, fd: int, data: platforms.Octets, flush: bool) -> None:
        try:
            self.pwrite_all(fd, data, 0)
            if flush:
                self.flush(fd)
        except BaseException:
            self.let_go(fd)
            raise
        self.close(fd)

    # Names.

    def replace(self, src: str, dst: str) -> None:
        """Renames a file over whatever has the name `dst`, in one step."""
        _changed("rename", dst, lambda: os.replace(src, dst))

    def rename_dir(self, src: str, dst: str) -> None:
        """Renames a folder; `FileExistsError` if `dst` exists, except that an empty folder may be replaced."""
        try:
            _changed("rename", dst, lambda: os.rename(src, dst))
        except BackendError as error:
            # Windows denies access where others say that the folder exists. It may have gone again since.
            reason = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
            is_taken = reason in {errno.ENOTDIR, errno.EACCES} and os.path.lexists(dst)
            if is_taken or reason == errno.ENOTEMPTY:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), dst) from error
            raise

    def link_new(self, src: str, dst: str) -> None:
        """Moves a finished file to a name that is free, in one step; `FileExistsError` if it is not, `src` remaining.

        On file systems without hard links (exFAT) two processes that publish the same name at the same moment may
        both succeed, the last one's bytes remaining.
        """
        try:
            os.link(src, dst)
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise backend_error("link", dst, error) from error
            if os.path.lexists(dst):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), dst) from error
            self.replace(src, dst)
        else:
            try:
                self.unlink(src)
            except (BackendError, FileNotFoundError):
                pass  # published all the same; the second name is a temporary file like others

    def share(self, src: str, dst: str) -> bool:
        """Gives a file that never changes a second name; `FileExistsError` if `dst` is taken. Whether it is a link.

        Where the file system has no hard links, or no more of them for this file, it is copied and the copy flushed.
        A failure may leave part of a copy: only for names in a folder that nothing relies on before this returns.
        """
        if not stat.S_ISREG(self.stat(src).st_mode):
            raise not_regular(src)
        try:
            os.link(src, dst)
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            # Windows has an error of its own for a file with 1,023 links.
            if error.errno not in _NO_LINKS and not platforms.WINDOWS:
                raise backend_error("link", dst, error) from error
        else:
            return True
        self._copy(src, dst)
        return False

    def _copy(self, src: str, dst: str) -> None:
        source = self.open_read(src)
        try:
            copy = self.open_write(dst, True, True)
            try:
                at = 0
                while piece := self.pread(source, _COPIED_AT_ONCE, at):
                    self.pwrite_all(copy, piece, at)
                    at += len(piece)
                self.flush_file(copy)
            finally:
                self.let_go(copy)
        finally:
            self.let_go(source)

    def touch(self, path: str) -> None:
        """Sets the times of a file to now, its bytes untouched; where the system can, of a symlink itself."""
        if os.utime in os.supports_follow_symlinks:
            _changed("touch", path, lambda: os.utime(path, follow_symlinks=False))
        else:
            _changed("touch", path, lambda: os.utime(path))

    def unlink(self, path: str) -> None:
        """Removes a file or a symlink itself; `FileNotFoundError` if there is none."""
        _changed("remove", path, lambda: os.unlink(path))

    # Folders.

    def make_dir(self, path: str) -> bool:
        """Makes a folder unless there is one, and tells whether it made it. A symlink or a file is refused."""
        try:
            os.mkdir(path, DIRECTORY_MODE)
            if not platforms.WINDOWS:
                mode = stat.S_IMODE(os.lstat(path).st_mode)
                if mode & 0o777 != DIRECTORY_MODE:
                    os.chmod(path, mode & ~0o777 | DIRECTORY_MODE)
        except FileExistsError:
            self.check_dir(path)
            return False
        except FileNotFoundError:
            raise
        except OSError as error:
            raise backend_error("make the folder", path, error) from error
        return True

    def restrict(self, path: str) -> None:
        """Leaves a file or folder to its owner alone: mode 0600 or 0700. A symlink is refused."""
        found = self.stat(path)
        if platforms.is_link(found):
            raise not_regular(path)
        mode = DIRECTORY_MODE if stat.S_ISDIR(found.st_mode) else platforms.FILE_MODE
        _changed("change the mode of", path, lambda: os.chmod(path, mode))

    def remove_tree(self, path: str) -> None:
        """Removes a folder and all it holds, following no symlink. Nothing there is no error.

        Entries that others remove or add meanwhile are no error either, within bounds.
        """
        import shutil

        try:
            self.check_dir(path)
        except FileNotFoundError:
            return
        for left in reversed(range(platforms.MAX_PASSES)):
            try:
                platforms.patiently(lambda: shutil.rmtree(path))
                return
            except OSError as error:
                if not os.path.lexists(path):
                    return
                raced = isinstance(error, FileNotFoundError) or error.errno in {errno.ENOTEMPTY, errno.EEXIST}
                if not (raced and left):
                    raise backend_error("remove the folder", path, error) from error
            except RecursionError as error:
                raise BackendError(f"cannot remove the folder {path}: it is nested too deeply") from error

    def flush_dir(self, path: str) -> None:
        """Returns once the names in a folder would survive a power cut. Windows does that by itself."""
        with self.flushing_dir(path) as flush:
            flush()

    @contextmanager
    def flushing_dir(self, path: str) -> Iterator[Callable[[], None]]:
        """Gives what `flush_dir` does, with the folder open already: later it cannot fail for want of a descriptor."""
        if platforms.WINDOWS:
            yield lambda: None
            return
        try:
            fd = os.open(path, _DIRECTORY_FLAGS)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise backend_error("flush the folder", path, error) from error

        def flush() -> None:
            try:
                platforms.flush_all(fd)
            except OSError as error:
                if error.errno not in _NO_DIRECTORY_FLUSH:
                    raise backend_error("flush the folder", path, error) from error

        try:
            yield flush
        finally:
            self.let_go(fd)


OPERATIONS = tuple(name for name in (*vars(Looking), *vars(System)) if not name.startswith("_") and name != "installed")
"""The methods of `System` that `installed` redirects."""

system = System()


def _read_on(fd: int, data: bytes, path: str, limit: int) -> bytes:
    """The rest of a file that is not as long as it was a moment ago, or that comes in pieces."""
    pieces = [data]
    size = len(data)
    while found := os.read(fd, 1 << 20):
        pieces.append(found)
        size += len(found)
        if size > limit:
            raise CorruptRecord(path, f"it has more than the {limit} bytes it may have")
    return b"".join(pieces)


def _written_some(fd: int, data: memoryview, offset: int) -> int:
    written = platforms.pwrite(fd, data, offset)
    if written <= 0:
        raise OSError(errno.EIO, "the file system takes no more bytes")
    return written


def _changed(operation: str, path: str, change: Callable[[], None]) -> None:
    try:
        platforms.patiently(change)
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        raise backend_error(operation, path, error) from error
