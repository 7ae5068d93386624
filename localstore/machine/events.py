"""What can happen to a session. One call writes its events as one journal record, all or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ..contract.attachments import AttachmentManifestEntry
from ..contract.graph import SessionNodeRecord
from ..contract.inputs import TurnInputState
from ..contract.leases import SessionExecutionLease
from ..contract.sessions import SessionMeta
from ..contract.state import (
    AgentFrameRecord,
    BlobRef,
    PersistedSessionConfig,
    SessionCheckpoint,
    TokenLedgerEntry,
)
from ..contract.work import QueuedWorkBatch
from .facts import StoredInput
from .moment import Deadline
from .state import HeldClaim, Summary


@dataclass(frozen=True, slots=True)
class Value:
    """Content to store under its SHA-256."""

    ref: BlobRef
    content: bytes


@dataclass(frozen=True, slots=True)
class MetaSaved:
    meta: SessionMeta


@dataclass(frozen=True, slots=True)
class LeaseSet:
    """The lease was claimed, claimed again or renewed, during the boot `boot_id`."""

    lease: SessionExecutionLease
    deadline: Deadline
    boot_id: str


@dataclass(frozen=True, slots=True)
class LeaseCleared:
    pass


@dataclass(frozen=True, slots=True)
class InputEnqueued:
    stored: StoredInput
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class InputsClaimed:
    claim: HeldClaim
    input_ids: tuple[str, ...]
    boot_id: str


@dataclass(frozen=True, slots=True)
class InputsReleased:
    input_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InputsDeferred:
    input_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InputsSettled:
    """Inputs were completed or cancelled, as `state` says."""

    input_ids: tuple[str, ...]
    state: TurnInputState


@dataclass(frozen=True, slots=True)
class WorkEnqueued:
    batch: QueuedWorkBatch


@dataclass(frozen=True, slots=True)
class WorkClaimed:
    claim: HeldClaim
    batch_ids: tuple[str, ...]
    boot_id: str


@dataclass(frozen=True, slots=True)
class WorkRenewed:
    batch_ids: tuple[str, ...]
    deadline: Deadline


@dataclass(frozen=True, slots=True)
class WorkReleased:
    batch_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkRemoved:
    """Batches left the queue, completed or (`cancelled`) taken back."""

    batch_ids: tuple[str, ...]
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Committed:
    """The graph and the head part of a turn commit. `config` and `frames` are `None` where they did not change."""

    revision: int
    leaf_node_id: str | None
    nodes: tuple[SessionNodeRecord, ...]
    replaces_graph: bool
    checkpoint_ref: BlobRef
    manifest: SessionCheckpoint
    summary: Summary
    config: PersistedSessionConfig | None = None
    frames: tuple[AgentFrameRecord, ...] | None = None
    current_frame_id: str | None = None
    usage_deltas: tuple[TokenLedgerEntry, ...] = ()
    values: tuple[Value, ...] = ()
    revived: int = 0
    dangling: tuple[str, ...] = ()
    turn_id: str | None = None
    turn_commit_hash: str | None = None


@dataclass(frozen=True, slots=True)
class NodesTombstoned:
    node_ids: tuple[str, ...]
    leaf_node_id: str | None
    summary: Summary


@dataclass(frozen=True, slots=True)
class AttachmentsWritten:
    """Rows of the attachment manifest are new or newly stamped: `new` of them were not there before."""

    entries: tuple[AttachmentManifestEntry, ...]
    new: int = 0


@dataclass(frozen=True, slots=True)
class AttachmentsForgotten:
    entries: tuple[AttachmentManifestEntry, ...]


@dataclass(frozen=True, slots=True)
class ValuesDropped:
    """Values that nothing live refers to were collected. Upkeep, not activity."""

    refs: tuple[BlobRef, ...]


Event: TypeAlias = (
    MetaSaved
    | LeaseSet
    | LeaseCleared
    | InputEnqueued
    | InputsClaimed
    | InputsReleased
    | InputsDeferred
    | InputsSettled
    | WorkEnqueued
    | WorkClaimed
    | WorkRenewed
    | WorkReleased
    | WorkRemoved
    | Committed
    | NodesTombstoned
    | AttachmentsWritten
    | AttachmentsForgotten
    | ValuesDropped
)
