"""Queued work: enqueueing, listing, cancelling, renewing and giving back."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from ... import (
    DeliveryPolicy,
    MergeGroup,
    MergePayloadDefault,
    ProcessWake,
    QueuedWorkBatchDraft,
    QueuedWorkClaim,
    QueuedWorkClaimExpired,
    QueuedWorkClass,
    SessionCommand,
    SlotPolicy,
)
from ..backends import Capability
from ..builders import OTHER, SESSION, command, living_owner, owner, unchanged_commit, wake
from ..identities import dead_owner
from .world import HOUR, IDLE, MINUTE, SECOND, Conformance, World


def claimed(world: World, batches: int = 1) -> QueuedWorkClaim:
    """A claim of a minute on new batches."""
    for number in range(batches):
        world.queue(wake(f"{number}", merge=MergePayloadDefault()))
    claim = world.take_work()
    assert claim is not None
    return claim


class TestEnqueueingWork(Conformance):
    """Enqueueing work."""

    requires = frozenset({Capability.QUEUED_WORK})

    def test_stores_the_batch_as_it_is(self, world: World) -> None:
        """A stored batch has everything of the draft, an id, a place and a time."""
        payloads = (ProcessWake({"a": [1, None]}), ProcessWake({"✓": {"b": 2.5}}))
        draft = QueuedWorkBatchDraft(
            SESSION,
            DeliveryPolicy.AFTER_CURRENT_TURN_COMMIT,
            SlotPolicy.EXCLUSIVE,
            payloads,
            "key ✓",
            MergeGroup("group"),
            world.clock.now_ms() + 5,
        )
        batch = world.queue(draft)
        assert batch.session_id == SESSION
        assert (batch.delivery_policy, batch.slot_policy) == (draft.delivery_policy, draft.slot_policy)
        assert (batch.source_key, batch.merge_key) == ("key ✓", MergeGroup("group"))
        assert batch.available_at_ms == draft.available_at_ms
        assert batch.enqueued_at_ms == world.clock.now_ms()
        assert tuple(item.payload for item in batch.items) == payloads
        assert world.handle().list_queued_work(SESSION) == (batch,)

    def test_tells_work_from_commands(self, world: World) -> None:
        """Wakes are turn work, session commands are commands."""
        assert world.queue(wake()).work_class() is QueuedWorkClass.TURN_WORK
        batch = world.queue(command("c"))
        assert batch.work_class() is QueuedWorkClass.SESSION_COMMAND
        assert batch.items[0].payload == SessionCommand({"label": "c"})

    def test_gives_ids_and_growing_numbers(self, world: World) -> None:
        """Batches and items have ids of their own; enqueue_seq grows, whatever becomes of those before."""
        batches = []
        for number in range(10):
            batch = world.queue(wake(f"{number}"))
            batches.append(batch)
            if number % 3 == 0:
                world.session.cancel_queued_work_batch(SESSION, batch.batch_id)
        numbers = [batch.enqueue_seq for batch in batches]
        assert all(later > earlier for earlier, later in pairwise(numbers))
        assert len({batch.batch_id for batch in batches}) == 10
        assert len({batch.items[0].item_id for batch in batches}) == 10

    def test_keeps_large_payloads(self, world: World) -> None:
        """A payload may be large."""
        payloads = tuple(ProcessWake({"text": f"{number}" * 200_000}) for number in range(3))
        draft = replace(wake(), payloads=payloads)
        world.queue(draft)
        (found,) = world.session.list_queued_work(SESSION)
        assert tuple(item.payload for item in found.items) == payloads


class TestSourceKeyOfWork(Conformance):
    """Recognising work by its source key."""

    requires = frozenset({Capability.QUEUED_WORK})

    def test_in_the_queue_gives_the_stored_batch(self, world: World) -> None:
        """A source key still in the queue returns the stored batch unchanged, whatever the new payload."""
        first = world.queue(wake("first", source_key="k"))
        before = world.everything()
        world.clock.advance(SECOND)
        assert world.queue(command("second", source_key="k", available_at_ms=5)) == first
        world.clock.advance(-SECOND)
        assert world.everything() == before

    def test_of_a_claimed_batch_gives_it_too(self, world: World) -> None:
        """A claimed batch is still in the queue."""
        first = world.queue(wake("first", source_key="k"))
        world.take_work()
        assert world.queue(wake("second", source_key="k")) == first
        assert world.queued() == [first.batch_id]

    def test_is_free_after_completion(self, world: World) -> None:
        """A completed batch has left the queue, and its source key with it."""
        first = world.queue(wake("first", source_key="k"))
        claim = world.take_work()
        assert claim is not None
        world.settle(unchanged_commit().completing_queue_claim(claim))
        second = world.queue(wake("second", source_key="k"))
        assert second.batch_id != first.batch_id
        assert second.enqueue_seq > first.enqueue_seq

    def test_is_free_after_a_cancel(self, world: World) -> None:
        """A cancelled batch has left the queue."""
        first = world.queue(wake("first", source_key="k"))
        world.session.cancel_queued_work_batch(SESSION, first.batch_id)
        assert world.queue(wake("second", source_key="k")).batch_id != first.batch_id

    def test_absent_makes_every_batch_a_new_one(self, world: World) -> None:
        """Without a source key equal batches are different batches."""
        assert world.queue(wake()).batch_id != world.queue(wake()).batch_id

    def test_of_another_session_is_another_key(self, world: World) -> None:
        """Source keys belong to their session."""
        world.store.create_session(OTHER)
        here = world.queue(wake(source_key="k"))
        there = world.queue(wake(source_key="k", session_id=OTHER))
        assert here.batch_id != there.batch_id


class TestListingWork(Conformance):
    """Listing work."""

    requires = frozenset({Capability.QUEUED_WORK})

    def test_has_all_batches_in_order(self, world: World) -> None:
        """All batches are listed in the order of enqueueing: claimed, unavailable and commands too."""
        assert world.session.list_queued_work(SESSION) == ()
        batches = (
            world.queue(wake("1")),
            world.queue(command("2")),
            world.queue(wake("3", available_at_ms=world.clock.now_ms() + HOUR)),
        )
        world.take_work(limit=1)
        assert world.session.list_queued_work(SESSION) == batches

    def test_of_pending_ones_leaves_out_live_claims(self, world: World) -> None:
        """Pending work is listed without that under a live claim."""
        world.queue(wake("1"))
        left = world.queue(wake("2"))
        world.take_work()
        assert world.session.list_pending_queued_work(SESSION) == (left,)

    def test_of_pending_ones_shows_expired_claims(self, world: World) -> None:
        """Work whose claim expired is pending again, from the very millisecond on."""
        claim = claimed(world)
        world.clock.advance(MINUTE - 1)
        assert world.waiting() == []
        world.clock.advance(1)
        assert world.session.list_pending_queued_work(SESSION) == claim.batches

    def test_of_pending_ones_does_not_look_at_liveness(self, world: World) -> None:
        """Where there is no claimant only expiry ends a claim."""
        world.queue(wake())
        assert world.take_work(owner=dead_owner()) is not None
        assert world.waiting() == []

    def test_of_pending_ones_shows_what_is_not_available_yet(self, world: World) -> None:
        """Work for later is pending too."""
        batch = world.queue(wake(available_at_ms=world.clock.now_ms() + HOUR))
        assert world.waiting() == [batch.batch_id]


class TestCancellingWork(Conformance):
    """Cancelling work."""

    requires = frozenset({Capability.QUEUED_WORK})

    def test_removes_and_returns_an_unclaimed_batch(self, world: World) -> None:
        """An unclaimed batch is removed and returned, the others stay."""
        first, second = world.queue(wake("1")), world.queue(wake("2"))
        assert world.session.cancel_queued_work_batch(SESSION, first.batch_id) == first
        assert world.queued() == [second.batch_id]

    def test_of_a_missing_batch_is_none(self, world: World) -> None:
        """Unknown, cancelled and completed batches, and those of another session, are None."""
        world.store.create_session(OTHER)
        there = world.queue(wake(session_id=OTHER))
        batch = world.queue(wake())
        world.session.cancel_queued_work_batch(SESSION, batch.batch_id)
        done = claimed(world)
        world.settle(unchanged_commit().completing_queue_claim(done))
        for name in ("nowhere", there.batch_id, batch.batch_id, done.batches[0].batch_id):
            assert world.session.cancel_queued_work_batch(SESSION, name) is None
        assert world.queued(OTHER) == [there.batch_id]

    def test_of_a_batch_under_a_live_claim_is_none(self, world: World) -> None:
        """A batch under a live claim stays, also when the claim's owner is dead."""
        for who in (owner("holder"), dead_owner()):
            world.queue(wake())
            claim = world.take_work(owner=who)
            assert claim is not None
            assert world.session.cancel_queued_work_batch(SESSION, claim.batches[0].batch_id) is None
            world.settle(unchanged_commit().completing_queue_claim(claim))

    def test_of_an_expired_claim_s_batch_works(self, world: World) -> None:
        """When the claim has expired the batch is cancelled, and the claim owns nothing any more."""
        claim = claimed(world)
        world.clock.advance(MINUTE)
        assert world.session.cancel_queued_work_batch(SESSION, claim.batches[0].batch_id) == claim.batches[0]
        with pytest.raises(QueuedWorkClaimExpired):
            world.session.renew_queued_work_claim(claim, MINUTE)

    def test_works_for_commands_and_later_work(self, world: World) -> None:
        """Any unclaimed batch can be cancelled."""
        batches = [world.queue(command()), world.queue(wake(available_at_ms=2**52))]
        for batch in batches:
            assert world.session.cancel_queued_work_batch(SESSION, batch.batch_id) == batch
        assert world.queued() == []


