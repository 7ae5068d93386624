"""`localstore import` of whole folders: every transcript below, nothing else, and no bad file in the way."""

import shutil
import sys

import orjson
import pytest

from localstore import LocalStore
from localstore.cli import ExitCode
from tests.cli.sample import DEMO, DEMO_ID, claude_line, content, write_lines
from tests.folders import tree

TRAJECTORY = {"history": [{"role": "user", "content": "fix it"}, {"role": "assistant", "content": "done"}], "info": {}}
CODEX = [
    {"timestamp": "2026-01-01T00:00:00Z", "type": "session_meta", "payload": {"id": "codex-1", "cwd": "/home"}},
    {
        "timestamp": "2026-01-01T00:00:01Z",
        "type": "response_item",
        "payload": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
    },
]


@pytest.fixture
def folder(tmp_path):
    """Transcripts of all kinds, deep and not, among other things."""
    top = tmp_path / "projects"
    (top / "a" / "deep").mkdir(parents=True)
    shutil.copy(DEMO, top / "a" / "deep" / "demo.jsonl")
    write_lines(top / "a" / "claude.jsonl", claude_line("u1", None, "hi"), claude_line("u2", "u1", "yes", "assistant"))
    write_lines(top / "codex.jsonl", *CODEX)
    (top / "run.traj").write_bytes(orjson.dumps(TRAJECTORY))
    (top / "list.json").write_bytes(orjson.dumps([{"role": "user", "content": "a message"}]))
    (top / "package.json").write_bytes(b'{"name": "x"}')
    (top / "empty.jsonl").write_bytes(b"")
    (top / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (top / "link.jsonl").symlink_to(DEMO)
    (top / "around").symlink_to(top, target_is_directory=True)
    return top


def by_name(report):
    return {item["file"].rpartition("/")[2]: item for item in report["files"]}


def test_every_transcript_below_it(run, root, folder):
    result = run("import", folder, "--json")
    assert (result.code, result.err) == (ExitCode.OK, "")
    report = result.json
    found = by_name(report)
    formats = {name: item["format"] for name, item in found.items() if item["format"]}
    assert formats == {
        "claude.jsonl": "claude-code",
        "demo.jsonl": "claude-code",
        "codex.jsonl": "codex",
        "run.traj": "swe-agent",
        "list.json": "messages-json",
    }
    skipped = {name: item["skipped"] for name, item in found.items() if item["skipped"]}
    assert set(skipped) == {"package.json", "empty.jsonl", "picture.png", "link.jsonl", "around"}
    assert "symbolic link" in skipped["around"]
    assert "symbolic link" in skipped["link.jsonl"]
    assert "ends in none of" in skipped["picture.png"]
    sums = {name: report[name] for name in report if name.endswith("_count")}
    assert sums == {
        "file_count": 10,
        "imported_count": 5,
        "skipped_count": 5,
        "failed_count": 0,
        "session_count": 5,
        "new_session_count": 5,
        "added_count": 31 + 2 + 2 + 2 + 1,
    }
    with LocalStore(root) as store:
        assert len(store.list_sessions()) == 5
    assert len(content(root, DEMO_ID)["nodes"]) == 31


def test_again_it_adds_only_what_is_new(run, root, folder):
    run("import", folder)
    before = tree(root)
    report = run("import", folder, "--json").json
    assert (report["added_count"], report["new_session_count"], report["imported_count"]) == (0, 0, 5)
    assert tree(root) == before
    with (folder / "a" / "claude.jsonl").open("ab") as file:
        file.write(orjson.dumps(claude_line("u3", "u2", "more")) + b"\n")
    (folder / "b").mkdir()
    write_lines(folder / "b" / "new.jsonl", claude_line("x1", None, "hi", sessionId="another"))
    report = run("import", folder, "--json").json
    assert (report["added_count"], report["new_session_count"], report["imported_count"]) == (2, 1, 6)


def test_a_bad_file_stops_no_other(run, root, folder):
    good = (folder / "a" / "claude.jsonl").read_bytes()
    (folder / "a" / "claude.jsonl").write_bytes(good + b'{"type": "user", "uuid": \n')
    (folder / "0.tar").write_bytes(b"no archive")
    result = run("import", folder, "--json")
    assert result.code == ExitCode.FINDINGS
    report = result.json
    assert [problem["line"] for problem in by_name(report)["claude.jsonl"]["problems"]] == [3]
    assert (report["imported_count"], report["failed_count"]) == (5, 0)
    assert len(content(root, DEMO_ID)["nodes"]) == 31


def test_in_words(run, folder):
    result = run("import", folder)
    assert result.code == ExitCode.OK
    assert result.lines[0].split() == ["SESSION", "FORMAT", "ADDED", "OF", "PROBLEMS", "FILE"]
    assert len([line for line in result.lines if line.startswith("skipped: ")]) == 5
    assert result.lines[-1] == (
        "10 files: 5 imported, 5 skipped, 0 failed; 5 sessions, 5 of them new; 38 entries added"
    )


def test_a_file_that_is_named_twice_is_taken_once(run, folder):
    path = folder / "run.traj"
    report = run("import", path, folder, folder / "a" / ".." / "run.traj", "--json").json
    assert report["file_count"] == 10


def test_a_store_in_the_folder_is_none(run, root, folder):
    run("import", DEMO)
    (root.parent / "projects" / "inside").symlink_to(root)
    report = run("import", root.parent, "--json").json
    skipped = {item["file"]: item["skipped"] for item in report["files"] if item["skipped"]}
    assert skipped[str(root)] == "it is a store; see export and backup"
    assert report["imported_count"] == 5


def test_a_folder_of_nothing(run, tmp_path):
    (tmp_path / "nothing").mkdir()
    result = run("import", tmp_path / "nothing")
    assert (result.code, result.lines[-1]) == (
        ExitCode.OK,
        "0 files: 0 imported, 0 skipped, 0 failed; 0 sessions, 0 of them new; 0 entries added",
    )


def test_progress_is_told_on_a_terminal_alone(run, folder, monkeypatch):
    assert run("import", folder).err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = run("import", folder, "--json")
    assert "files" in result.err
    assert result.json["imported_count"] == 5
