"""Following a session: every batch once and in order, woken or not, whoever writes and whatever is folded meanwhile."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localstore import (
    Change,
    ChangeBatch,
    ChangeKind,
    CursorExpired,
    InMemoryStore,
    InvalidArgument,
    LocalStore,
    NextTurn,
    PendingTurnInputDraft,
    SessionNotFound,
    SessionStore,
    StoreClosed,
    TurnInput,
)
from localstore.aio import AsyncLocalStore
from localstore.disk import waking
from localstore.machine import feed
from localstore.store import Store

REPOSITORY = Path(__file__).resolve().parents[1]
FOREVER = 3600.0
PROMPT = 0.02

# Says its words, one a line of its input, and folds or vacuums in between; at `restart` it opens the store anew.
WRITER = """
import sys
from localstore import LocalStore, NextTurn, PendingTurnInputDraft, TurnInput

def opened():
    store = LocalStore(sys.argv[1])
    return store, store.open_session("s")

store, session = opened()
print("ready", flush=True)
for line in sys.stdin:
    word = line.strip()
    if word == "fold":
        session.checkpoint()
    elif word == "vacuum":
        session.vacuum()
    elif word == "restart":
        store.close()
        store, session = opened()
    elif word == "delete":
        store.delete_session("s")
    else:
        session.enqueue_pending_turn_input(PendingTurnInputDraft("s", NextTurn(), TurnInput.text("x"), word))
