"""A repair takes nothing away: what it cannot make use of is in the quarantine, and what was deleted stays deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from localstore import LocalStore, SessionStore
from localstore.disk.check import check_store
from localstore.disk.repair import repair_store
from localstore.testing import said
from tests.folders import files
from tests.golden.golden_maker import commit


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def folder(root: Path) -> Path:
    """That of a session in two node files, at rest."""
    with LocalStore(root) as store:
        session = store.create_session("a")
        commit(session, said("n1", None, "one"))
        session.checkpoint()
        commit(session, said("n2", "n1", "two"))
    (folder,) = (root / "sessions").iterdir()
    assert len(list((folder / "nodes").iterdir())) > 1
    return folder


def cut(path: Path) -> bytes:
    """The file, cut to what nothing can be read of."""
    path.write_bytes(path.read_bytes()[:40])
    return path.read_bytes()


def opened(store: LocalStore) -> SessionStore:
    session = store.open_session("a")
    assert session is not None
    return session


def test_a_damaged_file_that_no_head_is_left_to_name_is_kept(root: Path, folder: Path) -> None:
    newest = max((folder / "nodes").iterdir(), key=lambda path: b'"n2"' in path.read_bytes())
    bad = [cut(folder / "head.json"), cut(newest)]
    report = repair_store(root)
    assert not newest.exists()
    assert any(action.lost for action in report.actions)
    kept = files(folder / "quarantine").values()
    assert all(any(each.endswith(content) for each in kept) for content in bad)
    assert report.after.errors == ()
    with LocalStore(root) as store:
        assert opened(store).load_node("n1") is not None


@pytest.mark.damaged
@pytest.mark.parametrize("moved", [True, False], ids=["in the trash", "marked"])
def test_a_deleted_session_does_not_come_back(root: Path, folder: Path, moved: bool) -> None:
    with LocalStore(root) as store:
        store.delete_session("a")
        (trashed,) = [path for path in (root / "trash").iterdir() if path.is_dir()]
    if not moved:
        # As a crash leaves it before the folder moves.
        trashed = trashed.rename(folder)
    receipt = (trashed / "receipt.json").read_bytes()
    cut(trashed / "head.json")
    before = files(trashed)
    report = repair_store(root)
    assert [action.kind for action in report.actions] == ["left"]
    assert (trashed / "receipt.json").read_bytes() == receipt
    assert files(trashed) == before
    with LocalStore(root) as store:
        assert store.list_sessions() == ()
        assert [each.session_id for each in store.trash()] == ["a"]
        assert store.restore_session("a").load_node("n2") is not None
    repair_store(root)
    assert check_store(root).errors == ()


@pytest.mark.damaged
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_receipt_of_a_deletion_that_is_lost_is_told(root: Path, folder: Path, how: str) -> None:
    with LocalStore(root) as store:
        store.delete_session("a")
    assert [each.kind for each in check_store(root).findings] == ["deleted"]
    (receipt,) = (root / "trash").glob("*/receipt.json")
    cut(receipt) if how == "cut" else receipt.unlink()
    kinds = {each.kind for each in check_store(root).findings}
    assert kinds == {"deleted", "damaged_receipt" if how == "cut" else "receipt_missing"}
    with LocalStore(root) as store:
        assert store.restore_session("a").load_node("n2") is not None
