"""Queued work: batches of wake-ups and commands, delivered in order and exactly once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from . import checks
from .constructors import IDENTIFIER, IDENTIFIERS, INTEGER, OPTIONAL_IDENTIFIER, SESSION_ID, each, member, of, quick
from .errors import InvalidArgument
from .leases import LeaseOwnerIdentity
from .values import JsonObject, held


class DeliveryPolicy(StrEnum):
    """When a batch may be taken: at a checkpoint inside a turn already, or only between turns."""

    EARLIEST_SAFE_BOUNDARY = "earliest_safe_boundary"
    AFTER_CURRENT_TURN_COMMIT = "after_current_turn_commit"


class QueuedWorkClass(StrEnum):
    """Work that a turn does, or a command to the session itself."""

    TURN_WORK = "turn_work"
    SESSION_COMMAND = "session_command"


class QueuedWorkClaimBoundary(StrEnum):
    """Where the claimant stands: between turns, or at a checkpoint inside one."""

    IDLE = "idle"
    ACTIVE_TURN_CHECKPOINT = "active_turn_checkpoint"


class SlotPolicy(StrEnum):
    """Whether a batch may share a turn with others of its merge key."""

    JOIN = "join"
    EXCLUSIVE = "exclusive"


@dataclass(frozen=True, slots=True)
class MergeNever:
    """Merge key: joins nothing."""


@dataclass(frozen=True, slots=True)
class MergePayloadDefault:
    """Merge key: joins others with this key."""


@dataclass(frozen=True, slots=True)
class MergeGroup:
    """Merge key: joins others of the same group."""

    group: str

    def __post_init__(self) -> None:
        checks.identifier("group", self.group)


MergeKey: TypeAlias = MergeNever | MergePayloadDefault | MergeGroup


@quick()
@held(wake="object")
@dataclass(frozen=True, slots=True)
class ProcessWake:
    """Turn work: something outside wakes the session."""

    wake: JsonObject

    @property
    def work_class(self) -> QueuedWorkClass:
        """`TURN_WORK`."""
        return QueuedWorkClass.TURN_WORK


@quick()
@held(command="object")
@dataclass(frozen=True, slots=True)
class SessionCommand:
    """A command to the session itself."""

    command: JsonObject

    @property
    def work_class(self) -> QueuedWorkClass:
        """`SESSION_COMMAND`."""
        return QueuedWorkClass.SESSION_COMMAND


QueuedWorkPayload: TypeAlias = ProcessWake | SessionCommand


def _one_class(payloads: tuple[QueuedWorkPayload, ...]) -> None:
    if len({type(payload) for payload in payloads}) != 1:
        raise InvalidArgument("payloads must be one or more, all ProcessWake or all SessionCommand")


@quick(
    session_id=SESSION_ID,
    delivery_policy=member(DeliveryPolicy),
    slot_policy=member(SlotPolicy),
    payloads=each(ProcessWake, SessionCommand),
    source_key=OPTIONAL_IDENTIFIER,
    merge_key=of(MergeNever, MergePayloadDefault, MergeGroup),
    available_at_ms=INTEGER,
)
@dataclass(frozen=True, slots=True)
class QueuedWorkBatchDraft:
    """A batch to enqueue. `available_at_ms` (epoch milliseconds) holds it back until then."""

    session_id: str
    delivery_policy: DeliveryPolicy
    slot_policy: SlotPolicy
    payloads: tuple[QueuedWorkPayload, ...]
    source_key: str | None = None
    merge_key: MergeKey = MergeNever()
    available_at_ms: int = 0

    def __post_init__(self) -> None:
        _one_class(self.payloads)


@quick(
    item_id=IDENTIFIER,
    payload=of(ProcessWake, SessionCommand),
)
@dataclass(frozen=True, slots=True)
class QueuedWorkItem:
    """One payload of a stored batch."""

    item_id: str
    payload: QueuedWorkPayload


@quick(
    batch_id=IDENTIFIER,
    session_id=SESSION_ID,
    enqueue_seq=INTEGER,
    delivery_policy=member(DeliveryPolicy),
    slot_policy=member(SlotPolicy),
    merge_key=of(MergeNever, MergePayloadDefault, MergeGroup),
    available_at_ms=INTEGER,
    enqueued_at_ms=INTEGER,
    items=each(QueuedWorkItem),
    source_key=OPTIONAL_IDENTIFIER,
)
@dataclass(frozen=True, slots=True)
class QueuedWorkBatch:
    """A stored batch. `enqueue_seq` is its place in the session's order, growing by enqueue."""

    batch_id: str
    session_id: str
    enqueue_seq: int
    delivery_policy: DeliveryPolicy
    slot_policy: SlotPolicy
    merge_key: MergeKey
    available_at_ms: int
    enqueued_at_ms: int
    items: tuple[QueuedWorkItem, ...]
    source_key: str | None = None

    def __post_init__(self) -> None:
        _one_class(tuple(item.payload for item in self.items))

    def work_class(self) -> QueuedWorkClass:
        """The class of its payloads, which is one."""
        return self.items[0].payload.work_class


@quick(
    session_id=SESSION_ID,
    claim_id=IDENTIFIER,
    lease_token=IDENTIFIER,
    batch_ids=IDENTIFIERS,
)
@dataclass(frozen=True, slots=True)
class QueuedWorkCompletion:
    """What a commit names to complete the batches of a claim."""

    session_id: str
    claim_id: str
    lease_token: str
    batch_ids: tuple[str, ...]


@quick(
    session_id=SESSION_ID,
    claim_id=IDENTIFIER,
    owner=of(LeaseOwnerIdentity),
    lease_token=IDENTIFIER,
    fencing_token=INTEGER,
    claimed_at_epoch_ms=INTEGER,
    expires_at_epoch_ms=INTEGER,
    batches=each(QueuedWorkBatch),
)
@dataclass(frozen=True, slots=True)
class QueuedWorkClaim:
    """Batches held by one claimant until `expires_at_epoch_ms`; each re-claim has a higher `fencing_token`."""

    session_id: str
    claim_id: str
    owner: LeaseOwnerIdentity
    lease_token: str
    fencing_token: int
    claimed_at_epoch_ms: int
    expires_at_epoch_ms: int
    batches: tuple[QueuedWorkBatch, ...]

    def completion(self) -> QueuedWorkCompletion:
        """What a commit names to complete all batches of this claim."""
        ids = tuple(batch.batch_id for batch in self.batches)
        return QueuedWorkCompletion(self.session_id, self.claim_id, self.lease_token, ids)
