"""`rm`, `trash`, `restore`, `purge` and `prune`: deletion that can be taken back for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .amounts import byte_count, counted, milliseconds
from .completing import session_ids, trashed_ids
from .exits import ExitCode
from .invocation import CommandFailure, Invocation
from .output import AsJson
from .selecting import as_shown, select
from .sessions import summary_fields
from .unreadable import complain_of, unreadable_fields

if TYPE_CHECKING:
    from ..contract.trash import PruneReport, TrashedSession
    from ..store import Store

commands = typer.Typer()

_SHOWN = 5

TrashedArgument = Annotated[
    str,
    typer.Argument(
        metavar="SESSION",
        show_default=False,
        help="Its id, its name, or the beginning of either.",
        autocompletion=trashed_ids,
    ),
]
DeletedAtOption = Annotated[
    int | None,
    typer.Option(
        "--deleted-at",
        metavar="MS",
        min=0,
        show_default=False,
        help="Which of several with this id: its deleted_at_ms, as trash --json says; by default the last.",
    ),
]


@commands.command("rm", rich_help_panel=output.WORK)
def remove(
    context: typer.Context,
    sessions: Annotated[
        list[str],
        typer.Argument(
            metavar="SESSION",
            show_default=False,
            help="Ids, names, or the beginnings of either.",
            autocompletion=session_ids,
        ),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Also a session whose lease somebody holds who is not known to be dead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Move sessions to the trash.

    They are no sessions any more from then on. They can be restored for seven days at least, and go for good with some
    later deletion.

    \b
    Example:
      localstore rm 7c1e
      localstore rm 7c1e 90af --json | jq '.sessions[].session_id'
    """
    from .describing import is_dead, owner_text

    invocation: Invocation = context.obj
    gone: list[TrashedSession] = []
    with invocation.open_existing() as store:
        # All are looked up first: a wrong name deletes none of the others.
        handles = {handle.session_id: handle for handle in [select(store, given) for given in sessions]}
        for session_id, handle in handles.items():
            lease = handle.get_session_execution_lease(session_id)
            if lease is not None and not force and not is_dead(lease.owner):
                raise CommandFailure(
                    f"session {session_id!r} is held by {owner_text(lease.owner)}; wait for it, or give --force",
                    ExitCode.REFUSED,
                )
        for session_id in handles:
            store.delete_session(session_id)
            gone += [entry for entry in store.trash() if entry.session_id == session_id][:1]
    if as_json:
        output.json_object("removal", {"sessions": [trashed_fields(entry) for entry in gone]})
        return
    for entry in gone:
        text = (
            f"{entry.session_id} is in the trash: {counted(entry.node_count, 'node')}, {output.size(entry.size_bytes)}"
        )
        output.line(output.clean(text))


@commands.command("trash", rich_help_panel=output.LOOK)
def list_trash(context: typer.Context, as_json: AsJson = False) -> None:
    """List the deleted sessions that can be restored.

    \b
    Example:
      localstore trash
      localstore trash --json | jq '[.sessions[].size_bytes] | add'
    """
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        found = store.trash()
    if as_json:
        output.json_object("trash", {"sessions": [trashed_fields(entry) for entry in found]})
        return
    if not found:
        output.line("the trash is empty")
        return
    output.table(
        ("SESSION", "DELETED", "UPDATED", "NODES", "SIZE", "NAME"),
        [
            (
                entry.session_id,
                output.when(entry.deleted_at_ms),
                output.when(entry.updated_at_ms),
                str(entry.node_count),
                output.size(entry.size_bytes),
                entry.session_name if entry.session_name != entry.session_id else "",
            )
            for entry in found
        ],
        numbers=("NODES", "SIZE"),
        flexible=("SESSION", "NAME"),
    )


@commands.command("restore", rich_help_panel=output.WORK)
def restore(
    context: typer.Context,
    session: TrashedArgument,
    deleted_at: DeletedAtOption = None,
    as_json: AsJson = False,
) -> None:
    """Make a deleted session a session again.

    \b
    Example:
      localstore restore 7c1e
      localstore restore 7c1e --deleted-at 1767225600000 --json | jq .node_count
    """
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        entry = _select_trashed(store, session, deleted_at)
        store.restore_session(entry.session_id, deleted_at_ms=entry.deleted_at_ms)
    if as_json:
        output.json_object("restoration", trashed_fields(entry))
        return
    output.line(output.clean(f"{entry.session_id} is a session again: {counted(entry.node_count, 'node')}"))


