"""Reclaiming the lease of a holder that is definitely dead."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from ... import (
    LeaseAcquired,
    LeaseBusy,
    LeaseOwnerIdentity,
    LocalProcess,
    SessionExecutionLease,
    SessionExecutionLeaseExpired,
    SessionExecutionLeaseFence,
)
from ..builders import OTHER, SESSION, append_commit, living_owner, node, owner
from ..identities import dead_owner, dead_process
from .world import HOUR, MINUTE, Conformance, World


def reclaim(
    world: World,
    observed: SessionExecutionLeaseFence,
    who: LeaseOwnerIdentity | None = None,
    ttl_ms: int = MINUTE,
) -> LeaseAcquired | LeaseBusy:
    """The outcome of a reclaim by a living process of this host."""
    claimant = living_owner("claimant") if who is None else who
    return world.session.reclaim_session_execution_lease(SESSION, claimant, observed, ttl_ms)


def dead_with(**changes: object) -> LeaseOwnerIdentity:
    """A dead process with some fact about it changed."""
    return LeaseOwnerIdentity("dead", "1", replace(dead_process(), **changes))  # type: ignore[arg-type]


def another_start() -> LeaseOwnerIdentity:
    """A process of another start than the one that has its pid now: this very one."""
    alive = living_owner().liveness
    assert isinstance(alive, LocalProcess)
    return LeaseOwnerIdentity(
        "recycled", "1", replace(dead_process(), pid=alive.pid, process_start=dead_process().process_start)
    )


NOT_PROVABLY_DEAD: dict[str, Callable[[], LeaseOwnerIdentity]] = {
    "opaque": lambda: owner("somebody"),
    "alive": lambda: living_owner("somebody"),
    "dead on another host": lambda: dead_with(host_id="another host"),
    "dead in another boot": lambda: dead_with(boot_id="another boot"),
    "of no known boot": lambda: dead_with(boot_id=""),
}

WITHOUT_PROOF: dict[str, Callable[[], LeaseOwnerIdentity]] = {
    "opaque": lambda: owner("claimant"),
    "on another host": lambda: LeaseOwnerIdentity.local_process("claimant", "1", "another host"),
}

CHANGES: dict[str, Callable[[SessionExecutionLeaseFence], SessionExecutionLeaseFence]] = {
    "session": lambda fence: replace(fence, session_id=OTHER),
    "owner": lambda fence: replace(fence, owner=dead_owner("another")),
    "lease token": lambda fence: replace(fence, lease_token="another"),
    "fencing token": lambda fence: replace(fence, fencing_token=fence.fencing_token + 1),
}


class TestReclaimingWhatIsNotLive(Conformance):
    """Reclaims of a lease that is not live."""

    def test_of_a_session_that_nobody_ever_held_is_granted(self, world: World) -> None:
        """A lease that is not live is acquired, whatever was observed."""
        observed = SessionExecutionLeaseFence(SESSION, owner("imagined"), "imagined", 5)
        outcome = reclaim(world, observed, owner("claimant"))
        assert isinstance(outcome, LeaseAcquired)
        assert outcome.lease.owner == owner("claimant")
        assert outcome.lease.expires_at_epoch_ms == world.clock.now_ms() + MINUTE

    def test_after_a_release_is_granted(self, world: World) -> None:
        """A released lease is acquired with a higher fencing token and a new lease token."""
        lease = world.lease()
        world.session.release_session_execution_lease(lease.completion())
        outcome = reclaim(world, lease.fence(), owner("claimant"))
        assert isinstance(outcome, LeaseAcquired)
        assert outcome.lease.fencing_token > lease.fencing_token
        assert outcome.lease.lease_token != lease.lease_token

    def test_after_expiry_is_granted(self, world: World) -> None:
        """An expired lease is acquired, though its holder may live."""
        lease = world.lease(living_owner("holder"), ttl_ms=MINUTE)
        world.clock.advance(MINUTE)
        outcome = reclaim(world, lease.fence())
        assert isinstance(outcome, LeaseAcquired)
        assert outcome.lease.fencing_token > lease.fencing_token

    def test_needs_no_true_observation(self, world: World) -> None:
        """What was observed does not matter once the lease is not live."""
        lease = world.lease(ttl_ms=MINUTE)
        world.clock.advance(MINUTE)
        assert isinstance(reclaim(world, CHANGES["lease token"](lease.fence())), LeaseAcquired)

    def test_makes_a_session_that_does_not_exist(self, world: World) -> None:
        """A lease claim on a session that does not exist yet creates it."""
        observed = SessionExecutionLeaseFence("new", owner("imagined"), "imagined", 5)
        outcome = world.session.reclaim_session_execution_lease("new", owner("claimant"), observed, MINUTE)
        assert isinstance(outcome, LeaseAcquired)
        assert world.store.open_session("new") is not None


class TestReclaimingFromTheDead(Conformance):
    """Reclaims from a holder that is definitely dead."""

    def dead_lease(self, world: World) -> SessionExecutionLease:
        """A live lease of a dead holder."""
        return world.lease(dead_owner())

    def test_is_granted(self, world: World) -> None:
        """The observed lease of a definitely dead holder is acquired, with new and higher tokens."""
        lease = self.dead_lease(world)
        outcome = reclaim(world, lease.fence())
        assert isinstance(outcome, LeaseAcquired)
        assert outcome.lease.owner == living_owner("claimant")
        assert outcome.lease.fencing_token > lease.fencing_token
        assert outcome.lease.lease_token != lease.lease_token
        assert outcome.lease.expires_at_epoch_ms == world.clock.now_ms() + MINUTE
        assert world.session.get_session_execution_lease(SESSION) == outcome.lease

    def test_fences_the_former_holder_off(self, world: World) -> None:
        """After a takeover the former fence is stale."""
        lease = self.dead_lease(world)
        reclaim(world, lease.fence())
        with pytest.raises(SessionExecutionLeaseExpired):
            world.session.commit_runtime_state(append_commit(node("a")).with_session_execution_lease(lease.fence()))
        with pytest.raises(SessionExecutionLeaseExpired):
            world.session.renew_session_execution_lease(lease.fence(), HOUR)

    def test_does_not_look_at_the_expiry_that_was_observed(self, world: World) -> None:
        """The observed holder is its fence: equal in four fields, whatever its expiry."""
        lease = self.dead_lease(world)
        world.session.renew_session_execution_lease(lease.fence(), 5 * HOUR)
        assert isinstance(reclaim(world, lease.fence()), LeaseAcquired)

    @pytest.mark.parametrize("field", CHANGES)
    def test_needs_the_current_lease_to_be_the_observed_one(self, world: World, field: str) -> None:
        """When the current lease is not the observed one, the reclaim is busy with the current one."""
        lease = self.dead_lease(world)
        outcome = reclaim(world, CHANGES[field](lease.fence()))
        assert outcome == LeaseBusy(lease)
        assert world.session.get_session_execution_lease(SESSION) == lease

    def test_is_busy_when_a_successor_holds_it(self, world: World) -> None:
        """Who observed a holder that was replaced since gets the current holder."""
        lease = self.dead_lease(world)
        first = reclaim(world, lease.fence())
        assert isinstance(first, LeaseAcquired)
        second = reclaim(world, lease.fence(), living_owner("late"))
        assert second == LeaseBusy(first.lease)

    def test_may_come_from_the_same_owner_in_a_new_incarnation(self, world: World) -> None:
        """A restarted worker takes over from its dead former incarnation."""
        lease = world.lease(dead_owner("worker", "before"))
        assert claim_is_busy(world, living_owner("worker", "after"))
        outcome = reclaim(world, lease.fence(), living_owner("worker", "after"))
        assert isinstance(outcome, LeaseAcquired)

    @pytest.mark.parametrize("why", WITHOUT_PROOF)
    def test_needs_a_claimant_that_can_tell(self, world: World, why: str) -> None:
        """A claimant that is no process, or one of another host, has no proof of death."""
        lease = self.dead_lease(world)
        assert reclaim(world, lease.fence(), WITHOUT_PROOF[why]()) == LeaseBusy(lease)

    def test_works_for_a_recycled_pid(self, world: World) -> None:
        """A living process that has the holder's pid but another start is not the holder."""
        lease = world.lease(another_start())
        assert isinstance(reclaim(world, lease.fence()), LeaseAcquired)

    def test_is_won_by_exactly_one_of_racing_claimants(self, world: World) -> None:
        """Of racing claimants exactly one wins, the others see the winner."""
        lease = self.dead_lease(world)
        gate = threading.Barrier(8)
        outcomes: list[LeaseAcquired | LeaseBusy] = []

        def race(number: int) -> None:
            handle = world.handle()
            gate.wait()
            outcomes.append(
                handle.reclaim_session_execution_lease(SESSION, living_owner(f"c{number}"), lease.fence(), HOUR)
            )

        threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [outcome.lease for outcome in outcomes if isinstance(outcome, LeaseAcquired)]
        losers = [outcome.holder for outcome in outcomes if isinstance(outcome, LeaseBusy)]
        assert len(winners) == 1
        assert losers == winners * 7


class TestReclaimingFromTheLiving(Conformance):
    """Reclaims from a holder that may live."""

    @pytest.mark.parametrize("who", NOT_PROVABLY_DEAD)
    def test_is_busy(self, world: World, who: str) -> None:
        """Without proof of death the reclaim is busy with the current holder."""
        lease = world.lease(NOT_PROVABLY_DEAD[who]())
        assert reclaim(world, lease.fence()) == LeaseBusy(lease)
        assert world.session.get_session_execution_lease(SESSION) == lease

    def test_is_busy_for_the_holder_itself(self, world: World) -> None:
        """A holder renews or claims again; it cannot reclaim from itself."""
        holder = living_owner("claimant")
        lease = world.lease(holder)
        assert reclaim(world, lease.fence(), holder) == LeaseBusy(lease)


def claim_is_busy(world: World, who: LeaseOwnerIdentity) -> bool:
    """Whether a plain claim is busy."""
    return isinstance(world.session.try_claim_session_execution_lease(SESSION, who, MINUTE), LeaseBusy)
