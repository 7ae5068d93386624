"""The provided methods of the abstract base, on a backend that implements the required ones alone."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ... import (
    AttachmentManifest,
    BackendError,
    CancelByInputId,
    DurabilityTier,
    FullGraph,
    GcReport,
    HydratedSessionCheckpoint,
    InputCancelled,
    InvalidArgument,
    LeaseAcquired,
    LeaseOwnerIdentity,
    NoopAttachmentManifest,
    PendingTurnInput,
    PendingTurnInputCancelResult,
    PendingTurnInputCancelTarget,
    PersistedSessionConfig,
    PersistedSessionRead,
    QueuedWorkBatch,
    QueuedWorkClaim,
    QueuedWorkClaimBoundary,
    QueuedWorkClaimExpired,
    RuntimeCommit,
    RuntimeCommitResult,
    RuntimePersistence,
    SessionCheckpoint,
    SessionExecutionLease,
    SessionExecutionLeaseClaimOutcome,
    SessionExecutionLeaseCompletion,
    SessionExecutionLeaseFence,
    SessionGraph,
    SessionHead,
    SessionMeta,
    SessionNodeRecord,
    SessionReadScope,
    VacuumReport,
)
from ..builders import SESSION, TURN, UNKNOWN_REF, active_input, chain, intent, owner
from .calls import CALLS, fence_of, input_claim_of, work_claim_of
from .world import IDLE, MINUTE

REQUIRED = {
    "load_session",
    "load_node",
    "commit_runtime_state",
    "try_claim_session_execution_lease",
    "reclaim_session_execution_lease",
    "renew_session_execution_lease",
    "release_session_execution_lease",
    "save_session_meta",
    "load_session_meta",
    "tombstone_nodes",
    "vacuum",
    "gc_unreachable",
}
MANIFEST = {"record_intent", "commit_refs", "list_uncommitted", "forget"}
PROVIDED = {
    "durability_tier",
    "enqueue_pending_turn_input",
    "list_pending_turn_inputs",
    "cancel_pending_turn_input",
    "cancel_pending_turn_inputs",
    "cancel_pending_turn_input_suffix",
    "claim_active_turn_inputs",
    "claim_next_turn_inputs",
    "abandon_turn_input_claim",
    "enqueue_queued_work",
    "claim_leading_ready_session_command",
    "claim_ready_queued_work",
    "claim_ready_queued_work_by_batch_ids",
    "renew_queued_work_claim",
    "abandon_queued_work_claim",
    "cancel_queued_work_batch",
    "list_queued_work",
    "list_pending_queued_work",
}
BEYOND = {"load_session_head", "get_session_execution_lease", "defer_orphaned_turn_inputs"}


class SmallestBackend(NoopAttachmentManifest, RuntimePersistence):
    """A backend that implements the required methods alone; it holds one session that never changes."""

    def __init__(self, read: PersistedSessionRead | None = None) -> None:
        self.read = read

    def load_session(self, scope: SessionReadScope) -> PersistedSessionRead | None:
        """The one session, in whatever scope."""
        return self.read

    def load_node(self, node_id: str) -> SessionNodeRecord | None:
        """The node of the one session."""
        return self.read.graph.find_node(node_id) if self.read else None

    def commit_runtime_state(self, commit: RuntimeCommit) -> RuntimeCommitResult:
        """Accepts and forgets."""
        return RuntimeCommitResult(1, UNKNOWN_REF, SessionCheckpoint())

    def try_claim_session_execution_lease(
        self, session_id: str, owner: LeaseOwnerIdentity, lease_ttl_ms: int
    ) -> SessionExecutionLeaseClaimOutcome:
        """Grants the lease to everybody."""
        return LeaseAcquired(SessionExecutionLease(session_id, owner, "token", 1, 0, lease_ttl_ms))

    def reclaim_session_execution_lease(
        self,
        session_id: str,
        owner: LeaseOwnerIdentity,
        observed_holder: SessionExecutionLeaseFence,
        lease_ttl_ms: int,
    ) -> SessionExecutionLeaseClaimOutcome:
        """Grants the lease to everybody."""
        return self.try_claim_session_execution_lease(session_id, owner, lease_ttl_ms)

    def renew_session_execution_lease(
        self, fence: SessionExecutionLeaseFence, lease_ttl_ms: int
    ) -> SessionExecutionLease:
        """Renews any lease."""
        return SessionExecutionLease(fence.session_id, fence.owner, "token", 1, 0, lease_ttl_ms)

    def release_session_execution_lease(self, completion: SessionExecutionLeaseCompletion) -> None:
        """Releases nothing."""
        return None

    def save_session_meta(self, meta: SessionMeta) -> None:
        """Keeps nothing."""
        return None

    def load_session_meta(self) -> SessionMeta | None:
        """Nothing was kept."""
        return None

    def tombstone_nodes(self, ids: Sequence[str]) -> None:
        """Hides nothing."""
        return None

    def vacuum(self) -> VacuumReport:
        """Removes nothing."""
        return VacuumReport(0, 0)

    def gc_unreachable(self) -> GcReport:
        """Deletes nothing."""
        return GcReport(0, 0, 0)


class TestAbstractBase:
    """What a backend must implement, and what it need not."""

    def test_requires_twelve_methods_and_the_manifest_s_four(self) -> None:
        """A backend must implement 12 methods and the 4 of the manifest."""
        assert RuntimePersistence.__abstractmethods__ == REQUIRED | MANIFEST
        assert AttachmentManifest.__abstractmethods__ == MANIFEST
        assert issubclass(RuntimePersistence, AttachmentManifest)

    def test_provides_the_rest(self) -> None:
        """All other methods have a default; there are 18 of them, and 3 beyond."""
        methods = {name for name, _ in inspect.getmembers(RuntimePersistence, inspect.isfunction) if name[0] != "_"}
        assert methods - REQUIRED - MANIFEST == PROVIDED | BEYOND
        assert (len(REQUIRED), len(PROVIDED)) == (12, 18)

    @pytest.mark.parametrize("missing", sorted(REQUIRED))
    def test_cannot_do_without_a_required_method(self, missing: str) -> None:
        """A backend that lacks a required method cannot be made."""
        lacking = type("Lacking", (SmallestBackend,), {missing: getattr(RuntimePersistence, missing)})
        with pytest.raises(TypeError, match=missing):
            lacking()

    def test_can_do_without_attachments_by_the_mixin(self) -> None:
        """The mixin accepts rows and keeps none."""
        backend = SmallestBackend()
        backend.record_intent(intent("a"))
        backend.commit_refs(SESSION, ("a",))
        assert backend.list_uncommitted(2**53 - 1) == ()
        backend.forget("a")

    def test_tells_bad_input_by_the_mixin_too(self) -> None:
        """The mixin checks what it is given."""
        backend = SmallestBackend()
        for call in (
            lambda: backend.record_intent("x"),  # type: ignore[arg-type]
            lambda: backend.commit_refs(SESSION, "x"),  # type: ignore[arg-type]
            lambda: backend.list_uncommitted(-1),
            lambda: backend.forget(""),
        ):
            with pytest.raises(InvalidArgument):
                call()


class TestDefaults:
    """Defaults that stand alone."""

    def test_durability_is_inline(self) -> None:
        """A backend is INLINE unless it says more."""
        assert SmallestBackend().durability_tier() is DurabilityTier.INLINE

    @pytest.mark.parametrize(
        "name",
        [
            "enqueue_pending_turn_input",
            "enqueue_queued_work",
            "claim_active_turn_inputs",
            "claim_next_turn_inputs",
            "claim_leading_ready_session_command",
            "claim_ready_queued_work",
            "claim_ready_queued_work_by_batch_ids",
            "cancel_pending_turn_input",
            "cancel_pending_turn_inputs",
            "cancel_pending_turn_input_suffix",
        ],
    )
    def test_what_is_not_supported_says_so(self, name: str) -> None:
        """Enqueues, claims and cancels raise BackendError; nothing is ever silently dropped."""
        with pytest.raises(BackendError, match="not supported"):
            CALLS[name](SmallestBackend(), SESSION)

    def test_lists_are_empty(self) -> None:
        """There is no input and no work."""
        backend = SmallestBackend()
        assert backend.list_pending_turn_inputs(SESSION) == ()
        assert backend.list_queued_work(SESSION) == ()
        assert backend.list_pending_queued_work(SESSION) == ()

    def test_abandons_do_nothing(self) -> None:
        """With nothing claimed there is nothing to give back."""
        SmallestBackend().abandon_turn_input_claim(input_claim_of(SESSION))
        SmallestBackend().abandon_queued_work_claim(work_claim_of(SESSION))

    def test_cancelling_a_batch_is_none(self) -> None:
        """With nothing queued there is nothing to cancel."""
        assert SmallestBackend().cancel_queued_work_batch(SESSION, "b") is None

    def test_renewing_a_claim_says_that_it_expired(self) -> None:
        """A backend that never granted a claim reports it as expired."""
        with pytest.raises(QueuedWorkClaimExpired) as caught:
            SmallestBackend().renew_queued_work_claim(work_claim_of(SESSION), MINUTE)
        assert (caught.value.session_id, caught.value.claim_id) == (SESSION, "no-claim")

    def test_the_live_lease_is_unknown(self) -> None:
        """Nothing of the required methods tells who holds the session."""
        assert SmallestBackend().get_session_execution_lease(SESSION) is None

    def test_the_head_comes_from_the_session(self) -> None:
        """The head is read off the full session, and None before the first commit."""
        assert SmallestBackend().load_session_head() is None
        nodes = chain("a", "b")
        read = PersistedSessionRead(
            SESSION,
            7,
            PersistedSessionConfig(),
            (),
            "f",
            SessionGraph(nodes, "b"),
            UNKNOWN_REF,
            HydratedSessionCheckpoint(),
            (),
        )
        head = SmallestBackend(read).load_session_head()
        assert head == SessionHead(SESSION, 7, "b", UNKNOWN_REF, 2, "f")
        assert SmallestBackend(read).load_session(FullGraph()) == read

    def test_deferring_nothing_is_0(self) -> None:
        """Where no input waits there is none to defer."""
        assert SmallestBackend().defer_orphaned_turn_inputs(SESSION, fence_of(SESSION), TURN) == 0


class Queues(SmallestBackend):
    """A backend with one ready group, that notes what is claimed and given back."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        self.asked: list[int] = []
        self.abandoned: list[QueuedWorkClaim] = []

    def list_queued_work(self, session_id: str) -> tuple[QueuedWorkBatch, ...]:
        """The batches of the one group."""
        (batch,) = work_claim_of(session_id).batches
        return tuple(replace(batch, batch_id=name) for name in self.names)

    def claim_ready_queued_work(
        self,
        session_id: str,
        fence: SessionExecutionLeaseFence,
        owner: LeaseOwnerIdentity,
        boundary: QueuedWorkClaimBoundary,
        lease_ttl_ms: int,
        max_batches: int,
    ) -> QueuedWorkClaim | None:
        """Claims the first batches of the group."""
        self.asked.append(max_batches)
        batches = self.list_queued_work(session_id)[:max_batches]
        return replace(work_claim_of(session_id), batches=batches) if batches else None

    def abandon_queued_work_claim(self, claim: QueuedWorkClaim) -> None:
        """Notes what was given back."""
        self.abandoned.append(claim)


