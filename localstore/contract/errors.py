"""Every error that the store raises.

```
Exception
└── StoreError
    ├── InvalidArgument                    (also a ValueError) a value that the contract does not admit
    ├── BackendError                       the file system, or a backend that lacks a feature
    ├── StoreClosed                        the handle or its store was closed
    ├── SessionNotFound                    no such session, or it was deleted under the handle
    ├── SessionExists                      the id of a fork or of a restored session is taken
    ├── TrashedSessionNotFound             no such deleted session in the trash
    ├── NodeNotFound                       the asked leaf is unknown or tombstoned
    ├── BranchNotFound                     no branch of this name
    ├── BranchExists                       the name of a new branch is taken
    ├── NothingToUndo                      no move of the head is left that could be taken back
    ├── AttachmentNotFound                 no attachment bytes under this id
    ├── SessionBindingMismatch             a record of one session given to the handle of another
    ├── HeadRevisionConflict               somebody else committed first
    ├── RuntimeTurnCommitConflict          this turn was committed with other content
    ├── SessionExecutionLeaseExpired       the lease is missing, stale, superseded, released or expired
    ├── SessionExecutionLeaseHeld          somebody else holds the lease that the call would take for itself
    ├── InvalidCommit                      the graph, a ref or an attachment of the commit does not hold
    ├── QueuedWorkClaimExpired             the claim no longer owns its batches
    ├── TurnInputClaimExpired              the claim no longer owns its inputs
    ├── PendingTurnInputSourceKeyConflict  a source key used again for other content
    ├── CorruptRecord                      bytes on disk that are not what was written
    └── RecordSchemaVersionError
        ├── UnsupportedRecordSchemaVersion
        ├── MissingRecordSchemaVersion
        └── InvalidRecordSchemaVersion
```

An error's facts are attributes; all of them pickle. A `BackendError` that comes from the operating system has that
`OSError` as its `__cause__`.
"""

from __future__ import annotations

from typing import Any


def _rebuild(cls: type[StoreError], args: tuple[Any, ...], facts: dict[str, Any]) -> StoreError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(facts)
    return error


class StoreError(Exception):
    """The root of all errors of this package. `str(error)` says what was wrong, where, and what to do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class InvalidArgument(StoreError, ValueError):
    """A value that the contract does not admit. Nothing was written."""


class BackendError(StoreError):
    """The backend could not do it: disk full, permission, I/O, a lock that stays held, or a feature it lacks.

    The state is the one before the call, and the call may be tried again once the cause is gone.
    """


class StoreClosed(StoreError):
    """The handle, or the store it came from, was closed. Open it again."""

    def __init__(self, what: str = "the store") -> None:
        super().__init__(f"{what} is closed; open it again to use it")


class SessionNotFound(StoreError):
    """The session does not exist, or it was deleted (and perhaps made again) since the handle was opened."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id!r} does not exist or was deleted; open or create it again")
        self.session_id = session_id


class SessionExists(StoreError):
    """A fork or a restored session cannot have this id, for there is a session of it. Choose another, or delete it."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id!r} exists already; choose another id, or delete it first")
        self.session_id = session_id


class TrashedSessionNotFound(StoreError):
    """The trash has no such session: it was never deleted, or was restored or purged since."""

    def __init__(self, session_id: str, deleted_at_ms: int | None = None) -> None:
        when = "" if deleted_at_ms is None else f" that was deleted at {deleted_at_ms} ms of the epoch"
        super().__init__(f"the trash has no session {session_id!r}{when}; list the trash to see what it has")
        self.session_id = session_id
        self.deleted_at_ms = deleted_at_ms


class NodeNotFound(StoreError):
    """The node that was asked for as a leaf is unknown or tombstoned."""

    def __init__(self, node_id: str) -> None:
        super().__init__(f"node {node_id!r} is unknown or tombstoned in this session")
        self.node_id = node_id


class BranchNotFound(StoreError):
    """The session has no branch of this name."""

    def __init__(self, session_id: str, branch: str) -> None:
        super().__init__(f"session {session_id!r} has no branch {branch!r}; list its branches, or create it")
        self.session_id = session_id
        self.branch = branch


class BranchExists(StoreError):
    """The session has a branch of this name. Drop it first, or choose another name."""

    def __init__(self, session_id: str, branch: str) -> None:
        super().__init__(f"session {session_id!r} has a branch {branch!r} already; drop it, or choose another name")
        self.session_id = session_id
        self.branch = branch


class NothingToUndo(StoreError):
    """Every move of the head since the session began, or was forked, has been taken back."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id!r} has no move of its head left to undo")
        self.session_id = session_id


class AttachmentNotFound(StoreError):
    """No attachment bytes are stored under this id."""

    def __init__(self, attachment_id: str) -> None:
        super().__init__(f"no attachment {attachment_id!r} is stored; it was never put, or it was swept")
        self.attachment_id = attachment_id


