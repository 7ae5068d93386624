"""Queued work: enqueue, claim in order, renew, abandon, cancel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from ..contract.errors import QueuedWorkClaimExpired
from ..contract.leases import LeaseOwnerIdentity, SessionExecutionLeaseFence
from ..contract.work import (
    DeliveryPolicy,
    MergeNever,
    QueuedWorkBatch,
    QueuedWorkBatchDraft,
    QueuedWorkClaim,
    QueuedWorkClaimBoundary,
    QueuedWorkClass,
    QueuedWorkCompletion,
    QueuedWorkItem,
    SlotPolicy,
)
from .decision import Decide, Decision, View
from .events import WorkClaimed, WorkEnqueued, WorkReleased, WorkRemoved, WorkRenewed
from .facts import Archive
from .leases import require_lease
from .moment import Moment
from .state import HeldClaim, LiveBatch, SessionState


def enqueue(draft: QueuedWorkBatchDraft) -> Decide[QueuedWorkBatch]:
    """Append the batch, or answer with the queued one of the same source key."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[QueuedWorkBatch]:
        if draft.source_key is not None and draft.source_key in state.batch_by_source:
            return Decision((), state.work[state.batch_by_source[draft.source_key]].batch)
        batch = QueuedWorkBatch(
            moment.new_id(),
            state.session_id,
            state.next_work_seq,
            draft.delivery_policy,
            draft.slot_policy,
            draft.merge_key,
            draft.available_at_ms,
            moment.now_ms,
            tuple(QueuedWorkItem(moment.new_id(), payload) for payload in draft.payloads),
            draft.source_key,
        )
        return Decision((WorkEnqueued(batch),), batch)

    return decide


def list_all() -> View[tuple[QueuedWorkBatch, ...]]:
    """All batches in order."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> tuple[QueuedWorkBatch, ...]:
        if state.damaged_work is not None:
            raise state.damaged_work
        return tuple(live.batch for live in state.work.values())

    return view


def list_pending() -> View[tuple[QueuedWorkBatch, ...]]:
    """The batches in order, without those under a live claim."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> tuple[QueuedWorkBatch, ...]:
        if state.damaged_work is not None:
            raise state.damaged_work
        return tuple(live.batch for live in state.work.values() if live.claim is None or not live.claim.holds(moment))

    return view


def _ready(state: SessionState, moment: Moment, owner: LeaseOwnerIdentity) -> Iterator[QueuedWorkBatch]:
    return (
        live.batch
        for live in state.work.values()
        if live.batch.available_at_ms <= moment.now_ms and (live.claim is None or not live.claim.holds(moment, owner))
    )


def _joins(head: QueuedWorkBatch, batch: QueuedWorkBatch) -> bool:
    return (
        batch.slot_policy is SlotPolicy.JOIN
        and batch.delivery_policy is head.delivery_policy
        and batch.merge_key == head.merge_key
        and batch.work_class() is QueuedWorkClass.TURN_WORK
    )


def _ready_group(
    state: SessionState,
    moment: Moment,
    owner: LeaseOwnerIdentity,
    boundary: QueuedWorkClaimBoundary,
    most: int,
) -> list[QueuedWorkBatch]:
    """The next ready group of turn work, at most `most` of it."""
    ready = _ready(state, moment, owner)
    head = next(ready, None)
    if head is None or most == 0 or head.work_class() is not QueuedWorkClass.TURN_WORK:
        return []
    if (
        boundary is QueuedWorkClaimBoundary.ACTIVE_TURN_CHECKPOINT
        and head.delivery_policy is not DeliveryPolicy.EARLIEST_SAFE_BOUNDARY
    ):
        return []
    group = [head]
    if head.slot_policy is SlotPolicy.JOIN and not isinstance(head.merge_key, MergeNever):
        for batch in islice(ready, most - 1):
            if not _joins(head, batch):
                break
            group.append(batch)
    return group


