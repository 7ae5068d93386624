"""`localstore import`: what becomes of files, in words, JSON and exit codes."""

import subprocess
import sys

import orjson
import pytest

from localstore import LeaseOwnerIdentity, LocalStore
from localstore.cli import ExitCode
from localstore.disk import names
from localstore.importers import original_record, read_transcript_file
from localstore.transcripts import put_transcript
from tests.cli.sample import (
    DEMO,
    DEMO_ID,
    REPOSITORY,
    TRANSCRIPTS,
    claude_line,
    content,
    loaded,
    opened,
    usage_of,
    write_lines,
)
from tests.folders import tree


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.name)
def test_a_transcript_comes_back_as_it_was(run, root, path):
    transcript = read_transcript_file(path)
    result = run("import", path, "--json")
    assert result.code == ExitCode.OK
    with LocalStore(root) as store:
        read = loaded(opened(store, transcript.session_id))
    nodes = read.graph.nodes
    assert [node.node_id for node in nodes] == [entry.entry_id for entry in transcript.entries]
    assert [node.parent_node_id for node in nodes] == [entry.parent_id for entry in transcript.entries]
    given = [original_record(entry.payload, transcript.source_format) for entry in transcript.entries]
    assert [original_record(node.payload, transcript.source_format) for node in nodes] == given
    assert read.graph.leaf_node_id == transcript.metadata["leaf_entry_id"]


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.name)
def test_token_usage_is_counted_once(run, root, path):
    run("import", path)
    run("import", path)
    found = content(root, read_transcript_file(path).session_id)
    assert found["usage"] == usage_of(path)
    total = type(found["usage"])()
    for usage in found["ledger"].values():
        total = total.plus(usage)
    assert total == usage_of(path)


def test_the_report_in_words(run):
    result = run("import", DEMO)
    assert result.code == ExitCode.OK
    assert result.err == ""
    [line] = result.lines
    assert f"session {DEMO_ID} (claude-code): 31 of 31 entries added in 4 commits" in line
    assert "62 input and 1,843 output tokens" in line
    assert "nothing new in 31 entries" in run("import", DEMO).out


def test_the_report_as_json(run):
    report = run("import", DEMO, "--json").json
    assert report == {
        "record": "import_report",
        "schema_version": 1,
        "files": [
            {
                "file": str(DEMO),
                "format": "claude-code",
                "session_id": DEMO_ID,
                "entry_count": 31,
                "is_new_session": True,
                "added_count": 31,
                "commit_count": 4,
                "usage": {
                    "input_tokens": 62,
                    "output_tokens": 1843,
                    "cache_read_input_tokens": 198377,
                    "cache_write_input_tokens": 25274,
                    "reasoning_output_tokens": 0,
                },
                "problems": [],
                "error": None,
                "skipped": None,
            }
        ],
        "file_count": 1,
        "imported_count": 1,
        "skipped_count": 0,
        "failed_count": 0,
        "session_count": 1,
        "new_session_count": 1,
        "added_count": 31,
    }
    again = run("import", DEMO, "--json").json["files"][0]
    assert (again["is_new_session"], again["added_count"], again["commit_count"]) == (False, 0, 0)


def test_importing_again_leaves_every_byte(run, root):
    run("import", DEMO)
    before = tree(root)
    assert run("import", DEMO).code == ExitCode.OK
    assert tree(root) == before


def test_a_malformed_line_is_told_by_its_number_and_the_rest_is_kept(run, root, tmp_path):
    path = write_lines(
        tmp_path / "damaged.jsonl",
        claude_line("a", None, "one"),
        b'{"type":"user","uuid":"b","parentUuid":',
        claude_line("c", "a", "three"),
    )
    result = run("import", path)
    assert result.code == ExitCode.FINDINGS
    assert "2 of 2 entries added" in result.out
    assert "damaged.jsonl, line 2: not JSON" in result.err
    assert [node.node_id for node in content(root, "claude-session")["nodes"]] == ["a", "c"]
    problems = run("import", path, "--json").json["files"][0]["problems"]
    assert [problem["line"] for problem in problems] == [2]
    assert problems[0]["excerpt"].startswith('{"type":"user"')


