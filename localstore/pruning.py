"""Which sessions a pruning chooses: the longest unused ones first, and none that is in use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .contract.leases import LeaseOwnerIdentity
from .contract.sessions import SessionSummary
from .contract.trash import SpareReason
from .machine.decision import View
from .machine.facts import Archive
from .machine.leases import live_lease
from .machine.moment import Moment
from .machine.state import SessionState


@dataclass(frozen=True, slots=True)
class Limits:
    """What a session may be without being chosen; `None` where there is no limit.

    `older_than_ms` is the time without activity, `max_bytes` and `max_sessions` are of all sessions together.
    """

    older_than_ms: int | None = None
    max_bytes: int | None = None
    max_sessions: int | None = None


@dataclass(slots=True)
class Choice:
    """The sessions that are beyond the limits, and those of them that are spared."""

    chosen: list[SessionSummary]
    spared: list[tuple[SessionSummary, SpareReason]]


def choose(
    sessions: Iterable[SessionSummary],
    limits: Limits,
    now_ms: int,
    in_use: Callable[[SessionSummary], SpareReason | None],
) -> Choice:
    """Go through the sessions from the longest unused one on, until those that are left keep the limits."""
    rows = sorted(sessions, key=lambda row: (row.updated_at_ms, row.session_id))
    left, left_bytes = len(rows), sum(row.size_bytes for row in rows)
    choice = Choice([], [])
    for row in rows:
        is_old = limits.older_than_ms is not None and now_ms - row.updated_at_ms >= limits.older_than_ms
        is_many = limits.max_sessions is not None and left > limits.max_sessions
        is_much = limits.max_bytes is not None and left_bytes > limits.max_bytes
        if not (is_old or is_many or is_much):
            continue
        reason = in_use(row)
        if reason is not None:
            choice.spared.append((row, reason))
            continue
        choice.chosen.append(row)
        left, left_bytes = left - 1, left_bytes - row.size_bytes
    return choice


def uses() -> View[SpareReason | None]:
    """Why the session is in use, or `None` where it is not. Who is proved to be dead does not hold it."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> SpareReason | None:
        lease = live_lease(state, moment)
        if lease is not None and not moment.is_dead(lease.owner, LeaseOwnerIdentity.local_process("localstore", "1")):
            return SpareReason.LEASE
        if state.inputs or state.damaged_inputs is not None:
            return SpareReason.INPUT
        return SpareReason.WORK if state.work or state.damaged_work is not None else None

    return view


def stays(seen: SessionSummary, *, force: bool) -> View[bool]:
    """Whether the session must stay after all: it is not as `seen` any more, or it is in use."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> bool:
        if state.updated_at_ms != seen.updated_at_ms or state.revision != seen.head_revision:
            return True
        return not force and uses()(state, archive, moment) is not None

    return view
