"""Deleted sessions: kept for a while, restored, purged; and what pruning chooses."""

import json
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from localstore import (
    AttachmentCreateMeta,
    BackendError,
    Durability,
    HydratedSessionCheckpoint,
    InMemoryStore,
    InvalidArgument,
    LocalStore,
    SessionExists,
    SessionNotFound,
    SessionScopedAttachmentStore,
    SparedSession,
    SpareReason,
    TrashedSessionNotFound,
)
from localstore.disk.check import check_store
from localstore.disk.system import system
from localstore.store import TRASH_GRACE_MS, Store
from localstore.testing import OTHER, SESSION, ManualClock, chain, next_input, node, owner, wake
from tests.history.faults import FailsAt
from tests.history.living import DAY, HOUR, Living, identity_of_a_dead_process, leaf, nodes, path, revision

LARGE = HydratedSessionCheckpoint(tool_state={"k": "v"}, execution_state=b"x" * 50_000)


@pytest.fixture
def full(live: Living) -> Living:
    """A session with a bit of everything."""
    live.append(*chain("a", "b", "c"), checkpoint=LARGE)
    live.session.create_branch("early", "a")
    live.session.enqueue_pending_turn_input(next_input("hello", source_key="s1"))
    live.session.enqueue_queued_work(wake())
    return live


class TestDeleting:
    def test_makes_it_no_session_any_more(self, full: Living) -> None:
        full.store.delete_session(SESSION)
        with pytest.raises(SessionNotFound):
            full.session.load_session_head()
        for _ in range(2):
            assert full.store.open_session(SESSION) is None
            assert full.store.list_sessions() == ()
            full.reopen()

    def test_keeps_a_receipt(self, full: Living) -> None:
        size = full.store.list_sessions()[0].size_bytes
        activity = full.clock.now_ms()
        full.clock.advance(HOUR)
        full.store.delete_session(SESSION)
        for _ in range(2):
            (entry,) = full.store.trash()
            assert (entry.session_id, entry.session_name) == (SESSION, SESSION)
            assert (entry.deleted_at_ms, entry.updated_at_ms) == (full.clock.now_ms(), activity)
            assert (entry.node_count, entry.head_revision) == (3, 1)
            assert (entry.size_bytes > 50_000) == (size > 0)
            full.reopen()

    def test_is_idempotent(self, full: Living) -> None:
        full.store.delete_session("nobody")
        full.store.delete_session(SESSION)
        full.store.delete_session(SESSION)
        assert len(full.store.trash()) == 1

    def test_leaves_the_id_free(self, full: Living) -> None:
        full.store.delete_session(SESSION)
        fresh = full.store.create_session(SESSION)
        assert fresh.load_session_head() is None
        assert full.lease(fresh).fencing_token == 1
        with pytest.raises(SessionNotFound):
            full.session.load_session_head()

    def test_keeps_every_session_of_an_id(self, full: Living) -> None:
        for number in range(3):
            full.store.delete_session(SESSION)
            full.append(node(f"n{number}"), session=full.store.create_session(SESSION))
        full.store.delete_session(SESSION)
        entries = full.store.trash()
        assert [entry.session_id for entry in entries] == [SESSION] * 4
        times = [entry.deleted_at_ms for entry in entries]
        assert times == sorted(set(times), reverse=True)
        assert [entry.node_count for entry in entries] == [1, 1, 1, 3]

    def test_keeps_what_names_attachments(self, full: Living) -> None:
        scoped = SessionScopedAttachmentStore(full.store.attachments, full.session)
        kept = scoped.put(b"kept", AttachmentCreateMeta("text/plain"))
        full.append(node("d", "c"), committed_attachment_ids=scoped.take_pending_attachment_ids())
        full.store.delete_session(SESSION)
        full.clock.advance(HOUR)
        full.reopen()
        assert full.store.sweep_attachments(full.clock.now_ms()).deleted_attachment_ids == ()
        full.store.purge(SESSION)
        assert full.store.sweep_attachments(full.clock.now_ms()).deleted_attachment_ids == (kept.id,)


