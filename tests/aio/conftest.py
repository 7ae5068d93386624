"""Async stores of every kind, and what must hold at the end of each test."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localstore import (
    Durability,
    InMemoryStore,
)
from localstore.aio import (
    AsyncLocalStore,
)
from tests.aio.async_faces import PATIENCE, Fresh, Lazy, complaints, others, store_threads


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """The threads of a test's stores have ended with it, and no loop complained."""
    complaints.clear()
    others.clear()
    others.update(store_threads())
    yield
    gc.collect()
    assert complaints == []
    for thread in store_threads():
        thread.join(PATIENCE)
    assert store_threads() == []


@pytest.fixture(params=["over memory", "memory", "files"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Fresh:
    """Makes empty stores that were not used yet."""
    numbers = itertools.count()
    kinds: dict[str, Callable[[], AsyncLocalStore]] = {
        "over memory": lambda: AsyncLocalStore.over(InMemoryStore()),
        "memory": lambda: Lazy(InMemoryStore),
        "files": lambda: AsyncLocalStore(tmp_path / str(next(numbers)), durability=Durability.PROCESS),
    }
    return kinds[request.param]