store.close()
"""


@pytest.fixture(params=["memory", "files"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = InMemoryStore() if request.param == "memory" else LocalStore(tmp_path / "store")
    with made:
        yield made


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """watchdog is not installed."""
    for name in ("watchdog", "watchdog.events", "watchdog.observers"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """watchdog is there, and the system gives no more watches."""
    from watchdog.observers import api

    def refuse(self: api.BaseObserver) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(api.BaseObserver, "on_thread_start", refuse)


def say(session: SessionStore, input_id: str) -> None:
    session.enqueue_pending_turn_input(PendingTurnInputDraft("s", NextTurn(), TurnInput.text("x"), input_id))


def taken(session: SessionStore, count: int, since: str | None = None, poll_s: float = FOREVER) -> list[Change]:
    """The first `count` changes."""
    found: list[Change] = []
    watch = session.watch(since, poll_s=poll_s)
    while len(found) < count:
        found += next(watch).changes
    watch.close()
    return found


@contextmanager
def writer(root: Path, words: Iterable[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that has opened the store, and has been given its words."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WRITER, str(root)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("".join(f"{word}\n" for word in words))
        process.stdin.close()
        yield process
        assert process.wait(60) == 0


def threads() -> set[threading.Thread]:
    return set(threading.enumerate())


class TestInOneProcess:
    def test_gives_what_was_and_then_what_comes(self, store: Store) -> None:
        session = store.create_session("s")
        say(session, "before")
        start = session.changes().cursor
        watch = session.watch()
        batch = next(watch)
        assert [change.ids for change in batch.changes] == [("before",)]
        assert batch.cursor == start
        say(session, "one")
        say(session, "two")
        assert [change.ids for change in next(watch).changes] == [("one",), ("two",)]

    def test_goes_on_behind_a_cursor(self, store: Store) -> None:
        session = store.create_session("s")
        for number in range(5):
            say(session, str(number))
        cursor = session.changes(limit=2).cursor
        assert [change.ids[0] for change in taken(session, 3, cursor)] == ["2", "3", "4"]

    def test_gives_pages_of_a_long_past(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("localstore.watching.PAGE", 2)
        session = store.create_session("s")
        for number in range(5):
            say(session, str(number))
        watch = session.watch()
        assert [len(next(watch).changes) for _ in range(3)] == [2, 2, 1]

    def test_a_write_wakes_it(self, store: Store) -> None:
        session = store.create_session("s")
        start = session.changes().cursor
        looked = threading.Event()
        look = session._news

        def news(since: str | None) -> ChangeBatch:
            batch = look(since)
            looked.set()
            return batch

        session._news = news  # type: ignore[method-assign]
        found: list[Change] = []
        follower = threading.Thread(target=lambda: found.extend(taken(session, 1, start)))
        follower.start()
        assert looked.wait(60)
        say(session, "one")
        follower.join(60)
        assert [change.ids for change in found] == [("one",)]

    @pytest.mark.parametrize("poll_s", [PROMPT, FOREVER])
    def test_ends_when_it_is_told_to(self, store: Store, poll_s: float) -> None:
        session = store.create_session("s")
        say(session, "one")
        stop = threading.Event()
        before = threads()
        got = threading.Event()
        ended = threading.Event()

        def follow() -> None:
            for _ in session.watch(poll_s=poll_s, stop=stop):
                got.set()
            ended.set()

        threading.Thread(target=follow, daemon=True).start()
        assert got.wait(60)
        stop.set()
        assert ended.wait(60)
        assert not list(session.watch(stop=stop))
        for thread in threads() - before:
            thread.join(60)
        assert threads() <= before

    def test_no_thread_stays_behind_one_that_is_left(self, store: Store) -> None:
        session = store.create_session("s")
        say(session, "one")
        before = threads()
        watch = session.watch()
        next(watch)
        watch.close()
        assert threads() <= before

    def test_ends_with_the_session_and_with_the_handle(self, store: Store) -> None:
        session = store.create_session("s")
        say(session, "one")
        watch = session.watch(poll_s=PROMPT)
        next(watch)
        store.delete_session("s")
        with pytest.raises(SessionNotFound):
            next(watch)
        again = store.create_session("s")
        watch = again.watch(poll_s=PROMPT)
        again.close()
        with pytest.raises(StoreClosed):
            next(watch)

    def test_an_old_cursor_says_so(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(feed, "KEPT", 2)
        session = store.create_session("s")
        start = session.changes().cursor
        for number in range(5):
            say(session, str(number))
            session.cancel_pending_turn_input("s", str(number))
        session.vacuum()
        with pytest.raises(CursorExpired, match="too old"):
            next(session.watch(start))
        with pytest.raises(CursorExpired):
            next(session.watch("nonsense"))

    @pytest.mark.parametrize("poll_s", [0, -1.0, float("nan"), float("inf"), True, "1"])
    def test_a_wrong_interval(self, store: Store, poll_s: float) -> None:
        with pytest.raises(InvalidArgument, match="poll_s"):
            store.create_session("s").watch(poll_s=poll_s)

    def test_a_stop_that_cannot_be_asked(self, store: Store) -> None:
        stop: threading.Event = "now"  # type: ignore[assignment]
        with pytest.raises(InvalidArgument, match="stop"):
            store.create_session("s").watch(stop=stop)


WORDS = [word for number in range(60) for word in (f"w{number}", *(("fold", "restart", "vacuum")[number % 9 :][:1]))]
SAID = [word for word in WORDS if word.startswith("w")]


@pytest.mark.race
class TestAnotherProcess:
    def test_every_change_once_and_in_order(self, tmp_path: Path) -> None:
        """Woken by watchdog alone: it would not look again by itself."""
        with LocalStore(tmp_path / "store") as store:
            session = store.create_session("s")
            start = session.changes().cursor
            with writer(tmp_path / "store", WORDS):
                found = taken(session, len(SAID), start)
            assert [change.ids[0] for change in found] == SAID
            assert all(change.kind is ChangeKind.INPUT_ENQUEUED for change in found)
            assert tuple(found) == session.changes(start).changes

    @pytest.mark.parametrize("state", ["deaf", "at_the_limit"])
    def test_the_same_where_nothing_wakes_it(self, tmp_path: Path, state: str, request: pytest.FixtureRequest) -> None:
        request.getfixturevalue(state)
        with LocalStore(tmp_path / "store") as store:
            session = store.create_session("s")
            start = session.changes().cursor
            before = threads()
            with writer(tmp_path / "store", WORDS):
                found = taken(session, len(SAID), start, PROMPT)
            assert [change.ids[0] for change in found] == SAID
            assert threads() <= before

    def test_a_follower_that_starts_over_from_its_last_cursor(self, tmp_path: Path) -> None:
        """As one does that dies after each batch: nothing is missed, nothing is given twice."""
        LocalStore(tmp_path / "store").create_session("s")
        found: list[str] = []
        cursor: str | None = None
        with writer(tmp_path / "store", WORDS):
            while len(found) < len(SAID):
                with LocalStore(tmp_path / "store") as store:
                    session = store.open_session("s")
                    assert session is not None
                    watch = session.watch(cursor)
                    batch = next(watch)
                    watch.close()
                    found += [change.ids[0] for change in batch.changes]
                    cursor = batch.cursor
        assert found == SAID

    def test_several_follow_one(self, tmp_path: Path) -> None:
        with LocalStore(tmp_path / "store") as store:
            session = store.create_session("s")
            found: list[list[Change]] = [[], [], []]
            followers = [
                threading.Thread(target=lambda into=into: into.extend(taken(session, len(SAID)))) for into in found
            ]
            for follower in followers:
                follower.start()
            with writer(tmp_path / "store", WORDS):
                for follower in followers:
                    follower.join(60)
            assert [[change.ids[0] for change in each] for each in found] == [SAID] * 3

    def test_a_session_that_is_deleted_elsewhere(self, tmp_path: Path) -> None:
        with LocalStore(tmp_path / "store") as store:
            session = store.create_session("s")
            watch = session.watch(poll_s=PROMPT)
            with writer(tmp_path / "store", ["w0", "delete"]), pytest.raises(SessionNotFound):
                list(watch)


class TestAsync:
    def test_follows_while_others_write(self, tmp_path: Path) -> None:
        async def main() -> list[str]:
            async with AsyncLocalStore(tmp_path / "store") as store:
                session = await store.create_session("s")
                found: list[str] = []
                watch = session.watch(poll_s=FOREVER)
                async for batch in watch:
                    found += [change.ids[0] for change in batch.changes]
                    if len(found) == len(SAID):
                        break
                await watch.aclose()
                return found

        LocalStore(tmp_path / "store").create_session("s")
        with writer(tmp_path / "store", WORDS):
            assert asyncio.run(main()) == SAID

    @pytest.mark.parametrize("kind", ["files", "memory"])
    def test_takes_no_thread_while_it_waits(self, tmp_path: Path, kind: str) -> None:
        """More followers than the store has threads, and its calls go on."""

        async def main() -> None:
            made = LocalStore(tmp_path / "store") if kind == "files" else InMemoryStore()
            async with AsyncLocalStore.over(made) as store:
                session = await store.create_session("s")
                start = (await session.changes()).cursor
                draft = PendingTurnInputDraft("s", NextTurn(), TurnInput.text("x"), "one")

                async def first() -> Change:
                    watch = session.watch(start, poll_s=PROMPT)
                    try:
                        return (await anext(watch)).changes[0]
                    finally:
                        await watch.aclose()

                followers = [asyncio.create_task(first()) for _ in range(40)]
                await session.load_session_head()
                await session.enqueue_pending_turn_input(draft)
                assert {change.ids for change in await asyncio.gather(*followers)} == {("one",)}

        asyncio.run(main())

    def test_ends_when_it_is_told_to_or_cancelled(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with AsyncLocalStore(tmp_path / "store") as store:
                session = await store.create_session("s")
                stop = asyncio.Event()

                async def all_of_it(stop: asyncio.Event | None) -> int:
                    return sum([len(batch.changes) async for batch in session.watch(poll_s=FOREVER, stop=stop)])

                told, other = asyncio.create_task(all_of_it(stop)), asyncio.create_task(all_of_it(None))
                await session.load_session_head()
                stop.set()
                assert await told == 0
                other.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await other

        before = threads()
        asyncio.run(main())
        for thread in threads() - before:
            thread.join(60)
        assert threads() <= before

    def test_a_closed_store(self, tmp_path: Path) -> None:
        async def main() -> None:
            store = await AsyncLocalStore.open(tmp_path / "store")
            session = await store.create_session("s")
            watch = session.watch(poll_s=PROMPT)
            following = asyncio.create_task(anext(watch))
            await session.load_session_head()
            await store.close()
            with pytest.raises(StoreClosed):
                await following
            with pytest.raises(InvalidArgument, match="poll_s"):
                session.watch(poll_s=0)

        asyncio.run(main())


def test_an_event_for_each_way_a_session_changes(tmp_path: Path) -> None:
    """The ear hears an append, a fold and a move to the trash, and is deaf to reading."""
    with LocalStore(tmp_path / "store") as store:
        session = store.create_session("s")
        heard = threading.Event()
        [folder] = (tmp_path / "store" / "sessions").iterdir()
        end = waking.listen(str(folder), heard.set)
        for change in (lambda: say(session, "one"), session.checkpoint, lambda: say(session, "two")):
            heard.clear()
            change()
            assert heard.wait(60)
        end()
