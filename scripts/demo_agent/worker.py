"""A worker: a process of its own that holds the session's lease and commits turn by turn.

`python -m scripts.demo_agent.worker ROOT TRANSCRIPT NAME`. The recording stands in for the model: asked for a turn, the
worker takes from the store what starts it, "thinks up" what the recording has, and commits it.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from itertools import chain

from localstore import (
    FullGraph,
    GraphAppend,
    HydratedSessionCheckpoint,
    LeaseBusy,
    LeaseOwnerIdentity,
    LocalProcess,
    LocalStore,
    PersistedSessionConfig,
    PersistedTurnState,
    QueuedWorkClaimBoundary,
    QueuedWorkCompletion,
    RuntimeCommit,
    RuntimeTurnCommitStamp,
    SessionExecutionLease,
    SessionNodeRecord,
    SessionStore,
    TokenUsage,
    TurnInputCompletion,
)
from localstore.contract.clock import rfc3339
from localstore.importers import read_transcript_file

from .protocol import Claimed, Committed, Started, StopAt, Stopped, TakeTurn, decode, say
from .recording import Cause, Recording, Turn, record

LEASE_MS = 60_000


def claim_lease(session: SessionStore, owner: LeaseOwnerIdentity) -> SessionExecutionLease:
    """The session's lease, taken from a dead holder if need be."""
    own_id = session.session_id
    began = time.perf_counter_ns()
    outcome = session.try_claim_session_execution_lease(own_id, owner, LEASE_MS)
    taken_from = remaining = 0
    if isinstance(outcome, LeaseBusy):
        holder = outcome.holder
        remaining = holder.expires_at_epoch_ms - session.clock.now_ms()
        taken_from = holder.owner.liveness.pid if isinstance(holder.owner.liveness, LocalProcess) else 0
        # Granted only if the holder is proved dead; then at once, whatever is left of its time.
        outcome = session.reclaim_session_execution_lease(own_id, owner, holder.fence(), LEASE_MS)
    took_us = (time.perf_counter_ns() - began) // 1000
    if isinstance(outcome, LeaseBusy):
        raise SystemExit(f"the session is held by {outcome.holder.owner}")
    say(Started(os.getpid(), outcome.lease.fencing_token, taken_from, remaining, took_us))
    return outcome.lease


