"""`changes` and `tail`: what happened to a session, and what happens to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .invocation import Invocation
from .output import AsJson
from .selecting import SessionArgument, select

if TYPE_CHECKING:
    from ..contract.feed import Change
    from ..session import SessionStore

commands = typer.Typer()

_TEXT = 100
_LAST = 10

SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="CURSOR",
        show_default=False,
        help="Only what came after this cursor; by default all that is kept.",
    ),
]


@commands.command("changes", rich_help_panel=output.LOOK)
def list_changes(
    context: typer.Context,
    session: SessionArgument,
    since: SinceOption = None,
    as_json: AsJson = False,
) -> None:
    """List what happened to a session, oldest first.

    Every commit, move of the head, input, work and lease, once. At least the latest 4,096 calls are kept; where the
    cursor is older, the exit code is 4.

    \b
    Example:
      localstore changes 7c1e
      cursor=$(localstore changes 7c1e --json | jq -r .cursor)
      localstore changes 7c1e --since "$cursor" --json
    """
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        handle = select(store, session)
        batch = handle.changes(since)
    if as_json:
        fields = {
            "session_id": handle.session_id,
            "changes": [change_fields(change) for change in batch.changes],
            "cursor": batch.cursor,
        }
        output.json_object("changes", fields)
        return
    if not batch.changes:
        output.line("nothing happened")
        return
    output.table(
        ("SEQ", "WHEN", "CHANGE", "REVISION", "IDS"),
        [
            (
                str(change.seq),
                output.when(change.at_ms, seconds=True),
                change.kind.value,
                "" if change.revision is None else str(change.revision),
                output.shortened(", ".join(change.ids), _TEXT),
            )
            for change in batch.changes
        ],
        numbers=("SEQ", "REVISION"),
        flexible=("IDS",),
    )


@commands.command("tail", rich_help_panel=output.LOOK)
def tail(
    context: typer.Context,
    session: SessionArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what happens from now on, until interrupted.")
    ] = False,
    last: Annotated[int, typer.Option("--last", metavar="N", min=0, help="Begin with the last N changes.")] = _LAST,
    since: SinceOption = None,
    poll: Annotated[
        float,
        typer.Option(
            "--poll", metavar="SECONDS", min=0.01, max=3600, help="Look so often at least, where nothing wakes it."
        ),
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a change, a line each.")] = False,
) -> None:
    """Show the last changes of a session, and follow it.

    What a node says is shown with it. With --since all changes after the cursor are shown. It is woken by the file
    system where the extra watch is installed and works, and looks by itself where not.

    \b
    Example:
      localstore tail 7c1e
      localstore tail 7c1e -f
      localstore tail 7c1e -f --json | jq -c 'select(.kind == "committed") | .ids'
    """
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        handle = select(store, session)
        batch = handle.changes(since)
        show = _print_json if as_json else _print_lines
        shown = batch.changes if since is not None else batch.changes[len(batch.changes) - last :] if last else ()
        try:
            show(handle, shown)
            if follow:
                for more in handle.watch(batch.cursor, poll_s=poll):
                    show(handle, more.changes)
        except KeyboardInterrupt:
            return


def change_fields(change: Change) -> dict[str, Any]:
    """A change, as `--json` prints it."""
    return {
        "seq": change.seq,
        "at_ms": change.at_ms,
        "kind": change.kind.value,
        "ids": list(change.ids),
        "revision": change.revision,
        "cursor": change.cursor,
    }


def _print_json(handle: SessionStore, changes: Iterable[Change]) -> None:
    for change in changes:
        output.json_line("change", {"session_id": handle.session_id, **change_fields(change)})


def _print_lines(handle: SessionStore, changes: Iterable[Change]) -> None:
    for change in changes:
        told = "" if change.revision is None else f"  revision {change.revision}"
        ids = "" if _is_commit(change) else f"  {', '.join(change.ids)}" if change.ids else ""
        output.line(output.clean(f"{output.when(change.at_ms, seconds=True)}  {change.kind.value}{told}{ids}"))
        for text in _nodes_text(handle, change):
            output.line(f"    {text}")
    output.flush()


def _is_commit(change: Change) -> bool:
    from ..contract.feed import ChangeKind

    return change.kind is ChangeKind.COMMITTED


def _nodes_text(handle: SessionStore, change: Change) -> Iterator[str]:
    from .describing import said

    for node_id in change.ids if _is_commit(change) else ():
        node = handle.load_node(node_id)
        if node is None:
            yield f"{output.short_id(node_id)}  (removed since)"
        else:
            told = said(node)
            text = output.shortened(told.text, _TEXT)
            yield output.clean(f"{output.short_id(node_id)}  {told.role}: {text}")
