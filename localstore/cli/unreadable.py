"""Sessions that cannot be read: commands go on with the others, and name these."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from . import output
from .exits import ExitCode

if TYPE_CHECKING:
    from ..contract.sessions import UnreadableSession


def unreadable_fields(session: UnreadableSession) -> dict[str, str | None]:
    """A session that cannot be read, as `--json` prints it."""
    return {"session_id": session.session_id, "path": session.path, "error": session.reason}


def complain_of(sessions: Iterable[UnreadableSession], *, what: str = "read") -> None:
    """Name them on the standard error, and end the command as one that found something; where there are none, go on.

    `what` is what cannot be done with them.
    """
    found = list(sessions)
    for session in found:
        name = session.session_id or session.path
        output.complain(output.clean(f"session {name} cannot be {what}: {session.reason}"))
    if found:
        raise typer.Exit(ExitCode.FINDINGS)
