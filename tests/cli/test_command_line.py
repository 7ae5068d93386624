"""What all commands have in common: which store, help, exit codes, plain output, and what is not imported."""

import os
import re
import subprocess
import sys

import pytest

from localstore import LocalStore, UnsupportedRecordSchemaVersion
from localstore.cli import ExitCode, main
from localstore.disk import names
from localstore.testing.builders import next_input
from tests.cli.sample import DEMO, REPOSITORY, commands
from tests.folders import tree

COMMANDS = commands()
LOOKING: list[tuple[str, ...]] = [
    ("ls",),
    ("show", "session-1"),
    ("tree", "session-1"),
    ("log", "session-1"),
    ("branches", "session-1"),
    ("queue", "session-1"),
    ("lease", "session-1"),
    ("changes", "session-1"),
    ("tail", "session-1"),
    ("du",),
    ("doctor",),
    ("trash",),
    ("prune", "--max-sessions", "0"),
    ("check",),
    ("search", "needle"),
    ("redact", "needle"),
]
TO_A_PIPE: list[tuple[str, ...]] = [
    ("export", "session-1", "--format", form, "-o", "-") for form in ("markdown", "messages")
]
"""They look as well, and have no --json, since what they print is the file."""
WRITING: list[tuple[str, ...]] = [
    ("enqueue", "session-1", "needle"),
    ("vacuum", "--all"),
    ("gc", "--all", "--attachments", "0s"),
    ("redact", "needle", "--apply"),
    ("import", str(DEMO)),
    ("rm", "session-1"),
]


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands():
    looking = [
        "branches",
        "changes",
        "check",
        "doctor",
        "du",
        "export",
        "lease",
        "log",
        "ls",
        "queue",
        "search",
        "show",
        "tail",
        "torture",
        "trash",
        "tree",
    ]
    working = [
        "backup",
        "branch",
        "cancel",
        "enqueue",
        "fork",
        "gc",
        "import",
        "prune",
        "purge",
        "redact",
        "restore",
        "rewind",
        "rm",
        "undo",
        "vacuum",
    ]
    assert sorted(looking + working) == COMMANDS


def test_help_names_every_command_and_the_exit_codes(run):
    result = run("--help")
    assert result.code == ExitCode.OK
    for command in COMMANDS:
        assert f"  {command} " in result.out
    for code in ExitCode:
        assert f"  {code.value}  " in result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_an_example_in_its_help(run, command):
    for asked in ("--help", "-h"):
        result = run(command, asked)
        assert result.code == ExitCode.OK
        assert f"  Example:\n    localstore {command}" in result.out
        assert "--json" in result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_for_a_terminal_says_the_same(run, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "200")
    plain = run(command, "--help").out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    drawn = " ".join(re.sub("\x1b\\[[0-9;]*m", "", run(command, "--help").out).split())
    examples = plain[plain.index("Example:") :].split("\n\n")[0].splitlines()[1:]
    assert examples
    for example in examples:
        assert " ".join(example.split()) in drawn


@pytest.mark.parametrize(
    "arguments",
    [(), ("--nope",), ("nope",), ("ls", "--nope"), ("show",), ("show", "a", "b"), ("show", "a", "--last", "x")],
)
def test_a_wrong_command_line(run, root, arguments):
    result = run(*arguments)
    assert result.code == ExitCode.USAGE
    assert result.out + result.err != ""
    assert not root.exists()


@pytest.mark.parametrize("arguments", LOOKING + TO_A_PIPE)
def test_looking_makes_no_store(run, root, arguments):
    result = run(*arguments)
    assert result.code == ExitCode.NOT_FOUND
    assert f"there is no store at {root}" in result.err
    assert not root.exists()


@pytest.mark.parametrize("arguments", LOOKING + TO_A_PIPE)
def test_looking_leaves_every_byte(run, root, session, arguments):
    session.enqueue_pending_turn_input(next_input("a needle"))
    session.checkpoint()  # at once, what the store would do a moment later
    before = tree(root)
    assert run(*arguments).code == ExitCode.OK
    if arguments not in TO_A_PIPE:
        assert run(*arguments, "--json").code == ExitCode.OK
    assert tree(root) == before


