"""Workers in processes of their own, and bounded waits for what they do."""

from __future__ import annotations

import multiprocessing
import random
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from localstore import Durability
from tests.processes.judged_worker import work_until_killed

_PRELOADED = ["tests.processes.judged_worker", "tests.processes.single_acts", "filelock", "psutil"]


def context():
    """How processes start: fast, and with nothing of pytest in them, where the system has such a way."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    chosen = multiprocessing.get_context("forkserver")
    chosen.set_forkserver_preload(_PRELOADED)
    return chosen


def wait_until(condition: Callable[[], bool], what: str) -> None:
    never, deadline = threading.Event(), time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"within a minute it was not so that {what}"
        never.wait(0.002)


class Crew:
    """Workers, of which each that is killed is replaced."""

    def __init__(
        self, root: Path, logs: Path, seed: int, count: int, *, upkeep: bool = True, folds: bool = False
    ) -> None:
        self.chance = random.Random(seed)
        self.kills = 0
        self._root, self._logs, self._upkeep, self._folds = root, logs, upkeep, folds
        self._context = context()
        self._born = 0
        self._alive: list[tuple[BaseProcess, Path]] = []
        for _ in range(count):
            self._start()

    def _start(self) -> None:
        name = f"w{self._born}"
        durability = (Durability.PROCESS, Durability.FULL)[self._born % 2]
        log = self._logs / f"{name}.log"
        arguments = (self._root, log, name, self.chance.randrange(1 << 32), durability)
        kinds = (self._upkeep, self._folds)
        process = self._context.Process(target=work_until_killed, args=(*arguments, *kinds))
        process.start()
        self._alive.append((process, log))
        self._born += 1

    def wait(self) -> None:
        """Wait until every worker has begun."""
        for process, log in self._alive:
            _wait_for(process, log)

    def kill_one(self) -> None:
        """Kill a worker that has begun, in the midst of whatever it does, and start another."""
        self._kill(*self._alive.pop(self.chance.randrange(len(self._alive))))
        self._start()

    def _kill(self, process: BaseProcess, log: Path) -> None:
        _wait_for(process, log)
        process.kill()
        process.join(30)
        process.close()
        self.kills += 1

    def end(self) -> None:
        """Kill all."""
        while self._alive:
            self._kill(*self._alive.pop())


def _wait_for(process: BaseProcess, log: Path) -> None:
    wait_until(
        lambda: process.exitcode is not None or (log.exists() and log.stat().st_size > 0), "a worker began its log"
    )
    assert process.exitcode is None, f"a worker ended by itself with {process.exitcode}"