class Worker:
    """Plays turns of a recording into a session whose lease it holds."""

    def __init__(self, session: SessionStore, recording: Recording, owner: LeaseOwnerIdentity) -> None:
        self._session = session
        self._recording = recording
        self._owner = owner
        self._lease = claim_lease(session, owner)
        # What the store has is all that a worker starts from.
        read = session.load_session(FullGraph())
        self._node_ids = [] if read is None else [node.node_id for node in read.graph.nodes]
        self._leaf = None if read is None else read.graph.leaf_node_id

    def take(self, wanted: TakeTurn) -> None:
        """Do one turn, for the first time or again: the worker need not know which it is."""
        turn = self._recording.turns[wanted.number - 1]
        self._lease = self._session.renew_session_execution_lease(self._lease.fence(), LEASE_MS)
        commit = self._completing(self._plain_commit(turn), turn, wanted.ids)
        stamp = RuntimeTurnCommitStamp(commit.session_id, turn.turn_id, commit.turn_commit_hash())
        if wanted.stop_at == StopAt.BEFORE_COMMIT:
            _stand_still(StopAt.BEFORE_COMMIT)
        result = self._session.commit_runtime_state(commit.with_turn_commit(stamp))
        if wanted.stop_at == StopAt.AFTER_COMMIT:
            _stand_still(StopAt.AFTER_COMMIT)
        is_replay = result.head_revision <= (commit.expected_head_revision or 0)
        if not is_replay and isinstance(commit.graph, GraphAppend):
            self._node_ids.extend(node.node_id for node in commit.graph.nodes)
            self._leaf = commit.graph.leaf_node_id
        say(Committed(result.head_revision, is_replay, stamp.turn_commit_hash))

    def _plain_commit(self, turn: Turn) -> RuntimeCommit:
        """The turn's commit, but for what it completes. Its nodes have new ids and times at each try."""
        recording, session = self._recording, self._session
        place = {entry.entry_id: at for at, entry in enumerate(recording.transcript.entries)}
        ids = self._node_ids[: turn.first]
        nodes: list[SessionNodeRecord] = []
        leaf = self._leaf
        for entry in turn.entries:
            at = place.get(entry.parent_id or "")
            parent = ids[at] if at is not None and at < len(ids) else None
            node = SessionNodeRecord(uuid.uuid4().hex, parent, rfc3339(session.clock.now_ms()), entry.payload)
            nodes.append(node)
            ids.append(node.node_id)
            leaf = node.node_id if entry.entry_id in recording.main_line else leaf
        head = session.load_session_head()
        return RuntimeCommit(
            session.session_id,
            0 if head is None else head.head_revision,
            PersistedSessionConfig("recording", {"name": recording.transcript.model}),
            (),
            None,
            GraphAppend(tuple(nodes), leaf),
            HydratedSessionCheckpoint(self._turn_state(turn)),
            usage_deltas=recording.usage_of(turn),
            session_execution_lease=self._lease.fence(),
        )

    def _turn_state(self, turn: Turn) -> PersistedTurnState:
        """Where the agent's loop stands after the turn."""
        total = TokenUsage()
        for delta in chain.from_iterable(map(self._recording.usage_of, self._recording.turns[: turn.number])):
            total = total.plus(delta.usage)
        return PersistedTurnState(turn.number, total)

    def _completing(self, commit: RuntimeCommit, turn: Turn, ids: tuple[str, ...]) -> RuntimeCommit:
        """The commit, settling what starts the turn. Of a turn in the store already, nothing is left to claim."""
        session, own_id, fence = self._session, self._session.session_id, self._lease.fence()
        if turn.cause is Cause.START:
            return commit
        if turn.cause is Cause.INPUT:
            claim = session.claim_next_turn_inputs(own_id, fence, self._owner, LEASE_MS, len(ids))
            if claim is not None and claim.completion().input_ids != ids:
                session.abandon_turn_input_claim(claim)  # that is the next turn's
                claim = None
            say(Claimed(0 if claim is None else claim.fencing_token))
            settled = TurnInputCompletion(own_id, "settled", "settled", ids)
            return commit.completing_turn_input_claim(settled if claim is None else claim)
        idle = QueuedWorkClaimBoundary.IDLE
        work = session.claim_ready_queued_work_by_batch_ids(own_id, fence, self._owner, idle, LEASE_MS, ids)
        say(Claimed(0 if work is None else work.fencing_token))
        return commit.completing_queue_claim(
            QueuedWorkCompletion(own_id, "settled", "settled", ids) if work is None else work
        )

    def release(self) -> None:
        """Give the lease back."""
        self._session.release_session_execution_lease(self._lease.completion())


def _stand_still(at: StopAt) -> None:
    """Wait to be killed; or for the end of the input, where there is nobody any more who would."""
    say(Stopped(at))
    sys.stdin.buffer.read()
    raise SystemExit("nobody killed this worker")


def main() -> None:
    """Take turns until there are no more."""
    root, transcript, name = sys.argv[1:]
    recording = record(read_transcript_file(transcript))
    with LocalStore(root) as store:
        session = store.open_session(recording.transcript.session_id)
        if session is None:
            raise SystemExit(f"there is no session {recording.transcript.session_id!r} in {root}")
        worker = Worker(session, recording, LeaseOwnerIdentity.local_process(name, uuid.uuid4().hex))
        for line in sys.stdin.buffer:
            worker.take(decode(line, TakeTurn))
        worker.release()


if __name__ == "__main__":
    main()
