"""Claims on turn input: for the running turn and for the next, how they end, and that nothing is stranded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ... import (
    ActiveTurnClaim,
    InputAlreadyCompleted,
    LeaseOwnerIdentity,
    NextTurnClaim,
    SessionExecutionLeaseExpired,
    SessionExecutionLeaseFence,
    TurnInputCheckpointBoundary,
    TurnInputClaim,
    TurnInputState,
)
from ..backends import Capability
from ..builders import OTHER, SESSION, TURN, active_input, living_owner, next_input, owner, unchanged_commit
from ..identities import dead_owner
from .calls import STALE, stale_fences
from .world import (
    AFTER_WORK,
    BEFORE_COMPLETION,
    HOUR,
    MINUTE,
    WORKER,
    Conformance,
    World,
)

ADMITS_LATE_ONLY = TurnInputCheckpointBoundary.BEFORE_COMPLETION


def ids(claim: TurnInputClaim | None) -> list[str]:
    """The ids of the claimed inputs."""
    return [] if claim is None else [item.input_id for item in claim.inputs]


class TestClaimingForTheRunningTurn(Conformance):
    """Claims of input for the running turn."""

    requires = frozenset({Capability.TURN_INPUT})

    def test_gives_a_claim_on_accepted_inputs(self, world: World) -> None:
        """Claimed inputs become accepted; the claim says whose it is, for what and until when."""
        item = world.say(active_input("hello"))
        who, now = owner("claimant"), world.clock.now_ms()
        claim = world.take_active(owner=who, ttl_ms=MINUTE)
        assert claim is not None
        assert (claim.session_id, claim.owner) == (SESSION, who)
        assert (claim.claimed_at_epoch_ms, claim.expires_at_epoch_ms) == (now, now + MINUTE)
        assert claim.mode == ActiveTurnClaim(TURN, AFTER_WORK)
        assert claim.inputs == (replace(item, state=TurnInputState.ACCEPTED),)
        assert claim.claim_id
        assert claim.lease_token

    def test_takes_them_in_order_up_to_the_limit(self, world: World) -> None:
        """Inputs are taken in the order of enqueueing, no more than asked for."""
        names = [world.say(active_input(f"{number}")).input_id for number in range(5)]
        assert ids(world.take_active(limit=2)) == names[:2]
        assert ids(world.take_active(limit=2)) == names[2:4]
        assert ids(world.take_active(limit=2)) == names[4:]
        assert world.take_active(limit=2) is None

    def test_takes_those_of_the_turn_alone(self, world: World) -> None:
        """Input of other turns and for the next turn is left alone."""
        world.say(active_input("1", "turn-2"))
        world.say(next_input("2"))
        mine = world.say(active_input("3"))
        assert ids(world.take_active()) == [mine.input_id]
        assert len(world.pending()) == 2

    def test_at_the_early_checkpoint_passes_over_late_input(self, world: World) -> None:
        """A boundary of BEFORE_COMPLETION admits only that checkpoint, so later inputs may be taken before."""
        late = world.say(active_input("late", boundary=ADMITS_LATE_ONLY))
        early = world.say(active_input("early"))
        assert ids(world.take_active(checkpoint=AFTER_WORK)) == [early.input_id]
        assert world.pending() == [late.input_id]

    def test_at_the_late_checkpoint_takes_both(self, world: World) -> None:
        """A boundary of AFTER_WORK admits both checkpoints."""
        names = [
            world.say(active_input("1", boundary=ADMITS_LATE_ONLY)).input_id,
            world.say(active_input("2")).input_id,
        ]
        claim = world.take_active(checkpoint=BEFORE_COMPLETION)
        assert ids(claim) == names
        assert claim is not None
        assert claim.mode == ActiveTurnClaim(TURN, BEFORE_COMPLETION)

    def test_of_nothing_is_none(self, world: World) -> None:
        """Without fitting input there is no claim."""
        assert world.take_active() is None
        world.say(active_input("late", boundary=ADMITS_LATE_ONLY))
        assert world.take_active(checkpoint=AFTER_WORK) is None

    def test_of_0_inputs_is_none(self, world: World) -> None:
        """A limit of 0 claims nothing."""
        item = world.say(active_input("hello"))
        assert world.take_active(limit=0) is None
        assert world.pending() == [item.input_id]

    def test_may_be_for_another_owner_than_the_lease_s(self, world: World) -> None:
        """The claim's owner need not be the holder of the lease."""
        world.say(active_input("hello"))
        claim = world.take_active(owner=owner("helper", "9"))
        assert claim is not None
        assert claim.owner == owner("helper", "9")

    def test_of_0_milliseconds_expires_at_once(self, world: World) -> None:
        """A claim of 0 milliseconds is given and expired at once."""
        item = world.say(active_input("hello"))
        assert ids(world.take_active(ttl_ms=0)) == [item.input_id]
        assert world.pending() == [item.input_id]
        assert ids(world.take_active()) == [item.input_id]


