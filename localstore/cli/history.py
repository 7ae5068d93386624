"""`log`, `rewind`, `undo`, `branches`, `branch` and `fork`: where a session's head has been, and where it goes."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .completing import branch_names, node_ids
from .exits import ExitCode
from .invocation import CommandFailure, Invocation
from .nodes import node_of
from .output import AsJson
from .selecting import SessionArgument, select

if TYPE_CHECKING:
    from ..contract.commits import RuntimeCommitResult
    from ..contract.history import Branch, GraphLeaf, HeadMove
    from ..session import SessionStore

commands = typer.Typer()

_MOVES_SHOWN = 30
_JUST_MADE = 64

NodeArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="NODE",
        show_default=False,
        help="Its id or the beginning of it, see: localstore tree.",
        autocompletion=node_ids,
    ),
]
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="NODE",
        show_default=False,
        help="The node to begin at; by default the leaf.",
        autocompletion=node_ids,
    ),
]


@commands.command("log", rich_help_panel=output.LOOK)
def show_log(
    context: typer.Context,
    session: SessionArgument,
    last: Annotated[
        int | None,
        typer.Option(
            "--last",
            metavar="N",
            min=0,
            show_default=False,
            help=f"Only the last N moves; by default {_MOVES_SHOWN}, with --json all.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how a session's head moved.

    Commits, rewinds, switches of the branch and undos, the latest first.

    \b
    Example:
      localstore log 7c1e --last 5
      localstore log 7c1e --json | jq '.moves[] | select(.kind == "rewind")'
    """
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        handle = select(store, session)
        shown = None if last is None and as_json else _MOVES_SHOWN if last is None else last
        moves = tuple(reversed(handle.head_log(shown)))
    if as_json:
        fields = {"session_id": handle.session_id, "moves": [move_fields(move) for move in moves]}
        output.json_object("head_log", fields)
        return
    if not moves:
        output.line("the head has not moved")
        return
    output.table(
        ("REVISION", "WHEN", "MOVE", "LEAF", "BEFORE", "BRANCH", "TURN"),
        [
            (
                str(move.revision),
                output.when(move.at_ms),
                move.kind.value if move.undone_revision is None else f"undo of {move.undone_revision}",
                _short(move.leaf_node_id),
                _short(move.previous_leaf_node_id),
                move.branch or "",
                move.turn_id or "",
            )
            for move in moves
        ],
        numbers=("REVISION",),
        flexible=("BRANCH", "TURN"),
    )


@commands.command("rewind", rich_help_panel=output.WORK)
def rewind(
    context: typer.Context,
    session: SessionArgument,
    node: NodeArgument = None,
    none: Annotated[bool, typer.Option("--none", help="To before the first node, in place of a NODE.")] = False,
    as_json: AsJson = False,
) -> None:
    """Move a session's head back to a node, or to any other.

    No node is lost, and `undo` takes it back. Only the leaf moves: what else the last turn left stays.

    \b
    Example:
      localstore rewind 7c1e n42
      localstore rewind 7c1e --none --json | jq .head_revision
    """
    if (node is None) != none:
        raise CommandFailure("give the NODE to go to, or --none", ExitCode.USAGE)
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        handle = select(store, session)
        result = handle.rewind(None if node is None else node_of(handle, node))
        move = _move_of(handle, result)
    _tell_move(handle.session_id, move, as_json=as_json)


@commands.command("undo", rich_help_panel=output.WORK)
def undo(context: typer.Context, session: SessionArgument, as_json: AsJson = False) -> None:
    """Take back the last move of a session's head.

    Be it a commit, a rewind or a switch of the branch. Again, and it goes further back. No node is lost, and it says
    how to come back. An import is a commit a turn: it takes back the last of these.

    \b
    Example:
      localstore undo 7c1e
      localstore undo 7c1e --json | jq .undone_revision
    """
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        handle = select(store, session)
        move = _move_of(handle, handle.undo())
    _tell_move(handle.session_id, move, as_json=as_json)


@commands.command("branches", rich_help_panel=output.LOOK)
def list_branches(context: typer.Context, session: SessionArgument, as_json: AsJson = False) -> None:
    """List a session's branches, and the tips that have no name.

    \b
    Example:
      localstore branches 7c1e
      localstore branches 7c1e --json | jq -r '.leaves[] | select(.branches == []) | .node_id'
    """
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        handle = select(store, session)
        branches, leaves = handle.branches(), handle.leaves()
    if as_json:
        fields = {
            "session_id": handle.session_id,
            "branches": [branch_fields(branch) for branch in branches],
            "leaves": [leaf_fields(leaf) for leaf in leaves],
        }
        output.json_object("branch_list", fields)
        return
    rows = [("*" if each.is_current else "", each.name, _short(each.leaf_node_id), _state(each)) for each in branches]
    rows += [
        ("", "(no name)", _short(leaf.node_id), "head" if leaf.is_head else "") for leaf in leaves if not leaf.branches
    ]
    if rows:
        output.table(("", "BRANCH", "LEAF", ""), rows, flexible=("BRANCH",))
    else:
        output.line("no branches, and no nodes")


