import errno
import os
import pickle
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from localstore.contract.errors import BackendError
from localstore.disk import lock as lock_module
from localstore.disk.lock import SessionLock

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="/proc/locks is Linux's")

HOLD = """
import sys
from localstore.disk.lock import SessionLock
lock = SessionLock(sys.argv[1])
lock.acquire(10)
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "lock")


@pytest.fixture
def lock(path):
    lock = SessionLock(path)
    yield lock
    lock.close()


@pytest.fixture
def holder(path):
    """Another process that has the lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def is_free(path):
    other = SessionLock(path)
    try:
        other.acquire(0)
    except BackendError:
        return False
    finally:
        other.close()
    return True


def test_lock_excludes_others_until_it_is_released(lock, path):
    assert is_free(path)
    lock.acquire(1)
    assert not is_free(path)
    lock.release()
    assert is_free(path)
    lock.acquire(1)
    lock.close()
    assert is_free(path)


def test_lock_file_is_private_and_stays(lock, path):
    lock.acquire(1)
    lock.release()
    lock.close()
    lock.close()
    assert lock.fd == -1
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_lock_file_that_is_a_symlink_is_refused(path, tmp_path):
    target = tmp_path / "target"
    target.write_bytes(b"")
    os.symlink(target, path)
    with pytest.raises(BackendError, match="refused"):
        SessionLock(path)


def test_waiting_ends_with_the_deadline_and_tells_who_holds_the_lock(lock, path):
    lock.acquire(1)
    other = SessionLock(path)
    with pytest.raises(BackendError) as caught:
        other.acquire(0.01)
    other.close()
    assert path in str(caught.value)
    assert "0.01 s" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@linux_only
def test_holder_in_this_process_is_named(lock, path):
    lock.acquire(1)
    other = SessionLock(path)
    with pytest.raises(BackendError, match=rf"another handle in this process \({os.getpid()}\)"):
        other.acquire(0)
    other.close()


@linux_only
def test_holder_in_another_process_is_named(lock, holder):
    command = Path(f"/proc/{holder.pid}/comm").read_text().strip()
    with pytest.raises(BackendError, match=rf"process {holder.pid} \({command}\)"):
        lock.acquire(0)


def test_holder_that_the_system_does_not_name_is_another_process(lock, holder, monkeypatch):
    monkeypatch.setattr(lock_module, "_holder_of", lambda device, inode: None)
    with pytest.raises(BackendError, match="by another process;"):
        lock.acquire(0)


TABLE = """\
1: POSIX  ADVISORY  READ  11 08:01:77 0 EOF
2: FLOCK  ADVISORY  WRITE 22 00:05:99 0 EOF
2: -> FLOCK  ADVISORY  WRITE 33 00:05:99 0 EOF
3: FLOCK  ADVISORY  WRITE 44 fd:00:55 0 EOF
4: FLOCK  ADVISORY  WRITE 66 fd:01:55 0 EOF
5: FLOCK  ADVISORY  WRITE 0 08:01:88 0 EOF
6: FLOCK
"""


@pytest.mark.parametrize(
    "device, inode, pid",
    [
        (os.makedev(0, 5), 99, 22),
        (os.makedev(0, 42), 99, 22),  # another device number than stat shows
        (os.makedev(0xFD, 1), 55, 66),
        (os.makedev(0, 42), 55, None),  # two files might be meant
        (os.makedev(8, 1), 88, None),  # in another pid namespace
        (os.makedev(8, 1), 5, None),
    ],
)
def test_table_of_locks_is_read_with_care(tmp_path, monkeypatch, device, inode, pid):
    table = tmp_path / "locks"
    table.write_text(TABLE)
    real = open
    monkeypatch.setattr(lock_module, "open", lambda path, **how: real(table, **how), raising=False)
    assert lock_module._holder_of(device, inode) == pid


def test_table_of_locks_that_is_missing_names_nobody(tmp_path, monkeypatch):
    real = open
    monkeypatch.setattr(lock_module, "open", lambda path, **how: real(tmp_path / "none", **how), raising=False)
    assert lock_module._holder_of(1, 1) is None
    assert lock_module._command_of(1) == ""


