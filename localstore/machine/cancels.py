"""Cancelling pending turn input: one input, a list, or everything from an anchor on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..contract.inputs import (
    CancelByInputId,
    InputAlreadyCancelled,
    InputAlreadyClaimed,
    InputAlreadyCompleted,
    InputCancelled,
    InputNotFound,
    PendingTurnInputCancelOutcome,
    PendingTurnInputCancelResult,
    PendingTurnInputCancelTarget,
    PendingTurnInputClaimDiagnostics,
    PendingTurnInputSuffixCancelOutcome,
    SuffixAnchorNotFound,
    SuffixOutcomes,
    TurnInputState,
)
from .decision import Decide, Decision
from .events import Event, InputsSettled
from .facts import Archive, StoredInput
from .moment import Moment
from .state import SessionState
from .turn_inputs import current_record, find_by_source, find_stored, hydrated, settled


def _target(state: SessionState, archive: Archive, target: PendingTurnInputCancelTarget) -> StoredInput | None:
    if isinstance(target, CancelByInputId):
        return find_stored(state, archive, target.input_id)
    return find_by_source(state, archive, target.source_key)


def _outcome(
    state: SessionState, archive: Archive, moment: Moment, stored: StoredInput | None, cancelled: dict[str, None]
) -> PendingTurnInputCancelOutcome:
    """The outcome of cancelling `stored`; the id of an input that is cancelled by it is added to `cancelled`."""
    if stored is None:
        if state.damaged_inputs is not None:
            raise state.damaged_inputs  # it may be the one
        return InputNotFound()
    live = state.inputs.get(stored.record.input_id)
    record = hydrated(stored.record if live is None else current_record(live, moment), stored, archive)
    if live is None:
        completed = record.state is TurnInputState.COMPLETED
        return InputAlreadyCompleted(record) if completed else InputAlreadyCancelled(record)
    gone = replace(record, state=TurnInputState.CANCELLED)
    if record.input_id in cancelled:
        return InputAlreadyCancelled(gone)
    claim = live.claim
    if claim is not None and claim.holds(moment):
        diagnostics = PendingTurnInputClaimDiagnostics(
            record.state,
            claim.claim_id,
            claim.owner,
            claim.deadline.expires_at_ms,
            claim.fencing_token,
        )
        return InputAlreadyClaimed(record, diagnostics)
    cancelled[record.input_id] = None
    return InputCancelled(gone)


def _settled(cancelled: dict[str, None]) -> tuple[Event, ...]:
    return (InputsSettled(tuple(cancelled), TurnInputState.CANCELLED),) if cancelled else ()


def cancel(
    targets: Sequence[PendingTurnInputCancelTarget],
) -> Decide[tuple[PendingTurnInputCancelResult, ...]]:
    """Cancel each target in order; a repeated one sees the first one's effect."""

    def decide(
        state: SessionState, archive: Archive, moment: Moment
    ) -> Decision[tuple[PendingTurnInputCancelResult, ...]]:
        cancelled: dict[str, None] = {}
        results = tuple(
            PendingTurnInputCancelResult(
                target, _outcome(state, archive, moment, _target(state, archive, target), cancelled)
            )
            for target in targets
        )
        return Decision(_settled(cancelled), results)

    return decide


def cancel_suffix(
    anchor: PendingTurnInputCancelTarget,
) -> Decide[PendingTurnInputSuffixCancelOutcome]:
    """Cancel the anchor and everything enqueued after it."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[PendingTurnInputSuffixCancelOutcome]:
        if state.damaged_inputs is not None:
            raise state.damaged_inputs
        first = _target(state, archive, anchor)
        if first is None:
            return Decision((), SuffixAnchorNotFound(anchor))
        everything = [live.stored for live in state.inputs.values()]
        everything += settled(state, archive)
        suffix = sorted(
            (stored for stored in everything if stored.record.enqueue_seq >= first.record.enqueue_seq),
            key=lambda stored: stored.record.enqueue_seq,
        )
        cancelled: dict[str, None] = {}
        outcomes = tuple(_outcome(state, archive, moment, stored, cancelled) for stored in suffix)
        return Decision(_settled(cancelled), SuffixOutcomes(anchor, outcomes))

    return decide
