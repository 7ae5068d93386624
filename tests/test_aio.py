"""The async faces: twins of the synchronous ones, in order within a session, and safe to cancel at any moment."""

from __future__ import annotations

import asyncio
import gc
import inspect
import itertools
import subprocess
import sys
import textwrap
import threading
import typing
import weakref
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from localstore import (
    AttachmentNotFound,
    AttachmentStore,
    BackendError,
    Clock,
    Durability,
    DurabilityTier,
    FullGraph,
    InMemoryStore,
    InvalidArgument,
    LeaseAcquired,
    LocalStore,
    NodeNotFound,
    SessionHead,
    SessionScopedAttachmentStore,
    SessionStore,
    StoreClosed,
    StoreError,
    TextItem,
)
from localstore.aio import (
    AsyncAttachmentStore,
    AsyncLocalStore,
    AsyncSessionScopedAttachmentStore,
    AsyncSessionStore,
)
from localstore.lanes import THREAD_NAME
from localstore.store import Store
from localstore.testing import (
    OTHER,
    PNG,
    SESSION,
    START_MS,
    ManualClock,
    append_commit,
    next_input,
    node,
    owner,
    wake,
)

T = TypeVar("T")

PATIENCE = 30
"""Seconds after which a test gives up."""
HOUR = 3_600_000

TWINS = [
    (SessionStore, AsyncSessionStore),
    (Store, AsyncLocalStore),
    (LocalStore, AsyncLocalStore),
    (AttachmentStore, AsyncAttachmentStore),
    (SessionScopedAttachmentStore, AsyncSessionScopedAttachmentStore),
]


class Lazy(AsyncLocalStore):
    """Opens what `make` gives, as `AsyncLocalStore` opens a folder."""

    def __init__(self, make: Any, *, durability: Durability = Durability.FULL, clock: Clock | None = None) -> None:
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


def store_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, and the loop has nothing to complain of: no exception that nobody retrieved, no lost task."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        result = await main
        gc.collect()
        return result

    try:
        return asyncio.run(watched())
    finally:
        assert complaints == []


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
    with pytest.raises(StoreClosed):
        await method(*(None for _ in required))


def holding(session: AsyncSessionStore, held: Held) -> Coroutine[Any, Any, None]:
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


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    """The threads of a test's stores have ended with it."""
    yield
    gc.collect()
    for thread in store_threads():
        thread.join(PATIENCE)
    assert store_threads() == []


@pytest.fixture(params=["over memory", "memory", "files"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], AsyncLocalStore]:
    """Makes empty stores that were not used yet."""
    numbers = itertools.count()
    kinds: dict[str, Callable[[], AsyncLocalStore]] = {
        "over memory": lambda: AsyncLocalStore.over(InMemoryStore()),
        "memory": lambda: Lazy(InMemoryStore),
        "files": lambda: AsyncLocalStore(tmp_path / str(next(numbers)), durability=Durability.PROCESS),
    }
    return kinds[request.param]


Fresh = Callable[[], AsyncLocalStore]


