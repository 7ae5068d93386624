"""For the shell: what may come next on the command line, as far as the store can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .invocation import CommandFailure, Invocation
from .output import clean

if TYPE_CHECKING:
    from ..session import SessionStore
    from ..store import Store


def session_ids(context: typer.Context, incomplete: str) -> list[str]:
    """The ids of sessions that begin so, the newest first."""
    return _offered(context, incomplete, lambda store: [row.session_id for row in store.survey_sessions().sessions])


def trashed_ids(context: typer.Context, incomplete: str) -> list[str]:
    """The ids of deleted sessions that begin so, the latest deletion first."""
    return _offered(context, incomplete, lambda store: [entry.session_id for entry in store.trash()])


def node_ids(context: typer.Context, incomplete: str) -> list[str]:
    """The ids of nodes of the session before on the command line that begin so, in commit order."""
    from ..contract.graph import FullGraph

    def of(session: SessionStore) -> list[str]:
        read = session.load_session(FullGraph())
        return [] if read is None else [node.node_id for node in read.graph.nodes]

    return _offered_of(context, incomplete, of)


def branch_names(context: typer.Context, incomplete: str) -> list[str]:
    """The names of branches of the session before that begin so."""
    return _offered_of(context, incomplete, lambda session: [branch.name for branch in session.branches()])


def input_ids(context: typer.Context, incomplete: str) -> list[str]:
    """The ids of inputs that wait in the session before and begin so, in order."""

    def of(session: SessionStore) -> list[str]:
        return [each.input_id for each in session.list_pending_turn_inputs(session.session_id)]

    return _offered_of(context, incomplete, of)


def batch_ids(context: typer.Context, incomplete: str) -> list[str]:
    """The ids of work that waits in the session before and begins so, in order."""

    def of(session: SessionStore) -> list[str]:
        return [each.batch_id for each in session.list_pending_queued_work(session.session_id)]

    return _offered_of(context, incomplete, of)


def _offered_of(context: typer.Context, incomplete: str, of: Callable[[SessionStore], Iterable[str]]) -> list[str]:
    from .selecting import select

    # Where the word to be completed is an option's, what stands before it is not told apart yet.
    session = context.params.get("session") or next(iter(context.args), "")
    return _offered(context, incomplete, lambda store: of(select(store, session)))


def _offered(context: typer.Context, incomplete: str, of: Callable[[Store], Iterable[str]]) -> list[str]:
    from ..contract.errors import StoreError

    given = context.find_root().params.get("root")
    try:
        with Invocation(None if given is None else Path(given)).open_existing() as store:
            found = list(of(store))
    except (CommandFailure, StoreError):
        return []
    return list(dict.fromkeys(each for each in found if each.startswith(incomplete) and _is_word(each)))


def _is_word(found: str) -> bool:
    """Whether the shell, which takes a line or a word for a candidate, would take it for one."""
    return clean(found) == found and " " not in found