class TestDefaultsOnOthers:
    """Defaults that build on other methods."""

    def take(self, backend: RuntimePersistence, *names: str) -> QueuedWorkClaim | None:
        """Claim by ids."""
        return backend.claim_ready_queued_work_by_batch_ids(SESSION, fence_of(SESSION), owner(), IDLE, MINUTE, names)

    def test_a_claim_by_ids_is_the_next_group_when_its_ids_are_the_asked_ones(self) -> None:
        """The default claims the next ready group, of as many batches as are asked for."""
        backend = Queues("a", "b", "c")
        claim = self.take(backend, "a", "b")
        assert claim is not None
        assert claim.completion().batch_ids == ("a", "b")
        assert (backend.asked, backend.abandoned) == ([2], [])

    @pytest.mark.parametrize("names", [("b",), ("b", "a"), ("a", "x"), ("a", "b", "c", "d")])
    def test_a_claim_by_other_ids_is_given_back(self, names: tuple[str, ...]) -> None:
        """When the ids are not exactly the asked ones in order, the claim is abandoned."""
        backend = Queues("a", "b", "c")
        assert self.take(backend, *names) is None
        assert len(backend.abandoned) == 1

    def test_a_claim_by_no_ids_claims_nothing(self) -> None:
        """Empty ids are None without a claim."""
        backend = Queues("a")
        assert self.take(backend) is None
        assert backend.asked == []

    def test_a_claim_by_ids_of_an_empty_queue_is_none(self) -> None:
        """There is nothing to give back either."""
        backend = Queues()
        assert self.take(backend, "a") is None
        assert backend.abandoned == []

    def test_pending_work_is_all_work(self) -> None:
        """Without claims of its own a backend lists all work as pending."""
        backend = Queues("a", "b")
        assert backend.list_pending_queued_work(SESSION) == backend.list_queued_work(SESSION)
        assert len(backend.list_queued_work(SESSION)) == 2

    def test_cancelling_one_goes_through_cancelling_several(self) -> None:
        """A backend that implements the list of cancels gets the single one."""
        seen: list[object] = []

        class Cancels(SmallestBackend):
            """Cancels whatever is asked for."""

            def cancel_pending_turn_inputs(
                self, session_id: str, targets: Sequence[PendingTurnInputCancelTarget]
            ) -> tuple[PendingTurnInputCancelResult, ...]:
                """Notes the targets and cancels them."""
                seen.append((session_id, targets))
                held = input_claim_of(session_id).inputs[0]
                return tuple(PendingTurnInputCancelResult(target, InputCancelled(held)) for target in targets)

        outcome = Cancels().cancel_pending_turn_input(SESSION, "i")
        assert isinstance(outcome, InputCancelled)
        assert seen == [(SESSION, (CancelByInputId("i"),))]

    def test_deferring_refuses_where_there_is_something_to_defer(self) -> None:
        """The default never says that it deferred what it did not."""

        class Inputs(SmallestBackend):
            """Lists one pending input of the turn."""

            def list_pending_turn_inputs(self, session_id: str) -> tuple[PendingTurnInput, ...]:
                """One input."""
                held = input_claim_of(session_id).inputs[0]
                return (replace(held, ingress=active_input("x").ingress),)

        with pytest.raises(BackendError, match="not supported"):
            Inputs().defer_orphaned_turn_inputs(SESSION, fence_of(SESSION), TURN)
        assert Inputs().defer_orphaned_turn_inputs(SESSION, fence_of(SESSION), "another turn") == 0
