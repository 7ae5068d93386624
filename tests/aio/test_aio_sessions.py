"""Calls of one session run in order, different sessions beside each other."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from localstore.lanes import Lanes
from localstore.testing import (
    OTHER,
    SESSION,
    next_input,
    owner,
    wake,
)
from tests.aio.async_faces import (
    HOUR,
    PATIENCE,
    Fresh,
    Gate,
    Held,
    cancelled,
    holding,
    run,
    say,
    started,
    store_threads,
    texts,
)


class TestSessions:
    def test_run_beside_each_other(self, fresh: Fresh) -> None:
        """A session with a thousand calls behind a slow one occupies one thread; 50 others go on."""

        async def main() -> None:
            async with fresh() as store:
                slow = await store.create_session("slow")
                held = Held()
                first, *calls = await started(holding(slow, held), *(slow.load_session_head() for _ in range(1000)))
                await held.read()

                async def turn(number: int) -> list[str]:
                    name = f"s{number}"
                    session = await store.create_session(name)
                    for step in range(4):
                        await say(session, str(step), name)
                    return await texts(session, name)

                found = await asyncio.gather(*(turn(number) for number in range(50)))
                assert found == [[str(step) for step in range(4)]] * 50
                assert not any(task.done() for task in (first, *calls))
                held.go.set()
                assert set(await asyncio.gather(*calls)) == {None}
                await first

        run(main())

    def test_take_turns(self, fresh: Fresh) -> None:
        """A late lane has its turn between the calls of long ones, also when these are enough to occupy all threads."""

        async def main() -> None:
            async with fresh() as store:
                sessions = [await store.create_session(f"s{number}") for number in range(store._lanes.width)]
                late = await store.create_session("late")
                gate = Gate()
                long: list[asyncio.Task[Any]] = []
                for session in sessions:
                    long += await started(*(holding(session, gate) for _ in range(25)))
                for _ in sessions:
                    await gate.arrival()
                late_tasks = await started(*(late.load_session_head() for _ in range(10)))
                for task in late_tasks:
                    # Whichever call ends now, the thread that did it looks for the lane that waits longest.
                    gate.let_one_go()
                    async with asyncio.timeout(PATIENCE):
                        await task
                    # That thread has put the late lane back once it is in another long call.
                    await gate.arrival()
                assert sum(task.done() for task in long) <= len(late_tasks)
                for _ in range(len(long) - len(late_tasks)):
                    gate.let_one_go()
                await asyncio.gather(*long)

        run(main())

    def test_share_a_bounded_number_of_threads(self, fresh: Fresh) -> None:
        """No more threads than the bound are started, and what waits for one gets it."""

        async def main() -> None:
            async with fresh() as store:
                width = store._lanes.width
                sessions = [await store.create_session(f"s{number}") for number in range(width + 3)]
                holds = [Held() for _ in sessions]
                tasks = await started(*(holding(*pair) for pair in zip(sessions, holds, strict=True)))
                for held in holds[:width]:
                    await held.read()
                assert not any(held.entered.is_set() for held in holds[width:])
                assert len(store_threads()) == width <= 32
                for held in holds:
                    held.go.set()
                await asyncio.gather(*tasks)

        run(main())

    def test_are_those_that_calls_are_about(self, fresh: Fresh) -> None:
        """A call through another session's handle takes its turn in the session that it names."""

        async def main() -> None:
            async with fresh() as store:
                session, other = await store.create_session(SESSION), await store.create_session(OTHER)
                held = Held()
                first, *calls = await started(
                    holding(other, held),
                    session.enqueue_queued_work(wake(session_id=OTHER)),
                    session.enqueue_pending_turn_input(draft=next_input("said", session_id=OTHER)),
                    session.try_claim_session_execution_lease(session_id=OTHER, owner=owner(), lease_ttl_ms=HOUR),
                )
                assert await session.load_session_head() is None
                await held.read()
                assert not any(call.done() for call in calls)
                await cancelled(*calls)
                held.go.set()
                await first
                assert len(await other.list_queued_work(OTHER)) == 1
                assert await texts(session, OTHER) == ["said"]
                assert await other.get_session_execution_lease(OTHER) is not None

        run(main())

    def test_leave_nothing_behind(self, fresh: Fresh) -> None:
        """Lanes exist while they have calls only."""

        async def main() -> None:
            async with fresh() as store:
                for number in range(200):
                    session = await store.create_session(f"s{number}")
                    await session.close()
                await store.list_sessions()
            # The threads have ended, so that nothing can be on its way any more.
            assert store._lanes._lanes == {}
            assert len(store._lanes._ready) == 0

        run(main())

    def test_are_told_of_what_was_done_at_once(self, fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
        """A thread may be done with a call before the coroutine that made it goes on."""
        enter = Lanes._enter

        def entered(lanes: Lanes, name: str | None, call: Any) -> None:
            enter(lanes, name, call)
            never = threading.Event()
            for _ in range(PATIENCE * 1_000):
                if not hasattr(call, "told"):
                    return
                never.wait(0.001)
            raise AssertionError("no thread did it")

        async def main() -> None:
            async with fresh() as store:
                session = await store.create_session(SESSION)
                with monkeypatch.context() as patch:
                    patch.setattr(Lanes, "_enter", entered)
                    assert await session.load_session_head() is None

        run(main())