class TestRestoring:
    def test_brings_everything_back(self, full: Living) -> None:
        inputs, work = full.session.list_pending_turn_inputs(SESSION), full.session.list_queued_work(SESSION)
        branches, log = full.session.branches(), full.session.head_log()
        (before,) = full.store.list_sessions()
        full.clock.advance(HOUR)
        full.store.delete_session(SESSION)
        full.reopen()
        restored = full.store.restore_session(SESSION)
        for _ in range(2):
            assert nodes(restored) == path(restored) == ["a", "b", "c"]
            assert restored.list_pending_turn_inputs(SESSION) == inputs
            assert restored.list_queued_work(SESSION) == work
            assert (restored.branches(), restored.head_log()) == (branches, log)
            (after,) = full.store.list_sessions()
            assert (after.updated_at_ms, after.created_at_ms) == (before.updated_at_ms, before.created_at_ms)
            assert full.store.trash() == ()
            full.reopen()
            restored = full.handle()
        full.append(node("d", "c"), session=restored)
        assert path(restored) == ["a", "b", "c", "d"]

    def test_brings_no_handle_back(self, full: Living) -> None:
        """A writer that was paused across deletion and restoration must look anew."""
        lease = full.lease(full.session)
        full.session.release_session_execution_lease(lease.completion())
        full.store.delete_session(SESSION)
        restored = full.store.restore_session(SESSION)
        with pytest.raises(SessionNotFound):
            full.session.load_session_head()
        with pytest.raises(SessionNotFound):
            full.session.enqueue_queued_work(wake())
        assert full.lease(restored).fencing_token > lease.fencing_token

    def test_takes_the_one_deleted_last(self, full: Living) -> None:
        full.store.delete_session(SESSION)
        full.clock.advance(HOUR)
        full.append(node("later"), session=full.store.create_session(SESSION))
        full.store.delete_session(SESSION)
        assert nodes(full.store.restore_session(SESSION)) == ["later"]

    def test_takes_the_one_that_is_named(self, full: Living) -> None:
        first = full.clock.now_ms()
        full.store.delete_session(SESSION)
        full.clock.advance(HOUR)
        full.append(node("later"), session=full.store.create_session(SESSION))
        full.store.delete_session(SESSION)
        assert nodes(full.store.restore_session(SESSION, deleted_at_ms=first)) == ["a", "b", "c"]
        assert [entry.node_count for entry in full.store.trash()] == [1]

    def test_refuses_where_the_id_is_taken(self, full: Living) -> None:
        full.store.delete_session(SESSION)
        full.append(node("new"), session=full.store.create_session(SESSION))
        with pytest.raises(SessionExists) as caught:
            full.store.restore_session(SESSION)
        assert caught.value.session_id == SESSION
        assert nodes(full.handle()) == ["new"]
        assert len(full.store.trash()) == 1

    def test_refuses_what_is_not_there(self, full: Living) -> None:
        with pytest.raises(TrashedSessionNotFound) as caught:
            full.store.restore_session(SESSION)
        assert (caught.value.session_id, caught.value.deleted_at_ms) == (SESSION, None)
        full.store.delete_session(SESSION)
        with pytest.raises(TrashedSessionNotFound) as caught:
            full.store.restore_session(SESSION, deleted_at_ms=7)
        assert caught.value.deleted_at_ms == 7

    @pytest.mark.parametrize("bad", [-1, True, "7", 1.0])
    def test_refuses_what_is_no_time(self, full: Living, bad: object) -> None:
        for call in (full.store.restore_session, full.store.purge):
            with pytest.raises(InvalidArgument):
                call(SESSION, deleted_at_ms=bad)  # type: ignore[arg-type]

    def test_of_one_of_several_threads_wins(self, full: Living) -> None:
        full.store.delete_session(SESSION)
        won: list[str] = []
        lost: list[Exception] = []
        ready = threading.Barrier(6)

        def restore() -> None:
            ready.wait(30)
            try:
                won.append(full.store.restore_session(SESSION).session_id)
            except (SessionExists, TrashedSessionNotFound) as error:
                lost.append(error)

        threads = [threading.Thread(target=restore) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert (len(won), len(lost)) == (1, 5)
        assert nodes(full.handle()) == ["a", "b", "c"]


class TestGrace:
    def test_is_seven_days_by_recorded_time(self, full: Living) -> None:
        assert TRASH_GRACE_MS == 7 * DAY
        full.store.delete_session(SESSION)
        full.clock.advance(7 * DAY - 1)
        assert full.store.purge() == ()
        full.store.create_session(OTHER)
        full.store.delete_session(OTHER)
        assert len(full.store.trash()) == 2
        full.clock.advance(1)
        purged = full.store.purge()
        assert [entry.session_id for entry in purged] == [SESSION]
        assert [entry.session_id for entry in full.store.trash()] == [OTHER]

    def test_ends_with_a_later_deletion(self, full: Living) -> None:
        full.store.delete_session(SESSION)
        full.clock.advance(8 * DAY)
        full.store.create_session(OTHER)
        full.store.delete_session(OTHER)
        assert [entry.session_id for entry in full.store.trash()] == [OTHER]
        with pytest.raises(TrashedSessionNotFound):
            full.store.restore_session(SESSION)

    def test_does_not_go_by_the_times_of_files(self, on_files: Living) -> None:
        on_files.append(node("a"))
        on_files.store.delete_session(SESSION)
        for where, _, files in os.walk(on_files.root):
            for name in files:
                os.utime(os.path.join(where, name), (1, 1))
            os.utime(where, (1, 1))
        on_files.reopen()
        assert on_files.store.purge() == ()
        assert nodes(on_files.store.restore_session(SESSION)) == ["a"]

    @pytest.mark.parametrize("kind", ["memory", "files"])
    def test_of_zero_keeps_nothing(self, tmp_path: Path, kind: str) -> None:
        clock = ManualClock()
        store: Store = (
            InMemoryStore(clock, trash_grace_ms=0)
            if kind == "memory"
            else LocalStore(tmp_path / "store", clock=clock, trash_grace_ms=0)
        )
        with store:
            live = Living(store, clock)
            live.append(node("a"))
            store.delete_session(SESSION)
            assert store.trash() == ()
        if kind == "files":
            assert [entry.name for entry in (tmp_path / "store" / "trash").iterdir()] == ["moving.lock"]

    @pytest.mark.parametrize("bad", [-1, True, "7", None])
    def test_is_checked(self, tmp_path: Path, bad: object) -> None:
        with pytest.raises(InvalidArgument):
            LocalStore(tmp_path / "store", trash_grace_ms=bad)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument):
            InMemoryStore(trash_grace_ms=bad)  # type: ignore[arg-type]
        assert not (tmp_path / "store").exists()


