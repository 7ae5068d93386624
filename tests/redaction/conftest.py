"""Each behaviour is judged on both stores, in memory and on files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from localstore import InMemoryStore, LocalStore
from localstore.testing import ManualClock
from tests.history.living import Living


@pytest.fixture(params=["memory", "files"])
def live(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Living]:
    """A store with one session, on a clock that stands still."""
    clock = ManualClock()
    store = InMemoryStore(clock) if request.param == "memory" else LocalStore(tmp_path / "store", clock=clock)
    living = Living(store, clock)
    yield living
    living.store.close()


@pytest.fixture
def on_files(tmp_path: Path) -> Iterator[Living]:
    """The same on files alone, for what only files have."""
    clock = ManualClock()
    living = Living(LocalStore(tmp_path / "store", clock=clock), clock)
    yield living
    living.store.close()
