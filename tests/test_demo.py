"""The demonstration, run to its end with real processes and real kills: what is in the store then, and what it says."""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import psutil
import pytest

from localstore import ActivePath, LocalStore
from localstore.disk import names
from localstore.importers import read_transcript_file
from scripts.demo_agent.__main__ import BUNDLED, demonstrate, main
from scripts.demo_agent.director import killing_turns
from scripts.demo_agent.recording import Cause, record
from tests.cli.sample import TRANSCRIPTS, loaded, opened

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The bundled session, played once for all tests that look at what came of it."""
    root = tmp_path_factory.mktemp("demo") / "store"
    return demonstrate(BUNDLED, root)


def judge(outcome, transcript):
    """Fails unless the store has the recording, whole and once, and both workers were really killed."""
    assert outcome.judgement
    assert all(holds for holds, _ in outcome.judgement), outcome.judgement
    assert outcome.check_exit_code == 0
    assert outcome.is_good
    assert len(outcome.killed_pids) == 2
    assert outcome.taken_from_pids == outcome.killed_pids
    assert not any(psutil.pid_exists(pid) for pid in outcome.killed_pids)
    assert outcome.fencing_tokens == [1, 2, 3]
    assert all(remaining > 0 for remaining in outcome.remaining_ms)
    recording = record(transcript)
    before, after = killing_turns(recording.turns)
    assert outcome.replayed_turns == [after]
    assert sorted(outcome.tries) == sorted([*range(1, len(recording.turns) + 1), before, after])


def test_the_bundled_session(played):
    judge(played, read_transcript_file(BUNDLED))


def test_what_is_in_the_store(played):
    transcript = read_transcript_file(BUNDLED)
    with LocalStore(played.root) as store:
        [summary] = store.list_sessions()
        session = opened(store, summary.session_id)
        full, path = loaded(session), loaded(session, ActivePath())
        assert session.list_pending_turn_inputs(summary.session_id) == ()
        assert session.list_queued_work(summary.session_id) == ()
        assert session.get_session_execution_lease(summary.session_id) is None
    assert summary.session_id == transcript.session_id
    assert summary.session_name == "Fix day and month swapped in parse_date"
    assert [node.payload for node in full.graph.nodes] == [entry.payload for entry in transcript.entries]
    assert full.head_revision == 12
    assert len(path.graph.nodes) == 26
    assert sum(row.usage.output_tokens for row in full.token_ledger) == 1843
    assert path.checkpoint.turn_state.turn_index == 12
    assert path.checkpoint.turn_state.token_usage.output_tokens == 1843


def test_at_rest_each_node_file_is_named_by_its_sha256(played):
    files = [path for path in played.root.rglob("*") if names.parse_node_file(path.name) is not None]
    assert files
    for path in files:
        sha = subprocess.run(
            [sys.executable, "-c", "import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"],
            input=path.read_bytes(),
            capture_output=True,
            check=True,
        )
        assert names.node_file(sha.stdout.decode().strip()) == path.name


def test_turns_of_the_bundled_session():
    recording = record(read_transcript_file(BUNDLED))
    causes = [turn.cause for turn in recording.turns]
    assert causes.count(Cause.INPUT) == 4
    assert causes.count(Cause.WORK) == 8
    assert [len(turn.results) for turn in recording.turns if len(turn.results) > 1] == [2]
    assert sum(len(turn.entries) for turn in recording.turns) == 31
    assert [turn.number for turn in recording.turns] == list(range(1, 13))


@pytest.mark.parametrize("count", range(1, 40))
def test_the_kills_are_in_turns_that_there_are(count):
    turns = record(read_transcript_file(BUNDLED)).turns
    many = [turns[number % len(turns)] for number in range(count)]
    renumbered = [type(turn)(number, turn.cause, 0, turn.entries) for number, turn in enumerate(many, 1)]
    before, after = killing_turns(renumbered)
    assert 1 <= before <= after <= count
    assert before < after or count == 1


@pytest.mark.parametrize("path", TRANSCRIPTS[1:], ids=lambda path: path.name)
def test_recorded_sessions_of_every_kind(path, tmp_path):
    judge(demonstrate(path, tmp_path / "store"), read_transcript_file(path))


def test_a_session_of_one_turn(tmp_path):
    path = tmp_path / "short.json"
    path.write_bytes(orjson.dumps([{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]))
    outcome = demonstrate(path, tmp_path / "store")
    judge(outcome, read_transcript_file(path))
    assert outcome.tries == [1, 1, 1]


def test_a_long_session(tmp_path):
    messages = [
        {"role": "user" if number % 2 == 0 else "assistant", "content": f"message {number}"} for number in range(120)
    ]
    path = tmp_path / "long.json"
    path.write_bytes(orjson.dumps(messages))
    judge(demonstrate(path, tmp_path / "store"), read_transcript_file(path))


def test_the_command_twice_without_a_terminal(tmp_path):
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "scripts.demo_agent"],
            cwd=REPOSITORY,
            env={**os.environ, "TMPDIR": str(tmp_path), "TEMP": str(tmp_path), "TMP": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        told = done.stdout.decode()
        assert (done.returncode, done.stderr) == (0, b""), told
        assert "\x1b" not in told
        assert told.count("kill -9 ") == 2
        flowing = " ".join(told.split())
        assert flowing.count("is dead beyond doubt") == 2
        assert "adds nothing, and gives the answer that got lost" in flowing
        assert "$ localstore check\nno findings; checked 1 sessions, 31 nodes, " in told
        assert "NO " not in told
        assert list(tmp_path.iterdir()) == []


def test_the_store_is_kept_on_demand(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("DEMO_CALLED_FROM", str(BUNDLED.parent))
    assert main(["--keep", BUNDLED.name]) == 0
    [folder] = tmp_path.iterdir()
    assert f"The store was in {folder / 'store'}\nand is kept" in capsys.readouterr().out
    with LocalStore(folder / "store") as store:
        assert len(store.list_sessions()) == 1


@pytest.mark.parametrize("raw", [None, b"", b"no transcript", b"[]"])
def test_what_cannot_be_played(raw, tmp_path, monkeypatch, capsys):
    path = tmp_path / "file"
    if raw is not None:
        path.write_bytes(raw)
    kept = tmp_path / "kept"
    kept.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(kept))
    assert main([str(path)]) == 2
    assert capsys.readouterr().err.startswith("demo: ")
    assert list(kept.iterdir()) == []


def test_the_script_is_run_by_sh_and_names_the_module():
    script = (REPOSITORY / "scripts" / "demo").read_text()
    assert script.startswith("#!/bin/sh\n")
    assert '-m scripts.demo_agent "$@"' in script
    assert os.access(REPOSITORY / "scripts" / "demo", os.X_OK)
