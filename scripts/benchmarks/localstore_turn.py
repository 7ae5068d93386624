"""The turn on this package, through its public face alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import localstore
from localstore import (
    ActivePath,
    Durability,
    FullGraph,
    GraphAppend,
    HydratedSessionCheckpoint,
    LeaseOwnerIdentity,
    NextTurn,
    PendingTurnInputDraft,
    PersistedSessionConfig,
    PersistedTurnState,
    RuntimeCommit,
    RuntimeTurnCommitStamp,
    SessionExecutionLease,
    SessionNodeRecord,
    SessionReadScope,
    SessionStore,
    TextItem,
    TokenLedgerEntry,
    TokenUsage,
    TurnInput,
    TurnInputClaim,
)
from localstore.store import Store

from .stores import TTL_MS, NotThereError
from .workload import Node, Turn

_CONFIG = PersistedSessionConfig("a-provider", {"name": "a-model"})


class Opens(Protocol):
    """How a store is opened: `LocalStore`, or a stand-in with its face."""

    def __call__(self, root: Path, *, durability: Durability) -> Store: ...


class LocalTurns:
    """This package's store."""

    name = "localstore"

    def __init__(self, opens: Opens | None = None, owner: str = f"worker-{os.getpid()}") -> None:
        self._opens = opens
        self._owner = owner

    def open(self, root: Path, *, flushed: bool) -> LocalTurnStore:
        """Open (create) the store in `root`, in `Durability.FULL` or `PROCESS`."""
        opens = localstore.LocalStore if self._opens is None else self._opens
        store = opens(root, durability=Durability.FULL if flushed else Durability.PROCESS)
        return LocalTurnStore(store, LeaseOwnerIdentity.local_process(self._owner, "1"))


class LocalTurnStore:
    """An open store."""

    def __init__(self, store: Store, owner: LeaseOwnerIdentity) -> None:
        self._store = store
        self._owner = owner
        self._sessions: list[LocalSession] = []

    def session(self, session_id: str) -> LocalSession:
        session = LocalSession(self._store.create_session(session_id, model="a-model"), self._owner)
        self._sessions.append(session)
        return session

    def list_sessions(self) -> list[tuple[str, str | None, int]]:
        return [(row.session_id, row.first_user_message, row.node_count) for row in self._store.list_sessions()]

    def settle(self) -> None:
        for session in self._sessions:
            session.handle.gc_unreachable()
            session.handle.vacuum()

    def close(self) -> None:
        self._store.close()


class LocalSession:
    """One session."""

    def __init__(self, handle: SessionStore, owner: LeaseOwnerIdentity) -> None:
        self.handle = handle
        self._owner = owner
        self._id = handle.session_id
        self._lease: SessionExecutionLease | None = None
        self._claim: TurnInputClaim | None = None
        self._revision: int | None = None

    def enqueue(self, turn: Turn) -> None:
        draft = PendingTurnInputDraft(self._id, NextTurn(), TurnInput.text(turn.text), source_key=turn.source_key)
        self.handle.enqueue_pending_turn_input(draft)

    def claim_lease(self) -> bool:
        self._lease = self.handle.try_claim_session_execution_lease(self._id, self._owner, TTL_MS).acquired()
        return self._lease is not None

    def claim_input(self) -> str:
        lease = self._held()
        self._claim = self.handle.claim_next_turn_inputs(self._id, lease.fence(), self._owner, TTL_MS, 1)
        if self._claim is None:
            raise NotThereError("no input waits")
        items = self._claim.materialize_for_turn().items
        return "\n".join(item.text for item in items if isinstance(item, TextItem))

    def commit(self, turn: Turn) -> int:
        usage = TokenUsage(**turn.usage)
        state = turn.turn_state
        turn_state = PersistedTurnState(
            state["turn_index"], usage, protocol_turn_options=state["protocol_turn_options"]
        )
        nodes = [SessionNodeRecord(n.node_id, n.parent_node_id, n.timestamp, n.payload) for n in turn.nodes]
        commit = RuntimeCommit(
            self._id,
            self._revision,
            _CONFIG,
            (),
            None,
            GraphAppend(tuple(nodes), turn.leaf),
            HydratedSessionCheckpoint(turn_state, turn.tool_state),
            usage_deltas=(TokenLedgerEntry("turn", "a-model", usage),),
            turn_commit=RuntimeTurnCommitStamp(self._id, turn.turn_id, turn.turn_hash),
            session_execution_lease=self._held().fence(),
            completed_turn_input_claims=() if self._claim is None else (self._claim.completion(),),
        )
        result = self.handle.commit_runtime_state(commit)
        self._claim = None
        self._revision = result.head_revision
        return result.head_revision

    def release(self) -> None:
        self.handle.release_session_execution_lease(self._held().completion())

    def _held(self) -> SessionExecutionLease:
        if self._lease is None:
            raise NotThereError("the lease was not claimed")
        return self._lease

    def revision(self) -> int:
        head = self.handle.load_session_head()
        return 0 if head is None else head.head_revision

    def pending_inputs(self) -> int:
        return len(self.handle.list_pending_turn_inputs(self._id))

    def load_node(self, node_id: str) -> Node | None:
        record = self.handle.load_node(node_id)
        return None if record is None else _node(record)

    def load_all(self) -> list[Node]:
        return self._load(FullGraph())

    def load_path(self) -> list[Node]:
        return self._load(ActivePath())

    def read_all(self) -> int:
        return len([record.payload for record in self._read(FullGraph())])

    def read_path(self) -> int:
        return len([record.payload for record in self._read(ActivePath())])

    def _load(self, scope: SessionReadScope) -> list[Node]:
        return [_node(record) for record in self._read(scope)]

    def _read(self, scope: SessionReadScope) -> tuple[SessionNodeRecord, ...]:
        read = self.handle.load_session(scope)
        return () if read is None else read.graph.nodes


def _node(record: SessionNodeRecord) -> Node:
    return Node(record.node_id, record.parent_node_id, record.timestamp, record.payload)
