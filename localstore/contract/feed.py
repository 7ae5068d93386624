"""The change feed: what happened to a session, in order and without gaps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .errors import StoreError


class ChangeKind(StrEnum):
    """What a change did."""

    COMMITTED = "committed"
    HEAD_MOVED = "head_moved"
    NODES_TOMBSTONED = "nodes_tombstoned"
    INPUT_ENQUEUED = "input_enqueued"
    INPUTS_CLAIMED = "inputs_claimed"
    INPUTS_RELEASED = "inputs_released"
    INPUTS_DEFERRED = "inputs_deferred"
    INPUTS_COMPLETED = "inputs_completed"
    INPUTS_CANCELLED = "inputs_cancelled"
    WORK_ENQUEUED = "work_enqueued"
    WORK_CLAIMED = "work_claimed"
    WORK_RENEWED = "work_renewed"
    WORK_RELEASED = "work_released"
    WORK_COMPLETED = "work_completed"
    WORK_CANCELLED = "work_cancelled"
    LEASE_SET = "lease_set"
    LEASE_CLEARED = "lease_cleared"
    META_SAVED = "meta_saved"
    ATTACHMENTS_WRITTEN = "attachments_written"
    ATTACHMENTS_FORGOTTEN = "attachments_forgotten"
    VALUES_DROPPED = "values_dropped"
    BRANCHES_CHANGED = "branches_changed"
    REDACTED = "redacted"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a session.

    Changes of one call share `seq`, which grows by one a call. `ids` are those of the nodes, inputs, batches, values or
    attachments that changed, `revision` is the head's after a commit. `cursor` continues the feed behind this call: the
    changes of a call are given together, so that none of them can be lost between two reads.
    """

    seq: int
    at_ms: int
    kind: ChangeKind
    ids: tuple[str, ...]
    revision: int | None
    cursor: str


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """Changes in order, and the cursor to go on from."""

    changes: tuple[Change, ...]
    cursor: str


class CursorExpired(StoreError):
    """The feed cannot be continued from this cursor: it is too old, or of another session or another life of it.

    Read the session anew, and follow from the cursor of an empty `changes()`.
    """

    def __init__(self, cursor: str, reason: str) -> None:
        super().__init__(f"cursor {cursor!r} cannot be continued: {reason}; read the session anew and start over")
        self.cursor = cursor
        self.reason = reason
