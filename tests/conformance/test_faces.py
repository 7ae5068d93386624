"""What holds for our own stores beyond the suite: how they are opened, and that their faces are one."""

import inspect
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import localstore
from localstore import (
    AsyncLocalStore,
    AsyncSessionStore,
    Durability,
    InMemoryStore,
    InvalidArgument,
    LocalStore,
    RecordSchemaVersionError,
    RuntimePersistence,
    SessionNotFound,
    SessionStore,
    StoreClosed,
    StoreError,
)
from localstore.testing import PNG, ManualClock, SteppedClock, append_commit, next_input, node, owner, wake
from localstore.testing.cases.sessions import ODD_IDS


def names(kind: type) -> dict[str, list[str]]:
    return {
        name: list(inspect.signature(member).parameters)
        for name, member in inspect.getmembers(kind, callable)
        if name[0] != "_"
    }


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def opened(store: LocalStore, session_id: str = "s") -> Any:
    """A handle of a session that exists."""
    return store.open_session(session_id)


class TestFaces:
    def test_of_both_stores_are_one(self):
        assert names(InMemoryStore) == names(LocalStore)

    def test_of_the_async_twins_have_the_same_names_and_parameters(self):
        twins = names(AsyncLocalStore)
        for name, parameters in names(LocalStore).items():
            assert twins[name] == parameters
            assert inspect.iscoroutinefunction(getattr(AsyncLocalStore, name)), name

    def test_of_handles_have_the_names_and_parameters_of_the_base(self):
        for name, parameters in names(RuntimePersistence).items():
            for kind in (SessionStore, AsyncSessionStore):
                assert names(kind)[name] == parameters
            assert inspect.iscoroutinefunction(getattr(AsyncSessionStore, name)), name

    def test_are_public(self):
        stores = {"LocalStore", "SessionStore", "AsyncLocalStore", "AsyncSessionStore", "InMemoryStore"}
        assert stores | {"SessionScopedAttachmentStore", "Durability", "StoreClosed"} <= set(localstore.__all__)
        with InMemoryStore() as store:
            assert isinstance(store.create_session("s"), SessionStore)

    @pytest.mark.parametrize("store", [InMemoryStore, LocalStore], ids=["memory", "files"])
    def test_take_the_machine_s_time_by_default(self, store: Any, tmp_path: Path):
        arguments = [tmp_path / "root"] if store is LocalStore else []
        before = time.time_ns() // 1_000_000
        with store(*arguments) as stored:
            lease = stored.create_session("s").try_claim_session_execution_lease("s", owner(), 1000).acquired()
        after = time.time_ns() // 1_000_000
        assert before <= lease.claimed_at_epoch_ms <= after

    @pytest.mark.parametrize("store", [InMemoryStore, LocalStore], ids=["memory", "files"])
    def test_close_at_the_end_of_a_with(self, store: Any, tmp_path: Path):
        arguments = [tmp_path / "root"] if store is LocalStore else []
        with store(*arguments) as stored:
            session = stored.create_session("s")
        with pytest.raises(StoreClosed):
            session.load_session_meta()
        with pytest.raises(StoreClosed):
            stored.list_sessions()


