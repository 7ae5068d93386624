"""The abstract base of every backend: what it must do, and what it gets for nothing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from . import checks
from .attachments import AttachmentManifest
from .commits import PersistedSessionRead, RuntimeCommit, RuntimeCommitResult
from .errors import BackendError, QueuedWorkClaimExpired
from .graph import FullGraph, SessionNodeRecord, SessionReadScope
from .inputs import (
    ActiveTurn,
    CancelByInputId,
    CheckpointKind,
    PendingTurnInput,
    PendingTurnInputCancelOutcome,
    PendingTurnInputCancelResult,
    PendingTurnInputCancelTarget,
    PendingTurnInputDraft,
    PendingTurnInputSuffixCancelOutcome,
    TurnInputClaim,
)
from .leases import (
    LeaseOwnerIdentity,
    SessionExecutionLease,
    SessionExecutionLeaseClaimOutcome,
    SessionExecutionLeaseCompletion,
    SessionExecutionLeaseFence,
)
from .sessions import DurabilityTier, GcReport, SessionHead, SessionMeta, VacuumReport
from .work import QueuedWorkBatch, QueuedWorkBatchDraft, QueuedWorkClaim, QueuedWorkClaimBoundary


def _unsupported(what: str) -> BackendError:
    return BackendError(f"{what} is not supported by this backend; use one that implements it")


class RuntimePersistence(AttachmentManifest):
    """The atomic store of one session's settled state, as an agent runtime needs it.

    A backend implements the 12 abstract methods here and the 4 of `AttachmentManifest` (or mixes in
    `NoopAttachmentManifest`); the others have defaults that refuse loudly rather than drop anything. A handle is bound
    to one session; lease and queue methods take a session id and work for any session of the store.

    All durations are integer milliseconds; 0 expires at once, and `now >= expires` is expired.
    """

    # What every backend must do.

    @abstractmethod
    def load_session(self, scope: SessionReadScope) -> PersistedSessionRead | None:
        """The session's state with the nodes of `scope`; `None` before the first commit.

        `FullGraph()`: every node that is not tombstoned, in commit order. `ActivePath()`: the ancestry of the persisted
        leaf, root first; `ActivePath("x")`: of `x`, which is the returned leaf. A path stops where a parent is missing
        or tombstoned. A tombstoned persisted leaf reads as `None`. Raises `NodeNotFound` for an asked leaf that is
        unknown or tombstoned.
        """

    @abstractmethod
    def load_node(self, node_id: str) -> SessionNodeRecord | None:
        """The node, or `None` when it is unknown or tombstoned."""

    @abstractmethod
    def commit_runtime_state(self, commit: RuntimeCommit) -> RuntimeCommitResult:
        """Settle `commit`: all of it or, with an error, nothing. The head revision grows by exactly 1.

        Checked in this order: `SessionBindingMismatch`; the stamp (`RuntimeTurnCommitConflict`, or the stored result
        for a turn that was committed with the same hash, which releases the lease if asked and does nothing else); the
        lease (`SessionExecutionLeaseExpired`); the head (`HeadRevisionConflict`); the completed claims
        (`QueuedWorkClaimExpired`, `TurnInputClaimExpired`); the graph, refs and attachments (`InvalidCommit`).
        """

    @abstractmethod
    def try_claim_session_execution_lease(
        self, session_id: str, owner: LeaseOwnerIdentity, lease_ttl_ms: int
    ) -> SessionExecutionLeaseClaimOutcome:
        """Claim the writer lane. Free, released or expired: acquired with a higher fencing token and a new lease token.

        Live and the same incarnation: acquired again with the same tokens, expiring at now + ttl. Live and anyone else,
        a dead holder too: `LeaseBusy`.
        """

    @abstractmethod
    def reclaim_session_execution_lease(
        self,
        session_id: str,
        owner: LeaseOwnerIdentity,
        observed_holder: SessionExecutionLeaseFence,
        lease_ttl_ms: int,
    ) -> SessionExecutionLeaseClaimOutcome:
        """Take the lane from a holder that is provably dead, if it is still the observed one; else `LeaseBusy`.

        A lane that is not live is acquired. Of racing claimants exactly one wins.
        """

    @abstractmethod
    def renew_session_execution_lease(
        self, fence: SessionExecutionLeaseFence, lease_ttl_ms: int
    ) -> SessionExecutionLease:
        """The lease, expiring at now + ttl, even where that is earlier.

        Raises `SessionExecutionLeaseExpired` when it is stale, released, superseded or expired.
        """

    @abstractmethod
    def release_session_execution_lease(self, completion: SessionExecutionLeaseCompletion) -> None:
        """Release the lease. Idempotent, and it never touches a newer one."""

    @abstractmethod
    def save_session_meta(self, meta: SessionMeta) -> None:
        """Replace the session's metadata. Raises `SessionBindingMismatch` for another session's."""

    @abstractmethod
    def load_session_meta(self) -> SessionMeta | None:
        """The session's metadata, or `None` where none was saved."""

    @abstractmethod
    def tombstone_nodes(self, ids: Sequence[str]) -> None:
        """Hide these nodes from every read; unknown ids are ignored. `vacuum` removes them physically."""

    @abstractmethod
    def vacuum(self) -> VacuumReport:
        """Physically remove tombstoned nodes and completed or cancelled inputs."""

    @abstractmethod
    def gc_unreachable(self) -> GcReport:
        """Delete blobs that neither the head's manifest, the head's frames nor a stored input's images refer to.

        A live manifest that cannot be read aborts the run with `CorruptRecord` and deletes nothing.
        """

    # What a backend gets for nothing.

    def durability_tier(self) -> DurabilityTier:
        """How far this backend's state reaches; `INLINE` unless it says more."""
        return DurabilityTier.INLINE

    def enqueue_pending_turn_input(self, draft: PendingTurnInputDraft) -> PendingTurnInput:
        """Store user input at the end of the session's order.

        A known `source_key` with the same ingress and input gives the stored record in its current state, terminal ones
        too until vacuum; with other content: `PendingTurnInputSourceKeyConflict`. A known `input_id` with the same or
        no source key and equal content gives the record, else `InvalidArgument`. Input for an active turn that is
        already stamped is stored deferred. A session that does not exist is created.
        """
        raise _unsupported("pending turn input")

    def list_pending_turn_inputs(self, session_id: str) -> tuple[PendingTurnInput, ...]:
        """Pending and deferred inputs in order, without those under a live claim."""
        return ()

    def cancel_pending_turn_input(self, session_id: str, input_id: str) -> PendingTurnInputCancelOutcome:
        """Cancel one input by id; only a pending or deferred one without a live claim is cancelled."""
        return self.cancel_pending_turn_inputs(session_id, (CancelByInputId(input_id),))[0].outcome

    def cancel_pending_turn_inputs(
        self, session_id: str, targets: Sequence[PendingTurnInputCancelTarget]
    ) -> tuple[PendingTurnInputCancelResult, ...]:
        """Cancel atomically, one result a target in order; a repeated target sees the first one's effect."""
        raise _unsupported("cancelling pending turn input")

    def cancel_pending_turn_input_suffix(
        self, session_id: str, anchor: PendingTurnInputCancelTarget
    ) -> PendingTurnInputSuffixCancelOutcome:
        """Cancel the anchor and every later input, in order; terminal and claimed ones are reported as such."""
        raise _unsupported("cancelling pending turn input")

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
        """Take up to `max_inputs` pending inputs of that turn whose boundary admits the checkpoint; `None` if none.

        They become `ACCEPTED`. Raises `SessionExecutionLeaseExpired` without a live lease of that session.
        """
        raise _unsupported("claiming turn input")

    def claim_next_turn_inputs(
        self,
        session_id: str,
        fence: SessionExecutionLeaseFence,
        owner: LeaseOwnerIdentity,
        lease_ttl_ms: int,
        max_inputs: int,
    ) -> TurnInputClaim | None:
        """Take up to `max_inputs` deferred inputs, whose state does not change; `None` if there are none.

        Raises `SessionExecutionLeaseExpired` without a live lease of that session.
        """
        raise _unsupported("claiming turn input")

    def abandon_turn_input_claim(self, claim: TurnInputClaim) -> None:
        """Give the inputs of the claim back; a stale claim is ignored."""

    def enqueue_queued_work(self, draft: QueuedWorkBatchDraft) -> QueuedWorkBatch:
        """Store a batch at the end of the session's order.

        A `source_key` still in the queue gives the stored batch unchanged. A session that does not exist is created.
        """
        raise _unsupported("queued work")

    def claim_leading_ready_session_command(
        self, session_id: str, fence: SessionExecutionLeaseFence, owner: LeaseOwnerIdentity, lease_ttl_ms: int
    ) -> QueuedWorkClaim | None:
        """Take one batch, only if the earliest ready claimable one is a session command; else `None`."""
        raise _unsupported("queued work")

    def claim_ready_queued_work(
        self,
        session_id: str,
        fence: SessionExecutionLeaseFence,
        owner: LeaseOwnerIdentity,
        boundary: QueuedWorkClaimBoundary,
        lease_ttl_ms: int,
        max_batches: int,
    ) -> QueuedWorkClaim | None:
        """Take the next ready group of turn work, only if the earliest ready claimable batch is turn work.

        At `ACTIVE_TURN_CHECKPOINT` that batch must be `EARLIEST_SAFE_BOUNDARY`. An `EXCLUSIVE` head is taken alone, a
        `JOIN` head with the `JOIN` batches next to it of the same delivery policy and merge key, up to `max_batches`.
        """
        raise _unsupported("queued work")

    def claim_ready_queued_work_by_batch_ids(
        self,
        session_id: str,
        fence: SessionExecutionLeaseFence,
        owner: LeaseOwnerIdentity,
        boundary: QueuedWorkClaimBoundary,
        lease_ttl_ms: int,
        batch_ids: Sequence[str],
    ) -> QueuedWorkClaim | None:
        """Take exactly these ids in order, being the first of the next ready group; else `None`, nothing claimed."""
        asked = checks.identifiers("batch_ids", batch_ids)
        if not asked:
            return None
        claim = self.claim_ready_queued_work(session_id, fence, owner, boundary, lease_ttl_ms, len(asked))
        if claim is None or claim.completion().batch_ids == asked:
            return claim
        self.abandon_queued_work_claim(claim)
        return None

    def renew_queued_work_claim(self, claim: QueuedWorkClaim, lease_ttl_ms: int) -> QueuedWorkClaim:
        """The claim, expiring at now + ttl. Raises `QueuedWorkClaimExpired` when it lost any of its batches."""
        raise QueuedWorkClaimExpired(claim.session_id, claim.claim_id)

    def abandon_queued_work_claim(self, claim: QueuedWorkClaim) -> None:
        """Give the batches of the claim back; a stale claim is ignored."""

    def cancel_queued_work_batch(self, session_id: str, batch_id: str) -> QueuedWorkBatch | None:
        """Remove and return an unclaimed batch; `None` when it is missing or under a live claim."""
        return None

    def list_queued_work(self, session_id: str) -> tuple[QueuedWorkBatch, ...]:
        """All batches in order."""
        return ()

    def list_pending_queued_work(self, session_id: str) -> tuple[QueuedWorkBatch, ...]:
        """The batches in order, without those under a live claim."""
        return self.list_queued_work(session_id)

    # Beyond the seed.

    def load_session_head(self) -> SessionHead | None:
        """Where the session stands, for freshness checks; `None` before the first commit.

        This default reads the session; a backend that can say it without reading nodes should.
        """
        read = self.load_session(FullGraph())
        if read is None:
            return None
        graph = read.graph
        return SessionHead(
            read.session_id,
            read.head_revision,
            graph.leaf_node_id,
            read.checkpoint_ref,
            len(graph.nodes),
            read.current_agent_frame_id,
        )

    def get_session_execution_lease(self, session_id: str) -> SessionExecutionLease | None:
        """The live lease, for showing who holds the session; never a basis for writing.

        This default knows of none, as nothing else of the contract tells.
        """
        return None

    def defer_orphaned_turn_inputs(self, session_id: str, fence: SessionExecutionLeaseFence, turn_id: str) -> int:
        """Make the pending and accepted inputs of a turn that stopped without a commit next-turn input; their count.

        Claims on them are cleared, their order is kept. Raises `SessionExecutionLeaseExpired` without a live lease.
        This default refuses when there is anything to defer.
        """
        waiting = self.list_pending_turn_inputs(session_id)
        if any(isinstance(item.ingress, ActiveTurn) and item.ingress.turn_id == turn_id for item in waiting):
            raise _unsupported("deferring turn input")
        return 0