class TestPurging:
    def test_of_an_id_whatever_its_grace(self, full: Living) -> None:
        full.store.delete_session(SESSION)
        full.store.create_session(OTHER)
        full.store.delete_session(OTHER)
        assert [entry.session_id for entry in full.store.purge(SESSION)] == [SESSION]
        assert [entry.session_id for entry in full.store.trash()] == [OTHER]
        assert full.store.purge(SESSION) == ()

    def test_of_one_of_several(self, full: Living) -> None:
        first = full.clock.now_ms()
        full.store.delete_session(SESSION)
        full.clock.advance(HOUR)
        full.store.create_session(SESSION)
        full.store.delete_session(SESSION)
        assert [entry.node_count for entry in full.store.purge(SESSION, deleted_at_ms=first)] == [3]
        assert [entry.node_count for entry in full.store.trash()] == [0]

    def test_of_everything(self, full: Living) -> None:
        full.store.delete_session(SESSION)
        full.store.create_session(OTHER)
        full.store.delete_session(OTHER)
        assert len(full.store.purge(everything=True)) == 2
        assert full.store.trash() == ()
        if full.is_on_files:
            assert [entry.name for entry in (full.root / "trash").iterdir()] == ["moving.lock"]

    def test_by_a_time_alone_is_refused(self, full: Living) -> None:
        with pytest.raises(InvalidArgument, match="session_id"):
            full.store.purge(deleted_at_ms=7)

    def test_leaves_sessions_alone(self, full: Living) -> None:
        assert full.store.purge(SESSION) == full.store.purge(everything=True) == ()
        assert nodes(full.session) == ["a", "b", "c"]


