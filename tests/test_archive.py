"""A session out to one file and in from it: all of it or nothing, with the same ids, every byte of it checked."""

import dataclasses
import os
import tarfile
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest

from localstore import (
    AttachmentCreateMeta,
    AttachmentIntent,
    BackendError,
    CorruptRecord,
    FullGraph,
    HydratedSessionCheckpoint,
    InMemoryStore,
    InvalidArgument,
    LocalStore,
    OnConflict,
    SessionExists,
    SessionNotFound,
)
from localstore.disk.check import check_store
from localstore.disk.system import System, system
from localstore.importers import read_transcript_file
from localstore.testing.builders import command, frame, next_input, node, said, usage
from localstore.testing.builders import owner as an_owner
from localstore.transcripts import put_transcript
from tests.cli.sample import TRANSCRIPTS
from tests.commits import commit

SESSION = "session-1"


def reached(store, session_id) -> Any:
    """The session, which must exist."""
    session = store.open_session(session_id)
    assert session is not None
    return session


def everything(session):
    """All that the contract tells of a session, but for who is at work on it."""
    session_id = session.session_id
    return {
        "loaded": session.load_session(FullGraph()),
        "meta": session.load_session_meta(),
        "head": session.load_session_head(),
        "inputs": session.list_pending_turn_inputs(session_id),
        "work": session.list_queued_work(session_id),
        "branches": session.branches(),
        "moves": session.head_log(),
        "uncommitted": session.list_uncommitted(2**53 - 1),
    }


def listed(store, session_id):
    (row,) = [row for row in store.list_sessions() if row.session_id == session_id]
    return dataclasses.replace(row, size_bytes=0)


@pytest.fixture
def store(tmp_path):
    with LocalStore(tmp_path / "one") as opened:
        yield opened


@pytest.fixture
def other(tmp_path):
    with LocalStore(tmp_path / "two") as opened:
        yield opened


@pytest.fixture
def session(store):
    """Nodes, a hidden one, values small and large, an attachment, a branch, input and work."""
    made = store.create_session(SESSION, session_name="A session", model="m", cwd="/somewhere")
    first = said("n1", None, "hello\n\u2028 w\u00f6rld")
    large = HydratedSessionCheckpoint(execution_state=os.urandom(100_000), tool_state={"big": "x" * 40_000})
    ref = store.attachments.put(b"a picture", AttachmentCreateMeta("image/png", 1, 2, "p"))
    made.record_intent(AttachmentIntent(ref.id, SESSION, "file:///p.png", 5))
    spent = (usage("s", "m", 5),)
    first_frame = (frame("f", session_id=SESSION),)
    more = {"checkpoint": large, "agent_frames": first_frame, "usage_deltas": spent}
    commit(made, first, node("n2", "n1"), node("gone", "n1"), leaf="n2", **more)
    made.tombstone_nodes(["gone"])
    made.commit_refs(SESSION, [ref.id])
    commit(made, node("n3", "n2"))
    made.create_branch("idea", at="n1")
    made.enqueue_pending_turn_input(next_input("wait for me"))
    made.enqueue_queued_work(command())
    return made


