"""Who is certainly dead: a truth table, judged on real processes wherever this machine can make them."""

import ctypes
import dataclasses
import errno
import functools
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from localstore import liveness

ROOT = Path(__file__).resolve().parent.parent
POSIX = sys.platform != "win32"
LINUX = sys.platform == "linux"
IDLE = "import sys; sys.stdin.read()"
OTHER_USER = 65534

linux_only = pytest.mark.skipif(not LINUX, reason="the rule is about /proc")
posix_only = pytest.mark.skipif(not POSIX, reason="the state does not exist on Windows")


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts children that live until the test ends."""
    children: list[subprocess.Popen[bytes]] = []

    def start(code: str = IDLE) -> subprocess.Popen[bytes]:
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def identity() -> Iterator[None]:
    """Lets a test change where the identity comes from; the real one is found out again afterwards."""
    liveness._known.forget()
    yield
    liveness._known.forget()


def start_of(pid: int) -> str:
    start = liveness.process_start(pid)
    assert start is not None
    return start


def exited_unreaped(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


def until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(3000):
        if condition():
            return
        pause.wait(0.01)
    pytest.fail("the process never got there")


@functools.cache
def unshared(*flags: str) -> tuple[str, ...] | None:
    """The command that runs another one in new namespaces, or `None` where this machine allows none."""
    if not LINUX or shutil.which("unshare") is None:
        return None
    for command in (("unshare", *flags), ("unshare", "--user", "--map-root-user", *flags)):
        if subprocess.run([*command, sys.executable, "-c", ""], capture_output=True, check=False).returncode == 0:
            return command
    return None


def answer_of(code: str, *arguments: object, command: tuple[str, ...] = ()) -> Any:
    """What a fresh interpreter prints as JSON, run under `command`."""
    preamble = "import ctypes, json, os, subprocess, sys\nfrom localstore import liveness\n"
    run = subprocess.run(
        [*command, sys.executable, "-c", preamble + code, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


# The truth table, one row a test.


def test_live_is_not_gone(spawn):
    child = spawn()
    assert liveness.is_definitely_gone(child.pid, start_of(child.pid)) is False


def test_own_process_is_not_gone():
    own = liveness.this_process()
    assert liveness.is_definitely_gone(own.pid, own.start) is False


def test_exited_and_reaped_is_gone(spawn):
    child = spawn()
    start = start_of(child.pid)
    child.kill()
    child.wait()
    assert liveness.is_definitely_gone(child.pid, start) is True
    assert liveness.process_start(child.pid) is None


def test_a_pid_nobody_has_is_gone_whatever_the_start(spawn):
    child = spawn()
    child.kill()
    child.wait()
    for start in ("", liveness.UNKNOWN_START, "ticks:1", "epoch:1.0", "something newer"):
        assert liveness.is_definitely_gone(child.pid, start) is True


@posix_only
def test_zombie_is_gone(spawn):
    child = spawn()
    start = start_of(child.pid)
    exited_unreaped(child)
    os.kill(child.pid, 0)  # the kernel still knows the pid: its word alone would call the zombie alive
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert liveness.is_definitely_gone(child.pid, start) is True


@linux_only
def test_zombie_whose_other_threads_run_on_is_not_gone(spawn):
    child = spawn(
        "import ctypes, sys, threading\n"
        "threading.Thread(target=sys.stdin.read).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    start = start_of(child.pid)
    until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert psutil.Process(child.pid).num_threads() == 2
    assert liveness.is_definitely_gone(child.pid, start) is False
    exited_unreaped(child)
    assert liveness.is_definitely_gone(child.pid, start) is True


@posix_only
def test_stopped_is_not_gone(spawn):
    child = spawn()
    start = start_of(child.pid)
    os.kill(child.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    assert psutil.Process(child.pid).status() == psutil.STATUS_STOPPED
    assert liveness.is_definitely_gone(child.pid, start) is False


def test_another_start_is_gone(spawn):
    first, second = spawn(), spawn()
    kind, _, number = start_of(second.pid).partition(":")
    assert liveness.is_definitely_gone(second.pid, f"{kind}:{int(float(number)) - 100}") is True
    assert liveness.is_definitely_gone(second.pid, start_of(second.pid)) is False
    assert liveness.is_definitely_gone(first.pid, start_of(first.pid)) is False


RECYCLE = """
def idle():
    return subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