def _claim(
    fence: SessionExecutionLeaseFence,
    owner: LeaseOwnerIdentity,
    ttl_ms: int,
    choose: Callable[[SessionState, Moment], list[QueuedWorkBatch]],
) -> Decide[QueuedWorkClaim | None]:
    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[QueuedWorkClaim | None]:
        require_lease(state, moment, fence)
        batches = choose(state, moment)
        if not batches:
            return Decision((), None)
        deadline = moment.deadline(ttl_ms)
        claim = QueuedWorkClaim(
            state.session_id,
            moment.new_id(),
            owner,
            moment.new_id(),
            state.next_claim_fencing(moment.boot_id),
            moment.now_ms,
            deadline.expires_at_ms,
            tuple(batches),
        )
        held = HeldClaim(claim.claim_id, owner, claim.lease_token, claim.fencing_token, moment.now_ms, deadline)
        ids = tuple(batch.batch_id for batch in batches)
        return Decision((WorkClaimed(held, ids, moment.boot_id),), claim)

    return decide


def claim_command(
    fence: SessionExecutionLeaseFence, owner: LeaseOwnerIdentity, ttl_ms: int
) -> Decide[QueuedWorkClaim | None]:
    """Take the earliest ready batch, if it is a session command."""

    def choose(state: SessionState, moment: Moment) -> list[QueuedWorkBatch]:
        head = next(_ready(state, moment, owner), None)
        is_command = head is not None and head.work_class() is QueuedWorkClass.SESSION_COMMAND
        return [head] if head is not None and is_command else []

    return _claim(fence, owner, ttl_ms, choose)


def claim_ready(
    fence: SessionExecutionLeaseFence,
    owner: LeaseOwnerIdentity,
    boundary: QueuedWorkClaimBoundary,
    ttl_ms: int,
    max_batches: int,
) -> Decide[QueuedWorkClaim | None]:
    """Take the next ready group of turn work."""

    def choose(state: SessionState, moment: Moment) -> list[QueuedWorkBatch]:
        return _ready_group(state, moment, owner, boundary, max_batches)

    return _claim(fence, owner, ttl_ms, choose)


def claim_by_ids(
    fence: SessionExecutionLeaseFence,
    owner: LeaseOwnerIdentity,
    boundary: QueuedWorkClaimBoundary,
    ttl_ms: int,
    batch_ids: tuple[str, ...],
) -> Decide[QueuedWorkClaim | None]:
    """Take exactly these batches, if they are the first of the next ready group."""

    def choose(state: SessionState, moment: Moment) -> list[QueuedWorkBatch]:
        group = _ready_group(state, moment, owner, boundary, len(batch_ids))
        return group if tuple(batch.batch_id for batch in group) == batch_ids else []

    return _claim(fence, owner, ttl_ms, choose)


def _owned(state: SessionState, claim_id: str, lease_token: str, batch_id: str) -> LiveBatch | None:
    live = state.work.get(batch_id)
    if live is None or live.claim is None:
        return None
    owns = live.claim.claim_id == claim_id and live.claim.lease_token == lease_token
    return live if owns else None


def renew(claim: QueuedWorkClaim, ttl_ms: int) -> Decide[QueuedWorkClaim]:
    """Move the claim's expiry to now + ttl, if it still owns all its batches, expired or not."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[QueuedWorkClaim]:
        require_owned(state, claim.completion())
        deadline = moment.deadline(ttl_ms)
        ids = tuple(batch.batch_id for batch in claim.batches)
        events = (WorkRenewed(ids, deadline),) if ids else ()
        return Decision(events, replace(claim, expires_at_epoch_ms=deadline.expires_at_ms))

    return decide


def abandon(claim: QueuedWorkClaim) -> Decide[None]:
    """Give back what the claim still owns."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[None]:
        ids = tuple(
            batch.batch_id
            for batch in claim.batches
            if _owned(state, claim.claim_id, claim.lease_token, batch.batch_id)
        )
        return Decision((WorkReleased(ids),) if ids else (), None)

    return decide


def require_owned(state: SessionState, completion: QueuedWorkCompletion) -> None:
    """Raise `QueuedWorkClaimExpired` unless the claim still owns every batch it names, expired or not."""
    if completion.session_id == state.session_id and all(
        _owned(state, completion.claim_id, completion.lease_token, batch_id) for batch_id in completion.batch_ids
    ):
        return
    raise QueuedWorkClaimExpired(state.session_id, completion.claim_id)


def cancel(batch_id: str) -> Decide[QueuedWorkBatch | None]:
    """Remove a batch that no live claim holds."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[QueuedWorkBatch | None]:
        live = state.work.get(batch_id)
        if live is None or (live.claim is not None and live.claim.holds(moment)):
            return Decision((), None)
        return Decision((WorkRemoved((batch_id,), cancelled=True),), live.batch)

    return decide