class TestRenewingAWorkClaim(Conformance):
    """Renewing a claim on work."""

    requires = frozenset({Capability.QUEUED_WORK})

    def fails(self, world: World, claim: QueuedWorkClaim) -> None:
        """The claim is not renewed, and nothing changes."""
        before = world.everything()
        with pytest.raises(QueuedWorkClaimExpired) as caught:
            world.session.renew_queued_work_claim(claim, HOUR)
        assert (caught.value.session_id, caught.value.claim_id) == (SESSION, claim.claim_id)
        assert world.everything() == before

    def test_sets_its_expiry_to_now_plus_ttl(self, world: World) -> None:
        """A renewal gives the claim with the new expiry and all else as it was."""
        claim = claimed(world, 2)
        world.clock.advance(MINUTE - 1)
        renewed = world.session.renew_queued_work_claim(claim, HOUR)
        assert renewed == replace(claim, expires_at_epoch_ms=world.clock.now_ms() + HOUR)
        world.clock.advance(HOUR - 1)
        assert world.waiting() == []
        world.clock.advance(1)
        assert len(world.waiting()) == 2

    def test_may_shorten_it(self, world: World) -> None:
        """Now + ttl counts, even if that is earlier; 0 ends the claim at once."""
        claim = claimed(world)
        world.session.renew_queued_work_claim(claim, 0)
        assert len(world.waiting()) == 1

    def test_works_after_expiry_when_nobody_took_it(self, world: World) -> None:
        """An expired claim nobody took since is still owned."""
        claim = claimed(world)
        world.clock.advance(5 * MINUTE)
        renewed = world.session.renew_queued_work_claim(claim, MINUTE)
        assert renewed.expires_at_epoch_ms == world.clock.now_ms() + MINUTE
        assert world.waiting() == []

    def test_may_be_given_the_claim_of_before_a_renewal(self, world: World) -> None:
        """What counts is the claim's id and token, not the expiry that it shows."""
        claim = claimed(world)
        world.session.renew_queued_work_claim(claim, HOUR)
        again = world.session.renew_queued_work_claim(claim, 2 * HOUR)
        assert again.expires_at_epoch_ms == world.clock.now_ms() + 2 * HOUR

    def test_fails_once_somebody_took_a_batch(self, world: World) -> None:
        """A claim must own every batch: one that was taken over is enough to lose it."""
        claim = claimed(world, 2)
        world.clock.advance(MINUTE)
        assert world.take_work(limit=1, owner=owner("other")) is not None
        self.fails(world, claim)

    def test_fails_once_it_was_abandoned(self, world: World) -> None:
        """An abandoned claim owns nothing."""
        claim = claimed(world)
        world.session.abandon_queued_work_claim(claim)
        self.fails(world, claim)

    def test_fails_once_it_was_completed(self, world: World) -> None:
        """A completed claim owns nothing, and a partly completed one not everything."""
        claim = claimed(world, 2)
        part = replace(claim.completion(), batch_ids=(claim.batches[0].batch_id,))
        world.settle(unchanged_commit().completing_queue_claim(part))
        self.fails(world, claim)

    @pytest.mark.parametrize("field", ["claim_id", "lease_token"])
    def test_needs_the_claim_s_own_names(self, world: World, field: str) -> None:
        """Claim id and lease token must match."""
        claim = claimed(world)
        changed: QueuedWorkClaim = replace(claim, **{field: "another"})  # type: ignore[arg-type]
        self.fails(world, changed)

    def test_needs_no_lease(self, world: World) -> None:
        """A claim is renewed whoever holds the lease meanwhile."""
        claim = claimed(world)
        world.session.release_session_execution_lease(world.lease().completion())
        world.session.renew_queued_work_claim(claim, HOUR)
        assert world.waiting() == []


