"""Pending turn input: enqueue, claim, abandon, defer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from ..contract.errors import (
    CorruptRecord,
    InvalidArgument,
    PendingTurnInputSourceKeyConflict,
    TurnInputClaimExpired,
)
from ..contract.inputs import (
    ActiveTurn,
    ActiveTurnClaim,
    CheckpointKind,
    NextTurn,
    NextTurnClaim,
    PendingTurnInput,
    PendingTurnInputDraft,
    TurnInputClaim,
    TurnInputClaimMode,
    TurnInputCompletion,
    TurnInputState,
)
from ..contract.leases import LeaseOwnerIdentity, SessionExecutionLeaseFence
from ..contract.values import altered
from .decision import Decide, Decision, View
from .events import InputEnqueued, InputsClaimed, InputsDeferred, InputsReleased, Value
from .facts import Archive, CommitFact, InputFact, StoredInput, ValueFact
from .leases import require_lease
from .moment import Moment
from .state import HeldClaim, LiveInput, SessionState


def current_record(live: LiveInput, moment: Moment) -> PendingTurnInput:
    """The record in its state of now: pending input for a turn is `ACCEPTED` while a live claim holds it."""
    record = live.stored.record
    taken = live.claim is not None and live.claim.holds(moment)
    if taken and record.state is TurnInputState.PENDING_ACTIVE:
        return altered(record, state=TurnInputState.ACCEPTED)
    return record


def hydrated(record: PendingTurnInput, stored: StoredInput, archive: Archive) -> PendingTurnInput:
    """`record` with the bytes of its images."""
    if not stored.images:
        return record
    blobs = {}
    for image_id, ref in stored.images:
        fact = archive.find(f"v:{ref}")
        if not isinstance(fact, ValueFact) or fact.content is None:
            raise CorruptRecord(f"input {record.input_id}", f"the blob {ref} of image {image_id!r} is missing")
        blobs[image_id] = fact.content
    return replace(record, input=replace(record.input, image_blobs=blobs))


def find_stored(state: SessionState, archive: Archive, input_id: str) -> StoredInput | None:
    """The input of that id, live or settled."""
    live = state.inputs.get(input_id)
    if live is not None:
        return live.stored
    fact = archive.find(f"i:{input_id}")
    return fact.stored if isinstance(fact, InputFact) and state.owns(fact.seq) else None


def find_by_source(state: SessionState, archive: Archive, source_key: str) -> StoredInput | None:
    """The input of that source key, live or settled."""
    input_id = state.input_by_source.get(source_key)
    if input_id is not None:
        return state.inputs[input_id].stored
    fact = archive.find(f"s:{source_key}")
    return fact.stored if isinstance(fact, InputFact) and state.owns(fact.seq) else None


def settled(state: SessionState, archive: Archive) -> Iterable[StoredInput]:
    """The session's completed and cancelled inputs, as far as no vacuum removed them."""
    return (fact.stored for fact in archive.facts(InputFact) if isinstance(fact, InputFact) and state.owns(fact.seq))


def is_stamped(state: SessionState, archive: Archive, turn_id: str) -> bool:
    """Whether the turn was committed in this session."""
    fact = archive.find(f"t:{turn_id}")
    return isinstance(fact, CommitFact) and state.owns(fact.seq)


def enqueue(draft: PendingTurnInputDraft) -> Decide[PendingTurnInput]:
    """Append the input, or answer with the stored one that it repeats."""
    blobs = draft.input.image_blobs
    images = tuple((key, hashlib.sha256(data).hexdigest()) for key, data in sorted(blobs.items()))
    bare = replace(draft.input, image_blobs={}) if blobs else draft.input

    def repeats(stored: StoredInput) -> bool:
        return stored.submitted == draft.ingress and stored.record.input == bare and stored.images == images

    def known(state: SessionState, archive: Archive) -> StoredInput | None:
        if draft.source_key is not None:
            stored = find_by_source(state, archive, draft.source_key)
            if stored is not None:
                if repeats(stored):
                    return stored
                existing = stored.record.input_id
                raise PendingTurnInputSourceKeyConflict(state.session_id, draft.source_key, existing)
        stored = None if draft.input_id is None else find_stored(state, archive, draft.input_id)
        if stored is None:
            return None
        if draft.source_key in (None, stored.record.source_key) and repeats(stored):
            return stored
        raise InvalidArgument(f"input id {draft.input_id!r} is taken by another input of this session")

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[PendingTurnInput]:
        stored = known(state, archive)
        if stored is not None:
            live = state.inputs.get(stored.record.input_id)
            record = stored.record if live is None else current_record(live, moment)
            return Decision((), hydrated(record, stored, archive))
        ingress = draft.ingress
        if isinstance(ingress, ActiveTurn) and is_stamped(state, archive, ingress.turn_id):
            ingress = NextTurn()
        record = PendingTurnInput(
            draft.input_id or moment.new_id(),
            state.session_id,
            state.next_input_seq,
            ingress,
            TurnInputState.DEFERRED_NEXT_TURN if isinstance(ingress, NextTurn) else TurnInputState.PENDING_ACTIVE,
            moment.now_ms,
            bare,
            draft.source_key,
        )
        fresh = {ref: Value(ref, blobs[key]) for key, ref in images if not archive.has_value(ref)}
        event = InputEnqueued(StoredInput(record, draft.ingress, images), tuple(fresh.values()))
        return Decision((event,), hydrated_with(record, draft))

    return decide


