"""Stands between the store and the operating system: performs its calls, records what they change, and may refuse them.

Every module of `localstore.disk` asks this `os` while `installed`, so that what is recorded, refused or cut short are
the system calls themselves, with all that the store makes of them above. What changes files is carried out on a `Disk`
too; a call that changes files and that the model does not know is an error of the test.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from localstore.disk import platforms
from tests.crash.crash_disk import Disk

T = TypeVar("T")

_UNKNOWN: Final = frozenset(
    {
        "write",
        "writev",
        "pwritev",
        "sendfile",
        "copy_file_range",
        "splice",
        "symlink",
        "mknod",
        "mkfifo",
        "renames",
        "remove",
        "removedirs",
        "makedirs",
        "truncate",
        "chown",
        "lchown",
        "fchown",
        "lchflags",
        "chflags",
        "setxattr",
        "removexattr",
        "fallocate",
    }
)
_CREATES: Final = os.O_CREAT


class ProcessDied(BaseException):
    """The process died here: nothing that it would have done any more is done."""


@dataclass(frozen=True, slots=True)
class Call:
    """A system call about to be made.

    Attributes:
        name: the call.
        path: what it is about, relative to the root of the model; empty where only a descriptor is known.
        changes: whether it changes files, or makes changes durable.
        size: the bytes to write, for `pwrite`.
        opens: whether it needs a new descriptor.
    """

    name: str
    path: str = ""
    changes: bool = False
    size: int = 0
    opens: bool = False


Entry = tuple[Any, ...]
"""An effect in the log: the `Disk` method, and its arguments."""


class Kernel:
    """The calls on files under `base`, recorded.

    Attributes:
        disk: the model, as far as the calls have come.
        log: the effects, in order.
        before: asked before each call; it may raise, and for `pwrite` may return how many bytes to write at most.
    """

    def __init__(self, base: str, disk: Disk | None = None) -> None:
        self.base = base
        self.disk = Disk() if disk is None else disk
        self.log: list[Entry] = []
        self.before: Callable[[Call], int | None] = lambda call: None
        self.drops_failed_flushes = False
        self._open: dict[int, tuple[int, int]] = {}
        self._dead = False

    # For tests.

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Take every call of the store's modules until the block ends."""
        proxy = _Os(self)
        held = [module for name, module in sorted(sys.modules.items()) if name.startswith("localstore.disk")]
        changed = [module for module in held if getattr(module, "os", None) is os]
        before = platforms.pread, platforms.pwrite, platforms.datasync, shutil.rmtree
        for module in changed:
            setattr(module, "os", proxy)  # noqa: B010 - modules declare no such attribute
        platforms.pread, platforms.pwrite, platforms.datasync = proxy.pread, proxy.pwrite, proxy.fdatasync
        shutil.rmtree = proxy.rmtree  # type: ignore[assignment]
        try:
            yield
        finally:
            for module in changed:
                setattr(module, "os", os)  # noqa: B010
            platforms.pread, platforms.pwrite, platforms.datasync, shutil.rmtree = before

    def die(self) -> None:
        """From now on the process makes no calls that matter."""
        self._dead = True

    def bury(self) -> None:
        """The process is gone, and its descriptors and locks with it. Another one makes the calls from now on."""
        for fd in list(self._open):
            os.close(fd)
        self._open.clear()
        self._dead = False

    @property
    def open_count(self) -> int:
        """How many descriptors are open."""
        return len(self._open)

    # For the proxy.

    def relative(self, path: str) -> str | None:
        """The path in the model; `None` outside of it."""
        if path == self.base:
            return ""
        return path[len(self.base) + 1 :] if path.startswith(self.base + "/") else None

    def gate(self, call: Call) -> int | None:
        """Ask whether the call may be made."""
        if self._dead:
            raise ProcessDied
        return self.before(call)

    def did(self, method: str, *arguments: Any) -> Any:
        """Record an effect, and carry it out on the model."""
        self.log.append((method, *arguments))
        return getattr(self.disk, method)(*arguments)

    def opened(self, fd: int, inode: int, flags: int) -> None:
        """Note a descriptor."""
        self._open[fd] = (inode, flags)

    def inode_of(self, fd: int) -> int | None:
        """The inode of an open descriptor under the base."""
        found = self._open.get(fd)
        return None if found is None else found[0]

    def appends(self, fd: int) -> bool:
        """Whether the descriptor writes to the end, wherever it is asked to."""
        return bool(self._open[fd][1] & os.O_APPEND)

    def close(self, fd: int) -> None:
        """Close a descriptor; it is closed even where that fails."""
        inside = self._open.pop(fd, None) is not None
        os.close(fd)
        if inside and not self._dead:
            self.before(Call("close"))


