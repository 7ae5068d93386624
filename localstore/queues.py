"""The part of a session's handle that has the execution lease, pending input and queued work."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from .contract import checks
from .contract.inputs import (
    CancelByInputId,
    CancelBySourceKey,
    CheckpointKind,
    PendingTurnInput,
    PendingTurnInputCancelOutcome,
    PendingTurnInputCancelResult,
    PendingTurnInputCancelTarget,
    PendingTurnInputDraft,
    PendingTurnInputSuffixCancelOutcome,
    TurnInputClaim,
    check_targets,
)
from .contract.leases import (
    LeaseOwnerIdentity,
    SessionExecutionLease,
    SessionExecutionLeaseClaimOutcome,
    SessionExecutionLeaseCompletion,
    SessionExecutionLeaseFence,
)
from .contract.persistence import RuntimePersistence
from .contract.work import (
    QueuedWorkBatch,
    QueuedWorkBatchDraft,
    QueuedWorkClaim,
    QueuedWorkClaimBoundary,
)
from .keeper import AbsentKeeper, Keeper
from .machine import cancels, leases, queued_work, turn_inputs


class SessionQueues(RuntimePersistence):
    """The lease and the queues of any session of the store, whatever the handle is bound to."""

    @abstractmethod
    def _of(self, session_id: str) -> Keeper | AbsentKeeper:
        """The keeper of a session, or what answers for one that is not there."""

    @abstractmethod
    def _made(self, session_id: str) -> Keeper:
        """The keeper of a session, which is made where it is not there."""

    # The execution lease.

    def try_claim_session_execution_lease(
        self, session_id: str, owner: LeaseOwnerIdentity, lease_ttl_ms: int
    ) -> SessionExecutionLeaseClaimOutcome:
        checks.instance("owner", owner, LeaseOwnerIdentity)
        decide = leases.try_claim(owner, checks.integer("lease_ttl_ms", lease_ttl_ms))
        return self._made(session_id).write(decide, flush=False)

    def reclaim_session_execution_lease(
        self,
        session_id: str,
        owner: LeaseOwnerIdentity,
        observed_holder: SessionExecutionLeaseFence,
        lease_ttl_ms: int,
    ) -> SessionExecutionLeaseClaimOutcome:
        checks.instance("owner", owner, LeaseOwnerIdentity)
        checks.instance("observed_holder", observed_holder, SessionExecutionLeaseFence)
        decide = leases.reclaim(owner, observed_holder, checks.integer("lease_ttl_ms", lease_ttl_ms))
        return self._made(session_id).write(decide, flush=False)

    def renew_session_execution_lease(
        self, fence: SessionExecutionLeaseFence, lease_ttl_ms: int
    ) -> SessionExecutionLease:
        checks.instance("fence", fence, SessionExecutionLeaseFence)
        decide = leases.renew(fence, checks.integer("lease_ttl_ms", lease_ttl_ms))
        return self._of(fence.session_id).write(decide, flush=False)

    def release_session_execution_lease(self, completion: SessionExecutionLeaseCompletion) -> None:
        checks.instance("completion", completion, SessionExecutionLeaseCompletion)
        self._of(completion.session_id).write(leases.release(completion), flush=False)

    def get_session_execution_lease(self, session_id: str) -> SessionExecutionLease | None:
        return self._of(session_id).read(leases.current())

    # Pending turn input.

    def enqueue_pending_turn_input(self, draft: PendingTurnInputDraft) -> PendingTurnInput:
        checks.instance("draft", draft, PendingTurnInputDraft)
        return self._made(draft.session_id).write(turn_inputs.enqueue(draft))

    def list_pending_turn_inputs(self, session_id: str) -> tuple[PendingTurnInput, ...]:
        return self._of(session_id).read(turn_inputs.list_pending())

    def cancel_pending_turn_input(self, session_id: str, input_id: str) -> PendingTurnInputCancelOutcome:
        return self.cancel_pending_turn_inputs(session_id, (CancelByInputId(input_id),))[0].outcome

    def cancel_pending_turn_inputs(
        self, session_id: str, targets: Sequence[PendingTurnInputCancelTarget]
    ) -> tuple[PendingTurnInputCancelResult, ...]:
        return self._of(session_id).write(cancels.cancel(check_targets(targets)))

    def cancel_pending_turn_input_suffix(
        self, session_id: str, anchor: PendingTurnInputCancelTarget
    ) -> PendingTurnInputSuffixCancelOutcome:
        checks.instance("anchor", anchor, CancelByInputId, CancelBySourceKey)
        return self._of(session_id).write(cancels.cancel_suffix(anchor))

    def claim_active_turn_inputs(
        self,
        session_id: str,
        fence: SessionExecutionLeaseFence,
        owner: LeaseOwnerIdentity,
        turn_id: str,
        checkpoint: CheckpointKind,
        lease_ttl_ms: int,
        max_inputs: int,
    ) -> TurnInputClaim | None:
        checks.instance("fence", fence, SessionExecutionLeaseFence)
        checks.instance("owner", owner, LeaseOwnerIdentity)
        decide = turn_inputs.claim_active(
            fence,
            owner,
            checks.identifier("turn_id", turn_id),
            checks.member("checkpoint", checkpoint, CheckpointKind),
            checks.integer("lease_ttl_ms", lease_ttl_ms),
            checks.integer("max_inputs", max_inputs),
        )
        return self._of(session_id).write(decide, flush=False)

    def claim_next_turn_inputs(
        self,
        session_id: str,
        fence: SessionExecutionLeaseFence,
        owner: LeaseOwnerIdentity,
        lease_ttl_ms: int,
        max_inputs: int,
    ) -> TurnInputClaim | None:
        checks.instance("fence", fence, SessionExecutionLeaseFence)
        checks.instance("owner", owner, LeaseOwnerIdentity)
        decide = turn_inputs.claim_next(
            fence,
            owner,
            checks.integer("lease_ttl_ms", lease_ttl_ms),
            checks.integer("max_inputs", max_inputs),
        )
        return self._of(session_id).write(decide, flush=False)

    def abandon_turn_input_claim(self, claim: TurnInputClaim) -> None:
        checks.instance("claim", claim, TurnInputClaim)
        self._of(claim.session_id).write(turn_inputs.abandon(claim), flush=False)

    def defer_orphaned_turn_inputs(self, session_id: str, fence: SessionExecutionLeaseFence, turn_id: str) -> int:
        checks.instance("fence", fence, SessionExecutionLeaseFence)
        decide = turn_inputs.defer_orphaned(fence, checks.identifier("turn_id", turn_id))
        return self._of(session_id).write(decide)

    # Queued work.

    def enqueue_queued_work(self, draft: QueuedWorkBatchDraft) -> QueuedWorkBatch:
        checks.instance("draft", draft, QueuedWorkBatchDraft)
        return self._made(draft.session_id).write(queued_work.enqueue(draft))

    def list_queued_work(self, session_id: str) -> tuple[QueuedWorkBatch, ...]:
        return self._of(session_id).read(queued_work.list_all())

    def list_pending_queued_work(self, session_id: str) -> tuple[QueuedWorkBatch, ...]:
        return self._of(session_id).read(queued_work.list_pending())

    def cancel_queued_work_batch(self, session_id: str, batch_id: str) -> QueuedWorkBatch | None:
        return self._of(session_id).write(queued_work.cancel(checks.identifier("batch_id", batch_id)))

    def claim_leading_ready_session_command(
        self, session_id: str, fence: SessionExecutionLeaseFence, owner: LeaseOwnerIdentity, lease_ttl_ms: int
    ) -> QueuedWorkClaim | None:
        checks.instance("fence", fence, SessionExecutionLeaseFence)
        checks.instance("owner", owner, LeaseOwnerIdentity)
        decide = queued_work.claim_command(fence, owner, checks.integer("lease_ttl_ms", lease_ttl_ms))
        return self._of(session_id).write(decide, flush=False)

    def claim_ready_queued_work(
        self,
        session_id: str,
        fence: SessionExecutionLeaseFence,
        owner: LeaseOwnerIdentity,
        boundary: QueuedWorkClaimBoundary,
        lease_ttl_ms: int,
        max_batches: int,
    ) -> QueuedWorkClaim | None:
        checks.instance("fence", fence, SessionExecutionLeaseFence)
        checks.instance("owner", owner, LeaseOwnerIdentity)
        decide = queued_work.claim_ready(
            fence,
            owner,
            checks.member("boundary", boundary, QueuedWorkClaimBoundary),
            checks.integer("lease_ttl_ms", lease_ttl_ms),
            checks.integer("max_batches", max_batches),
        )
        return self._of(session_id).write(decide, flush=False)

    def claim_ready_queued_work_by_batch_ids(
        self,
        session_id: str,
        fence: SessionExecutionLeaseFence,
        owner: LeaseOwnerIdentity,
        boundary: QueuedWorkClaimBoundary,
        lease_ttl_ms: int,
        batch_ids: Sequence[str],
    ) -> QueuedWorkClaim | None:
        checks.instance("fence", fence, SessionExecutionLeaseFence)
        checks.instance("owner", owner, LeaseOwnerIdentity)
        decide = queued_work.claim_by_ids(
            fence,
            owner,
            checks.member("boundary", boundary, QueuedWorkClaimBoundary),
            checks.integer("lease_ttl_ms", lease_ttl_ms),
            checks.identifiers("batch_ids", batch_ids),
        )
        return self._of(session_id).write(decide, flush=False)

    def renew_queued_work_claim(self, claim: QueuedWorkClaim, lease_ttl_ms: int) -> QueuedWorkClaim:
        checks.instance("claim", claim, QueuedWorkClaim)
        decide = queued_work.renew(claim, checks.integer("lease_ttl_ms", lease_ttl_ms))
        return self._of(claim.session_id).write(decide, flush=False)

    def abandon_queued_work_claim(self, claim: QueuedWorkClaim) -> None:
        checks.instance("claim", claim, QueuedWorkClaim)
        self._of(claim.session_id).write(queued_work.abandon(claim), flush=False)