@pytest.mark.parametrize(
    "raw, said",
    [
        (b"", "nothing but white space"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is no known transcript"),
        (b'{"a": 1}', "is no known transcript"),
    ],
)
def test_what_is_no_transcript(run, root, tmp_path, raw, said):
    path = tmp_path / "other"
    path.write_bytes(raw)
    result = run("import", path, DEMO)
    assert result.code == ExitCode.FINDINGS
    assert said in result.err
    assert content(root, DEMO_ID)["nodes"]


def test_a_file_that_cannot_be_read(run, tmp_path):
    result = run("import", tmp_path / "missing", tmp_path / "missing" / "too", DEMO)
    assert result.code == ExitCode.FINDINGS
    assert "missing" in result.err
    assert len(result.err.splitlines()) == 2
    assert "31 of 31 entries added" in result.out


def test_without_a_file_the_command_line_is_wrong(run, root):
    assert run("import").code == ExitCode.USAGE
    assert not root.exists()


def test_missing_times_are_assumed_and_marked(run, root, tmp_path):
    path = tmp_path / "list.json"
    path.write_bytes(
        orjson.dumps(
            [
                {"role": "user", "content": "one"},
                {"role": "assistant", "content": "two", "timestamp": "2026-01-01T00:00:00Z"},
                {"role": "user", "content": "three"},
            ]
        )
    )
    run("import", path)
    [session_id] = [row["session_id"] for row in run("ls", "--json").json["sessions"]]
    nodes = content(root, session_id)["nodes"]
    assert [node.timestamp for node in nodes] == ["2026-01-01T00:00:00Z"] * 3
    assumed = {"import": "messages-json", "source": "list.json", "timestamp": "assumed"}
    told = {"import": "messages-json", "source": "list.json"}
    assert [node.caused_by for node in nodes] == [assumed, told, assumed]


def test_without_any_time_it_is_the_time_of_the_import(run, root, tmp_path):
    path = tmp_path / "list.json"
    path.write_bytes(orjson.dumps([{"role": "user", "content": "one"}]))
    run("import", path)
    [row] = run("ls", "--json").json["sessions"]
    [node] = content(root, row["session_id"])["nodes"]
    assert node.timestamp.startswith("20")
    assert content(root, row["session_id"])["meta"].created_at.startswith("20")


def test_name_model_directory_and_beginning_are_the_transcripts(run, root):
    run("import", DEMO)
    meta = content(root, DEMO_ID)["meta"]
    assert meta.session_name == "Fix day and month swapped in parse_date"
    assert meta.model == "claude-sonnet-4-20250514"
    assert meta.cwd == "/home/dev/invoices"
    assert meta.created_at == "2025-03-12T09:14:04.212Z"


def test_a_session_that_somebody_works_on_is_left_alone(run, root, tmp_path):
    path = write_lines(tmp_path / "grown.jsonl", claude_line("a", None, "one"))
    run("import", path)
    write_lines(path, claude_line("a", None, "one"), claude_line("b", "a", "two"))
    holder = LeaseOwnerIdentity.local_process("somebody", "1")
    with LocalStore(root) as store:
        session = opened(store, "claude-session")
        session.try_claim_session_execution_lease("claude-session", holder, 60_000)
        result = run("import", path, DEMO)
        assert result.code == ExitCode.FINDINGS
        assert "is being worked on by 'somebody'" in result.err
        assert "31 of 31 entries added" in result.out
        assert session.load_node("b") is None
        lease = session.get_session_execution_lease("claude-session")
        assert lease is not None
        session.release_session_execution_lease(lease.completion())
    assert run("import", path).code == ExitCode.OK


@pytest.mark.race
def test_two_imports_of_one_file_at_once_add_it_once(root, tmp_path):
    arguments = [sys.executable, "-m", "localstore.cli", "--root", str(root), "import", str(DEMO)]
    together = [subprocess.Popen(arguments, cwd=REPOSITORY, stderr=subprocess.PIPE) for _ in range(4)]
    told = [(process.communicate()[1], process.returncode) for process in together]
    for said, code in told:
        assert code == ExitCode.OK or (code == ExitCode.FINDINGS and b"is being worked on" in said), said
    assert ExitCode.OK in [code for _, code in told]
    alone = tmp_path / "alone"
    subprocess.run([*arguments[:4], str(alone), *arguments[5:]], cwd=REPOSITORY, check=True)
    found = content(root, DEMO_ID)
    assert found == content(alone, DEMO_ID)


@pytest.mark.crash
def test_an_import_that_was_killed_goes_on_where_it_stopped(run, root, tmp_path):
    # The commit of the third turn is the process's last act.
    code = f"""
import os
from localstore import LocalStore, SessionStore
from localstore.importers import read_transcript_file
from localstore.transcripts import put_transcript

committed = []
commit = SessionStore.commit_runtime_state

def commit_and_die(self, given):
    result = commit(self, given)
    committed.append(result)
    if len(committed) == 3:
        os._exit(9)
    return result

SessionStore.commit_runtime_state = commit_and_die
transcript = read_transcript_file({str(DEMO)!r})
put_transcript(LocalStore({str(root)!r}), transcript, {DEMO.name!r})
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 9
    assert 0 < len(content(root, DEMO_ID)["nodes"]) < 31
    report = run("import", DEMO, "--json").json["files"][0]
    assert (report["commit_count"], report["error"]) == (1, None)
    alone = tmp_path / "alone"
    with LocalStore(alone) as store:
        put_transcript(store, read_transcript_file(DEMO), DEMO.name)
    assert content(root, DEMO_ID) == content(alone, DEMO_ID)


def test_the_store_is_made_where_there_is_none(run, root):
    run("import", DEMO)
    assert root.is_dir()
    assert not [path for path in root.rglob("*") if names.parse_journal(path.name) is not None]


def test_no_store_is_made_for_what_is_refused(run, root, tmp_path):
    assert run("import", DEMO).code == ExitCode.OK
    archive, damaged, nested = tmp_path / "session.tar", tmp_path / "damaged.tar", tmp_path / "a" / "b"
    assert run("export", DEMO_ID, "-o", archive).code == ExitCode.OK
    raw = bytearray(archive.read_bytes())
    raw[len(raw) // 2] ^= 1
    damaged.write_bytes(raw)
    other = tmp_path / "other.txt"
    other.write_bytes(b"nothing of the kind")
    for arguments in ((damaged,), (other,), (tmp_path / "missing",), (tmp_path / "folder",)):
        (tmp_path / "folder").mkdir(exist_ok=True)
        result = run("--root", nested, "import", *arguments)
        assert result.code == (ExitCode.FINDINGS if arguments[0].name != "folder" else ExitCode.OK)
        assert not nested.parent.exists()
    result = run("--root", nested, "import", damaged, archive)
    assert (result.code, result.err.count("are not what was exported")) == (ExitCode.FINDINGS, 1)
    assert content(nested, DEMO_ID) == content(root, DEMO_ID)
