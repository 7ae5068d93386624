"""Queued work: enqueueing, listing and cancelling."""

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
from ..builders import OTHER, SESSION, command, owner, unchanged_commit, wake
from ..identities import dead_owner
from .world import HOUR, MINUTE, SECOND, Conformance, World


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