class TestAbandoningAWorkClaim(Conformance):
    """Giving work back."""

    requires = frozenset({Capability.QUEUED_WORK})

    def test_gives_the_batches_back(self, world: World) -> None:
        """Abandoned batches are in their old place, and claimed again with a higher token."""
        claim = claimed(world, 2)
        world.queue(wake("later", merge=MergePayloadDefault()))
        world.session.abandon_queued_work_claim(claim)
        assert len(world.waiting()) == 3
        again = world.take_work(limit=2)
        assert again is not None
        assert again.batches == claim.batches
        assert again.fencing_token > claim.fencing_token

    def test_may_be_repeated(self, world: World) -> None:
        """A stale claim is ignored."""
        claim = claimed(world)
        world.session.abandon_queued_work_claim(claim)
        world.session.abandon_queued_work_claim(claim)
        assert len(world.waiting()) == 1

    def test_of_a_superseded_claim_is_ignored(self, world: World) -> None:
        """Abandoning what somebody took over leaves the successor's claim standing."""
        claim = claimed(world)
        world.clock.advance(MINUTE)
        taken = world.take_work(owner=owner("other"))
        assert taken is not None
        world.session.abandon_queued_work_claim(claim)
        assert world.waiting() == []
        world.settle(unchanged_commit().completing_queue_claim(taken))
        world.session.abandon_queued_work_claim(taken)
        assert world.queued() == []

    def test_needs_the_claim_s_own_names(self, world: World) -> None:
        """Claim id and lease token must match."""
        claim = claimed(world)
        world.session.abandon_queued_work_claim(replace(claim, claim_id="another"))
        world.session.abandon_queued_work_claim(replace(claim, lease_token="another"))
        assert world.waiting() == []


