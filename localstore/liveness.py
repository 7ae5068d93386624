"""Which process is this, and is that one certainly dead?

Four facts name a process: the host *and pid namespace* it lives in, the boot of that host, its pid, and the
moment it started. Pids are recycled and every container has a pid 7, so none of them will do alone. Whoever
wants proof of death compares `host_id` (equal) and `boot_id` (`same_boot`) first, and only then asks
`is_definitely_gone`: a pid of another host, namespace or boot says nothing about the processes seen here.

Everything errs to "alive": what cannot be examined is not proved dead. Nothing is kept on disk, and psutil is
imported only when it is needed.

The facts relied upon, and where they are documented:

- `proc_pid_stat(5)`: field 22 is the start in clock ticks since boot; field 2, the name in parentheses, may
  hold blanks and parentheses. `proc_pid_status(5)`: `NSpid` is the pid in each namespace, the mount's first.
- `namespaces(7)`: equal inodes of `/proc/self/ns/*` are one namespace. `time_namespaces(7)`: offsets shift
  `CLOCK_BOOTTIME`; the kernel shifts the start ticks in `/proc` by the same.
- `kill(2)`: signal 0 only checks. `ESRCH` is "no such process"; with `EPERM` there is one.
- `machine-id(5)`: 32 hexadecimal digits, or "uninitialized"; confidential, only a keyed hash may be shown.
- `clock_gettime(2)`: `CLOCK_BOOTTIME` counts suspend and cannot be set. macOS's page says so of
  `CLOCK_MONOTONIC_RAW`; its `CLOCK_MONOTONIC` is subject to adjustments of frequency and time.
- `GetTickCount64`: milliseconds since the system started, sleep and hibernation included.
- psutil's `create_time()` is seconds since the epoch. It moves with the wall clock except on Windows, where
  `GetProcessTimes` recorded it. `Process()` raises `NoSuchProcess` for a live process that `/proc` hides
  (`hidepid` in `proc(5)`).
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "UNKNOWN_START",
    "ProcessStamp",
    "boot_id",
    "host_id",
    "is_definitely_gone",
    "monotonic_boot_ms",
    "process_start",
    "same_boot",
    "same_start",
    "this_process",
]

UNKNOWN_START = "unknown"
"""The start of a process that cannot read its own; `same_start` never calls it equal or different."""

# Starts in seconds pass through floats and, on Windows, through either of two system calls. The tolerance
# costs little: a pid recycled within it looks like its former owner, which errs to "alive".
_START_TOLERANCE_S = 2.0

# "Now minus uptime" drifts by the error of the uptime clock, seconds in a week. Two boots are further apart
# than this, or the first one hardly ran long enough to leave anything behind.
_BOOT_TOLERANCE_S = 60.0

_MAX_PID = 2**31 - 1
_LINUX = sys.platform in {"linux", "android"}
_FIRST_TIME_NAMESPACE = "time:4026531834"  # PROC_TIME_INIT_INO, the same in every Linux since 5.6


@dataclass(frozen=True, slots=True)
class ProcessStamp:
    """One process among all of all hosts and boots.

    Attributes:
        host_id: see `host_id()`.
        boot_id: see `boot_id()`.
        pid: the process id inside its own pid namespace.
        start: see `process_start()`; `UNKNOWN_START` where the process cannot read its own.
    """

    host_id: str
    boot_id: str
    pid: int
    start: str


@dataclass(slots=True)
class _Known:
    """What this process found out about itself, each beside the pid it was found out for."""

    stamp: ProcessStamp | None = None
    procfs: tuple[int, bool] | None = None

    def forget(self) -> None:
        self.stamp = self.procfs = None


_known = _Known()

if sys.platform != "win32":
    # The pid alone would not do: the first child in a new pid namespace is 1, and so may its parent be.
    os.register_at_fork(after_in_child=_known.forget)


def this_process() -> ProcessStamp:
    """The stamp of the calling process. Never raises.

    Found out once and then kept: later calls cost well under a microsecond. A forked child gets its own.
    """
    pid = os.getpid()
    stamp = _known.stamp
    if stamp is None or stamp.pid != pid:
        stamp = ProcessStamp(_read_host_id(), _read_boot_id(), pid, process_start(pid) or UNKNOWN_START)
        _known.stamp = stamp
    return stamp


def host_id() -> str:
    """Names this host and pid namespace: equal for processes that share one space of pids. Never raises.

    Outside containers it stays the same across boots. It holds a hash of the machine id, not the id itself.
    Where the pid namespace cannot be told (Linux without `/proc`) the id is unique to the calling process, so
    that nobody takes a stranger's pid for one of its own.
    """
    return this_process().host_id


def boot_id() -> str:
    """Names this boot of the host; to be compared with `same_boot`. Never raises.

    Linux: the kernel's random boot id, followed by the time namespace unless that is the first one, since
    start ticks and `monotonic_boot_ms` have another zero in each. macOS: the UUID of the boot session.
    Windows: the boot time, `epoch:` and whole seconds; it moves when the wall clock is set, and then looks
    like another boot, which proves nobody dead. Where there is none of these: unique to the calling process.
    """
    return this_process().boot_id


def same_boot(a: str, b: str) -> bool:
    """Whether two boot ids name one boot: equal, or boot times no more than 60 s apart. Never raises."""
    if not isinstance(a, str) or not isinstance(b, str):
        return False
    first, second = _number(a, "epoch"), _number(b, "epoch")
    if first is None or second is None:
        return a == b
    return abs(first - second) <= _BOOT_TOLERANCE_S


def process_start(pid: int) -> str | None:
    """An opaque text that tells a process from all others that had its pid in one boot.

    Setting the wall clock never makes `same_start` call one process two:

    - `ticks:123456`: clock ticks since boot, exact (Linux).
    - `epoch:1700000000.123`: seconds since the epoch, recorded once at the start (Windows, macOS).
    - `wall:1700000000.123`: the same, worked out anew at each reading by a clock that may be set (elsewhere).

    Returns:
        The text, or `None` when the process is gone or cannot be examined. Never raises.
    """
    if not _is_pid(pid):
        return None
    try:
        if _LINUX:
            return _linux_start(pid)
        if sys.platform == "darwin":
            return _darwin_start(pid)
        return _psutil_start(pid)
    except Exception:  # noqa: BLE001 - whatever stopped the reading, there is no start to tell
        return None


def same_start(a: str, b: str) -> bool | None:
    """Whether two texts of `process_start` mean one start.

    `epoch:` and `wall:` starts up to 2 s apart are one start.

    Returns:
        `True` or `False`; `None` when it cannot be told: different kinds, malformed, or `wall:` starts that
        differ, since the clock may have been set between the readings. Never raises.
    """
    if not isinstance(a, str) or not isinstance(b, str):
        return None
    kind = a.partition(":")[0]
    first, second = _number(a, kind), _number(b, kind)
    if first is None or second is None:
        return None
    if kind == "ticks":
        return first == second
    if abs(first - second) <= _START_TOLERANCE_S:
        return True
    return None if kind == "wall" else False


def is_definitely_gone(pid: int, start: str) -> bool:
    """Whether the process of this host, pid namespace and boot that had this pid and start is certainly dead.

    `True` on proof alone: psutil and the kernel both know no such process (psutil alone on Windows, where
    signal 0 would kill); or it is a zombie with no thread left; or the pid now belongs to a process with
    another start.

    `False` for everything else: running, stopped, frozen, traced, hidden, access denied, a pid that is not
    1..2^31-1, a failure of any kind. Never raises, and signals nobody.
    """
    if not _is_pid(pid) or not isinstance(start, str):
        return False
    try:
        return _is_proved_dead(pid, start)
    except Exception:  # noqa: BLE001 - an examination that failed, however it did, is no proof
        return False


def monotonic_boot_ms() -> int | None:
    """Milliseconds since this boot by a clock that counts suspend and that nobody can set.

    Values of two processes compare if `same_boot` holds for their boot ids. `None` where there is no such
    clock.
    """
    if sys.platform == "win32":
        import ctypes

        tick_count = ctypes.windll.kernel32.GetTickCount64
        tick_count.restype = ctypes.c_uint64
        return int(tick_count())
    clock = "CLOCK_MONOTONIC_RAW" if sys.platform == "darwin" else "CLOCK_BOOTTIME"
    try:
        return time.clock_gettime_ns(getattr(time, clock)) // 1_000_000
    except (AttributeError, OSError):
        return None


def _is_pid(pid: object) -> bool:
    return type(pid) is int and 0 < pid <= _MAX_PID


def _number(text: str, kind: str) -> float | None:
    prefix, _, digits = text.partition(":")
    if prefix != kind or prefix not in {"ticks", "epoch", "wall"}:
        return None
    if kind == "ticks" and not (digits.isascii() and digits.isdecimal() and len(digits) <= 15):
        return None  # 15 digits are exact as a float, and 300,000 years of ticks
    try:
        number = float(digits)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _is_proved_dead(pid: int, start: str) -> bool:
    import psutil

    observed = process_start(pid)
    if observed is not None and same_start(start, observed) is False:
        return True
    try:
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return False
        # A Linux process whose first thread has ended is shown as a zombie while its other threads run on.
        # And seen through another namespace's /proc, the zombie is a stranger of the same number.
        ours = getattr(psutil, "PROCFS_PATH", "/proc") == "/proc" and _procfs_is_ours()
        return not _LINUX or (ours and process.num_threads() <= 1)
    except psutil.ZombieProcess:  # macOS may say so of one that it does not let be examined
        return not _LINUX
    except psutil.NoSuchProcess:
        return _kernel_knows_no(pid)


def _kernel_knows_no(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # os.kill would terminate the process, whatever the signal
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def _linux_start(pid: int) -> str | None:
    own = pid == os.getpid()
    if not own and not _procfs_is_ours():
        return None
    with open(f"/proc/{'self' if own else pid}/stat", "rb", buffering=0) as stat:
        return _start_in_stat(stat.read(4096))


def _start_in_stat(line: bytes) -> str | None:
    fields = line.rpartition(b")")[2].split()  # from field 3 on
    ticks = fields[22 - 3].decode("ascii") if len(fields) > 22 - 3 else ""
    return f"ticks:{ticks}" if ticks.isdecimal() else None


def _procfs_is_ours() -> bool:
    """Whether `/proc` shows the pid namespace of this process, and not one around it.

    After `unshare --pid` without a new mount, `/proc/7` is another process than the one that `kill` calls 7.
    """
    pid = os.getpid()
    known = _known.procfs
    if known is None or known[0] != pid:
        known = _known.procfs = (pid, _read_procfs_is_ours(pid))
    return known[1]


def _read_procfs_is_ours(pid: int) -> bool:
    try:
        with open("/proc/self/status", "rb") as status:
            for line in status:
                if line.startswith(b"NSpid:"):
                    return line.split()[1:] == [b"%d" % pid]
        return os.readlink("/proc/self") == str(pid)
    except OSError:
        return False


def _psutil_start(pid: int) -> str:
    import psutil

    kind = "epoch" if sys.platform == "win32" else "wall"
    return f"{kind}:{psutil.Process(pid).create_time():.3f}"


def _darwin_start(pid: int) -> str | None:
    """The kernel's own record, which stands still; psutil adds the steps of the clock that it noticed."""
    import ctypes

    proc_pidinfo = ctypes.CDLL(None).proc_pidinfo
    proc_pidinfo.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_int)
    size, task_bsd_info = 136, 3  # sizeof(struct proc_bsdinfo), PROC_PIDTBSDINFO in <sys/proc_info.h>
    buffer = ctypes.create_string_buffer(size)
    if proc_pidinfo(pid, task_bsd_info, 0, buffer, size) != size:
        return None
    return _start_in_bsdinfo(buffer.raw, pid)


