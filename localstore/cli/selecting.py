"""Which session is meant, and how to look at what its handle does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from .completing import session_ids
from .exits import ExitCode
from .invocation import CommandFailure

if TYPE_CHECKING:
    from ..keeper import Keeper
    from ..machine.decision import View
    from ..session import SessionStore
    from ..store import Store

R = TypeVar("R")


SessionArgument = Annotated[
    str,
    typer.Argument(
        metavar="SESSION",
        show_default=False,
        help="Its id, its name, or the beginning of either.",
        autocompletion=session_ids,
    ),
]

_SHOWN = 5


def as_shown(given: str) -> str:
    """An id that was copied from a table, which ends in an ellipsis where it was cut."""
    return given.removesuffix("…") or given


def select(store: Store, given: str) -> SessionStore:
    """The session whose id is `given`, else whose name is, else the only one whose id or name begins so."""
    if not given or len(given) > 1024:
        raise CommandFailure("a session is named by 1 to 1,024 characters", ExitCode.USAGE)
    session = store.open_session(given)
    if session is not None:
        return session
    given = as_shown(given)
    survey = store.survey_sessions()
    found = survey.sessions
    fitting = [row for row in found if row.session_name == given] or [
        row for row in found if row.session_id.startswith(given) or row.session_name.startswith(given)
    ]
    if len(fitting) > 1:
        named = ", ".join(repr(row.session_id) for row in fitting[:_SHOWN])
        more = f" and {len(fitting) - _SHOWN} more" if len(fitting) > _SHOWN else ""
        raise CommandFailure(
            f"{given!r} fits {len(fitting)} sessions: {named}{more}; give more of the id", ExitCode.USAGE
        )
    session = store.open_session(fitting[0].session_id) if fitting else None
    damaged = next((each for each in survey.unreadable if (each.session_id or "").startswith(given)), None)
    if session is None and damaged is not None:
        raise CommandFailure(f"session {damaged.session_id!r} cannot be read: {damaged.reason}", ExitCode.REFUSED)
    if session is None:
        raise CommandFailure(f"no session fits {given!r}; see: localstore ls", ExitCode.NOT_FOUND)
    return session


def keeper_of(store: Store, session_id: str) -> Keeper:
    """What keeps the session: it tells more of it than the contract's lists do."""
    keeper = store._sessions.find(session_id)
    if keeper is None:
        raise CommandFailure(f"session {session_id!r} was deleted meanwhile", ExitCode.NOT_FOUND)
    return keeper


def look(store: Store, session_id: str, view: View[R]) -> R:
    """What `view` sees of the session's state."""
    return keeper_of(store, session_id).read(view)
