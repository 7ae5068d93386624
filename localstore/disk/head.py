"""`head.json`: everything of a session that is bounded, as it was at the last fold.

It names the node files and the live spool entries, so that what a crash left beside them is not mistaken for either.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import orjson

from ..contract.attachments import AttachmentManifestEntry
from ..contract.errors import CorruptRecord
from ..contract.sessions import SessionMeta
from ..contract.state import (
    AgentFrameRecord,
    BlobRef,
    PersistedSessionConfig,
    SessionCheckpoint,
    TokenLedgerEntry,
)
from ..machine import later
from ..machine.encoding import Malformed, load
from ..machine.state import HeldClaim, HeldLease, LiveBatch, LiveInput, SessionState, Summary
from . import names
from .files import dump_anew, seal, unseal, without_frame

KIND = "head"
NO_SUM = "00000000"
"""What the first record of a session names as the sum before it."""
MAX_HEAD = 256 * 1024 * 1024
"""The largest `head.json` that is read, bytes."""
MAX_ENTRIES = 10_000_000
"""The most live entries of a spool."""


@dataclass(frozen=True, slots=True)
class NodeFileRef:
    """A node file that the head relies on. `first_seq` and `last_seq` are the journal records it came from.

    In the copy of the head that a node file ends with, that file itself has no name, since it is not known yet.
    """

    name: str
    size: int
    first_seq: int
    last_seq: int


@later.same_by("claim")
@dataclass(frozen=True, slots=True)
class SpoolClaim:
    """A claim, and the sequence numbers of the entries that it holds."""

    claim: HeldClaim
    seqs: tuple[int, ...]


@later.same_by()
@dataclass(frozen=True, slots=True)
class SpoolIndex:
    """Which entries of a spool are live: ranges of sequence numbers, first and last. Files beside these are none."""

    next_seq: int = 1
    live: tuple[tuple[int, int], ...] = ()
    deferred: tuple[int, ...] = ()
    claims: tuple[SpoolClaim, ...] = ()

    def seqs(self) -> Iterable[int]:
        """Every live sequence number, in order."""
        return (seq for first, last in self.live for seq in range(first, last + 1))

    @property
    def count(self) -> int:
        """How many entries are live."""
        return sum(last - first + 1 for first, last in self.live)


@later.same_by("name")
@dataclass(frozen=True, slots=True)
class BranchRef:
    """A branch, and the leaf that it names."""

    name: str
    leaf_node_id: str | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The fields of `head.json`. `folded_seq` and `folded_sum` are the last journal record in it.

    `place` tells the folder that `head.json` was written into; the copies of a head have none. A head that was not
    left at rest has a `kept_from`: from the head that ends before this record on, whatever a head relied on was still
    there when this one was written. `dropped_blobs` are values that are not stored any more, whose files are still
    kept so. `said` is the head that this one goes on from, as parsed JSON, where a later release said something in it.
    """

    session_id: str
    incarnation: str
    generation: int
    folded_seq: int
    folded_sum: str
    created_at_ms: int
    updated_at_ms: int
    inherited_seq: int = 0
    meta: SessionMeta | None = None
    revision: int = 0
    leaf_node_id: str | None = None
    branches: tuple[BranchRef, ...] = ()
    current_branch: str | None = None
    config: PersistedSessionConfig = PersistedSessionConfig()  # noqa: RUF009 - frozen, so sharing it is safe
    frames: tuple[AgentFrameRecord, ...] = ()
    current_frame_id: str | None = None
    checkpoint_ref: BlobRef | None = None
    manifest: SessionCheckpoint | None = None
    ledger: tuple[TokenLedgerEntry, ...] = ()
    summary: Summary = Summary()  # noqa: RUF009 - frozen, so sharing it is safe
    floor_seq: int = 0
    tombstone_count: int = 0
    revived_count: int = 0
    dangling_count: int = 0
    settled_input_count: int = 0
    lease: HeldLease | None = None
    lease_fencing: int = 0
    claim_fencing: int = 0
    fencing_boot_id: str | None = None
    inputs: SpoolIndex = SpoolIndex()
    work: SpoolIndex = SpoolIndex()
    uncommitted: tuple[AttachmentManifestEntry, ...] = ()
    attachment_row_count: int = 0
    files: tuple[NodeFileRef, ...] = ()
    blob_bytes: int = 0
    spool_bytes: int = 0
    deleted: bool = False
    place: str = ""
    kept_from: int = 0
    dropped_blobs: tuple[str, ...] = ()
    said: dict[str, Any] | None = field(default=None, repr=False, compare=False, metadata={"transient": True})


_COUNTS = tuple(item.name for item in fields(Head) if item.type == "int")


def place_of(folder: os.stat_result) -> str:
    """What tells a folder from its copies: it stays the same when it is renamed, or anything above it."""
    return f"{folder.st_dev:x}-{folder.st_ino:x}"


def at_rest(head: Head) -> Head:
    """The head as it is where nothing is kept beside what it relies on, and nobody can tell where that is."""
    return replace(head, place="", kept_from=0, dropped_blobs=())


def seal_head(head: Head) -> bytes:
    """The bytes of `head.json`."""
    return seal(KIND, head, head.said)


def copy_of(head: Head) -> bytes:
    """The head as JSON text, as it stands at the end of a node file."""
    return dump_anew(head, head.said)


def unseal_head(raw: bytes, path: str) -> Head:
    """The head in the bytes of `head.json`."""
    found = unseal(KIND, raw, path)
    try:
        return load_head(without_frame(found))
    except Malformed as error:
        raise CorruptRecord(path, str(error)) from error


