"""`enqueue` and `cancel`: what is put into a session's queues, and taken out again."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .amounts import milliseconds
from .completing import batch_ids, input_ids
from .exits import ExitCode
from .invocation import CommandFailure, Invocation
from .output import AsJson
from .queues import input_fields, work_fields
from .selecting import SessionArgument, look, select

if TYPE_CHECKING:
    from ..contract.inputs import PendingTurnInput
    from ..contract.work import QueuedWorkBatch
    from ..machine.facts import Archive
    from ..machine.moment import Moment
    from ..machine.state import SessionState
    from ..session import SessionStore

commands = typer.Typer()


@commands.command("enqueue", rich_help_panel=output.WORK)
def enqueue(
    context: typer.Context,
    session: SessionArgument,
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", show_default=False, help="User input; - reads it from the standard input."),
    ] = None,
    work: Annotated[
        str | None,
        typer.Option("--work", metavar="JSON", show_default=False, help="Work: an object that wakes the session."),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option("--command", metavar="JSON", show_default=False, help="A command to the session: an object."),
    ] = None,
    turn: Annotated[
        str | None,
        typer.Option("--turn", metavar="ID", show_default=False, help="Input for this running turn, not the next."),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="TIME", show_default=False, help="Hold work back for so long: 90s, 12h."),
    ] = None,
    source_key: Annotated[
        str | None,
        typer.Option(
            "--source-key", metavar="KEY", show_default=False, help="The same key again adds nothing, so retry freely."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put user input or work into a session's queue.

    Whatever works on the session takes it from there. Work is delivered after the turn that runs, alone in its turn.

    \b
    Example:
      localstore enqueue 7c1e "And now the tests, please."
      git diff | localstore enqueue 7c1e - --source-key review-12
      localstore enqueue 7c1e --work '{"timer": "daily"}' --after 12h --json | jq -r .work.batch_id
    """
    if sum(given is not None for given in (text, work, command)) != 1:
        raise CommandFailure("give TEXT, --work or --command: one of them", ExitCode.USAGE)
    if (turn is not None and text is None) or (after is not None and text is not None):
        raise CommandFailure("--turn is for TEXT, --after for --work and --command", ExitCode.USAGE)
    given = sys.stdin.read() if text == "-" else text
    payload = _payload(work, command)
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        handle = select(store, session)
        record = None if given is None else _enqueue_input(handle, given, turn, source_key)
        batch = None if payload is None else _enqueue_work(handle, payload, milliseconds(after), source_key)
    if as_json:
        fields = {
            "session_id": handle.session_id,
            "input": None if record is None else input_fields(record, None),
            "work": None if batch is None else work_fields(batch, None),
        }
        output.json_object("enqueued", fields)
    elif record is not None:
        output.line(output.clean(f"input {record.input_id} is number {record.enqueue_seq} of {handle.session_id}"))
    elif batch is not None:
        output.line(output.clean(f"work {batch.batch_id} is number {batch.enqueue_seq} of {handle.session_id}"))


def _payload(work: str | None, command: str | None) -> Any:
    from ..contract.work import ProcessWake, SessionCommand

    if work is None and command is None:
        return None
    import orjson

    option, text = ("--work", work) if work is not None else ("--command", command)
    try:
        value = orjson.loads(text or "")
    except orjson.JSONDecodeError as error:
        raise CommandFailure(f"{option} is not JSON: {error}", ExitCode.USAGE) from None
    if not isinstance(value, dict):
        raise CommandFailure(f"{option} must be a JSON object", ExitCode.USAGE)
    return ProcessWake(value) if work is not None else SessionCommand(value)


def _enqueue_input(handle: SessionStore, text: str, turn: str | None, source_key: str | None) -> PendingTurnInput:
    from ..contract.inputs import ActiveTurn, NextTurn, PendingTurnInputDraft, TurnInput

    ingress = NextTurn() if turn is None else ActiveTurn(turn)
    draft = PendingTurnInputDraft(handle.session_id, ingress, TurnInput.text(text), source_key=source_key)
    return handle.enqueue_pending_turn_input(draft)


