"""A worker, seen from outside: a process that is asked for turns, and killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar

from .protocol import Started, TakeTurn, decode, encode

M = TypeVar("M")

REPOSITORY = Path(__file__).resolve().parents[2]


class WorkerFailed(Exception):
    """A worker ended without being killed; what it had to say is on the standard error."""


class WorkerProcess:
    """A worker under way. Leaving the `with` block leaves no process behind."""

    def __init__(self, root: Path, transcript: Path, name: str) -> None:
        arguments = [sys.executable, "-m", "scripts.demo_agent.worker", str(root), str(transcript), name]
        self.name = name
        self._process = subprocess.Popen(
            arguments, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.pid = self._process.pid
        try:
            self.started = self.hear(Started)
        except BaseException:
            self.end()
            raise

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        return stdin, stdout

    def ask(self, wanted: TakeTurn) -> None:
        """Ask for a turn."""
        self._pipes()[0].write(encode(wanted))

    def hear(self, kind: type[M]) -> M:
        """The worker's next message."""
        line = self._pipes()[1].readline()
        if not line:
            raise WorkerFailed(f"{self.name} (process {self.pid}) ended with {self._process.wait()}")
        return decode(line, kind)

    def kill(self) -> None:
        """SIGKILL: the process gets no chance to do anything any more."""
        self._process.kill()
        self.end()

    def finish(self) -> None:
        """Let the worker release its lease and close the store, and wait for its end."""
        self._pipes()[0].close()
        if self._process.wait() != 0:
            raise WorkerFailed(f"{self.name} (process {self.pid}) ended with {self._process.returncode}")
        self.end()

    def end(self) -> None:
        """See to it that nothing of the process is left."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in self._pipes():
            pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