@pytest.fixture
def several(live: Living) -> Living:
    """Four sessions, s0 used last 4 days ago, s3 one day ago; `SESSION` is gone."""
    live.store.delete_session(SESSION)
    live.store.purge(everything=True)
    for number in range(4):
        live.append(node("n"), session=live.store.create_session(f"s{number}"))
        live.clock.advance(DAY)
    return live


def ids(rows: object) -> list[str]:
    return [row.session_id for row in rows]  # type: ignore[attr-defined]


class TestPruning:
    def test_is_a_dry_run_unless_told(self, several: Living) -> None:
        report = several.store.prune(older_than_ms=3 * DAY)
        assert (report.applied, ids(report.sessions)) == (False, ["s0", "s1"])
        assert report.session_bytes == sum(row.size_bytes for row in report.sessions)
        assert len(several.store.list_sessions()) == 4
        assert several.store.trash() == ()

    def test_applied_does_what_the_dry_run_said(self, several: Living) -> None:
        said = several.store.prune(older_than_ms=3 * DAY)
        done = several.store.prune(older_than_ms=3 * DAY, apply=True)
        assert (done.applied, done.sessions, done.spared) == (True, said.sessions, said.spared)
        assert ids(several.store.list_sessions()) == ["s3", "s2"]
        assert sorted(ids(several.store.trash())) == ["s0", "s1"]
        several.store.restore_session("s0")
        assert ids(several.store.list_sessions()) == ["s3", "s2", "s0"]

    def test_by_count(self, several: Living) -> None:
        assert ids(several.store.prune(max_sessions=3).sessions) == ["s0"]
        assert ids(several.store.prune(max_sessions=0).sessions) == ["s0", "s1", "s2", "s3"]
        assert several.store.prune(max_sessions=4).sessions == ()

    def test_by_size(self, on_files: Living) -> None:
        several = on_files
        several.append(node("n"), checkpoint=LARGE, session=several.store.create_session(OTHER))
        several.reopen()
        sizes = {row.session_id: row.size_bytes for row in several.store.list_sessions()}
        total = sum(sizes.values())
        assert several.store.prune(max_bytes=total).sessions == ()
        several.clock.advance(1)
        several.append(node("m"))
        several.reopen()
        assert ids(several.store.prune(max_bytes=total).sessions) == [OTHER]
        assert ids(several.store.prune(max_bytes=0).sessions) == [OTHER, SESSION]

    def test_by_all_of_them(self, several: Living) -> None:
        assert ids(several.store.prune(older_than_ms=4 * DAY, max_sessions=2).sessions) == ["s0", "s1"]
        assert several.store.prune().sessions == ()

    def test_goes_by_activity_and_not_by_files(self, several: Living) -> None:
        several.append(node("m", "n"), session=several.handle("s0"))
        assert ids(several.store.prune(max_sessions=2).sessions) == ["s1", "s2"]
        if several.is_on_files:
            for folder in (several.root / "sessions").iterdir():
                for file in folder.rglob("*"):
                    os.utime(file, (1, 1))
            several.reopen()
            assert several.store.prune(older_than_ms=5 * DAY).sessions == ()

    def test_spares_what_is_in_use(self, several: Living) -> None:
        held, waiting, queued = several.handle("s0"), several.handle("s1"), several.handle("s2")
        assert held.try_claim_session_execution_lease("s0", owner(), HOUR).acquired() is not None
        waiting.enqueue_pending_turn_input(next_input("hello", session_id="s1"))
        queued.enqueue_queued_work(wake(session_id="s2"))
        for apply in (False, True):
            report = several.store.prune(older_than_ms=0, apply=apply)
            assert ids(report.sessions) == ["s3"]
            assert report.spared == (
                SparedSession("s0", SpareReason.LEASE),
                SparedSession("s1", SpareReason.INPUT),
                SparedSession("s2", SpareReason.WORK),
            )
        several.clock.advance(HOUR)
        assert ids(several.store.prune(older_than_ms=0).sessions) == ["s0"]

    def test_a_holder_that_is_dead_does_not_hold_it(self, several: Living) -> None:
        dead = identity_of_a_dead_process()
        assert several.handle("s0").try_claim_session_execution_lease("s0", dead, HOUR).acquired() is not None
        report = several.store.prune(older_than_ms=0, apply=True)
        assert ("s0" in ids(report.sessions), report.spared) == (True, ())
        assert several.store.open_session("s0") is None

    def test_chooses_others_for_those_it_spares(self, several: Living) -> None:
        several.handle("s0").try_claim_session_execution_lease("s0", owner(), HOUR)
        report = several.store.prune(max_sessions=3)
        assert (ids(report.sessions), ids(report.spared)) == (["s1"], [])
        several.clock.advance(1)
        for number in range(1, 4):
            several.append(node("m"), session=several.handle(f"s{number}"))
        report = several.store.prune(max_sessions=3)
        assert (ids(report.sessions), ids(report.spared)) == (["s1"], ["s0"])

    def test_spares_nothing_when_forced(self, several: Living) -> None:
        several.handle("s0").try_claim_session_execution_lease("s0", owner(), 30 * DAY)
        several.handle("s1").enqueue_queued_work(wake(session_id="s1"))
        report = several.store.prune(max_sessions=0, force=True, apply=True)
        assert (sorted(ids(report.sessions)), report.spared) == (["s0", "s1", "s2", "s3"], ())
        assert several.store.list_sessions() == ()

    def test_spares_what_was_used_meanwhile(self, several: Living, monkeypatch: pytest.MonkeyPatch) -> None:
        several.clock.advance(1)
        store = several.store
        survey = store._sessions.survey

        def overtaken() -> object:
            found = survey()
            monkeypatch.undo()
            several.append(node("m"), session=several.handle("s0"))
            return found

        monkeypatch.setattr(store._sessions, "survey", overtaken)
        report = store.prune(max_sessions=2, apply=True)
        assert ids(report.sessions) == ["s1"]
        assert report.spared == (SparedSession("s0", SpareReason.ACTIVITY),)
        assert ids(store.list_sessions()) == ["s0", "s3", "s2"]

    def test_purges_what_is_past_its_grace(self, several: Living) -> None:
        several.store.delete_session("s0")
        several.clock.advance(7 * DAY)
        report = several.store.prune()
        assert ids(report.purged) == ["s0"]
        assert report.purged_bytes == report.purged[0].size_bytes
        assert ids(several.store.trash()) == ["s0"]
        assert ids(several.store.prune(apply=True).purged) == ["s0"]
        assert several.store.trash() == ()

    @pytest.mark.parametrize("name", ["older_than_ms", "max_bytes", "max_sessions"])
    @pytest.mark.parametrize("bad", [-1, True, "7", 1.5])
    def test_refuses_bad_limits(self, several: Living, name: str, bad: object) -> None:
        with pytest.raises(InvalidArgument):
            several.store.prune(**{name: bad}, apply=True)  # type: ignore[arg-type]
        assert len(several.store.list_sessions()) == 4


