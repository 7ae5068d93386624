"""Stores of released formats stay readable, with exactly what was in them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
import pytest

from localstore import LocalStore, UnsupportedRecordSchemaVersion
from localstore.disk import lines, names
from localstore.disk.check import check_store
from localstore.disk.factlines import CODES, decode_fact
from localstore.disk.head import NodeFileRef, seal_head, unseal_head
from localstore.disk.nodewriter import NodeFileBytes
from localstore.machine.encoding import dump
from localstore.testing import SteppedClock, said
from tests.folders import files
from tests.golden.golden_maker import BOOT, EXPECTED, ID, PICTURE, commit, content
from tests.later_release import LATER, is_marked, mark, sealed_anew

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


def used(root: Path) -> None:
    """Every session is committed to, renamed, folded and vacuumed."""
    clock = SteppedClock()
    clock.advance(10 * 3_600_000)
    with LocalStore(root, clock=clock) as store:
        for row in store.list_sessions():
            session = store.open_session(row.session_id)
            assert session is not None
            meta = session.load_session_meta()
            assert meta is not None
            session.save_session_meta(replace(meta, model="another"))
            commit(session, said("more", None, "and more"))
            commit(session, said("most", "more", "and most"))
            session.tombstone_nodes(("more",))
            session.checkpoint()
            session.vacuum()


def test_unknown_fields_of_files_survive_their_rewrite(copied: Path) -> None:
    """Heads and metadata are written anew, and the store's own file and waiting entries are left as they are."""
    paths = [
        path for path in copied.rglob("*.json") if not {"trash", "attachments"} & set(path.relative_to(copied).parts)
    ]
    paths = [path for path in paths if path.name != "lease.json"]
    assert {"store.json", "meta.json", "head.json"} <= {path.name for path in paths}
    for path in paths:
        path.write_bytes(sealed_anew(path.read_bytes(), mark))
    used(copied)
    for path in paths:
        record = orjson.loads(path.read_bytes())
        assert is_marked(record), path
        assert path.name != "meta.json" or record["model"] == "another"
        assert path.name != "head.json" or record["revision"] > 0
    assert check_store(copied).errors == ()


def test_unknown_fields_of_records_in_a_head_survive(copied: Path) -> None:
    for path in (copied / "sessions").glob("*/head.json"):

        def mark_inside(head: dict[str, Any]) -> None:
            mark(head["meta"])
            mark(head.setdefault("config", {}))
            for row in head.get("ledger", []):
                mark(row)
                mark(row["usage"])

        path.write_bytes(sealed_anew(path.read_bytes(), mark_inside))
    before = {path: orjson.loads(path.read_bytes()) for path in (copied / "sessions").glob("*/head.json")}
    used(copied)
    for path, was in before.items():
        head = orjson.loads(path.read_bytes())
        assert is_marked(head["meta"])
        assert is_marked(orjson.loads(path.with_name("meta.json").read_bytes()))
        assert is_marked(head["config"])
        kept = {
            (row["source"], row["model"])
            for row in head.get("ledger", [])
            if is_marked(row) and is_marked(row["usage"])
        }
        assert kept == {(row["source"], row["model"]) for row in was.get("ledger", [])}


def test_unknown_fields_of_lines_survive_a_vacuum(copied: Path) -> None:
    kinds = set()
    for folder in (copied / "sessions").iterdir():
        kinds |= mark_lines(folder)
    assert {"node", "commit", "value"} <= kinds
    before = lines_of(copied)
    used(copied)
    after = lines_of(copied)
    # A node that is hidden in some of these stores is what the vacuum is for.
    assert {key[1] for key in before if key not in after} <= {"node n4"}
    assert {key[1].split()[0] for key in after} == {"node", "commit", "value"}
    assert check_store(copied).errors == ()


def mark_lines(folder: Path) -> set[str]:
    """Mark each line of the session's node files, which get other names, and the head other references."""
    head = unseal_head((folder / "head.json").read_bytes(), "")
    refs: list[NodeFileRef] = []
    kinds = set()
    for ref in head.files:
        path = folder / "nodes" / names.node_file(ref.name)
        made = NodeFileBytes()
        for line in path.read_bytes().splitlines():
            record = orjson.loads(line)
            if record["kind"].startswith("file."):
                continue
            kinds.add(record["kind"])
            fact = decode_fact(line, str(path), 0, lambda name: (folder / "blobs" / name).read_bytes())
            # Before what stands last, the payload or the value.
            body = b"{" + line[lines.BODY_AT :]
            place = body.index(b",")
            place = body.index(b",", place + 1) if b'"size":' in body[:30] else place
            made.add(body[:place] + b"," + orjson.dumps(LATER)[1:-1] + body[place:], CODES[type(fact)], fact.keys())
        path.unlink()
        own = NodeFileRef("", 0, ref.first_seq, ref.last_seq)
        sha, raw = made.finish(dump(replace(head, files=(*refs, own))))
        path.with_name(names.node_file(sha)).write_bytes(raw)
        refs.append(replace(own, name=sha, size=len(raw)))
    (folder / "head.json").write_bytes(seal_head(replace(head, files=tuple(refs))))
    return kinds


def lines_of(root: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The marked lines that a vacuum keeps, by session and key."""
    found = {}
    for path in sorted((root / "sessions").glob("*/nodes/*")):
        for line in path.read_bytes().splitlines():
            record = orjson.loads(line)
            name = {"node": "node_id", "commit": "revision", "value": "ref"}.get(record["kind"])
            if name is not None and is_marked(record):
                found[path.parent.parent.name, f"{record['kind']} {record[name]}"] = record
    return found


def test_unknown_fields_survive_a_redaction_and_are_told_where_they_match(copied: Path) -> None:
    for folder in (copied / "sessions").iterdir():
        mark_lines(folder)
        for name in ("head.json", "meta.json"):
            path = folder / name
            path.write_bytes(sealed_anew(path.read_bytes(), mark))
    before = lines_of(copied)
    clock = SteppedClock()
    clock.advance(10 * 3_600_000)
    with LocalStore(copied, clock=clock) as store:
        told = store.redact("e", replacement="*", apply=True)
    kept = lines_of(copied).keys() | {key for key in before if key[1] == "node n4"}
    nodes = {key for key in before if key[1].startswith("node")}
    assert kept >= nodes
    left = [
        {place.id for place in each.left if "later release" in place.reason}
        for each in told.sessions
        if each.deleted_at_ms is None
    ]
    assert all(each >= {"head.json", "meta.json"} for each in left)
    found = {ident.removeprefix("n:") for each in left for ident in each if ident.startswith("n:")}
    assert found == {key[1].removeprefix("node ") for key in nodes}
    for folder in (copied / "sessions").iterdir():
        assert is_marked(orjson.loads((folder / "meta.json").read_bytes()))
        assert is_marked(orjson.loads((folder / "head.json").read_bytes()))
