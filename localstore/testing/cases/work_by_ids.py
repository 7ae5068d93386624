"""Claiming queued work by the ids of its batches."""

from __future__ import annotations

from collections.abc import Sequence

from ... import (
    MergeNever,
    QueuedWorkClaim,
    QueuedWorkClaimBoundary,
    SlotPolicy,
)
from ..backends import Capability
from ..builders import SESSION, command, wake
from .work_claims import DEFAULT, GROUP, LATER, ids, joining
from .world import IDLE, IN_TURN, MINUTE, WORKER, Conformance, World


class TestClaimingByBatchIds(Conformance):
    """Claims of named batches."""

    requires = frozenset({Capability.QUEUED_WORK})

    def take(
        self, world: World, names: Sequence[str], boundary: QueuedWorkClaimBoundary = IDLE
    ) -> QueuedWorkClaim | None:
        """Claim these very batches under the worker's lease."""
        return world.session.claim_ready_queued_work_by_batch_ids(
            SESSION, world.fence(), WORKER, boundary, MINUTE, names
        )

    def nothing(self, world: World, names: Sequence[str], boundary: QueuedWorkClaimBoundary = IDLE) -> None:
        """The claim is None and nothing is claimed."""
        world.fence()
        before = world.everything()
        assert self.take(world, names, boundary) is None
        assert world.everything() == before

    def test_takes_exactly_the_asked_group(self, world: World) -> None:
        """The ids of the next ready group are claimed, in order, as a claim like any other."""
        names = joining(world, GROUP, GROUP)
        claim = self.take(world, names)
        assert claim is not None
        assert ids(claim) == names
        assert claim.expires_at_epoch_ms == world.clock.now_ms() + MINUTE
        assert world.waiting() == []

    def test_takes_the_first_of_a_longer_group(self, world: World) -> None:
        """The asked ids may be the first of the next ready group."""
        names = joining(world, GROUP, GROUP, GROUP)
        assert ids(self.take(world, names[:2])) == names[:2]
        assert world.waiting() == names[2:]

    def test_takes_a_list_of_ids(self, world: World) -> None:
        """Any sequence of ids will do, and the group is not cut by other limits."""
        names = joining(world, *[GROUP] * 20)
        assert ids(self.take(world, list(names))) == names

    def test_in_another_order_is_none(self, world: World) -> None:
        """The order of the queue must be asked for."""
        self.nothing(world, joining(world, GROUP, GROUP)[::-1])

    def test_that_skip_earlier_work_are_none(self, world: World) -> None:
        """Earlier work is never skipped, inside a group or before it."""
        names = joining(world, GROUP, GROUP, GROUP)
        self.nothing(world, names[1:])
        self.nothing(world, [names[0], names[2]])

    def test_beyond_the_group_are_none(self, world: World) -> None:
        """Ids of two groups are not claimed together."""
        names = joining(world, GROUP, DEFAULT)
        self.nothing(world, names)
        assert ids(self.take(world, names[:1])) == names[:1]

    def test_without_ids_is_none(self, world: World) -> None:
        """Empty ids claim nothing."""
        joining(world, GROUP)
        self.nothing(world, ())

    def test_of_unknown_ids_is_none(self, world: World) -> None:
        """An unknown id, alone or beside others, claims nothing."""
        names = joining(world, GROUP, GROUP)
        self.nothing(world, ["nowhere"])
        self.nothing(world, [names[0], "nowhere"])

    def test_of_an_id_twice_is_none(self, world: World) -> None:
        """A repeated id is not the group."""
        names = joining(world, GROUP, GROUP)
        self.nothing(world, [names[0], names[0]])

    def test_of_a_claimed_batch_is_none(self, world: World) -> None:
        """What somebody holds cannot be claimed by name."""
        names = joining(world, MergeNever(), MergeNever())
        world.take_work()
        self.nothing(world, names[:1])
        assert ids(self.take(world, names[1:])) == names[1:]

    def test_of_a_command_is_none(self, world: World) -> None:
        """Commands are not turn work, by name neither."""
        batch = world.queue(command())
        self.nothing(world, [batch.batch_id])

    def test_of_work_for_later_is_none(self, world: World) -> None:
        """Work that is not available yet is not ready."""
        batch = world.queue(wake(available_at_ms=world.clock.now_ms() + 1))
        self.nothing(world, [batch.batch_id])

    def test_observes_the_boundary(self, world: World) -> None:
        """At a checkpoint inside a turn the group must be deliverable there."""
        batch = world.queue(wake(delivery=LATER))
        self.nothing(world, [batch.batch_id], IN_TURN)
        assert ids(self.take(world, [batch.batch_id])) == [batch.batch_id]

    def test_takes_an_exclusive_batch_alone(self, world: World) -> None:
        """An EXCLUSIVE head is a group of one."""
        names = [world.queue(wake(merge=GROUP, slot=SlotPolicy.EXCLUSIVE)).batch_id for _ in range(2)]
        self.nothing(world, names)
        assert ids(self.take(world, names[:1])) == names[:1]
