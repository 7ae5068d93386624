"""The change feed, from the records themselves: recent ones as they are, folded ones as traces of their events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import orjson

from ..contract.attachments import AttachmentManifestEntry
from ..contract.errors import CorruptRecord
from ..contract.feed import Change, ChangeBatch, ChangeKind, CursorExpired
from ..contract.inputs import TurnInputState
from ..contract.values import EncodedJson, JsonValue
from . import events as ev
from .decision import View
from .encoding import Malformed, load
from .facts import Archive, Trace, TracedChange, TraceFact, Unfolded
from .moment import Moment
from .state import SessionState

KEPT = 4096
"""The latest changes that are kept at least, whatever is folded, merged or vacuumed."""

_MOVES = (ev.Committed, ev.HeadMoved)
"""The events that have a revision."""


def trace(seq: int, mark: str, at_ms: int, events: Iterable[ev.Event]) -> bytes:
    """What is remembered of a record, a `Trace` as JSON: `mark` tells it from another record with the same number.

    It is `[seq, mark, at_ms, change, ...]`, a change `[kind, id, ..., revision]`, the revision where there is one.
    """
    told: list[Any] = [seq, mark, at_ms]
    for event in events:
        kind, ids = _DESCRIBE[type(event)](event)
        told.append([kind, *ids, event.revision] if isinstance(event, _MOVES) else [kind, *ids])
    return orjson.dumps(told)


def _retold(found: Trace) -> bytes:
    changes = ([each.kind, *each.ids, *(() if each.revision is None else (each.revision,))] for each in found.changes)
    return orjson.dumps([found.seq, found.mark, found.at_ms, *changes])


def _load_trace(found: JsonValue) -> Trace:
    if isinstance(found, dict):  # as they were written at first
        return load(Trace, found)
    if not isinstance(found, list) or [type(each) for each in found[:3]] != [int, str, int]:
        raise Malformed("a trace lacks its number, mark or time")
    seq, mark, at_ms, *changes = found
    return Trace(seq, mark, at_ms, tuple([_load_change(each) for each in changes]))


def _load_change(found: JsonValue) -> TracedChange:
    if not isinstance(found, list):
        raise Malformed("a change is no list")
    revision = found[-1] if found and type(found[-1]) is int else None
    words = found if revision is None else found[:-1]
    if not words or any(type(each) is not str for each in words):
        raise Malformed("a change is more than its kind, ids and revision")
    kind, *ids = words
    try:
        return TracedChange(ChangeKind(kind), tuple(ids), revision)
    except ValueError as error:
        raise Malformed(str(error)) from error


def gathered(records: Sequence[Unfolded]) -> TraceFact:
    """The fact that keeps the traces of these records, of which there is one at least.

    In a run of commits that are each a record's only change, all but the first are told by the one before: such a trace
    is `[mark, milliseconds since, id, ...]`, and its revision is one higher.
    """
    told: list[bytes] = []
    before: list[Any] | None = None
    for _, text in records:
        found = orjson.loads(text) if _is_commit(text) else None
        told.append(text if found is None else _after(before, found) or text)
        before = found
    return TraceFact(records[-1][0], EncodedJson(b"[%b]" % b",".join(told)))  # type: ignore[arg-type]


def _is_commit(text: bytes) -> bool:
    """Whether a trace is seen to be of a commit and nothing else, or of no more than looks like it."""
    return text[-1:] == b"]" and text.count(b"[", 0, 4096) == 2 and b',["committed",' in text


def _after(before: list[Any] | None, found: list[Any]) -> bytes | None:
    """The trace of a commit as it is told by the one before, or `None` where it does not follow it."""
    if before is None or len(before) != 4 or len(found) != 4:
        return None
    seq, mark, at_ms, (kind, *ids, revision) = found
    last_seq, _, last_at_ms, (last_kind, *_, last_revision) = before
    if kind != ChangeKind.COMMITTED or kind != last_kind or seq != last_seq + 1 or revision != last_revision + 1:
        return None
    return orjson.dumps([mark, at_ms - last_at_ms, *ids])


class _Before:
    """What the traces of a list said last: what follows may be told by it."""

    def __init__(self) -> None:
        self.seq: int | None = None
        self.at_ms = 0
        self.revision: int | None = None

    def trace(self, found: JsonValue) -> Trace:
        """The trace that was told so."""
        if not isinstance(found, list) or not found or type(found[0]) is not str:
            return self.note(_load_trace(found))
        mark, elapsed, *ids = found if len(found) > 1 else [*found, None]
        if self.seq is None or self.revision is None or type(elapsed) is not int:
            raise Malformed("a trace does not say what it follows")
        if any(type(each) is not str for each in ids):
            raise Malformed("a trace names what is no id")
        change = TracedChange(ChangeKind.COMMITTED, tuple(ids), self.revision + 1)
        return self.note(Trace(self.seq + 1, mark, self.at_ms + elapsed, (change,)))

    def note(self, trace: Trace) -> Trace:
        """Go on from this trace."""
        self.seq, self.at_ms = trace.seq, trace.at_ms
        revisions = [each.revision for each in trace.changes if each.revision is not None]
        self.revision = revisions[-1] if revisions else self.revision
        return trace


def traces_of(fact: TraceFact) -> list[Trace]:
    """The traces in a fact."""
    try:
        return _load_traces(fact.traces)
    except Malformed as error:
        raise CorruptRecord("a line of traces", str(error)) from error


def _load_traces(found: JsonValue) -> list[Trace]:
    if not isinstance(found, list):
        raise Malformed("the traces are no list")
    before = _Before()
    return [before.trace(each) for each in found]


def _settled(event: ev.InputsSettled) -> tuple[ChangeKind, tuple[str, ...]]:
    completed = event.state is TurnInputState.COMPLETED
    return ChangeKind.INPUTS_COMPLETED if completed else ChangeKind.INPUTS_CANCELLED, event.input_ids


def _removed(event: ev.WorkRemoved) -> tuple[ChangeKind, tuple[str, ...]]:
    return ChangeKind.WORK_CANCELLED if event.cancelled else ChangeKind.WORK_COMPLETED, event.batch_ids


def _rows(entries: tuple[AttachmentManifestEntry, ...]) -> tuple[str, ...]:
    return tuple([row.attachment_id for row in entries])


_DESCRIBE: dict[type, Callable[[Any], tuple[ChangeKind, tuple[str, ...]]]] = {
    ev.Committed: lambda event: (ChangeKind.COMMITTED, tuple([node.node_id for node in event.nodes])),
    ev.NodesTombstoned: lambda event: (ChangeKind.NODES_TOMBSTONED, event.node_ids),
    ev.HeadMoved: lambda event: (ChangeKind.HEAD_MOVED, () if event.leaf_node_id is None else (event.leaf_node_id,)),
    ev.BranchCreated: lambda event: (ChangeKind.BRANCHES_CHANGED, (event.name,)),
    ev.BranchDropped: lambda event: (ChangeKind.BRANCHES_CHANGED, (event.name,)),
    ev.InputEnqueued: lambda event: (ChangeKind.INPUT_ENQUEUED, (event.stored.record.input_id,)),
    ev.InputsClaimed: lambda event: (ChangeKind.INPUTS_CLAIMED, event.input_ids),
    ev.InputsReleased: lambda event: (ChangeKind.INPUTS_RELEASED, event.input_ids),
    ev.InputsDeferred: lambda event: (ChangeKind.INPUTS_DEFERRED, event.input_ids),
    ev.InputsSettled: _settled,
    ev.WorkEnqueued: lambda event: (ChangeKind.WORK_ENQUEUED, (event.batch.batch_id,)),
    ev.WorkClaimed: lambda event: (ChangeKind.WORK_CLAIMED, event.batch_ids),
    ev.WorkRenewed: lambda event: (ChangeKind.WORK_RENEWED, event.batch_ids),
    ev.WorkReleased: lambda event: (ChangeKind.WORK_RELEASED, event.batch_ids),
    ev.WorkRemoved: _removed,
    ev.LeaseSet: lambda event: (ChangeKind.LEASE_SET, (event.lease.owner.owner_id,)),
    ev.LeaseCleared: lambda event: (ChangeKind.LEASE_CLEARED, ()),
    ev.MetaSaved: lambda event: (ChangeKind.META_SAVED, ()),
    ev.AttachmentsWritten: lambda event: (ChangeKind.ATTACHMENTS_WRITTEN, _rows(event.entries)),
    ev.AttachmentsForgotten: lambda event: (ChangeKind.ATTACHMENTS_FORGOTTEN, _rows(event.entries)),
    ev.ValuesDropped: lambda event: (ChangeKind.VALUES_DROPPED, event.refs),
}
"""What each event is called in the feed, and whose ids it changed."""


def _cursor(state: SessionState, seq: int, mark: str) -> str:
    return f"{state.incarnation}.{seq}.{mark}"


def _parse(state: SessionState, cursor: str) -> tuple[int, str]:
    incarnation, _, rest = cursor.rpartition(".")[0].rpartition(".")
    seq, mark = rest, cursor.rpartition(".")[2]
    if incarnation != state.incarnation or not seq.isdecimal():
        raise CursorExpired(cursor, "it is of another session, or of another life of this one")
    return int(seq), mark


def changes(since: str | None, limit: int | None = None) -> View[ChangeBatch]:
    """The changes after `since` (from the oldest that is kept, where it is `None`), of at most `limit` calls."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> ChangeBatch:
        # What was before a fork is the parent's to tell.
        after, mark = (state.inherited_seq + 1, "") if since is None else _parse(state, since)
        told = list(traces(archive, after))
        if since is not None:
            told = _behind(since, after, mark, state, told)
        found: list[Change] = []
        for each in told if limit is None else told[:limit]:
            cursor = _cursor(state, each.seq, each.mark)
            found.extend(
                Change(each.seq, each.at_ms, change.kind, change.ids, change.revision, cursor)
                for change in each.changes
            )
        if found:
            return ChangeBatch(tuple(found), found[-1].cursor)
        return ChangeBatch((), since or _cursor(state, state.seq, ""))

    return view


