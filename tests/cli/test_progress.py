"""What takes long says how far it is: on a terminal's standard error, and nowhere else."""

import sys

import pytest

from localstore import InvalidArgument
from localstore.cli import ExitCode
from tests.cli.sample import DEMO

LONG = [
    (("check",), "sessions"),
    (("vacuum", "--all"), "sessions"),
    (("gc", "--all"), "sessions"),
    (("search", "the"), "sessions"),
    (("export", "session-1", "--output", "{folder}/session.tar"), "exporting"),
    (("backup", "{folder}/backup"), "backing up"),
    (("redact", "nowhere to be found"), "looking"),
    (("redact", "nowhere to be found", "--apply"), "redacting"),
    (("du",), "sessions"),
    (("check", "--repair"), "sessions"),
]


@pytest.fixture
def two(run, session):
    """Two sessions, as there is no progress in one."""
    assert run("import", DEMO).code == ExitCode.OK


@pytest.mark.parametrize(("arguments", "what"), LONG, ids=[f"{each[0]} {each[-1]}" for each, _ in LONG])
def test_on_a_terminal_alone(run, two, tmp_path, monkeypatch, arguments, what):
    given = [each.replace("{folder}", str(tmp_path)) for each in arguments]
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    drawn = run(*given, "--json")
    assert drawn.code == ExitCode.OK
    assert what in drawn.err
    assert "100%" in drawn.err
    assert "\x1b" in drawn.err
    assert "\x1b" not in drawn.out
    monkeypatch.undo()
    again = [each.replace("session.tar", "again.tar") for each in given]
    piped = run(*again, "--json")
    assert (piped.code, piped.err) == (ExitCode.OK, "")
    assert piped.json["record"] == drawn.json["record"]


@pytest.mark.parametrize("work", ["export", "backup", "redact", "redact one"])
def test_the_library_tells_how_far_it_is(run, two, store, tmp_path, work):
    store.create_session("gone")
    store.delete_session("gone")
    told = []

    def tell(done, total):
        told.append((done, total))

    if work == "export":
        info = store.export_session("session-1", tmp_path / "session.tar", tell=tell)
        assert 0 < told[-1][1] <= 2 * info.size_bytes
    elif work == "backup":
        store.backup(tmp_path / "backup", tell=tell)
        assert told[-1][1] == 2
    elif work == "redact":
        store.redact("nowhere", tell=tell)
        assert told[-1][1] == 3
    else:
        store.redact("nowhere", session_ids=["session-1"], tell=tell)
        assert told[-1][1] == 1
    assert told == sorted(told)
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]


def test_nothing_but_a_call_is_told(store, tmp_path):
    with pytest.raises(InvalidArgument, match="tell must be something to call, not int"):
        store.backup(tmp_path / "backup", tell=3)
