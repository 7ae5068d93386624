"""Examples as modules, to be run in the process of the test."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

from tests.adapters.adapter_processes import REPOSITORY


@pytest.fixture
def load_example() -> Callable[[str], Any]:
    """Gives a module of `scripts/examples` by its name."""

    def load(name: str) -> Any:
        spec = importlib.util.spec_from_file_location(name, REPOSITORY / "scripts" / "examples" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