class TestClaimingForTheNextTurn(Conformance):
    """Claims of input for the next turn."""

    requires = frozenset({Capability.TURN_INPUT})

    def test_takes_deferred_inputs_whose_state_does_not_change(self, world: World) -> None:
        """Deferred inputs are claimed as they are, in order."""
        items = tuple(world.say(next_input(f"{number}")) for number in range(3))
        claim = world.take_next()
        assert claim is not None
        assert claim.inputs == items
        assert claim.mode == NextTurnClaim()

    def test_takes_up_to_the_limit(self, world: World) -> None:
        """No more inputs are taken than asked for, and 0 is none."""
        names = [world.say(next_input(f"{number}")).input_id for number in range(3)]
        assert world.take_next(limit=0) is None
        assert ids(world.take_next(limit=2)) == names[:2]
        assert ids(world.take_next(limit=2)) == names[2:]

    def test_leaves_input_of_running_turns_alone(self, world: World) -> None:
        """Pending input of a turn is not for the next one."""
        world.say(active_input("mine"))
        assert world.take_next() is None
        assert len(world.pending()) == 1

    def test_takes_what_came_too_late_for_its_turn(self, world: World) -> None:
        """Input that was deferred on the way is taken like any other, in the order of enqueueing."""
        names = [
            world.say(active_input("1")).input_id,
            world.say(next_input("2")).input_id,
            world.say(active_input("3")).input_id,
        ]
        world.settle(unchanged_commit().deferring_interrupted_turn_inputs(TURN))
        assert ids(world.take_next()) == names


class TestLeaseForClaims(Conformance):
    """The lease that claims of input need."""

    requires = frozenset({Capability.TURN_INPUT})

    def refused(self, world: World, fence: SessionExecutionLeaseFence) -> None:
        """Neither kind of claim nor a deferral is made with this fence."""
        world.say(active_input("1"))
        world.say(next_input("2"))
        before = world.everything()
        session = world.session
        with pytest.raises(SessionExecutionLeaseExpired) as caught:
            session.claim_active_turn_inputs(SESSION, fence, WORKER, TURN, AFTER_WORK, MINUTE, 1)
        assert caught.value.session_id == SESSION
        with pytest.raises(SessionExecutionLeaseExpired):
            session.claim_next_turn_inputs(SESSION, fence, WORKER, MINUTE, 1)
        with pytest.raises(SessionExecutionLeaseExpired):
            session.defer_orphaned_turn_inputs(SESSION, fence, TURN)
        assert world.everything() == before

    @pytest.mark.parametrize(
        "field",
        STALE,
    )
    def test_must_be_the_current_one(self, world: World, field: str) -> None:
        """A fence is stale when any of its four fields differs."""
        self.refused(world, stale_fences(world)[field])

    def test_must_be_live(self, world: World) -> None:
        """An expired lease does not serve."""
        fence = world.lease(ttl_ms=MINUTE).fence()
        world.clock.advance(MINUTE)
        self.refused(world, fence)

    def test_must_not_be_released(self, world: World) -> None:
        """A released lease does not serve."""
        lease = world.lease()
        world.session.release_session_execution_lease(lease.completion())
        self.refused(world, lease.fence())

    def test_must_be_of_that_session(self, world: World) -> None:
        """A live lease of another session does not serve."""
        world.store.create_session(OTHER)
        self.refused(world, world.fence(OTHER))