class TestRoot:
    def test_is_made_with_its_parents(self, tmp_path: Path):
        with LocalStore(tmp_path / "a" / "b") as store:
            assert store.root == tmp_path / "a" / "b"
        assert (tmp_path / "a" / "b" / "store.json").is_file()

    @pytest.mark.parametrize("kind", [str, Path, lambda path: path.as_posix()], ids=["str", "Path", "posix"])
    def test_is_any_path(self, tmp_path: Path, kind: Callable[[Path], Any]):
        with LocalStore(kind(tmp_path / "root")) as store:
            store.create_session("s")
        assert Path(store.root) == tmp_path / "root"

    def test_may_be_opened_twice_at_once(self, tmp_path: Path):
        with LocalStore(tmp_path) as one, LocalStore(tmp_path) as two:
            one.create_session("s").enqueue_pending_turn_input(next_input("hello", session_id="s"))
            assert len(opened(two).list_pending_turn_inputs("s")) == 1
            two.delete_session("s")
            assert one.open_session("s") is None

    def test_may_be_moved(self, tmp_path: Path):
        with LocalStore(tmp_path / "here", clock=ManualClock()) as store:
            store.create_session("s", cwd="/somewhere")
        (tmp_path / "here").rename(tmp_path / "there")
        with LocalStore(tmp_path / "there") as store:
            assert opened(store).load_session_meta().cwd == "/somewhere"

    def test_that_is_a_file_is_refused_and_left_alone(self, tmp_path: Path):
        (tmp_path / "file").write_bytes(b"precious")
        with pytest.raises(StoreError):
            LocalStore(tmp_path / "file")
        with pytest.raises(StoreError):
            LocalStore(tmp_path / "file" / "below")
        assert contents(tmp_path) == {"file": b"precious"}

    @pytest.mark.damaged
    @pytest.mark.parametrize("version", [10**6, "one", None, "missing"], ids=["newer", "text", "null", "missing"])
    def test_of_another_format_is_refused_and_left_alone(self, tmp_path: Path, version: object):
        with LocalStore(tmp_path) as store:
            store.create_session("s")
        record = tmp_path / "store.json"
        facts = json.loads(record.read_text())
        (key,) = [name for name in facts if "version" in name]
        if version == "missing":
            del facts[key]
        else:
            facts[key] = version
        record.write_text(json.dumps(facts))
        before = contents(tmp_path)
        with pytest.raises(RecordSchemaVersionError):
            LocalStore(tmp_path)
        assert contents(tmp_path) == before

    @pytest.mark.parametrize("root", ["", None, 7, b"bytes", "a\0b", ["x"]])
    def test_of_another_kind_is_an_invalid_argument(self, root: Any):
        with pytest.raises(InvalidArgument):
            LocalStore(root)

    @pytest.mark.parametrize("durability", ["most", None, 1])
    def test_takes_a_known_durability_alone(self, tmp_path: Path, durability: Any):
        with pytest.raises(InvalidArgument):
            LocalStore(tmp_path / "root", durability=durability)
        assert not (tmp_path / "root").exists()

    @pytest.mark.parametrize("first", list(Durability))
    def test_may_change_its_durability(self, tmp_path: Path, first: Durability):
        (second,) = set(Durability) - {first}
        with LocalStore(tmp_path, durability=first) as store:
            store.create_session("s").enqueue_pending_turn_input(next_input("hello", session_id="s"))
        with LocalStore(tmp_path, durability=second) as store:
            assert len(opened(store).list_pending_turn_inputs("s")) == 1


class TestFoldersOfSessions:
    def test_are_inside_the_root_whatever_the_id(self, tmp_path: Path):
        root = tmp_path / "deep" / "down" / "root"
        with LocalStore(root) as store:
            for session_id in ODD_IDS.values():
                store.create_session(session_id)
        outside = [
            path for path in tmp_path.rglob("*") if root not in (path, *path.parents) and path not in root.parents
        ]
        assert outside == []
        folders = os.listdir(root / "sessions")
        assert len({folder.casefold() for folder in folders}) == len(folders) == len(ODD_IDS)

    def test_go_with_the_session(self, tmp_path: Path):
        with LocalStore(tmp_path) as store:
            store.create_session("s").enqueue_pending_turn_input(next_input("secret words", session_id="s"))
            store.delete_session("s")
            assert list((tmp_path / "sessions").iterdir()) == []
            store.purge(everything=True)
        assert b"secret words" not in b"".join(data for data in contents(tmp_path).values() if data)

    def test_are_not_made_again_by_a_writer_that_was_paused_across_the_delete(self, tmp_path: Path):
        with LocalStore(tmp_path) as one, LocalStore(tmp_path) as two:
            session: Any = one.create_session("s")
            fence = session.try_claim_session_execution_lease("s", owner(), 60_000).acquired().fence()
            session.commit_runtime_state(append_commit(node("a"), session_id="s").with_session_execution_lease(fence))
            two.delete_session("s")
            before = contents(tmp_path)
            with pytest.raises(SessionNotFound):
                session.commit_runtime_state(
                    append_commit(node("b", "a"), session_id="s").with_session_execution_lease(fence)
                )
            assert contents(tmp_path) == before
            assert two.list_sessions() == ()


