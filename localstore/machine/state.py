"""The live state of one session: bounded, but for the queues that its users fill."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..contract.attachments import AttachmentManifestEntry
from ..contract.errors import StoreError
from ..contract.leases import LeaseOwnerIdentity, SessionExecutionLease
from ..contract.sessions import SessionMeta
from ..contract.state import (
    AgentFrameRecord,
    BlobRef,
    PersistedSessionConfig,
    SessionCheckpoint,
    TokenUsage,
)
from ..contract.work import QueuedWorkBatch
from .facts import StoredInput
from .moment import Deadline, Moment


@dataclass(slots=True)
class HeldLease:
    """The execution lease that was granted last and not released."""

    lease: SessionExecutionLease
    deadline: Deadline


@dataclass(slots=True)
class HeldClaim:
    """Who took an entry of a queue, and until when."""

    claim_id: str
    owner: LeaseOwnerIdentity
    lease_token: str
    fencing_token: int
    claimed_at_ms: int
    deadline: Deadline

    def holds(self, moment: Moment, claimant: LeaseOwnerIdentity | None = None) -> bool:
        """Whether the claim is live; for a claimant, a holder that is definitely dead no longer holds."""
        if moment.expired(self.deadline):
            return False
        return claimant is None or not moment.is_dead(self.owner, claimant)


@dataclass(slots=True)
class LiveInput:
    """An input that is neither completed nor cancelled. `ACCEPTED` is not stored: a live claim is what makes it so."""

    stored: StoredInput
    claim: HeldClaim | None = None
    deferred: bool = False
    """Whether it was made input for the next turn after it was stored."""
    said: dict[str, Any] | None = field(default=None, repr=False, compare=False)
    """The stored input as it was read, as parsed JSON, where a later release said something in it."""


@dataclass(slots=True)
class LiveBatch:
    """A batch in the queue."""

    batch: QueuedWorkBatch
    claim: HeldClaim | None = None
    said: dict[str, Any] | None = field(default=None, repr=False, compare=False)
    """The batch as it was read, as parsed JSON, where a later release said something in it."""


@dataclass(slots=True, unsafe_hash=True)
class Summary:
    """What the session list shows of the graph."""

    node_count: int = 0
    user_message_count: int = 0
    first_user_node_id: str | None = None
    first_user_message: str | None = None


@dataclass(slots=True)
class SessionState:
    """One session. `seq` is the last applied record; `floor_seq` the record that replaced the whole graph last.

    Records up to `inherited_seq` were the parent's of a forked session: it shares their nodes, values and committed
    attachment rows, while their turn stamps, inputs and moves of the head are not its own.
    """

    session_id: str
    incarnation: str = ""
    seq: int = 0
    inherited_seq: int = 0
    meta: SessionMeta | None = None
    created_at_ms: int = 0
    updated_at_ms: int = 0

    revision: int = 0
    leaf_node_id: str | None = None
    branches: dict[str, str | None] = field(default_factory=dict)
    """The leaf of each branch; that of the current one is the head's."""
    current_branch: str | None = None
    config: PersistedSessionConfig = field(default_factory=PersistedSessionConfig)
    frames: tuple[AgentFrameRecord, ...] = ()
    current_frame_id: str | None = None
    checkpoint_ref: BlobRef | None = None
    manifest: SessionCheckpoint | None = None
    ledger: dict[tuple[str, str], TokenUsage] = field(default_factory=dict)
    summary: Summary = field(default_factory=Summary)
    floor_seq: int = 0
    tombstone_count: int = 0
    revived_count: int = 0
    """Nodes that were hidden and committed again, since the graph was replaced or vacuumed last."""
    dangling_count: int = 0
    settled_input_count: int = 0

    lease: HeldLease | None = None
    lease_fencing: int = 0
    claim_fencing: int = 0
    fencing_boot_id: str | None = None

    inputs: dict[str, LiveInput] = field(default_factory=dict)
    input_by_source: dict[str, str] = field(default_factory=dict)
    next_input_seq: int = 1
    work: dict[str, LiveBatch] = field(default_factory=dict)
    batch_by_source: dict[str, str] = field(default_factory=dict)
    next_work_seq: int = 1

    damaged_inputs: StoreError | None = None
    damaged_work: StoreError | None = None
    """The first entry of each queue that cannot be read: lists tell of it, claims go on without it."""

    uncommitted: dict[str, AttachmentManifestEntry] = field(default_factory=dict)
    attachment_row_count: int = 0

    @property
    def exists(self) -> bool:
        """False for the stand-in of a session that was never made."""
        return bool(self.incarnation)

    def owns(self, seq: int) -> bool:
        """Whether the record is this session's, and not of the one that it was forked from."""
        return seq > self.inherited_seq

    def set_leaf(self, leaf_node_id: str | None) -> None:
        """Move the head's leaf, which the current branch follows."""
        self.leaf_node_id = leaf_node_id
        if self.current_branch is not None:
            self.branches[self.current_branch] = leaf_node_id

    def next_lease_fencing(self, boot_id: str) -> int:
        """The fencing token of the next lease.

        Claims are not flushed, so a power cut may lose the latest tokens. A cut changes the boot id: the first claim
        under another one jumps past every token that can have been lost.
        """
        return self.lease_fencing + 1 + self._lost_tokens(boot_id)

    def next_claim_fencing(self, boot_id: str) -> int:
        """The fencing token of the next claim of input or work; see `next_lease_fencing`."""
        return self.claim_fencing + 1 + self._lost_tokens(boot_id)

    def _lost_tokens(self, boot_id: str) -> int:
        return 2**32 if self.fencing_boot_id not in (None, boot_id) else 0
