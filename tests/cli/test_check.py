"""`localstore check`: nothing found, something found, and what is said of it."""

import re

import pytest

from localstore import BackendError, LocalStore
from localstore.cli import ExitCode
from localstore.disk import names
from localstore.disk.check import check_store
from localstore.disk.head import unseal_head
from localstore.disk.system import System, system
from tests.cli.sample import DEMO
from tests.folders import tree

FINDING_FIELDS = {"severity", "kind", "path", "session_id", "offset", "node_id", "message", "remedy"}


@pytest.fixture
def damaged(tmp_path):
    """A store with one flipped byte in a node file."""
    root = tmp_path / "damaged"
    from localstore.cli import main

    assert main(["--root", str(root), "import", str(DEMO)]) == ExitCode.OK
    [node_file] = [path for path in root.rglob("*") if names.parse_node_file(path.name) is not None]
    raw = bytearray(node_file.read_bytes())
    raw[2000] ^= 1
    node_file.write_bytes(raw)
    return root


def test_a_sound_store(run, session):
    result = run("check")
    assert (result.code, result.err) == (ExitCode.OK, "")
    [line] = result.lines
    assert line.startswith("no findings; checked 1 sessions, 0 nodes, ")


def test_a_sound_store_as_json(run, root, session):
    result = run("check", "--json")
    assert result.code == ExitCode.OK
    told = result.json
    checked = told.pop("checked")
    assert told == {
        "record": "check_report",
        "schema_version": 1,
        "root": str(root),
        "complete": True,
        "findings": [],
    }
    assert checked["sessions"] == 1
    assert checked["files"] > 0
    assert checked["bytes"] > 0


@pytest.mark.damaged
def test_damage_is_found_told_and_left_alone(run, damaged):
    before = tree(damaged)
    result = run("--root", damaged, "check")
    assert result.code == ExitCode.FINDINGS
    assert any(re.match(rf"error: {names.SESSIONS}/.*{names.NODES}/.*, byte [0-9]+: ", line) for line in result.lines)
    assert re.match(r"error: [0-9]+", result.lines[-1])
    report = run("--root", damaged, "check", "--json")
    assert report.code == ExitCode.FINDINGS
    assert report.json["findings"]
    for finding in report.json["findings"]:
        assert set(finding) == FINDING_FIELDS
        assert finding["message"]
        assert finding["remedy"]
    [line] = [found for found in report.json["findings"] if found["node_id"] is not None]
    assert line["severity"] == "error"
    assert 0 < line["offset"] <= 2000
    assert tree(damaged) == before


def test_repair_makes_good_what_a_copy_proves(run, root, session):
    session.close()
    (head,) = root.glob(f"{names.SESSIONS}/*/{names.HEAD}")
    damaged = head.read_bytes().replace(b'"folded_seq":', b'"folded_sex":')
    head.write_bytes(damaged)
    assert run("check").code == ExitCode.FINDINGS
    result = run("check", "--repair")
    assert result.code == ExitCode.OK
    assert result.lines[0].startswith(f"done: {head.relative_to(root)}: ")
    assert damaged in [kept.read_bytes() for kept in head.parent.glob(f"{names.QUARANTINE}/*")]
    assert unseal_head(head.read_bytes(), str(head)).session_id == session.session_id
    assert run("check").code == ExitCode.OK
    assert run("check", "--repair").lines[0] == "nothing to repair"


def test_repair_sets_aside_and_tells_what_is_lost(run, damaged):
    files = tree(damaged)
    result = run("--root", damaged, "check", "--repair", "--json")
    assert result.code == ExitCode.FINDINGS
    report = result.json
    assert report["record"] == "repair_report"
    assert report["lost"] is True
    assert report["before"]["findings"]
    assert [each["severity"] for each in report["after"]["findings"]].count("error") == 0
    for action in report["actions"]:
        assert set(action) == {"kind", "path", "message", "session_id", "kept", "lost"}
    kept = [action["kept"] for action in report["actions"] if action["kept"] is not None]
    assert kept
    kept_bytes = [(damaged / path).read_bytes().partition(b"\n")[2] for path in kept]
    assert any(content in files.values() for content in kept_bytes)
    assert run("--root", damaged, "ls").code == ExitCode.OK


def test_repair_of_nothing(run, tmp_path):
    result = run("--root", tmp_path / "empty", "check", "--repair")
    assert (result.code, result.out) == (ExitCode.NOT_FOUND, "")
    assert not (tmp_path / "empty").exists()


def test_a_store_that_is_open_and_in_use_is_sound(run, session):
    from localstore.testing.builders import next_input, wake

    session.enqueue_pending_turn_input(next_input("hello"))
    session.enqueue_queued_work(wake())
    report = run("check", "--json")
    assert report.code == ExitCode.OK
    # Files that people look at may still follow what was just written.
    assert {finding["severity"] for finding in report.json["findings"]} <= {"info"}


def test_a_closed_store_is_sound(run, root):
    with LocalStore(root) as store:
        store.create_session("s")
    assert run("check").code == ExitCode.OK


def test_what_the_disk_refuses_to_show_is_no_damage(session, root):
    [meta] = root.glob("sessions/*/meta.json")

    class Refuses(System):
        def stat(self, path):
            if path == str(meta):
                raise BackendError(f"cannot examine {path}: Input/output error")
            return super().stat(path)

    with system.installed(Refuses()):
        report = check_store(root)
    assert [(each.kind, each.severity.value) for each in report.findings] == [("unreadable", "warning")]
    assert not report.complete
