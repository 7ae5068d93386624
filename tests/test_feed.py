"""The change feed: every change once and in order, across handles, folds, vacuums and restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localstore import (
    Change,
    ChangeKind,
    CursorExpired,
    Durability,
    InMemoryStore,
    LeaseOwnerIdentity,
    LocalStore,
    NextTurn,
    PendingTurnInputDraft,
    QueuedWorkClaimBoundary,
    SessionStore,
    TurnInput,
)
from localstore.machine import feed
from localstore.store import Store
from localstore.testing import append_commit, node, unchanged_commit, wake

K = ChangeKind


@pytest.fixture(params=["memory", "files"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = InMemoryStore() if request.param == "memory" else LocalStore(tmp_path / "store")
    with made:
        yield made


def say(session: SessionStore, text: str) -> str:
    draft = PendingTurnInputDraft("s", NextTurn(), TurnInput.text(text))
    return session.enqueue_pending_turn_input(draft).input_id


def kinds(changes: tuple[Change, ...]) -> list[ChangeKind]:
    return [change.kind for change in changes]


def test_tells_cancelled_work_from_completed(store: Store):
    session = store.create_session("s")
    batch = session.enqueue_queued_work(wake(session_id="s"))
    start = session.changes().cursor
    assert session.cancel_queued_work_batch("s", batch.batch_id) is not None
    (change,) = session.changes(start).changes
    assert (change.kind, change.ids) == (K.WORK_CANCELLED, (batch.batch_id,))


def test_tells_each_change_once_and_in_order(store: Store):
    session = store.create_session("s")
    start = session.changes().cursor
    first = say(session, "one")
    owner = LeaseOwnerIdentity.opaque("worker", "1")
    lease = session.try_claim_session_execution_lease("s", owner, 60_000).acquired()
    assert lease is not None
    claim = session.claim_next_turn_inputs("s", lease.fence(), owner, 60_000, 5)
    assert claim is not None
    session.abandon_turn_input_claim(claim)
    session.cancel_pending_turn_input("s", first)
    session.release_session_execution_lease(lease.completion())
    batch = session.changes(start)
    assert kinds(batch.changes) == [
        K.INPUT_ENQUEUED,
        K.LEASE_SET,
        K.INPUTS_CLAIMED,
        K.INPUTS_RELEASED,
        K.INPUTS_CANCELLED,
        K.LEASE_CLEARED,
    ]
    assert [change.ids for change in batch.changes if change.kind is not K.LEASE_SET] == [(first,)] * 4 + [()]
    assert [change.seq for change in batch.changes] == sorted({change.seq for change in batch.changes})
    assert session.changes(batch.cursor).changes == ()


def test_tells_what_a_commit_completed_and_where_the_head_went(store: Store):
    session = store.create_session("s")
    owner = LeaseOwnerIdentity.opaque("worker", "1")
    lease = session.try_claim_session_execution_lease("s", owner, 60_000).acquired()
    assert lease is not None
    said, batch = say(session, "hello"), session.enqueue_queued_work(wake(session_id="s"))
    inputs = session.claim_next_turn_inputs("s", lease.fence(), owner, 60_000, 5)
    work = session.claim_ready_queued_work("s", lease.fence(), owner, QueuedWorkClaimBoundary.IDLE, 60_000, 5)
    assert inputs is not None
    assert work is not None
    start = session.changes().cursor
    commit = append_commit(node("a"), session_id="s").with_session_execution_lease(lease.fence())
    session.commit_runtime_state(commit.completing_turn_input_claim(inputs).completing_queue_claim(work))
    session.rewind("a", fence=lease.fence())
    session.rewind(None, fence=lease.fence())
    assert [(each.kind, each.ids, each.revision) for each in session.changes(start).changes] == [
        (K.COMMITTED, ("a",), 1),
        (K.WORK_COMPLETED, (batch.batch_id,), None),
        (K.INPUTS_COMPLETED, (said,), None),
        (K.HEAD_MOVED, ("a",), 2),
        (K.HEAD_MOVED, (), 3),
    ]


def test_tells_of_a_commit_nothing_that_it_did_not_do(store: Store):
    session = store.create_session("s")
    lease = session.try_claim_session_execution_lease("s", LeaseOwnerIdentity.opaque("worker", "1"), 60_000).acquired()
    assert lease is not None
    start = session.changes().cursor
    first = append_commit(node("a"), session_id="s")
    again = unchanged_commit("a", session_id="s", interrupted_turn_input_turn_id="turn")
    for commit in (first, again):
        session.commit_runtime_state(commit.with_session_execution_lease(lease.fence()))
    assert session.gc_unreachable().deleted_blob_count == 0
    assert kinds(session.changes(start).changes) == [K.COMMITTED, K.COMMITTED]


def test_pages_come_to_the_whole(store: Store):
    session = store.create_session("s")
    for number in range(7):
        say(session, str(number))
    whole = session.changes().changes
    pages: list[Change] = []
    cursor = None
    while page := session.changes(cursor, limit=2).changes:
        assert len(page) <= 2
        pages += page
        cursor = page[-1].cursor
    assert (tuple(pages), len(pages)) == (whole, 7)


UPKEEP: list[Callable[[SessionStore], object]] = [SessionStore.checkpoint, SessionStore.vacuum]


@pytest.mark.parametrize("upkeep", UPKEEP, ids=["fold", "vacuum"])
def test_goes_on_behind_a_cursor_whatever_was_folded(store: Store, upkeep: Callable[[SessionStore], object]):
    session = store.create_session("s")
    say(session, "before")
    cursor = session.changes().cursor
    upkeep(session)
    inputs = [say(session, "after")]
    upkeep(session)
    inputs.append(say(session, "later"))
    assert [change.ids[0] for change in session.changes(cursor).changes] == inputs


@pytest.mark.parametrize("durability", list(Durability))
def test_goes_on_after_a_restart_and_in_another_store(tmp_path: Path, durability: Durability):
    root = tmp_path / "store"
    with LocalStore(root, durability=durability) as store, LocalStore(root, durability=durability) as other:
        session = store.create_session("s")
        say(session, "one")
        cursor = session.changes().cursor
        second = say(session, "two")
        followed = other.open_session("s")
        assert followed is not None
        live = followed.changes(cursor)
        assert [change.ids for change in live.changes] == [(second,)]
    with LocalStore(root) as store:
        again = store.open_session("s")
        assert again is not None
        assert again.changes(cursor) == live


def test_keeps_the_latest_changes_through_a_vacuum(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feed, "KEPT", 5)
    session = store.create_session("s")
    start = session.changes().cursor
    for number in range(12):
        session.cancel_pending_turn_input("s", say(session, str(number)))
    everything = session.changes(start).changes
    assert session.vacuum().removed_pending_turn_input_tombstone_count == 12
    assert session.changes().changes == everything[-5:]
    with pytest.raises(CursorExpired, match="too old"):
        session.changes(start)


def test_a_cursor_of_another_session_or_life_says_so(store: Store):
    session = store.create_session("s")
    cursor = session.changes().cursor
    store.delete_session("s")
    again = store.create_session("s")
    for foreign in (cursor, "nonsense", "a.b.c", f"{again.changes().cursor.partition('.')[0]}.99."):
        with pytest.raises(CursorExpired) as caught:
            again.changes(foreign)
        assert caught.value.cursor == foreign


@pytest.mark.parametrize("is_folded", [False, True], ids=["in the journal", "folded"])
def test_a_lost_record_s_successor_is_not_taken_for_it(tmp_path: Path, is_folded: bool):
    with LocalStore(tmp_path / "store") as store:
        session = store.create_session("s")
        say(session, "one")
        cursor = session.changes().cursor
        incarnation, seq, _ = cursor.split(".")
        if is_folded:
            session.checkpoint()
        with pytest.raises(CursorExpired, match="another has its number"):
            session.changes(f"{incarnation}.{seq}.00000000")


def test_a_cursor_of_a_fork_that_did_nothing_yet_outlives_a_vacuum(store: Store):
    session = store.create_session("s")
    lease = session.try_claim_session_execution_lease("s", LeaseOwnerIdentity.opaque("worker", "1"), 60_000).acquired()
    assert lease is not None
    commit = append_commit(node("a"), node("b"), session_id="s")
    session.commit_runtime_state(commit.with_session_execution_lease(lease.fence()))
    session.tombstone_nodes(("b",))
    child = session.fork("child")
    cursor = child.changes().cursor
    assert child.vacuum().removed_node_count == 1
    assert child.changes(cursor).changes == ()
    said = child.enqueue_pending_turn_input(PendingTurnInputDraft("child", NextTurn(), TurnInput.text("x"))).input_id
    assert [change.ids for change in child.changes(cursor).changes] == [(said,)]