def test_lock_of_a_killed_process_is_free(lock, holder):
    holder.kill()
    holder.wait()
    lock.acquire(10)


def test_waiter_gets_the_lock_when_it_is_released(lock, path):
    lock.acquire(1)
    waiting = threading.Event()
    other = SessionLock(path)
    real = other._lock

    def tried(fd, **how):
        taken = real(fd, **how)
        if not taken:
            waiting.set()
        return taken

    other._lock = tried
    waiter = threading.Thread(target=other.acquire, args=(30,))
    waiter.start()
    assert waiting.wait(10)
    lock.release()
    waiter.join()
    assert not is_free(path)
    other.close()


def test_waits_grow_to_a_millisecond_and_end_at_the_deadline(lock, monkeypatch):
    now = [100.0]
    waits = []

    class Clock:
        monotonic = staticmethod(lambda: now[0])
        perf_counter_ns = staticmethod(lambda: int(now[0] * 1e9))

    class Never:
        def wait(self, seconds):
            waits.append(seconds)
            now[0] += seconds

    class Threading:
        Event = Never

    monkeypatch.setattr(lock_module, "time", Clock)
    monkeypatch.setattr(lock_module, "threading", Threading)
    tries = []

    def held(fd, blocking):
        tries.append(now[0])
        return False

    lock._lock = held
    with pytest.raises(BackendError, match=r"0\.05 s"):
        lock.acquire(0.05)
    assert tries[:5] == [100.0] * 5
    assert waits[0] < 0.000_1
    assert max(waits) <= 0.001_5
    assert tries[-1] == pytest.approx(100.05)
    assert len(set(waits)) > 10  # no two waiters march in step


def test_path_that_leads_elsewhere_is_noticed(lock, path):
    assert lock.path_changed() is False
    os.rename(path, path + ".old")
    assert lock.path_changed() is True
    new = SessionLock(path)
    assert lock.path_changed() is True
    assert new.path_changed() is False
    new.close()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_said_to_be_one(lock, monkeypatch, code):
    import fcntl

    def none(fd, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(BackendError, match="keeps no locks") as caught:
        lock.acquire(1)
    assert isinstance(caught.value.__cause__, OSError)


def test_other_refusals_are_told(lock, monkeypatch):
    import fcntl

    def broken(fd, operation):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(BackendError, match="cannot lock"):
        lock.acquire(1)
    with pytest.raises(BackendError, match="cannot unlock"):
        lock.release()


def test_refusal_while_waiting_is_told(lock):
    answers = iter([False, False])

    def then_broken(fd, blocking):
        for answer in answers:
            return answer
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    lock._lock = then_broken
    with pytest.raises(BackendError, match="cannot lock"):
        lock.acquire(30)


def test_child_that_closes_its_copy_leaves_the_lock_to_its_parent(path):
    code = """
import os, sys
from localstore.disk.lock import SessionLock
lock = SessionLock(sys.argv[1])
lock.acquire(1)
child = os.fork()
if child == 0:
    lock.close()
    os._exit(0)
os.waitpid(child, 0)
other = SessionLock(sys.argv[1])
try:
    other.acquire(0)
except Exception as error:
    print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout == "BackendError\n"


COUNT = """
import sys
from localstore.disk.lock import SessionLock
lock = SessionLock(sys.argv[1])
sys.stdin.readline()
for _ in range(200):
    lock.acquire(60)
    with open(sys.argv[2], "r+") as file:
        number = int(file.read())
        file.seek(0)
        file.write(str(number + 1))
    lock.release()
"""


@pytest.mark.race
def test_counter_under_the_lock_loses_no_count(path, tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    command = [sys.executable, "-c", COUNT, path, str(counter)]
    counters = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(4)]
    for process in counters:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.close()
    assert [process.wait() for process in counters] == [0, 0, 0, 0]
    assert counter.read_text() == "800"


def test_lock_package_is_imported_by_the_first_lock(path):
    code = """
import sys
import localstore.disk.lock
before = "filelock" in sys.modules
localstore.disk.lock.SessionLock(sys.argv[1])
print(before, "filelock" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
