"""Whether one copy of a session is a stage that another one has been through."""

from __future__ import annotations

from .decision import View
from .facts import Archive, TraceFact
from .moment import Moment
from .state import SessionState


def has_record(seq: int, mark: str) -> View[bool]:
    """Whether the session has the record of this number and mark, which are those of no other session's history.

    It is known of the records that the change feed reaches back to.
    """

    def view(state: SessionState, archive: Archive, moment: Moment) -> bool:
        if not 0 < seq <= state.seq:
            return False
        if any((number, own) == (seq, mark) for number, own, _, _ in archive.unfolded()):
            return True
        traces = (trace for fact in archive.facts(TraceFact) if isinstance(fact, TraceFact) for trace in fact.traces)
        return any((trace.seq, trace.mark) == (seq, mark) for trace in traces)

    return view
