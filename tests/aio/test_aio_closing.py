"""Closing waits for what is under way, and refuses what comes later."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from localstore import (
    AttachmentStore,
    BackendError,
    InMemoryStore,
    SessionScopedAttachmentStore,
    SessionStore,
    StoreClosed,
)
from localstore.aio import (
    AsyncLocalStore,
    AsyncSessionScopedAttachmentStore,
)
from localstore.store import Store
from localstore.testing import (
    OTHER,
    SESSION,
)
from tests.aio.async_faces import (
    Fresh,
    Held,
    cancelled,
    holding,
    public,
    refuses,
    run,
    say,
    started,
    store_threads,
    texts,
)


class TestClosing:
    def test_waits_for_the_calls_that_were_made(self, fresh: Fresh) -> None:
        """Calls under way and waiting are carried out and answered; later ones are refused at once."""

        async def main() -> None:
            store = fresh()
            session = await store.create_session(SESSION)
            held = Held()
            first, saying, reading = await started(holding(session, held), say(session, "said"), texts(session))
            await held.read()
            closing, again = await started(store.close(), store.close())
            with pytest.raises(StoreClosed):
                await session.load_session_head()
            with pytest.raises(StoreClosed):
                await store.list_sessions()
            assert not closing.done()
            held.go.set()
            await asyncio.gather(first, saying, closing, again)
            assert reading.done()
            assert await reading == ["said"]
            assert store_threads() == []

        run(main())

    def test_goes_on_when_cancelled(self, fresh: Fresh) -> None:
        """Who cancels a close does not stop it, and may wait for it again."""

        async def main() -> None:
            store = fresh()
            session = await store.create_session(SESSION)
            inner = store._store
            assert inner is not None
            held = Held()
            (first,) = await started(holding(session, held))
            await held.read()
            (closing,) = await started(store.close())
            await cancelled(closing)
            with pytest.raises(StoreClosed):
                await session.vacuum()
            held.go.set()
            await first
            await store.close()
            with pytest.raises(StoreClosed):
                inner.list_sessions()

        run(main())

    def test_may_be_repeated(self, fresh: Fresh) -> None:
        """Closing again, or a store that was never used, is no error."""

        async def main() -> None:
            async with fresh() as store:
                session = await store.create_session(SESSION)
                await session.close()
                await session.close()
                await store.close()
                await store.close()
                await session.close()
            await fresh().close()
            async with fresh():
                pass
            assert store_threads() == []

        run(main())

    def test_closes_the_store_below(self) -> None:
        """A store that was given is closed with its face, used or not."""
        inner = InMemoryStore()
        run(AsyncLocalStore.over(inner).close())
        with pytest.raises(StoreClosed):
            inner.list_sessions()

    def test_tells_its_error(self) -> None:
        """What closing raises arrives where it was asked for, once; the threads end nonetheless."""

        class Full(InMemoryStore):
            def close(self) -> None:
                super().close()
                raise BackendError("the disk is full")

        async def main() -> None:
            store = AsyncLocalStore.over(Full())
            with pytest.raises(BackendError, match="the disk is full"):
                await store.close()
            assert store_threads() == []
            await store.close()

        run(main())

    def test_ends_every_call_of_a_handle(self, fresh: Fresh) -> None:
        """Calls on a closed handle, and on handles of a closed store, raise StoreClosed, whatever their arguments."""
        names = [name for name, member in public(SessionStore) if inspect.isfunction(member)]

        async def main() -> None:
            async with fresh() as store:
                session, other = await store.create_session(SESSION), await store.create_session(SESSION)
                await session.close()
                for name in names:
                    await refuses(session, name)
                assert await other.load_session_head() is None
            for name in names:
                await refuses(other, name)

        run(main())

    def test_ends_every_call_of_the_store(self, fresh: Fresh) -> None:
        """Calls on a closed store and its attachments raise StoreClosed."""

        async def main() -> None:
            store = fresh()
            attachments = store.attachments
            session = await store.create_session(SESSION)
            scoped = AsyncSessionScopedAttachmentStore(attachments, session)
            await store.close()
            for kind, face in ((Store, store), (AttachmentStore, attachments), (SessionScopedAttachmentStore, scoped)):
                for name, member in public(kind):
                    if inspect.isfunction(member):
                        await refuses(face, name)
            with pytest.raises(StoreClosed):
                store.attachments  # noqa: B018

        run(main())

    def test_of_a_handle_carries_out_its_calls(self, fresh: Fresh) -> None:
        """Calls made before are carried out, those on the session itself before the close returns."""

        async def main() -> None:
            async with fresh() as store:
                session, other = await store.create_session(SESSION), await store.create_session(OTHER)
                here, there = Held(), Held()
                first, second = await started(holding(session, here), holding(other, there))
                saying, abroad = await started(say(session, "here"), say(session, "there", OTHER))
                (closing,) = await started(session.close())
                with pytest.raises(StoreClosed, match="the handle"):
                    await session.load_session_head()
                assert not closing.done()
                here.go.set()
                await closing
                assert saying.done()
                there.go.set()
                await asyncio.gather(first, second, saying, abroad)
                assert await texts(other) == ["here"]
                assert await texts(other, OTHER) == ["there"]

        run(main())

    def test_is_not_needed_for_the_threads_to_end(self, fresh: Fresh) -> None:
        """A store that nobody refers to any more takes its threads along."""

        async def main() -> None:
            session = await fresh().create_session(SESSION)
            assert await session.load_session_head() is None

        run(main())
        # What is left to see is that no thread stays, which the fixture does.
