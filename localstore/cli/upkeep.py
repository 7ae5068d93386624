"""`vacuum` and `gc`: what nothing needs any more is removed from sessions, and they say how much that was."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .amounts import counted, milliseconds
from .completing import session_ids
from .exits import ExitCode
from .invocation import CommandFailure, Invocation
from .output import AsJson
from .progress import steps
from .selecting import keeper_of, select
from .unreadable import complain_of, unreadable_fields

if TYPE_CHECKING:
    from ..contract.sessions import UnreadableSession
    from ..session import SessionStore
    from ..store import Store

commands = typer.Typer()

SessionsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SESSION",
        show_default=False,
        help="Ids, names, or the beginnings of either.",
        autocompletion=session_ids,
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="Every session of the store.")]


@commands.command("vacuum", rich_help_panel=output.WORK)
def vacuum(
    context: typer.Context, sessions: SessionsArgument = None, everything: AllOption = False, as_json: AsJson = False
) -> None:
    """Remove for good what is hidden or settled.

    Nodes that were tombstoned, and input that was completed or cancelled. Says how much each session has shrunk.

    \b
    Example:
      localstore vacuum 7c1e
      localstore vacuum --all --json | jq .freed_bytes
    """

    def clean(session: SessionStore) -> dict[str, Any]:
        report = session.vacuum()
        return {
            "removed_node_count": report.removed_node_count,
            "removed_pending_turn_input_tombstone_count": report.removed_pending_turn_input_tombstone_count,
        }

    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        rows, damaged = _each(store, sessions, clean, everything=everything)
    freed = sum(row["freed_bytes"] for row in rows)
    if as_json:
        fields = {"sessions": rows, "freed_bytes": freed, "unreadable": list(map(unreadable_fields, damaged))}
        output.json_object("vacuum_report", fields)
    else:
        for row in rows:
            counts = counted(row["removed_node_count"], "node")
            inputs = counted(row["removed_pending_turn_input_tombstone_count"], "input")
            output.line(output.clean(f"{row['session_id']}: {counts} and {inputs} removed, {_freed(row)}"))
        output.line(f"{counted(len(rows), 'session')}, {output.size(freed)} freed")
    complain_of(damaged)


@commands.command("gc", rich_help_panel=output.WORK)
def collect(
    context: typer.Context,
    sessions: SessionsArgument = None,
    everything: AllOption = False,
    attachments: Annotated[
        str | None,
        typer.Option(
            "--attachments",
            metavar="AGE",
            show_default=False,
            help="Also attachments of the store that nothing names, put so long ago at least: 12h, 30d.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remove values that nothing refers to.

    Checkpoints of earlier turns, and what they held. Large ones are files that go at once; small ones go from the files
    that they share with the next vacuum. Says how much each session has shrunk.

    \b
    Example:
      localstore gc 7c1e
      localstore gc --all --attachments 30d --json | jq .deleted_attachment_ids
    """

    def clean(session: SessionStore) -> dict[str, Any]:
        report = session.gc_unreachable()
        return {
            "root_count": report.root_count,
            "retained_blob_count": report.retained_blob_count,
            "deleted_blob_count": report.deleted_blob_count,
        }

    age_ms = milliseconds(attachments)
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        rows: list[dict[str, Any]] = []
        damaged: list[UnreadableSession] = []
        if sessions or everything or age_ms is None:
            rows, damaged = _each(store, sessions, clean, everything=everything)
        if age_ms is not None and not everything:
            damaged = list(store.survey_sessions().unreadable)
        swept, unswept = ((), None) if age_ms is None else _sweep(store, age_ms)
    if unswept is not None and not damaged:
        damaged = [unswept]
    freed = sum(row["freed_bytes"] for row in rows)
    if as_json:
        fields = {"sessions": rows, "freed_bytes": freed, "deleted_attachment_ids": list(swept)}
        output.json_object("gc_report", {**fields, "unreadable": list(map(unreadable_fields, damaged))})
    else:
        for row in rows:
            counts = f"{counted(row['deleted_blob_count'], 'value')} removed, {row['retained_blob_count']} kept"
            output.line(output.clean(f"{row['session_id']}: {counts}, {_freed(row)}"))
        if rows:
            output.line(f"{counted(len(rows), 'session')}, {output.size(freed)} freed")
        if age_ms is not None:
            output.line(f"{counted(len(swept), 'attachment')} removed")
    if unswept is not None:
        output.complain(output.clean(f"no attachment was removed, since a session may need it: {unswept.reason}"))
    complain_of(damaged)


def _sweep(store: Store, age_ms: int) -> tuple[tuple[str, ...], UnreadableSession | None]:
    """The attachments that were removed; none where what a damaged session names cannot be told."""
    from ..contract.errors import CorruptRecord
    from ..contract.sessions import UnreadableSession

    before_ms = max(0, store._sessions.surroundings.clock.now_ms() - age_ms)
    try:
        return store.sweep_attachments(before_ms).deleted_attachment_ids, None
    except CorruptRecord as damage:
        return (), UnreadableSession(None, damage.path, str(damage))


def _each(
    store: Store, given: list[str] | None, clean: Callable[[SessionStore], dict[str, Any]], *, everything: bool
) -> tuple[list[dict[str, Any]], list[UnreadableSession]]:
    """What `clean` says of each session, and how much it has shrunk; of all, those that cannot be read apart."""
    from ..contract.errors import CorruptRecord
    from ..contract.sessions import UnreadableSession

    if bool(given) == everything:
        raise CommandFailure("give the SESSION, or --all for every one", ExitCode.USAGE)
    if not everything:
        return [_one(store, select(store, each), clean) for each in given or ()], []
    survey = store.survey_sessions()
    rows, damaged = [], list(survey.unreadable)
    with steps(survey.sessions, "sessions") as each_row:
        for session_id in (row.session_id for row in each_row):
            try:
                handle = store.open_session(session_id)
                if handle is not None:
                    rows.append(_one(store, handle, clean))
            except CorruptRecord as damage:
                damaged.append(UnreadableSession(session_id, damage.path, str(damage)))
    return rows, damaged


def _one(store: Store, handle: SessionStore, clean: Callable[[SessionStore], dict[str, Any]]) -> dict[str, Any]:
    session_id = handle.session_id
    # At rest, as it is left too: space made ahead in a journal is none of the session.
    handle.checkpoint()
    before = keeper_of(store, session_id).summary().size_bytes
    told = clean(handle)
    after = keeper_of(store, session_id).summary().size_bytes
    return {"session_id": session_id, **told, "size_bytes": after, "freed_bytes": max(0, before - after)}


def _freed(row: dict[str, Any]) -> str:
    return f"{output.size(row['freed_bytes'])} freed, {output.size(row['size_bytes'])} left"
