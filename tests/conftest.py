"""Every test that leaves a store under its `tmp_path` ends with the store's own check."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from localstore.disk import names
from localstore.disk.check import check_store

_DEPTH = 3


@pytest.fixture(autouse=True)
def sound_stores(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the test left is sound, unless it is marked `damaged`. A store that is not is kept, beside `tmp_path`."""
    if "tmp_path" not in request.fixturenames:
        yield
        return
    tmp_path = request.getfixturevalue("tmp_path")
    yield
    if request.node.get_closest_marker("damaged") is not None:
        return
    for root in store_roots(tmp_path):
        report = check_store(root)
        if report.errors:
            kept = Path(f"{tmp_path}-kept")
            shutil.copytree(root, kept, symlinks=True, dirs_exist_ok=True)
            found = "\n".join(f"{each.kind} {each.path} {each.offset}: {each.message}" for each in report.errors)
            pytest.fail(f"the test left a store with errors, kept in {kept}:\n{found}", pytrace=False)


@pytest.fixture
def checked_root(tmp_path: Path) -> Path:
    """A place for a store that is checked when the test ends."""
    return tmp_path / "store"


def store_roots(folder: Path) -> Iterator[Path]:
    """The stores in a folder, and in the folders in it."""
    for where, folders, files in os.walk(folder):
        path = Path(where)
        if names.STORE in files:
            yield path
            folders.clear()
        elif len(path.relative_to(folder).parts) >= _DEPTH:
            folders.clear()
