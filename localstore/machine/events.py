"""What can happen to a session. One call writes its events as one journal record, all or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from ..contract.attachments import AttachmentManifestEntry
from ..contract.graph import SessionNodeRecord
from ..contract.history import HeadMoveKind
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
from ..contract.values import JsonObject, held
from ..contract.work import QueuedWorkBatch
from .facts import StoredInput
from .moment import Deadline
from .state import HeldClaim, Summary

TRANSIENT = {"transient": True}
"""Marks a field that is not written: it saves work where the event was just made, and is made anew where it is read."""


@dataclass(slots=True)
class Value:
    """Content to store under its SHA-256."""

    ref: BlobRef
    content: bytes


@dataclass(slots=True)
class MetaSaved:
    meta: SessionMeta


@dataclass(slots=True)
class LeaseSet:
    """The lease was claimed, claimed again or renewed, during the boot `boot_id`."""

    lease: SessionExecutionLease
    deadline: Deadline
    boot_id: str


@dataclass(slots=True)
class LeaseCleared:
    pass


@dataclass(slots=True)
class InputEnqueued:
    stored: StoredInput
    values: tuple[Value, ...] = ()


@dataclass(slots=True)
class InputsClaimed:
    claim: HeldClaim
    input_ids: tuple[str, ...]
    boot_id: str


@dataclass(slots=True)
class InputsReleased:
    input_ids: tuple[str, ...]


@dataclass(slots=True)
class InputsDeferred:
    input_ids: tuple[str, ...]


@dataclass(slots=True)
class InputsSettled:
    """Inputs were completed or cancelled, as `state` says."""

    input_ids: tuple[str, ...]
    state: TurnInputState


@dataclass(slots=True)
class WorkEnqueued:
    batch: QueuedWorkBatch


@dataclass(slots=True)
class WorkClaimed:
    claim: HeldClaim
    batch_ids: tuple[str, ...]
    boot_id: str


@dataclass(slots=True)
class WorkRenewed:
    batch_ids: tuple[str, ...]
    deadline: Deadline


@dataclass(slots=True)
class WorkReleased:
    batch_ids: tuple[str, ...]


@dataclass(slots=True)
class WorkRemoved:
    """Batches left the queue, completed or (`cancelled`) taken back."""

    batch_ids: tuple[str, ...]
    cancelled: bool = False


@held(manifest="object")
@dataclass(slots=True)
class Committed:
    """The graph and the head part of a turn commit. `config` and `frames` are `None` where they did not change.

    A `summary` without a first user message leaves that as it is, unless the graph is replaced. `usage` has the new
    sums of the ledger entries that changed. `manifest` is kept encoded, since it is also the
    content of the value `checkpoint_ref`; `stores_manifest` says that this value is new.
    """

    revision: int
    leaf_node_id: str | None
    nodes: tuple[SessionNodeRecord, ...]
    replaces_graph: bool
    checkpoint_ref: BlobRef
    manifest: JsonObject
    summary: Summary
    stores_manifest: bool = False
    config: PersistedSessionConfig | None = None
    frames: tuple[AgentFrameRecord, ...] | None = None
    current_frame_id: str | None = None
    usage: tuple[TokenLedgerEntry, ...] = ()
    values: tuple[Value, ...] = ()
    revived: int = 0
    dangling: tuple[str, ...] = ()
    turn_id: str | None = None
    turn_commit_hash: str | None = None
    checkpoint: SessionCheckpoint | None = field(default=None, metadata=TRANSIENT)
    """`manifest` as a record, where it is at hand."""


@dataclass(slots=True)
class NodesTombstoned:
    node_ids: tuple[str, ...]
    leaf_node_id: str | None
    summary: Summary


@dataclass(slots=True)
class HeadMoved:
    """The head's leaf moved without a commit of a turn, and `branch` is current now."""

    revision: int
    leaf_node_id: str | None
    move: HeadMoveKind
    branch: str | None = None
    undone_revision: int | None = None


@dataclass(slots=True)
class BranchCreated:
    name: str
    leaf_node_id: str | None


@dataclass(slots=True)
class BranchDropped:
    name: str


@dataclass(slots=True)
class AttachmentsWritten:
    """Rows of the attachment manifest are new or newly stamped: `new` of them were not there before."""

    entries: tuple[AttachmentManifestEntry, ...]
    new: int = 0


@dataclass(slots=True)
class AttachmentsForgotten:
    entries: tuple[AttachmentManifestEntry, ...]


@dataclass(slots=True)
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
    | HeadMoved
    | BranchCreated
    | BranchDropped
    | AttachmentsWritten
    | AttachmentsForgotten
    | ValuesDropped
)