class TestFiles:
    def test_of_a_deleted_session_are_readable(self, on_files: Living) -> None:
        on_files.append(node("a"))
        on_files.store.delete_session(SESSION)
        (folder,) = (entry for entry in (on_files.root / "trash").iterdir() if entry.is_dir())
        receipt = json.loads((folder / "receipt.json").read_bytes())
        assert (receipt["session_id"], receipt["session_name"]) == (SESSION, SESSION)
        assert (receipt["deleted_at_ms"], receipt["node_count"]) == (on_files.clock.now_ms(), 1)
        assert receipt["schema_version"] == 1
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "receipt.json").stat().st_mode & 0o777 == 0o600
        assert list(folder.glob("*.journal")) == []

    def test_are_not_touched_by_looking(self, on_files: Living) -> None:
        on_files.append(node("a"))
        on_files.store.delete_session(SESSION)
        on_files.reopen()
        before = _tree(on_files.root)
        assert len(on_files.store.trash()) == 1
        on_files.store.prune(max_sessions=0)
        assert _tree(on_files.root) == before

    def test_are_not_made_by_looking(self, on_files: Living) -> None:
        assert on_files.store.trash() == ()
        on_files.store.prune(max_sessions=0)
        assert not (on_files.root / "trash").exists()

    @pytest.mark.damaged
    @pytest.mark.parametrize("name", ["receipt.json", "head.json"])
    @pytest.mark.parametrize("how", ["missing", "flipped"])
    def test_that_are_damaged_in_the_trash_are_restored(self, on_files: Living, name: str, how: str) -> None:
        on_files.append(*chain("a", "b"))
        deleted_at_ms = on_files.clock.now_ms()
        on_files.store.delete_session(SESSION)
        (folder,) = (entry for entry in (on_files.root / "trash").iterdir() if entry.is_dir())
        _damage(folder / name, how)
        on_files.clock.advance(HOUR)
        on_files.reopen()
        (entry,) = on_files.store.trash()
        assert (entry.session_id, entry.node_count, entry.deleted_at_ms) == (SESSION, 2, deleted_at_ms)
        assert nodes(on_files.store.restore_session(SESSION)) == ["a", "b"]

    @pytest.mark.damaged
    @pytest.mark.parametrize("how", ["missing", "flipped"])
    def test_of_a_damaged_session_can_be_deleted(self, on_files: Living, how: str) -> None:
        """What cannot be read any more can be deleted, restored as damaged as it was, and purged."""
        on_files.append(*chain("a", "b"))
        on_files.store.close()
        (folder,) = (on_files.root / "sessions").iterdir()
        for file in [folder / "head.json", *(folder / "nodes").iterdir()]:
            _damage(file, how)
        with LocalStore(on_files.root, clock=on_files.clock) as store:
            store.delete_session(SESSION)
            assert store.open_session(SESSION) is None
            assert ids(store.trash()) == [SESSION]
            store.create_session(SESSION)
            store.delete_session(SESSION)
            assert ids(store.trash()) == [SESSION] * 2
            store.restore_session(SESSION, deleted_at_ms=on_files.clock.now_ms())
            store.delete_session(SESSION)
            assert len(store.purge(everything=True)) == 2
            assert store.trash() == ()

    @pytest.mark.damaged
    def test_of_a_session_with_a_damaged_journal_can_be_deleted(self, on_files: Living) -> None:
        on_files.append(*chain("a", "b"))
        on_files.session.checkpoint()
        on_files.append(node("c", "b"))
        on_files.append(node("d", "c"))
        journal = max(on_files.root.rglob("*.journal"))
        content = bytearray(journal.read_bytes())
        content[content.index(b'"node_id":"c"') + 11] ^= 1
        journal.write_bytes(content)
        with LocalStore(on_files.root, clock=on_files.clock) as store:
            store.delete_session(SESSION)
            assert store.open_session(SESSION) is None
            (entry,) = store.trash()
            assert entry.node_count == 2
            (folder,) = (found for found in (on_files.root / "trash").iterdir() if found.is_dir())
            assert (folder / journal.name).read_bytes() == content

    @pytest.mark.damaged
    @pytest.mark.parametrize("how", ["missing", "flipped"])
    def test_of_a_marked_session_do_not_bring_it_back(self, on_files: Living, how: str) -> None:
        """The head that says it was deleted is lost: an older copy of it does not bring the session back."""
        on_files.append(*chain("a", "b"))
        on_files.session.checkpoint()
        _stop_before_the_move(on_files, lambda store: store.delete_session(SESSION))
        (folder,) = (on_files.root / "sessions").iterdir()
        _damage(folder / "head.json", how)
        on_files.reopen()
        assert on_files.store.open_session(SESSION) is None
        assert on_files.store.list_sessions() == ()
        assert nodes(on_files.store.restore_session(SESSION)) == ["a", "b"]