def end(child):
    child.kill()
    child.communicate()
child = idle()
start = liveness.process_start(child.pid)
end(child)
verdict = {"before": liveness.is_definitely_gone(child.pid, start)}
for attempt in range(1000):
    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
        last.write(str(child.pid - 1))
    other = idle()
    recycled = other.pid == child.pid and liveness.process_start(other.pid) != start
    if recycled:
        verdict["after"] = liveness.is_definitely_gone(child.pid, start)
        verdict["new owner"] = liveness.is_definitely_gone(other.pid, liveness.process_start(other.pid))
    end(other)
    if recycled:
        break
print(json.dumps(verdict))
"""


def test_recycled_pid_is_gone(spawn):
    command = unshared("--pid", "--fork", "--mount-proc")
    if command is not None:
        verdict = answer_of(RECYCLE, command=command)
        assert verdict == {"before": True, "after": True, "new owner": False}
    else:
        child = spawn()
        kind, _, number = start_of(child.pid).partition(":")
        assert liveness.is_definitely_gone(child.pid, f"{kind}:{int(float(number)) - 100}") is True


EXAMINE_AS_ANOTHER_USER = """
import psutil
pid, start, user = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
try:
    os.kill(pid, 0)
    signalled = True
except PermissionError:
    signalled = False
try:
    psutil.Process(pid)
    seen = True
except psutil.NoSuchProcess:
    seen = False
