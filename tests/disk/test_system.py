import errno
import fcntl
import os
import pickle
import resource
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from localstore import LocalStore
from localstore.contract.errors import BackendError, CorruptRecord
from localstore.disk import platforms
from localstore.disk.refusals import WriteFailed, backend_error
from localstore.disk.system import OPERATIONS, System, system
from localstore.testing import next_input


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "file")


@pytest.fixture
def opened(path):
    fd = system.open_write(path, True)
    yield fd
    os.close(fd)


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def refusing(code):
    def call(*arguments, **keywords):
        raise OSError(code, os.strerror(code))

    return call


def mode_of(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def content_of(path):
    with open(path, "rb") as file:
        return file.read()


def fill(path, content):
    with open(path, "wb") as file:
        file.write(content)


def descriptors():
    return sorted(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))


# Opening.


def make_symlink(path):
    fill(path + ".target", b"secret")
    os.symlink(path + ".target", path)


def make_dangling_symlink(path):
    os.symlink(path + ".target", path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind(path)


ODD = [make_symlink, make_dangling_symlink, os.mkfifo, os.mkdir, make_socket]
OPENERS: dict[str, Callable[[str], Any]] = {
    "read": system.open_read,
    "write": system.open_write,
    "create": lambda path: system.open_write(path, True),
    "append": lambda path: system.open_append(path, True),
    "read whole": system.read_file,
    "write over": lambda path: system.write_over_partial(path, b"x", False),
}


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("how", OPENERS)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, make, how, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    make("odd")
    before = sorted(os.listdir("."))
    kept = descriptors()
    with pytest.raises(BackendError, match=r"refused.*odd|odd.*refused"):
        OPENERS[how]("odd")
    assert descriptors() == kept
    assert sorted(os.listdir(".")) == before
    if make is make_symlink:
        assert content_of("odd.target") == b"secret"


@pytest.mark.parametrize("how", ["read", "write", "read whole"])
def test_missing_file_is_an_answer(path, how):
    with pytest.raises(FileNotFoundError):
        OPENERS[how](path)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277, 0o777])
def test_modes_do_not_depend_on_the_umask(folder, umask, mask):
    umask(mask)
    os.close(system.open_write(folder + "/created", True))
    os.close(system.open_append(folder + "/exclusive", True, True))
    system.write_new(folder + "/new", b"x", False)
    assert system.make_dir(folder + "/folder") is True
    for name in ("created", "exclusive", "new"):
        assert mode_of(f"{folder}/{name}") == 0o600
    assert mode_of(folder + "/folder") == 0o700


def test_exclusive_creation_refuses_what_exists(path):
    fill(path, b"before")
    with pytest.raises(FileExistsError):
        system.open_write(path, True, True)
    fd = system.open_write(path, True)
    assert system.pread(fd, 10, 0) == b"before"
    system.close(fd)


def test_creation_that_always_loses_the_race_ends(path, monkeypatch):
    def race(path, flags, mode=0o777):
        raise (FileExistsError if flags & os.O_EXCL else FileNotFoundError)(path)

    monkeypatch.setattr(os, "open", race)
    with pytest.raises(BackendError, match="comes and goes"):
        system.open_write(path, True)


def test_file_that_cannot_be_examined_is_closed_again(path, monkeypatch):
    fill(path, b"x")
    kept = descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", refusing(errno.EIO))
        with pytest.raises(BackendError, match="cannot open"):
            system.open_read(path)
    assert descriptors() == kept


def test_descriptors_are_not_inherited_by_other_programs(opened):
    assert os.get_inheritable(opened) is False


def test_windows_looks_for_symlinks_before_it_opens(path, monkeypatch):
    make_symlink(path)
    monkeypatch.setattr(platforms, "WINDOWS", True)
    monkeypatch.setattr(platforms, "SAFE_FLAGS", 0)
    for opening in OPENERS.values():
        with pytest.raises(BackendError, match="symbolic link"):
            opening(path)
    junction: Any = SimpleNamespace(st_mode=stat.S_IFDIR, st_reparse_tag=0xA0000003)
    assert platforms.is_link(junction)


