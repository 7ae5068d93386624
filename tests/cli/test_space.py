"""`localstore du`: the sums are those of the file system, and what is shared counts once."""

import os
import shutil
import subprocess

import pytest

from localstore import AttachmentCreateMeta
from localstore.cli import ExitCode
from localstore.disk.space import KINDS, measure
from localstore.testing.builders import next_input, node, wake
from tests.commits import commit


def truth(*folders):
    """The length of every file and folder below, each inode once."""
    seen = {}
    for top in folders:
        for path, _, files in os.walk(top):
            for name in (path, *(os.path.join(path, each) for each in files)):
                status = os.lstat(name)
                seen[status.st_dev, status.st_ino] = status.st_size
    return sum(seen.values())


def fill(session, size):
    big = type(node("n"))("n", None, "2026-01-01T00:00:00Z", {"kind": "event", "text": "x" * size})
    commit(session, big)
    session.checkpoint()


@pytest.fixture
def full(store, session):
    """A session with a fork, one in the trash with a fork of its own, queues and an attachment."""
    fill(session, 300_000)
    session.enqueue_pending_turn_input(next_input("text"))
    session.enqueue_queued_work(wake("ring"))
    session.fork("child")
    other = store.create_session("other")
    fill(other, 100_000)
    other.fork("other-child")
    store.delete_session("other")
    store.attachments.put(b"\x89PNG" * 1000, AttachmentCreateMeta("image/png"))
    return store


def test_the_sums_are_the_file_systems(run, root, full):
    told = run("du", "--json").json
    assert told["total_bytes"] == truth(root)
    assert told["attachment_bytes"] == truth(root / "attachments")
    assert told["session_bytes"] == truth(root / "sessions")
    assert told["trash_bytes"] == truth(root / "trash", root / "sessions") - truth(root / "sessions")
    parts = ("session_bytes", "trash_bytes", "attachment_bytes", "other_bytes")
    assert sum(told[part] for part in parts) == told["total_bytes"]


@pytest.mark.skipif(shutil.which("du") is None, reason="there is no du")
def test_du_says_the_same(run, root, full):
    done = subprocess.run(["du", "-s", "--apparent-size", "--block-size=1", root], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this du has no --apparent-size")
    expected = int(done.stdout.split()[0])
    assert abs(run("du", "--json").json["total_bytes"] - expected) <= expected / 100


def test_each_session_by_kind(run, root, full):
    rows = {(row["session_id"], row["is_trashed"]): row for row in run("du", "--json").json["sessions"]}
    assert set(rows) == {("session-1", False), ("child", False), ("other", True), ("other-child", False)}
    for row in rows.values():
        assert list(row["kinds"]) == list(KINDS)
        assert row["total_bytes"] == sum(row["kinds"].values()) == truth(root / row["folder"])
    parent, child = rows["session-1", False], rows["child", False]
    assert parent["shared_bytes"] == child["shared_bytes"] > 300_000
    assert parent["shared_bytes"] <= parent["kinds"]["nodes"]
    assert rows["other", True]["shared_bytes"] == rows["other-child", False]["shared_bytes"] > 100_000
    assert parent["kinds"]["journals"] + parent["kinds"]["queues"] > 0
    assert child["kinds"]["queues"] == child["kinds"]["blobs"] == 0


def test_the_table(run, full):
    lines = run("du").lines
    assert lines[0].split() == ["SESSION", "SIZE", "NODES", "BLOBS", "QUEUES", "JOURNALS", "REST", "SHARED"]
    assert any(line.startswith("other (in the trash) ") for line in lines)
    assert [line.split()[0] for line in lines[-5:]] == ["sessions", "trash", "attachments", "other", "total"]


def test_one_session(run, full):
    result = run("du", "session-1", "--json")
    assert [row["session_id"] for row in result.json["sessions"]] == ["session-1"]
    assert [line.split()[0] for line in run("du", "session-1").lines if line] == ["SESSION", "session-1"]
    assert run("du", "nobody").code == ExitCode.NOT_FOUND


def test_what_is_not_ours_counts_too(run, root, session):
    [folder] = (root / "sessions").iterdir()
    (folder / "quarantine").mkdir()
    (folder / "quarantine" / "x.bad").write_bytes(b"x" * 10)
    (folder / "notes.txt").write_bytes(b"x" * 1000)
    (root / "notes").mkdir()
    (root / "notes" / "more.txt").write_bytes(b"x" * 5000)
    (root / "link").symlink_to(root / "notes")
    [row] = run("du", "--json").json["sessions"]
    assert (row["kinds"]["quarantine"], row["kinds"]["other"]) == (10, 1000)
    assert run("du", "--json").json["total_bytes"] == truth(root) + os.lstat(root / "link").st_size


@pytest.mark.damaged
def test_a_session_whose_head_is_lost(root, session):
    [folder] = (root / "sessions").iterdir()
    (folder / "head.json").unlink()
    assert [each.session_id for each in measure(str(root)).sessions] == ["session-1"]
    (folder / "meta.json").write_bytes(b"{")
    assert [each.session_id for each in measure(str(root)).sessions] == [None]