print(json.dumps({
    "signalled": signalled, "seen": seen, "start": liveness.process_start(pid),
    "gone": liveness.is_definitely_gone(pid, start),
}))
"""


@posix_only
def test_process_of_another_user_is_not_gone(spawn):
    pid = spawn().pid if os.geteuid() == 0 else 1
    start = liveness.process_start(pid) or liveness.UNKNOWN_START
    verdict = answer_of(EXAMINE_AS_ANOTHER_USER, pid, start, OTHER_USER)
    assert verdict["signalled"] is False
    assert verdict["gone"] is False


def test_access_denied_is_not_gone(spawn, monkeypatch):
    child = spawn()
    start = start_of(child.pid)

    def denied(self: object) -> str:
        raise psutil.AccessDenied(child.pid)

    monkeypatch.setattr(psutil.Process, "status", denied)
    assert liveness.is_definitely_gone(child.pid, start) is False


@posix_only
@pytest.mark.parametrize("answer", [None, PermissionError(errno.EPERM, "not yours")])
def test_hidden_from_psutil_but_known_to_the_kernel_is_not_gone(spawn, monkeypatch, answer):
    child = spawn()
    start = start_of(child.pid)
    kernel = os.kill

    def no_such_process(pid: int) -> psutil.Process:
        raise psutil.NoSuchProcess(pid)

    def signal_zero(pid: int, number: int) -> None:
        assert number == 0
        if answer is not None:
            raise answer
        kernel(pid, number)

    with monkeypatch.context() as patch:
        patch.setattr(psutil, "Process", no_such_process)
        patch.setattr(os, "kill", signal_zero)
        assert liveness.is_definitely_gone(child.pid, start) is False


HIDE = (
    "--mount",
    "sh",
    "-c",
    'mount -t proc -o hidepid=2 proc /proc && exec "$@"',
    "sh",
)


@posix_only
def test_hidepid_is_not_gone(spawn, monkeypatch):
    child = spawn()
    start = start_of(child.pid)
    command = unshared(*HIDE) if os.geteuid() == 0 else None
    if command is not None:
        verdict = answer_of(EXAMINE_AS_ANOTHER_USER, child.pid, start, OTHER_USER, command=command)
        assert verdict == {"signalled": False, "seen": False, "start": None, "gone": False}
    else:
        monkeypatch.setattr(liveness, "process_start", lambda pid: None)
        monkeypatch.setattr(psutil.Process, "__init__", raising(psutil.NoSuchProcess(child.pid)))
        assert liveness.is_definitely_gone(child.pid, start) is False


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a bug"),
        OSError(errno.EIO, "input/output error"),
        ValueError(),
        OverflowError(),
        MemoryError(),
    ],
    ids=repr,
)
def test_any_failure_is_no_proof(spawn, monkeypatch, error):
    child = spawn()
    start = start_of(child.pid)
    child.kill()
    child.wait()
    monkeypatch.setattr(psutil.Process, "status", raising(error))
    monkeypatch.setattr(psutil.Process, "__init__", raising(error))
    assert liveness.is_definitely_gone(child.pid, start) is False


@posix_only
def test_a_failing_kernel_check_is_no_proof(spawn, monkeypatch):
    child = spawn()
    start = start_of(child.pid)
    child.kill()
    child.wait()
    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", raising(OSError(errno.EINVAL, "odd")))
        assert liveness.is_definitely_gone(child.pid, start) is False
    assert liveness.is_definitely_gone(child.pid, start) is True


# Odd values.

ODD_PIDS = [0, -1, -(2**31), 2**31, 2**32 + 1, 2**63, 10**30, True, None, "7", 7.0, b"7"]


@pytest.mark.parametrize("pid", ODD_PIDS, ids=repr)
def test_odd_pid_is_no_proof_and_signals_nobody(pid, monkeypatch):
    signalled: list[tuple[Any, ...]] = []
    monkeypatch.setattr(os, "kill", lambda *arguments: signalled.append(arguments))
    for start in ("ticks:1", "epoch:1.0", "", liveness.UNKNOWN_START):
        assert liveness.is_definitely_gone(pid, start) is False
    assert liveness.process_start(pid) is None
    assert signalled == []


@pytest.mark.parametrize("start", [None, 5, 5.0, b"ticks:5", ("ticks", 5)], ids=repr)
def test_odd_start_is_no_proof_even_of_an_absent_pid(spawn, start):
    child = spawn()
    child.kill()
    child.wait()
    assert liveness.is_definitely_gone(child.pid, start) is False


@pytest.mark.parametrize(
    "start",
    [
        *["", "unknown", "ticks", "ticks:", "ticks:-5", "ticks:1.5", "ticks:٣", "ticks:" + "9" * 5000],
        *["epoch:", "epoch:nan", "epoch:inf", "epoch:x", "wall:x", "later:5", ":5", "\0", "\ud800"],
    ],
    ids=ascii,
)
def test_malformed_start_is_no_proof_against_a_live_process(start):
    assert liveness.is_definitely_gone(os.getpid(), start) is False
    assert liveness.same_start(start, start) is None


# Starts.


@pytest.mark.parametrize(
    "a, b, same",
    [
        ("ticks:5", "ticks:5", True),
        ("ticks:5", "ticks:05", True),
        ("ticks:5", "ticks:6", False),
        ("ticks:999999999999998", "ticks:999999999999999", False),
        ("ticks:9007199254740992", "ticks:9007199254740993", None),
        ("epoch:1700000000.1", "epoch:1700000000.1", True),
        ("epoch:1700000000.123", "epoch:1700000002.1", True),
        ("epoch:1700000000.0", "epoch:1700000002.5", False),
        ("wall:1700000000.0", "wall:1700000001.9", True),
        ("wall:1700000000.0", "wall:1700003600.0", None),
        ("ticks:1700000000", "epoch:1700000000", None),
        ("epoch:1700000000", "wall:1700000000", None),
        ("unknown", "unknown", None),
        (None, "ticks:5", None),
        (5, 5, None),
    ],
)
def test_same_start(a, b, same):
    assert liveness.same_start(a, b) is same
    assert liveness.same_start(b, a) is same


@linux_only
def test_start_is_the_ticks_that_psutil_counts_from(spawn):
    child = spawn()
    per_second = os.sysconf("SC_CLK_TCK")
    ticks = round((psutil.Process(child.pid).create_time() - psutil.boot_time()) * per_second)
    assert start_of(child.pid) == f"ticks:{ticks}"


@linux_only
@pytest.mark.parametrize("name", ["a) Z 1 2 (b", ")) R", "x y", "((("])
def test_start_survives_any_process_name(spawn, name):
    child = spawn(f"import sys\nopen('/proc/self/comm', 'w').write({name!r})\nprint(flush=True)\nsys.stdin.read()\n")
    start = start_of(child.pid)
    assert child.stdout is not None
    child.stdout.readline()
    assert Path(f"/proc/{child.pid}/comm").read_text() == name + "\n"
    assert start_of(child.pid) == start
    assert liveness.is_definitely_gone(child.pid, start) is False


@pytest.mark.parametrize("line", [b"", b"7", b"7 (a)", b"7 (a) S 1 2 3", b"7 (a) S" + b" x" * 40, b"\xff) \xff" * 30])
def test_damaged_stat_line_has_no_start(line):
    assert liveness._start_in_stat(line) is None


def test_start_in_a_darwin_process_record():
    record = bytearray(136)
    struct.pack_into("=I", record, 12, 7)
    struct.pack_into("=QQ", record, 120, 1_700_000_000, 42)
    assert liveness._start_in_bsdinfo(bytes(record), 7) == "epoch:1700000000.000042"
    assert liveness._start_in_bsdinfo(bytes(record), 8) is None
    assert liveness._start_in_bsdinfo(bytes(136), 0) is None


# The wall clock is set.


@pytest.fixture
def step_wall_clock(monkeypatch) -> Callable[[float], None]:
    """Moves the wall clock, and with it the boot time that psutil works out from it."""
    platform: Any = vars(psutil)["_psplatform"]
    now, boot = time.time, platform.boot_time

    def step(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: now() + seconds)
        monkeypatch.setattr(platform, "boot_time", lambda: boot() + seconds)

    return step


@linux_only
@pytest.mark.parametrize("seconds", [3600.0, -3600.0, 86400.0 * 365])
def test_stepped_wall_clock_changes_no_ticks(spawn, step_wall_clock, seconds):
    child = spawn()
    start, created = start_of(child.pid), psutil.Process(child.pid).create_time()
    step_wall_clock(seconds)
    assert abs(psutil.Process(child.pid).create_time() - created - seconds) < 1  # the step is felt where it can be
    assert start_of(child.pid) == start
    assert liveness.is_definitely_gone(child.pid, start) is False


@linux_only
@pytest.mark.parametrize(
    "platform, seconds, gone",
    [
        ("win32", 1.5, False),
        ("win32", 10.0, True),  # starts are recorded once there: this is another process
        ("freebsd14", 1.5, False),
        ("freebsd14", 3600.0, False),  # worked out anew there: the clock may have been set
    ],
)
def test_starts_of_other_platforms(spawn, monkeypatch, step_wall_clock, platform, seconds, gone):
    child = spawn()
    with monkeypatch.context() as patch:
        patch.setattr(liveness, "_LINUX", False)
        patch.setattr(sys, "platform", platform)
        start = start_of(child.pid)
        step_wall_clock(seconds)
        verdict = liveness.is_definitely_gone(child.pid, start)
    assert start.startswith("epoch:" if platform == "win32" else "wall:")
    assert verdict is gone


@linux_only
def test_windows_asks_psutil_alone_and_never_the_deadly_kill(spawn, monkeypatch):
    live, dead = spawn(), spawn()
    with monkeypatch.context() as patch:
        patch.setattr(liveness, "_LINUX", False)
        patch.setattr(sys, "platform", "win32")
        starts = start_of(live.pid), start_of(dead.pid)
        signalled: list[tuple[int, int]] = []
        dead.kill()
        dead.wait()
        patch.setattr(os, "kill", lambda pid, number: signalled.append((pid, number)))
        verdicts = [
            liveness.is_definitely_gone(live.pid, starts[0]),
            liveness.is_definitely_gone(dead.pid, starts[1]),
        ]
    assert verdicts == [False, True]
    assert signalled == []


# Who this process is.


def test_stamp_is_read_once_and_immutable(monkeypatch):
    stamp = liveness.this_process()
    monkeypatch.setattr(liveness, "_read_host_id", raising(AssertionError("read again")))
    assert liveness.this_process() is stamp
    assert (stamp.host_id, stamp.boot_id, stamp.pid) == (liveness.host_id(), liveness.boot_id(), os.getpid())
    assert liveness.same_start(stamp.start, start_of(os.getpid())) is True
    assert not hasattr(stamp, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        stamp.pid = 1  # type: ignore[misc]


def test_two_processes_share_host_and_boot_but_not_the_rest(spawn):
    other = answer_of("print(json.dumps([liveness.host_id(), liveness.boot_id(), os.getpid()]))")
    assert other[0] == liveness.host_id()
    assert liveness.same_boot(other[1], liveness.boot_id())
    assert other[2] != os.getpid()


FORK = """
fork = ctypes.CDLL(None).fork if sys.argv[1] == "bypassing Python" else os.fork
parent = liveness.this_process()
read, write = os.pipe()
child = fork()
if child == 0:
    own = liveness.this_process()
    start = liveness.process_start(os.getpid())
    os.write(write, json.dumps([own.host_id, own.boot_id, own.pid, own.start, start]).encode())
    os._exit(0)
