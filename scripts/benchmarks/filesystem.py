"""Where it is measured: a fresh ext4 with a journal in an image, as root, and the disk that is there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psutil

IMAGE_BYTES = 12 << 30  # sparse: it takes what is written
_UNMOUNT_TRIES = 50


@dataclass(frozen=True, slots=True)
class Place:
    """A directory to measure in, and the file system it is on, as the table names it.

    `device` is its block device where nothing else writes to it.
    """

    file_system: str
    directory: Path
    device: str | None = None


def _mount_of(directory: Path) -> tuple[str, str]:
    """Type and device of the file system that `directory` is on."""
    path = directory.resolve()
    mounts = [mount for mount in psutil.disk_partitions(all=True) if path.is_relative_to(mount.mountpoint)]
    if not mounts:
        return "unknown file system", ""
    mount = max(mounts, key=lambda found: len(found.mountpoint))
    return mount.fstype, mount.device


def describe(directory: Path) -> str:
    """The file system of `directory` in words: `ext4 without a journal`, `xfs`, `tmpfs (memory)`."""
    kind, device = _mount_of(directory)
    if kind in {"tmpfs", "ramfs"}:
        return f"{kind} (memory)"
    if kind == "ext4":
        return f"ext4 {'with' if _has_journal(device) else 'without'} a journal"
    return kind


def _has_journal(device: str) -> bool:
    task = Path("/sys/fs/ext4", Path(device).resolve().name, "journal_task")
    try:
        return task.read_text().strip().isdigit()
    except OSError:
        return True  # what mkfs.ext4 makes unless told otherwise


def _run(*command: str) -> str | None:
    """`None` when it went well, else what it said."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return None
    return done.stderr.strip() or f"{command[0]} failed with {done.returncode}"


def _unmount(mounted: Path) -> None:
    said: str | None = None
    pause = threading.Event()
    for _ in range(_UNMOUNT_TRIES):
        said = _run("umount", str(mounted))
        if said is None:
            return
        pause.wait(0.1)
    print(f"bench: {mounted} stays mounted until nothing uses it any more: {said}", file=sys.stderr)
    _run("umount", "-l", str(mounted))


@contextmanager
def journalled_ext4(under: Path) -> Iterator[Place | str]:
    """A fresh loop-mounted ext4 with a journal, its image in `under`; a `str`: why there is none.

    Unmounted and removed in the end, also when interrupted or asked to terminate.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield "mounting an image needs root"
        return
    work = Path(tempfile.mkdtemp(prefix="localstore-bench-", dir=under))
    image, mounted = work / "image", work / "mounted"
    try:
        mounted.mkdir()
        with image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        # Nothing is left to be initialised in the background while we measure.
        options = "lazy_itable_init=0,lazy_journal_init=0"
        said = _run("mkfs.ext4", "-q", "-F", "-E", options, str(image)) or _run(
            "mount", "-o", "loop", str(image), str(mounted)
        )
        if said is not None:
            yield f"no image could be mounted: {said}"
            return
        try:
            yield Place("ext4 with a journal (loop-mounted image)", mounted, _mount_of(mounted)[1])
        finally:
            _unmount(mounted)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM and SIGHUP end the program like Ctrl-C does, so that what is mounted is unmounted."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    caught = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = [signal.signal(number, interrupt) for number in caught]
    try:
        yield
    finally:
        for number, handler in zip(caught, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def places(directory: Path | None) -> Iterator[list[Place]]:
    """Where to measure: the image where one can be mounted, and `directory` (a temporary one by default)."""
    with _terminated_as_interrupted():
        disk = Path(tempfile.mkdtemp(prefix="localstore-bench-", dir=directory))
        try:
            with journalled_ext4(disk) as made:
                own = Place(f"{describe(disk)} (this disk)", disk)
                if isinstance(made, Place):
                    yield [made, own]
                else:
                    print(f"bench: {made}; measuring on {own.file_system} alone", file=sys.stderr)
                    yield [own]
        finally:
            shutil.rmtree(disk, ignore_errors=True)
