"""The claims that a commit completes: it must still own everything that they name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ... import (
    InputCancelled,
    MergePayloadDefault,
    QueuedWorkClaim,
    QueuedWorkClaimExpired,
    QueuedWorkCompletion,
    TurnInputClaim,
    TurnInputClaimExpired,
    TurnInputCompletion,
)
from ..backends import Capability
from ..builders import OTHER, SESSION, active_input, append_commit, next_input, owner, unchanged_commit, wake
from .world import IDLE, MINUTE, SECOND, WORKER, Conformance, World


class TestCompletingQueuedWork(Conformance):
    """Completing claims on queued work with a commit."""

    requires = frozenset({Capability.QUEUED_WORK})

    def claim(self, world: World, batches: int = 1) -> QueuedWorkClaim:
        """A claim on new batches of one group."""
        for number in range(batches):
            world.queue(wake(f"{number}", merge=MergePayloadDefault()))
        claim = world.take_work()
        assert claim is not None
        assert len(claim.batches) == batches
        return claim

    def fails(self, world: World, claim: QueuedWorkClaim | QueuedWorkCompletion) -> None:
        """A commit that completes the claim fails and changes nothing."""
        world.fence()
        before = world.everything()
        with pytest.raises(QueuedWorkClaimExpired) as caught:
            world.settle(unchanged_commit().completing_queue_claim(claim))
        assert (caught.value.session_id, caught.value.claim_id) == (SESSION, claim.claim_id)
        assert world.everything() == before

    @pytest.mark.parametrize(
        "change",
        [
            lambda done: replace(done, claim_id="other"),
            lambda done: replace(done, lease_token="other"),
            lambda done: replace(done, batch_ids=(*done.batch_ids, "unknown")),
        ],
        ids=["claim id", "lease token", "batch"],
    )
    def test_needs_the_claim_s_own_names(
        self, world: World, change: Callable[[QueuedWorkCompletion], QueuedWorkCompletion]
    ) -> None:
        """Claim id and lease token must match, for every batch that is named."""
        claim = self.claim(world)
        self.fails(world, change(claim.completion()))
        world.settle(unchanged_commit().completing_queue_claim(claim))

    def test_fails_for_a_batch_that_was_never_claimed(self, world: World) -> None:
        """A batch outside of the claim is not owned by it."""
        claim = self.claim(world)
        other = world.queue(wake("unclaimed"))
        self.fails(world, replace(claim.completion(), batch_ids=(other.batch_id,)))

    def test_fails_once_it_was_completed(self, world: World) -> None:
        """A claim is completed once."""
        claim = self.claim(world)
        world.settle(unchanged_commit().completing_queue_claim(claim))
        self.fails(world, claim)

    def test_fails_once_it_was_abandoned(self, world: World) -> None:
        """An abandoned claim owns nothing."""
        claim = self.claim(world)
        world.session.abandon_queued_work_claim(claim)
        self.fails(world, claim)

    def test_fails_once_another_claim_has_the_batch(self, world: World) -> None:
        """A claim that expired and was taken over owns nothing, though its successor expired as well."""
        claim = self.claim(world)
        world.clock.advance(MINUTE)
        taken = world.take_work(owner=owner("successor"))
        assert taken is not None
        self.fails(world, claim)
        world.clock.advance(MINUTE)
        self.fails(world, claim)
        world.settle(unchanged_commit().completing_queue_claim(taken))

    def test_fails_when_one_of_its_batches_was_cancelled(self, world: World) -> None:
        """A claim must own every batch that it names."""
        claim = self.claim(world, 2)
        world.clock.advance(MINUTE)
        assert world.session.cancel_queued_work_batch(SESSION, claim.batches[1].batch_id) is not None
        self.fails(world, claim)
        left = replace(claim.completion(), batch_ids=(claim.batches[0].batch_id,))
        world.settle(unchanged_commit().completing_queue_claim(left))
        assert world.queued() == []

    def test_succeeds_after_expiry_when_nobody_took_it(self, world: World) -> None:
        """An expired claim that nobody took since is still owned."""
        claim = self.claim(world)
        world.clock.advance(2 * MINUTE)
        world.settle(unchanged_commit().completing_queue_claim(claim))
        assert world.queued() == []

    def test_may_be_for_a_part_of_the_claim(self, world: World) -> None:
        """A completion may name some of the batches; the others stay claimed."""
        claim = self.claim(world, 3)
        first, second, third = (batch.batch_id for batch in claim.batches)
        world.settle(unchanged_commit().completing_queue_claim(replace(claim.completion(), batch_ids=(second,))))
        assert world.queued() == [first, third]
        assert world.waiting() == []
        world.settle(unchanged_commit().completing_queue_claim(replace(claim.completion(), batch_ids=(first, third))))
        assert world.queued() == []

    def test_fails_for_a_claim_of_another_session(self, world: World) -> None:
        """The batches of another session are not completed by this one's commit."""
        world.store.create_session(OTHER)
        world.queue(wake(session_id=OTHER))
        fence = world.fence(OTHER)
        claim = world.session.claim_ready_queued_work(OTHER, fence, WORKER, IDLE, MINUTE, 1)
        assert claim is not None
        world.fence()
        before = world.everything()
        with pytest.raises(QueuedWorkClaimExpired):
            world.settle(unchanged_commit().completing_queue_claim(claim))
        assert world.everything() == before
        world.settle(unchanged_commit(session_id=OTHER).completing_queue_claim(claim))
        assert world.queued(OTHER) == []

    def test_outlives_the_lease_it_was_claimed_under(self, world: World) -> None:
        """A claim is its own; a commit under a later lease may complete it."""
        claim = self.claim(world)
        world.session.release_session_execution_lease(world.lease().completion())
        later = world.lease(owner("later"))
        commit = unchanged_commit().completing_queue_claim(claim)
        world.session.commit_runtime_state(commit.with_session_execution_lease(later.fence()))
        assert world.queued() == []