os.close(write)
with open(read) as pipe:
    own = json.load(pipe)
os.waitpid(child, 0)
print(json.dumps({
    "same host and boot": own[:2] == [parent.host_id, parent.boot_id], "own pid": own[2] == child,
    "own start": own[3] == own[4], "parent unchanged": liveness.this_process() is parent,
    "gone": liveness.is_definitely_gone(own[2], own[3]),
}))
"""


@posix_only
@pytest.mark.parametrize("how", ["in Python", "bypassing Python"])
def test_forked_child_has_its_own_identity(how):
    assert set(answer_of(FORK, how).values()) == {True}


NEST = """
parent = liveness.this_process()
if ctypes.CDLL(None).unshare(0x20000000) != 0:  # CLONE_NEWPID: children are born into a new namespace
    sys.exit("unshare was refused")
read, write = os.pipe()
child = os.fork()
if child == 0:
    own = liveness.this_process()
    os.write(write, json.dumps([own.host_id, own.pid]).encode())
    os._exit(0)
os.waitpid(child, 0)
os.close(write)
with open(read) as pipe:
    print(json.dumps([[parent.host_id, parent.pid], json.load(pipe)]))
"""

FORK_WITH_THE_SAME_PID = """
os.getpid = lambda: 1
namespaces = iter(["pid:1", "pid:2"])
liveness._namespace = lambda kind: next(namespaces) if kind == "pid" else "time:0"
parent = liveness.this_process()
read, write = os.pipe()
child = os.fork()
if child == 0:
    own = liveness.this_process()
    os.write(write, json.dumps([own.host_id, own.pid]).encode())
    os._exit(0)