class TestMarkedSessionsThatDidNotMove:
    """Somebody died, or was refused, between marking a session deleted and moving it."""

    @pytest.fixture
    def marked(self, on_files: Living) -> Living:
        on_files.append(*chain("a", "b"))
        _stop_before_the_move(on_files, lambda store: store.delete_session(SESSION))
        assert len(list((on_files.root / "sessions").iterdir())) == 1
        return on_files

    def test_are_in_the_trash(self, marked: Living) -> None:
        for _ in range(2):
            assert marked.store.open_session(SESSION) is None
            assert marked.store.list_sessions() == ()
            assert ids(marked.store.trash()) == [SESSION]
            marked.reopen()

    def test_are_restored(self, marked: Living) -> None:
        assert nodes(marked.store.restore_session(SESSION)) == ["a", "b"]
        assert marked.store.trash() == ()

    def test_are_purged(self, marked: Living) -> None:
        assert ids(marked.store.purge(SESSION)) == [SESSION]
        assert marked.store.trash() == ()
        assert list((marked.root / "sessions").iterdir()) == []

    @pytest.mark.parametrize("how", ["create", "fork", "delete"])
    def test_make_room(self, marked: Living, how: str) -> None:
        if how == "create":
            marked.store.create_session(SESSION)
        elif how == "fork":
            marked.store.create_session(OTHER).fork(SESSION)
        else:
            marked.store.delete_session(SESSION)
        assert (marked.store.open_session(SESSION) is None) == (how == "delete")
        assert ids(marked.store.trash()) == [SESSION]
        assert any((marked.root / "trash").glob("session-1-*"))

    def test_keep_their_attachments(self, on_files: Living) -> None:
        scoped = SessionScopedAttachmentStore(on_files.store.attachments, on_files.session)
        scoped.put(b"kept", AttachmentCreateMeta("text/plain"))
        on_files.append(node("d"), committed_attachment_ids=scoped.take_pending_attachment_ids())
        _stop_before_the_move(on_files, lambda store: store.delete_session(SESSION))
        assert on_files.store.sweep_attachments(on_files.clock.now_ms()).deleted_attachment_ids == ()


