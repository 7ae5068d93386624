"""A backup of a live store, and what a plain copy of its folder is: a store, sound, of moments that there were."""

import errno
import os
import shutil
import threading
from typing import Any

import pytest

from localstore import (
    AttachmentCreateMeta,
    AttachmentIntent,
    BackendError,
    CorruptRecord,
    FullGraph,
    LocalStore,
    SessionMeta,
)
from localstore.disk.check import check_store
from localstore.disk.system import System, system
from localstore.testing.builders import next_input, node
from tests.commits import commit
from tests.history.faults import FailsAt

PICTURE = AttachmentCreateMeta("image/png", 1, 2, "p")
MOST_CHANGES = 400


def reached(store, session_id) -> Any:
    """The session, which must exist."""
    session = store.open_session(session_id)
    assert session is not None
    return session


def contents(root):
    """Everything that a store tells of its sessions."""
    with LocalStore(root) as store:
        told = {}
        for row in store.list_sessions():
            session = reached(store, row.session_id)
            pending = session.list_pending_turn_inputs(row.session_id)
            told[row.session_id] = (session.load_session(FullGraph()), session.load_session_meta(), pending)
        return told


@pytest.fixture
def store(tmp_path):
    with LocalStore(tmp_path / "store") as opened:
        for name in ("a", "b", "c"):
            session = opened.create_session(name)
            commit(session, node("n1", payload={"text": "x" * 20_000}))
            session.enqueue_pending_turn_input(next_input(f"for {name}", session_id=name))
        ref = opened.attachments.put(b"a picture", PICTURE)
        reached(opened, "a").record_intent(AttachmentIntent(ref.id, "a", "file:///p.png", 5))
        reached(opened, "a").commit_refs("a", [ref.id])
        opened.attachments.put(b"of nobody", PICTURE)
        yield opened


@pytest.fixture
def place(tmp_path):
    return tmp_path / "backup"


def no_link(*_):
    raise OSError(errno.EXDEV, "another disk")


def sound(root):
    return [each for each in check_store(root).findings if each.severity.value != "info"] == []


