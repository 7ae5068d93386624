"""Putting a transcript into a store: entries become nodes, turns become commits, usage goes to the token ledger.

The same file again adds nothing, a grown one only what is new, also where nodes were hidden or removed since: each
commit is stamped with the entry it begins with and a hash of the entries it holds, and stamps are kept for ever.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from .contract.clock import rfc3339
from .contract.commits import RuntimeCommit, RuntimeTurnCommitStamp
from .contract.errors import RuntimeTurnCommitConflict, SessionExecutionLeaseExpired, StoreError
from .contract.graph import ActivePath, GraphAppend, GraphUnchanged, SessionNodeRecord
from .contract.leases import LeaseBusy, LeaseOwnerIdentity, SessionExecutionLease
from .contract.state import (
    AgentFrameRecord,
    HydratedSessionCheckpoint,
    PersistedSessionConfig,
    TokenLedgerEntry,
    TokenUsage,
)
from .importers import Transcript, TranscriptEntry
from .session import SessionStore
from .store import Store

LEASE_MS = 60_000
MAX_TURN = 200
"""Entries in one commit: longer turns are committed in parts."""

_OWNER = "localstore import"


class SessionBusy(StoreError):
    """Somebody else holds the session's execution lease; `holder` is the lease."""

    def __init__(self, holder: SessionExecutionLease) -> None:
        super().__init__(
            f"session {holder.session_id!r} is being worked on by {holder.owner.owner_id!r}; import when it is free"
        )
        self.holder = holder


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a transcript: how many of its entries were added, in how many commits, with what usage."""

    session_id: str
    is_new_session: bool
    added_count: int
    commit_count: int
    usage: TokenUsage


def put_transcript(store: Store, transcript: Transcript, source: str) -> Imported:
    """Add what `transcript` has and the store has not, under the session id of the transcript.

    Args:
        store: where to.
        transcript: as a reader gave it.
        source: what it was read from, kept with each node as `{"import": format, "source": source}` in `caused_by`.

    Each commit survives as the store's durability says, so that an import that was cut short goes on where it stopped.

    Raises:
        SessionBusy: the session is held by a process that is not known to be dead.
        StoreError: as the store's calls do.
    """
    session = store.open_session(transcript.session_id)
    is_new = session is None
    if session is None:
        session = _create(store, transcript)
    elif not any(session.load_node(entry.entry_id) is None for entry in transcript.entries):
        return Imported(transcript.session_id, False, 0, 0, TokenUsage())
    lease = _claim_lease(session)
    try:
        writer = _Writer(session, transcript, source, lease)
        for turn in turns(transcript.entries):
            for chunk in [turn] if is_new else writer.unknown_chunks(turn):
                writer.commit(chunk)
    finally:
        session.release_session_execution_lease(lease.completion())
    return Imported(transcript.session_id, is_new, writer.added_count, writer.commit_count, writer.usage)


def turns(entries: Sequence[TranscriptEntry]) -> Iterator[tuple[TranscriptEntry, ...]]:
    """The entries cut where the user speaks; what comes before that belongs to the first turn.

    A turn of more than `MAX_TURN` entries comes in parts. Where an entry is cut depends on nothing behind it, so that
    a file that grew is cut where it was cut before.
    """
    turn: list[TranscriptEntry] = []
    has_user = False
    for entry in entries:
        speaks = is_user_message(entry)
        if (speaks and has_user) or len(turn) == MAX_TURN:
            yield tuple(turn)
            turn, has_user = [], False
        turn.append(entry)
        has_user = has_user or speaks
    if turn:
        yield tuple(turn)


def is_user_message(entry: TranscriptEntry) -> bool:
    """Whether the user speaks to the session in it. What opens a side conversation is said by the agent."""
    message, source = entry.payload.get("message"), entry.payload.get("source")
    speaks = isinstance(message, dict) and message.get("role") == "user"
    return speaks and not (isinstance(source, dict) and source.get("isSidechain") is True)


def ledger_entry(transcript: Transcript, entry: TranscriptEntry) -> TokenLedgerEntry | None:
    """What the entry adds to the token ledger: its source is the format, its model its own or the transcript's."""
    if entry.usage is None:
        return None
    counts = entry.usage
    usage = TokenUsage(
        counts.input_tokens,
        counts.output_tokens,
        counts.cache_read_input_tokens,
        counts.cache_write_input_tokens,
        counts.reasoning_output_tokens,
    )
    return TokenLedgerEntry(transcript.source_format, entry.model or transcript.model, usage)


