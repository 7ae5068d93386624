"""A head that is lost together with a node file: an older copy of it never passes for the session."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localstore import CorruptRecord, FullGraph, LocalStore
from localstore.disk.check import check_store
from localstore.disk.repair import repair_store
from localstore.testing import chain
from tests.golden.golden_maker import commit

IDS = ("n1", "n2", "n3", "n4")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with a session at rest, in a node file for each of four nodes."""
    with LocalStore(tmp_path / "store") as store:
        session = store.create_session("a")
        for each in chain(*IDS):
            commit(session, each)
            session.checkpoint()
    return tmp_path / "store"


def behead(root: Path) -> list[Path]:
    """Remove the session's head; the node files that it named, oldest first."""
    (folder,) = (root / "sessions").iterdir()
    head = json.loads((folder / "head.json").read_bytes())
    (folder / "head.json").unlink()
    return [folder / "nodes" / f"{ref['name']}.jsonl" for ref in head["files"]]


def shown(root: Path) -> list[str]:
    with LocalStore(root) as store:
        session = store.open_session("a")
        assert session is not None
        found = session.load_session(FullGraph())
        assert found is not None
        session.checkpoint()
        return [node.node_id for node in found.graph.nodes]


def test_it_is_made_good_where_all_node_files_are_there(root: Path) -> None:
    behead(root)
    assert shown(root) == list(IDS)


@pytest.mark.parametrize("damage", ["ending", "all"])
def test_not_by_an_older_one_where_the_newest_node_file_cannot_be_read(root: Path, damage: str) -> None:
    newest = behead(root)[-1]
    raw = newest.read_bytes()
    newest.write_bytes(raw[:-9] + b"?" * 9 if damage == "ending" else b"?" * len(raw))
    with pytest.raises(CorruptRecord):
        shown(root)
    assert "no_head" in {each.kind for each in check_store(root).errors}
    report = repair_store(root)
    assert report.after.errors == ()
    if damage == "ending":
        assert shown(root) == list(IDS)
    else:
        assert shown(root) == list(IDS[:-1])
        assert any(action.lost for action in report.actions)


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_not_by_an_older_one_where_the_newest_names_a_file_that_is_gone(root: Path, gone: int) -> None:
    behead(root)[gone].unlink()
    with pytest.raises(CorruptRecord):
        shown(root)
    report = repair_store(root)
    assert report.after.errors == ()
    assert any(action.lost for action in report.actions)
    assert shown(root) == [each for each in IDS if each != IDS[gone]]


def test_not_by_that_of_an_earlier_session_of_its_id(root: Path) -> None:
    """It is in what the session inherited, and older than that."""
    with LocalStore(root) as store:
        session = store.open_session("a")
        assert session is not None
        middle = session.fork("b")
        store.delete_session("a")
        commit(middle, *chain("n5"))
        middle.fork("a")
        store.delete_session("b")
        store.purge(everything=True)
    behead(root)[-1].unlink()
    with pytest.raises(CorruptRecord):
        shown(root)
    repair_store(root)


def test_not_by_that_of_when_it_was_in_the_trash(root: Path) -> None:
    """A redaction there leaves a copy that says so, which has all the records."""
    with LocalStore(root) as store:
        store.delete_session("a")
        store.redact("n4", replacement="a name", apply=True)
        for _ in range(2):
            store.restore_session("a")
            store.delete_session("a")
        store.restore_session("a")
    files = behead(root)
    assert [b'"deleted":true' in path.read_bytes() for path in files] == [True, *[False] * (len(files) - 1)]
    files[1].unlink()
    with pytest.raises(CorruptRecord):
        shown(root)
    report = repair_store(root)
    assert report.after.errors == ()
    assert shown(root) == list(IDS)


def test_a_repair_looks_for_it_in_node_files_without_records_too(root: Path) -> None:
    """That of a forked session begins with such a file, which alone has its head."""
    with LocalStore(root) as store:
        session = store.open_session("a")
        assert session is not None
        session.create_branch("a branch")
        session.fork("b")
        store.delete_session("a")
        store.purge(everything=True)
    files = behead(root)
    files[0].unlink()
    report = repair_store(root)
    assert report.after.errors == ()
    assert "node_file_lost" in {action.kind for action in report.actions if action.lost}
    with LocalStore(root) as store:
        found = store.open_session("b")
        assert found is not None
        assert [each.name for each in found.branches()] == ["a branch"]


def test_a_repair_tells_that_something_is_lost_where_no_copy_is_left(root: Path) -> None:
    for path in behead(root):
        path.write_bytes(path.read_bytes().replace(b'"file.head"', b'"file.haed"', 1))
    report = repair_store(root)
    assert report.after.errors == ()
    assert "head_made_good" in {action.kind for action in report.actions if action.lost}
    assert shown(root) == list(IDS)
