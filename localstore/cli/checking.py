"""`check`: whether what is on disk is what was written."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from . import output
from .exits import ExitCode
from .invocation import Invocation
from .output import AsJson
from .progress import counting

if TYPE_CHECKING:
    from ..disk.check import CheckReport, Finding

commands = typer.Typer()


@commands.command("check", rich_help_panel=output.LOOK)
def check(context: typer.Context, as_json: AsJson = False) -> None:
    """Check every byte of the store.

    Nothing is changed, and the store may be in use. The exit code is 1 where bytes are not what was written, or where
    not everything could be looked at.

    \b
    Example:
      localstore check
      localstore check --json | jq '.findings[] | .path, .remedy'
    """
    from ..disk.check import check_store

    invocation: Invocation = context.obj
    invocation.open_existing().close()
    with counting("sessions") as tell:
        report = check_store(invocation.root, tell=tell)
    if as_json:
        output.json_object("check_report", _report_fields(report))
    else:
        _print_report(report)
    if report.exit_code:
        raise typer.Exit(ExitCode.FINDINGS)


def _print_report(report: CheckReport) -> None:
    for found in report.findings:
        where = found.path if found.offset is None else f"{found.path}, byte {found.offset}"
        node = "" if found.node_id is None else f" (node {found.node_id})"
        output.line(output.clean(f"{found.severity}: {where}: {found.message}{node}"))
        output.line(f"    {output.clean(found.remedy)}")
    looked = report.checked
    counts = f"{looked.sessions} sessions, {looked.nodes} nodes, {looked.files} files, {output.size(looked.bytes)}"
    output.line(f"{_summary(report)}; checked {counts}")
    if not report.complete:
        output.line("not everything could be looked at")


def _summary(report: CheckReport) -> str:
    if not report.findings:
        return "no findings"
    severities = [found.severity for found in report.findings]
    counts = {severity: severities.count(severity) for severity in sorted(set(severities), key=severities.index)}
    return ", ".join(f"{severity}: {count}" for severity, count in counts.items())


def _report_fields(report: CheckReport) -> dict[str, Any]:
    return {
        "root": report.root,
        "complete": report.complete,
        "checked": asdict(report.checked),
        "findings": [finding_fields(found) for found in report.findings],
    }


def finding_fields(found: Finding) -> dict[str, Any]:
    return {
        "severity": found.severity.value,
        "kind": found.kind,
        "path": found.path,
        "session_id": found.session_id,
        "offset": found.offset,
        "node_id": found.node_id,
        "message": found.message,
        "remedy": found.remedy,
    }