# Reading and writing.


def test_writes_and_reads_at_offsets(opened):
    system.pwrite_all(opened, b"abcdef", 0)
    system.pwrite_all(opened, bytearray(b"XY"), 2)
    system.pwrite_all(opened, memoryview(b"-Z-")[1:2], 5)
    assert system.pread(opened, 100, 1) == b"bXYeZ"
    assert system.pread(opened, 0, 1) == b""
    assert system.pread(opened, 5, 6) == b""
    assert system.size(opened) == 6
    system.truncate(opened, 3)
    assert system.pread(opened, 100, 0) == b"abX"
    assert system.identity(opened) == (os.fstat(opened).st_dev, os.fstat(opened).st_ino)


def test_append_goes_to_the_end(path):
    fill(path, b"abc")
    fd = system.open_append(path)
    system.pwrite_all(fd, b"def", 0)
    system.close(fd)
    assert content_of(path) == b"abcdef"


def test_short_writes_and_reads_are_continued(opened, monkeypatch):
    monkeypatch.setattr(platforms, "pwrite", lambda fd, piece, offset: os.pwrite(fd, bytes(piece[:7]), offset))
    monkeypatch.setattr(platforms, "pread", lambda fd, n, offset: os.pread(fd, min(n, 5), offset))
    text = bytes(range(256))
    system.pwrite_all(opened, text, 3)
    assert system.pread(opened, 256, 3) == text
    assert system.pread(opened, 999, 3) == text


def test_platforms_without_offsets_seek(path):
    fd = system.open_write(path, True)
    assert platforms._seek_and_write(fd, b"abcdef", 0) == 6
    assert platforms._seek_and_write(fd, b"XY", 2) == 2
    assert platforms._seek_and_read(fd, 3, 1) == b"bXY"
    system.close(fd)


@pytest.mark.parametrize("stop", ["nothing more", errno.ENOSPC])
@pytest.mark.parametrize("before", [0, 1, 9])
def test_failed_write_tells_how_much_was_written(opened, path, before, stop, monkeypatch):
    def some(fd, piece, offset):
        left = before - offset
        if left > 0:
            return os.pwrite(fd, bytes(piece[: min(left, 4)]), offset)
        if stop == "nothing more":
            return 0
        raise OSError(stop, os.strerror(stop))

    monkeypatch.setattr(platforms, "pwrite", some)
    with pytest.raises(WriteFailed) as caught:
        system.pwrite_all(opened, b"0123456789", 0)
    assert caught.value.written == before
    assert path in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert pickle.loads(pickle.dumps(caught.value)).written == before
    assert content_of(path) == b"0123456789"[:before]


FULL = """
import resource, sys
from localstore.disk.refusals import WriteFailed
from localstore.disk.system import system
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
fd = system.open_write(sys.argv[1], True)
try:
    system.pwrite_all(fd, b"x" * 600, 600)
except WriteFailed as error:
    print(error.written, error.__cause__.errno)
"""


def test_file_that_may_not_grow_is_written_as_far_as_it_goes(path):
    done = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["400", str(errno.EFBIG)]
    assert os.path.getsize(path) == 1000


@pytest.mark.parametrize("size", [0, 1, 5000, 1_500_000])
def test_whole_file_is_read(path, size):
    fill(path, os.urandom(size))
    assert system.read_file(path, size) == content_of(path)


def test_file_over_the_limit_is_not_read(path):
    fill(path, b"x" * 11)
    kept = descriptors()
    with pytest.raises(CorruptRecord, match="11 bytes"):
        system.read_file(path, 10)
    assert descriptors() == kept


def test_file_that_grows_while_it_is_read_is_read_to_its_end(path, monkeypatch):
    fill(path, b"x" * 3000)
    real = os.fstat
    monkeypatch.setattr(os, "fstat", lambda fd: SimpleNamespace(st_mode=real(fd).st_mode, st_size=10))
    assert system.read_file(path, 3000) == b"x" * 3000
    with pytest.raises(CorruptRecord, match="2999"):
        system.read_file(path, 2999)


