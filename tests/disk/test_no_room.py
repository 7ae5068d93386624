"""A disk that is full: what fails leaves nothing that keeps it full, and a vacuum makes room."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from localstore import BackendError, LocalStore, PendingTurnInput, SessionStore
from localstore.disk import platforms
from localstore.disk.check import check_store
from localstore.testing import next_input, said
from tests.folders import files
from tests.golden.golden_maker import commit

WORDS = "x" * 20_000
COUNT = 12
STAYS = 2


class Disk:
    """Takes so many bytes and no more."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._write = platforms.pwrite
        self.most = 1 << 60

    def used(self) -> int:
        return sum(map(len, files(self._root).values()))

    def leave(self, count: int) -> None:
        self.most = self.used() + count

    def pwrite(self, fd: int, data: memoryview, offset: int) -> int:
        grows = max(0, offset + len(data) - os.fstat(fd).st_size)
        room = max(0, self.most - self.used())
        if grows > room:
            # As a disk does: as much as there is room for, and then nothing.
            if not room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self._write(fd, data[: len(data) - grows + room], offset)
        return self._write(fd, data, offset)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path)
    with mock.patch.object(platforms, "pwrite", disk.pwrite):
        yield disk
        disk.most = 1 << 60


@pytest.fixture
def store(tmp_path: Path, disk: Disk) -> Iterator[LocalStore]:
    with LocalStore(tmp_path / "store") as store:
        yield store


@pytest.fixture
def session(store: LocalStore) -> SessionStore:
    session = store.create_session("a")
    parent = None
    for number in range(COUNT):
        commit(session, said(f"n{number}", parent, WORDS + str(number)))
        parent = f"n{number}"
    return session


def hide_most(session: SessionStore) -> None:
    session.tombstone_nodes([f"n{number}" for number in range(STAYS, COUNT)])


def node_files(tmp_path: Path) -> dict[str, bytes]:
    return {name: raw for name, raw in files(tmp_path).items() if "nodes" in name}


def test_a_fold_for_which_there_is_no_room_leaves_no_part_of_a_file(tmp_path, disk, session):
    session.checkpoint()
    commit(session, said("more", None, WORDS))
    before = node_files(tmp_path)
    disk.leave(5_000)
    with pytest.raises(BackendError, match="free some space"):
        session.checkpoint()
    assert node_files(tmp_path) == before
    disk.leave(1 << 20)
    session.checkpoint()
    assert session.load_node("more") is not None


def test_a_vacuum_for_which_there_is_no_room_leaves_what_was(tmp_path, disk, session, store):
    session.checkpoint()
    hide_most(session)
    store.close()  # at rest, nothing is there that could go
    with LocalStore(tmp_path / "store") as again:
        session = again.open_session("a")
        before = node_files(tmp_path)
        disk.leave(5_000)
        for _ in range(3):
            with pytest.raises(BackendError, match="free some space"):
                session.vacuum()
            assert node_files(tmp_path) == before
        disk.leave(1 << 20)
        assert session.vacuum().removed_node_count == COUNT - STAYS


@pytest.mark.parametrize("room", [0, 5_000])
def test_a_vacuum_makes_room_of_what_is_superseded(tmp_path, disk, session, room):
    session.checkpoint()
    hide_most(session)
    disk.leave(room)
    before = disk.used()
    assert session.vacuum().removed_node_count == COUNT - STAYS
    assert disk.used() < before
    assert check_store(tmp_path / "store").errors == ()
    assert [session.load_node(f"n{number}") is not None for number in range(COUNT)] == [
        number < STAYS for number in range(COUNT)
    ]
    commit(session, said("more", None, "goes on"))


def test_what_fits_is_written_where_there_is_no_room_ahead(tmp_path, disk, store):
    session = store.create_session("b")
    disk.leave(6_000)
    kept: list[PendingTurnInput] = []

    def fill() -> None:
        while True:
            kept.append(session.enqueue_pending_turn_input(next_input(f"text {len(kept)}", session_id="b")))

    with pytest.raises(BackendError, match="free some space"):
        fill()
    assert len(kept) > 3
    assert list(session.list_pending_turn_inputs("b")) == kept
    disk.leave(1 << 20)
    kept.append(session.enqueue_pending_turn_input(next_input("goes on", session_id="b")))
    store.close()
    with LocalStore(tmp_path / "store") as again:
        reopened = again.open_session("b")
        assert reopened is not None
        assert list(reopened.list_pending_turn_inputs("b")) == kept
    assert check_store(tmp_path / "store").errors == ()
