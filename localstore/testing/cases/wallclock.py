"""Steps of the wall clock: within one boot, expiry is judged by the clock that ignores them."""

from __future__ import annotations

import pytest

from ... import LeaseAcquired, LeaseBusy
from ..backends import Capability
from ..builders import SESSION, active_input, node, owner, wake
from ..clocks import START_MS, ManualClock, SteppedClock
from .world import HOUR, MINUTE, Conformance, World


class TestSteppedWallClock(Conformance):
    """The clock of these tests has `boot_ms()`; `advance` moves both clocks, `set` steps the wall alone."""

    requires = frozenset({Capability.BOOT_CLOCK, Capability.QUEUED_WORK, Capability.TURN_INPUT})

    def make_clock(self) -> ManualClock:
        """A clock that has a boot clock as well."""
        return SteppedClock()

    def step(self, world: World, ms: int) -> None:
        """Step the wall clock alone."""
        world.clock.set(world.clock.now_ms() + ms)

    def test_forward_does_not_end_a_lease(self, world: World) -> None:
        """A wall clock that is set an hour forward does not take the lease from its holder."""
        lease = world.lease(ttl_ms=MINUTE)
        self.step(world, HOUR)
        found = world.session.get_session_execution_lease(SESSION)
        assert found is not None
        assert found.fence() == lease.fence()
        outcome = world.session.try_claim_session_execution_lease(SESSION, owner("other"), MINUTE)
        assert isinstance(outcome, LeaseBusy)

    def test_back_does_not_prolong_a_lease(self, world: World) -> None:
        """A wall clock that is set an hour back does not keep the lease alive."""
        world.lease(ttl_ms=MINUTE)
        self.step(world, -HOUR)
        world.clock.advance(MINUTE - 1)
        assert world.session.get_session_execution_lease(SESSION) is not None
        world.clock.advance(1)
        assert world.session.get_session_execution_lease(SESSION) is None
        outcome = world.session.try_claim_session_execution_lease(SESSION, owner("other"), MINUTE)
        assert isinstance(outcome, LeaseAcquired)

    def test_does_not_touch_claims(self, world: World) -> None:
        """Claims on input and work are judged like the lease."""
        world.say(active_input("hello"))
        world.queue(wake())
        world.lease(ttl_ms=10 * HOUR)
        world.take_active(ttl_ms=MINUTE)
        world.take_work(ttl_ms=MINUTE)
        self.step(world, HOUR)
        assert world.pending() == world.waiting() == []
        self.step(world, -2 * HOUR)
        world.clock.advance(MINUTE)
        assert len(world.pending()) == len(world.waiting()) == 1

    def test_does_not_touch_the_order_of_anything(self, world: World) -> None:
        """Order goes by revision, number and token, never by time."""
        first = world.lease()
        names = []
        for number in range(4):
            names.append(world.say(active_input(f"{number}")).input_id)
            world.append(node(f"n{number}"))
            self.step(world, -HOUR)
        assert world.pending() == names
        assert world.node_ids() == ["n0", "n1", "n2", "n3"]
        world.session.release_session_execution_lease(first.completion())
        assert world.lease(owner("other")).fencing_token > first.fencing_token


class FleetingClock(ManualClock):
    """A wall clock beside a boot clock, which tells nothing while `tells` is false."""

    tells = True

    def boot_ms(self) -> int | None:
        """Milliseconds since the boot, or `None`."""
        return self.now_ms() - START_MS if self.tells else None


class TestBootClockThatComesAndGoes(Conformance):
    """A clock whose `boot_ms()` is `None` at times: expiry is judged by `now_ms()` then."""

    requires = frozenset({Capability.QUEUED_WORK, Capability.TURN_INPUT})

    def make_clock(self) -> ManualClock:
        """A clock that has a boot clock at times."""
        return FleetingClock()

    @pytest.mark.parametrize("before", [True, False])
    def test_leaves_leases_and_claims_to_the_wall_clock(self, world: World, before: bool) -> None:
        """What is taken with a boot clock and judged without one, or the other way round, ends by the wall clock."""
        assert isinstance(world.clock, FleetingClock)
        world.say(active_input("hello"))
        world.queue(wake())
        world.clock.tells = before
        world.take_active(ttl_ms=MINUTE)
        world.take_work(ttl_ms=MINUTE)
        world.lease(ttl_ms=MINUTE)
        world.clock.tells = not before
        world.clock.advance(MINUTE - 1)
        assert world.session.get_session_execution_lease(SESSION) is not None
        assert world.pending() == world.waiting() == []
        world.clock.advance(1)
        assert world.session.get_session_execution_lease(SESSION) is None
        assert len(world.pending()) == len(world.waiting()) == 1
