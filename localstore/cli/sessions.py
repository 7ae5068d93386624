"""`ls` and `show`: which sessions there are, and what is in one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .completing import node_ids, session_ids
from .exits import ExitCode
from .invocation import CommandFailure, Invocation
from .nodes import node_of
from .output import AsJson
from .selecting import SessionArgument, keeper_of, select
from .unreadable import complain_of, unreadable_fields

if TYPE_CHECKING:
    from ..contract.commits import PersistedSessionRead
    from ..contract.graph import SessionNodeRecord
    from ..contract.leases import SessionExecutionLease
    from ..contract.sessions import SessionHead, SessionMeta, SessionRelation, SessionSummary
    from ..store import Store

commands = typer.Typer()

_NODES_SHOWN = 30
_TITLE = 100
_NODE_TEXT = 160


@commands.command("ls", rich_help_panel=output.LOOK)
def list_sessions(
    context: typer.Context,
    cwd: Annotated[
        str | None,
        typer.Option("--cwd", metavar="DIR", show_default=False, help="Only those that work in DIR or below it."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="TEXT", show_default=False, help="Only those whose model's name has TEXT."),
    ] = None,
    parent: Annotated[
        str | None,
        typer.Option(
            "--parent",
            metavar="SESSION",
            show_default=False,
            help="Only children of SESSION.",
            autocompletion=session_ids,
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--text", metavar="TEXT", show_default=False, help="Only with TEXT in id, name or first user message."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", show_default=False, help="Only used since a date, a time, or so long ago: 30d."
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", show_default=False, help="Only not used after that; it counts, too."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, show_default=False, help="At most so many.")
    ] = None,
    offset: Annotated[int, typer.Option("--offset", metavar="N", min=0, help="Leave out the first N.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List the sessions.

    Newest activity first. No transcript is read for it, however many there are. One that cannot be read is named apart,
    and the exit code is 1.

    \b
    Example:
      localstore ls --cwd . --since 7d
      localstore ls --text login --limit 20 --offset 20
      localstore ls --json | jq -r '.sessions[] | .session_id'
    """
    from .searching import moment

    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        now_ms = store._sessions.surroundings.clock.now_ms()
        survey = store.survey_sessions(
            cwd=None if cwd is None else os.path.abspath(cwd),
            model=model,
            parent=None if parent is None else _parent_id(store, parent),
            text=text,
            since_ms=moment(since, now_ms),
            until_ms=moment(until, now_ms, end=True),
            limit=limit,
            offset=offset,
        )
    if as_json:
        rows = [summary_fields(row) for row in survey.sessions]
        damaged = [unreadable_fields(each) for each in survey.unreadable]
        told = {"root": str(invocation.root), "sessions": rows, "fitting_count": survey.fitting_count}
        output.json_object("session_list", {**told, "unreadable": damaged})
    elif survey.sessions:
        _print_list(survey.sessions)
        if len(survey.sessions) < survey.fitting_count:
            output.line(_place(offset, len(survey.sessions), survey.fitting_count))
    elif any(given is not None for given in (cwd, model, parent, text, since, until)) or offset:
        output.line("no session fits")
    elif not survey.unreadable:
        output.line(f"no sessions in {invocation.root}")
    complain_of(survey.unreadable)


def _parent_id(store: Store, given: str) -> str:
    """The id that is meant; a parent that was deleted is known by its children alone."""
    try:
        return select(store, given).session_id
    except CommandFailure as failure:
        if failure.code != ExitCode.NOT_FOUND:
            raise
        return given


def _place(offset: int, shown: int, count: int) -> str:
    after = offset + shown
    more = f"; for more: --offset {after}" if after < count else ""
    return f"{offset + 1:,} to {after:,} of {count:,} sessions{more}"


def _print_list(found: tuple[SessionSummary, ...]) -> None:
    output.table(
        ("SESSION", "UPDATED", "NODES", "USER", "SIZE", "NAME OR FIRST MESSAGE"),
        [
            (
                row.session_id,
                output.when(row.updated_at_ms),
                str(row.node_count),
                str(row.user_message_count),
                output.size(row.size_bytes),
                output.shortened(_title(row), _TITLE),
            )
            for row in found
        ],
        numbers=("NODES", "USER", "SIZE"),
        flexible=("SESSION", "NAME OR FIRST MESSAGE"),
    )


