"""The random calls about input, work and attachments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from localstore import (
    AttachmentCreateMeta,
    CancelByInputId,
    CancelBySourceKey,
    CheckpointKind,
    QueuedWorkClaim,
    QueuedWorkClaimBoundary,
    SessionExecutionLease,
    TurnInputClaim,
)
from localstore.testing import intent
from tests.model import model_commands as made
from tests.model.model_commands import BLOB_IDS, BLOBS, DAY, HOUR, TURNS, owners
from tests.model.model_pair import Act, Pair, Side

session_ids, doors, picks, ttls = made.sessions, made.doors, made.picks, made.ttls
boundaries = st.sampled_from(QueuedWorkClaimBoundary)
checkpoints = st.sampled_from(CheckpointKind)
counts = st.integers(0, 3)
Call = Callable[[], object]


def chosen(known: list[Any], pick: int, default: Any) -> Any:
    """One of what earlier calls gave, the latest first."""
    return known[-1 - pick % len(known)] if known else default


class Queues(RuleBasedStateMachine):
    """What waits, who takes it, and the bytes that are named."""

    pair: Pair
    leases: list[SessionExecutionLease]
    claims: list[QueuedWorkClaim | TurnInputClaim]
    input_ids: list[str]
    batch_ids: list[str]

    def do(self, act: Act) -> Any:
        """Make the call on both stores."""
        raise NotImplementedError

    # Input.

    @rule(door=doors, session_id=session_ids, pick=picks, draft=made.inputs())
    def enqueue_input(self, door, session_id, pick, draft) -> None:
        self.do(lambda side: side.session(door, session_id, pick).enqueue_pending_turn_input(draft))

    @rule(door=doors, session_id=session_ids, pick=picks, which=picks, key=st.sampled_from(made.KEYS), what=counts)
    def cancel_input(self, door, session_id, pick, which, key, what) -> None:
        input_id = chosen(self.input_ids, which, "unknown")
        anchor = CancelByInputId(input_id) if key is None else CancelBySourceKey(key)

        def act(side: Side) -> object:
            session = side.session(door, session_id, pick)
            if what == 0:
                return session.cancel_pending_turn_input(session_id, input_id)
            if what == 1:
                return session.cancel_pending_turn_input_suffix(session_id, anchor)
            return session.cancel_pending_turn_inputs(session_id, (anchor, CancelByInputId(input_id)))

        self.do(act)

    @rule(
        door=doors,
        session_id=session_ids,
        pick=picks,
        turn=st.sampled_from((None, *TURNS)),
        checkpoint=checkpoints,
        who=st.none() | counts,
        fence=st.integers(0, 7),
        ttl_ms=ttls,
        most=counts,
    )
    def claim_inputs(self, door, session_id, pick, turn, checkpoint, who, fence, ttl_ms, most) -> None:
        def act(side: Side) -> object:
            session = side.session(door, session_id, pick)
            lease = made.lease_for(session, max(fence, 1), self.leases)
            assert lease is not None
            if turn is None:
                return session.claim_next_turn_inputs(session_id, lease.fence(), lease.owner, ttl_ms, most)
            taker = lease.owner if who is None else owners(who)
            return session.claim_active_turn_inputs(session_id, lease.fence(), taker, turn, checkpoint, ttl_ms, most)

        self.do(act)

    @rule(door=doors, session_id=session_ids, pick=picks, turn=st.sampled_from(TURNS), fence=st.integers(1, 7))
    def defer_inputs(self, door, session_id, pick, turn, fence) -> None:
        def act(side: Side) -> object:
            session = side.session(door, session_id, pick)
            lease = made.lease_for(session, fence, self.leases)
            assert lease is not None
            return session.defer_orphaned_turn_inputs(session_id, lease.fence(), turn)

        self.do(act)

    @rule(door=doors, session_id=session_ids, pick=picks, which=picks, ttl_ms=ttls, renew=st.booleans())
    def keep_claim(self, door, session_id, pick, which, ttl_ms, renew) -> None:
        claim = chosen(self.claims, which, None)
        if claim is None:
            return

        def act(side: Side) -> object:
            session = side.session(door, session_id, pick)
            calls: list[Call] = [
                lambda: session.abandon_turn_input_claim(claim),
                lambda: session.abandon_queued_work_claim(claim),
                lambda: session.renew_queued_work_claim(claim, ttl_ms),
            ]
            return calls[0 if isinstance(claim, TurnInputClaim) else 1 + renew]()

        self.do(act)

    # Work.

    @rule(door=doors, session_id=session_ids, pick=picks, which=st.data())
    def enqueue_work(self, door, session_id, pick, which, target=None) -> None:
        draft = which.draw(made.works(self.pair.clock.now_ms()))
        draft = draft if target is None else replace(draft, session_id=target)
        self.do(lambda side: side.session(door, session_id, pick).enqueue_queued_work(draft))

    @rule(door=doors, session_id=session_ids, pick=picks, which=picks)
    def cancel_work(self, door, session_id, pick, which) -> None:
        batch_id = chosen(self.batch_ids, which, "unknown")
        self.do(lambda side: side.session(door, session_id, pick).cancel_queued_work_batch(session_id, batch_id))

    @rule(
        door=doors,
        session_id=session_ids,
        pick=picks,
        how=counts,
        boundary=boundaries,
        fence=st.integers(0, 7),
        ttl_ms=ttls,
        most=counts,
    )
    def claim_work(self, door, session_id, pick, how, boundary, fence, ttl_ms, most) -> None:
        ids = self.batch_ids[-most:] if most else []

        def act(side: Side) -> object:
            session = side.session(door, session_id, pick)
            lease = made.lease_for(session, max(fence, 1), self.leases)
            assert lease is not None
            proof, who = lease.fence(), lease.owner
            if how == 0:
                return session.claim_leading_ready_session_command(session_id, proof, who, ttl_ms)
            if how == 1:
                return session.claim_ready_queued_work_by_batch_ids(session_id, proof, who, boundary, ttl_ms, ids)
            return session.claim_ready_queued_work(session_id, proof, who, boundary, ttl_ms, most)

        self.do(act)

    # Attachments.

    @rule(door=doors, number=st.integers(0, len(BLOBS) - 1), label=st.sampled_from((None, "a", "b")))
    def put(self, door, number, label) -> None:
        meta = AttachmentCreateMeta("image/png", 1, 2, label)
        self.do(lambda side: side.stores[door].attachments.put(BLOBS[number], meta))

    @rule(door=doors, blob=st.sampled_from(BLOB_IDS))
    def get(self, door, blob) -> None:
        self.do(lambda side: side.stores[door].attachments.get(blob))

    @rule(door=doors, session_id=session_ids, pick=picks, blob=st.sampled_from(BLOB_IDS), what=counts)
    def manifest(self, door, session_id, pick, blob, what) -> None:
        row = intent(blob, session_id=session_id, at_ms=self.pair.clock.now_ms())

        def act(side: Side) -> object:
            session = side.session(door, session_id, pick)
            calls: list[Call] = [
                lambda: session.record_intent(row),
                lambda: session.commit_refs(session_id, (blob,)),
                lambda: session.forget(blob),
            ]
            return calls[max(0, what - 1)]()

        self.do(act)

    @rule(door=doors, ago_ms=st.sampled_from((0, 1_000, HOUR, DAY)))
    def sweep(self, door, ago_ms) -> None:
        until = self.pair.clock.now_ms() - ago_ms
        self.do(lambda side: side.stores[door].sweep_attachments(until))