def hydrated_with(record: PendingTurnInput, draft: PendingTurnInputDraft) -> PendingTurnInput:
    """`record` as the caller gets it, with the images that the draft brought."""
    return record if record.input is draft.input else replace(record, input=draft.input)


def list_pending() -> View[tuple[PendingTurnInput, ...]]:
    """Pending and deferred inputs in order, without those under a live claim."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> tuple[PendingTurnInput, ...]:
        if state.damaged_inputs is not None:
            raise state.damaged_inputs
        return tuple(
            hydrated(live.stored.record, live.stored, archive)
            for live in state.inputs.values()
            if live.claim is None or not live.claim.holds(moment)
        )

    return view


def _claim(
    session_id: str,
    state: SessionState,
    archive: Archive,
    moment: Moment,
    owner: LeaseOwnerIdentity,
    ttl_ms: int,
    mode: TurnInputClaimMode,
    taken: list[LiveInput],
) -> Decision[TurnInputClaim | None]:
    deadline = moment.deadline(ttl_ms)
    held = HeldClaim(
        moment.new_id(),
        owner,
        moment.new_id(),
        state.next_claim_fencing(moment.boot_id),
        moment.now_ms,
        deadline,
    )
    inputs = []
    for live in taken:
        record = live.stored.record
        if isinstance(mode, ActiveTurnClaim):
            record = altered(record, state=TurnInputState.ACCEPTED)
        inputs.append(hydrated(record, live.stored, archive))
    claim = TurnInputClaim(
        session_id,
        held.claim_id,
        owner,
        held.lease_token,
        held.fencing_token,
        held.claimed_at_ms,
        deadline.expires_at_ms,
        mode,
        tuple(inputs),
    )
    ids = tuple(item.input_id for item in inputs)
    return Decision((InputsClaimed(held, ids, moment.boot_id),), claim)


def _claimable(state: SessionState, moment: Moment, owner: LeaseOwnerIdentity) -> Iterable[LiveInput]:
    return (live for live in state.inputs.values() if live.claim is None or not live.claim.holds(moment, owner))


def claim_active(
    fence: SessionExecutionLeaseFence,
    owner: LeaseOwnerIdentity,
    turn_id: str,
    checkpoint: CheckpointKind,
    ttl_ms: int,
    max_inputs: int,
) -> Decide[TurnInputClaim | None]:
    """Take the turn's own pending inputs whose boundary admits the checkpoint."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[TurnInputClaim | None]:
        require_lease(state, moment, fence)
        taken: list[LiveInput] = []
        for live in _claimable(state, moment, owner):
            if len(taken) >= max_inputs:
                break
            ingress = live.stored.record.ingress
            is_own = isinstance(ingress, ActiveTurn) and ingress.turn_id == turn_id
            if is_own and ingress.min_boundary.admits(checkpoint):  # type: ignore[union-attr]
                taken.append(live)
        if not taken:
            return Decision((), None)
        mode = ActiveTurnClaim(turn_id, checkpoint)
        return _claim(state.session_id, state, archive, moment, owner, ttl_ms, mode, taken)

    return decide


def claim_next(
    fence: SessionExecutionLeaseFence, owner: LeaseOwnerIdentity, ttl_ms: int, max_inputs: int
) -> Decide[TurnInputClaim | None]:
    """Take deferred inputs to start the next turn with."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[TurnInputClaim | None]:
        require_lease(state, moment, fence)
        taken: list[LiveInput] = []
        for live in _claimable(state, moment, owner):
            if len(taken) >= max_inputs:
                break
            if isinstance(live.stored.record.ingress, NextTurn):
                taken.append(live)
        if not taken:
            return Decision((), None)
        return _claim(state.session_id, state, archive, moment, owner, ttl_ms, NextTurnClaim(), taken)

    return decide


def _owned(state: SessionState, claim_id: str, lease_token: str, input_id: str) -> bool:
    live = state.inputs.get(input_id)
    if live is None or live.claim is None:
        return False
    return live.claim.claim_id == claim_id and live.claim.lease_token == lease_token


def abandon(claim: TurnInputClaim) -> Decide[None]:
    """Give back what the claim still owns."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[None]:
        ids = tuple(
            item.input_id for item in claim.inputs if _owned(state, claim.claim_id, claim.lease_token, item.input_id)
        )
        return Decision((InputsReleased(ids),) if ids else (), None)

    return decide


def require_owned(state: SessionState, completion: TurnInputCompletion) -> None:
    """Raise `TurnInputClaimExpired` unless the claim still owns every input it names, expired or not."""
    if completion.session_id == state.session_id and all(
        _owned(state, completion.claim_id, completion.lease_token, input_id) for input_id in completion.input_ids
    ):
        return
    raise TurnInputClaimExpired(state.session_id, completion.claim_id)


def addressed_to(state: SessionState, turn_id: str, completed: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The ids of the live inputs that are addressed to `turn_id` and not in `completed`, in order."""
    return tuple(
        input_id
        for input_id, live in state.inputs.items()
        if input_id not in completed
        and isinstance(live.stored.record.ingress, ActiveTurn)
        and live.stored.record.ingress.turn_id == turn_id
    )


def defer_orphaned(fence: SessionExecutionLeaseFence, turn_id: str) -> Decide[int]:
    """Defer the input of a turn that stopped without any commit."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[int]:
        require_lease(state, moment, fence)
        ids = addressed_to(state, turn_id)
        return Decision((InputsDeferred(ids),) if ids else (), len(ids))

    return decide
