"""`import`: transcripts of other tools into the store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .amounts import counted
from .exits import ExitCode
from .invocation import Invocation
from .output import AsJson

if TYPE_CHECKING:
    from ..importers import Problem, Transcript
    from ..store import Store
    from .transcripts import Imported

commands = typer.Typer()

ARCHIVE = "localstore-archive"
"""The format of an archive, as results name it."""


class Conflict(StrEnum):
    """What to do where the store has another session of an archive's id."""

    REFUSE = "refuse"
    RENAME = "rename"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Archived:
    """What became of an archive; where it `is_new` its session was imported, else it was there."""

    session_id: str
    is_new: bool
    node_count: int


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file. `error` says why it was not imported (to its end)."""

    path: Path
    transcript: Transcript | None = None
    imported: Imported | None = None
    error: str | None = None
    archived: Archived | None = None
    is_archive: bool = False

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
    session_id: Annotated[
        str | None,
        typer.Option("--session-id", metavar="ID", show_default=False, help="The id of an archive's session here."),
    ] = None,
    on_conflict: Annotated[
        Conflict, typer.Option("--on-conflict", help="Where an archive's id is another session's.")
    ] = Conflict.REFUSE,
    as_json: AsJson = False,
) -> None:
    """Import transcripts of other tools, and archives of sessions.

    Claude Code and Codex JSONL, SWE-agent trajectories, lists of role/content messages, and what export
    wrote, told apart by their
    content. Tool calls, results, token usage and branches are kept. A file that was imported
    before adds only what is new in it. A line that cannot be read is reported with its number, the others are kept,
    and the exit code is 1.

    \b
    Example:
      localstore import ~/.claude/projects/*/*.jsonl
      localstore import run.traj --json | jq '.files[].problems'
      localstore import session.tar --on-conflict rename
    """
    invocation: Invocation = context.obj
    # Whoever loses power in the middle imports the file again: that adds what is missing.
    with invocation.open_or_make(quick=True) as store:
        archives = frozenset(filter(looks_like_archive, files))
        results = [
            import_archive(store, path, session_id, on_conflict) if path in archives else import_file(store, path)
            for path in files
        ]
    if as_json:
        output.json_object("import_report", {"files": [_result_fields(result) for result in results]})
    else:
        for result in results:
            _print_result(result)
    if any(result.error or result.problems for result in results):
        raise typer.Exit(ExitCode.FINDINGS)


def looks_like_archive(path: Path) -> bool:
    """Whether the file is what an export wrote, as far as its beginning tells."""
    from ..contract.errors import StoreError
    from ..disk.archives import is_archive

    try:
        return is_archive(path)
    except (OSError, StoreError):
        return False


def import_archive(store: Store, path: Path, session_id: str | None, on_conflict: Conflict) -> FileResult:
    """Import one archive; what goes wrong with it is told in the result, so that the others go on."""
    from ..contract.archives import OnConflict
    from ..contract.errors import StoreError

    known = {row.session_id for row in store.list_sessions()}
    try:
        session = store.import_session(path, session_id=session_id, on_conflict=OnConflict(on_conflict))
    except StoreError as error:
        return FileResult(path, error=str(error), is_archive=True)
    head = session.load_session_head()
    count = 0 if head is None else head.node_count
    return FileResult(path, archived=Archived(session.session_id, session.session_id not in known, count))


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
    if result.archived is not None:
        count = counted(result.archived.node_count, "node")
        what = f"{count} imported" if result.archived.is_new else "nothing new"
        output.line(output.clean(f"{result.path}: session {result.archived.session_id} ({ARCHIVE}): {what}"))
    for problem in result.problems:
        place = f"{result.path}, line {problem.line}" if problem.line else f"{result.path}"
        output.complain(output.clean(f"{place}: {problem.reason}: {problem.excerpt}"))


def _result_fields(result: FileResult) -> dict[str, Any]:
    from .describing import usage_counts

    if result.archived is not None or result.is_archive:
        return _archive_fields(result, result.archived)
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


def _archive_fields(result: FileResult, archived: Archived | None) -> dict[str, Any]:
    return {
        "file": str(result.path),
        "format": ARCHIVE,
        "session_id": None if archived is None else archived.session_id,
        "entry_count": None if archived is None else archived.node_count,
        "is_new_session": None if archived is None else archived.is_new,
        "added_count": None if archived is None else archived.node_count if archived.is_new else 0,
        "commit_count": None,
        "usage": None,
        "problems": [],
        "error": result.error,
    }
