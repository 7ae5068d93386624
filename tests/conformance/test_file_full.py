"""The store on files, Durability.FULL."""

from pathlib import Path

import pytest

from localstore import Durability
from localstore.testing.suite import *  # noqa: F403
from tests.conformance.files import Files


@pytest.fixture
def backend(tmp_path: Path) -> Files:
    return Files(tmp_path / "store", Durability.FULL)