class TestRoundTrip:
    def test_brings_all_of_it_elsewhere(self, store, other, session, tmp_path):
        before, row = everything(session), listed(store, SESSION)
        info = store.export_session(SESSION, tmp_path / "s.tar")
        assert (info.session_id, info.session_name, info.attachment_count) == (SESSION, "A session", 1)
        assert info.size_bytes == (tmp_path / "s.tar").stat().st_size
        imported = other.import_session(tmp_path / "s.tar")
        assert everything(imported) == before
        assert listed(other, SESSION) == row
        attachment_id = sha256(b"a picture").hexdigest()
        assert other.attachments.get(attachment_id) == store.attachments.get(attachment_id)
        assert imported.changes().changes[-1].seq == session.changes().changes[-1].seq

    def test_goes_on_from_there(self, store, other, session, tmp_path):
        store.export_session(SESSION, tmp_path / "s.tar")
        imported = other.import_session(tmp_path / "s.tar")
        commit(imported, node("n4", "n3"))
        assert imported.load_session_head().leaf_node_id == "n4"
        assert session.load_session_head().leaf_node_id == "n3"
        other.close()
        with LocalStore(tmp_path / "two") as again:
            assert reached(again, SESSION).load_node("n4") is not None

    def test_of_a_session_with_nothing_in_it(self, store, other, tmp_path):
        store.create_session("empty")
        store.export_session("empty", tmp_path / "s.tar")
        assert other.import_session(tmp_path / "s.tar").load_session_head() is None

    def test_of_an_export_of_an_import(self, store, other, session, tmp_path):
        store.export_session(SESSION, tmp_path / "s.tar")
        other.import_session(tmp_path / "s.tar")
        before = everything(session)
        other.export_session(SESSION, tmp_path / "t.tar")
        with LocalStore(tmp_path / "three") as third:
            assert everything(third.import_session(tmp_path / "t.tar")) == before

    def test_releases_the_lease_and_the_claims(self, store, other, session, tmp_path):
        lease = session.try_claim_session_execution_lease(SESSION, an_owner(), 60_000).acquired()
        assert session.claim_next_turn_inputs(SESSION, lease.fence(), an_owner(), 60_000, 1) is not None
        store.export_session(SESSION, tmp_path / "s.tar")
        imported = other.import_session(tmp_path / "s.tar")
        assert imported.get_session_execution_lease(SESSION) is None
        again = imported.try_claim_session_execution_lease(SESSION, an_owner("w2"), 60_000).acquired()
        assert again.fencing_token > lease.fencing_token
        assert imported.claim_next_turn_inputs(SESSION, again.fence(), an_owner("w2"), 60_000, 1) is not None

    @pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.name)
    def test_of_recorded_transcripts(self, store, other, tmp_path, path):
        transcript = read_transcript_file(path)
        put_transcript(store, transcript, path.name)
        session_id = transcript.session_id
        store.export_session(session_id, tmp_path / "s.tar")
        assert everything(other.import_session(tmp_path / "s.tar")) == everything(reached(store, session_id))

    def test_can_be_looked_at_with_tar(self, store, session, tmp_path):
        store.export_session(SESSION, tmp_path / "s.tar")
        with tarfile.open(tmp_path / "s.tar", "r:") as archive:
            members = archive.getnames()
        assert (members[0], members[-1]) == ("manifest.json", "manifest.sha256")
        assert len(members) == len(set(members)) > 8

    def test_leaves_nothing_else_behind(self, store, session, tmp_path):
        store.export_session(SESSION, tmp_path / "s.tar")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "s.tar"]


