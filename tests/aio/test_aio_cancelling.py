"""A call that was made is carried out in its turn, whenever its caller is cancelled."""

from __future__ import annotations

import asyncio
import threading

import pytest

from localstore import (
    InMemoryStore,
    StoreClosed,
)
from localstore.testing import (
    SESSION,
)
from tests.aio.async_faces import (
    PATIENCE,
    Fresh,
    Held,
    Lazy,
    cancelled,
    commit,
    holding,
    run,
    say,
    started,
    store_threads,
    texts,
)


class TestCancelling:
    def test_before_the_first_step_makes_no_call(self, fresh: Fresh) -> None:
        """A task that was cancelled before it ran has done nothing."""

        async def main() -> None:
            async with fresh() as store:
                session = await store.create_session(SESSION)
                await cancelled(asyncio.create_task(say(session, "never")))
                assert await texts(session) == []

        run(main())

    def test_before_its_turn(self, fresh: Fresh) -> None:
        """A call that waits behind another one is carried out, and the next call sees it."""

        async def main() -> None:
            async with fresh() as store:
                session = await store.create_session(SESSION)
                held = Held()
                first, waiting = await started(holding(session, held), say(session, "said"))
                await cancelled(waiting)
                (reading,) = await started(texts(session))
                held.go.set()
                await first
                assert await reading == ["said"]

        run(main())

    def test_under_way(self, fresh: Fresh) -> None:
        """A call that a thread is busy with is carried out, and the next call sees it."""

        async def main() -> None:
            async with fresh() as store:
                session = await store.create_session(SESSION)
                await commit(session, "a")
                held = Held("a")
                (hiding,) = await started(holding(session, held))
                await held.read()
                await cancelled(hiding)
                (reading,) = await started(session.load_node("a"))
                held.go.set()
                assert await reading is None

        run(main())

    def test_of_store_calls(self, fresh: Fresh) -> None:
        """Making and deleting a session are carried out in order, too."""

        async def main() -> None:
            async with fresh() as store:
                session = await store.create_session(SESSION)
                held = Held()
                first, *calls = await started(
                    holding(session, held),
                    store.delete_session(SESSION),
                    store.create_session(SESSION, session_name="new"),
                )
                await held.read()
                await cancelled(*calls)
                held.go.set()
                await first
                again = await store.open_session(SESSION)
                assert again is not None
                meta = await again.load_session_meta()
                assert meta is not None
                assert meta.session_name == "new"

        run(main())

    def test_by_a_timeout(self, fresh: Fresh) -> None:
        """`asyncio.timeout` ends the waiting at once; the call goes on."""

        async def main() -> None:
            async with fresh() as store:
                session = await store.create_session(SESSION)
                await commit(session, "a")
                held = Held("a")
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0):
                        await holding(session, held)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(say(session, "said"), 0.001)
                assert not held.go.is_set()
                held.go.set()
                assert await texts(session) == ["said"]
                assert await session.load_node("a") is None

        run(main())

    @pytest.mark.parametrize("moment", ["waiting", "under way", "told"])
    def test_hides_no_answer_and_logs_no_error(self, fresh: Fresh, moment: str) -> None:
        """The error of a call whose caller was cancelled is dropped without a word."""

        async def main() -> None:
            async with fresh() as store:
                session = await store.create_session(SESSION)
                before, held, after = Held(), Held(error=RuntimeError("nobody hears this")), Held()
                first, failing, last = await started(*(holding(session, one) for one in (before, held, after)))
                if moment == "waiting":
                    await cancelled(failing)
                before.go.set()
                await held.read()
                if moment == "under way":
                    await cancelled(failing)
                held.go.set()
                if moment == "told":
                    # The loop has the answer by now, and cannot give it to the task while we hold the loop.
                    assert after.entered.wait(PATIENCE)
                    await cancelled(failing)
                after.go.set()
                await asyncio.gather(first, last)
                del failing

        run(main())

    def test_keeps_the_order_of_a_session(self, fresh: Fresh) -> None:
        """Of 300 calls every third is cancelled, half of those before their turn: all are carried out, in order."""

        async def main() -> None:
            async with fresh() as store:
                session, again = await store.create_session(SESSION), await store.create_session(SESSION)
                held = Held()
                first, *calls = await started(
                    holding(session, held), *(say((session, again)[n % 2], str(n)) for n in range(300))
                )
                await held.read()
                await cancelled(*calls[:150:3])
                held.go.set()
                await first
                for call in calls[150::3]:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
                assert await texts(session) == [str(number) for number in range(300)]
                sequence = [item.enqueue_seq for item in await again.list_pending_turn_inputs(SESSION)]
                assert sequence == sorted(sequence)

        run(main())

    def test_of_an_opening_closes_what_was_opened(self) -> None:
        """A store whose opening was cancelled is closed once it is open."""
        opening, go = threading.Event(), threading.Event()
        made = InMemoryStore()

        def make() -> InMemoryStore:
            opening.set()
            assert go.wait(PATIENCE)
            return made

        async def main() -> None:
            (task,) = await started(Lazy.open(make))  # type: ignore[arg-type]
            assert await asyncio.to_thread(opening.wait, PATIENCE)
            await cancelled(task)
            go.set()
            for thread in store_threads():
                await asyncio.to_thread(thread.join, PATIENCE)
            with pytest.raises(StoreClosed):
                made.list_sessions()

        run(main())