# Whole files.


def test_new_file_never_replaces_one(path):
    system.write_new(path, b"first", True)
    with pytest.raises(FileExistsError):
        system.write_new(path, b"second", True)
    assert content_of(path) == b"first"


@pytest.mark.parametrize("failing", ["pwrite", "flush_bytes"])
def test_new_file_that_fails_is_not_left_behind(path, failing, monkeypatch):
    kept = descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(platforms, failing, refusing(errno.ENOSPC))
        with pytest.raises(BackendError, match="free some space"):
            system.write_new(path, b"text", True)
    assert not os.path.exists(path)
    assert descriptors() == kept
    system.write_new(path, b"text", True)


def test_interrupted_new_file_is_not_left_behind(path, monkeypatch):
    def interrupt(fd, piece, offset):
        os.pwrite(fd, piece[:2], offset)
        raise KeyboardInterrupt

    kept = descriptors()
    monkeypatch.setattr(platforms, "pwrite", interrupt)
    with pytest.raises(KeyboardInterrupt):
        system.write_new(path, b"text", True)
    assert not os.path.exists(path)
    assert descriptors() == kept


def test_partial_file_is_written_anew(path):
    for left in (None, b"", b"te", b"text and more"):
        if left is not None:
            fill(path, left)
        system.write_over_partial(path, b"text", True)
        assert content_of(path) == b"text"


@pytest.mark.parametrize("flush", [True, False])
def test_new_file_is_flushed_when_asked(path, flush, monkeypatch):
    flushed = []
    monkeypatch.setattr(platforms, "flush_bytes", lambda fd: flushed.append(os.pread(fd, 100, 0)))
    system.write_new(path, b"one", flush)
    system.write_over_partial(path, b"two", flush)
    assert flushed == ([b"one", b"two"] if flush else [])


# Names.


def test_replace_takes_the_place_of_a_file(folder):
    fill(folder + "/a", b"new")
    fill(folder + "/b", b"old")
    system.replace(folder + "/a", folder + "/b")
    assert os.listdir(folder) == ["b"]
    assert content_of(folder + "/b") == b"new"
    with pytest.raises(FileNotFoundError):
        system.replace(folder + "/a", folder + "/b")


def test_folder_is_renamed_to_a_free_name_only(folder):
    os.makedirs(folder + "/a/inside")
    os.makedirs(folder + "/full/inside")
    os.mkdir(folder + "/empty")
    fill(folder + "/file", b"x")
    for taken in ("full", "file"):
        with pytest.raises(FileExistsError):
            system.rename_dir(folder + "/a", f"{folder}/{taken}")
    system.rename_dir(folder + "/a", folder + "/empty")
    system.rename_dir(folder + "/empty", folder + "/b")
    assert sorted(os.listdir(folder)) == ["b", "file", "full"]
    with pytest.raises(FileNotFoundError):
        system.rename_dir(folder + "/a", folder + "/c")


def links_refused(patch):
    patch.setattr(os, "link", refusing(errno.EPERM))


@pytest.mark.parametrize("prepare", [lambda patch: None, links_refused])
def test_file_is_published_under_a_free_name_only(folder, prepare, monkeypatch):
    prepare(monkeypatch)
    fill(folder + "/a", b"a")
    system.link_new(folder + "/a", folder + "/b")
    assert os.listdir(folder) == ["b"]
    assert os.stat(folder + "/b").st_nlink == 1
    fill(folder + "/c", b"c")
    with pytest.raises(FileExistsError):
        system.link_new(folder + "/c", folder + "/b")
    assert (content_of(folder + "/b"), content_of(folder + "/c")) == (b"a", b"c")


