"""File systems that refuse, and that count."""

from __future__ import annotations

import errno
from typing import Any

from localstore import BackendError
from localstore.disk.system import System

CHANGES = frozenset(
    {
        "flush",
        "flush_dir",
        "flush_file",
        "link_new",
        "make_dir",
        "open_write",
        "pwrite_all",
        "remove_tree",
        "rename_dir",
        "replace",
        "share",
        "truncate",
        "unlink",
    }
)
"""The operations that change something, or say that it is on the disk."""


class Counter(System):
    """Counts the bytes that are written, and the files that are shared; without `links` these are copied."""

    def __init__(self, *, links: bool = True) -> None:
        self.links = links
        self.written = 0
        self.shared = 0

    def pwrite_all(self, fd: int, data: Any, offset: int) -> None:
        self.written += len(data)
        super().pwrite_all(fd, data, offset)

    def share(self, src: str, dst: str) -> bool:
        if not self.links:
            self._copy(src, dst)
            return False
        self.shared += 1
        return super().share(src, dst)


class FailsAt(System):
    """Refuses the change of that number, counted from 0; with `dead`, as a process that is gone, all after it too."""

    def __init__(self, number: int, *, dead: bool = False) -> None:
        self.number = number
        self.dead = dead
        self.count = -1
        self.failed: str | None = None

    def __getattribute__(self, name: str) -> Any:
        call = super().__getattribute__(name)
        if name not in CHANGES:
            return call

        def judged(*args: Any) -> Any:
            self.count += 1
            if self.count == self.number or (self.dead and self.count > self.number):
                self.failed = self.failed or name
                refusal = OSError(errno.EIO, "Input/output error")
                raise BackendError(f"cannot {name} {args[0]}: {refusal}") from refusal
            return call(*args)

        return judged