def _create(store: Store, transcript: Transcript) -> SessionStore:
    session = store.create_session(
        transcript.session_id, session_name=transcript.title, model=transcript.model, cwd=transcript.cwd
    )
    meta = session.load_session_meta()
    if meta is not None and transcript.created_at is not None:
        session.save_session_meta(replace(meta, created_at=transcript.created_at))
    return session


def _claim_lease(session: SessionStore) -> SessionExecutionLease:
    owner = LeaseOwnerIdentity.local_process(_OWNER, os.urandom(8).hex())
    outcome = session.try_claim_session_execution_lease(session.session_id, owner, LEASE_MS)
    if isinstance(outcome, LeaseBusy):
        holder = outcome.holder
        outcome = session.reclaim_session_execution_lease(session.session_id, owner, holder.fence(), LEASE_MS)
    if isinstance(outcome, LeaseBusy):
        raise SessionBusy(outcome.holder)
    return outcome.lease


class _Writer:
    """Commits parts of one transcript, each on the head that the one before left."""

    def __init__(
        self, session: SessionStore, transcript: Transcript, source: str, lease: SessionExecutionLease
    ) -> None:
        self.added_count = 0
        self.commit_count = 0
        self.usage = TokenUsage()
        self._session = session
        self._transcript = transcript
        self._origin = {"import": transcript.source_format, "source": source}
        self._lease = lease
        self._config = PersistedSessionConfig(model={"name": transcript.model} if transcript.model else {})
        self._frames: tuple[AgentFrameRecord, ...] = ()
        self._frame_id: str | None = None
        self._checkpoint = HydratedSessionCheckpoint()
        self._revision = 0
        self._leaf: str | None = None
        self._take_over()
        self._main_line = self._followed_line()
        self._times = _times(transcript, rfc3339(session.clock.now_ms()))

    def _take_over(self) -> None:
        """Go on from what the session has: its state is kept, by reference where it is large."""
        read = self._session.load_session(ActivePath())
        if read is None:
            return
        self._config = read.config
        self._frames = tuple(replace(frame, execution_state_snapshot=None) for frame in read.agent_frames)
        self._frame_id = read.current_agent_frame_id
        self._checkpoint = replace(read.checkpoint, tool_state=None, plugin_snapshot=None, execution_state=None)
        self._revision = read.head_revision
        self._leaf = read.graph.leaf_node_id

    def _followed_line(self) -> frozenset[str]:
        """The entries that may become the leaf: from the transcript's leaf back to its root.

        None, where the session's leaf is neither in the transcript nor what it continues: the session has gone another
        way since, and its head stays where it is.
        """
        parents = {entry.entry_id: entry.parent_id for entry in self._transcript.entries}
        line: dict[str, None] = {}
        at: str | None = self._transcript.metadata["leaf_entry_id"]
        while at is not None and at in parents and at not in line:
            line[at] = None
            at = parents[at]
        return frozenset(line) if self._leaf in (None, at) or self._leaf in parents else frozenset()

    def unknown_chunks(self, turn: tuple[TranscriptEntry, ...]) -> Iterator[tuple[TranscriptEntry, ...]]:
        """The runs of entries in the turn that were never imported."""
        missing = {entry.entry_id for entry in turn if self._session.load_node(entry.entry_id) is None}
        run: list[TranscriptEntry] = []
        at = 0
        while missing and at < len(turn):
            known = self._stamped_count(turn[at:])
            if run and (known or turn[at].entry_id not in missing):
                yield tuple(run)
                run = []
            elif not known and turn[at].entry_id in missing:
                run.append(turn[at])
            at += known or 1
        if run:
            yield tuple(run)

    def _stamped_count(self, entries: tuple[TranscriptEntry, ...]) -> int:
        """How many of `entries` an earlier commit that begins with the first of them holds; 0 where there is none."""
        for count in range(len(entries), 0, -1):
            is_stamped, is_this = self._probe(entries[:count])
            if is_this:
                return count
            if not is_stamped:
                return 0
        return 1

    def _probe(self, chunk: tuple[TranscriptEntry, ...]) -> tuple[bool, bool]:
        """Whether a commit that begins with this entry was made, and whether it holds exactly these entries.

        A commit without a lease changes nothing, and its stamp is looked at before its lease is.
        """
        try:
            self._session.commit_runtime_state(self._commit_of(GraphUnchanged(None), chunk))
        except RuntimeTurnCommitConflict:
            return True, False
        except SessionExecutionLeaseExpired:
            return False, False
        return True, True

    def commit(self, chunk: tuple[TranscriptEntry, ...]) -> None:
        """Commit the entries, all or nothing."""
        self._keep_lease()
        nodes = tuple(self._node(entry) for entry in chunk)
        leaf = next((entry.entry_id for entry in reversed(chunk) if entry.entry_id in self._main_line), self._leaf)
        deltas = _summed(entry for entry in (ledger_entry(self._transcript, entry) for entry in chunk) if entry)
        spent = _total(deltas)
        state = self._checkpoint.turn_state
        state = replace(state, turn_index=state.turn_index + 1, token_usage=state.token_usage.plus(spent))
        self._checkpoint = replace(self._checkpoint, turn_state=state)
        commit = replace(self._commit_of(GraphAppend(nodes, leaf), chunk), usage_deltas=deltas)
        result = self._session.commit_runtime_state(commit.with_session_execution_lease(self._lease.fence()))
        self._revision, self._leaf = result.head_revision, leaf
        self.added_count += len(chunk)
        self.commit_count += 1
        self.usage = self.usage.plus(spent)

    def _commit_of(self, graph: GraphAppend | GraphUnchanged, chunk: tuple[TranscriptEntry, ...]) -> RuntimeCommit:
        stamp = RuntimeTurnCommitStamp(
            self._session.session_id,
            f"import:{chunk[0].entry_id}",
            hashlib.sha256("\0".join(entry.entry_id for entry in chunk).encode()).hexdigest(),
        )
        return RuntimeCommit(
            self._session.session_id,
            self._revision,
            self._config,
            self._frames,
            self._frame_id,
            graph,
            self._checkpoint,
            turn_commit=stamp,
        )

    def _node(self, entry: TranscriptEntry) -> SessionNodeRecord:
        origin = self._origin if entry.timestamp else {**self._origin, "timestamp": "assumed"}
        return SessionNodeRecord(
            entry.entry_id, entry.parent_id, self._times[entry.entry_id], entry.payload, caused_by=origin
        )

    def _keep_lease(self) -> None:
        if self._lease.expires_at_epoch_ms - self._session.clock.now_ms() < LEASE_MS // 2:
            self._lease = self._session.renew_session_execution_lease(self._lease.fence(), LEASE_MS)


def _times(transcript: Transcript, now: str) -> dict[str, str]:
    """A time for each entry: its own, else that of the one before, else when the session began, else now."""
    latest = transcript.created_at or now
    times: dict[str, str] = {}
    for entry in transcript.entries:
        latest = entry.timestamp or latest
        times[entry.entry_id] = latest
    return times


def _summed(deltas: Iterable[TokenLedgerEntry]) -> tuple[TokenLedgerEntry, ...]:
    sums: dict[tuple[str, str], TokenUsage] = {}
    for delta in deltas:
        key = (delta.source, delta.model)
        sums[key] = sums.get(key, TokenUsage()).plus(delta.usage)
    return tuple(TokenLedgerEntry(source, model, usage) for (source, model), usage in sums.items())


def _total(deltas: Iterable[TokenLedgerEntry]) -> TokenUsage:
    total = TokenUsage()
    for delta in deltas:
        total = total.plus(delta.usage)
    return total