def test_unlink_removes_the_symlink_itself(path):
    make_symlink(path)
    system.unlink(path)
    assert not os.path.lexists(path)
    assert os.path.exists(path + ".target")
    with pytest.raises(FileNotFoundError):
        system.unlink(path)


def windows_error(code):
    error: Any = PermissionError(errno.EACCES, "Access is denied")
    error.winerror = code
    return error


CHANGES = {
    "replace": ("replace", lambda path: system.replace(path, path + ".new")),
    "unlink": ("unlink", system.unlink),
    "rename": ("rename", lambda path: system.rename_dir(path, path + ".new")),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("code", [5, 32, 33])
def test_file_that_is_held_open_for_a_moment_is_changed_a_moment_later(path, change, code, monkeypatch):
    call, run = CHANGES[change]
    monkeypatch.setattr(platforms, "_SHARING_WAITS_S", (0.0,) * 3)
    tries = []

    def busy(*paths):
        tries.append(paths)
        if len(tries) < 4:
            raise windows_error(code)

    monkeypatch.setattr(os, call, busy)
    run(path)
    assert len(tries) == 4


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("code, most", [(32, 4), (5, 4), (112, 1), (None, 1)])
def test_real_denial_surfaces(path, change, code, most, monkeypatch):
    call, run = CHANGES[change]
    monkeypatch.setattr(platforms, "_SHARING_WAITS_S", (0.0,) * 3)
    tries = []

    def denied(*paths):
        tries.append(paths)
        raise windows_error(code)

    monkeypatch.setattr(os, call, denied)
    with pytest.raises(BackendError, match="permission") as caught:
        run(path)
    assert len(tries) == most
    assert isinstance(caught.value.__cause__, PermissionError)


def test_waits_for_a_held_file_are_short():
    assert 0.1 < sum(platforms._SHARING_WAITS_S) < 1


# Folders.


def test_folder_is_made_once(folder):
    assert system.make_dir(folder + "/a") is True
    assert system.make_dir(folder + "/a") is False
    with pytest.raises(FileNotFoundError):
        system.make_dir(folder + "/missing/a")
    with pytest.raises(FileNotFoundError):
        system.check_dir(folder + "/missing")


@pytest.mark.parametrize("make", [make_symlink, make_dangling_symlink, os.mkfifo, lambda path: fill(path, b"x")])
def test_what_is_no_real_folder_is_refused(path, make):
    make(path)
    for call in (system.make_dir, system.check_dir, system.entries, system.listdir, system.flush_dir):
        with pytest.raises(BackendError, match="refused"):
            call(path)
    os.mkdir(path + ".real")
    os.symlink(path + ".real", path + ".link")
    for call in (system.make_dir, system.check_dir, system.entries, system.listdir, system.flush_dir):
        with pytest.raises(BackendError, match="refused"):
            call(path + ".link")


def test_entries_tell_folders_from_what_leads_to_them(folder):
    os.mkdir(folder + "/real")
    os.symlink(folder + "/real", folder + "/link")
    fill(folder + "/file", b"")
    assert sorted(system.entries(folder)) == [("file", False), ("link", False), ("real", True)]
    assert sorted(system.listdir(folder)) == ["file", "link", "real"]
    with pytest.raises(FileNotFoundError):
        system.listdir(folder + "/missing")


def test_stat_shows_the_symlink(path):
    make_symlink(path)
    assert stat.S_ISLNK(system.stat(path).st_mode)
    with pytest.raises(FileNotFoundError):
        system.stat(path + ".missing")


def test_tree_is_removed_without_following_symlinks(folder):
    os.makedirs(folder + "/tree/deep/er")
    os.mkdir(folder + "/outside")
    fill(folder + "/outside/file", b"x")
    os.symlink(folder + "/outside", folder + "/tree/deep/link")
    os.symlink(folder + "/outside/file", folder + "/tree/file")
    system.remove_tree(folder + "/tree")
    system.remove_tree(folder + "/tree")
    assert os.listdir(folder) == ["outside"]
    assert os.listdir(folder + "/outside") == ["file"]


@pytest.mark.parametrize("make", [make_symlink, lambda path: fill(path, b"x")])
def test_only_a_folder_is_removed_as_a_tree(path, make):
    make(path)
    with pytest.raises(BackendError, match="refused"):
        system.remove_tree(path)
    assert os.path.lexists(path)


REMOVER = """
import sys
from localstore.disk.system import system
sys.stdin.readline()
system.remove_tree(sys.argv[1])
"""


def test_several_processes_remove_one_tree(folder):
    for number in range(300):
        os.makedirs(f"{folder}/tree/{number % 7}", exist_ok=True)
        fill(f"{folder}/tree/{number % 7}/{number}", b"x")
    removers = [
        subprocess.Popen([sys.executable, "-c", REMOVER, folder + "/tree"], stdin=subprocess.PIPE) for _ in range(3)
    ]
    for remover in removers:
        assert remover.stdin is not None
        remover.stdin.write(b"go\n")
        remover.stdin.close()
    assert [remover.wait() for remover in removers] == [0, 0, 0]
    assert os.listdir(folder) == []


def test_tree_that_others_fill_again_and_again_is_given_up(path, monkeypatch):
    os.mkdir(path)
    tries = []

    def filled(tree):
        tries.append(tree)
        raise OSError(errno.ENOTEMPTY, "Directory not empty")

    monkeypatch.setattr("shutil.rmtree", filled)
    with pytest.raises(BackendError, match="remove the folder"):
        system.remove_tree(path)
    assert len(tries) == platforms.MAX_PASSES


# Flushing.


def test_flushes_reach_the_system(opened, folder, monkeypatch):
    calls = []
    monkeypatch.setattr(platforms, "datasync", lambda fd: calls.append("data"))
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append("all"))
    system.flush(opened)
    system.flush_file(opened)
    system.flush_dir(folder)
    assert calls == ["data", "all", "all"]


