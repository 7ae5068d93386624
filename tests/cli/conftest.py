"""A store in a temporary folder, and the command run on it as a shell would."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from localstore import LocalStore, SessionStore
from localstore.cli import main
from tests.cli.sample import REPOSITORY


@dataclass(frozen=True)
class Run:
    """What a run of the command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the store of the test is, or will be."""
    return tmp_path / "store"


@pytest.fixture
def run(root: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Runs the command on the store in this process."""

    def run(*arguments: str | Path) -> Run:
        capsys.readouterr()
        code = main(["--root", str(root), *map(str, arguments)])
        printed = capsys.readouterr()
        return Run(code, printed.out, printed.err)

    return run


@pytest.fixture
def shell(root: Path) -> Callable[..., Run]:
    """Runs the command in a process of its own, with pipes for its output."""

    def shell(*arguments: str | Path, **environment: str) -> Run:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "localstore.cli", *map(str, arguments)],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONUTF8": "1", **environment},
            capture_output=True,
            check=False,
        )
        return Run(done.returncode, done.stdout.decode(), done.stderr.decode())

    return shell


@pytest.fixture
def store(root: Path) -> Iterator[LocalStore]:
    with LocalStore(root) as opened:
        yield opened


@pytest.fixture
def session(store: LocalStore) -> SessionStore:
    return store.create_session("session-1", session_name="A session", model="a-model", cwd="/somewhere")