class TestInterrupted:
    """A crash or a refusal at any change leaves the session, or the trash entry, and it is whole."""

    @pytest.mark.parametrize("dead", [False, True])
    @pytest.mark.parametrize("durability", list(Durability))
    def test_deletion(self, tmp_path: Path, durability: Durability, dead: bool) -> None:
        outcomes = set()
        for number in range(200):
            live = _prepared(tmp_path / str(number), durability)
            fault = FailsAt(number, dead=dead)
            refused = _attempt(fault, partial(live.store.delete_session, SESSION))
            outcomes.add(_judge(live, refused))
            if fault.failed is None:
                break
        else:
            pytest.fail("it never ended")
        assert outcomes == {"session", "trash"}

    @pytest.mark.parametrize("dead", [False, True])
    @pytest.mark.parametrize("durability", list(Durability))
    def test_restoration(self, tmp_path: Path, durability: Durability, dead: bool) -> None:
        outcomes = set()
        for number in range(200):
            live = _prepared(tmp_path / str(number), durability)
            live.store.delete_session(SESSION)
            fault = FailsAt(number, dead=dead)
            refused = _attempt(fault, partial(live.store.restore_session, SESSION))
            outcome = _judge(live, refused)
            if not dead:
                assert outcome == ("trash" if refused else "session"), fault.failed
            outcomes.add(outcome)
            if fault.failed is None:
                break
        else:
            pytest.fail("it never ended")
        assert outcomes == {"session", "trash"}

    @pytest.mark.parametrize("dead", [False, True])
    def test_purge(self, tmp_path: Path, dead: bool) -> None:
        for number in range(200):
            live = _prepared(tmp_path / str(number), Durability.FULL)
            live.store.delete_session(SESSION)
            fault = FailsAt(number, dead=dead)
            _attempt(fault, partial(live.store.purge, everything=True))
            live.reopen()
            if live.store.trash():
                assert nodes(live.store.restore_session(SESSION)) == ["a", "b", "c"]
            live.store.close()
            assert check_store(live.root).errors == ()
            if fault.failed is None:
                break
        else:
            pytest.fail("it never ended")

    def test_what_a_purge_left_is_removed_later(self, on_files: Living, monkeypatch: pytest.MonkeyPatch) -> None:
        on_files.append(node("a"))
        on_files.store.delete_session(SESSION)
        monkeypatch.setattr("localstore.disk.trash.remove_tree_quietly", lambda folder: None)
        on_files.store.purge(everything=True)
        monkeypatch.undo()
        (left,) = (entry for entry in (on_files.root / "trash").iterdir() if entry.is_dir())
        assert left.name.endswith(".tmp")
        assert on_files.store.trash() == ()
        os.utime(left, (1, 1))
        on_files.reopen()
        assert not left.exists()