class TestReading:
    def test_leaves_every_byte_as_it_is(self, tmp_path: Path):
        with LocalStore(tmp_path) as store:
            session: Any = store.create_session("s")
            fence = session.try_claim_session_execution_lease("s", owner(), 60_000).acquired().fence()
            session.commit_runtime_state(append_commit(node("a"), session_id="s").with_session_execution_lease(fence))
        before = contents(tmp_path)
        with LocalStore(tmp_path) as store:
            session = opened(store)
            assert session.load_node("a") == node("a")
            assert session.load_session_head().node_count == 1
            assert len(store.list_sessions()) == 1
            assert session.list_pending_turn_inputs("s") == session.list_queued_work("s") == ()
            assert session.list_pending_turn_inputs("nobody") == ()
            assert session.get_session_execution_lease("s") is not None
        assert contents(tmp_path) == before


class TestAClock:
    """What is given as a clock, and what it tells: a fraction that got written would be no record any more."""

    @pytest.mark.parametrize("clock", [5, "now", object(), time.time], ids=["int", "str", "object", "function"])
    def test_has_now_ms(self, tmp_path: Path, clock: Any):
        with pytest.raises(InvalidArgument):
            InMemoryStore(clock)
        with pytest.raises(InvalidArgument):
            LocalStore(tmp_path / "root", clock=clock)
        assert not (tmp_path / "root").exists()

    @pytest.mark.parametrize("in_memory", [False, True])
    @pytest.mark.parametrize(
        "told", [1.5, None, "5", True, -1, 2**53, math.nan], ids=["1.5", "None", "str", "True", "-1", "2^53", "nan"]
    )
    def test_that_tells_no_time_is_refused_with_nothing_written(self, tmp_path: Path, told: Any, in_memory: bool):
        clock = ManualClock()
        right = clock.now_ms()
        with InMemoryStore(clock) if in_memory else LocalStore(tmp_path, clock=clock) as store:
            session = store.create_session("s")
            batch = session.enqueue_queued_work(wake(session_id="s"))
            calls: list[Callable[[], object]] = [
                lambda: session.enqueue_queued_work(wake(session_id="s")),
                lambda: session.enqueue_pending_turn_input(next_input("hello", session_id="s")),
                lambda: session.try_claim_session_execution_lease("s", owner(), 1000),
                lambda: store.create_session("t"),
                lambda: store.attachments.put(b"data", PNG),
            ]
            clock.set(told)
            for call in calls:
                with pytest.raises(InvalidArgument):
                    call()
            clock.set(right)
            session.vacuum()
            assert session.list_queued_work("s") == (batch,)
            assert session.list_pending_turn_inputs("s") == ()
            assert session.get_session_execution_lease("s") is None
            assert store.open_session("t") is None

    def test_of_a_boot_is_held_to_it_too(self):
        clock = SteppedClock(boot_ms=1.5)  # type: ignore[arg-type]
        with InMemoryStore(clock) as store, pytest.raises(InvalidArgument):
            store.create_session("s")

    def test_past_the_year_9999_makes_no_session(self):
        clock = ManualClock(253_402_300_800_000)
        with InMemoryStore(clock) as store:
            with pytest.raises(InvalidArgument):
                store.create_session("s")
            clock.advance(-1)
            meta = store.create_session("s").load_session_meta()
            assert meta is not None
            assert meta.created_at == "9999-12-31T23:59:59.999Z"
