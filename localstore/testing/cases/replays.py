"""Stamped turns: the same turn again is answered from the stored result, and does nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ... import (
    HeadRevisionConflict,
    HydratedSessionCheckpoint,
    RuntimeCommit,
    RuntimeCommitResult,
    RuntimeTurnCommitConflict,
    RuntimeTurnCommitStamp,
    SessionExecutionLeaseExpired,
)
from ..backends import Capability
from ..builders import (
    OTHER,
    SESSION,
    TURN,
    active_input,
    append_commit,
    chain,
    node,
    owner,
    replace_commit,
    stamped,
    unchanged_commit,
    usage,
    wake,
)
from .world import HOUR, MINUTE, Conformance, World


def first_turn() -> RuntimeCommit:
    """A stamped commit."""
    checkpoint = HydratedSessionCheckpoint(tool_state={"turn": 1}, execution_state=b"one")
    return stamped(append_commit(*chain("a", "b"), checkpoint=checkpoint, usage_deltas=(usage("s", "m"),)))


def replays(world: World, commit: RuntimeCommit, expected: RuntimeCommitResult) -> None:
    """The commit is answered with the stored result, and changes nothing."""
    before = world.everything()
    assert world.session.commit_runtime_state(commit) == expected
    assert world.everything() == before


class TestReplay(Conformance):
    """The same stamped turn again."""

    def test_returns_the_stored_result(self, world: World) -> None:
        """The same turn with the same hash gives the same revision, checkpoint reference and manifest."""
        result = world.settle(first_turn())
        replays(world, first_turn(), result)

    def test_needs_no_live_lease(self, world: World) -> None:
        """A replay is answered without a lease, with a stale one, and while somebody else holds it."""
        lease = world.lease()
        commit = first_turn().with_session_execution_lease(lease.fence())
        result = world.session.commit_runtime_state(commit)
        world.session.release_session_execution_lease(lease.completion())
        replays(world, commit, result)
        replays(world, first_turn(), result)
        world.lease(owner("somebody else"))
        replays(world, commit, result)

    def test_returns_the_old_revision_on_a_newer_head(self, world: World) -> None:
        """The stored result stays the same however far the head has moved."""
        result = world.settle(first_turn())
        world.append(node("c", "b"))
        world.settle(stamped(append_commit(node("d", "c")), "turn-2"))
        replays(world, first_turn(), result)
        assert result.head_revision == 1

    def test_does_not_compare_the_head(self, world: World) -> None:
        """A replay that expects an old revision is no conflict."""
        result = world.settle(replace(first_turn(), expected_head_revision=0))
        replays(world, replace(first_turn(), expected_head_revision=0), result)
        replays(world, replace(first_turn(), expected_head_revision=77), result)

    def test_does_not_look_at_the_rest_of_the_commit(self, world: World) -> None:
        """Only the hash decides: nodes, claims and references of the replay are not looked at."""
        result = world.settle(first_turn())
        stamp = first_turn().turn_commit
        other = append_commit(node("x", "nowhere"), node("x"), committed_attachment_ids=("unknown",))
        replays(world, replace(other, turn_commit=stamp), result)

    def test_adds_usage_once(self, world: World) -> None:
        """Usage is not added again."""
        world.settle(first_turn())
        world.settle(first_turn())
        assert world.read().token_ledger == (usage("s", "m"),)

    def test_releases_the_lease_if_asked(self, world: World) -> None:
        """A replay that asks for it releases the lease, and does nothing else."""
        result = world.settle(first_turn())
        lease = world.lease()
        before = world.everything()
        commit = first_turn().releasing_session_execution_lease(lease.completion())
        assert world.session.commit_runtime_state(commit) == result
        assert world.session.get_session_execution_lease(SESSION) is None
        assert world.everything() == {**before, f"lease of {SESSION}": None}

    def test_never_releases_a_newer_lease(self, world: World) -> None:
        """A replay with a stale release leaves the newer lease alone."""
        old = world.lease(ttl_ms=MINUTE)
        commit = first_turn().releasing_session_execution_lease(old.completion())
        result = world.session.commit_runtime_state(commit.with_session_execution_lease(old.fence()))
        newer = world.lease(owner("next"))
        assert world.session.commit_runtime_state(commit) == result
        assert world.session.get_session_execution_lease(SESSION) == newer

    def test_may_ask_for_a_release_while_nobody_holds_the_lease(self, world: World) -> None:
        """A replay of a turn that released its lease is answered like any other."""
        lease = world.lease()
        commit = first_turn().releasing_session_execution_lease(lease.completion())
        commit = commit.with_session_execution_lease(lease.fence())
        result = world.session.commit_runtime_state(commit)
        replays(world, commit, result)

    def test_survives_vacuum_and_gc(self, world: World) -> None:
        """The stored result outlives the nodes and blobs of its turn."""
        result = world.settle(first_turn())
        world.settle(replace_commit(node("x"), checkpoint=HydratedSessionCheckpoint(execution_state=b"two")))
        world.session.vacuum()
        assert world.session.gc_unreachable().deleted_blob_count > 0
        replays(world, first_turn(), result)

    def test_comes_from_any_handle(self, world: World) -> None:
        """A retry through another handle is a replay too."""
        result = world.settle(first_turn())
        assert world.handle().commit_runtime_state(first_turn()) == result

    def test_is_found_among_many_turns(self, world: World) -> None:
        """Every stamped turn stays known."""
        results = [world.settle(stamped(unchanged_commit(), f"t{number}")) for number in range(50)]
        for number in range(50):
            assert world.session.commit_runtime_state(stamped(unchanged_commit(), f"t{number}")) == (results[number])
        assert world.read().head_revision == 50

    def test_of_the_same_turn_on_a_newer_head_is_recognised_by_its_hash(self, world: World) -> None:
        """A turn built anew, with fresh node ids on a newer head, has the same hash and is not committed twice."""
        world.append(node("root"))
        payload = {"kind": "event", "text": "answer"}
        turn = stamped(append_commit(node("n-1", "root", payload=payload), expected_head_revision=1))
        result = world.settle(turn)
        retry = append_commit(
            node("n-2", "n-1", payload=payload, timestamp="2026-02-02T00:00:00Z"), expected_head_revision=2
        )
        replays(world, stamped(retry), result)


class TestReplayOfQueues(Conformance):
    """Replays of turns that took input and work."""

    requires = frozenset({Capability.QUEUED_WORK, Capability.TURN_INPUT})

    def test_does_not_complete_claims_again(self, world: World) -> None:
        """A replay whose claims were completed by the first commit succeeds."""
        world.queue(wake())
        claim = world.take_work()
        assert claim is not None
        commit = stamped(unchanged_commit().completing_queue_claim(claim))
        result = world.settle(commit)
        world.queue(wake("later"))
        replays(world, commit, result)

    def test_does_not_defer_inputs_again(self, world: World) -> None:
        """Input that came after the first commit is left alone by a replay."""
        commit = stamped(unchanged_commit().deferring_interrupted_turn_inputs("turn-9"))
        result = world.settle(commit)
        world.say(active_input("later", "turn-9"))
        replays(world, commit, result)


class TestStampConflict(Conformance):
    """The same turn with other content."""

    def conflicts(self, world: World, commit: RuntimeCommit) -> RuntimeTurnCommitConflict:
        """The commit conflicts and changes nothing."""
        world.fence()
        before = world.everything()
        with pytest.raises(RuntimeTurnCommitConflict) as caught:
            world.settle(commit)
        assert world.everything() == before
        return caught.value

    def test_is_another_hash_for_the_same_turn(self, world: World) -> None:
        """A turn that was committed with another hash raises RuntimeTurnCommitConflict."""
        world.settle(first_turn())
        error = self.conflicts(world, stamped(append_commit(node("c", "b"))))
        assert (error.session_id, error.turn_id) == (SESSION, TURN)

    def test_is_a_stamp_of_another_session(self, world: World) -> None:
        """A stamp whose session id differs raises RuntimeTurnCommitConflict."""
        stamp = RuntimeTurnCommitStamp(OTHER, TURN, "f" * 64)
        error = self.conflicts(world, append_commit(node("a")).with_turn_commit(stamp))
        assert error.turn_id == TURN

    def test_is_told_without_a_lease(self, world: World) -> None:
        """The stamp is looked at before the lease."""
        world.settle(first_turn())
        with pytest.raises(RuntimeTurnCommitConflict):
            world.session.commit_runtime_state(stamped(append_commit(node("c"))))

    def test_does_not_release_the_lease(self, world: World) -> None:
        """A conflict changes nothing, the lease included."""
        world.settle(first_turn())
        lease = world.lease()
        commit = stamped(append_commit(node("c", "b")))
        self.conflicts(world, commit.releasing_session_execution_lease(lease.completion()))
        assert world.session.get_session_execution_lease(SESSION) == lease

    def test_does_not_arise_between_sessions(self, world: World) -> None:
        """The same turn id in another session is another turn."""
        world.store.create_session(OTHER)
        world.settle(first_turn())
        result = world.settle(stamped(append_commit(node("z"), session_id=OTHER)))
        assert result.head_revision == 1

    def test_does_not_arise_for_a_turn_that_failed(self, world: World) -> None:
        """A commit that failed left no stamp, so the turn may be committed with other content."""
        world.append(node("root"))
        with pytest.raises(HeadRevisionConflict):
            world.settle(stamped(append_commit(node("a", "root"), expected_head_revision=0)))
        with pytest.raises(SessionExecutionLeaseExpired):
            world.session.commit_runtime_state(stamped(append_commit(node("a", "root"))))
        assert world.settle(stamped(append_commit(node("b", "root")))).head_revision == 2

    def test_remembers_turns_after_their_lease_is_long_gone(self, world: World) -> None:
        """A stamp has no expiry."""
        world.settle(first_turn())
        world.clock.advance(10_000 * HOUR)
        self.conflicts(world, stamped(append_commit(node("c"))))
