"""The store on files as a backend of the suite. Each test ends with a look at what is left on disk."""

import functools
from collections.abc import Callable
from pathlib import Path

from localstore import Clock, Durability, LocalStore, StoreClosed
from localstore.testing import Backend, StoreFace
from localstore.testing.cases.world import observe


class Files(Backend):
    def __init__(self, root: Path, durability: Durability) -> None:
        self.root = root
        self.durability = durability

    def open(self, clock: Clock) -> StoreFace:
        self.clock = clock
        return LocalStore(self.root, durability=self.durability, clock=clock)

    def reopen(self, store: StoreFace, clock: Clock) -> StoreFace:
        store.close()
        self.leaves_no_journal()
        return self.open(clock)

    def opener(self, store: StoreFace) -> Callable[[Clock], StoreFace]:
        return functools.partial(open_files, str(self.root), self.durability)

    def finish(self, store: StoreFace) -> None:
        """A clean close leaves no journal."""
        store.close()
        self.leaves_no_journal()

    def leaves_no_journal(self) -> None:
        assert list((self.root / "sessions").rglob("*.journal")) == []


class ReopenedFiles(Files):
    """Each test ends with opening once more: everything that it left must be there again."""

    def finish(self, store: StoreFace) -> None:
        try:
            before = observe(store)
        except StoreClosed:
            return
        again = self.reopen(store, self.clock)
        assert observe(again) == before
        super().finish(again)


def open_files(root: str, durability: Durability, clock: Clock) -> StoreFace:
    return LocalStore(root, durability=durability, clock=clock)
