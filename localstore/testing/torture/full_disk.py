"""A disk that is full again and again under workers: what was answered is there, and what was refused is not."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from ... import LocalStore
from .answers import REFUSED, answers_in, wait_for
from .probes import Trial, end, start
from .soak import judge
from .workers import SESSION

NAME = "full disk"
SIZE = 64 << 20
"""Bytes of the file system that is filled."""
WORKERS = 2

_ENOUGH = SIZE // 3
"""Bytes that must be free without the ballast, or what is written fills the disk for good."""
_UNMOUNT_TRIES = 100


def full_disk(folder: str, seconds: float) -> Trial:
    """Fill a small file system in `folder` while workers write to a store on it, and free it again.

    That takes root on Linux: where it is not permitted the trial says why it was not made.
    """
    with _mounted(folder) as (mounted, obstacle):
        if obstacle:
            return Trial(NAME, 0, f"not tried: {obstacle}")
        return _filled(folder, mounted, seconds)


def _run(*command: str) -> str:
    """Empty when it went well, else what it said."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or f"{command[0]} failed with {done.returncode}"


@contextmanager
def _mounted(folder: str) -> Iterator[tuple[str, str]]:
    """Where a fresh file system is mounted, and why there is none."""
    mounted, image = os.path.join(folder, "small"), os.path.join(folder, "small.image")
    obstacle = _obstacle()
    if not obstacle:
        os.mkdir(mounted)
        with open(image, "wb") as file:
            file.truncate(SIZE)
        obstacle = _run("mkfs.ext4", "-q", "-F", "-m", "0", image) or _run("mount", "-o", "loop", image, mounted)
    if obstacle:
        yield mounted, obstacle
        return
    try:
        yield mounted, ""
    finally:
        _unmount(mounted)


def _obstacle() -> str:
    if sys.platform != "linux":
        return "only Linux mounts a file as a disk"
    if os.geteuid() != 0:
        return "only root may mount a file as a disk"
    missing = [tool for tool in ("mkfs.ext4", "mount", "umount") if shutil.which(tool) is None]
    return f"there is no {', '.join(missing)}" if missing else ""


def _unmount(mounted: str) -> None:
    pace = threading.Event()
    for _ in range(_UNMOUNT_TRIES):
        if not _run("umount", mounted):
            return
        pace.wait(0.05)
    _run("umount", "-l", mounted)


def _filled(folder: str, mounted: str, seconds: float) -> Trial:
    root, logs, ballast = (
        os.path.join(*parts) for parts in ((mounted, "store"), (folder, "full"), (mounted, "ballast"))
    )
    os.mkdir(logs)
    with LocalStore(root) as store:
        store.create_session(SESSION)
    workers = [start("fill", root, os.path.join(logs, f"{n}"), f"f{n}") for n in range(WORKERS)]
    failures: list[str] = []
    rounds = 0
    until = time.monotonic() + seconds
    try:
        failures += _reached(logs, workers, answered=1)
        while not failures and (not rounds or (time.monotonic() < until and _free(mounted) > _ENOUGH)):
            before = _counts(logs)
            _fill(ballast)
            failures += _reached(logs, workers, refused=before["refused"] + 1)
            os.unlink(ballast)
            failures += _reached(logs, workers, answered=_counts(logs)["answered"] + 1)
            rounds += 1
    finally:
        for worker in workers:
            end(worker, kill=True)
        if os.path.lexists(ballast):
            os.unlink(ballast)
    failures += judge(root, answers_in(logs))
    counts = _counts(logs)
    what = f"times full; {counts['answered']} answers and {counts['refused']} refusals judged"
    return Trial(NAME, rounds, what, tuple(failures))


def _free(mounted: str) -> int:
    return shutil.disk_usage(mounted).free


def _fill(path: str) -> None:
    """Take all that is free, to the last block."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for size in (1 << 20, 1 << 16, 1 << 10):
            try:
                while True:
                    os.write(fd, bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    finally:
        os.close(fd)


def _counts(logs: str) -> Counter[str]:
    return Counter("refused" if each.kind == REFUSED else "answered" for each in answers_in(logs))


def _reached(logs: str, workers: list[subprocess.Popen[bytes]], **wanted: int) -> list[str]:
    """Wait until so many calls were answered or refused."""
    ((kind, number),) = wanted.items()
    state = "with space again" if kind == "answered" else "on a full disk"
    return wait_for(workers, lambda: _counts(logs)[kind] >= number, f"{state} no call was {kind}")
