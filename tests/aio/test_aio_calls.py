"""Async calls do and say what the synchronous ones do and say, off the event loop."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from localstore import (
    AttachmentNotFound,
    BackendError,
    DurabilityTier,
    FullGraph,
    InMemoryStore,
    InvalidArgument,
    NodeNotFound,
    SessionHead,
)
from localstore.aio import (
    AsyncSessionScopedAttachmentStore,
)
from localstore.lanes import THREAD_NAME
from localstore.testing import (
    PNG,
    SESSION,
    node,
)
from tests.aio.async_faces import Fresh, Held, cancelled, commit, holding, run, say, started, texts


class TestCalls:
    def test_give_what_the_synchronous_ones_give(self, fresh: Fresh) -> None:
        """A session is made, committed to, listed, opened and deleted."""

        async def main() -> None:
            async with fresh() as store:
                async with await store.create_session(SESSION, session_name="name", model="m") as session:
                    await commit(session, "a", "b")
                    head = await session.load_session_head()
                    assert isinstance(head, SessionHead)
                    assert (head.head_revision, head.node_count) == (1, 2)
                    assert await session.load_node("a") == node("a")
                again = await store.open_session(SESSION)
                assert again is not None
                read = await again.load_session(scope=FullGraph())
                assert read is not None
                assert [found.node_id for found in read.graph.nodes] == ["a", "b"]
                (line,) = await store.list_sessions()
                assert (line.session_name, line.model) == ("name", "m")
                tier = await store.durability_tier()
                assert await again.durability_tier() is tier
                assert tier is DurabilityTier.DURABLE or type(store._store) is InMemoryStore
                await store.delete_session(SESSION)
                assert await store.open_session(SESSION) is None

        run(main())

    def test_run_off_the_event_loop(self, fresh: Fresh) -> None:
        """The loop goes on while a call is under way, in a thread with the store's name."""

        class Witness(Held):
            def __iter__(self) -> Iterator[str]:
                self.thread = threading.current_thread()
                return super().__iter__()

        async def main() -> None:
            async with fresh() as store:
                session = await store.create_session(SESSION)
                held = Witness()
                (task,) = await started(holding(session, held))
                await held.read()
                assert held.thread.name.startswith(THREAD_NAME)
                held.go.set()
                assert await task is None

        run(main())

    def test_raise_what_the_synchronous_ones_raise(self, fresh: Fresh) -> None:
        """Errors keep their type and facts; the very object that was raised arrives."""

        class Odd(BaseException):
            pass

        async def main() -> None:
            async with fresh() as store:
                session = await store.create_session(SESSION)
                with pytest.raises(InvalidArgument, match="node_id must not be empty"):
                    await session.load_node("")
                with pytest.raises(InvalidArgument):
                    await store.create_session("")
                with pytest.raises(InvalidArgument):
                    await session.list_queued_work(5)  # type: ignore[arg-type]
                with pytest.raises(AttachmentNotFound) as missing:
                    await store.attachments.get("0" * 64)
                assert missing.value.attachment_id == "0" * 64
                with pytest.raises(TypeError):
                    await session.load_node()  # type: ignore[call-arg]
                for error in (NodeNotFound("x"), RuntimeError("own"), StopIteration(), Odd()):
                    held = Held(error=error)
                    held.go.set()
                    expected = RuntimeError if isinstance(error, StopIteration) else type(error)
                    with pytest.raises(expected) as caught:
                        await holding(session, held)
                    assert error in (caught.value, caught.value.__cause__)
                assert await session.load_node("a") is None

        run(main())

    def test_let_go_of_errors(self, fresh: Fresh) -> None:
        """Nothing keeps an error alive once it was handled: no cycle holds it and the frames of its traceback."""

        class Local(Exception):
            pass

        async def main() -> None:
            async with fresh() as store:
                session = await store.create_session(SESSION)

                async def failing() -> weakref.ref[Local]:
                    held = Held(error=Local())
                    held.go.set()
                    try:
                        await holding(session, held)
                    except Local as error:
                        held._error = None
                        return weakref.ref(error)
                    raise AssertionError

                gc.collect()
                gc.disable()
                try:
                    gone = await failing()
                    # The thread that ran the call may still be on its way out of it.
                    await session.load_session_head()
                    assert gone() is None
                finally:
                    gc.enable()

        run(main())

    def test_see_arguments_as_they_were(self, fresh: Fresh) -> None:
        """A caller that went on may change a list or buffer it gave: the call has its own."""

        async def main() -> None:
            async with fresh() as store:
                session = await store.create_session(SESSION)
                await commit(session, "a", "b")
                held, ids = Held(), ["a"]
                data: Any = bytearray(b"old")
                scoped = AsyncSessionScopedAttachmentStore(store.attachments, session)
                first, *calls = await started(
                    holding(session, held), session.tombstone_nodes(ids=ids), scoped.put(data, PNG)
                )
                await held.read()
                await cancelled(*calls)
                ids[:] = ["b"]
                data[:] = b"new"
                held.go.set()
                await first
                assert await session.load_node("a") is None
                assert await session.load_node("b") is not None
                (attachment_id,) = await scoped.take_pending_attachment_ids()
                assert (await scoped.get(attachment_id)).data == b"old"

        run(main())

    def test_do_not_wait_forever_for_a_thread(self, fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
        """When no thread can be started, the call says so and is not done; the next one works."""

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        async def main() -> None:
            store = fresh()
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                for call in (store.create_session, store.open_session, store.delete_session):
                    with pytest.raises(BackendError, match="no thread can be started"):
                        await call(SESSION)
                with pytest.raises(BackendError, match="no thread can be started"):
                    await store.close()
            assert await store.open_session(SESSION) is None
            session = await store.create_session(SESSION)
            await asyncio.gather(*(say(session, str(number)) for number in range(100)))
            assert await texts(session) == [str(number) for number in range(100)]
            await store.close()

        run(main())
