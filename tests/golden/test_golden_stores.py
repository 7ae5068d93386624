"""Stores of released formats stay readable, with exactly what was in them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
import pytest

from localstore import LocalStore, UnsupportedRecordSchemaVersion
from localstore.disk import lines, names
from localstore.disk.check import check_store
from localstore.disk.head import seal_head, unseal_head
from localstore.testing import SteppedClock, said
from tests.folders import files
from tests.golden.golden_maker import BOOT, EXPECTED, ID, PICTURE, commit, content

FORMATS = sorted(path for path in Path(__file__).parent.glob("v*") if path.is_dir())
STORES = [path for each in FORMATS for path in sorted(each.iterdir()) if path.is_dir()]
NAMES = [f"{path.parent.name}-{path.name}" for path in STORES]
SEALED = {"store.json": "store", "head.json": "head"}


@pytest.fixture(params=STORES, ids=NAMES)
def golden(request) -> Path:
    return request.param


@pytest.fixture
def copied(golden: Path, tmp_path: Path) -> Path:
    """A copy, as after a clone: names, bytes, and not the modes that the store had."""
    return Path(shutil.copytree(golden, tmp_path / "store", copy_function=shutil.copyfile))


def is_within(expected: Any, found: Any) -> bool:
    """Whether it is the same, but for fields that a later release knows in addition."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return all(key in found and is_within(value, found[key]) for key, value in expected.items())
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(is_within, expected, found))
    return type(expected) is type(found) and expected == found


def test_there_are_stores_of_the_first_format() -> None:
    assert set(NAMES) >= {"v1-at_rest", "v1-live", "v1-whole"}


@pytest.mark.parametrize("boot", [BOOT, "f" * 32], ids=["same boot", "another boot"])
def test_what_was_in_it_is_read(golden: Path, copied: Path, boot: str) -> None:
    expected = orjson.loads(golden.with_name(f"{golden.name}.{EXPECTED}").read_bytes())
    another = mock.patch("localstore.liveness.boot_id", return_value=boot)
    with another, LocalStore(copied, clock=SteppedClock()) as store:
        found = orjson.loads(orjson.dumps(content(store)))
    for session_id, parts in expected.pop("sessions").items():
        for name, value in parts.items():
            # What was held in another boot may be free in this one.
            if boot == BOOT or name not in {"lease", "inputs", "pending work"}:
                assert is_within(value, found["sessions"][session_id][name]), (session_id, name)
    assert is_within(expected, found)


def test_it_checks_clean(copied: Path) -> None:
    report = check_store(copied)
    assert report.errors == ()
    assert report.complete


def test_whoever_only_reads_leaves_every_byte_as_it_is(copied: Path) -> None:
    before = files(copied)
    with LocalStore(copied, clock=SteppedClock()) as store:
        content(store)
        for row in store.list_sessions():
            assert store.open_session(row.session_id) is not None
        check_store(copied)
    assert files(copied) == before


def test_it_is_written_on(copied: Path) -> None:
    clock = SteppedClock()
    clock.advance(10 * 3_600_000)
    with LocalStore(copied, clock=clock) as store:
        session = store.open_session(ID)
        assert session is not None
        commit(session, said("more", None, "and more"))
        session.vacuum()
    with LocalStore(copied, clock=clock) as store:
        session = store.open_session(ID)
        assert session is not None
        assert session.load_node("more") is not None
        assert session.load_node("n1") is not None


def test_attachments_are_what_was_put(copied: Path) -> None:
    with LocalStore(copied) as store:
        for path in (copied / "attachments").rglob("*"):
            if names.is_sha256(path.name):
                assert store.attachments.get(path.name).data == PICTURE


def sealed_anew(raw: bytes, change) -> bytes:
    """The file with other fields, and the checksum that is right for them."""
    fields = orjson.loads(raw)
    del fields["sum"]
    change(fields)
    return lines.encode_line(orjson.dumps(fields))


@pytest.mark.damaged
@pytest.mark.parametrize("name", sorted(SEALED))
def test_a_newer_format_is_refused_and_nothing_written(copied: Path, name: str) -> None:
    paths = [path for path in copied.rglob(name) if "trash" not in path.parts]
    for path in paths:
        path.write_bytes(sealed_anew(path.read_bytes(), lambda fields: fields.update(schema_version=2, later=[1])))
    before = files(copied)
    with pytest.raises(UnsupportedRecordSchemaVersion) as caught:
        use(copied)
    assert (caught.value.actual, caught.value.expected) == (2, 1)
    assert caught.value.record_kind == SEALED[name]
    assert files(copied) == before


def use(root: Path) -> None:
    with LocalStore(root) as store:
        session = store.open_session(ID)
        assert session is not None
        commit(session, said("more", None, "and more"))


def test_unknown_fields_of_a_head_survive_a_rewrite(copied: Path) -> None:
    later = {"later": {"deep": [1, None, "é"]}, "flag": True}
    found = sorted((copied / "sessions").glob("*/head.json"))
    for path in found:
        head, unknown = unseal_head(path.read_bytes(), str(path))
        assert unknown == {}
        path.write_bytes(seal_head(head, later))
    clock = SteppedClock()
    clock.advance(10 * 3_600_000)
    with LocalStore(copied, clock=clock) as store:
        for row in store.list_sessions():
            session = store.open_session(row.session_id)
            assert session is not None
            commit(session, said("more", None, "and more"))
            session.checkpoint()
            session.vacuum()
    for path in found:
        head, unknown = unseal_head(path.read_bytes(), str(path))
        assert unknown == later
        assert head.revision > 0
    assert found