class SessionBindingMismatch(StoreError):
    """A record that names one session was given to the handle of another."""

    def __init__(self, bound_session_id: str, attempted_session_id: str) -> None:
        super().__init__(
            f"this handle is bound to session {bound_session_id!r}, the record names {attempted_session_id!r};"
            " use the handle of that session"
        )
        self.bound_session_id = bound_session_id
        self.attempted_session_id = attempted_session_id


class HeadRevisionConflict(StoreError):
    """The head moved since the caller read it. Load again, and commit on top of `actual`."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"expected head revision {expected}, it is {actual}; load again and retry")
        self.expected = expected
        self.actual = actual


class RuntimeTurnCommitConflict(StoreError):
    """The turn was already committed with other content, or the stamp names another session."""

    def __init__(self, session_id: str, turn_id: str) -> None:
        super().__init__(
            f"turn {turn_id!r} cannot be committed to session {session_id!r}: its stamp names another session,"
            " or the turn was already committed with another hash"
        )
        self.session_id = session_id
        self.turn_id = turn_id


class SessionExecutionLeaseExpired(StoreError):
    """The execution lease is missing, stale, superseded, released or expired. Claim it again before writing."""

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"no live execution lease on session {session_id!r} with this fence: it is missing, stale, superseded,"
            " released or expired; claim the lease again"
        )
        self.session_id = session_id


class SessionExecutionLeaseHeld(StoreError):
    """The call would take the execution lease for itself, and `owner_id` holds it."""

    def __init__(self, session_id: str, owner_id: str, expires_at_epoch_ms: int) -> None:
        super().__init__(
            f"the execution lease of session {session_id!r} is held by {owner_id!r} and expires at"
            f" {expires_at_epoch_ms} ms of the epoch; wait until it is free, or pass the fence of your own lease"
        )
        self.session_id = session_id
        self.owner_id = owner_id
        self.expires_at_epoch_ms = expires_at_epoch_ms


class InvalidCommit(StoreError):
    """The commit's graph, one of its refs, or one of its attachments does not hold. Nothing was changed."""


class QueuedWorkClaimExpired(StoreError):
    """The claim no longer owns every batch it names: drop the work, another worker has it or it is done."""

    def __init__(self, session_id: str, claim_id: str) -> None:
        super().__init__(f"queued-work claim {claim_id!r} of session {session_id!r} no longer owns its batches")
        self.session_id = session_id
        self.claim_id = claim_id


class TurnInputClaimExpired(StoreError):
    """The claim no longer owns every input it names: drop them, another worker has them or they are done."""

    def __init__(self, session_id: str, claim_id: str) -> None:
        super().__init__(f"turn-input claim {claim_id!r} of session {session_id!r} no longer owns its inputs")
        self.session_id = session_id
        self.claim_id = claim_id


class PendingTurnInputSourceKeyConflict(StoreError):
    """The source key is known, with other content. Use a new key for new input."""

    def __init__(self, session_id: str, source_key: str, existing_input_id: str) -> None:
        super().__init__(
            f"source key {source_key!r} of session {session_id!r} already belongs to input {existing_input_id!r}"
            " with other content; use a new key"
        )
        self.session_id = session_id
        self.source_key = source_key
        self.existing_input_id = existing_input_id


class CorruptRecord(StoreError):
    """Bytes on disk that are not what was written. The file is left alone; `localstore check` says more."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} is damaged: {reason}; run `localstore check` on the store")
        self.path = path
        self.reason = reason


class RecordSchemaVersionError(StoreError):
    """A record of another format version. The file is left alone."""


class UnsupportedRecordSchemaVersion(RecordSchemaVersionError):
    """The record was written by another version of the format than this package reads."""

    def __init__(self, record_kind: str, actual: int, expected: int) -> None:
        super().__init__(
            f"a {record_kind} record has schema version {actual}, this package reads {expected};"
            " use the release that wrote it, or upgrade"
        )
        self.record_kind = record_kind
        self.actual = actual
        self.expected = expected


class MissingRecordSchemaVersion(RecordSchemaVersionError):
    """The record has no schema version, so nothing tells how to read it."""

    def __init__(self, record_kind: str, expected: int) -> None:
        super().__init__(f"a {record_kind} record has no schema version, expected {expected}; it was not written by us")
        self.record_kind = record_kind
        self.expected = expected


class InvalidRecordSchemaVersion(RecordSchemaVersionError):
    """The record's schema version is not an integer, so nothing tells how to read it."""

    def __init__(self, record_kind: str, actual: object, expected: int) -> None:
        super().__init__(f"a {record_kind} record has schema version {actual!r}, expected the integer {expected}")
        self.record_kind = record_kind
        self.actual = actual
        self.expected = expected
