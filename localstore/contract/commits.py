"""The turn commit: everything that settles together, and what it returns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from . import checks
from .constructors import (
    IDENTIFIER,
    IDENTIFIERS,
    OPTIONAL_IDENTIFIER,
    OPTIONAL_INTEGER,
    SESSION_ID,
    each,
    of,
    optional,
    quick,
)
from .errors import InvalidArgument
from .graph import GraphAppend, GraphDelta, GraphReplaceFull, GraphUnchanged, SessionGraph
from .inputs import TurnInputClaim, TurnInputCompletion
from .leases import SessionExecutionLeaseCompletion, SessionExecutionLeaseFence
from .meaning import meaning_hash
from .state import (
    AgentFrameRecord,
    BlobRef,
    HydratedSessionCheckpoint,
    PersistedSessionConfig,
    SessionCheckpoint,
    TokenLedgerEntry,
)
from .work import QueuedWorkClaim, QueuedWorkCompletion


@quick(
    session_id=SESSION_ID,
    turn_id=IDENTIFIER,
    turn_commit_hash=IDENTIFIER,
)
@dataclass(frozen=True, slots=True)
class RuntimeTurnCommitStamp:
    """Makes a turn's commit idempotent: the same turn with the same hash is answered from the stored result."""

    session_id: str
    turn_id: str
    turn_commit_hash: str


