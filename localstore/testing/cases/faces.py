"""The face of a store, as far as it is no other concept's."""

from __future__ import annotations

from ... import (
    AttachmentManifest,
    AttachmentStore,
    DurabilityTier,
    RuntimePersistence,
)
from ..backends import Capability
from ..builders import OTHER, chain, next_input, wake
from .world import MAX_INTEGER, SECOND, Conformance, World


class TestFace(Conformance):
    """What a store and its handles are."""

    def test_handles_are_of_the_abstract_base(self, world: World) -> None:
        """A handle implements RuntimePersistence, and so the attachment manifest."""
        for handle in (world.session, world.handle()):
            assert isinstance(handle, RuntimePersistence)
            assert isinstance(handle, AttachmentManifest)

    def test_the_tier_says_whether_it_is_durable(self, world: World) -> None:
        """A store that can be opened again is DURABLE, another one INLINE; its handles say the same."""
        durable = Capability.DURABLE in world.backend.capabilities
        expected = DurabilityTier.DURABLE if durable else DurabilityTier.INLINE
        assert world.store.durability_tier() is expected
        assert world.session.durability_tier() is expected

    def test_time_is_the_clock_s(self, world: World) -> None:
        """Time comes from the injected clock alone."""
        for moment in (5_000_000_000_000, 86_400_000):
            world.clock.set(moment)
            lease = world.lease(ttl_ms=SECOND)
            assert (lease.claimed_at_epoch_ms, lease.expires_at_epoch_ms) == (moment, moment + SECOND)
            world.session.release_session_execution_lease(lease.completion())


class TestTuples(Conformance):
    """Results that list things."""

    requires = frozenset({Capability.QUEUED_WORK, Capability.TURN_INPUT})

    def test_are_tuples(self, world: World) -> None:
        """Results that list things are tuples, full or empty."""
        for _ in range(2):
            assert type(world.session.list_pending_turn_inputs(OTHER)) is tuple
            assert type(world.session.list_queued_work(OTHER)) is tuple
            assert type(world.session.list_pending_queued_work(OTHER)) is tuple
            assert type(world.session.list_uncommitted(MAX_INTEGER)) is tuple
            assert type(world.store.list_sessions()) is tuple
            assert type(world.session.cancel_pending_turn_inputs(OTHER, [])) is tuple
            world.say(next_input("hello", session_id=OTHER))
            world.queue(wake(session_id=OTHER))
        world.append(*chain("a", "b"))
        read = world.read()
        assert [type(found) for found in (read.graph.nodes, read.agent_frames, read.token_ledger)] == [tuple] * 3


class TestAttachmentsOfAStore(Conformance):
    """The attachments of a store."""

    requires = frozenset({Capability.ATTACHMENTS})

    def test_are_an_attachment_store(self, world: World) -> None:
        """The bytes are at `store.attachments`, an AttachmentStore."""
        assert isinstance(world.store.attachments, AttachmentStore)