class TestEndOfAnInputClaim(Conformance):
    """How a claim on input ends."""

    requires = frozenset({Capability.TURN_INPUT})

    def claim(self, world: World, who: LeaseOwnerIdentity = WORKER) -> TurnInputClaim:
        """A claim of a minute on one new input."""
        world.say(active_input("hello"))
        claim = world.take_active(owner=who)
        assert claim is not None
        return claim

    def test_is_the_millisecond_of_its_expiry(self, world: World) -> None:
        """A claim holds until now equals its expiry; then anybody may claim again, with a higher token."""
        claim = self.claim(world)
        world.clock.advance(MINUTE - 1)
        assert world.take_active(owner=owner("other")) is None
        world.clock.advance(1)
        again = world.take_active(owner=owner("other"))
        assert again is not None
        assert ids(again) == ids(claim)
        assert again.fencing_token > claim.fencing_token
        assert (again.claim_id, again.lease_token) != (claim.claim_id, claim.lease_token)

    def test_comes_with_the_owner_s_death(self, world: World) -> None:
        """A claim whose owner is definitely dead for the claimant is available at once."""
        claim = self.claim(world, dead_owner())
        again = world.take_active(owner=living_owner("other"))
        assert again is not None
        assert ids(again) == ids(claim)
        assert again.fencing_token > claim.fencing_token

    def test_does_not_come_without_proof_of_death(self, world: World) -> None:
        """A claimant that is no process cannot tell that the owner is dead."""
        self.claim(world, dead_owner())
        assert world.take_active(owner=owner("no process")) is None

    def test_does_not_come_while_the_owner_lives(self, world: World) -> None:
        """The claim of a living process stands until it expires."""
        self.claim(world, living_owner())
        assert world.take_active(owner=living_owner("other")) is None

    def test_is_not_the_end_of_the_lease_it_was_made_under(self, world: World) -> None:
        """A claim outlives the lease, and a new holder does not get what is still claimed."""
        self.claim(world)
        world.session.release_session_execution_lease(world.lease().completion())
        fence = world.lease(owner("next holder")).fence()
        claim = world.session.claim_active_turn_inputs(
            SESSION, fence, owner("next holder"), TURN, AFTER_WORK, MINUTE, 10
        )
        assert claim is None

    def test_is_an_abandon(self, world: World) -> None:
        """Abandoning gives the inputs back: accepted ones are pending again, in their old place."""
        first = self.claim(world)
        world.say(active_input("later"))
        world.session.abandon_turn_input_claim(first)
        listed = world.session.list_pending_turn_inputs(SESSION)
        assert [item.state for item in listed] == [TurnInputState.PENDING_ACTIVE] * 2
        assert listed[0].input_id == ids(first)[0]
        again = world.take_active(limit=1)
        assert again is not None
        assert ids(again) == ids(first)
        assert again.fencing_token > first.fencing_token

    def test_is_an_abandon_for_next_turn_input_too(self, world: World) -> None:
        """Abandoned next-turn input is deferred as before."""
        item = world.say(next_input("hello"))
        claim = world.take_next()
        assert claim is not None
        world.session.abandon_turn_input_claim(claim)
        assert world.session.list_pending_turn_inputs(SESSION) == (item,)

    def test_cannot_be_brought_about_by_a_stale_abandon(self, world: World) -> None:
        """Abandoning a claim that somebody has taken over is ignored."""
        claim = self.claim(world)
        world.clock.advance(MINUTE)
        taken = world.take_active(owner=owner("other"))
        assert taken is not None
        world.session.abandon_turn_input_claim(claim)
        assert world.pending() == []
        world.settle(unchanged_commit().completing_turn_input_claim(taken))

    def test_may_be_told_again(self, world: World) -> None:
        """Abandoning twice, or after the completion, is ignored."""
        claim = self.claim(world)
        world.session.abandon_turn_input_claim(claim)
        world.session.abandon_turn_input_claim(claim)
        again = world.take_active()
        assert again is not None
        world.settle(unchanged_commit().completing_turn_input_claim(again))
        world.session.abandon_turn_input_claim(again)
        world.session.abandon_turn_input_claim(claim)
        assert world.pending() == []
        outcome = world.session.cancel_pending_turn_input(SESSION, ids(claim)[0])
        assert isinstance(outcome, InputAlreadyCompleted)

    def test_ignores_an_abandon_with_another_token(self, world: World) -> None:
        """Claim id and lease token must be the claim's own."""
        claim = self.claim(world)
        world.session.abandon_turn_input_claim(replace(claim, lease_token="other"))
        world.session.abandon_turn_input_claim(replace(claim, claim_id="other"))
        assert world.pending() == []

    def test_of_part_of_the_inputs_leaves_the_rest(self, world: World) -> None:
        """When one input of an expired claim is taken over, abandoning gives back only what is still owned."""
        world.say(active_input("1"))
        world.say(active_input("2"))
        claim = world.take_active()
        world.clock.advance(MINUTE)
        taken = world.take_active(limit=1, owner=owner("other"), ttl_ms=HOUR)
        assert claim is not None
        world.session.abandon_turn_input_claim(claim)
        assert world.pending() == ids(claim)[1:]
        assert ids(taken) == ids(claim)[:1]