class TestConflicts:
    @pytest.fixture
    def archive(self, store, session, tmp_path):
        store.export_session(SESSION, tmp_path / "s.tar")
        return tmp_path / "s.tar"

    def test_a_session_in_which_nothing_happened_yet(self, store, other, tmp_path):
        store.create_session("new")
        store.export_session("new", tmp_path / "new.tar")
        for _ in range(2):
            assert other.import_session(tmp_path / "new.tar").session_id == "new"
        commit(reached(other, "new"), node("n1"))
        with pytest.raises(SessionExists):
            other.import_session(tmp_path / "new.tar")

    def test_the_same_again_changes_nothing(self, other, archive):
        first = other.import_session(archive)
        commit(first, node("later", "n3"))
        second = other.import_session(archive)
        assert second.load_node("later") is not None
        assert len(other.list_sessions()) == 1

    def test_where_it_came_from_changes_nothing(self, store, session, archive):
        assert everything(store.import_session(archive)) == everything(session)

    def test_another_session_of_the_id(self, other, archive):
        mine = other.create_session(SESSION)
        commit(mine, node("mine"))
        with pytest.raises(SessionExists):
            other.import_session(archive)
        assert other.import_session(archive, on_conflict=OnConflict.SKIP).load_node("mine") is not None
        assert [row.session_id for row in other.list_sessions()] == [SESSION]
        renamed = other.import_session(archive, on_conflict=OnConflict.RENAME)
        assert renamed.session_id == f"{SESSION}-2"
        assert other.import_session(archive, on_conflict=OnConflict.RENAME).session_id == f"{SESSION}-2"
        assert mine.load_node("mine") is not None

    def test_another_session_of_the_id_with_as_many_records(self, other, session, archive):
        mine = other.create_session(SESSION)
        while len(mine.changes().changes) <= len(session.changes().changes):
            mine.enqueue_pending_turn_input(next_input("hello"))
        with pytest.raises(SessionExists):
            other.import_session(archive)

    def test_another_id(self, other, session, archive):
        renamed = other.import_session(archive, session_id="new name")
        read, original = renamed.load_session(FullGraph()), session.load_session(FullGraph())
        assert read.session_id == "new name"
        assert (read.graph, read.checkpoint) == (original.graph, original.checkpoint)
        (waiting,) = renamed.list_pending_turn_inputs("new name")
        assert waiting.session_id == "new name"
        (batch,) = renamed.list_queued_work("new name")
        assert batch.session_id == "new name"
        other.close()
        with LocalStore(other.root) as again:
            opened = reached(again, "new name")
            assert opened.list_pending_turn_inputs("new name") == (waiting,)
            lease = opened.try_claim_session_execution_lease("new name", an_owner(), 60_000).acquired()
            assert opened.claim_next_turn_inputs("new name", lease.fence(), an_owner(), 60_000, 1) is not None
            assert opened.list_uncommitted(2**53 - 1) == ()

    def test_of_one_in_the_trash_there_is_none(self, store, session, archive):
        store.delete_session(SESSION)
        imported = store.import_session(archive)
        assert imported.load_node("n3") is not None
        with pytest.raises(SessionNotFound):
            session.load_node("n3")
        assert [entry.session_id for entry in store.trash()] == [SESSION]


