"""The execution lease: claims, renewals, releases, and what a fencing token is worth."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from ... import (
    LeaseAcquired,
    LeaseBusy,
    LeaseOwnerIdentity,
    SessionExecutionLease,
    SessionExecutionLeaseCompletion,
    SessionExecutionLeaseExpired,
)
from ..builders import OTHER, SESSION, append_commit, living_owner, node, owner
from ..identities import dead_owner
from .calls import STALE, stale_fences
from .world import HOUR, MINUTE, WORKER, Conformance, World


def claim(world: World, who: LeaseOwnerIdentity, ttl_ms: int = MINUTE) -> LeaseAcquired | LeaseBusy:
    """The outcome of a claim."""
    return world.session.try_claim_session_execution_lease(SESSION, who, ttl_ms)


def shown(world: World) -> SessionExecutionLease | None:
    """The live lease as anybody sees it."""
    return world.handle().get_session_execution_lease(SESSION)


class TestClaimingALease(Conformance):
    """Claims of the execution lease."""

    def test_of_a_free_session_is_granted(self, world: World) -> None:
        """A free lease is acquired until now + ttl, with fencing token 1 at first."""
        outcome = claim(world, WORKER)
        now = world.clock.now_ms()
        assert isinstance(outcome, LeaseAcquired)
        lease = outcome.lease
        assert outcome.acquired() == lease
        assert (lease.session_id, lease.owner, lease.fencing_token) == (SESSION, WORKER, 1)
        assert (lease.claimed_at_epoch_ms, lease.expires_at_epoch_ms) == (now, now + MINUTE)
        assert lease.lease_token

    def test_carries_the_owner_as_it_is(self, world: World) -> None:
        """The lease names its owner with all of its liveness."""
        who = living_owner("me ✓", "run-1")
        assert world.lease(who).owner == who
        found = shown(world)
        assert found is not None
        assert found.owner == who

    def test_after_a_release_is_granted_with_a_higher_token(self, world: World) -> None:
        """After a release anybody gets a higher fencing token and a new lease token."""
        first = world.lease()
        world.session.release_session_execution_lease(first.completion())
        second = world.lease()
        assert second.fencing_token > first.fencing_token
        assert second.lease_token != first.lease_token

    def test_after_expiry_is_granted_with_a_higher_token(self, world: World) -> None:
        """An expired lease is acquired by anybody with a higher fencing token and a new lease token."""
        first = world.lease(ttl_ms=MINUTE)
        world.clock.advance(MINUTE)
        second = world.lease(owner("other"))
        assert second.fencing_token > first.fencing_token
        assert second.lease_token != first.lease_token

    def test_after_its_own_expiry_is_a_new_lease(self, world: World) -> None:
        """The same incarnation does not get an expired lease back, but a new one."""
        first = world.lease(ttl_ms=MINUTE)
        world.clock.advance(MINUTE)
        second = world.lease(ttl_ms=MINUTE)
        assert second.fencing_token > first.fencing_token
        assert second.lease_token != first.lease_token
        with pytest.raises(SessionExecutionLeaseExpired):
            world.session.renew_session_execution_lease(first.fence(), MINUTE)

    def test_is_busy_until_the_millisecond_of_expiry(self, world: World) -> None:
        """A lease is live while now is before its expiry, and expired when now equals it."""
        lease = world.lease(ttl_ms=MINUTE)
        world.clock.advance(MINUTE - 1)
        assert claim(world, owner("other")) == LeaseBusy(lease)
        world.clock.advance(1)
        assert isinstance(claim(world, owner("other")), LeaseAcquired)

    def test_by_the_same_incarnation_keeps_the_tokens(self, world: World) -> None:
        """The same incarnation acquires a live lease again, with the same tokens, until now + ttl."""
        first = world.lease(ttl_ms=MINUTE)
        world.clock.advance(30_000)
        again = world.lease(ttl_ms=MINUTE)
        assert (again.lease_token, again.fencing_token) == (first.lease_token, first.fencing_token)
        assert again.expires_at_epoch_ms == world.clock.now_ms() + MINUTE
        assert again.fence() == first.fence()
        assert shown(world) == again

    def test_by_the_same_incarnation_may_shorten_it(self, world: World) -> None:
        """Now + ttl counts, even where that is earlier."""
        world.lease(ttl_ms=HOUR)
        assert world.lease(ttl_ms=MINUTE).expires_at_epoch_ms == world.clock.now_ms() + MINUTE
        world.clock.advance(MINUTE)
        assert shown(world) is None

    @pytest.mark.parametrize(
        "who",
        [owner("other"), owner(incarnation="2"), owner("other", "2"), owner("WORKER"), living_owner("other")],
        ids=["other owner", "other incarnation", "both", "other case", "a process"],
    )
    def test_by_anyone_else_is_busy(self, world: World, who: LeaseOwnerIdentity) -> None:
        """A live lease is busy for another owner, and for another incarnation of the same owner."""
        lease = world.lease()
        outcome = claim(world, who)
        assert outcome == LeaseBusy(lease)
        assert outcome.acquired() is None
        assert shown(world) == lease

    def test_held_by_the_dead_is_busy_too(self, world: World) -> None:
        """A claim does not look at liveness: a dead holder's live lease is busy."""
        lease = world.lease(dead_owner())
        assert claim(world, living_owner("other")) == LeaseBusy(lease)

    def test_of_0_milliseconds_expires_at_once(self, world: World) -> None:
        """A ttl of 0 is acquired and expired at once."""
        outcome = claim(world, WORKER, 0)
        assert isinstance(outcome, LeaseAcquired)
        assert outcome.lease.expires_at_epoch_ms == world.clock.now_ms()
        assert shown(world) is None
        assert isinstance(claim(world, owner("other")), LeaseAcquired)

    def test_never_gives_a_token_twice(self, world: World) -> None:
        """Fencing tokens only grow, and lease tokens never repeat."""
        leases = []
        for number in range(30):
            lease = world.lease(owner(f"w{number % 3}", f"{number}"), ttl_ms=MINUTE)
            leases.append(lease)
            if number % 2:
                world.session.release_session_execution_lease(lease.completion())
            else:
                world.clock.advance(MINUTE)
        tokens = [lease.fencing_token for lease in leases]
        assert all(later > earlier for earlier, later in pairwise(tokens))
        assert len({lease.lease_token for lease in leases}) == 30

    def test_of_another_session_is_another_lane(self, world: World) -> None:
        """Each session has a lease of its own, with fencing tokens of its own."""
        world.store.create_session(OTHER)
        here = world.lease()
        there = world.lease(owner("other"), session_id=OTHER)
        assert (there.session_id, there.fencing_token) == (OTHER, 1)
        assert shown(world) == here


