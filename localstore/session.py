"""The handle of one session: every method of the contract, checked at the door and run by a keeper."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator, Sequence
from types import TracebackType
from typing import Self

from . import watching
from .contract import checks
from .contract.attachments import AttachmentIntent, AttachmentManifestEntry
from .contract.clock import Clock, rfc3339
from .contract.commits import PersistedSessionRead, RuntimeCommit, RuntimeCommitResult
from .contract.errors import InvalidArgument, SessionNotFound, StoreClosed
from .contract.feed import ChangeBatch
from .contract.graph import SessionNodeRecord, SessionReadScope, check_scope
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
from .contract.redaction import REPLACEMENT, SessionRedaction
from .contract.sessions import DurabilityTier, GcReport, SessionHead, SessionMeta, VacuumReport
from .contract.work import (
    QueuedWorkBatch,
    QueuedWorkBatchDraft,
    QueuedWorkClaim,
    QueuedWorkClaimBoundary,
)
from .history import SessionHistory
from .keeper import AbsentKeeper, Keeper, Sessions
from .machine import attachments, cancels, commits, feed, leases, queued_work, reading, turn_inputs, upkeep
from .machine.forks import ForkRequest
from .machine.redactor import Redactor


class Handles:
    """The handles that a store gave out, so that it can close them."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._mutex = threading.Lock()
        self._given: weakref.WeakSet[SessionStore] = weakref.WeakSet()
        self._closed = False

    def give(self, keeper: Keeper) -> SessionStore:
        """A handle on the keeper's session; `StoreClosed` where the store was closed meanwhile."""
        handle = SessionStore(self._sessions, keeper, self)
        with self._mutex:
            if self._closed:
                raise StoreClosed()
            self._given.add(handle)
        return handle

    def close(self) -> None:
        """Close all of them, and give no more."""
        with self._mutex:
            self._closed = True
            given = list(self._given)
        for handle in given:
            handle.mark_closed()