def test_a_session_made_anew_meanwhile_is_not_moved(on_files: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the mark and the move another process made a new session of the id: that one stays."""
    on_files.append(node("old"))
    other = LocalStore(on_files.root, clock=on_files.clock)
    take = on_files.store._sessions._trash.take  # type: ignore[attr-defined]

    def overtaken(session_id: str) -> None:
        monkeypatch.undo()
        fresh = other.create_session(SESSION)
        on_files.append(node("new"), session=fresh)
        take(session_id)

    monkeypatch.setattr(on_files.store._sessions._trash, "take", overtaken)  # type: ignore[attr-defined]
    on_files.store.delete_session(SESSION)
    assert nodes(on_files.handle()) == ["new"]
    assert [entry.node_count for entry in on_files.store.trash()] == [1]
    other.close()


def _prepared(root: Path, durability: Durability) -> Living:
    clock = ManualClock()
    live = Living(LocalStore(root, durability=durability, clock=clock), clock)
    live.append(*chain("a", "b"), checkpoint=LARGE)
    live.session.checkpoint()
    live.append(node("c", "b"))
    return live


def _attempt(fault: FailsAt, call: Callable[[], object]) -> bool:
    with system.installed(fault):
        try:
            call()
        except BackendError:
            return True
    return False


def _judge(live: Living, refused: bool) -> str:
    """Whether the session is there or in the trash, whole in either case, also for a process that comes later."""
    found = []
    for _ in range(2):
        session, trash = live.store.open_session(SESSION), live.store.trash()
        assert (session is None) == bool(trash)
        found.append("trash" if session is None else "session")
        if session is not None:
            assert nodes(session) == ["a", "b", "c"]
            assert (leaf(session), revision(session)) == ("c", 2)
        else:
            assert [(entry.session_id, entry.node_count) for entry in trash] == [(SESSION, 3)]
        live.reopen()
    assert found[0] == found[1]
    if found[0] == "trash":
        assert nodes(live.store.restore_session(SESSION)) == ["a", "b", "c"]
    else:
        live.append(node("d", "c"), session=live.handle())
    live.store.close()
    assert check_store(live.root).errors == ()
    return found[0]


def _stop_before_the_move(live: Living, call: Callable[[Store], object]) -> None:
    class Refuses(FailsAt):
        def __init__(self) -> None:
            super().__init__(-2)

        def rename_dir(self, src: str, dst: str) -> None:
            raise BackendError(f"cannot rename {src}")

    with system.installed(Refuses()):
        call(live.store)


def _damage(file: Path, how: str) -> None:
    if how == "missing":
        file.unlink()
    else:
        content = bytearray(file.read_bytes())
        for at in range(20, len(content), 40):
            content[at] ^= 1
        file.write_bytes(content)


def _tree(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(file.relative_to(root)): (file.stat().st_mtime_ns, file.read_bytes() if file.is_file() else b"")
        for file in root.rglob("*")
    }
