"""`import`: transcripts of other tools into the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .exits import ExitCode
from .invocation import Invocation
from .output import AsJson

if TYPE_CHECKING:
    from ..importers import Problem, Transcript
    from ..store import Store
    from .transcripts import Imported

commands = typer.Typer()


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file. `error` says why it was not imported (to its end)."""

    path: Path
    transcript: Transcript | None = None
    imported: Imported | None = None
    error: str | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The parts of the file that could not be taken."""
        return () if self.transcript is None else self.transcript.problems


@commands.command("import", rich_help_panel=output.WORK)
def import_files(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", show_default=False, help="Transcripts; each becomes a session.")
    ],
    as_json: AsJson = False,
) -> None:
    """Import transcripts of other tools.

    Claude Code and Codex JSONL, SWE-agent trajectories, and lists of role/content messages, told apart by their
    content. Tool calls, results, token usage and branches are kept. A file that was imported
    before adds only what is new in it. A line that cannot be read is reported with its number, the others are kept,
    and the exit code is 1.

    \b
    Example:
      localstore import ~/.claude/projects/*/*.jsonl
      localstore import run.traj --json | jq '.files[].problems'
    """
    invocation: Invocation = context.obj
    # Whoever loses power in the middle imports the file again: that adds what is missing.
    with invocation.open_or_make(quick=True) as store:
        results = [import_file(store, path) for path in files]
    if as_json:
        output.json_object("import_report", {"files": [_result_fields(result) for result in results]})
    else:
        for result in results:
            _print_result(result)
    if any(result.error or result.problems for result in results):
        raise typer.Exit(ExitCode.FINDINGS)


def import_file(store: Store, path: Path) -> FileResult:
    """Import one file; what goes wrong with it is told in the result, so that the others go on."""
    from ..contract.errors import StoreError
    from ..importers import UnknownTranscriptFormat, read_transcript_file
    from .transcripts import put_transcript

    try:
        transcript = read_transcript_file(path)
    except (OSError, UnknownTranscriptFormat) as error:
        return FileResult(path, error=str(error))
    try:
        return FileResult(path, transcript, put_transcript(store, transcript, path.name))
    except StoreError as error:
        return FileResult(path, transcript, error=str(error))


def _print_result(result: FileResult) -> None:
    transcript, imported = result.transcript, result.imported
    if result.error is not None:
        output.complain(output.clean(f"{result.path}: {result.error}"))
    if transcript is not None and imported is not None:
        total = len(transcript.entries)
        added = f"{imported.added_count} of {total} entries added in {imported.commit_count} commits"
        spent = imported.usage
        tokens = f", {spent.input_tokens:,} input and {spent.output_tokens:,} output tokens"
        what = added + tokens if imported.added_count else f"nothing new in {total} entries"
        name = f"session {transcript.session_id} ({transcript.source_format})"
        output.line(output.clean(f"{result.path}: {name}: {what}"))
    for problem in result.problems:
        place = f"{result.path}, line {problem.line}" if problem.line else f"{result.path}"
        output.complain(output.clean(f"{place}: {problem.reason}: {problem.excerpt}"))


def _result_fields(result: FileResult) -> dict[str, Any]:
    from .describing import usage_counts

    transcript, imported = result.transcript, result.imported
    return {
        "file": str(result.path),
        "format": None if transcript is None else transcript.source_format,
        "session_id": None if transcript is None else transcript.session_id,
        "entry_count": None if transcript is None else len(transcript.entries),
        "is_new_session": None if imported is None else imported.is_new_session,
        "added_count": None if imported is None else imported.added_count,
        "commit_count": None if imported is None else imported.commit_count,
        "usage": None if imported is None else usage_counts(imported.usage),
        "problems": [
            {"line": problem.line, "reason": problem.reason, "excerpt": problem.excerpt} for problem in result.problems
        ],
        "error": result.error,
    }
