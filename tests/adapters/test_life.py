"""What the adapters have in common: they share a store that is opened by path, and give it back."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localstore import LocalStore, StoreClosed
from localstore.adapters import _stores

ADAPTERS: dict[str, Callable[[Any, Path | LocalStore], Any]] = {
    "adk": lambda module, given: module.LocalStoreSessionService(given),
    "claude_agent_sdk": lambda module, given: module.LocalStoreSessionStore(given),
    "langgraph": lambda module, given: module.LocalStoreSaver(given),
    "openai_agents": lambda module, given: module.LocalStoreSession("s", given),
}


@pytest.fixture(params=ADAPTERS)
def make(request: pytest.FixtureRequest) -> Callable[[Path | LocalStore], Any]:
    """Makes an adapter on a path or a store."""
    try:
        module = importlib.import_module(f"localstore.adapters.{request.param}")
    except ImportError as error:
        pytest.skip(str(error))
    return lambda given: ADAPTERS[request.param](module, given)


def opened() -> list[LocalStore]:
    return [store for store, _ in _stores._opened.values()]


def test_one_that_nobody_refers_to_gives_its_store_back(make, tmp_path: Path) -> None:
    first, second = make(tmp_path / "store"), make(tmp_path / "store")
    [store] = opened()
    store.create_session("x")
    del first
    gc.collect()
    assert opened() == [store]
    assert store.open_session("x") is not None
    del second
    gc.collect()
    assert opened() == []
    with pytest.raises(StoreClosed):
        store.open_session("x")


def test_a_store_that_was_given_is_its_owners_to_close(make, tmp_path: Path) -> None:
    with LocalStore(tmp_path / "store") as store:
        adapter = make(store)
        assert opened() == []
        del adapter
        gc.collect()
        assert store.create_session("x").load_session_meta() is not None
