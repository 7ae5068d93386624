"""What a store asks of a file system, tried: flushes that take time, renames that are whole, locks that hold."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

from ...contract.errors import StoreError
from ...disk.lock import SessionLock

LOCKERS = 3
BLOCK = 64 * 1024
WAIT_S = 60.0
_TOO_FAST_S = 0.000_02
"""No disk has data safe in so short a time, seconds."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What was tried, how often, what failed of it, and what is worth a warning."""

    name: str
    count: int
    what: str
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def start(task: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A process that does one of the tasks of `workers`."""
    command = [sys.executable, "-c", f"from {__package__}.workers import run; run()", task, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment())


def _environment() -> dict[str, str]:
    # The package may be one that only this process has on its path.
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def heard(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process said a line; it is waited for."""
    assert process.stdout is not None
    return process.stdout.readline() != b""


def end(process: subprocess.Popen[bytes], *, kill: bool = False) -> int:
    """End the process, at once or by the end of its input, and give its exit code."""
    if kill:
        process.kill()
    try:
        process.communicate(timeout=WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    return process.returncode


def flushes(folder: str, seconds: float) -> Trial:
    """Append and flush again and again. One that returns too fast for any disk is told of."""
    path = os.path.join(folder, "flushes")
    times: list[float] = []
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        until = time.monotonic() + seconds
        while time.monotonic() < until or len(times) < 10:
            os.write(fd, b"x" * 512)
            begun = time.perf_counter()
            os.fsync(fd)
            times.append(time.perf_counter() - begun)
    finally:
        os.close(fd)
    middle = statistics.median(times)
    note = (
        f"a flush takes {middle * 1e6:.0f} µs, which no disk does: it may answer before the data is safe,"
        " and a power cut may take what was acknowledged"
    )
    return Trial("flushes", len(times), f"median {middle * 1e3:.3f} ms", notes=(note,) if middle < _TOO_FAST_S else ())


def renames(folder: str, seconds: float) -> Trial:
    """Read a file while another process renames others over it: it is always there, and always whole."""
    path = os.path.join(folder, "renamed")
    with open(path, "wb") as file:
        file.write(bytes(BLOCK))
    process = start("rename", path, str(BLOCK))
    failures: list[str] = []
    count = 0
    try:
        if not heard(process):
            failures.append("the process that renames did not start")
        until = time.monotonic() + seconds
        seen: set[bytes] = set()
        while not failures and time.monotonic() < until:
            count += 1
            try:
                with open(path, "rb") as file:
                    found = file.read()
            except PermissionError:
                continue  # Windows: it is being replaced
            except OSError as error:
                failures.append(f"a file that is only ever replaced could not be read: {error}")
                break
            seen.add(found[:1])
            if len(found) != BLOCK or found.count(found[:1]) != BLOCK:
                failures.append("a file that is only ever replaced by whole ones was a mixture")
    finally:
        end(process, kill=True)
    return Trial("renames", count, f"reads of {len(seen) if count else 0} contents", tuple(failures))


def locks(folder: str, seconds: float) -> Trial:
    """Several processes count up under one lock; then one that holds it is killed, and the lock is free."""
    path, counter = os.path.join(folder, "lock"), os.path.join(folder, "counter")
    with open(counter, "w", encoding="ascii") as file:
        file.write("0")
    processes = [start("count", path, counter, str(seconds)) for _ in range(LOCKERS)]
    told = [process.communicate(timeout=WAIT_S + seconds)[0].split() for process in processes]
    failures: list[str] = []
    with open(counter, encoding="ascii") as file:
        reached = int(file.read() or 0)
    counted = sum(int(words[-1]) for words in told if words)
    if not all(told):
        failures.append("a process could not take the lock")
    if reached != counted:
        failures.append(f"{counted} steps under the lock counted up to {reached}: it does not exclude")
    holder = start("hold", path)
    try:
        if not heard(holder):
            failures.append("a process could not take the lock")
    finally:
        end(holder, kill=True)
    try:
        lock = SessionLock(path)
        try:
            lock.acquire(10.0)
            lock.release()
        finally:
            lock.close()
    except StoreError as error:
        failures.append(f"the lock of a process that was killed is not free: {error}")
    return Trial("locks", counted, f"steps of {LOCKERS} processes, and one killed holder", tuple(failures))
