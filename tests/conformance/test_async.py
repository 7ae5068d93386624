"""The async faces, driven from synchronous tests: on files, with all that the sync face must do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from localstore import Clock, Durability
from localstore.aio import AsyncLocalStore
from localstore.testing import LoopThread, StoreFace, store_over_async
from localstore.testing.suite import *  # noqa: F403
from tests.conformance.files import Files


class AsyncFiles(Files):
    def __init__(self, root: Path, thread: LoopThread) -> None:
        super().__init__(root, Durability.PROCESS)
        self.thread = thread

    def open(self, clock: Clock) -> StoreFace:
        self.clock = clock
        return store_over_async(self.thread, AsyncLocalStore(self.root, durability=self.durability, clock=clock))


@pytest.fixture(scope="module")
def thread() -> Iterator[LoopThread]:
    loop_thread = LoopThread()
    yield loop_thread
    loop_thread.stop()


@pytest.fixture
def backend(tmp_path: Path, thread: LoopThread) -> AsyncFiles:
    return AsyncFiles(tmp_path / "store", thread)
