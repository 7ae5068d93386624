"""Which sessions of a store a list shows, and which page of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .contract.sessions import ChildSession, SessionSummary


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a session must be to be listed; `None` where it does not matter."""

    cwd: str | None = None
    model: str | None = None
    parent: str | None = None
    text: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def fits(self, row: SessionSummary) -> bool:
        """Whether the session is wanted, as far as its summary tells."""
        return (
            (self.cwd is None or _is_at_or_below(row.cwd, self.cwd))
            and (self.model is None or self.model.casefold() in row.model.casefold())
            and (self.parent is None or _parent(row) == self.parent)
            and (self.text is None or _says(row, self.text.casefold()))
            and (self.since_ms is None or row.updated_at_ms >= self.since_ms)
            and (self.until_ms is None or row.updated_at_ms <= self.until_ms)
        )


def page(rows: Iterable[SessionSummary], offset: int, limit: int | None) -> tuple[SessionSummary, ...]:
    """The sessions, newest activity first, without the first `offset`, and at most `limit` of them."""
    ordered = sorted(rows, key=lambda row: (-row.updated_at_ms, row.session_id))
    return tuple(ordered[offset : None if limit is None else offset + limit])


def _is_at_or_below(cwd: str | None, folder: str) -> bool:
    if cwd is None:
        return False
    # A working directory is recorded on whatever platform the agent ran on.
    shown, start = cwd.replace("\\", "/").rstrip("/"), folder.replace("\\", "/").rstrip("/")
    return shown == start or shown.startswith(start + "/")


def _parent(row: SessionSummary) -> str | None:
    return row.relation.parent_session_id if isinstance(row.relation, ChildSession) else None


def _says(row: SessionSummary, text: str) -> bool:
    return any(text in told.casefold() for told in (row.session_id, row.session_name, row.first_user_message or ""))
