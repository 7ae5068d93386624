"""Commits that take the lease and give it back in one record."""

import multiprocessing
from pathlib import Path

import pytest

from localstore import (
    ActivePath,
    ChangeKind,
    HeadRevisionConflict,
    InvalidArgument,
    LeaseOwnerIdentity,
    LocalStore,
    RuntimeTurnCommitConflict,
    SessionExecutionLeaseExpired,
    SessionExecutionLeaseHeld,
)
from localstore.testing import SESSION, append_commit, node, owner, said, stamped, usage
from tests.history.living import HOUR, Living, identity_of_a_dead_process, leaf, path, revision

ROUNDS = 25
WRITERS = 3


def test_settles_the_same_as_a_commit_under_a_lease(live: Living) -> None:
    made = append_commit(said("a", None, "hello"), node("b", "a"), usage_deltas=(usage("agent", "m", 7),))
    result = live.session.commit_in_passing(made, owner())
    other = live.store.create_session("other")
    expected = live.settle(other, made.graph, usage_deltas=made.usage_deltas)
    assert result == expected
    read, same = live.session.load_session(ActivePath()), other.load_session(ActivePath())
    assert read is not None
    assert same is not None
    assert (read.graph, read.token_ledger, read.config) == (same.graph, same.token_ledger, same.config)
    assert live.session.get_session_execution_lease(SESSION) is None


def test_is_one_change(live: Living) -> None:
    before = live.session.changes().cursor
    live.session.commit_in_passing(append_commit(node("a")), owner())
    found = live.session.changes(before).changes
    assert [(change.kind, change.ids, change.revision) for change in found] == [(ChangeKind.COMMITTED, ("a",), 1)]
    live.reopen()
    assert live.session.changes(before).changes == found


def test_a_holder_is_respected(live: Living) -> None:
    lease = live.lease(live.session)
    with pytest.raises(SessionExecutionLeaseHeld) as caught:
        live.session.commit_in_passing(append_commit(node("a")), LeaseOwnerIdentity.local_process("another", "1"))
    assert (caught.value.session_id, caught.value.owner_id) == (SESSION, lease.owner.owner_id)
    # Not even its own holder: who has the lease commits with its fence.
    with pytest.raises(SessionExecutionLeaseHeld):
        live.session.commit_in_passing(append_commit(node("a")), lease.owner)
    assert revision(live.session) == 0
    assert live.session.get_session_execution_lease(SESSION) == lease


def test_a_holder_that_is_too_late_is_fenced_off(live: Living) -> None:
    old = live.lease(live.session)
    live.clock.advance(HOUR)
    live.session.commit_in_passing(append_commit(node("a")), owner())
    with pytest.raises(SessionExecutionLeaseExpired):
        live.session.renew_session_execution_lease(old.fence(), HOUR)
    with pytest.raises(SessionExecutionLeaseExpired):
        live.session.commit_runtime_state(append_commit(node("late", "a"), session_execution_lease=old.fence()))
    assert live.lease(live.session).fencing_token == old.fencing_token + 2
    assert leaf(live.session) == "a"


def test_a_holder_that_is_dead_is_taken_over(live: Living) -> None:
    dead = identity_of_a_dead_process()
    held = live.session.try_claim_session_execution_lease(SESSION, dead, HOUR).acquired()
    assert held is not None
    me = LeaseOwnerIdentity.local_process("me", "1")
    live.session.commit_in_passing(append_commit(node("a")), me)
    with pytest.raises(SessionExecutionLeaseExpired):
        live.session.commit_runtime_state(append_commit(node("late", "a"), session_execution_lease=held.fence()))
    assert (leaf(live.session), live.session.get_session_execution_lease(SESSION)) == ("a", None)


def test_the_revision_is_checked(live: Living) -> None:
    live.append(node("a"))
    with pytest.raises(HeadRevisionConflict) as caught:
        live.session.commit_in_passing(append_commit(node("b", "a"), expected_head_revision=0), owner())
    assert (caught.value.expected, caught.value.actual) == (0, 1)
    assert leaf(live.session) == "a"


def test_the_same_turn_again_is_the_stored_one_whoever_holds_the_lease(live: Living) -> None:
    turn = stamped(append_commit(node("a"), expected_head_revision=0), "t1")
    first = live.session.commit_in_passing(turn, owner())
    live.lease(live.session)
    assert live.session.commit_in_passing(turn, owner()) == first
    other = stamped(append_commit(node("b"), expected_head_revision=1), "t1")
    with pytest.raises(RuntimeTurnCommitConflict):
        live.session.commit_in_passing(other, owner())
    assert revision(live.session) == 1


def test_a_commit_that_names_a_lease_is_refused(live: Living) -> None:
    lease = live.lease(live.session)
    made = append_commit(node("a"))
    for wrong in (
        made.with_session_execution_lease(lease.fence()),
        made.releasing_session_execution_lease(lease.completion()),
    ):
        with pytest.raises(InvalidArgument):
            live.session.commit_in_passing(wrong, lease.owner)
    for arguments in ((None, owner()), (made, None)):
        with pytest.raises(InvalidArgument):
            live.session.commit_in_passing(*arguments)
    assert revision(live.session) == 0


def _write(root: Path, name: str) -> int:
    """Append `ROUNDS` nodes, each behind whatever the leaf is; how often another process was faster."""
    late = 0
    me = LeaseOwnerIdentity.local_process(name, name)
    with LocalStore(root) as store:
        session = store.open_session(SESSION)
        assert session is not None
        for number in range(ROUNDS):
            while True:
                head = session.load_session_head()
                at = 0 if head is None else head.head_revision
                made = append_commit(
                    node(f"{name}-{number}", None if head is None else head.leaf_node_id), expected_head_revision=at
                )
                try:
                    session.commit_in_passing(made, me)
                    break
                except HeadRevisionConflict:
                    late += 1
    return late


def test_of_several_processes_one_commits_at_each_revision(on_files: Living) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(WRITERS) as pool:
        pool.starmap(_write, [(on_files.root, f"w{number}") for number in range(WRITERS)])
    assert revision(on_files.session) == ROUNDS * WRITERS
    found = path(on_files.session)
    for number in range(WRITERS):
        own = [each for each in found if each.startswith(f"w{number}-")]
        assert own == [f"w{number}-{round_number}" for round_number in range(ROUNDS)]
