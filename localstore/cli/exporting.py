"""`export` and `backup`: sessions out of the store, and the store beside itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import output
from .amounts import counted
from .exits import ExitCode
from .invocation import CommandFailure, Invocation
from .output import AsJson
from .progress import counting
from .selecting import SessionArgument, select

if TYPE_CHECKING:
    from ..session import SessionStore

commands = typer.Typer()


class ExportFormat(StrEnum):
    """What an export is."""

    ARCHIVE = "archive"
    MARKDOWN = "markdown"
    MESSAGES = "messages"


_ENDINGS = {ExportFormat.ARCHIVE: "localstore.tar", ExportFormat.MARKDOWN: "md", ExportFormat.MESSAGES: "jsonl"}


@commands.command("export", rich_help_panel=output.LOOK)
def export(
    context: typer.Context,
    session: SessionArgument,
    target: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=False,
            help="A new file; by default the session's folder name, here. Text goes to the standard output for -.",
        ),
    ] = None,
    form: Annotated[ExportFormat, typer.Option("--format", help="What to write.")] = ExportFormat.ARCHIVE,
    full: Annotated[bool, typer.Option("--full", help="All branches, in Markdown and messages.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a session to a file.

    An archive is everything of it, with checksums, for: localstore import. Markdown is for people; messages are JSONL
    in the style of OpenAI's chat API, with roles and tool calls.

    \b
    Example:
      localstore export 7c1e -o session.tar
      localstore export 7c1e --format markdown -o - | less
      localstore export 7c1e --json | jq -r .sha256
    """
    from ..disk import names

    invocation: Invocation = context.obj
    if as_json and str(target) == "-":
        raise CommandFailure("--json is printed where the text would go: give it a file with --output", ExitCode.USAGE)
    with invocation.open_existing() as store:
        chosen = select(store, session)
        session_id = chosen.session_id
        path = target or Path(f"{names.session_dirname(session_id)}.{_ENDINGS[form]}")
        if form is ExportFormat.ARCHIVE:
            if str(path) == "-":
                raise CommandFailure("an archive needs a file: give it with --output", ExitCode.USAGE)
            with counting("exporting") as tell:
                info = store.export_session(session_id, path, tell=tell)
            size, digest, nodes = info.size_bytes, info.sha256, info.node_count
        else:
            size, digest, nodes = _write_text(chosen, form, path, full=full)
    if str(path) == "-":
        return
    if as_json:
        output.json_object(
            "export",
            {
                "session_id": session_id,
                "format": form.value,
                "file": str(path),
                "node_count": nodes,
                "size_bytes": size,
                "sha256": digest,
            },
        )
        return
    output.line(output.clean(f"{path}: session {session_id}, {counted(nodes, 'node')}, {output.size(size)}"))


def _write_text(session: SessionStore, form: ExportFormat, path: Path, *, full: bool) -> tuple[int, str, int]:
    from hashlib import sha256

    from ..contract.graph import ActivePath, FullGraph
    from ..disk.system import system

    read = session.load_session(FullGraph() if full else ActivePath())
    nodes = () if read is None else read.graph.nodes
    meta = session.load_session_meta()
    title = session.session_id if meta is None else meta.session_name
    content = "".join(_text(form, title, nodes)).encode("utf-8", "replace")
    if str(path) == "-":
        sys.stdout.flush()
        sys.stdout.write(content.decode())
    else:
        try:
            system.write_new(str(path), content, True)
        except FileExistsError:
            raise CommandFailure(f"{path} exists already; name another file, or move it away", ExitCode.USAGE) from None
        except FileNotFoundError:
            raise CommandFailure(f"there is no folder for {path}; make it", ExitCode.USAGE) from None
    return len(content), sha256(content).hexdigest(), len(nodes)


def _text(form: ExportFormat, title: str, nodes: tuple) -> Iterator[str]:  # type: ignore[type-arg]
    import orjson

    from ..exports import to_markdown, to_messages

    if form is ExportFormat.MARKDOWN:
        return to_markdown(title, nodes)
    return (orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE).decode() for message in to_messages(nodes))


@commands.command("backup", rich_help_panel=output.WORK)
def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", show_default=False, help="Where the backup is, or will be.")],
    as_json: AsJson = False,
) -> None:
    """Make a copy of the store, or bring one up to date.

    The store may be in use. The copy is a store; what never changes is linked where the file system has hard links, so
    that a copy on another disk is needed against the loss of this one. What was deleted goes to the copy's trash.

    \b
    Example:
      localstore backup /mnt/disk/sessions
      localstore backup ~/sessions-backup --json | jq '.copied | length'
    """
    invocation: Invocation = context.obj
    with invocation.open_existing() as store, counting("backing up") as tell:
        report = store.backup(folder, tell=tell)
    if as_json:
        output.json_object(
            "backup_report",
            {
                "backup": report.path,
                "copied": list(report.copied),
                "unchanged": list(report.unchanged),
                "trashed": list(report.trashed),
                "linked_file_count": report.linked_file_count,
                "copied_bytes": report.copied_bytes,
            },
        )
        return
    counts = f"{counted(len(report.copied), 'session')} copied, {len(report.unchanged)} unchanged"
    files = f"{counted(report.linked_file_count, 'file')} linked, {output.size(report.copied_bytes)} copied"
    output.line(output.clean(f"{report.path}: {counts}, {len(report.trashed)} to its trash; {files}"))