def news(since: str | None, limit: int) -> View[ChangeBatch]:
    """As `changes`; where no call followed the cursor that is seen without reading what is kept of earlier ones.

    It takes the mark of the cursor at its word until then.
    """

    def view(state: SessionState, archive: Archive, moment: Moment) -> ChangeBatch:
        if since is not None and _parse(state, since)[0] == state.seq:
            return ChangeBatch((), since)
        return changes(since, limit)(state, archive, moment)

    return view


def _behind(since: str, after: int, mark: str, state: SessionState, traces: list[Trace]) -> list[Trace]:
    """The traces behind the cursor, if they continue it without a gap."""
    if after > state.seq:
        raise CursorExpired(since, "it is of a record that was lost")
    if traces and traces[0].seq == after:
        if mark and traces[0].mark != mark:
            raise CursorExpired(since, "its record was lost, and another has its number")
        return traces[1:]
    if after < state.seq and (not traces or traces[0].seq != after + 1):
        raise CursorExpired(since, "it is too old")
    return traces


def traces(archive: Archive, since: int) -> Iterator[Trace]:
    """The traces from record `since` on, oldest first."""
    recent = list(archive.unfolded())
    # Records are without gaps: where the recent ones reach back far enough, nothing is read.
    for fact in () if recent and recent[0][0] <= since else archive.facts(TraceFact):
        if isinstance(fact, TraceFact) and fact.seq >= since:
            yield from (each for each in traces_of(fact) if each.seq >= since)
    yield from (_load_trace(orjson.loads(text)) for seq, text in recent if seq >= since)


def kept_traces(archive: Archive) -> list[Unfolded]:
    """The latest traces that a vacuum keeps."""
    return [(each.seq, _retold(each)) for each in list(traces(archive, 0))[-KEPT:]]