def _start_in_bsdinfo(info: bytes, pid: int) -> str | None:
    import struct

    (described,) = struct.unpack_from("=I", info, 12)  # pbi_pid
    seconds, microseconds = struct.unpack_from("=QQ", info, 120)  # pbi_start_tvsec, pbi_start_tvusec
    return f"epoch:{seconds}.{microseconds:06d}" if described == pid and seconds else None


def _first(*readers: Callable[[], str]) -> str:
    """What the first reader to find anything finds, else a text that no other process has."""
    for read in readers:
        try:
            found = read()
        except Exception:  # noqa: BLE001 - no such file, registry key, symbol or right: the next one may do
            continue
        if found:
            return found
    return f"process:{os.urandom(16).hex()}"


def _read_host_id() -> str:
    import hashlib

    keyed = f"localstore host\0{_first(_machine, _node_name_and_address)}".encode("utf-8", "backslashreplace")
    host = hashlib.sha256(keyed).hexdigest()[:32]
    return f"{host}/{_first(lambda: _namespace('pid'))}" if _LINUX else host


def _machine() -> str:
    """The installation's id; on Windows with the host's name, as containers of one image share the id."""
    if sys.platform == "win32":
        import platform
        import winreg

        access = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Cryptography", 0, access) as key:
            guid, _ = winreg.QueryValueEx(key, "MachineGuid")
        return f"{guid}/{platform.node()}"
    if sys.platform == "darwin":
        import ctypes

        uuid = ctypes.create_string_buffer(16)
        timeout = (ctypes.c_long * 2)(1, 0)  # struct timespec: one second
        failed = ctypes.CDLL(None).gethostuuid(uuid, timeout)
        return "" if failed else uuid.raw.hex()
    with open("/etc/machine-id", encoding="ascii") as file:
        text = file.read(64).strip()
    return text if len(text) == 32 and int(text, 16) else ""