class TestCompletingTurnInput(Conformance):
    """Completing claims on turn input with a commit."""

    requires = frozenset({Capability.TURN_INPUT})

    def claim(self, world: World, inputs: int = 1) -> TurnInputClaim:
        """A claim on new inputs of the running turn."""
        for number in range(inputs):
            world.say(active_input(f"{number}"))
        claim = world.take_active()
        assert claim is not None
        assert len(claim.inputs) == inputs
        return claim

    def fails(self, world: World, claim: TurnInputClaim | TurnInputCompletion) -> None:
        """A commit that completes the claim fails and changes nothing."""
        world.fence()
        before = world.everything()
        with pytest.raises(TurnInputClaimExpired) as caught:
            world.settle(unchanged_commit().completing_turn_input_claim(claim))
        assert (caught.value.session_id, caught.value.claim_id) == (SESSION, claim.claim_id)
        assert world.everything() == before

    @pytest.mark.parametrize(
        "change",
        [
            lambda done: replace(done, claim_id="other"),
            lambda done: replace(done, lease_token="other"),
            lambda done: replace(done, input_ids=(*done.input_ids, "unknown")),
        ],
        ids=["claim id", "lease token", "input"],
    )
    def test_needs_the_claim_s_own_names(
        self, world: World, change: Callable[[TurnInputCompletion], TurnInputCompletion]
    ) -> None:
        """Claim id and lease token must match, for every input that is named."""
        claim = self.claim(world)
        self.fails(world, change(claim.completion()))
        world.settle(unchanged_commit().completing_turn_input_claim(claim))

    def test_fails_once_it_was_completed(self, world: World) -> None:
        """A claim is completed once, and stays so after a vacuum."""
        claim = self.claim(world)
        world.settle(unchanged_commit().completing_turn_input_claim(claim))
        self.fails(world, claim)
        world.session.vacuum()
        self.fails(world, claim)

    def test_fails_once_it_was_abandoned(self, world: World) -> None:
        """An abandoned claim owns nothing."""
        claim = self.claim(world)
        world.session.abandon_turn_input_claim(claim)
        self.fails(world, claim)

    def test_fails_once_another_claim_has_the_input(self, world: World) -> None:
        """A claim that expired and was taken over owns nothing."""
        claim = self.claim(world)
        world.clock.advance(MINUTE)
        taken = world.take_active(owner=owner("successor"))
        assert taken is not None
        self.fails(world, claim)
        world.settle(unchanged_commit().completing_turn_input_claim(taken))

    def test_fails_once_the_input_was_cancelled(self, world: World) -> None:
        """An input that was cancelled after the claim's expiry is not owned any more."""
        claim = self.claim(world, 2)
        world.clock.advance(MINUTE)
        outcome = world.session.cancel_pending_turn_input(SESSION, claim.inputs[0].input_id)
        assert isinstance(outcome, InputCancelled)
        self.fails(world, claim)
        left = replace(claim.completion(), input_ids=(claim.inputs[1].input_id,))
        world.settle(unchanged_commit().completing_turn_input_claim(left))

    def test_succeeds_after_expiry_when_nobody_took_it(self, world: World) -> None:
        """An expired claim that nobody took since can still be completed by its holder."""
        claim = self.claim(world)
        world.clock.advance(MINUTE + SECOND)
        assert len(world.pending()) == 1
        world.settle(unchanged_commit().completing_turn_input_claim(claim))
        assert world.pending() == []

    def test_of_next_turn_input_succeeds_after_expiry_too(self, world: World) -> None:
        """The same holds for claims on next-turn input."""
        world.say(next_input("hello"))
        claim = world.take_next()
        assert claim is not None
        world.clock.advance(MINUTE + SECOND)
        world.settle(unchanged_commit().completing_turn_input_claim(claim))
        assert world.pending() == []

    def test_may_be_for_a_part_of_the_claim(self, world: World) -> None:
        """A completion may name some of the inputs; the others stay accepted until the claim ends."""
        claim = self.claim(world, 2)
        first, second = claim.completion().input_ids
        world.settle(unchanged_commit().completing_turn_input_claim(replace(claim.completion(), input_ids=(first,))))
        assert world.pending() == []
        world.clock.advance(MINUTE)
        assert world.pending() == [second]

    def test_fails_for_a_claim_of_another_session(self, world: World) -> None:
        """The inputs of another session are not completed by this one's commit."""
        world.store.create_session(OTHER)
        world.say(next_input("hello", session_id=OTHER))
        claim = world.session.claim_next_turn_inputs(OTHER, world.fence(OTHER), WORKER, MINUTE, 1)
        assert claim is not None
        with pytest.raises(TurnInputClaimExpired):
            world.settle(append_commit().completing_turn_input_claim(claim))
        world.settle(unchanged_commit(session_id=OTHER).completing_turn_input_claim(claim))
        assert world.pending(OTHER) == []
