"""The async faces, driven from synchronous tests: on files, with all that the sync face must do."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localstore import AsyncLocalStore, Clock, Durability, InMemoryStore, LocalStore, StoreClosed
from localstore.testing import (
    SESSION,
    LoopThread,
    StoreFace,
    append_commit,
    next_input,
    node,
    owner,
    store_over_async,
    wake,
)
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


class TestCancellation:
    """A call that was made is carried out, though its caller is cancelled while it waits."""

    @pytest.mark.parametrize("store", ["files", "memory"])
    def test_of_a_caller_does_not_stop_the_call(self, tmp_path: Path, store: str):
        async def scenario() -> None:
            opened = AsyncLocalStore(tmp_path) if store == "files" else AsyncLocalStore.over(InMemoryStore())
            async with opened:
                session: Any = await opened.create_session(SESSION)
                outcome = await session.try_claim_session_execution_lease(SESSION, owner(), 60_000)
                commit = append_commit(node("a")).with_session_execution_lease(outcome.acquired().fence())
                calls = [
                    asyncio.ensure_future(session.enqueue_pending_turn_input(next_input("hello"))),
                    asyncio.ensure_future(session.enqueue_queued_work(wake())),
                    asyncio.ensure_future(session.commit_runtime_state(commit)),
                ]
                await asyncio.sleep(0)
                for call in calls:
                    call.cancel()
                results = await asyncio.gather(*calls, return_exceptions=True)
                assert [type(result) for result in results] == [asyncio.CancelledError] * 3
                assert len(await session.list_pending_turn_inputs(SESSION)) == 1
                assert len(await session.list_queued_work(SESSION)) == 1
                assert (await session.load_session_head()).head_revision == 1

        asyncio.run(scenario())

    def test_of_a_close_does_not_stop_it(self, tmp_path: Path):
        async def scenario() -> None:
            store = AsyncLocalStore(tmp_path)
            session = await store.create_session(SESSION)
            await session.enqueue_pending_turn_input(next_input("hello"))
            closing = asyncio.ensure_future(store.close())
            await asyncio.sleep(0)
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
            await store.close()
            with pytest.raises(StoreClosed):
                await session.list_pending_turn_inputs(SESSION)

        asyncio.run(scenario())
        assert list(tmp_path.rglob("*.journal")) == []
        with LocalStore(tmp_path) as store:
            assert len(store.create_session(SESSION).list_pending_turn_inputs(SESSION)) == 1
