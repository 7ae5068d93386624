"""The execution lease: one fenced writer lane a session."""

from __future__ import annotations

from ..contract.errors import SessionExecutionLeaseExpired, SessionExecutionLeaseHeld
from ..contract.leases import (
    LeaseAcquired,
    LeaseBusy,
    LeaseOwnerIdentity,
    SessionExecutionLease,
    SessionExecutionLeaseClaimOutcome,
    SessionExecutionLeaseCompletion,
    SessionExecutionLeaseFence,
)
from .decision import Decide, Decision, View
from .events import Event, LeaseCleared, LeaseSet
from .facts import Archive
from .moment import Moment
from .state import SessionState


def live_lease(state: SessionState, moment: Moment) -> SessionExecutionLease | None:
    """The lease that is held now: granted, not released, not expired."""
    held = state.lease
    return None if held is None or moment.expired(held.deadline) else held.lease


def is_of(
    lease: SessionExecutionLease | None, proof: SessionExecutionLeaseFence | SessionExecutionLeaseCompletion
) -> bool:
    """Whether `proof` names this lease in all four fields."""
    return (
        lease is not None
        and lease.fencing_token == proof.fencing_token
        and lease.lease_token == proof.lease_token
        and lease.session_id == proof.session_id
        and lease.owner == proof.owner
    )


def require_lease(state: SessionState, moment: Moment, fence: SessionExecutionLeaseFence | None) -> None:
    """Raise `SessionExecutionLeaseExpired` unless `fence` names the live lease."""
    if fence is None or not is_of(live_lease(state, moment), fence):
        raise SessionExecutionLeaseExpired(state.session_id)


def in_passing(state: SessionState, moment: Moment, owner: LeaseOwnerIdentity) -> tuple[Event, ...]:
    """The events around a write of `owner`'s that needs the lane and ends with its record.

    There are none where the lane is free. Where its last holder is dead or too late it is granted and given back in the
    same record: so that holder is fenced off, and a crash leaves nobody holding it. Raises `SessionExecutionLeaseHeld`.
    """
    current = live_lease(state, moment)
    if current is not None and not moment.is_dead(current.owner, owner):
        raise SessionExecutionLeaseHeld(state.session_id, current.owner.owner_id, current.expires_at_epoch_ms)
    return () if state.lease is None else (_granted(state, moment, owner, 0), LeaseCleared())


def _granted(state: SessionState, moment: Moment, owner: LeaseOwnerIdentity, ttl_ms: int) -> LeaseSet:
    deadline = moment.deadline(ttl_ms)
    lease = SessionExecutionLease(
        state.session_id,
        owner,
        moment.new_id(),
        state.next_lease_fencing(moment.boot_id),
        moment.now_ms,
        deadline.expires_at_ms,
    )
    return LeaseSet(lease, deadline, moment.boot_id)


def _grant(
    state: SessionState, moment: Moment, owner: LeaseOwnerIdentity, ttl_ms: int
) -> Decision[SessionExecutionLeaseClaimOutcome]:
    event = _granted(state, moment, owner, ttl_ms)
    return Decision((event,), LeaseAcquired(event.lease))


def _extend(
    state: SessionState, moment: Moment, lease: SessionExecutionLease, ttl_ms: int
) -> tuple[LeaseSet, SessionExecutionLease]:
    deadline = moment.deadline(ttl_ms)
    extended = SessionExecutionLease(
        lease.session_id,
        lease.owner,
        lease.lease_token,
        lease.fencing_token,
        lease.claimed_at_epoch_ms,
        deadline.expires_at_ms,
    )
    return LeaseSet(extended, deadline, moment.boot_id), extended


def try_claim(owner: LeaseOwnerIdentity, ttl_ms: int) -> Decide[SessionExecutionLeaseClaimOutcome]:
    """Acquire a free lane; extend one's own; anyone else's live lease, a dead holder's too, is busy."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[SessionExecutionLeaseClaimOutcome]:
        current = live_lease(state, moment)
        if current is None:
            return _grant(state, moment, owner, ttl_ms)
        if current.owner.same_incarnation(owner):
            event, lease = _extend(state, moment, current, ttl_ms)
            return Decision((event,), LeaseAcquired(lease))
        return Decision((), LeaseBusy(current))

    return decide


def reclaim(
    owner: LeaseOwnerIdentity, observed: SessionExecutionLeaseFence, ttl_ms: int
) -> Decide[SessionExecutionLeaseClaimOutcome]:
    """Take the lane from the observed holder, if it still is the holder and is definitely dead for `owner`."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[SessionExecutionLeaseClaimOutcome]:
        current = live_lease(state, moment)
        if current is None or (is_of(current, observed) and moment.is_dead(current.owner, owner)):
            return _grant(state, moment, owner, ttl_ms)
        return Decision((), LeaseBusy(current))

    return decide


def renew(fence: SessionExecutionLeaseFence, ttl_ms: int) -> Decide[SessionExecutionLease]:
    """Move the expiry of the live lease to now + ttl."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[SessionExecutionLease]:
        current = live_lease(state, moment)
        if current is None or not is_of(current, fence):
            raise SessionExecutionLeaseExpired(state.session_id)
        event, lease = _extend(state, moment, current, ttl_ms)
        return Decision((event,), lease)

    return decide


def release(completion: SessionExecutionLeaseCompletion) -> Decide[None]:
    """Free the lane if `completion` names the lease that was granted last."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[None]:
        held = state.lease
        if held is not None and is_of(held.lease, completion):
            return Decision((LeaseCleared(),), None)
        return Decision((), None)

    return decide


def current() -> View[SessionExecutionLease | None]:
    """The live lease, for showing."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> SessionExecutionLease | None:
        return live_lease(state, moment)

    return view