def flush_everything(opened, folder):
    system.flush(opened)
    system.flush_file(opened)
    system.flush_dir(folder)


def test_real_flushes_succeed(opened, folder):
    flush_everything(opened, folder)


def test_macos_flushes_the_drive(opened, folder, monkeypatch):
    commands = []
    monkeypatch.setattr(platforms, "F_FULLFSYNC", 51)
    monkeypatch.setattr(fcntl, "fcntl", lambda fd, command: commands.append(command))
    monkeypatch.setattr(os, "fsync", refusing(errno.EIO))
    monkeypatch.setattr(platforms, "datasync", refusing(errno.EIO))
    flush_everything(opened, folder)
    assert commands == [51, 51, 51]


def test_macos_file_system_without_drive_flush_gets_the_other(opened, folder, monkeypatch):
    flushed: list[int] = []
    monkeypatch.setattr(platforms, "F_FULLFSYNC", 51)
    monkeypatch.setattr(fcntl, "fcntl", refusing(errno.ENOTSUP))
    monkeypatch.setattr(os, "fsync", flushed.append)
    flush_everything(opened, folder)
    assert len(flushed) == 3


def test_failed_drive_flush_is_not_papered_over_by_another(opened, monkeypatch):
    flushed: list[int] = []
    monkeypatch.setattr(platforms, "F_FULLFSYNC", 51)
    monkeypatch.setattr(fcntl, "fcntl", refusing(errno.EIO))
    monkeypatch.setattr(os, "fsync", flushed.append)
    for flush in (system.flush, system.flush_file):
        with pytest.raises(BackendError, match="disk"):
            flush(opened)
    assert flushed == []