@commands.command("branch", rich_help_panel=output.WORK)
def change_branch(
    context: typer.Context,
    session: SessionArgument,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", show_default=False, help="The branch's name.", autocompletion=branch_names),
    ],
    at: AtOption = None,
    switch: Annotated[bool, typer.Option("--switch", help="Move the head to a branch that there is.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Forget a name; no node is lost.")] = False,
    as_json: AsJson = False,
) -> None:
    """Name a leaf of a session, switch to it, or drop the name.

    The current branch follows the head; the others stay where they are.

    \b
    Example:
      localstore branch 7c1e before-the-refactoring
      localstore branch 7c1e idea --at n42 --json | jq .branch
      localstore branch 7c1e idea --switch
    """
    if switch + drop + (at is not None) > 1:
        raise CommandFailure("--at makes a branch, --switch and --drop need one: give one of them", ExitCode.USAGE)
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        handle = select(store, session)
        if drop:
            handle.drop_branch(name)
        elif switch:
            handle.switch_branch(name)
        else:
            handle.create_branch(name, None if at is None else node_of(handle, at))
        branch = next((each for each in handle.branches() if each.name == name), None)
        head = handle.load_session_head()
    action = "dropped" if drop else "switched" if switch else "created"
    if as_json:
        fields = {
            "session_id": handle.session_id,
            "action": action,
            "branch": None if branch is None else branch_fields(branch),
            "head_revision": 0 if head is None else head.head_revision,
        }
        output.json_object("branch_change", fields)
        return
    where = "" if branch is None else f", at {branch.leaf_node_id}"
    output.line(output.clean(f"{action} {name}{where}"))


@commands.command("fork", rich_help_panel=output.WORK)
def fork(
    context: typer.Context,
    session: SessionArgument,
    new_id: Annotated[
        str | None,
        typer.Argument(metavar="NEW", show_default=False, help="The id of the new session; by default a fresh one."),
    ] = None,
    at: AtOption = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="TEXT", show_default=False, help="Its name; by default its id."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a new session that goes on from a node of another.

    Both share the files they have in common, so that next to nothing is written. Neither needs the other.

    \b
    Example:
      localstore fork 7c1e --at n42
      localstore fork 7c1e what-if --name "What if" --json | jq -r .session_id
    """
    import uuid

    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        parent = select(store, session)
        begin = None if at is None else node_of(parent, at)
        child = parent.fork(str(uuid.uuid4()) if new_id is None else new_id, at=begin, session_name=name)
        head = child.load_session_head()
        meta = child.load_session_meta()
    leaf = None if head is None else head.leaf_node_id
    if as_json:
        fields = {
            "session_id": child.session_id,
            "session_name": child.session_id if meta is None else meta.session_name,
            "parent_session_id": parent.session_id,
            "leaf_node_id": leaf,
            "head_revision": 0 if head is None else head.head_revision,
        }
        output.json_object("fork", fields)
        return
    output.line(output.clean(f"{child.session_id} goes on from {leaf} of {parent.session_id}"))


def move_fields(move: HeadMove) -> dict[str, Any]:
    """A move of the head, as `--json` prints it."""
    return {
        "revision": move.revision,
        "at_ms": move.at_ms,
        "kind": move.kind.value,
        "leaf_node_id": move.leaf_node_id,
        "previous_leaf_node_id": move.previous_leaf_node_id,
        "turn_id": move.turn_id,
        "branch": move.branch,
        "undone_revision": move.undone_revision,
    }


def branch_fields(branch: Branch) -> dict[str, Any]:
    """A branch, as `--json` prints it."""
    return {
        "name": branch.name,
        "leaf_node_id": branch.leaf_node_id,
        "is_current": branch.is_current,
        "is_gone": branch.is_gone,
    }


def leaf_fields(leaf: GraphLeaf) -> dict[str, Any]:
    """A tip of the conversation, as `--json` prints it."""
    return {
        "node_id": leaf.node_id,
        "timestamp": leaf.timestamp,
        "branches": list(leaf.branches),
        "is_head": leaf.is_head,
    }


def _move_of(handle: SessionStore, result: RuntimeCommitResult) -> HeadMove:
    """The move that was just made; others may have made more since."""
    found = handle.head_log(_JUST_MADE)
    return next((move for move in found if move.revision == result.head_revision), found[-1])


def _tell_move(session_id: str, move: HeadMove, *, as_json: bool) -> None:
    if as_json:
        output.json_object("head_move", {"session_id": session_id, **move_fields(move)})
        return
    where = "before the first node" if move.leaf_node_id is None else f"at {move.leaf_node_id}"
    before = "nowhere" if move.previous_leaf_node_id is None else move.previous_leaf_node_id
    undone = "" if move.undone_revision is None else f"revision {move.undone_revision} is undone: "
    output.line(output.clean(f"{undone}the head is {where}, it was at {before}; revision {move.revision}"))
    if move.undone_revision is not None and move.previous_leaf_node_id is not None:
        output.line(output.clean(f"to go there again: localstore rewind {quote(session_id)} {quote(before)}"))


def _short(node_id: str | None) -> str:
    return "-" if node_id is None else output.short_id(node_id)


def _state(branch: Branch) -> str:
    return "gone" if branch.is_gone else "head" if branch.is_current else ""