class TestLiveLease(Conformance):
    """Looking at the live lease."""

    def test_is_none_while_nobody_holds_it(self, world: World) -> None:
        """Without a claim, after a release and after expiry there is no live lease."""
        assert shown(world) is None
        world.session.release_session_execution_lease(world.lease().completion())
        assert shown(world) is None
        world.lease(ttl_ms=MINUTE)
        world.clock.advance(MINUTE)
        assert shown(world) is None

    def test_is_shown_to_everybody(self, world: World) -> None:
        """Every handle shows the live lease until it expires."""
        lease = world.lease(ttl_ms=MINUTE)
        world.clock.advance(MINUTE - 1)
        assert shown(world) == lease

    def test_of_another_session_is_shown_too(self, world: World) -> None:
        """The session id decides, not the handle."""
        world.store.create_session(OTHER)
        lease = world.lease(session_id=OTHER)
        assert world.session.get_session_execution_lease(OTHER) == lease
        assert shown(world) is None


class TestRenewingALease(Conformance):
    """Renewals."""

    def test_sets_its_expiry_to_now_plus_ttl(self, world: World) -> None:
        """A renewal gives the lease with the new expiry, and all else as it was."""
        lease = world.lease(ttl_ms=MINUTE)
        world.clock.advance(MINUTE - 1)
        renewed = world.session.renew_session_execution_lease(lease.fence(), HOUR)
        assert renewed.expires_at_epoch_ms == world.clock.now_ms() + HOUR
        assert renewed.fence() == lease.fence()
        assert renewed.claimed_at_epoch_ms == lease.claimed_at_epoch_ms
        assert shown(world) == renewed

    def test_may_shorten_it(self, world: World) -> None:
        """Now + ttl counts, even if that is earlier."""
        lease = world.lease(ttl_ms=HOUR)
        world.session.renew_session_execution_lease(lease.fence(), MINUTE)
        world.clock.advance(MINUTE)
        assert shown(world) is None

    def test_for_0_milliseconds_ends_it(self, world: World) -> None:
        """A renewal of 0 milliseconds expires at once."""
        lease = world.lease()
        world.session.renew_session_execution_lease(lease.fence(), 0)
        assert shown(world) is None
        assert isinstance(claim(world, owner("other")), LeaseAcquired)

    @pytest.mark.parametrize(
        "field",
        STALE,
    )
    def test_needs_the_current_fence(self, world: World, field: str) -> None:
        """A fence that differs in any of its four fields is stale."""
        fence = stale_fences(world)[field]
        before = shown(world)
        with pytest.raises(SessionExecutionLeaseExpired):
            world.session.renew_session_execution_lease(fence, 2 * HOUR)
        assert shown(world) == before

    def test_of_an_expired_lease_fails(self, world: World) -> None:
        """An expired lease cannot be renewed, from the very millisecond of its expiry on."""
        lease = world.lease(ttl_ms=MINUTE)
        world.clock.advance(MINUTE)
        with pytest.raises(SessionExecutionLeaseExpired) as caught:
            world.session.renew_session_execution_lease(lease.fence(), HOUR)
        assert caught.value.session_id == SESSION
        assert shown(world) is None

    def test_of_a_released_lease_fails(self, world: World) -> None:
        """A released lease cannot be renewed."""
        lease = world.lease()
        world.session.release_session_execution_lease(lease.completion())
        with pytest.raises(SessionExecutionLeaseExpired):
            world.session.renew_session_execution_lease(lease.fence(), HOUR)

    def test_of_a_superseded_lease_fails(self, world: World) -> None:
        """A lease that somebody took after its expiry cannot be renewed, and the new one is untouched."""
        lease = world.lease(ttl_ms=MINUTE)
        world.clock.advance(MINUTE)
        newer = world.lease(owner("other"))
        with pytest.raises(SessionExecutionLeaseExpired):
            world.session.renew_session_execution_lease(lease.fence(), HOUR)
        assert shown(world) == newer

    def test_of_another_session_works_by_its_fence(self, world: World) -> None:
        """The fence names the session, whatever the handle is bound to."""
        world.store.create_session(OTHER)
        lease = world.lease(session_id=OTHER, ttl_ms=MINUTE)
        renewed = world.session.renew_session_execution_lease(lease.fence(), HOUR)
        assert (renewed.session_id, renewed.lease_token) == (OTHER, lease.lease_token)


