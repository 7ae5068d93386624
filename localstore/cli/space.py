"""`du`: how much space the store takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .completing import session_ids
from .invocation import Invocation
from .output import AsJson
from .progress import counting
from .selecting import select

if TYPE_CHECKING:
    from ..disk.space import SessionSpace, StoreSpace

commands = typer.Typer()

_SHOWN = ("nodes", "blobs", "queues", "journals")


@commands.command("du", rich_help_panel=output.LOOK)
def disk_usage(
    context: typer.Context,
    sessions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SESSION",
            show_default=False,
            help="Only these sessions; by default all.",
            autocompletion=session_ids,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how much space sessions take.

    By session and by what it is for, the largest first. What a fork shares with its parent is in the line of both, and
    once in the sums, which are those of du -b.

    \b
    Example:
      localstore du
      localstore du 7c1e
      localstore du --json | jq '.sessions[] | .session_id, .total_bytes'
    """
    from ..disk.space import measure

    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        wanted = None if not sessions else {select(store, given).session_id for given in sessions}
        with counting("sessions") as tell:
            space = measure(str(store.root), tell)
    if wanted is not None:
        space.sessions = [each for each in space.sessions if each.session_id in wanted and not each.is_trashed]
    if as_json:
        output.json_object("disk_usage", {"root": str(invocation.root), **_fields(space)})
    else:
        _print(space, sums=wanted is None)


def _print(space: StoreSpace, *, sums: bool) -> None:
    rows = []
    for each in space.sessions:
        shown = [each.kinds[kind] for kind in _SHOWN]
        name = each.session_id or each.folder
        rows.append(
            (
                f"{name} (in the trash)" if each.is_trashed else name,
                *map(output.size, (each.total_bytes, *shown, each.total_bytes - sum(shown), each.shared_bytes)),
            )
        )
    if rows:
        columns = ("SESSION", "SIZE", *(kind.upper() for kind in _SHOWN), "REST", "SHARED")
        output.table(columns, rows, numbers=columns[1:], flexible=("SESSION",))
        output.line()
    if sums:
        output.pairs(
            (
                ("sessions", output.size(space.session_bytes)),
                ("trash", output.size(space.trash_bytes)),
                ("attachments", output.size(space.attachment_bytes)),
                ("other", output.size(space.other_bytes)),
                ("total", output.size(space.total_bytes)),
            )
        )


def _fields(space: StoreSpace) -> dict[str, Any]:
    return {
        "total_bytes": space.total_bytes,
        "session_bytes": space.session_bytes,
        "trash_bytes": space.trash_bytes,
        "attachment_bytes": space.attachment_bytes,
        "other_bytes": space.other_bytes,
        "sessions": [_session_fields(each) for each in space.sessions],
    }


def _session_fields(session: SessionSpace) -> dict[str, Any]:
    return {
        "session_id": session.session_id,
        "folder": session.folder,
        "is_trashed": session.is_trashed,
        "total_bytes": session.total_bytes,
        "shared_bytes": session.shared_bytes,
        "kinds": session.kinds,
    }