os.waitpid(child, 0)
os.close(write)
with open(read) as pipe:
    print(json.dumps([[parent.host_id, parent.pid], json.load(pipe)]))
"""


@linux_only
def test_child_in_a_new_namespace_with_its_parents_pid_has_another_host_id():
    command = unshared("--pid", "--fork", "--mount-proc")
    code = FORK_WITH_THE_SAME_PID if command is None else NEST
    parent, child = answer_of(code, command=command or ())
    assert parent[1] == child[1] == 1
    assert parent[0] != child[0]


@linux_only
def test_another_pid_namespace_is_another_host(identity, monkeypatch):
    here = liveness.this_process()
    command = unshared("--pid", "--fork", "--mount-proc")
    if command is not None:
        code = "print(json.dumps([liveness.host_id(), liveness.boot_id(), os.getpid()]))"
        host, boot, pid = answer_of(code, command=command)
        assert pid == 1
    else:
        real = liveness._namespace
        monkeypatch.setattr(liveness, "_namespace", lambda kind: "pid:7" if kind == "pid" else real(kind))
        liveness._known.forget()
        host, boot = liveness.host_id(), liveness.boot_id()
    assert host != here.host_id
    assert host.partition("/")[0] == here.host_id.partition("/")[0]
    assert boot == here.boot_id


FOREIGN_PROC = """
# Without a mount of its own, /proc/2 is another process than the child that kill calls 2.
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
verdict = {
    "start": liveness.process_start(child.pid),
    "gone": liveness.is_definitely_gone(child.pid, "ticks:1"),
    "own start": liveness.this_process().start.startswith("ticks:"),
}
child.kill()
os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
verdict["zombie"] = liveness.is_definitely_gone(child.pid, "ticks:1")
child.communicate()
print(json.dumps(verdict))
"""


@linux_only
def test_procfs_of_another_namespace_proves_nothing(spawn, monkeypatch):
    expected = {"start": None, "gone": False, "own start": True, "zombie": False}
    command = unshared("--pid", "--fork")
    if command is not None:
        assert answer_of(FOREIGN_PROC, command=command) == expected
    else:
        child = spawn()
        monkeypatch.setattr(liveness, "_procfs_is_ours", lambda: False)
        verdict: dict[str, Any] = {"start": liveness.process_start(child.pid)}
        verdict["gone"] = liveness.is_definitely_gone(child.pid, "ticks:1")
        verdict["own start"] = start_of(os.getpid()).startswith("ticks:")
        exited_unreaped(child)
        verdict["zombie"] = liveness.is_definitely_gone(child.pid, "ticks:1")
        assert verdict == expected


@linux_only
def test_another_pid_looks_at_procfs_anew(identity, monkeypatch):
    here = liveness._procfs_is_ours()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 1)
        patch.setattr(liveness, "_read_procfs_is_ours", lambda pid: not here)
        assert liveness._procfs_is_ours() is not here


@linux_only
def test_procfs_read_elsewhere_by_psutil_proves_no_zombie(spawn, monkeypatch, tmp_path):
    child = spawn()
    start = start_of(child.pid)
    stranger = tmp_path / str(child.pid)
    stranger.mkdir()
    stat = Path(f"/proc/{child.pid}/stat").read_text()
    head, _, tail = stat.rpartition(")")
    (stranger / "stat").write_text(f"{head}) Z{tail[2:]}")
    (stranger / "status").write_text("Threads:\t1\n")
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert liveness.is_definitely_gone(child.pid, start) is False


@linux_only
def test_another_time_namespace_is_another_boot(identity, monkeypatch):
    here = liveness.this_process()
    command = unshared("--time", "--boottime", "100000", "--fork")
    if command is not None:
        host, boot, uptime = answer_of(
            "print(json.dumps([liveness.host_id(), liveness.boot_id(), liveness.monotonic_boot_ms()]))",
            command=command,
        )
        own_uptime = liveness.monotonic_boot_ms()
        assert own_uptime is not None
        assert uptime > own_uptime  # which is why the boots must not be taken for one
    else:
        real = liveness._namespace
        monkeypatch.setattr(liveness, "_namespace", lambda kind: "time:7" if kind == "time" else real(kind))
        liveness._known.forget()
        host, boot = liveness.host_id(), liveness.boot_id()
    assert host == here.host_id
    assert not liveness.same_boot(boot, here.boot_id)
    assert boot.partition("/")[0] == here.boot_id.partition("/")[0]


@linux_only
def test_host_id_tells_no_machine_id(identity, monkeypatch):
    secret = "0123456789abcdef0123456789abcdef"
    monkeypatch.setattr(liveness, "_machine", lambda: secret)
    assert secret not in liveness.host_id()
    assert liveness.host_id() == liveness._read_host_id()


@linux_only
@pytest.mark.parametrize("text", ["", "uninitialized\n", "0" * 32, "x" * 32, "0123"])
def test_useless_machine_id_is_replaced_by_what_names_the_host(identity, monkeypatch, tmp_path, text):
    file = tmp_path / "machine-id"
    file.write_text(text)
    real = open

    def opened(path: str, *arguments: Any, **keywords: Any) -> Any:
        return real(file if path == "/etc/machine-id" else path, *arguments, **keywords)

    monkeypatch.setattr(liveness, "open", opened, raising=False)
    monkeypatch.setattr(liveness, "_node_name_and_address", lambda: "host-a/1")
    first = liveness._read_host_id()
    assert liveness._read_host_id() == first
    monkeypatch.setattr(liveness, "_node_name_and_address", lambda: "host-b/1")
    assert liveness._read_host_id() != first


def test_made_up_network_address_names_no_host(monkeypatch):
    import platform
    import uuid

    monkeypatch.setattr(platform, "node", lambda: "host-a")
    monkeypatch.setattr(uuid, "getnode", lambda: 0x0242AC110002)
    assert liveness._node_name_and_address() == "host-a/0242ac110002"
    monkeypatch.setattr(uuid, "getnode", lambda: 0x0342AC110002)
    assert liveness._node_name_and_address() == "host-a/"
    monkeypatch.setattr(platform, "node", lambda: "")
    assert liveness._node_name_and_address() == ""


def test_host_that_nothing_names_is_nobody_elses(identity, monkeypatch):
    for reader in ("_machine", "_node_name_and_address", "_namespace"):
        monkeypatch.setattr(liveness, reader, raising(OSError(errno.ENOENT, "no such file")))
    mine = liveness.host_id()
    assert liveness.host_id() == mine
    assert liveness._read_host_id() != mine  # what another process would find


@linux_only
def test_pid_namespace_that_cannot_be_told_is_nobody_elses(identity, monkeypatch):
    monkeypatch.setattr(liveness, "_namespace", raising(OSError(errno.ENOENT, "no such file")))
    assert liveness.host_id() != liveness._read_host_id()


# Boots.


@linux_only
def test_boot_id_is_the_kernels():
    kernel = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert liveness.boot_id().partition("/")[0] == kernel


def test_boot_time_stands_in_for_a_boot_id(identity, monkeypatch):
    monkeypatch.setattr(liveness, "_kernel_boot", raising(OSError(errno.ENOENT, "no such file")))
    assert liveness.same_boot(liveness.boot_id(), f"epoch:{round(psutil.boot_time())}")


def test_boot_that_nothing_names_is_nobody_elses(identity, monkeypatch):
    monkeypatch.setattr(liveness, "_kernel_boot", lambda: "")
    monkeypatch.setattr(psutil, "boot_time", raising(RuntimeError("no uptime")))
    mine = liveness.boot_id()
    assert liveness.boot_id() == mine
    assert not liveness.same_boot(mine, liveness._read_boot_id())


@pytest.mark.parametrize(
    "a, b, same",
    [
        ("40f5dd03", "40f5dd03", True),
        ("40f5dd03", "40f5dd04", False),
        ("40f5dd03", "40f5dd03/time:7", False),
        ("epoch:1700000000", "epoch:1700000060", True),
        ("epoch:1700000000", "epoch:1700000061", False),
        ("epoch:1700000000", "1700000000", False),
        ("epoch:x", "epoch:y", False),
        (None, None, False),
        (5, "5", False),
    ],
)
def test_same_boot(a, b, same):
    assert liveness.same_boot(a, b) is same
    assert liveness.same_boot(b, a) is same


# The clock.


@linux_only
def test_monotonic_clock_is_the_uptime_of_the_kernel():
    def uptime_ms() -> int:
        return int(Path("/proc/uptime").read_text().split()[0].replace(".", "")) * 10

    before, now, after = uptime_ms(), liveness.monotonic_boot_ms(), uptime_ms()
    assert now is not None
    assert before <= now <= after + 10


@linux_only
@pytest.mark.parametrize("platform, clock", [("linux", "CLOCK_BOOTTIME"), ("darwin", "CLOCK_MONOTONIC_RAW")])
def test_monotonic_clock_counts_suspend_and_cannot_be_set(monkeypatch, platform, clock):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", platform)
        patch.setattr(time, "clock_gettime_ns", {getattr(time, clock): 5_999_999}.__getitem__)
        assert liveness.monotonic_boot_ms() == 5
        patch.delattr(time, clock)
        assert liveness.monotonic_boot_ms() is None


@linux_only
def test_refused_clock_is_none(monkeypatch):
    monkeypatch.setattr(time, "clock_gettime_ns", raising(OSError(errno.EINVAL, "no such clock")))
    assert liveness.monotonic_boot_ms() is None


@linux_only
def test_windows_counts_ticks_with_sleep(monkeypatch):
    def tick_count() -> int:
        return 2**32 + 5

    library = SimpleNamespace(kernel32=SimpleNamespace(GetTickCount64=tick_count))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        patch.setattr(ctypes, "windll", library, raising=False)
        assert liveness.monotonic_boot_ms() == 2**32 + 5
    assert tick_count.restype is ctypes.c_uint64  # type: ignore[attr-defined]


# The room it takes.

ALONE = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("liveness", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["liveness"] = module
spec.loader.exec_module(module)
if sys.argv[2] == "examine itself":
    module.this_process(), module.monotonic_boot_ms()
print(json.dumps(sorted({"psutil", "localstore", "hashlib", "uuid", "ctypes"} & set(sys.modules))))
"""


@linux_only
@pytest.mark.parametrize("what, loaded", [("import", []), ("examine itself", ["hashlib"])])
def test_nothing_heavy_is_imported_before_it_is_needed(what, loaded):
    command = [sys.executable, "-I", "-c", ALONE, liveness.__file__, what]
    # A system without an id of its own, as in some containers, is told by its network card.
    more = ["uuid"] if loaded and not Path("/etc/machine-id").exists() else []
    assert json.loads(subprocess.run(command, capture_output=True, check=True).stdout) == loaded + more
