"""The rows of the attachment manifest."""

from __future__ import annotations

from dataclasses import replace

from ..contract.attachments import AttachmentIntent, AttachmentManifestEntry
from ..contract.errors import InvalidCommit
from .decision import Decide, Decision, View
from .events import AttachmentsForgotten, AttachmentsWritten
from .facts import Archive, AttachmentFact
from .moment import Moment
from .state import SessionState


def row_of(state: SessionState, fact: AttachmentFact) -> AttachmentManifestEntry | None:
    """The row that the newest fact of an attachment comes to, or `None` where it was forgotten.

    Of a fork's parent the committed rows are the child's too; whether the others ever are is the parent's affair.
    """
    if fact.forgotten:
        return None
    if state.owns(fact.seq):
        return fact.entry
    return None if fact.entry.committed_at_epoch_ms is None else replace(fact.entry, session_id=state.session_id)


def find_row(state: SessionState, archive: Archive, attachment_id: str) -> AttachmentManifestEntry | None:
    """The row, or `None` when there is none or it was forgotten."""
    fact = archive.find(f"a:{attachment_id}")
    return row_of(state, fact) if isinstance(fact, AttachmentFact) else None


def stamped(
    state: SessionState, archive: Archive, attachment_ids: tuple[str, ...], now_ms: int
) -> tuple[AttachmentManifestEntry, ...]:
    """The named rows that were not committed yet, stamped now; `InvalidCommit` for an id without a row."""
    rows = []
    for attachment_id in dict.fromkeys(attachment_ids):
        row = find_row(state, archive, attachment_id)
        if row is None:
            raise InvalidCommit(f"attachment {attachment_id!r} has no manifest row; record its intent first")
        if row.committed_at_epoch_ms is None:
            rows.append(replace(row, committed_at_epoch_ms=now_ms))
    return tuple(rows)


def record_intent(intent: AttachmentIntent) -> Decide[None]:
    """Write the row, unless there is one: what was committed stays committed.

    An intent that comes again later makes an uncommitted row that much younger, or a sweep could take bytes that are
    just being put again.
    """

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[None]:
        row = find_row(state, archive, intent.attachment_id)
        if row is not None:
            is_later = row.committed_at_epoch_ms is None and row.intent_at_epoch_ms < intent.intent_at_epoch_ms
            younger = replace(row, intent_at_epoch_ms=intent.intent_at_epoch_ms)
            return Decision((AttachmentsWritten((younger,)),) if is_later else (), None)
        entry = AttachmentManifestEntry(
            intent.attachment_id, intent.session_id, intent.canonical_uri, intent.intent_at_epoch_ms
        )
        return Decision((AttachmentsWritten((entry,), new=1),), None)

    return decide


def commit_refs(attachment_ids: tuple[str, ...]) -> Decide[None]:
    """Stamp the rows committed."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[None]:
        rows = stamped(state, archive, attachment_ids, moment.now_ms)
        return Decision((AttachmentsWritten(rows),) if rows else (), None)

    return decide


def list_uncommitted(older_than_ms: int) -> View[tuple[AttachmentManifestEntry, ...]]:
    """Rows never committed, with an intent at or before `older_than_ms`, oldest first."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> tuple[AttachmentManifestEntry, ...]:
        old = (row for row in state.uncommitted.values() if row.intent_at_epoch_ms <= older_than_ms)
        return tuple(sorted(old, key=lambda row: row.intent_at_epoch_ms))

    return view


def forget(attachment_id: str) -> Decide[None]:
    """Drop the row, committed or not."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[None]:
        row = find_row(state, archive, attachment_id)
        return Decision(() if row is None else (AttachmentsForgotten((row,)),), None)

    return decide


def forget_orphans(older_than_ms: int) -> Decide[tuple[AttachmentManifestEntry, ...]]:
    """Drop every row that `list_uncommitted` would list; the result is these rows."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[tuple[AttachmentManifestEntry, ...]]:
        rows = list_uncommitted(older_than_ms)(state, archive, moment)
        return Decision((AttachmentsForgotten(rows),) if rows else (), rows)

    return decide


def named_ids() -> View[frozenset[str]]:
    """The ids that a row of this session names."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> frozenset[str]:
        if state.attachment_row_count == 0:
            return frozenset()
        named: dict[str, bool] = {}
        for fact in archive.facts(AttachmentFact):
            if isinstance(fact, AttachmentFact):
                named[fact.entry.attachment_id] = row_of(state, fact) is not None
        return frozenset(attachment_id for attachment_id, kept in named.items() if kept)

    return view
