"""`check`: whether what is on disk is what was written."""

from __future__ import annotations

from typing import Any

import typer

from . import output
from .exits import ExitCode
from .invocation import Invocation
from .output import AsJson

commands = typer.Typer()


@commands.command("check", rich_help_panel=output.LOOK)
def check(context: typer.Context, as_json: AsJson = False) -> None:
    """Check every byte of the store.

    Nothing is changed. The exit code is 1 where something was found.

    \b
    Example:
      localstore check
      localstore check --json | jq '.findings[] | .path, .remedy'
    """
    from ..disk.check import check_store

    invocation: Invocation = context.obj
    invocation.open_existing().close()
    report = check_store(invocation.root)
    if as_json:
        fields = {"root": str(invocation.root), "findings": [finding_fields(found) for found in report.findings]}
        output.json_object("check_report", fields)
    else:
        for found in report.findings:
            where = found.path if found.offset is None else f"{found.path} at byte {found.offset}"
            output.line(output.clean(f"{found.severity}: {where}: {found.message}"))
            output.line(output.clean(f"    {found.remedy}"))
        output.line("no findings" if not report.findings else f"{len(report.findings)} findings")
    if report.exit_code:
        raise typer.Exit(ExitCode.FINDINGS)


def finding_fields(found: Any) -> dict[str, Any]:
    """A finding, as `--json` prints it."""
    return {
        "severity": str(found.severity),
        "kind": str(found.kind),
        "path": str(found.path),
        "offset": found.offset,
        "node_id": found.node_id,
        "message": found.message,
        "remedy": found.remedy,
    }
