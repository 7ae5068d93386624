"""A store outlives event loops, and a call the loop and program that made it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from localstore.aio import (
    AsyncLocalStore,
)
from localstore.testing import (
    SESSION,
)
from tests.aio.async_faces import PATIENCE, Fresh, Held, holding, run, say, started, store_threads, texts


class TestLoops:
    def test_come_one_after_the_other(self, fresh: Fresh) -> None:
        """One store and its handles serve several runs."""
        store = fresh()
        session = run(store.create_session(SESSION))
        for number in range(3):
            run(say(session, str(number)))
        assert run(texts(session)) == ["0", "1", "2"]
        run(store.close())

    def test_may_run_in_several_threads(self, fresh: Fresh) -> None:
        """Loops in different threads use one session at the same time."""
        store = fresh()
        session = run(store.create_session(SESSION))
        ready = threading.Barrier(4)

        async def some(number: int) -> None:
            for step in range(25):
                await say(session, f"{number} {step}")

        def loop(number: int) -> None:
            ready.wait(PATIENCE)
            asyncio.run(some(number))

        threads = [threading.Thread(target=loop, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        found = run(texts(session))
        for number in range(4):
            assert [text for text in found if text.startswith(f"{number} ")] == [f"{number} {n}" for n in range(25)]
        assert len(found) == 100
        run(store.close())

    @pytest.mark.parametrize("error", [None, RuntimeError("nobody hears this")])
    def test_may_end_with_calls_under_way(self, fresh: Fresh, error: BaseException | None) -> None:
        """Calls of a loop that is gone are carried out, and the next loop's calls see it."""
        store = fresh()
        session = run(store.create_session(SESSION))
        held = Held(error=error)
        kept: list[asyncio.Task[Any]] = []

        async def main() -> None:
            kept.extend(await started(holding(session, held), say(session, "said")))
            await held.read()

        run(main())
        assert all(task.cancelled() for task in kept)
        held.go.set()
        assert run(texts(session)) == ["said"]
        run(store.close())

    def test_may_end_while_the_store_closes(self, fresh: Fresh) -> None:
        """A close goes on without its loop; another loop can wait for it."""
        store = fresh()
        session = run(store.create_session(SESSION))
        held = Held()

        async def main() -> None:
            await started(holding(session, held), store.close())
            await held.read()

        run(main())
        held.go.set()
        run(store.close())
        assert store_threads() == []

    def test_the_process_ends_after_the_calls(self, tmp_path: Path) -> None:
        """Calls that were made before the program ended are in the store, also where nobody waited for them."""
        program = textwrap.dedent(
            """
            import asyncio, sys
            from localstore.aio import AsyncLocalStore
            from localstore.testing import SESSION, next_input

            async def main():
                store = AsyncLocalStore(sys.argv[1])
                session = await store.create_session(SESSION)
                for number in range(50):
                    call = session.enqueue_pending_turn_input(next_input(str(number)))
                    asyncio.create_task(call)
                await asyncio.sleep(0)

            asyncio.run(main())
            """
        )
        command = [sys.executable, "-X", "dev", "-W", "error", "-c", program, str(tmp_path / "root")]
        ended = subprocess.run(
            command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")

        async def main() -> None:
            async with AsyncLocalStore(tmp_path / "root") as store:
                session = await store.open_session(SESSION)
                assert session is not None
                assert await texts(session) == [str(number) for number in range(50)]

        run(main())