class TestBackup:
    def test_is_a_store_with_the_same_in_it(self, store, place):
        report = store.backup(place)
        assert (report.copied, report.unchanged, report.trashed) == (("a", "b", "c"), (), ())
        assert sound(place)
        assert sorted(path.name for path in place.glob("attachments/*/*")) == sorted(
            path.name for path in store.root.glob("attachments/*/*")
        )
        store.close()
        assert contents(place) == contents(store.root)

    def test_links_what_never_changes(self, store, place):
        report = store.backup(place)
        assert report.copied_bytes == 0
        assert report.linked_file_count >= 3
        own = {path.name: path.stat().st_ino for path in store.root.rglob("*.jsonl")}
        assert {path.name: path.stat().st_ino for path in place.rglob("*.jsonl")} == own

    def test_copies_where_there_are_no_links(self, store, place, monkeypatch):
        class NoLinks(System):
            def share(self, src, dst):
                self._copy(src, dst)
                return False

        with system.installed(NoLinks()):
            report = store.backup(place)
            again = store.backup(place)
        assert report.linked_file_count == 0
        assert report.copied_bytes > 3 * 500
        assert again.copied_bytes == 0
        assert sound(place)

    def test_again_touches_what_has_changed_alone(self, store, place):
        store.backup(place)
        before = {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}
        same = store.backup(place)
        assert (same.copied, same.unchanged, same.linked_file_count) == ((), ("a", "b", "c"), 0)
        assert {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()} == before
        commit(store.open_session("b"), node("n2", "n1"))
        store.create_session("d")
        changed = store.backup(place)
        assert (changed.copied, changed.unchanged) == (("b", "d"), ("a", "c"))
        assert sound(place)
        store.close()
        assert contents(place) == contents(store.root)

    def test_again_repairs_what_a_power_cut_left_half_done(self, store, place):
        store.backup(place)
        (meta,) = place.glob("sessions/a-*/meta.json")
        former = meta.read_bytes()
        reached(store, "a").save_session_meta(SessionMeta("a", "another name", "", "", ""))
        store.backup(place)
        renewed = meta.read_bytes()
        # The new head was durable, the new metadata was not, and copies were not finished.
        meta.write_bytes(former)
        shard = next((place / "attachments").iterdir())
        left = [meta.parent / "inputs" / f"x.{1:016x}.tmp", shard / f"x.{2:016x}.tmp"]
        for path in left:
            path.write_bytes(b"half")
            os.utime(path, (0, 0))
        assert store.backup(place).unchanged == ("a", "b", "c")
        assert meta.read_bytes() == renewed
        assert [path for path in left if path.exists()] == []
        assert sound(place)

    def test_passes_over_rows_whose_bytes_are_elsewhere(self, store, place):
        session = reached(store, "b")
        session.record_intent(AttachmentIntent("no hash", "b", "https://example.org/p.png", 5))
        session.commit_refs("b", ["no hash"])
        assert store.backup(place).copied == ("a", "b", "c")
        assert sound(place)

    def test_after_vacuum_and_gc(self, store, place):
        store.backup(place)
        session = reached(store, "a")
        commit(session, node("n2", "n1"))
        session.tombstone_nodes(["n2"])
        session.vacuum()
        session.gc_unreachable()
        store.backup(place)
        assert sound(place)
        store.close()
        assert contents(place) == contents(store.root)

    def test_keeps_what_was_deleted_in_its_trash(self, store, place):
        store.backup(place)
        store.delete_session("b")
        report = store.backup(place)
        assert report.trashed == ("b",)
        with LocalStore(place) as backup:
            assert [entry.session_id for entry in backup.trash()] == ["b"]
            assert backup.restore_session("b").load_node("n1") is not None

    def test_of_a_session_made_again_under_the_id(self, store, place):
        store.backup(place)
        store.delete_session("b")
        commit(store.create_session("b"), node("new"))
        assert store.backup(place).copied == ("b",)
        assert sound(place)
        store.close()
        assert contents(place) == contents(store.root)
        with LocalStore(place) as backup:
            assert [entry.session_id for entry in backup.trash()] == ["b"]

    @pytest.mark.parametrize("how", ["as far", "farther", "not as far", "vacuumed", "only vacuumed"])
    def test_of_a_store_that_was_put_back_and_went_on(self, store, place, tmp_path, how):
        """What went another way than its backup is another session: of the one before, the trash has it all."""
        reached(store, "a").tombstone_nodes(["n0"])
        store.close()
        former = tmp_path / "former"
        shutil.copytree(store.root, former)
        with LocalStore(store.root) as store:
            session = reached(store, "a")
            if "vacuumed" in how:
                session.vacuum()
            else:
                commit(session, node("ours", "n1"))
            store.backup(place)
        shutil.rmtree(store.root)
        shutil.copytree(former, store.root)
        with LocalStore(store.root) as store:
            session = reached(store, "a")
            for number in range({"as far": 1, "farther": 3}.get(how, 0)):
                commit(session, node(f"theirs-{number}", "n1"))
                session.checkpoint()
            if how == "vacuumed":
                session.create_branch("a branch")
                session.checkpoint()
            assert store.backup(place).copied == ("a",)
            assert store.backup(place).unchanged == ("a", "b", "c")
        assert sound(place)
        assert contents(place) == contents(store.root)
        with LocalStore(place) as backup:
            assert [entry.session_id for entry in backup.trash()] == ["a"] * ("vacuumed" not in how)
            backup.delete_session("a")
            latest = backup.trash()[-1]
            restored = backup.restore_session("a", deleted_at_ms=latest.deleted_at_ms)
            assert (restored.load_node("ours") is not None) is ("vacuumed" not in how)

    def test_again_makes_good_what_was_lost_of_its_heads(self, store, place):
        store.backup(place)
        (head,) = place.glob("sessions/a-*/head.json")
        former = head.read_bytes()
        for damage in (b"", former[:-9], None):
            head.unlink()
            if damage is not None:
                head.write_bytes(damage)
            store.backup(place)
            assert head.read_bytes() == former
            assert sound(place)

    def test_does_not_depend_on_the_store(self, store, place):
        store.backup(place)
        store.close()
        shutil.rmtree(store.root)
        assert sound(place)
        assert sorted(contents(place)) == ["a", "b", "c"]

    def test_refuses_what_is_no_backup(self, store, place, tmp_path):
        (tmp_path / "else").mkdir()
        (tmp_path / "else" / "thesis.txt").write_text("x")
        LocalStore(tmp_path / "another").close()
        for path in (tmp_path / "else", tmp_path / "another", store.root, store.root / "in", tmp_path):
            before = sorted(path.rglob("*"))
            with pytest.raises(BackendError):
                store.backup(path)
            assert sorted(path.rglob("*")) == before

    def test_refuses_to_overwrite_what_was_written_to_the_backup(self, store, place):
        store.backup(place)
        with LocalStore(place) as backup:
            commit(reached(backup, "a"), node("mine", "n1"))
        commit(store.open_session("b"), node("n2", "n1"))
        with pytest.raises(BackendError, match="written to"):
            store.backup(place)
        with LocalStore(place) as backup:
            assert reached(backup, "a").load_node("mine") is not None
            assert reached(backup, "b").load_node("n2") is not None

    @pytest.mark.race
    @pytest.mark.parametrize("dead", [False, True], ids=["refused", "killed"])
    @pytest.mark.parametrize("again", [False, True], ids=["the first", "a later one"])
    @pytest.mark.parametrize("links", [False, True], ids=["copies", "links"])
    def test_that_fails_anywhere_is_finished_by_the_next(self, store, place, monkeypatch, dead, again, links):
        if not links:
            monkeypatch.setattr(os, "link", no_link)
        for number in range(MOST_CHANGES):
            if again:
                store.backup(place)
                commit(reached(store, "a"), node(f"m{number}", payload={"text": "y" * 20_000}))
            fault = FailsAt(number, dead=dead)
            with system.installed(fault):
                try:
                    store.backup(place)
                except BackendError:
                    assert fault.failed is not None
            if (place / "store.json").exists():
                assert check_store(place).errors == ()
            store.backup(place)
            assert sound(place), check_store(place).findings
            assert contents(place) == contents(store.root)
            with LocalStore(place) as copy:
                assert copy.attachments.get(store.attachments.put(b"a picture", PICTURE).id).meta == PICTURE
            shutil.rmtree(place)
            if fault.failed is None:
                return
        pytest.fail("it never ended")

    @pytest.mark.parametrize("folds", [1, 3])
    def test_refuses_what_was_written_to_however_far_the_store_went_on(self, store, place, folds):
        store.backup(place)
        with LocalStore(place) as copy:
            commit(reached(copy, "a"), node("theirs"))
        for number in range(folds):
            commit(reached(store, "a"), node(f"ours-{number}"))
            reached(store, "a").checkpoint()
        with pytest.raises(BackendError, match="was written to"):
            store.backup(place)
        with LocalStore(place) as copy:
            assert reached(copy, "a").load_node("theirs") is not None

    @pytest.mark.damaged
    def test_goes_on_past_a_damaged_session_that_the_store_has_no_more(self, store, place):
        store.backup(place)
        store.delete_session("c")
        (head,) = place.glob("sessions/c-*/head.json")
        for path in (head, *head.parent.glob("nodes/*")):
            path.write_bytes(b"?")
        commit(reached(store, "a"), node("later"))
        ref = store.attachments.put(b"a later picture", PICTURE)
        with pytest.raises(CorruptRecord):
            store.backup(place)
        with LocalStore(place) as copy:
            assert reached(copy, "a").load_node("later") is not None
            assert copy.attachments.get(ref.id).data == b"a later picture"

    def test_under_load_is_of_moments_that_there_were(self, store, place):
        least = {}
        with under_load(store) as written:
            for _ in range(6):
                least = {name: revisions[-1] for name, revisions in written.items() if revisions}
                store.backup(place)
                judge(place, least, written)


def judge(root, least, written):
    """Each session of the copy is as it was after some commit, none before the copy began."""
    assert sound(root), check_store(root).findings
    with LocalStore(root) as copy:
        for name, revision in least.items():
            read = reached(copy, name).load_session(FullGraph())
            assert revision <= read.head_revision <= written[name][-1] + 1
            assert [each.node_id for each in read.graph.nodes] == [f"n{at + 1}" for at in range(read.head_revision)]


class under_load:
    """A thread commits to the sessions all the time; the revisions so far of each."""

    def __init__(self, store):
        self._store = store
        self._stop = threading.Event()
        self._failure = None
        self.written = {name: [1] for name in ("a", "b", "c")}
        self._thread = threading.Thread(target=self._write)

    def _write(self):
        try:
            with LocalStore(self._store.root) as own:
                while not self._stop.is_set():
                    for name, revisions in self.written.items():
                        last = revisions[-1]
                        revisions.append(commit(reached(own, name), node(f"n{last + 1}", f"n{last}")))
                        if last % 20 == 0:
                            reached(own, name).checkpoint()
        except Exception as error:  # noqa: BLE001 - told at the end
            self._failure = error

    def __enter__(self):
        self._thread.start()
        return self.written

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join()
        assert self._failure is None, self._failure