class TestTwins:
    @pytest.mark.parametrize(("kind", "twin"), TWINS)
    def test_no_method_is_forgotten(self, kind: type, twin: type) -> None:
        """Each public method has a coroutine method of the same name, parameters and documentation."""
        methods = [(name, member) for name, member in public(kind) if inspect.isfunction(member)]
        assert methods
        for name, method in methods:
            ours = inspect.getattr_static(twin, name)
            assert inspect.iscoroutinefunction(ours), name
            assert (ours.__name__, ours.__qualname__) == (name, f"{twin.__name__}.{name}")
            assert ours.__module__ == "localstore.aio"
            assert inspect.signature(ours).parameters == inspect.signature(method).parameters
            documentation = inspect.getdoc(method)
            assert documentation
            # What a twin's own code adds it says after what the method says; the derived ones say the same.
            assert (inspect.getdoc(ours) or "").startswith(documentation), name
            assert name == "close" or inspect.getdoc(ours) == documentation

    @pytest.mark.parametrize(("kind", "twin"), TWINS)
    def test_types_are_equal(self, kind: type, twin: type) -> None:
        """The types of parameters and results are the same, but for handles, whose twins are given."""
        ours_of = {SessionStore: AsyncSessionStore, SessionStore | None: AsyncSessionStore | None}
        for name, method in public(kind):
            if inspect.isfunction(method):
                expected = {key: ours_of.get(hint, hint) for key, hint in typing.get_type_hints(method).items()}
                assert typing.get_type_hints(inspect.getattr_static(twin, name)) == expected

    @pytest.mark.parametrize(("kind", "twin"), TWINS)
    def test_properties_are_the_same(self, kind: type, twin: type) -> None:
        """Properties take no time and stay properties."""
        for name, member in public(kind):
            if isinstance(member, property):
                ours = inspect.getattr_static(twin, name)
                assert isinstance(ours, property)
                assert (inspect.getdoc(ours) or "").startswith(str(inspect.getdoc(member)))

    def test_there_is_nothing_else(self) -> None:
        """A twin has no methods of its own, but the ways to make one."""
        extra = {
            twin.__name__: {name for name, _ in public(twin)} - {name for name, _ in public(kind)}
            for kind, twin in TWINS
        }
        assert {name: members for name, members in extra.items() if members} == {"AsyncLocalStore": {"open", "over"}}

    def test_the_constructor_is_the_same(self) -> None:
        """`AsyncLocalStore` and `AsyncLocalStore.open` take what `LocalStore` takes."""
        expected = inspect.signature(LocalStore).parameters
        assert inspect.signature(AsyncLocalStore).parameters == expected
        assert inspect.signature(AsyncLocalStore.open).parameters == expected

    def test_properties_tell_of_the_store(self, tmp_path: Path) -> None:
        """A handle knows its session and clock, a store on files its root."""
        clock = ManualClock()

        async def main() -> None:
            async with AsyncLocalStore(tmp_path / "x" / ".." / "root", clock=clock) as store:
                session = await store.create_session(SESSION)
                assert (session.session_id, session.clock) == (SESSION, clock)
                with LocalStore(tmp_path / "root") as plain:
                    assert store.root == plain.root
            async with AsyncLocalStore.over(LocalStore(tmp_path / "root")) as store:
                assert store.root == tmp_path / "root"
            async with AsyncLocalStore.over(InMemoryStore()) as store:
                with pytest.raises(AttributeError, match="InMemoryStore has no root"):
                    store.root  # noqa: B018

        run(main())


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
        """A late short lane is served long before the long ones are empty, even when these could fill all threads."""

        async def main() -> None:
            async with fresh() as store:
                width = store._lanes.width
                sessions = [await store.create_session(f"s{number}") for number in range(width)]
                late = await store.create_session("late")
                holds = [Held() for _ in sessions]
                firsts = await started(*(holding(*pair) for pair in zip(sessions, holds, strict=True)))
                for held in holds:
                    await held.read()
                ended: list[str] = []

                async def noted(session: AsyncSessionStore) -> None:
                    await session.load_session_head()
                    ended.append(session.session_id)

                calls = await started(*(noted(session) for session in sessions for _ in range(50)), noted(late))
                for held in holds:
                    held.go.set()
                await asyncio.gather(*firsts, *calls)
                assert len(ended) == 50 * width + 1
                assert ended.index("late") <= 4 * width

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


class TestOpening:
    def test_is_lazy(self, tmp_path: Path) -> None:
        """Making a store touches nothing; its first call opens it, once."""

        async def main() -> None:
            store = AsyncLocalStore(tmp_path / "root")
            attachments = store.attachments
            assert store.root == tmp_path / "root"
            assert not store.root.exists()
            missing, found = await asyncio.gather(store.open_session(SESSION), attachments.put(b"x", PNG))
            assert missing is None
            assert (await attachments.get(found.id)).data == b"x"
            await store.close()
            async with await AsyncLocalStore.open(str(store.root)) as again:
                assert again.root == store.root
                assert (await again.attachments.get(found.id)).data == b"x"

        run(main())

    def test_happens_where_the_store_was_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A relative root is one of the directory that the process was in then."""
        monkeypatch.chdir(tmp_path)
        store = AsyncLocalStore("root")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")

        async def main() -> None:
            async with store:
                await store.create_session(SESSION)

        run(main())
        assert (tmp_path / "root").is_dir()
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_happens_once(self) -> None:
        """However many calls come first, one of them opens the store."""
        made: list[InMemoryStore] = []

        def make() -> InMemoryStore:
            made.append(InMemoryStore())
            return made[-1]

        async def main() -> None:
            async with Lazy(make) as store:
                await asyncio.gather(*(store.create_session(f"s{number}") for number in range(100)))
                assert len(await store.list_sessions()) == 100
            assert len(made) == 1

        run(main())

    @pytest.mark.parametrize("root", ["", "a\0b", 5, b"bytes", None])
    def test_of_a_bad_root_is_refused(self, root: Any) -> None:
        """What `LocalStore(root)` raises is raised on entering, by `open`, and by the first call."""

        async def main() -> None:
            with pytest.raises(InvalidArgument):
                async with AsyncLocalStore(root):
                    raise AssertionError
            with pytest.raises(InvalidArgument):
                await AsyncLocalStore.open(root)
            assert store_threads() == []
            store = AsyncLocalStore(root)
            with pytest.raises(InvalidArgument):
                await store.list_sessions()
            await store.close()

        run(main())

    def test_may_be_tried_again(self, tmp_path: Path) -> None:
        """A call that could not open the store leaves it to the next one."""
        root = tmp_path / "root"
        root.write_text("in the way")

        async def main() -> None:
            store = AsyncLocalStore(root)
            for _ in range(2):
                with pytest.raises(StoreError):
                    await store.create_session(SESSION)
            root.unlink()
            await store.create_session(SESSION)
            await store.close()

        run(main())


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
            command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")

        async def main() -> None:
            async with AsyncLocalStore(tmp_path / "root") as store:
                session = await store.open_session(SESSION)
                assert session is not None
                assert await texts(session) == [str(number) for number in range(50)]

        run(main())


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