@pytest.mark.skipif(sys.platform != "linux", reason="no other system is asked")
def test_what_a_call_flushes_begins_to_be_written_before_the_wait_for_it(tmp_path, monkeypatch):
    asked: list[tuple[str, int]] = []
    advise, flush = os.posix_fadvise, platforms.datasync

    def spied_advice(fd: int, at: int, n: int, what: int) -> None:
        asked.append(("begin", n))
        advise(fd, at, n, what)

    def spied_flush(fd: int) -> None:
        asked.append(("flush", 0))
        flush(fd)

    with LocalStore(tmp_path / "store") as store:
        session = store.create_session("s")
        session.enqueue_pending_turn_input(next_input("the first", session_id="s"))
        monkeypatch.setattr(os, "posix_fadvise", spied_advice)
        monkeypatch.setattr(platforms, "datasync", spied_flush)
        session.enqueue_pending_turn_input(next_input("the second", session_id="s"))
        monkeypatch.undo()
    assert [what for what, _ in asked] == ["begin", "flush"]
    assert asked[0][1] > len("the second")


def test_the_beginning_of_a_flush_changes_nothing_and_is_no_promise(tmp_path):
    fd = system.open_write(str(tmp_path / "file"), True, True)
    system.pwrite_all(fd, b"written" * 1000, 0)
    system.start_flush(fd, 0, 7000)
    assert system.pread(fd, 8000, 0) == b"written" * 1000
    system.close(fd)
    system.start_flush(fd, 0, 7000)  # what is wrong is told by the flush


@pytest.mark.parametrize("code, fails", [(errno.EINVAL, False), (errno.EIO, True), (errno.ENOSPC, True)])
def test_file_systems_that_know_no_folder_flush_are_taken_as_they_are(folder, code, fails, monkeypatch):
    kept = descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refusing(code))
        if fails:
            with pytest.raises(BackendError, match="flush the folder"):
                system.flush_dir(folder)
        else:
            system.flush_dir(folder)
    assert descriptors() == kept
    with pytest.raises(FileNotFoundError):
        system.flush_dir(folder + "/missing")


def test_windows_needs_no_folder_flush(folder, monkeypatch):
    monkeypatch.setattr(platforms, "WINDOWS", True)
    monkeypatch.setattr(os, "fsync", refusing(errno.EACCES))
    system.flush_dir(folder)


# What the system refuses.

REFUSALS = {
    "open_read": ("os.open", lambda path, fd: system.open_read(path)),
    "open_write": ("os.open", lambda path, fd: system.open_write(path, True)),
    "open_append": ("os.open", lambda path, fd: system.open_append(path, True, True)),
    "size": ("os.fstat", lambda path, fd: system.size(fd)),
    "identity": ("os.fstat", lambda path, fd: system.identity(fd)),
    "pread": ("localstore.disk.platforms.pread", lambda path, fd: system.pread(fd, 1, 0)),
    "pwrite_all": ("localstore.disk.platforms.pwrite", lambda path, fd: system.pwrite_all(fd, b"x", 0)),
    "truncate": ("os.ftruncate", lambda path, fd: system.truncate(fd, 0)),
    "flush": ("localstore.disk.platforms.datasync", lambda path, fd: system.flush(fd)),
    "flush_file": ("os.fsync", lambda path, fd: system.flush_file(fd)),
    "read_file": ("os.read", lambda path, fd: system.read_file(path)),
    "write_new": ("os.open", lambda path, fd: system.write_new(path + "/x", b"x", False)),
    "write_over_partial": ("os.ftruncate", lambda path, fd: system.write_over_partial(path, b"x", False)),
    "replace": ("os.replace", lambda path, fd: system.replace(path + ".tmp", path)),
    "rename_dir": ("os.rename", lambda path, fd: system.rename_dir(path + ".tmp", path + ".new")),
    "unlink": ("os.unlink", lambda path, fd: system.unlink(path)),
    "touch": ("os.utime", lambda path, fd: system.touch(path)),
    "make_dir": ("os.mkdir", lambda path, fd: system.make_dir(path + ".dir")),
    "remove_tree": ("shutil.rmtree", lambda path, fd: system.remove_tree(os.path.dirname(path))),
    "flush_dir": ("os.open", lambda path, fd: system.flush_dir(path)),
    "stat": ("os.lstat", lambda path, fd: system.stat(path)),
    "check_dir": ("os.lstat", lambda path, fd: system.check_dir(path)),
    "entries": ("os.scandir", lambda path, fd: system.entries(os.path.dirname(path))),
}
ADVICE = {
    errno.ENOSPC: "space",
    errno.EDQUOT: "space",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.EROFS: "permission",
    errno.EMFILE: "descriptors",
    errno.ENFILE: "descriptors",
    errno.EIO: "disk",
    errno.EUCLEAN if hasattr(errno, "EUCLEAN") else errno.ESTALE: "file system",
}


