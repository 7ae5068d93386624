"""One session of the rules alone: what each call decides is carried out at once, and kept to be looked at."""

from __future__ import annotations

from itertools import count
from typing import Any

from localstore import RuntimeCommit, RuntimeCommitResult, SessionExecutionLease
from localstore.machine import commits, feed, leases
from localstore.machine.apply import apply_record
from localstore.machine.decision import Decide
from localstore.machine.events import Committed, Event
from localstore.machine.facts import Recent
from localstore.machine.moment import Moment
from localstore.machine.state import SessionState
from localstore.testing import SESSION, START_MS, owner

BOOT = "one boot"
HOUR = 3_600_000


def mark_of(seq: int) -> str:
    return f"mark-{seq}"


class PureSession:
    def __init__(self) -> None:
        self.state = SessionState(SESSION, "incarnation")
        self.recent = Recent()
        self.boot_id = BOOT
        self.events: tuple[Event, ...] = ()
        self._fresh = count()

    def moment(self) -> Moment:
        return Moment(START_MS, self.boot_id, None, lambda: f"id-{next(self._fresh)}", lambda holder, claimant: False)

    def do(self, decide: Decide[Any]) -> Any:
        decision = decide(self.state, self.recent, self.moment())
        self.events = decision.events
        if decision.events:
            seq = self.state.seq + 1
            apply_record(self.state, self.recent, seq, START_MS, decision.events, mark_of(seq))
        return decision.result

    def fold(self) -> None:
        """Keep the traces of the records as a fold does."""
        self.recent.add(feed.gathered(self.recent.records))
        self.recent.records = []

    def lease(self) -> SessionExecutionLease:
        lease: SessionExecutionLease = self.do(leases.try_claim(owner(), HOUR)).lease
        return lease

    def commit(self, request: RuntimeCommit) -> Committed:
        """The event of a commit under the lease."""
        fence = self.lease().fence()
        result = self.do(commits.commit(request.with_session_execution_lease(fence)))
        assert isinstance(result, RuntimeCommitResult)
        committed = self.events[0]
        assert isinstance(committed, Committed)
        return committed