@commands.command("purge", rich_help_panel=output.WORK)
def purge(
    context: typer.Context,
    session: Annotated[
        str | None,
        typer.Argument(
            metavar="SESSION",
            show_default=False,
            help="Its id, its name, or the beginning of either.",
            autocompletion=trashed_ids,
        ),
    ] = None,
    deleted_at: DeletedAtOption = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole trash, whatever its age.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove deleted sessions for good.

    Without a SESSION those that are past their seven days.

    \b
    Example:
      localstore purge
      localstore purge 7c1e
      localstore purge --all --json | jq .freed_bytes
    """
    if session is not None and everything:
        raise CommandFailure("give a SESSION or --all, not both", ExitCode.USAGE)
    if session is None and deleted_at is not None:
        raise CommandFailure("--deleted-at tells apart sessions of one id: give the SESSION, too", ExitCode.USAGE)
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        if session is None:
            gone = store.purge(everything=everything)
        else:
            entry = _select_trashed(store, session, deleted_at)
            gone = store.purge(entry.session_id, deleted_at_ms=entry.deleted_at_ms)
    freed = sum(entry.size_bytes for entry in gone)
    if as_json:
        fields = {"sessions": [trashed_fields(entry) for entry in gone], "freed_bytes": freed}
        output.json_object("purge", fields)
        return
    output.line(f"gone for good: {counted(len(gone), 'session')}, {output.size(freed)}")


@commands.command("prune", rich_help_panel=output.WORK)
def prune(
    context: typer.Context,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="AGE", show_default=False, help="Not used for so long: 12h, 30d, 2w."),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option("--max-size", metavar="SIZE", show_default=False, help="Keep so much at most: 500MB, 2GB."),
    ] = None,
    max_sessions: Annotated[
        int | None,
        typer.Option("--max-sessions", metavar="N", min=0, show_default=False, help="Keep so many at most."),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; otherwise it is only said.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also sessions that are in use.")] = False,
    as_json: AsJson = False,
) -> None:
    """Move the sessions that were not used for longest to the trash.

    Only says which, unless --apply is given. What is in use is spared: a held lease, waiting input or work. What of the
    trash is past its seven days goes for good.

    \b
    Example:
      localstore prune --older-than 90d
      localstore prune --max-size 2GB --apply --json | jq '.sessions[].session_id'
    """
    if older_than is None and max_size is None and max_sessions is None:
        raise CommandFailure("say what to keep: --older-than, --max-size or --max-sessions", ExitCode.USAGE)
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        report = store.prune(
            older_than_ms=milliseconds(older_than),
            max_bytes=byte_count(max_size),
            max_sessions=max_sessions,
            apply=apply,
            force=force,
        )
    if as_json:
        output.json_object("prune_report", _report_fields(report))
    else:
        _print_report(report)
    complain_of(report.unreadable)


def trashed_fields(entry: TrashedSession) -> dict[str, Any]:
    """A deleted session, as `--json` prints it."""
    return {
        "session_id": entry.session_id,
        "session_name": entry.session_name,
        "deleted_at_ms": entry.deleted_at_ms,
        "updated_at_ms": entry.updated_at_ms,
        "node_count": entry.node_count,
        "head_revision": entry.head_revision,
        "size_bytes": entry.size_bytes,
    }


def _select_trashed(store: Store, given: str, deleted_at_ms: int | None) -> TrashedSession:
    """The deleted session whose id is `given`, else whose name is, else the only id that begins so, deleted last."""
    found = [entry for entry in store.trash() if deleted_at_ms in (None, entry.deleted_at_ms)]
    exact = [entry for entry in found if entry.session_id == given]
    given = as_shown(given)
    fitting = (
        exact
        or [entry for entry in found if entry.session_name == given]
        or [entry for entry in found if given and entry.session_id.startswith(given)]
        or [entry for entry in found if given and entry.session_name.startswith(given)]
    )
    ids = list(dict.fromkeys(entry.session_id for entry in fitting))
    if len(ids) > 1:
        named = ", ".join(map(repr, ids[:_SHOWN]))
        more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
        raise CommandFailure(f"{given!r} fits {len(ids)} deleted sessions: {named}{more}; give more", ExitCode.USAGE)
    if not fitting:
        raise CommandFailure(f"no deleted session fits {given!r}; see: localstore trash", ExitCode.NOT_FOUND)
    return fitting[0]


def _report_fields(report: PruneReport) -> dict[str, Any]:
    return {
        "applied": report.applied,
        "sessions": [summary_fields(row) for row in report.sessions],
        "spared": [{"session_id": item.session_id, "reason": item.reason.value} for item in report.spared],
        "purged": [trashed_fields(entry) for entry in report.purged],
        "unreadable": [unreadable_fields(each) for each in report.unreadable],
        "session_bytes": report.session_bytes,
        "purged_bytes": report.purged_bytes,
    }


def _print_report(report: PruneReport) -> None:
    rows = [
        (row.session_id, output.when(row.updated_at_ms), output.size(row.size_bytes), "to the trash")
        for row in report.sessions
    ]
    rows += [(item.session_id, "", "", f"spared: {_REASONS[item.reason.value]}") for item in report.spared]
    rows += [
        (entry.session_id, output.when(entry.updated_at_ms), output.size(entry.size_bytes), "from the trash, for good")
        for entry in report.purged
    ]
    if rows:
        output.table(("SESSION", "UPDATED", "SIZE", ""), rows, numbers=("SIZE",), flexible=("SESSION",))
    counts = f"{counted(len(report.sessions), 'session')}, {output.size(report.session_bytes)}"
    gone = f"{len(report.purged)} of the trash, {output.size(report.purged_bytes)}"
    if report.applied:
        output.line(f"moved to the trash: {counts}; gone for good: {gone}")
    else:
        output.line(f"would be moved to the trash: {counts}; gone for good: {gone}; nothing was changed, see --apply")


_REASONS = {
    "lease": "somebody holds its lease",
    "input": "user input waits in it",
    "work": "queued work waits in it",
    "activity": "it was used meanwhile",
}
