"""Whether one copy of a session is a stage that another one has been through."""

from __future__ import annotations

from . import feed
from .decision import View
from .facts import Archive
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
        return any((trace.seq, trace.mark) == (seq, mark) for trace in feed.traces(archive, seq))

    return view


def parted_from(seq: int, mark: str) -> View[bool]:
    """Whether the session went another way than the copy of it that ends with the record of this number and mark.

    So it did where it has another record of that number, or none yet. Of records from before the change feed nobody
    knows any more.
    """

    def view(state: SessionState, archive: Archive, moment: Moment) -> bool:
        if seq > state.seq:
            return True
        return any(trace.seq == seq and trace.mark != mark for trace in feed.traces(archive, seq))

    return view
