"""What a commit is checked for, in which order, and that a failed one changes nothing at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import pytest

from ... import (
    GraphAppend,
    HeadRevisionConflict,
    HydratedSessionCheckpoint,
    InvalidCommit,
    QueuedWorkClaimExpired,
    QueuedWorkCompletion,
    RuntimeCommit,
    RuntimeTurnCommitConflict,
    RuntimeTurnCommitStamp,
    SessionBindingMismatch,
    SessionExecutionLeaseExpired,
    StoreError,
    TurnInputClaimExpired,
    TurnInputCompletion,
)
from ..backends import Capability
from ..builders import (
    OTHER,
    SESSION,
    TURN,
    UNKNOWN_REF,
    active_input,
    append_commit,
    chain,
    frame,
    next_input,
    node,
    owner,
    stamped,
    unchanged_commit,
    usage,
    wake,
)
from .calls import STALE, stale_fences
from .world import HOUR, MINUTE, SECOND, WORKER, Conformance, World

Flaw = Callable[[RuntimeCommit], RuntimeCommit]

FLAWS: dict[str, tuple[Flaw, type[StoreError]]] = {
    "binding": (lambda commit: replace(commit, session_id="elsewhere"), SessionBindingMismatch),
    "stamp": (
        lambda commit: commit.with_turn_commit(RuntimeTurnCommitStamp(SESSION, "done", "0" * 64)),
        RuntimeTurnCommitConflict,
    ),
    "lease": (lambda commit: replace(commit, session_execution_lease=None), SessionExecutionLeaseExpired),
    "head": (lambda commit: replace(commit, expected_head_revision=99), HeadRevisionConflict),
    "queue claim": (
        lambda commit: commit.completing_queue_claim(QueuedWorkCompletion(SESSION, "c", "t", ("b",))),
        QueuedWorkClaimExpired,
    ),
    "input claim": (
        lambda commit: commit.completing_turn_input_claim(TurnInputCompletion(SESSION, "c", "t", ("i",))),
        TurnInputClaimExpired,
    ),
    "graph": (lambda commit: replace(commit, graph=GraphAppend((node("old"),), "old")), InvalidCommit),
    "blob": (
        lambda commit: replace(commit, checkpoint=HydratedSessionCheckpoint(tool_state_ref=UNKNOWN_REF)),
        InvalidCommit,
    ),
    "frame blob": (
        lambda commit: replace(commit, agent_frames=(frame(execution_state_ref=UNKNOWN_REF),)),
        InvalidCommit,
    ),
    "attachment": (lambda commit: commit.with_committed_attachments(("unknown",)), InvalidCommit),
}
"""Ways to spoil a commit, in the order in which they are checked."""


def busy_world(world: World) -> RuntimeCommit:
    """A session with something of everything, and a valid commit that would change all of it."""
    world.settle(stamped(append_commit(node("old"), usage_deltas=(usage("s", "m"),)), "done"))
    world.queue(wake("claimed"))
    work = world.take_work()
    world.queue(wake("waiting"))
    world.say(active_input("accepted"))
    inputs = world.take_active()
    world.say(active_input("pending"))
    world.say(next_input("next"))
    assert work is not None
    assert inputs is not None
    lease = world.lease()
    commit = append_commit(
        node("new", "old"),
        expected_head_revision=1,
        checkpoint=HydratedSessionCheckpoint(execution_state=b"new state"),
        agent_frames=(frame(execution_state_snapshot=b"new snapshot"),),
        current_agent_frame_id="frame-1",
        usage_deltas=(usage("s", "m"), usage("new", "m")),
    )
    commit = commit.completing_queue_claim(work).completing_turn_input_claim(inputs)
    commit = commit.deferring_interrupted_turn_inputs(TURN)
    commit = commit.with_session_execution_lease(lease.fence())
    return commit.releasing_session_execution_lease(lease.completion())


class TestOrderOfChecks(Conformance):
    """Which flaw of a commit is told, and that none leaves a trace."""

    requires = frozenset({Capability.QUEUED_WORK, Capability.TURN_INPUT, Capability.ATTACHMENTS})

    @pytest.mark.parametrize("flaw", FLAWS)
    def test_one_flaw_fails_the_commit_and_changes_nothing(self, world: World, flaw: str) -> None:
        """A commit that fails any check changes nothing at all, and goes through once the flaw is gone."""
        spoil, error = FLAWS[flaw]
        commit = busy_world(world)
        before = world.everything()
        with pytest.raises(error):
            world.session.commit_runtime_state(spoil(commit))
        assert world.everything() == before
        result = world.session.commit_runtime_state(commit)
        assert result.head_revision == 2
        assert world.session.get_session_execution_lease(SESSION) is None
        assert len(world.queued()) == 1
        assert len(world.pending()) == 2

    @pytest.mark.parametrize(("first", "second"), list(combinations(FLAWS, 2)))
    def test_of_two_flaws_the_first_in_order_is_told(self, world: World, first: str, second: str) -> None:
        """Binding, stamp, lease, head, claims, graph, references: the checks are made in this order."""
        commit = busy_world(world)
        spoiled = FLAWS[first][0](FLAWS[second][0](commit))
        with pytest.raises(FLAWS[first][1]):
            world.session.commit_runtime_state(spoiled)

    def test_of_all_flaws_the_binding_is_told(self, world: World) -> None:
        """The session is checked before everything else."""
        commit = busy_world(world)
        for spoil, _ in FLAWS.values():
            commit = spoil(commit)
        with pytest.raises(SessionBindingMismatch):
            world.session.commit_runtime_state(commit)

    def test_a_failed_commit_stores_no_blobs(self, world: World) -> None:
        """The parts of a failed commit are not stored, so they cannot be referred to."""
        commit = busy_world(world)
        with pytest.raises(InvalidCommit):
            world.session.commit_runtime_state(FLAWS["attachment"][0](commit))
        ref = hashlib.sha256(b"new state").hexdigest()
        later = unchanged_commit("old", checkpoint=HydratedSessionCheckpoint(execution_state_ref=ref))
        with pytest.raises(InvalidCommit):
            world.settle(later)


class TestBinding(Conformance):
    """Commits of another session."""

    def test_another_session_s_commit_is_refused(self, world: World) -> None:
        """A commit of another session raises SessionBindingMismatch with both ids, though that session exists."""
        world.store.create_session(OTHER)
        commit = append_commit(node("a"), session_id=OTHER)
        fence = world.fence(OTHER)
        with pytest.raises(SessionBindingMismatch) as caught:
            world.session.commit_runtime_state(commit.with_session_execution_lease(fence))
        assert caught.value.bound_session_id == SESSION
        assert caught.value.attempted_session_id == OTHER


class TestLeaseOfACommit(Conformance):
    """The lease that a commit needs."""

    def fails(self, world: World, commit: RuntimeCommit) -> None:
        """The commit lacks a live lease, and changes nothing."""
        before = world.everything()
        with pytest.raises(SessionExecutionLeaseExpired) as caught:
            world.session.commit_runtime_state(commit)
        assert caught.value.session_id == SESSION
        assert world.everything() == before

    def test_is_needed(self, world: World) -> None:
        """A commit without a lease fails, held by somebody or not."""
        self.fails(world, append_commit(node("a")))
        world.lease()
        self.fails(world, append_commit(node("a")))

    @pytest.mark.parametrize(
        "field",
        STALE,
    )
    def test_must_be_the_current_one(self, world: World, field: str) -> None:
        """A fence is stale when any of its four fields differs."""
        fence = stale_fences(world)[field]
        self.fails(world, append_commit(node("a")).with_session_execution_lease(fence))

    def test_of_another_session_is_no_lease_of_this_one(self, world: World) -> None:
        """A live lease of another session does not serve."""
        world.store.create_session(OTHER)
        fence = world.fence(OTHER)
        self.fails(world, append_commit(node("a")).with_session_execution_lease(fence))

    def test_must_not_be_released(self, world: World) -> None:
        """A released lease does not serve."""
        lease = world.lease()
        world.session.release_session_execution_lease(lease.completion())
        self.fails(world, append_commit(node("a")).with_session_execution_lease(lease.fence()))

    def test_must_not_be_superseded(self, world: World) -> None:
        """A lease that another owner has taken after its expiry does not serve."""
        fence = world.lease(ttl_ms=MINUTE).fence()
        world.clock.advance(MINUTE)
        world.lease(owner("other"))
        self.fails(world, append_commit(node("a")).with_session_execution_lease(fence))

    def test_must_not_be_expired(self, world: World) -> None:
        """A lease serves until the last millisecond before it expires."""
        fence = world.lease(ttl_ms=MINUTE).fence()
        world.clock.advance(MINUTE - 1)
        world.session.commit_runtime_state(append_commit(node("a")).with_session_execution_lease(fence))
        world.clock.advance(1)
        self.fails(world, append_commit(node("b", "a")).with_session_execution_lease(fence))

    def test_that_never_lasted_is_expired(self, world: World) -> None:
        """A lease of 0 milliseconds has expired at once."""
        fence = world.lease(ttl_ms=0).fence()
        self.fails(world, append_commit(node("a")).with_session_execution_lease(fence))

    def test_serves_again_after_a_renewal(self, world: World) -> None:
        """A renewed lease serves with the same fence."""
        fence = world.lease(ttl_ms=MINUTE).fence()
        world.session.renew_session_execution_lease(fence, HOUR)
        world.clock.advance(MINUTE)
        commit = append_commit(node("a")).with_session_execution_lease(fence)
        assert world.session.commit_runtime_state(commit).head_revision == 1


class TestHeadRevision(Conformance):
    """The head revision that a commit expects."""

    def test_is_0_before_the_first_commit(self, world: World) -> None:
        """The first commit may expect revision 0."""
        assert world.settle(append_commit(node("a"), expected_head_revision=0)).head_revision == 1

    def test_is_not_compared_when_none_is_expected(self, world: World) -> None:
        """Without an expected revision any head will do."""
        world.append(node("a"))
        assert world.settle(append_commit(node("b"), expected_head_revision=None)).head_revision == 2

    @pytest.mark.parametrize("expected", [0, 2, 4, 2**53 - 1])
    def test_of_another_number_is_a_conflict(self, world: World, expected: int) -> None:
        """Another revision than the current one raises HeadRevisionConflict with both numbers."""
        for number in range(3):
            world.append(node(f"n{number}"))
        before = world.everything()
        with pytest.raises(HeadRevisionConflict) as caught:
            world.settle(append_commit(node("x"), expected_head_revision=expected))
        assert (caught.value.expected, caught.value.actual) == (expected, 3)
        assert world.everything() == before

    def test_conflicts_before_the_first_commit_too(self, world: World) -> None:
        """The actual revision before the first commit is 0."""
        with pytest.raises(HeadRevisionConflict) as caught:
            world.settle(append_commit(node("x"), expected_head_revision=1))
        assert (caught.value.expected, caught.value.actual) == (1, 0)

    def test_is_not_moved_by_other_writes(self, world: World) -> None:
        """Only commits move the head: leases, tombstones, vacuum and gc do not."""
        world.append(*chain("a", "b"))
        world.session.tombstone_nodes(("b",))
        world.session.vacuum()
        world.session.gc_unreachable()
        world.clock.advance(SECOND)
        world.lease(WORKER)
        assert world.settle(append_commit(node("c", "a"), expected_head_revision=1)).head_revision == 2
