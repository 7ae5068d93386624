"""Claims on queued work: renewing them, giving them back, and how they end by themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ... import (
    MergePayloadDefault,
    QueuedWorkClaim,
    QueuedWorkClaimExpired,
)
from ..backends import Capability
from ..builders import SESSION, command, living_owner, owner, unchanged_commit, wake
from ..identities import dead_owner
from .work import claimed
from .world import HOUR, IDLE, MINUTE, Conformance, World


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
