"""The commands put together, and one run of them."""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..contract.errors import (
    BranchNotFound,
    InvalidArgument,
    NodeNotFound,
    SessionExecutionLeaseHeld,
    SessionNotFound,
    StoreError,
    TrashedSessionNotFound,
)
from . import (
    checking,
    diagnosing,
    enqueueing,
    exporting,
    following,
    history,
    importing,
    leases,
    output,
    queues,
    redacting,
    searching,
    sessions,
    space,
    torturing,
    trash,
    trees,
    upkeep,
)
from .exits import ExitCode
from .invocation import CommandFailure, Invocation

_GROUPS = (
    sessions,
    searching,
    trees,
    queues,
    enqueueing,
    leases,
    following,
    history,
    trash,
    redacting,
    importing,
    exporting,
    upkeep,
    space,
    checking,
    diagnosing,
    torturing,
)
"""The modules with commands, in the order of the help."""


def build_app(*, rich: bool) -> typer.Typer:
    """The command line; `rich`: its help and its usage errors are drawn for a terminal."""
    app = typer.Typer(
        name="localstore",
        no_args_is_help=True,
        rich_markup_mode="rich" if rich else None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback(help=_in_paragraphs(localstore))(localstore)
    for group in _GROUPS:
        for command in group.commands.registered_commands:
            command.help = _in_paragraphs(command.callback)
        app.add_typer(group.commands)
    return app


def _in_paragraphs(command: object) -> str:
    """The help of a command with a line a paragraph, for the terminal to break; examples stay as they are."""
    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    return "\n\n".join(each if each.startswith("\b") else each.replace("\n", " ") for each in paragraphs)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app = build_app(rich=sys.stdout.isatty())
    try:
        app(arguments, prog_name="localstore")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.OK
    except CommandFailure as failure:
        return _fail(str(failure), failure.code)
    except (BranchNotFound, NodeNotFound, SessionNotFound, TrashedSessionNotFound) as error:
        return _fail(str(error), ExitCode.NOT_FOUND)
    except InvalidArgument as error:
        return _fail(str(error), ExitCode.USAGE)
    except SessionExecutionLeaseHeld as error:
        until = output.when(error.expires_at_epoch_ms)
        told = f"session {error.session_id!r} is held by {error.owner_id!r}, until {until} unless that is renewed"
        return _fail(f"{told}; wait for it, and see: localstore lease", ExitCode.REFUSED)
    except StoreError as error:
        return _fail(str(error), ExitCode.REFUSED)
    return ExitCode.OK


def _fail(message: str, code: ExitCode) -> int:
    sys.stderr.write(f"localstore: {message}\n")
    return code


def localstore(
    context: typer.Context,
    root: Annotated[
        Path | None,
        typer.Option(
            "--root",
            envvar="LOCALSTORE_ROOT",
            metavar="DIR",
            show_default=False,
            help="The folder of the store; by default this user's own, as the platform has it.",
        ),
    ] = None,
) -> None:
    """Look at and work on sessions of agents that are stored in plain files.

    A SESSION is given by its id, by its name, or by the beginning of either, as long as only one fits.

    \b
    Exit codes:
      0  done, nothing wrong
      1  done, but a check found something or an item failed
      2  the command line is wrong, or names more than one session
      3  no such store, session or node
      4  the store refused: damage, a newer format, a held lock, a full disk

    \b
    Example:
      localstore import ~/.claude/projects/*/*.jsonl
      localstore ls
      localstore --root ./store show 7c1e
    """
    context.obj = Invocation(root)
