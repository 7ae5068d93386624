"""`tree`: the graph of a session with its branches, its head, and what is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .amounts import counted
from .invocation import Invocation
from .output import AsJson
from .selecting import SessionArgument, look, select

if TYPE_CHECKING:
    from ..machine.branches import Outline, OutlineNode

commands = typer.Typer()

_TEXT = 60


@commands.command("tree", rich_help_panel=output.LOOK)
def show_tree(
    context: typer.Context,
    session: SessionArgument,
    full: Annotated[
        bool, typer.Option("--full", help="A line a node, instead of one a stretch without branches.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the graph of a session.

    Its branches, where the head is, and nodes that are hidden and not vacuumed yet.

    \b
    Example:
      localstore tree 7c1e
      localstore tree 7c1e --json | jq '.nodes[] | select(.is_hidden)'
    """
    from ..machine.branches import outline

    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        session_id = select(store, session).session_id
        found = look(store, session_id, outline())
    if as_json:
        fields = {
            "session_id": session_id,
            "leaf_node_id": found.leaf_node_id,
            "current_branch": found.current_branch,
            "nodes": [_node_fields(found, item) for item in found.nodes],
        }
        output.json_object("tree", fields)
        return
    if not found.nodes:
        output.line("no nodes")
    for text in drawn(found, full=full):
        output.line(output.fitted(text))


def drawn(found: Outline, *, full: bool = False) -> Iterator[str]:
    """The lines of the tree: a stretch of nodes without branches is one line, or with `full` each node."""
    children = _children(found)
    stack = [(item, "", "") for item in reversed(children.pop(None, []))]
    while stack:
        item, first, rest = stack.pop()
        stretch = [item]
        while not full and not _tags(found, stretch[-1]) and len(below := children.get(_key(stretch[-1]), [])) == 1:
            if below[0].is_hidden != item.is_hidden:
                break
            stretch.append(below[0])
        yield first + _line(found, stretch)
        below = children.get(_key(stretch[-1]), [])
        # What has one child goes on below itself; only where lines part they are set in.
        parts = [("├─ ", "│  ")] * (len(below) - 1) + [("└─ ", "   ")] if len(below) > 1 else [("", "")] * len(below)
        stack += [
            (child, rest + mark, rest + inset)
            for child, (mark, inset) in reversed(list(zip(below, parts, strict=True)))
        ]


def _children(found: Outline) -> dict[str | None, list[OutlineNode]]:
    """The children of each node, in commit order; under `None` the nodes whose parent is not there."""
    there = {item.node.node_id for item in found.nodes}
    children: dict[str | None, list[OutlineNode]] = {}
    for item in found.nodes:
        parent = item.node.parent_node_id
        children.setdefault(parent if parent in there else None, []).append(item)
    return children


def _key(item: OutlineNode) -> str:
    return item.node.node_id


def _tags(found: Outline, item: OutlineNode) -> list[str]:
    names = [f"*{name}" if name == found.current_branch else name for name in found.branches_at(_key(item))]
    return (["head"] if _key(item) == found.leaf_node_id else []) + names


def _line(found: Outline, stretch: list[OutlineNode]) -> str:
    from .describing import said

    first, last = stretch[0], stretch[-1]
    words = [output.short_id(_key(first))]
    if len(stretch) > 1:
        words.append(f"… {output.short_id(_key(last))} ({counted(len(stretch), 'node')})")
    tags = _tags(found, last)
    if tags:
        words.append(f"[{output.clean(', '.join(tags))}]")
    if first.is_hidden:
        words.append("(hidden)")
    role, text = said(first.node)
    words.append(output.shortened(f"{role}: {text}", _TEXT))
    return " ".join(words)


def _node_fields(found: Outline, item: OutlineNode) -> dict[str, Any]:
    return {
        "node_id": item.node.node_id,
        "parent_node_id": item.node.parent_node_id,
        "timestamp": item.node.timestamp,
        "is_hidden": item.is_hidden,
        "is_head": item.node.node_id == found.leaf_node_id,
        "branches": found.branches_at(item.node.node_id),
    }
