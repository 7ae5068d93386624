"""Claiming queued work: which batches are taken, in which groups, and at which boundary."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ... import (
    DeliveryPolicy,
    MergeGroup,
    MergeKey,
    MergeNever,
    MergePayloadDefault,
    QueuedWorkClaim,
    SessionExecutionLeaseExpired,
    SessionExecutionLeaseFence,
    SlotPolicy,
)
from ..backends import Capability
from ..builders import OTHER, SESSION, command, owner, wake
from .calls import STALE, stale_fences
from .world import HOUR, IDLE, IN_TURN, MINUTE, WORKER, Conformance, World

LATER = DeliveryPolicy.AFTER_CURRENT_TURN_COMMIT
DEFAULT = MergePayloadDefault()
GROUP = MergeGroup("g")


def ids(claim: QueuedWorkClaim | None) -> list[str]:
    """The ids of the claimed batches."""
    return [] if claim is None else [batch.batch_id for batch in claim.batches]


def joining(world: World, *merges: MergeKey) -> list[str]:
    """The ids of new JOIN batches with these merge keys."""
    return [world.queue(wake(merge=merge)).batch_id for merge in merges]


class TestClaimingTurnWork(Conformance):
    """Claims of turn work."""

    requires = frozenset({Capability.QUEUED_WORK})

    def test_gives_a_claim_on_the_earliest_batch(self, world: World) -> None:
        """The claim says what it holds, whose it is, and until when."""
        first = world.queue(wake("1"))
        world.queue(wake("2"))
        who, now = owner("claimant", "7"), world.clock.now_ms()
        claim = world.take_work(owner=who, ttl_ms=MINUTE)
        assert claim is not None
        assert (claim.session_id, claim.owner, claim.batches) == (SESSION, who, (first,))
        assert (claim.claimed_at_epoch_ms, claim.expires_at_epoch_ms) == (now, now + MINUTE)
        assert claim.claim_id
        assert claim.lease_token

    def test_takes_each_batch_once(self, world: World) -> None:
        """Claimed batches are not claimed again, and the next ones follow in order."""
        names = [world.queue(wake(f"{number}")).batch_id for number in range(4)]
        assert [ids(world.take_work()) for _ in range(5)] == [[name] for name in names] + [[]]

    def test_of_an_empty_queue_is_none(self, world: World) -> None:
        """Without work there is no claim."""
        assert world.take_work() is None

    def test_of_0_batches_is_none(self, world: World) -> None:
        """A limit of 0 claims nothing."""
        batch = world.queue(wake())
        assert world.take_work(limit=0) is None
        assert world.waiting() == [batch.batch_id]

    def test_does_not_pass_over_a_command(self, world: World) -> None:
        """When the earliest ready claimable batch is a command no turn work is claimed."""
        world.queue(command())
        world.queue(wake())
        assert world.take_work() is None
        assert len(world.waiting()) == 2

    def test_passes_over_a_claimed_command(self, world: World) -> None:
        """A claimed command is not claimable, so the work behind it is the earliest."""
        world.queue(command())
        work = world.queue(wake())
        world.take_command()
        assert ids(world.take_work()) == [work.batch_id]

    def test_passes_over_a_command_for_later(self, world: World) -> None:
        """A command that is not available yet is skipped, not waited for."""
        world.queue(command(available_at_ms=world.clock.now_ms() + 1))
        work = world.queue(wake())
        assert ids(world.take_work()) == [work.batch_id]

    def test_for_0_milliseconds_expires_at_once(self, world: World) -> None:
        """A claim of 0 milliseconds is given and expired at once."""
        batch = world.queue(wake())
        assert ids(world.take_work(ttl_ms=0)) == [batch.batch_id]
        assert world.waiting() == [batch.batch_id]


class TestReadiness(Conformance):
    """When work is ready."""

    requires = frozenset({Capability.QUEUED_WORK})

    def test_comes_when_now_is_the_time(self, world: World) -> None:
        """A batch is ready from its available_at on."""
        batch = world.queue(wake(available_at_ms=world.clock.now_ms() + MINUTE))
        world.clock.advance(MINUTE - 1)
        assert world.take_work() is None
        world.clock.advance(1)
        assert ids(world.take_work()) == [batch.batch_id]

    def test_of_a_later_batch_is_not_waited_for(self, world: World) -> None:
        """A batch for later is skipped, and takes its old place when its time has come."""
        later = world.queue(wake("later", available_at_ms=world.clock.now_ms() + MINUTE))
        now = world.queue(wake("now"))
        after = world.queue(wake("after"))
        assert ids(world.take_work()) == [now.batch_id]
        world.clock.advance(MINUTE)
        assert ids(world.take_work(ttl_ms=HOUR)) == [later.batch_id]
        world.session.abandon_queued_work_claim(world.take_work(ttl_ms=HOUR) or pytest.fail("no claim"))
        assert after.batch_id in world.waiting()

    def test_of_the_past_is_now(self, world: World) -> None:
        """An available_at of the past, 0 too, is ready."""
        names = [world.queue(wake(available_at_ms=at)).batch_id for at in (0, world.clock.now_ms())]
        assert ids(world.take_work()) == names[:1]
        assert ids(world.take_work()) == names[1:]


class TestBoundaries(Conformance):
    """Where work may be taken."""

    requires = frozenset({Capability.QUEUED_WORK})

    def test_inside_a_turn_the_head_must_be_deliverable_there(self, world: World) -> None:
        """At a checkpoint inside a turn a batch for after the turn is not claimed, and not passed over."""
        world.queue(wake("later", delivery=LATER))
        world.queue(wake("early"))
        assert world.take_work(IN_TURN) is None
        assert len(world.waiting()) == 2

    def test_inside_a_turn_early_work_is_claimed(self, world: World) -> None:
        """Work for the earliest safe boundary is claimed at a checkpoint."""
        batch = world.queue(wake())
        assert ids(world.take_work(IN_TURN)) == [batch.batch_id]

    def test_at_idle_both_are_claimed(self, world: World) -> None:
        """Between turns the delivery policy does not matter."""
        names = [world.queue(wake(delivery=LATER)).batch_id, world.queue(wake()).batch_id]
        assert ids(world.take_work(IDLE)) == names[:1]
        assert ids(world.take_work(IDLE)) == names[1:]


class TestGroups(Conformance):
    """Which batches are taken together."""

    requires = frozenset({Capability.QUEUED_WORK})

    @pytest.mark.parametrize("merge", [DEFAULT, GROUP], ids=["default", "group"])
    def test_join_batches_of_one_merge_key_go_together(self, world: World, merge: MergeKey) -> None:
        """A JOIN head takes the JOIN batches next to it of the same merge key, in order."""
        names = joining(world, merge, merge, merge)
        assert ids(world.take_work()) == names

    def test_are_capped_by_the_limit(self, world: World) -> None:
        """No more batches are taken than asked for."""
        names = joining(world, GROUP, GROUP, GROUP)
        assert ids(world.take_work(limit=2)) == names[:2]
        assert ids(world.take_work(limit=2)) == names[2:]

    def test_with_the_key_never_are_of_one(self, world: World) -> None:
        """MergeNever joins nothing, not even itself."""
        names = joining(world, MergeNever(), MergeNever())
        assert ids(world.take_work()) == names[:1]

    @pytest.mark.parametrize(
        "other", [MergeNever(), DEFAULT, MergeGroup("h"), MergeGroup("G")], ids=["never", "default", "h", "G"]
    )
    def test_end_at_another_merge_key(self, world: World, other: MergeKey) -> None:
        """A batch of another merge key ends the group, and those behind it are not reached."""
        names = joining(world, GROUP, GROUP, other, GROUP)
        assert ids(world.take_work()) == names[:2]
        assert ids(world.take_work()) == names[2:3]
        assert ids(world.take_work()) == names[3:]

    def test_end_at_another_delivery_policy(self, world: World) -> None:
        """A group is of one delivery policy."""
        names = [
            world.queue(wake(merge=GROUP, delivery=delivery)).batch_id
            for delivery in (LATER, LATER, DeliveryPolicy.EARLIEST_SAFE_BOUNDARY, LATER)
        ]
        assert ids(world.take_work()) == names[:2]

    def test_end_at_an_exclusive_batch(self, world: World) -> None:
        """An EXCLUSIVE batch joins nobody."""
        first = world.queue(wake(merge=GROUP))
        world.queue(wake(merge=GROUP, slot=SlotPolicy.EXCLUSIVE))
        world.queue(wake(merge=GROUP))
        assert ids(world.take_work()) == [first.batch_id]

    def test_of_an_exclusive_head_are_of_one(self, world: World) -> None:
        """An EXCLUSIVE head is claimed alone."""
        first = world.queue(wake(merge=GROUP, slot=SlotPolicy.EXCLUSIVE))
        world.queue(wake(merge=GROUP))
        world.queue(wake(merge=GROUP, slot=SlotPolicy.EXCLUSIVE))
        assert ids(world.take_work()) == [first.batch_id]

    def test_end_at_a_command(self, world: World) -> None:
        """A session command is never taken as turn work, whatever its merge key."""
        first = world.queue(wake(merge=GROUP))
        world.queue(command(merge=GROUP))
        world.queue(wake(merge=GROUP))
        assert ids(world.take_work()) == [first.batch_id]

    def test_reach_over_what_is_not_ready(self, world: World) -> None:
        """Neighbours are counted among the ready batches: one for later does not part them."""
        first = world.queue(wake(merge=GROUP))
        world.queue(wake(available_at_ms=world.clock.now_ms() + MINUTE))
        third = world.queue(wake(merge=GROUP))
        assert ids(world.take_work()) == [first.batch_id, third.batch_id]

    def test_reach_over_what_is_claimed(self, world: World) -> None:
        """Neighbours are counted among the claimable batches: a claimed one does not part them."""
        first = world.queue(wake("a", merge=GROUP))
        second = world.queue(wake("b"))
        third = world.queue(wake("c", merge=GROUP))
        taken = world.take_work(limit=1)
        assert ids(taken) == [first.batch_id]
        assert ids(world.take_work(limit=1)) == [second.batch_id]
        assert taken is not None
        world.session.abandon_queued_work_claim(taken)
        assert ids(world.take_work()) == [first.batch_id, third.batch_id]


class TestClaimingACommand(Conformance):
    """Claims of session commands."""

    requires = frozenset({Capability.QUEUED_WORK})

    def test_takes_the_leading_one(self, world: World) -> None:
        """One command is claimed, the earliest."""
        first = world.queue(command("1", merge=GROUP))
        second = world.queue(command("2", merge=GROUP))
        claim = world.take_command(owner=owner("claimant"))
        assert claim is not None
        assert (claim.batches, claim.owner) == ((first,), owner("claimant"))
        assert claim.expires_at_epoch_ms == world.clock.now_ms() + MINUTE
        assert ids(world.take_command()) == [second.batch_id]
        assert world.take_command() is None

    def test_does_not_pass_over_turn_work(self, world: World) -> None:
        """When the earliest ready claimable batch is turn work no command is claimed."""
        world.queue(wake())
        world.queue(command())
        assert world.take_command() is None
        assert len(world.waiting()) == 2

    def test_passes_over_claimed_work(self, world: World) -> None:
        """Work under a live claim is not claimable."""
        world.queue(wake())
        batch = world.queue(command())
        world.take_work()
        assert ids(world.take_command()) == [batch.batch_id]

    def test_passes_over_work_for_later(self, world: World) -> None:
        """Work that is not available yet is skipped."""
        world.queue(wake(available_at_ms=world.clock.now_ms() + 1))
        batch = world.queue(command())
        assert ids(world.take_command()) == [batch.batch_id]

    def test_does_not_look_at_the_delivery_policy(self, world: World) -> None:
        """A command leads whatever its delivery and slot policy."""
        batch = world.queue(command(delivery=LATER, slot=SlotPolicy.EXCLUSIVE))
        assert ids(world.take_command()) == [batch.batch_id]

    def test_may_wait_for_its_time(self, world: World) -> None:
        """A command for later is not claimed before its time."""
        batch = world.queue(command(available_at_ms=world.clock.now_ms() + MINUTE))
        assert world.take_command() is None
        world.clock.advance(MINUTE)
        assert ids(world.take_command()) == [batch.batch_id]


class TestLeaseForWork(Conformance):
    """The lease that claims of work need."""

    requires = frozenset({Capability.QUEUED_WORK})

    def refused(self, world: World, fence: SessionExecutionLeaseFence) -> None:
        """None of the claims is made with this fence."""
        batch = world.queue(wake())
        before = world.everything()
        session = world.session
        claims: list[Callable[[], object]] = [
            lambda: session.claim_ready_queued_work(SESSION, fence, WORKER, IDLE, MINUTE, 1),
            lambda: session.claim_leading_ready_session_command(SESSION, fence, WORKER, MINUTE),
            lambda: session.claim_ready_queued_work_by_batch_ids(
                SESSION, fence, WORKER, IDLE, MINUTE, (batch.batch_id,)
            ),
        ]
        for claim in claims:
            with pytest.raises(SessionExecutionLeaseExpired) as caught:
                claim()
            assert caught.value.session_id == SESSION
        assert world.everything() == before

    @pytest.mark.parametrize(
        "field",
        STALE,
    )
    def test_must_be_the_current_one(self, world: World, field: str) -> None:
        """A fence is stale when any of its four fields differs."""
        self.refused(world, stale_fences(world)[field])

    def test_must_be_live(self, world: World) -> None:
        """An expired lease does not serve, from the very millisecond on."""
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

    def test_may_be_held_by_somebody_else_than_the_claimant(self, world: World) -> None:
        """The lease's owner and the claim's owner may differ."""
        world.queue(wake())
        claim = world.take_work(owner=owner("somebody else"))
        assert claim is not None
        assert claim.owner == owner("somebody else")
