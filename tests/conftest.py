"""Every test that leaves a store under its `tmp_path` ends with the store's own check.

Where there is room for it, these folders are in memory, which takes a quarter of the time that a disk takes; those of
tests that are marked `race` or `crash` are on the disk. `--basetemp` puts all of them where it says.
"""

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from localstore.disk import names
from localstore.disk.check import check_store

# What is drawn at random is the same each time, so that an answer depends on the code alone; `--hypothesis-profile
# default` and the runs at length draw something else each time.
settings.load_profile("ci")

_DEPTH = 3
_MEMORY = Path("/dev/shm")
_ROOM = 2 << 30
"""Bytes that must be free in memory."""
_PLACE = "PYTEST_DEBUG_TEMPROOT"
"""Where pytest makes the folders of tests."""
_ON_DISK = ("race", "crash")
_WORKER = "folders in memory"
_IN_MEMORY = pytest.StashKey[bool]()
_FAILED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    # A worker of pytest-xdist is told its folder by the process that started it, which has decided.
    told = getattr(config, "workerinput", None)
    config.stash[_IN_MEMORY] = _begin_in_memory(config) if told is None else told[_WORKER]


def _begin_in_memory(config: pytest.Config) -> bool:
    is_told = config.getoption("basetemp") is not None or _PLACE in os.environ
    has_room = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM
    if has_room and not is_told:
        os.environ[_PLACE] = str(_MEMORY)
        return True
    return False


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput[_WORKER] = node.config.stash[_IN_MEMORY]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """pytest's own, or one on the disk, which is kept, too, when the test fails."""
    if not request.config.stash[_IN_MEMORY] or not any(map(request.node.get_closest_marker, _ON_DISK)):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix=f"localstore-{tmp_path.name}-")).resolve()
    yield folder
    if not request.node.stash.get(_FAILED, False):
        shutil.rmtree(folder, ignore_errors=True)


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
