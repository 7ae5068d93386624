"""What tests of the async faces share: calls that stay under way, and short ways to say and see something."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from localstore import (
    LeaseAcquired,
    StoreClosed,
    TextItem,
)
from localstore.aio import (
    AsyncLocalStore,
    AsyncSessionStore,
)
from localstore.lanes import THREAD_NAME
from localstore.testing import (
    SESSION,
    append_commit,
    next_input,
    node,
    owner,
)

T = TypeVar("T")

PATIENCE = 30
"""Seconds after which a test gives up."""
complaints: list[dict[str, Any]] = []
"""What event loops complained of: exceptions that nobody retrieved, lost tasks. A test must end without any."""
HOUR = 3_600_000


class Lazy(AsyncLocalStore):
    """Opens what `make` gives, as `AsyncLocalStore` opens a folder."""

    def __init__(self, make: Any, **options: Any) -> None:
        self._root = None
        self._prepare(None, make)


class Held:
    """Node ids that stop the thread that reads them until they are let go."""

    def __init__(self, *ids: str, error: BaseException | None = None) -> None:
        self.entered = threading.Event()
        self.go = threading.Event()
        self._ids = ids
        self._error = error

    def __iter__(self) -> Iterator[str]:
        self.entered.set()
        assert self.go.wait(PATIENCE)
        if self._error is not None:
            raise self._error
        return iter(self._ids)

    async def read(self) -> None:
        """Wait until a thread reads the ids."""
        assert await asyncio.to_thread(self.entered.wait, PATIENCE)


class Gate:
    """Node ids that stop each thread that reads them until one is let go."""

    def __init__(self) -> None:
        self._permits = threading.Semaphore(0)
        self._arrivals = threading.Semaphore(0)

    def __iter__(self) -> Iterator[str]:
        self._arrivals.release()
        assert self._permits.acquire(timeout=PATIENCE)
        return iter(())

    def let_one_go(self) -> None:
        self._permits.release()

    async def arrival(self) -> None:
        """Wait until one thread more reads the ids."""
        assert await asyncio.to_thread(self._arrivals.acquire, timeout=PATIENCE)


others: set[threading.Thread] = set()
"""Threads of stores that somebody else left open before the test began."""


def store_threads() -> list[threading.Thread]:
    """The threads of the test's own stores."""
    running = [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]
    return [thread for thread in running if thread not in others]


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, with an ear for what the loop complains of."""

    async def watched() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        return await main

    return asyncio.run(watched())


async def started(*calls: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    """Tasks that have made their calls, in this order."""
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    return tasks


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks, which end as cancelled."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with pytest.raises(asyncio.CancelledError):
            await task


def public(kind: type) -> list[tuple[str, Any]]:
    """The public members of `kind`, without aliases such as `mark_closed`."""
    members = [(name, inspect.getattr_static(kind, name)) for name in dir(kind) if not name.startswith("_")]
    return [(name, member) for name, member in members if getattr(member, "__name__", name) == name]


async def refuses(face: object, name: str) -> None:
    """The face is closed: a call raises StoreClosed, but for closing it again."""
    method = getattr(face, name)
    required = [item for item in inspect.signature(method).parameters.values() if item.default is item.empty]
    if name == "close":
        await method()
        return

    async def called() -> None:
        answer = method(*(None for _ in required))
        await (anext(answer) if inspect.isasyncgen(answer) else answer)

    with pytest.raises(StoreClosed):
        await called()


def holding(session: AsyncSessionStore, held: Held | Gate) -> Coroutine[Any, Any, None]:
    """A call on the session that stays under way until `held` is let go."""
    ids: Any = held
    return session.tombstone_nodes(ids)


async def texts(session: AsyncSessionStore, session_id: str = SESSION) -> list[str]:
    """The texts of the session's pending inputs, in order."""
    found: list[str] = []
    for pending in await session.list_pending_turn_inputs(session_id):
        (item,) = pending.input.items
        assert isinstance(item, TextItem)
        found.append(item.text)
    return found


def say(session: AsyncSessionStore, text: str, session_id: str = SESSION) -> Coroutine[Any, Any, Any]:
    return session.enqueue_pending_turn_input(next_input(text, session_id=session_id))


async def commit(session: AsyncSessionStore, *node_ids: str) -> None:
    """Commit these nodes, roots all of them."""
    outcome = await session.try_claim_session_execution_lease(session.session_id, owner(), HOUR)
    assert isinstance(outcome, LeaseAcquired)
    draft = append_commit(*(node(node_id) for node_id in node_ids), session_id=session.session_id)
    await session.commit_runtime_state(draft.with_session_execution_lease(outcome.lease.fence()))


Fresh = Callable[[], AsyncLocalStore]
"""Makes empty stores that were not used yet."""
