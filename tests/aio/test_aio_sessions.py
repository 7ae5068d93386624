"""Calls of one session run in order, different sessions beside each other."""

from __future__ import annotations

import asyncio
from typing import Any

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
        """A late lane is served before long ones are empty, also when these are enough to occupy all threads."""

        async def main() -> None:
            async with fresh() as store:
                sessions = [await store.create_session(f"s{number}") for number in range(store._lanes.width)]
                late = await store.create_session("late")
                starts, ends = [Held() for _ in sessions], [Held() for _ in sessions]
                tasks: list[asyncio.Task[Any]] = []
                for session, start, end in zip(sessions, starts, ends, strict=True):
                    between = (session.load_session_head() for _ in range(25))
                    tasks += await started(holding(session, start), *between, holding(session, end))
                    await start.read()
                late_tasks = await started(*(late.load_session_head() for _ in range(10)))
                for start in starts:
                    start.go.set()
                async with asyncio.timeout(PATIENCE):
                    await asyncio.gather(*late_tasks)
                for end in ends:
                    end.go.set()
                await asyncio.gather(*tasks)

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
