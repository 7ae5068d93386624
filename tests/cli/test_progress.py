"""What takes long says how far it is: on a terminal's standard error, and nowhere else."""

import sys

import pytest

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
]


@pytest.fixture
def two(run, session):
    """Two sessions, as there is no progress in one."""
    assert run("import", DEMO).code == ExitCode.OK


@pytest.mark.parametrize(("arguments", "what"), LONG, ids=lambda each: each[0] if isinstance(each, tuple) else None)
def test_on_a_terminal_alone(run, two, tmp_path, monkeypatch, arguments, what):
    given = [each.replace("{folder}", str(tmp_path)) for each in arguments]
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    drawn = run(*given, "--json")
    assert drawn.code == ExitCode.OK
    assert what in drawn.err
    assert "\x1b" in drawn.err
    assert "\x1b" not in drawn.out
    monkeypatch.undo()
    again = [each.replace("session.tar", "again.tar") for each in given]
    piped = run(*again, "--json")
    assert (piped.code, piped.err) == (ExitCode.OK, "")
    assert piped.json["record"] == drawn.json["record"]