def _enqueue_work(handle: SessionStore, payload: Any, after_ms: int | None, source_key: str | None) -> QueuedWorkBatch:
    from ..contract.work import DeliveryPolicy, QueuedWorkBatchDraft, SlotPolicy

    draft = QueuedWorkBatchDraft(
        handle.session_id,
        DeliveryPolicy.AFTER_CURRENT_TURN_COMMIT,
        SlotPolicy.EXCLUSIVE,
        (payload,),
        source_key,
        available_at_ms=0 if after_ms is None else handle.clock.now_ms() + after_ms,
    )
    return handle.enqueue_queued_work(draft)


@commands.command("cancel", rich_help_panel=output.WORK)
def cancel(
    context: typer.Context,
    session: SessionArgument,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            show_default=False,
            help="Ids of inputs, or the beginnings of them.",
            autocompletion=input_ids,
        ),
    ] = None,
    batches: Annotated[
        list[str] | None,
        typer.Option(
            "--batch",
            metavar="ID",
            show_default=False,
            help="A piece of queued work; may be repeated.",
            autocompletion=batch_ids,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take input or work out of a session's queue again.

    What somebody took already stays theirs. The exit code is 1 where something was not cancelled.

    \b
    Example:
      localstore cancel 7c1e 4f0a
      localstore cancel 7c1e --batch 91bc --json | jq -r '.work[].outcome'
    """
    if not inputs and not batches:
        raise CommandFailure("give the INPUT to cancel, or --batch", ExitCode.USAGE)
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        handle = select(store, session)
        input_ids, batch_ids = look(store, handle.session_id, _ids)
        input_rows = _cancel_inputs(handle, [_meant(each, input_ids, "inputs") for each in inputs or ()])
        work_rows = _cancel_work(
            handle, [_meant(each, batch_ids, "pieces of work") for each in batches or ()], batch_ids
        )
    if as_json:
        fields = {"session_id": handle.session_id, "inputs": input_rows, "work": work_rows}
        output.json_object("cancellation", fields)
    else:
        for kind, key, rows in (("input", "input_id", input_rows), ("work", "batch_id", work_rows)):
            for row in rows:
                output.line(output.clean(f"{kind} {row[key]}: {row['outcome'].replace('_', ' ')}"))
    if any(row["outcome"] != "cancelled" for row in input_rows + work_rows):
        raise typer.Exit(ExitCode.FINDINGS)


def _ids(state: SessionState, archive: Archive, moment: Moment) -> tuple[list[str], list[str]]:
    """View of what is in the queues, taken by somebody or not."""
    return list(state.inputs), list(state.work)


def _cancel_inputs(handle: SessionStore, ids: list[str]) -> list[dict[str, str]]:
    from ..contract.inputs import (
        CancelByInputId,
        InputAlreadyCancelled,
        InputAlreadyClaimed,
        InputAlreadyCompleted,
        InputCancelled,
    )

    words: dict[type, str] = {
        InputCancelled: "cancelled",
        InputAlreadyClaimed: "taken_already",
        InputAlreadyCompleted: "completed_already",
        InputAlreadyCancelled: "cancelled_already",
    }
    if not ids:
        return []
    results = handle.cancel_pending_turn_inputs(handle.session_id, [CancelByInputId(each) for each in ids])
    return [
        {"input_id": each, "outcome": words.get(type(result.outcome), "not_found")}
        for each, result in zip(ids, results, strict=True)
    ]


def _cancel_work(handle: SessionStore, ids: list[str], queued: list[str]) -> list[dict[str, str]]:
    rows = []
    for batch_id in ids:
        if handle.cancel_queued_work_batch(handle.session_id, batch_id) is not None:
            outcome = "cancelled"
        else:
            outcome = "taken_already" if batch_id in queued else "not_found"
        rows.append({"batch_id": batch_id, "outcome": outcome})
    return rows


def _meant(given: str, known: Iterable[str], what: str) -> str:
    """The id that `given` is, or that alone begins so; else `given`, which nothing has."""
    if not given:
        raise CommandFailure("an id has at least one character", ExitCode.USAGE)
    fitting = sorted(each for each in known if each.startswith(given))
    if given in fitting:
        return given
    if len(fitting) > 1:
        raise CommandFailure(f"{given!r} fits {len(fitting)} {what}; give more of the id", ExitCode.USAGE)
    return fitting[0] if fitting else given
