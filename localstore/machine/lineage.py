"""Whether one copy of a session is a stage that another one has been through."""

from __future__ import annotations

import orjson

from . import feed
from .decision import View
from .facts import Archive, TraceFact
from .moment import Moment
from .state import SessionState


def has_record(seq: int, mark: str) -> View[bool]:
    """Whether the session has the record of this number and mark, which are those of no other session's history.

    It is known of the records that the change feed reaches back to.
    """

    def view(state: SessionState, archive: Archive, moment: Moment) -> bool:
        if seq == 0:
            # Nothing happened yet, which is so of any two sessions; what happened since tells them apart.
            return state.seq == 0
        if seq > state.seq:
            return False
        if any(number == seq and orjson.loads(text)["mark"] == mark for number, text in archive.unfolded()):
            return True
        facts = (fact for fact in archive.facts(TraceFact) if isinstance(fact, TraceFact))
        return any((trace.seq, trace.mark) == (seq, mark) for fact in facts for trace in feed.traces_of(fact))

    return view