@pytest.mark.parametrize("operation", REFUSALS)
@pytest.mark.parametrize("code", ADVICE)
def test_refusal_says_what_where_and_what_to_do(opened, path, operation, code, monkeypatch):
    target, run = REFUSALS[operation]
    with monkeypatch.context() as patch:
        patch.setattr(target, refusing(code))
        with pytest.raises(BackendError) as caught:
            run(path, opened)
    message = str(caught.value)
    assert message.startswith("cannot ")
    assert os.path.dirname(path) in message
    assert os.strerror(code) in message
    assert ADVICE[code] in message
    cause = caught.value.__cause__
    assert isinstance(cause, OSError)
    assert cause.errno == code


def test_link_refused_for_another_reason_is_no_missing_feature(folder, monkeypatch):
    fill(folder + "/a", b"a")
    monkeypatch.setattr(os, "link", refusing(errno.ENOSPC))
    with pytest.raises(BackendError, match="free some space"):
        system.link_new(folder + "/a", folder + "/b")
    assert os.listdir(folder) == ["a"]


def test_failed_close_is_told(opened, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", refusing(errno.EIO))
        with pytest.raises(BackendError, match="close"):
            system.close(opened)


def test_closed_descriptor_has_no_path_any_more(path):
    fd = system.open_write(path, True)
    system.close(fd)
    with pytest.raises(BackendError, match=f"descriptor {fd}"):
        system.pread(fd, 1, 0)


def test_process_without_free_descriptors_is_told_so(path):
    fill(path, b"x")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(name) for name in descriptors()) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, limits[1]))
    taken: list[int] = []
    try:
        while len(taken) < used:
            try:
                taken.append(os.open(path, os.O_RDONLY))
            except OSError:
                break
        with pytest.raises(BackendError, match="too many open files"):
            system.read_file(path)
        with pytest.raises(BackendError, match="too many open files"):
            system.write_new(path + ".new", b"x", False)
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert system.read_file(path) == b"x"
    assert not os.path.exists(path + ".new")


# Redirection.


class Recording(System):
    def __init__(self):
        self.calls = []

    def pwrite_all(self, fd, data, offset):
        self.calls.append(("pwrite_all", bytes(data)))
        super().pwrite_all(fd, data, offset)

    def unlink(self, path):
        self.calls.append(("unlink", path))
        super().unlink(path)


class Full(System):
    def pwrite_all(self, fd, data, offset):
        raise backend_error("write", "the file", OSError(errno.ENOSPC, "full"))


def test_operations_are_redirected_while_another_system_is_installed(folder):
    recording = Recording()
    with system.installed(recording):
        system.write_new(folder + "/a", b"text", False)
        with system.installed(Full()), pytest.raises(BackendError):
            system.write_new(folder + "/b", b"text", False)
        system.unlink(folder + "/a")
    system.write_new(folder + "/c", b"text", False)
    assert recording.calls == [("pwrite_all", b"text"), ("unlink", folder + "/a")]
    assert os.listdir(folder) == ["c"]
    assert vars(system) == {}


def test_every_public_method_is_an_operation():
    public = {name for name in dir(System) if not name.startswith("_")}
    assert set(OPERATIONS) == public - {"installed"}


def test_threads_write_one_file_at_their_offsets(opened):
    def write(number):
        for _ in range(50):
            system.pwrite_all(opened, bytes([number]) * 100, number * 100)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert system.pread(opened, 800, 0) == b"".join(bytes([number]) * 100 for number in range(8))