class TestEndOfAWorkClaim(Conformance):
    """How a claim on work ends by itself."""

    requires = frozenset({Capability.QUEUED_WORK})

    def test_is_the_millisecond_of_its_expiry(self, world: World) -> None:
        """A claim holds until now equals its expiry; each re-claim has a higher fencing token."""
        claim = claimed(world)
        world.clock.advance(MINUTE - 1)
        assert world.take_work(owner=owner("other")) is None
        world.clock.advance(1)
        again = world.take_work(owner=owner("other"))
        assert again is not None
        assert again.batches == claim.batches
        assert again.fencing_token > claim.fencing_token
        assert (again.claim_id, again.lease_token) != (claim.claim_id, claim.lease_token)

    def test_comes_with_the_owner_s_death(self, world: World) -> None:
        """Work of an owner that is definitely dead for the claimant is claimable at once, commands too."""
        world.queue(wake())
        world.take_work(owner=dead_owner())
        assert world.take_work(owner=living_owner("other")) is not None
        world.queue(command())
        world.take_command(owner=dead_owner())
        assert world.take_command(owner=living_owner("other")) is not None

    def test_does_not_come_without_proof_of_death(self, world: World) -> None:
        """A claimant that cannot tell, or an owner that lives, leaves the claim standing."""
        world.queue(wake())
        world.take_work(owner=dead_owner())
        assert world.take_work(owner=owner("no process")) is None
        world.clock.advance(MINUTE)
        world.take_work(owner=living_owner())
        assert world.take_work(owner=living_owner("other")) is None

    def test_frees_all_of_its_batches(self, world: World) -> None:
        """A dead owner's batches are free one and all."""
        world.queue(wake("1", merge=MergePayloadDefault()))
        world.queue(wake("2", merge=MergePayloadDefault()))
        world.take_work(owner=dead_owner())
        claim = world.take_work(owner=living_owner("other"))
        assert claim is not None
        assert len(claim.batches) == 2

    def test_by_death_serves_the_claim_by_batch_ids_too(self, world: World) -> None:
        """Named batches of a dead owner are claimable as well."""
        batch = world.queue(wake())
        world.take_work(owner=dead_owner())
        claim = world.session.claim_ready_queued_work_by_batch_ids(
            SESSION, world.fence(), living_owner("other"), IDLE, MINUTE, (batch.batch_id,)
        )
        assert claim is not None
