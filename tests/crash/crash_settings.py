"""How a store is run, and the folders it is run in."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from localstore import Durability, StoreError, local
from localstore.disk import (
    compaction,
    fold,
    forking,
    housekeeping,
    journal,
    leftovers,
    names,
    openfolder,
    publishing,
    sessions,
    superseded,
)
from localstore.disk.housekeeping import Housekeeper
from tests.crash.crash_disk import Tree

ROOT_NAME = "store"


@dataclass(frozen=True, slots=True)
class Setting:
    """How a store is run.

    Attributes:
        fold_bytes: the size of a journal that is folded.
        ahead: how many zeros are written ahead in a journal.
        grace_s: how long what is superseded stays.
        stale_s: how long what was never finished stays.
        fan_in: how many node files of a size are left before they are merged.
        at_once: whether views follow in the call itself, instead of a moment later.
        due_after: how many calls later a store's threads do what they do a moment later.
        first_name: the number that the names of new files start with.
        placed: whether a head says which folder it was written into, so that a copy of that is told from it.
    """

    durability: Durability
    fold_bytes: int = 1 << 20
    ahead: int = 4096
    grace_s: float = 60.0
    stale_s: float = 60.0
    fan_in: int = 6
    at_once: bool = False
    due_after: int = 1
    first_name: int = 0
    placed: bool = False

    @contextmanager
    def installed(self) -> Iterator[Callable[[], None]]:
        """Runs stores in this way; gives a function that does what their threads would do a moment after a call.

        There are no threads, so that the order of system calls and the names of files are the same in each run.
        """
        count = iter(range(self.first_name, 1 << 62))
        tasks: dict[tuple[Housekeeper, Callable[[], None]], None] = {}
        stopped: list[Housekeeper] = []
        # Files of a crash are laid out elsewhere, and are to be taken for those that crashed.
        unplaced = () if self.placed else (fold, forking, publishing)

        def later(whose: Housekeeper, task: Callable[[], None]) -> None:
            if whose not in stopped:
                tasks[whose, task] = None

        def stop(whose: Housekeeper) -> None:
            stopped.append(whose)
            for key in [key for key in tasks if key[0] is whose]:
                del tasks[key]

        def run_due() -> None:
            while tasks:
                key = next(iter(tasks))
                del tasks[key]
                try:
                    key[1]()
                except (StoreError, OSError):
                    continue

        with ExitStack() as stack:
            stack.enter_context(mock.patch.object(Housekeeper, "later", later))
            stack.enter_context(mock.patch.object(Housekeeper, "stop", stop))
            for module, name, value in (
                (openfolder, "FOLD_BYTES", self.fold_bytes),
                (journal, "CHUNK", self.ahead),
                (superseded, "GRACE_S", self.grace_s),
                *((module, "place_of", lambda folder: "") for module in unplaced),
                (leftovers, "STALE_S", self.stale_s),
                (compaction, "FAN_IN", self.fan_in),
                (housekeeping, "VIEW_DELAY_S", 0 if self.at_once else 1),
                (names, "_unique", lambda: f"{next(count):016x}"),
                (local, "fresh_id", lambda: f"{next(count):032x}"),
                (publishing, "fresh_id", lambda: f"{next(count):032x}"),
                (sessions, "fresh_id", lambda: f"{next(count):032x}"),
            ):
                stack.enter_context(mock.patch.object(module, name, value))
            yield run_due


@contextmanager
def scratch() -> Iterator[str]:
    """A folder for one run, in memory where there is such a place: the model knows what is durable."""
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = os.path.realpath(tempfile.mkdtemp(prefix="localstore-crash-", dir=where))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def lay_out(tree: Tree, base: str) -> None:
    """Make a folder with the files and folders of a tree."""
    os.makedirs(base)
    for path, content in sorted(tree.items()):
        where = f"{base}/{path}"
        if content is None:
            os.mkdir(where, 0o700)
            continue
        text = content.rstrip(b"\0")
        fd = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, text)
        if len(text) < len(content):
            os.ftruncate(fd, len(content))
        os.close(fd)


def read_tree(base: str) -> Tree:
    """What is under a folder."""
    tree: Tree = {}
    for folder, folders, files in os.walk(base):
        for name in folders:
            tree[os.path.relpath(os.path.join(folder, name), base)] = None
        for name in files:
            path = os.path.join(folder, name)
            tree[os.path.relpath(path, base)] = Path(path).read_bytes()
    return tree