class SessionStore(SessionHistory, RuntimePersistence):
    """A handle bound to one session. Cheap; any number of them, in threads and processes, may hold one session.

    Lease and queue methods take a session id and work for any session of the store. A handle whose session was deleted,
    or deleted and made again since, raises `SessionNotFound`; one that was closed, `StoreClosed`.
    """

    def __init__(self, sessions: Sessions, keeper: Keeper, family: Handles) -> None:
        self._sessions = sessions
        self._keeper = keeper
        self._family = family
        self._session_id = keeper.session_id
        self._closed = False

    @property
    def session_id(self) -> str:
        """The id of the session this handle is bound to."""
        return self._session_id

    @property
    def clock(self) -> Clock:
        """The clock of the store."""
        return self._sessions.surroundings.given

    def close(self) -> None:
        """Close this handle; others on the session stay open. Idempotent."""
        self._closed = True

    mark_closed = close

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _own(self) -> Keeper:
        if self._closed:
            raise StoreClosed("the handle")
        return self._keeper

    def _of(self, session_id: str) -> Keeper | AbsentKeeper:
        """The keeper of any session of the store; a stand-in that finds nothing for one that does not exist."""
        if session_id == self._session_id:
            return self._own()
        if self._closed:
            raise StoreClosed("the handle")
        found = self._sessions.find(checks.session_id(session_id))
        return AbsentKeeper(session_id, self._sessions.surroundings) if found is None else found

    def _made(self, session_id: str) -> Keeper:
        """The keeper of any session of the store, made with default metadata if it does not exist."""
        if session_id == self._session_id:
            return self._own()
        if self._closed:
            raise StoreClosed("the handle")
        now = rfc3339(self._sessions.surroundings.clock.now_ms())
        return self._sessions.make(SessionMeta(checks.session_id(session_id), session_id, now, ""))

    # Graph and commits.

    def load_session(self, scope: SessionReadScope) -> PersistedSessionRead | None:
        return self._own().read(reading.load_session(check_scope(scope)))

    def load_node(self, node_id: str) -> SessionNodeRecord | None:
        return self._own().read(reading.load_node(checks.identifier("node_id", node_id)))

    def load_session_head(self) -> SessionHead | None:
        return self._own().read(reading.load_head())

    def commit_runtime_state(self, commit: RuntimeCommit) -> RuntimeCommitResult:
        checks.instance("commit", commit, RuntimeCommit)
        return self._own().write(commits.commit(commit))

    def commit_in_passing(self, commit: RuntimeCommit, owner: LeaseOwnerIdentity) -> RuntimeCommitResult:
        """Commit under a lease that `owner` takes and gives back within the call: for writers whose turn is one commit.

        It is one record where claiming, committing and releasing are three, so that it costs less and a crash leaves
        nobody holding the session. `commit` names no lease, and should say `expected_head_revision`: nothing else keeps
        others from committing before. Raises `SessionExecutionLeaseHeld` where somebody holds the lease who is not
        provably dead, else as `commit_runtime_state` does; what survives is the same too.
        """
        checks.instance("commit", commit, RuntimeCommit)
        checks.instance("owner", owner, LeaseOwnerIdentity)
        if commit.session_execution_lease or commit.release_session_execution_lease:
            raise InvalidArgument("a commit in passing names no lease")
        return self._own().write(commits.commit(commit, owner))

    def save_session_meta(self, meta: SessionMeta) -> None:
        checks.instance("meta", meta, SessionMeta)
        self._own().write(upkeep.save_meta(meta))

    def load_session_meta(self) -> SessionMeta | None:
        return self._own().read(upkeep.load_meta())

    def tombstone_nodes(self, ids: Sequence[str]) -> None:
        self._own().write(upkeep.tombstone(checks.identifiers("ids", ids)))

    def vacuum(self) -> VacuumReport:
        return self._own().vacuum()

    def gc_unreachable(self) -> GcReport:
        return self._own().collect()

    def redact(
        self, pattern: str, *, regex: bool = False, replacement: str = REPLACEMENT, apply: bool = False
    ) -> SessionRedaction:
        """Replace what `pattern` is, or matches with `regex`, everywhere in this session; see `LocalStore.redact`.

        Without `apply` it is only told. Labels of attachments and the trash are left to the store's method. Raises
        `SessionExecutionLeaseHeld` where the lease is held by somebody not known to be dead, and `InvalidArgument`. A
        crash leaves the session as it was, or redacted.
        """
        redactor = Redactor(pattern, replacement, regex=checks.instance("regex", regex, bool))
        return self._own().redact(redactor, apply=checks.instance("apply", apply, bool))

    def checkpoint(self) -> None:
        """Fold the journal into node files, spools and `head.json`, as a clean close does; the handle stays open."""
        self._own().checkpoint()

    def changes(self, since: str | None = None, *, limit: int | None = None) -> ChangeBatch:
        """What happened since the cursor `since`, every change once and in order, across processes and restarts.

        `None` starts at the oldest change that is kept: at least the latest 4,096. `limit` bounds the number of calls
        whose changes are given. Raises `CursorExpired` for a cursor that is too old or of another session.
        """
        after = checks.optional_identifier("since", since)
        return self._own().read(feed.changes(after, checks.optional_integer("limit", limit)))

    def watch(
        self, since: str | None = None, *, poll_s: float = 1.0, stop: watching.Stop | None = None
    ) -> Generator[ChangeBatch, None, None]:
        """Follow `changes`: batches of changes as they come, each once and in order, whichever process makes them.

        A batch has all changes of one or more calls, and the cursor to go on from: who stores that with what it made of
        the batch misses nothing and does nothing twice, also after a crash. It ends once `stop` is set (a
        `threading.Event`, or anything with `is_set()`), within 0.1 seconds; without one, when it is closed.

        It looks at least every `poll_s` seconds, and at once where it is woken: in memory, or by watchdog (the extra
        `watch`) where that works. Raises as `changes` does, `SessionNotFound` once the session is deleted, and
        `StoreClosed` once the handle is closed. What others wrote is seen before it is flushed: a power cut can take it
        back, and then the cursor is one of `CursorExpired`.
        """
        after = checks.optional_identifier("since", since)
        interval, end = watching.interval(poll_s), watching.stopping(stop)
        return watching.follow(self._news, self._own().listen, after, interval, end)

    def _news(self, since: str | None) -> ChangeBatch:
        return self._own().read(feed.news(since, watching.PAGE))

    def durability_tier(self) -> DurabilityTier:
        return self._sessions.tier

    def fork(self, session_id: str, *, at: str | None = None, session_name: str | None = None) -> SessionStore:
        """Make a child session that begins at the node `at` (the leaf, where it is `None`), and give a handle on it.

        It has all nodes, branches, config, frames, checkpoint and usage of this session, the revision, and its
        committed attachments; nobody holds it, nothing waits in it, and no turn stamp or source key of the parent binds
        it. `session_name` defaults to the id. On disk both share their files, so that a fork writes next to nothing
        and each can be vacuumed or deleted without the other (a file system without hard links gets copies).

        Raises `SessionExists` and `NodeNotFound`. A crash leaves a whole child or none.
        """
        keeper = self._own()
        name = checks.session_id(session_id) if session_name is None else checks.text("session_name", session_name)
        begin = checks.optional_identifier("at", at)
        request = ForkRequest(
            checks.session_id(session_id), name, begin, rfc3339(self._sessions.surroundings.clock.now_ms())
        )
        return self._family.give(self._sessions.fork(keeper, request))

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

    # The attachment manifest.

    def record_intent(self, intent: AttachmentIntent) -> None:
        checks.instance("intent", intent, AttachmentIntent)
        self._existing(intent.session_id).write(attachments.record_intent(intent))

    def commit_refs(self, session_id: str, attachment_ids: Sequence[str]) -> None:
        decide = attachments.commit_refs(checks.identifiers("attachment_ids", attachment_ids))
        self._existing(session_id).write(decide)

    def list_uncommitted(self, older_than_epoch_ms: int) -> tuple[AttachmentManifestEntry, ...]:
        older_than = checks.integer("older_than_epoch_ms", older_than_epoch_ms)
        return self._own().read(attachments.list_uncommitted(older_than))

    def forget(self, attachment_id: str) -> None:
        self._own().write(attachments.forget(checks.identifier("attachment_id", attachment_id)))

    def _existing(self, session_id: str) -> Keeper:
        keeper = self._of(session_id)
        if isinstance(keeper, AbsentKeeper):
            raise SessionNotFound(session_id)
        return keeper