def _node_name_and_address() -> str:
    import platform
    import uuid

    address = uuid.getnode()
    # The multicast bit marks the random number that getnode makes up when it finds no network card.
    known = "" if address >> 40 & 1 else f"{address:012x}"
    name = platform.node()
    return f"{name}/{known}" if name or known else ""


def _namespace(kind: str) -> str:
    """Such as `pid:4026531836`; raises `OSError` where there is no such namespace or no `/proc`."""
    name, _, inode = os.readlink(f"/proc/self/ns/{kind}").partition(":")
    return f"{name}:{inode.strip('[]')}"


def _read_boot_id() -> str:
    return _first(_kernel_boot, _boot_time)


def _kernel_boot() -> str:
    """The random id that the kernel gave this boot; raises or is empty where it gives none."""
    if sys.platform == "darwin":
        import ctypes

        sysctl = ctypes.CDLL(None).sysctlbyname
        sysctl.argtypes = (ctypes.c_char_p, *(ctypes.c_void_p,) * 3, ctypes.c_size_t)
        buffer = ctypes.create_string_buffer(64)
        size = ctypes.c_size_t(len(buffer))
        failed = sysctl(b"kern.bootsessionuuid", buffer, ctypes.byref(size), None, 0)
        return "" if failed else buffer.value.decode("ascii")
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read(64).strip()
    try:
        zero = _namespace("time")
    except OSError:  # before Linux 5.6 there is but one
        return boot
    return boot if zero == _FIRST_TIME_NAMESPACE else f"{boot}/{zero}"


def _boot_time() -> str:
    import psutil

    return f"epoch:{round(psutil.boot_time())}"
