"""`localstore doctor`: where the store lies, who is at it, what was left behind."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from localstore import LeaseOwnerIdentity
from localstore.cli import ExitCode
from localstore.disk import diagnosis, filesystems, names
from localstore.disk.filesystems import FileSystem, file_system, synced_by
from localstore.disk.lock import SessionLock
from tests.cli.sample import dead_owner, pid_of

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")


@pytest.fixture(autouse=True)
def a_good_place(monkeypatch):
    """As on a machine with nothing to complain of, whatever this one is like."""
    monkeypatch.setattr(diagnosis, "file_system", lambda path: FileSystem("ext4", "/", False, False, 1 << 40))
    monkeypatch.setattr(diagnosis, "limits", lambda: diagnosis.Limits(1024, 4096, 100_000, 128, True))


def kinds(run):
    result = run("doctor", "--json")
    return result.code, [(each["severity"], each["kind"]) for each in result.json["findings"]]


def folder_of(root):
    [folder] = (root / names.SESSIONS).iterdir()
    return folder


def test_nothing_to_complain_of(run, root, session):
    result = run("doctor")
    assert (result.code, result.lines[-1]) == (ExitCode.OK, "no findings")
    assert run("doctor", "--json").json == {
        "record": "diagnosis",
        "schema_version": 1,
        "root": str(root),
        "file_system": {
            "type": "ext4",
            "mount_point": "/",
            "is_network": False,
            "is_passing": False,
            "synced_by": None,
            "free_bytes": 1 << 40,
        },
        "limits": {
            "open_files": 1024,
            "open_files_hard": 4096,
            "inotify_watches": 100_000,
            "inotify_instances": 128,
            "has_watchdog": True,
        },
        "holders": [],
        "findings": [],
    }


def test_who_has_the_lease(run, session):
    ghost = dead_owner("ghost")
    session.try_claim_session_execution_lease("session-1", ghost, 60_000)
    result = run("doctor", "--json")
    [holder] = result.json["holders"]
    assert result.code == ExitCode.OK
    assert (holder["session_id"], holder["holder"], holder["locked_by"]) == ("session-1", "dead", None)
    assert holder["owner"]["process"]["pid"] == pid_of(ghost)
    assert "session-1: ghost holds the lease; dead: no process has pid" in run("doctor").out


def test_a_lease_that_expired(run, session):
    session.try_claim_session_execution_lease("session-1", LeaseOwnerIdentity.opaque("me", "1"), 0)
    assert "me held the lease, which has expired; unknown: " in run("doctor").out


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who has a lock")
def test_who_is_in_the_midst_of_a_call(run, root, session):
    lock = SessionLock(str(folder_of(root) / names.LOCK))
    lock.acquire(10)
    try:
        [holder] = run("doctor", "--json").json["holders"]
        assert (holder["locked_by"], holder["owner"]) == (os.getpid(), None)
        assert f"session-1: process {os.getpid()} is in the midst of a call" in run("doctor").out
    finally:
        lock.release()
        lock.close()


def test_what_was_left_behind(run, root, session):
    folder = folder_of(root)
    leftover = folder / names.temporary(names.HEAD)
    leftover.write_bytes(b"half")
    leftover.chmod(0o600)
    assert kinds(run) == (ExitCode.OK, [("info", "leftover")])
    beside = root / names.temporary(names.STORE)
    beside.write_bytes(b"half")
    beside.chmod(0o600)
    os.utime(beside, (0, 0))
    assert [found for _, found in kinds(run)[1]] == ["leftover", "leftover"]
    assert not beside.exists()


@pytest.mark.damaged
def test_what_was_set_aside_and_conflicted_copies(run, root, session):
    folder = folder_of(root)
    (folder / names.QUARANTINE).mkdir(mode=0o700)
    (folder / names.QUARANTINE / names.quarantined(names.LEASE)).write_bytes(b"?\n")
    (folder / "head (conflicted copy 2026-01-01).json").write_bytes(b"{}")
    code, found = kinds(run)
    assert code == ExitCode.FINDINGS
    assert sorted(found) == [("warning", "conflicted_copy"), ("warning", "quarantined")]
    assert "keep the store out of synchronised folders" in run("doctor").out


@POSIX
def test_modes_that_let_others_in(run, root, session):
    (folder_of(root) / names.HEAD).chmod(0o644)
    root.chmod(0o777)
    code, found = kinds(run)
    assert (code, found) == (ExitCode.FINDINGS, [("warning", "permissions")] * 2)
    root.chmod(0o1777)
    assert len(kinds(run)[1]) == 1


@POSIX
def test_a_store_of_somebody_else(run, root, session, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert set(kinds(run)[1]) == {("warning", "owner")}


def test_a_damaged_session_does_not_hide_the_rest(run, root, store, session):
    folder = folder_of(root)
    head = (folder / names.HEAD).read_bytes()
    store.create_session("other")
    (folder / names.HEAD).write_bytes(head[:-20])
    code, found = kinds(run)
    assert (code, found) == (ExitCode.FINDINGS, [("error", "damaged_session")])
    (folder / names.HEAD).write_bytes(head)


GOOD = FileSystem("ext4", "/", False, False, 1 << 40)


@pytest.mark.parametrize(
    "place, code, kind",
    [
        (replace(GOOD, type="nfs4", is_network=True), ExitCode.FINDINGS, "network_file_system"),
        (replace(GOOD, type="tmpfs", is_passing=True), ExitCode.OK, "passing_file_system"),
        (replace(GOOD, free_bytes=1000), ExitCode.FINDINGS, "disk_full"),
        (replace(GOOD, free_bytes=None), ExitCode.OK, None),
    ],
)
def test_places_to_tell_of(run, session, monkeypatch, place, code, kind):
    monkeypatch.setattr(diagnosis, "file_system", lambda path: place)
    found = kinds(run)
    assert (found[0], [each for _, each in found[1]]) == (code, [kind] if kind else [])


@pytest.mark.parametrize(
    "limits, code, kind",
    [
        (diagnosis.Limits(256, 4096, 1, 128, True), ExitCode.FINDINGS, "open_files_limit"),
        (diagnosis.Limits(None, None, None, None, False), ExitCode.OK, "no_watchdog"),
        (diagnosis.Limits(1024, 4096, 1000, 10, True), ExitCode.OK, "inotify_limit"),
        (diagnosis.Limits(None, None, None, None, True), ExitCode.OK, None),
    ],
)
def test_limits_to_tell_of(run, session, monkeypatch, limits, code, kind):
    monkeypatch.setattr(diagnosis, "limits", lambda: limits)
    found = kinds(run)
    assert (found[0], [each for _, each in found[1]]) == (code, [kind] if kind else [])


def test_a_synchronised_folder(run, root, session, monkeypatch):
    (root.parent / ".stfolder").mkdir()
    assert kinds(run) == (ExitCode.FINDINGS, [("warning", "synced_folder")])


@pytest.mark.parametrize(
    "path, tool",
    [
        ("Dropbox/agents/store", "Dropbox"),
        ("Dropbox (Personal)/store", "Dropbox"),
        ("OneDrive - Company/store", "OneDrive"),
        ("Library/Mobile Documents/com~apple~CloudDocs/store", "iCloud"),
        ("Library/CloudStorage/GoogleDrive-me@example.org/store", "Google Drive"),
        ("Nextcloud/store", "Nextcloud"),
        ("dropbox-tools/store", None),
        ("my onedrive notes/store", None),
    ],
)
def test_folders_by_what_they_are_called(tmp_path, path, tool):
    assert synced_by(str(tmp_path / path)) == tool


@pytest.mark.parametrize(
    "mounts, expected",
    [
        ([("/", "ext4", "rw")], ("ext4", "/", False)),
        ([("/", "ext4", "rw"), ("{}", "nfs4", "rw")], ("nfs4", "{}", True)),
        ([("{}", "nfs4", "rw"), ("/", "ext4", "rw")], ("nfs4", "{}", True)),
        ([("/", "overlay", "rw"), ("{}", "xfs", "rw"), ("{}", "fuse.sshfs", "rw")], ("fuse.sshfs", "{}", True)),
        ([("/", "NTFS", "rw,remote")], ("NTFS", "/", True)),
        ([("/", "ext4", "rw"), ("{}x", "nfs4", "rw")], ("ext4", "/", False)),
        ([], ("", os.path.abspath(os.sep), False)),
    ],
)
@POSIX
def test_the_file_system_of_a_folder(tmp_path, monkeypatch, mounts, expected):
    import psutil

    real = os.path.realpath(tmp_path)
    rows = [(kind, where.format(real), options) for where, kind, options in mounts]

    def partitions(all):
        named = [
            type("Row", (), {"fstype": kind, "mountpoint": where, "opts": options}) for kind, where, options in rows
        ]
        return named if all else []

    monkeypatch.setattr(psutil, "disk_partitions", partitions)
    found = file_system(str(tmp_path / "not made yet"))
    assert (found.type, found.mount_point, found.is_network) == (expected[0], expected[1].format(real), expected[2])


def test_this_machine_is_told_as_it_is(tmp_path):
    found = filesystems.file_system(str(tmp_path))
    assert os.path.ismount(found.mount_point)
    assert found.free_bytes is not None
    assert found.free_bytes > 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_limits_of_this_process():
    code = "from localstore.disk.diagnosis import limits; print(limits().open_files, limits().has_watchdog)"
    script = f'ulimit -S -n 200; exec "{sys.executable}" -c "{code}"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "200 True\n"