def load_head(found: object) -> Head:
    """The head that `found`, as parsed JSON, is. Raises `Malformed` for one that nothing could be read by."""
    head = load(Head, found)
    assert isinstance(found, dict)
    said = later.said(Head, found)
    for name in _COUNTS:
        if not 0 <= getattr(head, name) <= names.MAX_SEQ:
            raise Malformed(f"the {name} of a head cannot be {getattr(head, name)}")
    for ref in head.files:
        # The copy of a head in a node file does not know the name of that file.
        if ref.name and not names.is_sha256(ref.name):
            raise Malformed(f"{ref.name!r:.80} is no node file's name")
    for name in head.dropped_blobs:
        if not names.is_sha256(name):
            raise Malformed(f"{name!r:.80} is no blob's name")
    for index in (head.inputs, head.work):
        _check_ranges(index)
    return replace(head, said=said) if said else head


def _check_ranges(index: SpoolIndex) -> None:
    last = 0
    for first, end in index.live:
        if not last < first <= end < index.next_seq <= names.MAX_SEQ:
            raise Malformed("the live entries of a spool are not in order")
        last = end
    if index.count > MAX_ENTRIES:
        raise Malformed(f"a spool with {index.count} entries is more than can be")


def _ranges(seqs: Iterable[int]) -> tuple[tuple[int, int], ...]:
    ranges: list[tuple[int, int]] = []
    for seq in seqs:
        if ranges and ranges[-1][1] + 1 == seq:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return tuple(ranges)


def _claims(entries: Iterable[tuple[int, HeldClaim | None]]) -> tuple[SpoolClaim, ...]:
    held: dict[str, tuple[HeldClaim, list[int]]] = {}
    for seq, claim in entries:
        if claim is not None:
            held.setdefault(claim.claim_id, (claim, []))[1].append(seq)
    return tuple(SpoolClaim(claim, tuple(seqs)) for claim, seqs in held.values())


def index_inputs(state: SessionState) -> SpoolIndex:
    """The index of the live inputs. One that was deferred is in its file as it was submitted."""
    lives = [(live.stored.record.enqueue_seq, live) for live in state.inputs.values()]
    deferred = tuple(seq for seq, live in lives if live.deferred)
    claims = _claims((seq, live.claim) for seq, live in lives)
    return SpoolIndex(state.next_input_seq, _ranges(seq for seq, _ in lives), deferred, claims)


def index_work(state: SessionState) -> SpoolIndex:
    """The index of the queued batches."""
    lives = [(live.batch.enqueue_seq, live.claim) for live in state.work.values()]
    return SpoolIndex(state.next_work_seq, _ranges(seq for seq, _ in lives), (), _claims(lives))


_SAME = (
    "session_id",
    "incarnation",
    "inherited_seq",
    "created_at_ms",
    "updated_at_ms",
    "meta",
    "revision",
    "leaf_node_id",
    "current_branch",
    "config",
    "frames",
    "current_frame_id",
    "checkpoint_ref",
    "manifest",
    "summary",
    "floor_seq",
    "tombstone_count",
    "revived_count",
    "dangling_count",
    "settled_input_count",
    "lease",
    "lease_fencing",
    "claim_fencing",
    "fencing_boot_id",
    "attachment_row_count",
)
"""Fields that head and state have in common."""


def head_of(
    state: SessionState,
    *,
    generation: int,
    folded_sum: str,
    files: tuple[NodeFileRef, ...],
    blob_bytes: int,
    spool_bytes: int,
    said: dict[str, Any] | None = None,
) -> Head:
    """The head that says what `state` is."""
    ledger = tuple(TokenLedgerEntry(source, model, usage) for (source, model), usage in state.ledger.items())
    head = Head(
        **{name: getattr(state, name) for name in _SAME},
        generation=generation,
        folded_seq=state.seq,
        folded_sum=folded_sum,
        branches=tuple(BranchRef(name, leaf) for name, leaf in state.branches.items()),
        ledger=ledger,
        inputs=index_inputs(state),
        work=index_work(state),
        uncommitted=tuple(state.uncommitted.values()),
        files=files,
        blob_bytes=blob_bytes,
        spool_bytes=spool_bytes,
        said=said,
    )
    # What was said of what is gone by now is said of nothing that comes later.
    return replace(head, said=later.said(Head, orjson.loads(copy_of(head)))) if said else head


def state_of(head: Head, inputs: Iterable[LiveInput] = (), work: Iterable[LiveBatch] = ()) -> SessionState:
    """The state that `head` says, with the entries of its spools."""
    state = SessionState(**{name: getattr(head, name) for name in _SAME})
    state.seq = head.folded_seq
    state.branches = {branch.name: branch.leaf_node_id for branch in head.branches}
    state.ledger = {(row.source, row.model): row.usage for row in head.ledger}
    state.uncommitted = {row.attachment_id: row for row in head.uncommitted}
    state.next_input_seq, state.next_work_seq = head.inputs.next_seq, head.work.next_seq
    for live in inputs:
        record = live.stored.record
        state.inputs[record.input_id] = live
        if record.source_key is not None:
            state.input_by_source[record.source_key] = record.input_id
    for queued in work:
        state.work[queued.batch.batch_id] = queued
        if queued.batch.source_key is not None:
            state.batch_by_source[queued.batch.source_key] = queued.batch.batch_id
    return state
