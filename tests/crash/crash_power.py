"""Real power cuts: a loop-mounted ext4 with a journal, which is shut down under a process that works on it."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from localstore import Durability
from tests.crash.crash_oracle import History
from tests.crash.crash_recovery import NEXT_BOOT, Judge
from tests.crash.crash_settings import ROOT_NAME, Setting
from tests.crash.crash_visits import wrong
from tests.crash.crash_workload import told_owners

_SHUTDOWN: Final = 0x8004587D  # FS_IOC_SHUTDOWN
_HOW: Final = {"the journal is lost": 2, "the journal is written": 1, "everything is written": 0}
_SIZE: Final = 96 * 1024 * 1024


class Unavailable(Exception):
    """There can be no power cuts here; it says why."""


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{command[0]}: {error}") from error
    if done.returncode:
        raise Unavailable(f"{' '.join(command)}: {done.stderr.strip()}")


class Machine:
    """A file system of its own, that can lose its power."""

    def __init__(self, image: Path, where: Path) -> None:
        self._image = image
        self.where = where

    def start(self) -> None:
        """Mount it; what its journal has is carried out."""
        _run("mount", "-o", "loop", str(self._image), str(self.where))

    def stop(self) -> None:
        """Unmount it, shut down or not."""
        _run("umount", str(self.where))

    def cut(self, how: int) -> None:
        """From now on nothing reaches the disk."""
        import fcntl

        fd = os.open(self.where, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", how))
        except OSError as error:
            raise Unavailable(f"FS_IOC_SHUTDOWN: {error}") from error
        finally:
            os.close(fd)


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """A machine with its disk in an image in `folder`; `Unavailable` where there can be none."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise Unavailable("only root on Linux mounts file systems")
    missing = [tool for tool in ("mkfs.ext4", "mount", "umount") if shutil.which(tool) is None]
    if missing:
        raise Unavailable(f"there is no {', '.join(missing)}")
    image, where = folder / "disk.img", folder / "disk"
    where.mkdir()
    with image.open("wb") as file:
        file.truncate(_SIZE)
    _run("mkfs.ext4", "-q", "-F", "-O", "has_journal", str(image))
    made = Machine(image, where)
    made.start()
    try:
        made.cut(0)
        made.stop()
        made.start()
        yield made
    finally:
        subprocess.run(["umount", "-l", str(where)], capture_output=True, check=False)


def cut_under_load(
    there: Machine, acks: Path, number: int, rng: random.Random, history: History, states: str
) -> tuple[str, list[str]]:
    """One round: a process makes the calls of the script, the power is cut, and the disk is mounted anew.

    Returns what was done, and what was wrong then.
    """
    durability = rng.choice(list(Durability))
    setting = Setting(
        durability, fold_bytes=rng.choice((2_000, 20_000, 1 << 20)), fan_in=3, grace_s=rng.choice((-1, 60))
    )
    base = there.where / str(number)
    base.mkdir()
    os.sync()
    last = rng.randrange(len(history.steps))
    how, flag = rng.choice([*_HOW.items()] + [("the journal is lost", 2)] * 4)
    acknowledged, answered = _work(there, base, acks, setting, last, rng.random() * 0.004, flag)
    there.stop()
    there.start()
    begun = min(answered + 1, len(history.steps))
    judge = Judge(setting, states)
    found = judge.open(str(base / ROOT_NAME), NEXT_BOOT)
    name = history.steps[begun - 1].name
    what = f"round {number}, {durability}, power cut after call {acknowledged}, in call {begun} ({name}), {how}"
    return what, list(wrong(found, history, acknowledged, begun, durability, what))


def _work(
    there: Machine, base: Path, acks: Path, setting: Setting, last: int, delay_s: float, flag: int
) -> tuple[int, int]:
    """Let a process work until some moment after it has made `last` calls.

    How many calls were acknowledged before the power was cut, and how many were answered in all: Linux lets a flush
    succeed that the shutdown of its file system interrupts, and from a cut power no such answer would come.
    """
    acks.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.crash.crash_worker", str(base), str(acks), setting.durability.value]
    command += [str(setting.fold_bytes), str(setting.fan_in), str(setting.grace_s)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=told_owners()) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        for line in child.stdout:
            if int(line) >= last:
                break
        until = time.perf_counter() + delay_s
        while time.perf_counter() < until:
            pass  # some moment within the next calls
        acknowledged = _lines(acks)
        there.cut(flag)
        child.stdout.read()
        complaint = child.stderr.read()
        assert child.wait(60) in {0, 3}, complaint
    return acknowledged, _lines(acks)


def _lines(acks: Path) -> int:
    return len(acks.read_text().splitlines()) if acks.exists() else 0
