"""`search`: a text or a pattern in all sessions."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .amounts import counted, milliseconds
from .completing import session_ids
from .exits import ExitCode
from .invocation import CommandFailure, Invocation
from .output import AsJson
from .progress import steps
from .selecting import select
from .unreadable import complain_of, unreadable_fields

if TYPE_CHECKING:
    from ..contract.search import SearchHit
    from ..contract.sessions import UnreadableSession

commands = typer.Typer()

_BEFORE = 12
"""Characters before a match that a line on a terminal has room for."""


@commands.command("search", rich_help_panel=output.LOOK)
def search(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", show_default=False, help="What to look for.")],
    regex: Annotated[
        bool, typer.Option("--regex", "-e", help="TEXT is a regular expression, as Python has them.")
    ] = False,
    case: Annotated[bool, typer.Option("--case", help="Tell upper case from lower.")] = False,
    role: Annotated[
        str | None, typer.Option("--role", metavar="ROLE", show_default=False, help="Only user, assistant, tool, ...")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", show_default=False, help="A date, a time, or so long ago: 12h, 30d."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", show_default=False, help="As --since; it counts, too.")
    ] = None,
    sessions: Annotated[
        list[str] | None,
        typer.Option(
            "--session",
            metavar="SESSION",
            show_default=False,
            help="Only this one; may be repeated.",
            autocompletion=session_ids,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, show_default=False, help="At most so many.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Search all sessions for a text.

    Each node that has it somewhere is shown once, by the first place. Sessions come newest first. One that is damaged
    is told of, the others are searched, and the exit code is 1.

    \b
    Example:
      localstore search "connection refused"
      localstore search --regex "retry in \\d+ s" --role tool --since 30d
      localstore search needle --json | jq -r '.hits[] | .session_id + " " + .node_id'
    """
    from ..contract.errors import CorruptRecord, SessionNotFound
    from ..contract.sessions import UnreadableSession

    invocation: Invocation = context.obj
    hits: list[SearchHit] = []
    unreadable: list[UnreadableSession] = []
    with invocation.open_existing() as store:
        now_ms = store._sessions.surroundings.clock.now_ms()
        since_ms, until_ms = moment(since, now_ms), moment(until, now_ms, end=True)
        if sessions:
            chosen = [select(store, given).session_id for given in sessions]
        else:
            survey = store.survey_sessions()
            chosen = [row.session_id for row in survey.sessions]
            unreadable = list(survey.unreadable)
        store.search(text, regex=regex, session_ids=())  # a malformed pattern is told whatever the store has
        with steps(chosen, "sessions") as each:
            for session_id in each:
                left = None if limit is None else limit - len(hits)
                try:
                    hits += store.search(
                        text,
                        regex=regex,
                        ignore_case=not case,
                        role=role,
                        since_ms=since_ms,
                        until_ms=until_ms,
                        session_ids=[session_id],
                        limit=left,
                    )
                except CorruptRecord as error:
                    unreadable.append(UnreadableSession(session_id, error.path, str(error)))
                except SessionNotFound:
                    continue  # it was deleted meanwhile
    if as_json:
        told = {"hits": list(map(_fields, hits)), "unreadable": list(map(unreadable_fields, unreadable))}
        output.json_object("search_result", told)
    else:
        _print(hits)
    complain_of(unreadable)


def moment(text: str | None, now_ms: int, *, end: bool = False) -> int | None:
    """Epoch milliseconds of a date, a time, or a time ago; a date alone is its beginning or its `end`, in UTC."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            return max(0, now_ms - (milliseconds(text) or 0))
        except CommandFailure:
            raise CommandFailure(
                f"{text!r} is not a time such as 2026-01-31, 2026-01-31T12:00:00Z, 12h or 30d", ExitCode.USAGE
            ) from None
    day_ms = 86_400_000 - 1 if end and len(text.strip()) <= len("2026-01-31") else 0
    in_utc = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return max(0, int(in_utc.timestamp() * 1000) + day_ms)


def _print(hits: list[SearchHit]) -> None:
    if not hits:
        output.line("nothing found")
        return
    if sys.stdout.isatty():
        _draw(hits)
    else:
        output.table(
            ("SESSION", "NODE", "ROLE", "TIME", "TEXT"),
            [(hit.session_id, hit.node_id, hit.role or "", _time(hit), hit.snippet) for hit in hits],
        )
    found_in = len({hit.session_id for hit in hits})
    output.line(f"{counted(len(hits), 'node')} in {counted(found_in, 'session')}")


def _draw(hits: list[SearchHit]) -> None:
    """For a terminal: each session once, and below it its nodes in a line each, by the beginnings of their ids."""
    width = shutil.get_terminal_size().columns
    nodes = max(len(output.short_id(hit.node_id)) for hit in hits)
    session_id = None
    for hit in hits:
        if hit.session_id != session_id:
            session_id = hit.session_id
            output.line(output.shortened(session_id, width))
        node, role = output.short_id(hit.node_id), output.shortened(hit.role or "", 9)
        start = f"  {node:<{nodes}}  {role:<9}  {_time(hit)}  "
        before = max(0, hit.start - _BEFORE)
        shown = ("…" if before else "") + hit.snippet[before:]
        output.line(start + output.shortened(shown, max(20, width - len(start))))


def _time(hit: SearchHit) -> str:
    return hit.timestamp[:16].replace("T", " ")


def _fields(hit: SearchHit) -> dict[str, Any]:
    return {
        "session_id": hit.session_id,
        "node_id": hit.node_id,
        "role": hit.role,
        "timestamp": hit.timestamp,
        "snippet": hit.snippet,
        "start": hit.start,
        "end": hit.end,
    }