class TestReleasingALease(Conformance):
    """Releases."""

    def test_frees_the_session(self, world: World) -> None:
        """A released lease is free for anybody at once."""
        lease = world.lease()
        world.session.release_session_execution_lease(lease.completion())
        assert shown(world) is None
        assert isinstance(claim(world, owner("other")), LeaseAcquired)

    def test_is_idempotent(self, world: World) -> None:
        """Releasing again is no error."""
        lease = world.lease()
        world.session.release_session_execution_lease(lease.completion())
        world.session.release_session_execution_lease(lease.completion())
        assert shown(world) is None

    @pytest.mark.parametrize(
        "change",
        STALE,
    )
    def test_with_a_stale_completion_does_nothing(self, world: World, change: str) -> None:
        """A completion that differs in any of its four fields touches nothing."""
        stale = stale_fences(world)[change]
        before = shown(world)
        world.session.release_session_execution_lease(
            SessionExecutionLeaseCompletion(stale.session_id, stale.owner, stale.lease_token, stale.fencing_token)
        )
        assert shown(world) == before

    def test_never_touches_a_newer_lease(self, world: World) -> None:
        """An old holder's release leaves the successor's lease alone."""
        old = world.lease(ttl_ms=MINUTE)
        world.clock.advance(MINUTE)
        newer = world.lease(owner("other"))
        world.session.release_session_execution_lease(old.completion())
        assert shown(world) == newer

    def test_never_touches_a_newer_lease_of_the_same_owner(self, world: World) -> None:
        """The same incarnation's later lease has other tokens, so an old release leaves it alone."""
        old = world.lease(ttl_ms=MINUTE)
        world.clock.advance(MINUTE)
        newer = world.lease(ttl_ms=MINUTE)
        world.session.release_session_execution_lease(old.completion())
        assert shown(world) == newer

    def test_after_expiry_is_harmless(self, world: World) -> None:
        """A holder may release what has expired meanwhile."""
        lease = world.lease(ttl_ms=MINUTE)
        world.clock.advance(MINUTE)
        world.session.release_session_execution_lease(lease.completion())
        assert world.lease(owner("other")).fencing_token > lease.fencing_token

    def test_without_any_lease_is_harmless(self, world: World) -> None:
        """There may be nothing to release."""
        lease = world.lease()
        world.store.create_session(OTHER)
        completion = replace(lease.completion(), session_id=OTHER)
        world.session.release_session_execution_lease(completion)
        assert shown(world) == lease


class TestFencing(Conformance):
    """What a stale fence is good for: nothing."""

    def test_shuts_out_a_holder_that_wakes_up_late(self, world: World) -> None:
        """A holder that slept through its expiry can neither commit nor renew nor release what is not its own."""
        sleeper = world.lease(ttl_ms=MINUTE)
        world.clock.advance(MINUTE)
        newer = world.lease(owner("other"))
        with pytest.raises(SessionExecutionLeaseExpired):
            world.session.commit_runtime_state(
                append_commit(node("late")).with_session_execution_lease(sleeper.fence())
            )
        world.session.release_session_execution_lease(sleeper.completion())
        result = world.session.commit_runtime_state(
            append_commit(node("new")).with_session_execution_lease(newer.fence())
        )
        assert result.head_revision == 1
        assert world.node_ids() == ["new"]

    def test_goes_by_the_tokens_when_the_sleeper_comes_back(self, world: World) -> None:
        """When the first owner holds the lease again its old fence stays stale."""
        old = world.lease(ttl_ms=MINUTE)
        world.clock.advance(MINUTE)
        between = world.lease(owner("other"))
        world.session.release_session_execution_lease(between.completion())
        back = world.lease()
        assert back.fencing_token > between.fencing_token > old.fencing_token
        with pytest.raises(SessionExecutionLeaseExpired):
            world.session.commit_runtime_state(append_commit(node("late")).with_session_execution_lease(old.fence()))
