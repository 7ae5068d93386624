"""`check`: whether what is on disk is what was written."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

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
def check(
    context: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make good what other copies prove, and set the rest aside.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check every byte of the store.

    Nothing is changed without --repair, and the store may be in use. With it, what another copy proves is made good;
    what is damaged, or in the way, is moved to a quarantine with a receipt, and nothing is deleted. The exit code is 1
    where bytes are not what was written, or where not everything could be looked at; after a repair, where that is
    still so, or something is lost.

    \b
    Example:
      localstore check
      localstore check --repair
      localstore check --json | jq '.findings[] | .path, .remedy'
    """
    from ..disk.check import check_store

    invocation: Invocation = context.obj
    if repair:
        _repair(invocation, as_json)
        return
    invocation.open_existing().close()
    with counting("sessions") as tell:
        report = check_store(invocation.root, tell=tell)
    if as_json:
        output.json_object("check_report", _report_fields(report))
    else:
        _print_report(report)
    if report.exit_code:
        raise typer.Exit(ExitCode.FINDINGS)


def _repair(invocation: Invocation, as_json: bool) -> None:
    from ..disk import names
    from ..disk.repair import repair_store

    # What says that there is a store may be what is missing.
    invocation.require(names.STORE, names.SESSIONS)
    with counting("sessions") as tell:
        report = repair_store(invocation.root, tell=tell)
    lost = any(action.lost for action in report.actions)
    if as_json:
        fields = {
            "root": report.after.root,
            "before": _report_fields(report.before),
            "actions": [asdict(action) for action in report.actions],
            "after": _report_fields(report.after),
            "lost": lost,
        }
        output.json_object("repair_report", fields)
    else:
        for action in report.actions:
            kept = "" if action.kept is None else f" (kept as {action.kept})"
            output.line(output.clean(f"{'lost' if action.lost else 'done'}: {action.path}: {action.message}{kept}"))
        output.line(f"{len(report.actions)} repairs" if report.actions else "nothing to repair")
        _print_report(report.after)
    if lost or report.exit_code:
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
