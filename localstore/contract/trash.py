"""Deleted sessions: what the trash holds, and what a pruning moves there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .sessions import SessionSummary, UnreadableSession


@dataclass(frozen=True, slots=True)
class TrashedSession:
    """A deleted session in the trash, as its receipt says. Times are epoch milliseconds, sizes bytes on disk.

    An id may be in the trash any number of times; `session_id` and `deleted_at_ms` together name one of them.
    """

    session_id: str
    session_name: str
    deleted_at_ms: int
    updated_at_ms: int
    node_count: int
    head_revision: int
    size_bytes: int


class SpareReason(StrEnum):
    """Why a session is in use, so that pruning leaves it alone."""

    LEASE = "lease"
    """Somebody holds its execution lease."""
    INPUT = "input"
    """User input waits in it."""
    WORK = "work"
    """Queued work waits in it."""
    ACTIVITY = "activity"
    """Something was written to it while the pruning was under way."""


@dataclass(frozen=True, slots=True)
class SparedSession:
    """A session that pruning would have chosen, were it not in use."""

    session_id: str
    reason: SpareReason


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What a pruning did or, where it was not `applied`, would do.

    `sessions` go to the trash, from which they can be restored; `purged` are what of the trash is past its grace and
    goes for good. `spared` fit the criteria too, but are in use. `unreadable` are damaged, and stay.
    """

    applied: bool
    sessions: tuple[SessionSummary, ...]
    spared: tuple[SparedSession, ...]
    purged: tuple[TrashedSession, ...]
    unreadable: tuple[UnreadableSession, ...] = ()

    @property
    def session_bytes(self) -> int:
        """Bytes on disk of `sessions`, which are freed once the trash is purged of them."""
        return sum(session.size_bytes for session in self.sessions)

    @property
    def purged_bytes(self) -> int:
        """Bytes on disk of `purged`; what a fork shares is freed with the last that has it."""
        return sum(entry.size_bytes for entry in self.purged)
