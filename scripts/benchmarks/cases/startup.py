"""What importing the package costs beyond a bare interpreter, and how soon the command answers."""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
import time
from pathlib import Path

from ..figures import Bench, Figure

_ROOT = Path(__file__).resolve().parents[3]


def _spawned(command: list[str]) -> float:
    """Milliseconds until the command has ended."""
    start = time.perf_counter_ns()
    subprocess.run(command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter_ns() - start) / 1e6


def _medians(commands: dict[str, list[str]], repeats: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats + 1):
        for name, command in commands.items():
            taken[name].append(_spawned(command))
    # The first of each compiled what was not compiled yet.
    return {name: statistics.median(each[1:]) for name, each in taken.items()}


def run(bench: Bench) -> list[Figure]:
    commands = {
        "bare": [sys.executable, "-c", "pass"],
        "import": [sys.executable, "-c", "import localstore"],
    }
    command = Path(sys.executable).with_name("localstore")
    if command.exists() and importlib.util.find_spec("localstore.cli") is not None:
        commands["help"] = [str(command), "--help"]
    found = _medians(commands, bench.scale.of(15, 7))
    figures = [Figure("import localstore, beyond a bare interpreter", "ms", found["import"] - found["bare"], goal=60.0)]
    if "help" in found:
        figures.append(Figure("localstore --help", "ms", found["help"], goal=150.0))
    return figures
