"""Attachments through the async faces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from localstore import (
    InMemoryStore,
    InvalidArgument,
    StoreClosed,
)
from localstore.aio import (
    AsyncLocalStore,
    AsyncSessionScopedAttachmentStore,
)
from localstore.testing import (
    OTHER,
    PNG,
    SESSION,
    START_MS,
    ManualClock,
)
from tests.aio.async_faces import Fresh, Held, cancelled, holding, run, started


class TestAttachments:
    def test_are_stored_by_content(self, fresh: Fresh) -> None:
        """Bytes are put once and got by id."""

        async def main() -> None:
            async with fresh() as store:
                first, second = await asyncio.gather(
                    store.attachments.put(b"data", PNG), store.attachments.put(data=b"data", meta=PNG)
                )
                assert first == second
                assert (await store.attachments.get(first.id)).data == b"data"

        run(main())

    def test_of_a_session_are_written_ahead_and_await_the_commit(self, fresh: Fresh) -> None:
        """A put records the intent; the ids taken are what a commit must stamp."""

        async def main() -> None:
            async with fresh() as store:
                session = await store.create_session(SESSION)
                scoped = AsyncSessionScopedAttachmentStore(store.attachments, session, clock=ManualClock())
                ref = await scoped.put(b"data", PNG)
                (row,) = await session.list_uncommitted(START_MS)
                assert (row.attachment_id, row.session_id, row.intent_at_epoch_ms) == (ref.id, SESSION, START_MS)
                assert await scoped.take_pending_attachment_ids() == (ref.id,)
                assert await scoped.take_pending_attachment_ids() == ()
                assert (await scoped.get(ref.id)).data == b"data"
                await session.commit_refs(SESSION, [ref.id])
                assert await session.list_uncommitted(START_MS) == ()
                await session.close()
                with pytest.raises(StoreClosed):
                    await scoped.put(b"more", PNG)

        run(main())

    def test_of_another_session(self, fresh: Fresh) -> None:
        """`session_id` names the session whose rows they are."""

        async def main() -> None:
            async with fresh() as store:
                session, other = await store.create_session(SESSION), await store.create_session(OTHER)
                scoped = AsyncSessionScopedAttachmentStore(store.attachments, session, session_id=OTHER)
                ref = await scoped.put(b"data", PNG)
                assert await session.list_uncommitted(2**53 - 1) == ()
                assert [row.attachment_id for row in await other.list_uncommitted(2**53 - 1)] == [ref.id]

        run(main())

    def test_survive_cancelling(self, fresh: Fresh) -> None:
        """A cancelled put is among the ids taken next, and a cancelled take loses none of them."""

        async def main() -> None:
            async with fresh() as store:
                session = await store.create_session(SESSION)
                scoped = AsyncSessionScopedAttachmentStore(store.attachments, session)
                held = Held()
                first, *calls = await started(
                    holding(session, held), scoped.put(b"data", PNG), scoped.take_pending_attachment_ids()
                )
                await held.read()
                await cancelled(*calls)
                held.go.set()
                await first
                (attachment_id,) = await scoped.take_pending_attachment_ids()
                assert (await scoped.get(attachment_id)).data == b"data"

        run(main())

    def test_need_async_faces(self) -> None:
        """Synchronous stores and handles are refused where async ones are meant."""

        async def main() -> None:
            inner = InMemoryStore()
            async with AsyncLocalStore.over(inner) as store:
                session = await store.create_session(SESSION)
                arguments: list[tuple[Any, Any]] = [
                    (inner.attachments, session),
                    (store.attachments, inner.open_session(SESSION)),
                ]
                for pair in arguments:
                    with pytest.raises(InvalidArgument):
                        AsyncSessionScopedAttachmentStore(*pair)
                with pytest.raises(InvalidArgument):
                    AsyncSessionScopedAttachmentStore(store.attachments, session, session_id="")

        run(main())
