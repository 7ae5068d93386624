"""The suite itself: nothing of it is forgotten, and a backend that lacks something is told so and not failed."""

import importlib
import inspect
import pickle
import pkgutil
import threading
from typing import Any

import pytest

from localstore import AsyncLocalStore, AttachmentCreateMeta, Clock, InMemoryStore
from localstore.testing import (
    SESSION,
    START_MS,
    Backend,
    Capability,
    LoopThread,
    ManualClock,
    SteppedClock,
    StoreFace,
    cases,
    contract,
    dead_owner,
    durable,
    inline,
    living_owner,
    store_over_async,
    suite,
)
from localstore.testing.cases.world import Conformance, World


def classes() -> dict[str, type]:
    found = {}
    for module in pkgutil.iter_modules(cases.__path__):
        name = f"{cases.__name__}.{module.name}"
        for label, kind in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            if label.startswith("Test") and kind.__module__ == name:
                assert label not in found
                found[label] = kind
    return found


def test_every_class_is_gathered_once():
    gathered = [*inline.__all__, *durable.__all__, *contract.__all__]
    assert sorted(gathered) == sorted(classes())
    assert sorted(suite.__all__) == sorted([*inline.__all__, *durable.__all__])


def test_a_class_needs_a_backend_or_none():
    for name, kind in classes().items():
        assert issubclass(kind, Conformance) == (name not in contract.__all__)


def test_every_test_says_what_must_hold():
    for name, kind in classes().items():
        tests = [member for label, member in inspect.getmembers(kind, inspect.isfunction) if label[:5] == "test_"]
        assert tests, name
        for member in tests:
            assert (member.__doc__ or "").strip().endswith("."), member


class Nothing(Backend):
    capabilities = frozenset()

    def open(self, clock: Clock) -> StoreFace:
        return InMemoryStore(clock)


def test_what_a_backend_lacks_is_skipped_with_a_reason():
    class Needy(Conformance):
        requires = frozenset({Capability.DURABLE, Capability.QUEUED_WORK})

    world = inspect.unwrap(Conformance.world)
    with pytest.raises(pytest.skip.Exception, match="durable, queued_work"):
        next(world(Needy(), Nothing()))


def test_each_test_gets_a_fresh_store_and_ends_with_the_backend_s_check():
    finished = []

    class Watched(Nothing):
        def finish(self, store: StoreFace) -> None:
            finished.append(store)
            super().finish(store)

    made = inspect.unwrap(Conformance.world)(Conformance(), Watched())
    world = next(made)
    assert isinstance(world, World)
    assert world.listed() == [SESSION]
    assert next(made, None) is None
    assert finished == [world.store]


def test_clocks_move_only_when_told():
    clock = ManualClock()
    assert clock.now_ms() == clock.now_ms() == START_MS
    clock.advance(5)
    clock.set(clock.now_ms() + 5)
    assert clock.now_ms() == START_MS + 10
    assert not hasattr(clock, "boot_ms")
    copy = pickle.loads(pickle.dumps(clock))
    clock.advance(1)
    assert copy.now_ms() == START_MS + 10


def test_a_stepped_clock_has_two_hands():
    clock = SteppedClock()
    booted = clock.boot_ms()
    clock.set(START_MS - 1000)
    assert (clock.now_ms(), clock.boot_ms()) == (START_MS - 1000, booted)
    clock.advance(7)
    copy = pickle.loads(pickle.dumps(clock))
    assert (copy.now_ms(), copy.boot_ms()) == (START_MS - 993, booted + 7)


def test_the_dead_are_dead():
    assert dead_owner().is_definitely_dead_for_claimant(living_owner())
    assert not living_owner().is_definitely_dead_for_claimant(living_owner())


def test_an_async_store_looks_synchronous():
    before = threading.active_count()
    thread = LoopThread()
    store = store_over_async(thread, AsyncLocalStore.over(InMemoryStore()))
    session: Any = store.create_session("s")
    assert session.load_session_meta().session_name == "s"
    assert store.open_session("nobody") is None
    assert store.attachments.put(b"data", AttachmentCreateMeta("x")).byte_len == 4
    store.close()
    thread.stop()
    thread.stop()
    assert threading.active_count() == before
