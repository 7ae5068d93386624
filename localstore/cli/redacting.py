"""`redact`: what should never have been said goes from every place that has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .amounts import counted
from .completing import session_ids
from .exits import ExitCode
from .invocation import Invocation
from .output import AsJson
from .progress import counting
from .selecting import select
from .unreadable import complain_of, unreadable_fields

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..contract.redaction import LeftPlace, RedactedPlace, RedactionReport, SessionRedaction

commands = typer.Typer()

_ID = 48


@commands.command("redact", rich_help_panel=output.WORK)
def redact(
    context: typer.Context,
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", show_default=False, help="What has to go.")],
    sessions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SESSION",
            show_default=False,
            help="Only in these sessions; by default in all.",
            autocompletion=session_ids,
        ),
    ] = None,
    regex: Annotated[
        bool, typer.Option("--regex", "-e", help="PATTERN is a regular expression, as Python has them.")
    ] = False,
    replacement: Annotated[
        str, typer.Option("--replacement", metavar="TEXT", help="What takes its place.")
    ] = "[redacted]",
    apply: Annotated[bool, typer.Option("--apply", help="Do it; otherwise it is only said.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replace a text wherever sessions have it.

    Only says where that is, unless --apply is given. In nodes, values, waiting and settled input and work, metadata and
    the trash; what is stored under its SHA-256 gets a new address. What cannot be replaced is named, and the exit code
    is 1: ids, the bytes of attachments, sessions in use or damaged. Backups and exports have what they had.

    \b
    Example:
      localstore redact sk-live-4711
      localstore redact --regex "sk-\\w{20,}" 7c1e --apply
      localstore redact sk-live-4711 --apply --json | jq '.sessions[].left'
    """
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        chosen = [select(store, given).session_id for given in sessions] if sessions else None
        with counting("redacting" if apply else "looking") as tell:
            report = store.redact(
                pattern, regex=regex, replacement=replacement, session_ids=chosen, apply=apply, tell=tell
            )
    if as_json:
        output.json_object("redaction_report", _report_fields(report))
    else:
        _print(report)
    _complain(report)
    if not report.is_complete:
        raise typer.Exit(ExitCode.FINDINGS)


def _print(report: RedactionReport) -> None:
    rows = [
        (_name(session), place.kind.value, output.shortened(place.id, _ID), str(place.count))
        for session in report.sessions
        for place in session.places
    ]
    rows += [("", place.kind.value, output.shortened(place.id, _ID), str(place.count)) for place in report.shared]
    if rows:
        output.table(("SESSION", "IN", "ID", "MATCHES"), rows, numbers=("MATCHES",), flexible=("SESSION", "ID"))
    places = sum(len(session.places) for session in report.sessions) + len(report.shared)
    matches = f"{report.count:,} {'match' if report.count == 1 else 'matches'}"
    told = f"{matches} in {counted(places, 'place')} of {counted(len(report.sessions), 'session')}"
    if report.applied:
        output.line(f"{told} replaced")
    else:
        output.line(f"{told}; nothing was changed" + (": give --apply to replace them" if places else ""))


def _name(session: SessionRedaction) -> str:
    return session.session_id if session.deleted_at_ms is None else f"{session.session_id} (in the trash)"


def _complain(report: RedactionReport) -> None:
    for session in report.sessions:
        for left in session.left:
            output.complain(output.clean(f"session {_name(session)}: {left.what} {left.id} stays: {left.reason}"))
    for left in report.left:
        output.complain(output.clean(f"{left.what} {left.id} stays: {left.reason}"))
    for spared in report.spared:
        output.complain(output.clean(f"session {spared.session_id} stays as it is: its lease is held"))
    complain_of(report.unreadable, what="looked at")


def _report_fields(report: RedactionReport) -> dict[str, Any]:
    return {
        "applied": report.applied,
        "count": report.count,
        "sessions": [
            {
                "session_id": session.session_id,
                "deleted_at_ms": session.deleted_at_ms,
                "places": _place_fields(session.places),
                "left": _left_fields(session.left),
            }
            for session in report.sessions
        ],
        "shared": _place_fields(report.shared),
        "left": _left_fields(report.left),
        "spared": [{"session_id": item.session_id, "reason": item.reason.value} for item in report.spared],
        "unreadable": [unreadable_fields(each) for each in report.unreadable],
    }


def _place_fields(places: Iterable[RedactedPlace]) -> list[dict[str, Any]]:
    return [
        {"kind": place.kind.value, "id": place.id, "count": place.count, "new_id": place.new_id} for place in places
    ]


def _left_fields(places: Iterable[LeftPlace]) -> list[dict[str, str]]:
    return [{"what": place.what, "id": place.id, "reason": place.reason} for place in places]