class TestRefusals:
    @pytest.fixture
    def archive(self, store, session, tmp_path):
        store.export_session(SESSION, tmp_path / "s.tar")
        return tmp_path / "s.tar"

    def refused(self, other, path):
        before = sorted(other.root.rglob("*"))
        with pytest.raises(CorruptRecord):
            other.import_session(path)
        assert sorted(other.root.rglob("*")) == before

    def test_every_truncation(self, other, archive, tmp_path):
        raw = archive.read_bytes()
        for size in (0, 1, 511, 512, 513, 5_000, len(raw) // 2, len(raw) - 1025, len(raw) - 1024, len(raw) - 1):
            (tmp_path / "cut.tar").write_bytes(raw[:size])
            self.refused(other, tmp_path / "cut.tar")
        (tmp_path / "cut.tar").write_bytes(raw + b"\0")
        self.refused(other, tmp_path / "cut.tar")

    def test_flipped_bytes_of_what_says_something(self, other, archive, tmp_path):
        raw = archive.read_bytes()
        with tarfile.open(archive, "r:") as found:
            spans = [(each.offset_data, each.size) for each in found.getmembers()]
        for start, size in spans:
            for at in {start, start + size // 2, start + size - 1}:
                damaged = bytearray(raw)
                damaged[at] ^= 0x20
                (tmp_path / "flip.tar").write_bytes(damaged)
                self.refused(other, tmp_path / "flip.tar")

    @pytest.mark.parametrize("name", ["../evil", "/etc/evil", "session/../../evil", "session/nodes/x", "session/lock"])
    def test_names_that_lead_elsewhere(self, other, archive, tmp_path, name):
        self.refused(other, repacked(archive, tmp_path / "evil.tar", lambda member: set_name(member, name)))
        assert not list(tmp_path.rglob("evil"))

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
    def test_what_is_no_regular_file(self, other, archive, tmp_path, kind):
        def change(member):
            member.type, member.linkname = kind, "/etc/passwd"

        self.refused(other, repacked(archive, tmp_path / "evil.tar", change))

    def test_what_is_no_archive_at_all(self, other, tmp_path):
        (tmp_path / "x").write_bytes(os.urandom(4096))
        self.refused(other, tmp_path / "x")
        with pytest.raises(InvalidArgument):
            other.import_session(tmp_path / "nowhere")
        with pytest.raises(BackendError):
            other.import_session(tmp_path)

    def test_a_manifest_that_promises_what_its_author_likes(self, other, archive, tmp_path):
        from localstore.disk.archives import KIND, ArchiveReader
        from localstore.disk.files import seal

        reader = ArchiveReader(str(archive))
        manifest = reader.manifest
        reader.close()
        members = (dataclasses.replace(manifest.members[0], name="session/../../evil"), *manifest.members[1:])
        raw = seal(KIND, dataclasses.replace(manifest, members=members))
        header = tarfile.TarInfo("manifest.json")
        header.size = len(raw)
        (tmp_path / "evil.tar").write_bytes(header.tobuf(tarfile.USTAR_FORMAT) + raw + bytes(-len(raw) % 512))
        descriptors = getattr(psutil.Process(), "num_fds", int)
        held = descriptors()
        self.refused(other, tmp_path / "evil.tar")
        assert descriptors() == held

    def test_exports_over_what_exists_and_of_what_does_not(self, store, session, archive, tmp_path):
        before = archive.read_bytes()
        with pytest.raises(InvalidArgument):
            store.export_session(SESSION, archive)
        assert archive.read_bytes() == before
        with pytest.raises(InvalidArgument):
            store.export_session(SESSION, tmp_path / "nowhere" / "s.tar")
        with pytest.raises(SessionNotFound):
            store.export_session("nobody", tmp_path / "t.tar")

    @pytest.mark.damaged
    def test_damage_is_not_exported(self, store, session, tmp_path):
        session.checkpoint()
        store.close()
        blob = max(store.root.rglob("blobs/*"), key=lambda path: path.stat().st_size)
        blob.write_bytes(b"x" + blob.read_bytes()[1:])
        with LocalStore(store.root) as again, pytest.raises(CorruptRecord):
            again.export_session(SESSION, tmp_path / "t.tar")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["one"]

    def test_of_a_store_in_memory(self, tmp_path):
        with InMemoryStore() as memory:
            memory.create_session("s")
            for call in (
                lambda: memory.export_session("s", tmp_path / "t"),
                lambda: memory.import_session(tmp_path / "t"),
                lambda: memory.backup(tmp_path / "t"),
            ):
                with pytest.raises(BackendError):
                    call()


def repacked(archive, target, change):
    """The archive again, with the header of its second member changed."""
    with tarfile.open(archive, "r:") as found, target.open("wb") as out:
        for number, member in enumerate(found.getmembers()):
            opened = found.extractfile(member)
            content = b"" if opened is None else opened.read()
            if number == 1:
                change(member)
            out.write(member.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512))
        out.write(bytes(1024))
    return target


def set_name(member, name):
    member.name = name


@pytest.mark.race
def test_an_export_under_load_is_a_revision_that_existed(tmp_path):
    """While another handle commits: nodes and revision of each archive fit, and none is older than its export."""
    with LocalStore(tmp_path / "one") as store, LocalStore(tmp_path / "one") as writer:
        session = writer.create_session(SESSION)
        commit(session, node("n1"))
        stop = threading.Event()
        failures = []

        def write():
            number = 1
            try:
                while not stop.is_set():
                    number += 1
                    commit(session, node(f"n{number}", f"n{number - 1}"))
            except Exception as error:  # noqa: BLE001 - told by the test
                failures.append(error)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for number in range(8):
                least = reached(store, SESSION).load_session_head().head_revision
                store.export_session(SESSION, tmp_path / f"{number}.tar")
                with LocalStore(tmp_path / f"import-{number}") as target:
                    read: Any = target.import_session(tmp_path / f"{number}.tar").load_session(FullGraph())
                assert read.head_revision >= least
                assert [each.node_id for each in read.graph.nodes] == [f"n{at + 1}" for at in range(read.head_revision)]
                assert not check_store(tmp_path / f"import-{number}").errors
        finally:
            stop.set()
            thread.join()
        assert failures == []


def test_nothing_is_read_beyond_the_file(tmp_path: Path):
    """A header that says more than there is costs no memory."""
    header = tarfile.TarInfo("manifest.json")
    header.size = 8 * 1024**3 - 1
    (tmp_path / "huge.tar").write_bytes(header.tobuf(tarfile.USTAR_FORMAT))
    with LocalStore(tmp_path / "store") as store, pytest.raises(CorruptRecord):
        store.import_session(tmp_path / "huge.tar")


class Failing(System):
    """Fails at one of its operations that change something."""

    def __init__(self, at):
        self.left = at

    def _count(self, name, *args):
        self.left -= 1
        if self.left == 0:
            raise BackendError(f"told to fail at {name}")
        return getattr(System, name)(self, *args)

    def pwrite_all(self, *args):
        return self._count("pwrite_all", *args)

    def flush(self, *args):
        return self._count("flush", *args)

    def flush_file(self, *args):
        return self._count("flush_file", *args)

    def flush_dir(self, *args):
        return self._count("flush_dir", *args)

    def rename_dir(self, *args):
        return self._count("rename_dir", *args)

    def replace(self, *args):
        return self._count("replace", *args)

    def make_dir(self, *args):
        return self._count("make_dir", *args)


def test_an_import_that_fails_anywhere_leaves_no_session(store, other, session, tmp_path):
    store.export_session(SESSION, tmp_path / "s.tar")
    before = everything(session)
    for at in range(1, 500):
        failing = Failing(at)
        with system.installed(failing):
            try:
                imported = other.import_session(tmp_path / "s.tar")
            except BackendError:
                imported = None
        if imported is not None and failing.left > 0:
            assert everything(imported) == before
            assert at > 20
            return
        if imported is None:
            assert list((other.root / "sessions").iterdir()) == []
        else:  # what failed was the cleaning up behind it
            assert everything(imported) == before
            other.delete_session(SESSION)
            other.purge(everything=True)
    pytest.fail("it never comes to an end")


def test_an_export_that_fails_anywhere_leaves_no_file(store, session, tmp_path):
    session.checkpoint()
    for at in range(1, 500):
        failing = Failing(at)
        with system.installed(failing):
            try:
                store.export_session(SESSION, tmp_path / "s.tar")
            except BackendError:
                assert sorted(path.name for path in tmp_path.iterdir()) == ["one"]
            else:
                assert at > 10
                return
    pytest.fail("it never comes to an end")


def test_what_the_disk_refuses_is_no_damage_of_an_archive(store, other, session, tmp_path):
    archive = store.export_session(SESSION, tmp_path / "x.archive").path

    def refusing(path):
        if path.endswith(".tmp/meta.json"):
            raise BackendError(f"cannot look at {path}: Input/output error")

    class Refuses(System):
        def stat(self, path):
            refusing(path)
            return super().stat(path)

        def open_read(self, path):
            refusing(path)
            return super().open_read(path)

    with system.installed(Refuses()), pytest.raises(BackendError, match="Input/output error"):
        other.import_session(archive)
    assert other.list_sessions() == ()
    assert other.import_session(archive).load_session_head() == session.load_session_head()


def test_an_export_removes_what_one_that_was_cut_off_left(store, session, tmp_path):
    names = [
        f".x.archive.{1:016x}.tmp",
        f".x.archive.{1:016x}.tmp.part",
        f".x.archive.{2:016x}.tmp",
        f".x.{1:016x}.tmp",
    ]
    for name in names:
        if name.endswith(".part"):
            (tmp_path / name).write_bytes(b"half")
        else:
            (tmp_path / name).mkdir()
            (tmp_path / name / "head.json").write_bytes(b"{}")
    for name in names[:2]:
        os.utime(tmp_path / name, (0, 0))
    os.utime(tmp_path / names[3], (0, 0))
    store.export_session(SESSION, tmp_path / "x.archive")
    # One may be somebody's at work, the other one is of another archive.
    assert [name for name in names if (tmp_path / name).exists()] == names[2:]
