"""`torture`: whether a folder keeps the promises that a store needs of it, tried."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import output
from .exits import ExitCode
from .invocation import CommandFailure
from .output import AsJson

if TYPE_CHECKING:
    from ..testing.torture import Certificate

commands = typer.Typer()


@commands.command("torture", rich_help_panel=output.LOOK)
def torture(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder on the disk to be tried.")],
    seconds: Annotated[float, typer.Option(min=0.5, max=86_400, help="About how long to try.")] = 20.0,
    as_json: AsJson = False,
) -> None:
    """Try a disk: flushes, renames, locks, copies, a full disk, kills.

    Works in a folder of its own in DIR, which is removed in the end; stores that are there are left alone. Processes
    write to a store, which is copied meanwhile; they are killed in mid-call, and what they were told is judged
    afterwards. The exit code is 1 where something failed; a warning is no failure.

    \b
    Example:
      localstore torture . --seconds 60
      localstore torture . --json | jq .passed
    """
    from ..testing.torture import torture as attempt

    def tell(name: str, done: float) -> None:
        output.complain(f"{done:4.0%}  {name}")

    try:
        certificate = attempt(folder, seconds=seconds, tell=tell)
    except OSError as error:
        why = f"{folder} cannot be tried: {error.strerror or error}"
        raise CommandFailure(why, ExitCode.REFUSED) from error
    if as_json:
        output.json_object("torture_certificate", {**asdict(certificate), "passed": certificate.passed})
    else:
        _print(certificate)
    if not certificate.passed:
        raise typer.Exit(ExitCode.FINDINGS)


def _print(certificate: Certificate) -> None:
    output.pairs(
        [
            ("folder", output.clean(certificate.folder)),
            ("file system", output.clean(certificate.file_system)),
            ("system", f"{certificate.system}, Python {certificate.python}"),
            ("begun", output.when(certificate.started_at_ms)),
            ("seconds", f"{certificate.seconds:.1f}"),
            *[(trial.name, f"{trial.count}: {trial.what}") for trial in certificate.trials],
        ]
    )
    for warning in certificate.warnings:
        output.line(output.clean(f"warning: {warning}"))
    for trial in certificate.trials:
        for failure in trial.failures:
            output.line(output.clean(f"FAILED: {trial.name}: {failure}"))
    output.line("it keeps what a store needs" if certificate.passed else "it does not keep what a store needs")
