"""Python programs as child processes: started together, killed in the midst, and what they said until then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 100
"""Seconds after which a child is given up."""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """A child that runs `program`; it has a line to say and a line to hear."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


def together(program: str, arguments: Sequence[Sequence[object]]) -> list[str]:
    """What children print that begin when all are ready: each says "ready" and waits for a line."""
    children = [start(program, *each) for each in arguments]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == "ready"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    outputs = [child.communicate(timeout=PATIENCE)[0] for child in children]
    assert [child.returncode for child in children] == [0] * len(children)
    return outputs


def killed_after(program: str, lines: int, *arguments: object) -> list[str]:
    """The lines that a child has said when it is killed, with SIGKILL, after it said so many."""
    child = start(program, *arguments)
    assert child.stdout is not None
    said = [child.stdout.readline().strip() for _ in range(lines)]
    child.send_signal(signal.SIGKILL)
    # What was on its way in the pipe was said too; a last line without its end was not.
    said += child.stdout.read().split("\n")[:-1]
    assert child.wait(PATIENCE) == -signal.SIGKILL
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            stream.close()
    return said


def finished(program: str, *arguments: object) -> list[str]:
    """The lines that a child has said by its end, which is a good one."""
    child = start(program, *arguments)
    output = child.communicate(timeout=PATIENCE)[0]
    assert child.returncode == 0
    return output.splitlines()


def bytes_on_disk(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
