"""`queue`: what waits in a session, and what is being worked on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from . import output
from .invocation import Invocation
from .output import AsJson
from .selecting import SessionArgument, look, select

if TYPE_CHECKING:
    from ..contract.inputs import PendingTurnInput, TurnInputIngress
    from ..contract.work import MergeKey, QueuedWorkBatch, QueuedWorkPayload
    from ..machine.facts import Archive
    from ..machine.moment import Moment
    from ..machine.state import HeldClaim, SessionState

commands = typer.Typer()

_TEXT = 100


class Queued(NamedTuple):
    """Both queues of a session in order. Each entry has its live claim, or `None` while it waits."""

    inputs: tuple[tuple[PendingTurnInput, HeldClaim | None], ...]
    work: tuple[tuple[QueuedWorkBatch, HeldClaim | None], ...]
    now_ms: int


@commands.command("queue", rich_help_panel=output.LOOK)
def show_queue(context: typer.Context, session: SessionArgument, as_json: AsJson = False) -> None:
    """Show what waits in a session.

    Pending user input and queued work, each in its order and with whoever took it.

    \b
    Example:
      localstore queue 7c1e
      localstore queue 7c1e --json | jq '.inputs[] | select(.claim == null) | .text'
    """
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        session_id = select(store, session).session_id
        queued = look(store, session_id, queues)
    if as_json:
        fields = {
            "session_id": session_id,
            "inputs": [input_fields(*entry) for entry in queued.inputs],
            "work": [work_fields(*entry) for entry in queued.work],
        }
        output.json_object("queue", fields)
        return
    print_queue(queued)


def queues(state: SessionState, archive: Archive, moment: Moment) -> Queued:
    """View of both queues, with the claims that are live."""
    from ..machine.turn_inputs import current_record

    for damage in (state.damaged_inputs, state.damaged_work):
        if damage is not None:
            raise damage

    def live(claim: HeldClaim | None) -> HeldClaim | None:
        return claim if claim is not None and claim.holds(moment) else None

    return Queued(
        tuple((current_record(entry, moment), live(entry.claim)) for entry in state.inputs.values()),
        tuple((entry.batch, live(entry.claim)) for entry in state.work.values()),
        moment.now_ms,
    )


def print_queue(queued: Queued) -> None:
    """Both queues for people."""
    if not queued.inputs and not queued.work:
        output.line("nothing waits: no input, no work")
        return
    if queued.inputs:
        _print_inputs(queued)
    if queued.inputs and queued.work:
        output.line()
    if queued.work:
        _print_work(queued)


def _print_inputs(queued: Queued) -> None:
    from .describing import ingress_text, input_text

    rows = [
        (
            str(record.enqueue_seq),
            output.short_id(record.input_id),
            _state(claim, "pending"),
            ingress_text(record.ingress),
            output.shortened(input_text(record.input), _TEXT),
        )
        for record, claim in queued.inputs
    ]
    output.table(("SEQ", "INPUT", "STATE", "FOR", "TEXT"), rows, numbers=("SEQ",), flexible=("TEXT",))


def _print_work(queued: Queued) -> None:
    from .describing import payload_text

    rows = [
        (
            str(batch.enqueue_seq),
            output.short_id(batch.batch_id),
            _state(claim, _readiness(batch, queued.now_ms)),
            batch.work_class().value,
            output.shortened("; ".join(payload_text(item.payload) for item in batch.items), _TEXT),
        )
        for batch, claim in queued.work
    ]
    output.table(("SEQ", "BATCH", "STATE", "CLASS", "WORK"), rows, numbers=("SEQ",), flexible=("WORK",))


def _readiness(batch: QueuedWorkBatch, now_ms: int) -> str:
    return "queued" if batch.available_at_ms <= now_ms else f"from {output.when(batch.available_at_ms)}"


def _state(claim: HeldClaim | None, waiting: str) -> str:
    from .describing import owner_text

    return waiting if claim is None else f"taken by {owner_text(claim.owner)}"


def _claim_fields(claim: HeldClaim | None) -> dict[str, Any] | None:
    from .describing import owner_fields

    if claim is None:
        return None
    return {
        "claim_id": claim.claim_id,
        "owner": owner_fields(claim.owner),
        "fencing_token": claim.fencing_token,
        "claimed_at_ms": claim.claimed_at_ms,
        "expires_at_ms": claim.deadline.expires_at_ms,
    }


def _ingress_fields(ingress: TurnInputIngress) -> dict[str, Any]:
    from ..contract.inputs import ActiveTurn

    if isinstance(ingress, ActiveTurn):
        return {"kind": "active_turn", "turn_id": ingress.turn_id, "min_boundary": ingress.min_boundary.value}
    return {"kind": "next_turn"}


def input_fields(record: PendingTurnInput, claim: HeldClaim | None) -> dict[str, Any]:
    from ..contract.inputs import ImageRef
    from .describing import input_text

    return {
        "input_id": record.input_id,
        "enqueue_seq": record.enqueue_seq,
        "source_key": record.source_key,
        "state": record.state.value,
        "ingress": _ingress_fields(record.ingress),
        "enqueued_at_ms": record.enqueued_at_ms,
        "text": input_text(record.input),
        "image_ids": [item.id for item in record.input.items if isinstance(item, ImageRef)],
        "claim": _claim_fields(claim),
    }


def _merge_fields(key: MergeKey) -> dict[str, Any]:
    from ..contract.work import MergeGroup, MergeNever

    if isinstance(key, MergeGroup):
        return {"kind": "group", "group": key.group}
    return {"kind": "never" if isinstance(key, MergeNever) else "payload_default"}


def _payload_fields(payload: QueuedWorkPayload) -> dict[str, Any]:
    from ..contract.work import ProcessWake

    if isinstance(payload, ProcessWake):
        return {"kind": "process_wake", "wake": payload.wake}
    return {"kind": "session_command", "command": payload.command}


def work_fields(batch: QueuedWorkBatch, claim: HeldClaim | None) -> dict[str, Any]:
    return {
        "batch_id": batch.batch_id,
        "enqueue_seq": batch.enqueue_seq,
        "source_key": batch.source_key,
        "class": batch.work_class().value,
        "delivery_policy": batch.delivery_policy.value,
        "slot_policy": batch.slot_policy.value,
        "merge_key": _merge_fields(batch.merge_key),
        "available_at_ms": batch.available_at_ms,
        "enqueued_at_ms": batch.enqueued_at_ms,
        "items": [{"item_id": item.item_id, **_payload_fields(item.payload)} for item in batch.items],
        "claim": _claim_fields(claim),
    }