class _Os:
    """`os`, as the store's modules see it."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def __getattr__(self, name: str) -> Any:
        assert name not in _UNKNOWN, f"the model does not know os.{name}, which changes files"
        return getattr(os, name)

    # Descriptors.

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        kernel = self._kernel
        inside = kernel.relative(path)
        if inside is None:
            return os.open(path, flags, mode)
        makes = bool(flags & _CREATES) and not os.path.lexists(path)
        kernel.gate(Call("open", inside, makes, opens=True))
        fd = os.open(path, flags, mode)
        inode = kernel.did("create", inside) if makes else kernel.disk.inode(inside)
        kernel.opened(fd, inode, flags)
        if flags & os.O_TRUNC:
            kernel.did("truncate", inode, 0)
        return fd

    def close(self, fd: int) -> None:
        self._kernel.close(fd)

    def fstat(self, fd: int) -> os.stat_result:
        self._kernel.gate(Call("fstat"))
        return os.fstat(fd)

    def fchmod(self, fd: int, mode: int) -> None:
        self._kernel.gate(Call("fchmod"))
        os.fchmod(fd, mode)

    def read(self, fd: int, n: int) -> bytes:
        self._kernel.gate(Call("read"))
        return os.read(fd, n)

    def pread(self, fd: int, n: int, offset: int) -> bytes:
        self._kernel.gate(Call("pread"))
        return os.pread(fd, n, offset)

    def pwrite(self, fd: int, piece: platforms.Octets, offset: int) -> int:
        kernel = self._kernel
        inode = kernel.inode_of(fd)
        content = bytes(piece)
        most = kernel.gate(Call("pwrite", changes=True, size=len(content)))
        if most is not None:
            content = content[:most]
        written = os.pwrite(fd, content, offset)
        if inode is not None:
            at = kernel.disk.size(inode) if kernel.appends(fd) else offset
            kernel.did("write", inode, at, content[:written])
        return written

    def posix_fallocate(self, fd: int, offset: int, size: int) -> None:
        kernel = self._kernel
        inode = kernel.inode_of(fd)
        kernel.gate(Call("posix_fallocate", changes=True, size=size))
        os.posix_fallocate(fd, offset, size)
        if inode is not None and kernel.disk.size(inode) < offset + size:
            kernel.did("truncate", inode, offset + size)

    def ftruncate(self, fd: int, size: int) -> None:
        kernel = self._kernel
        inode = kernel.inode_of(fd)
        kernel.gate(Call("ftruncate", changes=True))
        os.ftruncate(fd, size)
        if inode is not None:
            kernel.did("truncate", inode, size)

    def fsync(self, fd: int) -> None:
        self._flush(fd, "fsync")

    def fdatasync(self, fd: int) -> None:
        self._flush(fd, "fdatasync")

    def _flush(self, fd: int, name: str) -> None:
        kernel = self._kernel
        inode = kernel.inode_of(fd)
        try:
            kernel.gate(Call(name, changes=True))
        except OSError:
            if inode is not None and kernel.drops_failed_flushes:
                kernel.did("fail_flush", inode)
            raise
        # The model knows what is durable; the scratch folder need not be.
        if inode is not None:
            kernel.did("flush", inode)

    # Names.

    def replace(self, source: str, target: str) -> None:
        self._rename(os.replace, "replace", source, target)

    def rename(self, source: str, target: str) -> None:
        self._rename(os.rename, "rename", source, target)

    def _rename(self, run: Callable[[str, str], None], name: str, source: str, target: str) -> None:
        kernel = self._kernel
        before, after = kernel.relative(source), kernel.relative(target)
        kernel.gate(Call(name, after or "", changes=True))
        run(source, target)
        if before is not None and after is not None:
            kernel.did("rename", before, after)

    def link(self, source: str, target: str) -> None:
        kernel = self._kernel
        before, after = kernel.relative(source), kernel.relative(target)
        kernel.gate(Call("link", after or "", changes=True))
        os.link(source, target)
        if before is not None and after is not None:
            kernel.did("link", before, after)

    def unlink(self, path: str) -> None:
        self._remove(os.unlink, "unlink", path)

    def rmdir(self, path: str) -> None:
        self._remove(os.rmdir, "rmdir", path)

    def _remove(self, run: Callable[[str], None], name: str, path: str) -> None:
        kernel = self._kernel
        inside = kernel.relative(path)
        kernel.gate(Call(name, inside or "", changes=True))
        run(path)
        if inside is not None:
            kernel.did("remove", inside)

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        kernel = self._kernel
        inside = kernel.relative(path)
        kernel.gate(Call("mkdir", inside or "", changes=True))
        os.mkdir(path, mode)
        if inside is not None:
            kernel.did("make_folder", inside)

    def chmod(self, path: str, mode: int) -> None:
        self._kernel.gate(Call("chmod", self._kernel.relative(path) or ""))
        os.chmod(path, mode)

    def utime(self, path: str, *, follow_symlinks: bool = True) -> None:
        self._kernel.gate(Call("utime", self._kernel.relative(path) or ""))
        os.utime(path, follow_symlinks=follow_symlinks)

    def rmtree(self, path: str, *arguments: Any, **keywords: Any) -> None:
        """`shutil.rmtree`, entry by entry."""
        if self._kernel.relative(path) is None:
            _rmtree(path, *arguments, **keywords)
            return
        for entry in sorted(os.scandir(path), key=lambda item: item.name):
            if entry.is_dir(follow_symlinks=False):
                self.rmtree(entry.path)
            else:
                self.unlink(entry.path)
        self.rmdir(path)

    # Looking.

    def lstat(self, path: str) -> os.stat_result:
        self._kernel.gate(Call("lstat", self._kernel.relative(path) or ""))
        return os.lstat(path)

    def stat(self, path: Any, *, follow_symlinks: bool = True) -> os.stat_result:
        self._kernel.gate(Call("stat", self._kernel.relative(str(path)) or ""))
        return os.stat(path, follow_symlinks=follow_symlinks)

    def scandir(self, path: str) -> Any:
        self._kernel.gate(Call("scandir", self._kernel.relative(path) or "", opens=True))
        return os.scandir(path)

    def listdir(self, path: str) -> list[str]:
        self._kernel.gate(Call("listdir", self._kernel.relative(path) or "", opens=True))
        return os.listdir(path)


_rmtree = shutil.rmtree