@quick(
    session_id=SESSION_ID,
    expected_head_revision=OPTIONAL_INTEGER,
    config=of(PersistedSessionConfig),
    agent_frames=each(AgentFrameRecord),
    current_agent_frame_id=OPTIONAL_IDENTIFIER,
    graph=of(GraphUnchanged, GraphAppend, GraphReplaceFull),
    checkpoint=of(HydratedSessionCheckpoint),
    usage_deltas=each(TokenLedgerEntry),
    turn_commit=optional(RuntimeTurnCommitStamp),
    session_execution_lease=optional(SessionExecutionLeaseFence),
    release_session_execution_lease=optional(SessionExecutionLeaseCompletion),
    completed_queue_claims=each(QueuedWorkCompletion),
    completed_turn_input_claims=each(TurnInputCompletion),
    interrupted_turn_input_turn_id=OPTIONAL_IDENTIFIER,
    committed_attachment_ids=IDENTIFIERS,
)
@dataclass(frozen=True, slots=True)
class RuntimeCommit:
    """One atomic step of a session's settled state. See `RuntimePersistence.commit_runtime_state`.

    `expected_head_revision` is 0 before the first commit; `None` skips the compare-and-swap. `agent_frames` and
    `config` are the whole new state, `usage_deltas` are added. `current_agent_frame_id` names one of `agent_frames`, if
    there are any.
    """

    session_id: str
    expected_head_revision: int | None
    config: PersistedSessionConfig
    agent_frames: tuple[AgentFrameRecord, ...]
    current_agent_frame_id: str | None
    graph: GraphDelta
    checkpoint: HydratedSessionCheckpoint
    usage_deltas: tuple[TokenLedgerEntry, ...] = ()
    turn_commit: RuntimeTurnCommitStamp | None = None
    session_execution_lease: SessionExecutionLeaseFence | None = None
    release_session_execution_lease: SessionExecutionLeaseCompletion | None = None
    completed_queue_claims: tuple[QueuedWorkCompletion, ...] = ()
    completed_turn_input_claims: tuple[TurnInputCompletion, ...] = ()
    interrupted_turn_input_turn_id: str | None = None
    committed_attachment_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.agent_frames:
            return
        current, ids = self.current_agent_frame_id, [frame.frame_id for frame in self.agent_frames]
        if len(set(ids)) != len(ids):
            raise InvalidArgument("agent_frames holds a frame id twice")
        if current is not None and current not in ids:
            raise InvalidArgument(f"current_agent_frame_id {current!r} is none of the agent_frames")

    def turn_commit_hash(self) -> str:
        """The SHA-256 (hex) of the commit's meaning, equal for the same turn retried on a newer head.

        Canonical JSON without `expected_head_revision`, lease, release and stamp; of completed claims only the sorted
        batch and input ids; without the keys `node_id`, `parent_node_id`, `leaf_node_id` and `timestamp` anywhere, nor
        the `id` of messages (`role` and `parts`) and message parts (`kind`, `content` and `prune_state`).
        """
        return meaning_hash(
            {
                "session_id": self.session_id,
                "config": self.config,
                "agent_frames": self.agent_frames,
                "current_agent_frame_id": self.current_agent_frame_id,
                "graph": {"kind": type(self.graph).__name__, "delta": self.graph},
                "checkpoint": self.checkpoint,
                "usage_deltas": self.usage_deltas,
                "completed_batch_ids": sorted(
                    batch_id for claim in self.completed_queue_claims for batch_id in claim.batch_ids
                ),
                "completed_input_ids": sorted(
                    input_id for claim in self.completed_turn_input_claims for input_id in claim.input_ids
                ),
                "interrupted_turn_input_turn_id": self.interrupted_turn_input_turn_id,
                "committed_attachment_ids": self.committed_attachment_ids,
            }
        )

    def with_turn_commit(self, stamp: RuntimeTurnCommitStamp) -> RuntimeCommit:
        """This commit, stamped."""
        return replace(self, turn_commit=stamp)

    def with_session_execution_lease(self, fence: SessionExecutionLeaseFence) -> RuntimeCommit:
        """This commit, fenced by the lease."""
        return replace(self, session_execution_lease=fence)

    def releasing_session_execution_lease(self, completion: SessionExecutionLeaseCompletion) -> RuntimeCommit:
        """This commit, releasing the lease with it."""
        return replace(self, release_session_execution_lease=completion)

    def completing_queue_claim(self, claim: QueuedWorkClaim | QueuedWorkCompletion) -> RuntimeCommit:
        """This commit, completing one more queued-work claim."""
        done = claim.completion() if isinstance(claim, QueuedWorkClaim) else claim
        return replace(self, completed_queue_claims=(*self.completed_queue_claims, done))

    def completing_turn_input_claim(self, claim: TurnInputClaim | TurnInputCompletion) -> RuntimeCommit:
        """This commit, completing one more turn-input claim."""
        done = claim.completion() if isinstance(claim, TurnInputClaim) else claim
        return replace(self, completed_turn_input_claims=(*self.completed_turn_input_claims, done))

    def deferring_interrupted_turn_inputs(self, turn_id: str) -> RuntimeCommit:
        """This commit, deferring what was addressed to the interrupted turn and is not completed by it."""
        return replace(self, interrupted_turn_input_turn_id=turn_id)

    def with_committed_attachments(self, ids: Iterable[str]) -> RuntimeCommit:
        """This commit, stamping these attachments too."""
        more = checks.identifiers("ids", ids)
        return replace(self, committed_attachment_ids=(*self.committed_attachment_ids, *more))


@quick()
@dataclass(frozen=True, slots=True)
class RuntimeCommitResult:
    """What a commit returns, and what a replay of its stamped turn returns again."""

    head_revision: int
    checkpoint_ref: BlobRef
    manifest: SessionCheckpoint


@dataclass(frozen=True, slots=True)
class PersistedSessionRead:
    """A session as loaded. `token_ledger` has one entry per `(source, model)`, in first-seen order, counts summed."""

    session_id: str
    head_revision: int
    config: PersistedSessionConfig
    agent_frames: tuple[AgentFrameRecord, ...]
    current_agent_frame_id: str | None
    graph: SessionGraph
    checkpoint_ref: BlobRef
    checkpoint: HydratedSessionCheckpoint
    token_ledger: tuple[TokenLedgerEntry, ...]