def _title(summary: SessionSummary) -> str:
    is_named = summary.session_name not in ("", summary.session_id)
    return summary.session_name if is_named else summary.first_user_message or ""


@commands.command("show", rich_help_panel=output.LOOK)
def show_session(
    context: typer.Context,
    session: SessionArgument,
    full: Annotated[bool, typer.Option("--full", help="All branches, instead of the path to the leaf.")] = False,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="NODE",
            show_default=False,
            help="The path to NODE instead, as a search found it.",
            autocompletion=node_ids,
        ),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(
            "--last",
            metavar="N",
            min=0,
            show_default=False,
            help=f"Only the last N nodes, 0 for none; by default {_NODES_SHOWN}, with --json all.",
        ),
    ] = None,
    text: Annotated[
        bool, typer.Option("--text", help="What was said whole, to be read, instead of a line a node.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show a session and what was said in it.

    What it is, who holds it, its token usage, and its nodes from the root to the leaf: a line each, or, with --text,
    every word of the messages, with calls of tools and their results folded to a line.

    \b
    Example:
      localstore show 7c1e --last 5
      localstore show 7c1e --text | less
      localstore show 7c1e --at n42 --last 3
      localstore show 7c1e --full --json | jq '.nodes[].payload'
    """
    from ..contract.graph import ActivePath, FullGraph

    if full and at is not None:
        raise CommandFailure("--full is all branches, --at a path: give one of them", ExitCode.USAGE)
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        handle = select(store, session)
        end = None if at is None else node_of(handle, at)
        read = handle.load_session(FullGraph() if full else ActivePath(end))
        head = handle.load_session_head()
        meta = handle.load_session_meta()
        lease = handle.get_session_execution_lease(handle.session_id)
        summary = keeper_of(store, handle.session_id).summary()
    nodes = () if read is None else read.graph.nodes
    shown = len(nodes) if last is None and as_json else _NODES_SHOWN if last is None else last
    kept = nodes[max(0, len(nodes) - shown) :]
    if as_json:
        output.json_object("session", _session_fields(summary, meta, lease, head, read, kept, full=full))
        return
    _print_session(summary, meta, lease, head, read)
    if kept:
        output.line()
        if len(kept) < len(nodes):
            output.line(f"{len(nodes) - len(kept)} nodes before; see --last and --full")
        (_print_texts if text else _print_nodes)(kept)
    elif summary.node_count and not nodes:
        output.line()
        output.line("no node leads to the head; for all of them: --full")


def summary_fields(summary: SessionSummary) -> dict[str, Any]:
    """A line of the session list, as `--json` prints it."""
    return {
        "session_id": summary.session_id,
        "session_name": summary.session_name,
        "cwd": summary.cwd,
        "model": summary.model,
        "relation": _relation_fields(summary.relation),
        "created_at_ms": summary.created_at_ms,
        "updated_at_ms": summary.updated_at_ms,
        "first_user_message": summary.first_user_message,
        "user_message_count": summary.user_message_count,
        "node_count": summary.node_count,
        "head_revision": summary.head_revision,
        "size_bytes": summary.size_bytes,
    }


def _relation_fields(relation: SessionRelation) -> dict[str, Any]:
    from ..contract.sessions import ChildSession

    if isinstance(relation, ChildSession):
        return {"kind": "child", "parent_session_id": relation.parent_session_id, "caused_by": relation.caused_by}
    return {"kind": "root"}


def _lease_fields(lease: SessionExecutionLease | None) -> dict[str, Any] | None:
    from .describing import owner_fields

    if lease is None:
        return None
    return {
        "owner": owner_fields(lease.owner),
        "fencing_token": lease.fencing_token,
        "claimed_at_epoch_ms": lease.claimed_at_epoch_ms,
        "expires_at_epoch_ms": lease.expires_at_epoch_ms,
    }


def _session_fields(
    summary: SessionSummary,
    meta: SessionMeta | None,
    lease: SessionExecutionLease | None,
    head: SessionHead | None,
    read: PersistedSessionRead | None,
    nodes: tuple[SessionNodeRecord, ...],
    *,
    full: bool,
) -> dict[str, Any]:
    from .describing import usage_counts

    ledger = () if read is None else read.token_ledger
    return {
        "summary": summary_fields(summary),
        "created_at": None if meta is None else meta.created_at or None,
        "lease": _lease_fields(lease),
        "leaf_node_id": None if head is None else head.leaf_node_id,
        "checkpoint_ref": None if read is None else read.checkpoint_ref,
        "current_agent_frame_id": None if read is None else read.current_agent_frame_id,
        "token_ledger": [{"source": row.source, "model": row.model, **usage_counts(row.usage)} for row in ledger],
        "scope": "full_graph" if full else "active_path",
        "nodes": [_node_fields(node) for node in nodes],
    }


def _node_fields(node: SessionNodeRecord) -> dict[str, Any]:
    return {
        "node_id": node.node_id,
        "parent_node_id": node.parent_node_id,
        "timestamp": node.timestamp,
        "agent_frame_id": node.agent_frame_id,
        "caused_by": node.caused_by,
        "payload": node.payload,
    }


def _print_session(
    summary: SessionSummary,
    meta: SessionMeta | None,
    lease: SessionExecutionLease | None,
    head: SessionHead | None,
    read: PersistedSessionRead | None,
) -> None:
    from ..contract.sessions import ChildSession
    from .describing import owner_text

    pairs = [("session", summary.session_id)]
    if summary.session_name != summary.session_id:
        pairs.append(("name", summary.session_name))
    if isinstance(summary.relation, ChildSession):
        pairs.append(("child of", summary.relation.parent_session_id))
    if summary.model:
        pairs.append(("model", summary.model))
    if summary.cwd is not None:
        pairs.append(("cwd", summary.cwd))
    if meta is not None and meta.created_at:
        pairs.append(("created", meta.created_at))
    pairs.append(("updated", output.when(summary.updated_at_ms)))
    leaf = "before the first node" if head is None or head.leaf_node_id is None else f"leaf {head.leaf_node_id}"
    pairs.append(("head", f"revision {summary.head_revision}, {leaf}"))
    counts = f"{summary.node_count} nodes, {summary.user_message_count} of them from the user"
    pairs.append(("size", f"{counts}, {output.size(summary.size_bytes)} on disk"))
    held = "free" if lease is None else f"held by {owner_text(lease.owner)}, fencing token {lease.fencing_token}"
    pairs.append(("lease", held))
    output.pairs(pairs)
    if read is not None and read.token_ledger:
        output.line()
        _print_usage(read)


def _print_usage(read: PersistedSessionRead) -> None:
    output.table(
        ("TOKENS OF", "MODEL", "INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE", "REASONING"),
        [
            (
                row.source,
                row.model,
                f"{row.usage.input_tokens:,}",
                f"{row.usage.output_tokens:,}",
                f"{row.usage.cache_read_input_tokens:,}",
                f"{row.usage.cache_write_input_tokens:,}",
                f"{row.usage.reasoning_output_tokens:,}",
            )
            for row in read.token_ledger
        ],
        numbers=("INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE", "REASONING"),
        flexible=("TOKENS OF", "MODEL"),
    )


def _print_nodes(nodes: tuple[SessionNodeRecord, ...]) -> None:
    from .describing import said

    rows = []
    for node in nodes:
        role, text = said(node)
        rows.append((output.short_id(node.node_id), node.timestamp[:19], role, output.shortened(text, _NODE_TEXT)))
    output.table(("NODE", "TIME", "ROLE", "WHAT IT SAYS"), rows, flexible=("WHAT IT SAYS",))


def _print_texts(nodes: tuple[SessionNodeRecord, ...]) -> None:
    from .describing import parts_said

    for number, node in enumerate(nodes):
        role, parts = parts_said(node)
        if number:
            output.line()
        output.line("  ".join(map(output.clean, (role, node.timestamp[:19], node.node_id))))
        for part in parts:
            shown = [output.shortened(part.text, _NODE_TEXT)] if part.folded else part.text.splitlines()
            for each in shown:
                output.line(f"    {output.clean_line(each)}".rstrip())
