"""The store on files, Durability.PROCESS; what each test leaves is read once more from a store opened anew."""

from pathlib import Path

import pytest

from localstore import Durability
from localstore.testing.suite import *  # noqa: F403
from tests.conformance.files import ReopenedFiles


@pytest.fixture
def backend(tmp_path: Path) -> ReopenedFiles:
    return ReopenedFiles(tmp_path / "store", Durability.PROCESS)
