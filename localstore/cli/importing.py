"""`import`: transcripts of other tools into the store."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from . import output
from .amounts import counted
from .exits import ExitCode
from .folders import Candidate, candidates
from .invocation import Invocation
from .output import AsJson
from .progress import steps

if TYPE_CHECKING:
    from ..importers import Problem, Transcript
    from ..store import Store
    from ..transcripts import Imported

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
    """What became of one file. `error` says why it was not imported (to its end), `skipped` why it was not tried."""

    path: Path
    transcript: Transcript | None = None
    imported: Imported | None = None
    error: str | None = None
    archived: Archived | None = None
    is_archive: bool = False
    skipped: str | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The parts of the file that could not be taken."""
        return () if self.transcript is None else self.transcript.problems


@commands.command("import", rich_help_panel=output.WORK)
def import_files(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", show_default=False, help="Transcripts, or folders with such in them."),
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

    Claude Code and Codex JSONL, SWE-agent trajectories, lists of role/content messages, and what export wrote, told
    apart by their content. Tool calls, results, token usage and branches are kept. A file that was imported before adds
    only what is new in it. A line that cannot be read is reported with its number, the others are kept, and the exit
    code is 1. Of a folder it is every file below it, no symbolic link followed; what is no transcript is skipped, and
    one bad file stops no other.

    \b
    Example:
      localstore import ~/.claude/projects ~/.codex/sessions
      localstore import run.traj --json | jq '.files[].problems'
      localstore import session.tar --on-conflict rename
    """
    invocation: Invocation = context.obj
    with _Target(invocation) as target, steps(candidates(files), "files") as found:
        results = [_import_one(target, each, session_id, on_conflict) for each in found]
    if as_json:
        sums = _sums(results)
        output.json_object("import_report", {"files": [_result_fields(result) for result in results], **sums})
    elif any(path.is_dir() for path in files):
        _print_summary(results)
    else:
        for result in results:
            _print_result(result)
    if any(result.error or result.problems for result in results):
        raise typer.Exit(ExitCode.FINDINGS)


class _Target:
    """The store to import into. One that does not exist is made once there is something to put into it."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._open = ExitStack()
        self._store: Store | None = None
        if invocation.is_made():
            self.store()

    @property
    def is_made(self) -> bool:
        return self._store is not None

    def store(self) -> Store:
        if self._store is None:
            # Whoever loses power in the middle imports the file again: that adds what is missing.
            self._store = self._open.enter_context(self._invocation.open_or_make(quick=True))
        return self._store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._open.close()


def _import_one(target: _Target, candidate: Candidate, session_id: str | None, on_conflict: Conflict) -> FileResult:
    path = candidate.path
    if candidate.skipped is not None:
        return FileResult(path, skipped=candidate.skipped)
    if looks_like_archive(path):
        return _why_refused(target, path) or import_archive(target.store(), path, session_id, on_conflict)
    read = _read(path, found=candidate.found)
    return read if isinstance(read, FileResult) else _put(target.store(), path, read)


def _why_refused(target: _Target, path: Path) -> FileResult | None:
    """Why the archive makes no store; where there is one it is told by the import itself."""
    from ..contract.errors import StoreError
    from ..disk.archives import verify

    try:
        if not target.is_made:
            verify(path)
    except (OSError, StoreError) as error:
        return FileResult(path, error=str(error), is_archive=True)
    return None


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

    known = {row.session_id for row in store.survey_sessions().sessions}
    try:
        session = store.import_session(path, session_id=session_id, on_conflict=OnConflict(on_conflict))
    except StoreError as error:
        return FileResult(path, error=str(error), is_archive=True)
    head = session.load_session_head()
    count = 0 if head is None else head.node_count
    return FileResult(path, archived=Archived(session.session_id, session.session_id not in known, count))


def _read(path: Path, *, found: bool) -> Transcript | FileResult:
    """The transcript, or what became of the file instead.

    One that was `found` in a folder and is no transcript is skipped; one that was named should have been one.
    """
    from ..importers import UnknownTranscriptFormat, read_transcript_file

    try:
        return read_transcript_file(path)
    except UnknownTranscriptFormat as error:
        return FileResult(path, skipped=str(error)) if found else FileResult(path, error=str(error))
    except OSError as error:
        return FileResult(path, error=f"it cannot be read: {error.strerror or error}")
    except (RecursionError, MemoryError) as error:
        return FileResult(path, error=str(error) or type(error).__name__)


def _put(store: Store, path: Path, transcript: Transcript) -> FileResult:
    from ..contract.errors import StoreError
    from ..transcripts import put_transcript

    try:
        return FileResult(path, transcript, put_transcript(store, transcript, path.name))
    except StoreError as error:
        return FileResult(path, transcript, error=str(error))


def _print_summary(results: list[FileResult]) -> None:
    """A table of what was imported, and a line each for what was not."""
    rows = []
    for result in results:
        fields = _result_fields(result)
        if result.skipped is None and fields["added_count"] is not None:
            known = "new" if fields["is_new_session"] else "known"
            counts = (f"{fields['added_count']:,}", f"{fields['entry_count']:,}", str(len(result.problems) or ""))
            rows.append((fields["session_id"], fields["format"], known, *counts, str(result.path)))
    if rows:
        columns = ("SESSION", "FORMAT", "", "ADDED", "OF", "PROBLEMS", "FILE")
        output.table(columns, rows, numbers=("ADDED", "OF", "PROBLEMS"), flexible=("SESSION", "FILE"))
    for result in results:
        if result.skipped is not None:
            output.line(output.clean(f"skipped: {result.path}: {result.skipped}"))
        _print_faults(result)
    sums = _sums(results)
    told = f"{counted(sums['file_count'], 'file')}: {sums['imported_count']} imported, {sums['skipped_count']} skipped"
    sessions = f"{counted(sums['session_count'], 'session')}, {sums['new_session_count']} of them new"
    output.line(f"{told}, {sums['failed_count']} failed; {sessions}; {sums['added_count']:,} entries added")


def _sums(results: list[FileResult]) -> dict[str, int]:
    fields = [_result_fields(result) for result in results]
    done = [each for each in fields if each["error"] is None and each["skipped"] is None]
    new = {each["session_id"] for each in fields if each["is_new_session"]}
    return {
        "file_count": len(fields),
        "imported_count": len(done),
        "skipped_count": sum(each["skipped"] is not None for each in fields),
        "failed_count": sum(each["error"] is not None for each in fields),
        "session_count": len({each["session_id"] for each in done}),
        "new_session_count": len(new),
        "added_count": sum(each["added_count"] or 0 for each in fields),
    }


def _print_faults(result: FileResult) -> None:
    if result.error is not None:
        output.complain(output.clean(f"{result.path}: {result.error}"))
    for problem in result.problems:
        place = f"{result.path}, line {problem.line}" if problem.line else f"{result.path}"
        output.complain(output.clean(f"{place}: {problem.reason}: {problem.excerpt}"))


def _print_result(result: FileResult) -> None:
    transcript, imported = result.transcript, result.imported
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
    _print_faults(result)


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
        "skipped": result.skipped,
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
        "skipped": result.skipped,
    }