@pytest.mark.parametrize("arguments", LOOKING + TO_A_PIPE + WRITING)
def test_a_newer_store_is_refused_and_left_alone(run, root, arguments):
    with LocalStore(root) as store:
        store.create_session("session-1").enqueue_pending_turn_input(next_input("a needle"))
    path = root / names.STORE
    path.write_bytes(path.read_bytes().replace(b'"schema_version":1', b'"schema_version":99'))
    before = tree(root)
    result = run(*arguments)
    assert result.code == ExitCode.REFUSED
    assert str(UnsupportedRecordSchemaVersion("store", 99, 1)) in result.err
    assert tree(root) == before
    path.write_bytes(path.read_bytes().replace(b'"schema_version":99', b'"schema_version":1'))


def test_the_root_is_taken_from_the_environment(shell, root, tmp_path):
    assert shell("import", DEMO, LOCALSTORE_ROOT=str(root)).code == ExitCode.OK
    assert len(shell("ls", "--json", LOCALSTORE_ROOT=str(root)).json["sessions"]) == 1
    other = tmp_path / "other"
    assert shell("--root", other, "ls", LOCALSTORE_ROOT=str(root)).code == ExitCode.NOT_FOUND


@pytest.mark.skipif(sys.platform != "linux", reason="where the user's own folder is, each platform has its own say")
def test_the_default_root_is_the_users_own(shell, tmp_path):
    result = shell("ls", XDG_DATA_HOME=str(tmp_path / "data"), LOCALSTORE_ROOT="")
    assert result.code == ExitCode.NOT_FOUND
    assert f"there is no store at {tmp_path / 'data' / 'localstore'};" in result.err


def test_output_to_a_pipe_is_plain(shell, root, session):
    for arguments in [("--help",), *LOOKING, ("nope",)]:
        result = shell("--root", root, *arguments, FORCE_COLOR="", TERM="xterm-256color")
        assert "\x1b" not in result.out + result.err


def test_a_reader_that_goes_away_ends_the_command(root, session):
    listing = [sys.executable, "-m", "localstore.cli", "--root", str(root), "ls"]
    with subprocess.Popen(listing, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_output_that_the_terminal_cannot_show(shell, root, store):
    store.create_session("s", session_name="Grüße \N{SNOWMAN}")
    result = shell("--root", root, "ls", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert result.code == ExitCode.OK
    assert "Gr\\xfc\\xdfe \\u2603" in result.out
    told = shell("--root", root, "ls", "--json", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert told.json["sessions"][0]["session_name"] == "Grüße \N{SNOWMAN}"


@pytest.mark.parametrize("missing", ["typer", "rich", "platformdirs"])
def test_without_the_extra_the_command_says_how_to_install_it(missing, tmp_path):
    code = f"""
import sys
sys.modules[{missing!r}] = None
from localstore.cli import main
sys.exit(main(["ls"]))
"""
    done = python(code, XDG_DATA_HOME=str(tmp_path), LOCALSTORE_ROOT="")
    assert done.returncode == ExitCode.REFUSED
    assert done.stderr == (
        f"localstore: the command needs {missing}, which is not installed;"
        " install it with: pip install 'localstore[cli]'\n"
    )


def test_the_library_imports_nothing_of_the_extra():
    code = """
import localstore, sys
print({"typer", "rich", "platformdirs"} & set(sys.modules))
"""
    assert python(code).stdout == "set()\n"


def test_help_imports_nothing_that_it_does_not_need():
    code = """
import sys
import localstore
before = set(sys.modules)
from localstore.cli import main
main(["--help"])
new = set(sys.modules) - before
heavy = {name for name in new if name.partition(".")[0] in {"rich", "platformdirs", "psutil", "filelock"}}
ours = {name for name in new if name.startswith("localstore.") and not name.startswith("localstore.cli")}
ours -= {"localstore.contract", "localstore.contract.errors"}  # what a refusal is caught by
assert not heavy | ours, heavy | ours
"""
    done = python(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_runs_as_a_module_and_by_its_entry_point():
    assert main(["--help"]) == ExitCode.OK
    scripts = (REPOSITORY / "pyproject.toml").read_text()
    assert 'localstore = "localstore.cli:main"' in scripts
    done = subprocess.run(
        [sys.executable, "-m", "localstore.cli", "nope"], cwd=REPOSITORY, capture_output=True, check=False
    )
    assert done.returncode == ExitCode.USAGE
