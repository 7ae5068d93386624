"""A redaction of one session: found by a look at all of it, carried out on its facts and its state.

Ids stay: of nodes, turns, inputs, batches, frames, branches, attachments. What is stored under the SHA-256 of its
content moves to a new address, and everything that refers to it follows: manifests, frames, images, commit results. A
turn stamp's hash stays, so that the turn that was committed is known again.

Waiting entries whose text changes, and all behind them, get new numbers in their order: a spool file is never
overwritten, so that a head names either what was before the redaction or what is after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256

import orjson

from ..contract.errors import SessionExecutionLeaseHeld
from ..contract.leases import LeaseOwnerIdentity
from ..contract.redaction import RedactedKind, RedactedPlace
from ..contract.state import AgentFrameRecord, BlobRef, SessionCheckpoint
from ..contract.values import altered, encoded
from . import later, matching_ids, rewording, summaries, turn_inputs
from .encoding import dump, load
from .facts import (
    Archive,
    CommitFact,
    Fact,
    InputFact,
    NodeFact,
    StoredInput,
    ValueDroppedFact,
    ValueFact,
    stored_values,
)
from .leases import live_lease
from .moment import Moment
from .reading import load_value
from .redactor import Redactor
from .state import LiveBatch, LiveInput, SessionState, Summary
from .summaries import MAX_FIRST_MESSAGE, user_text


def require_free(state: SessionState, moment: Moment) -> None:
    """Raise `SessionExecutionLeaseHeld` where somebody holds the session who is not known to be dead."""
    lease = live_lease(state, moment)
    if lease is not None and not moment.is_dead(lease.owner, LeaseOwnerIdentity.local_process("redaction", "1")):
        raise SessionExecutionLeaseHeld(state.session_id, lease.owner.owner_id, lease.expires_at_epoch_ms)


class Redaction:
    """What a redaction makes of a session.

    Attributes:
        places: what matches and is replaced.
        left: what matches and stays.
        state: the session's state afterwards.
        refs: old and new address of each stored value that changes.
        stored: the values that are kept, each with the record that stored it.
    """

    def __init__(self, redactor: Redactor, state: SessionState, archive: Archive) -> None:
        self._redactor = redactor
        self._before = state
        self._archive = archive
        self._counts: Counter[tuple[RedactedKind, str]] = Counter()
        self._recount = False
        self.refs: dict[BlobRef, BlobRef] = {}
        self.stored: dict[BlobRef, int] = {}
        commits = (fact for fact in archive.facts(CommitFact) if isinstance(fact, CommitFact))
        self._manifests = {state.checkpoint_ref, *(fact.checkpoint_ref for fact in commits)}
        self._look_at_facts()
        self.left = tuple(matching_ids.ids_left(redactor, state, archive))
        self._input_numbers, self._work_numbers = self._look_at_queues()
        self.state = self._state()
        self._look_at_manifests()
        self.places = tuple(
            [RedactedPlace(kind, ident, count, self.refs.get(ident)) for (kind, ident), count in self._counts.items()]
        )

    # Looking.

    def _look_at_facts(self) -> None:
        found = stored_values(self._archive.facts(ValueFact, ValueDroppedFact))
        self.stored = {ref: value.seq for ref, value in found.items()}
        # Every line there is, also those that a later one took the place of.
        for fact in self._archive.facts():
            if isinstance(fact, NodeFact):
                self._look_at_node(fact)
            elif isinstance(fact, ValueFact):
                self._look_at_value(fact)
            elif isinstance(fact, InputFact):
                # A fork has those of its parent in its files, too.
                self._count_input(fact.stored)

    def _look_at_value(self, fact: ValueFact) -> None:
        is_stored = self.stored.get(fact.ref) == fact.seq
        if fact.ref in self._manifests or not (is_stored or fact.content is not None):
            return  # a manifest is looked at where it is committed; a blob that was dropped is a file that may go
        before = self._content(fact)
        content, count = self._redactor.octets(before)
        if content != before:
            self._counts[RedactedKind.VALUE, fact.ref] = count
            if is_stored:
                self.refs[fact.ref] = sha256(content).hexdigest()

    def _content(self, fact: ValueFact) -> bytes:
        return load_value(self._archive, fact.ref, "value") if fact.content is None else fact.content

    def _look_at_node(self, fact: NodeFact) -> None:
        node, count = rewording.node(self._redactor, fact.node)
        if count:
            self._counts[RedactedKind.NODE, node.node_id] += count
            if (user_text(node) is None) != (user_text(fact.node) is None):
                self._recount = True

    def _look_at_queues(self) -> tuple[dict[int, int], dict[int, int]]:
        """The new number of each input, and of each batch, that gets one."""
        state = self._before
        work: list[int] = []
        waiting = [live.stored for live in state.inputs.values()]
        inputs = [stored.record.enqueue_seq for stored in waiting if self._count_input(stored)]
        for batch in (queued.batch for queued in state.work.values()):
            _, count = rewording.batch(self._redactor, batch)
            if count:
                self._counts[RedactedKind.WORK, batch.batch_id] = count
                work.append(batch.enqueue_seq)
        seqs = [stored.record.enqueue_seq for stored in (*waiting, *turn_inputs.settled(state, self._archive))]
        batches = [queued.batch.enqueue_seq for queued in state.work.values()]
        return _renumbered(inputs, seqs, state.next_input_seq), _renumbered(work, batches, state.next_work_seq)

    def _count_input(self, stored: StoredInput) -> bool:
        """Whether anything of the input changes."""
        count = rewording.turn_input(self._redactor, stored.record.input)[1]
        if count:
            self._counts[RedactedKind.INPUT, stored.record.input_id] += count
        return bool(count) or any(ref in self.refs for _, ref in stored.images)

    def _look_at_manifests(self) -> None:
        for fact in self._archive.facts(CommitFact):
            if isinstance(fact, CommitFact):
                self._manifest(encoded(fact, "manifest"), fact.checkpoint_ref)

    def _manifest(self, text: bytes, ref: BlobRef) -> tuple[bytes, BlobRef]:
        """A manifest with new addresses of its parts, and its own; where nothing of it changes, as it was."""
        was = orjson.loads(text)
        manifest = load(SessionCheckpoint, was)
        turn_state, count = rewording.turn_state(self._redactor, manifest.turn_state)
        if count:
            self._counts[RedactedKind.CHECKPOINT, ref] = count
        changed = replace(
            manifest,
            turn_state=turn_state,
            tool_state_ref=self._moved(manifest.tool_state_ref),
            plugin_snapshot_ref=self._moved(manifest.plugin_snapshot_ref),
            execution_state_ref=self._moved(manifest.execution_state_ref),
        )
        if not count and changed == manifest:
            return text, ref
        content = dump(changed)
        now = orjson.loads(content)
        whole = later.kept(SessionCheckpoint, was, now)
        if whole != now:
            content = orjson.dumps(whole)
        self.refs[ref] = sha256(content).hexdigest()
        return content, self.refs[ref]

    def _moved(self, ref: BlobRef | None) -> BlobRef | None:
        return None if ref is None else self.refs.get(ref, ref)

    # The state that it comes to.

    def _state(self) -> SessionState:
        before, redactor = self._before, self._redactor
        state = replace(before, summary=replace(before.summary))
        state.inputs = {ident: self._live_input(live) for ident, live in before.inputs.items()}
        state.work = {ident: self._live_batch(queued) for ident, queued in before.work.items()}
        state.next_input_seq += len(self._input_numbers)
        state.next_work_seq += len(self._work_numbers)
        state.frames = tuple([self._frame(frame) for frame in before.frames])
        state.config, count = rewording.config(redactor, before.config)
        self._note(RedactedKind.CONFIG, count)
        if before.meta is not None:
            state.meta, count = rewording.meta(redactor, before.meta)
            self._note(RedactedKind.METADATA, count)
        state.ledger, count = rewording.ledger(redactor, before.ledger)
        self._note(RedactedKind.USAGE, count)
        if before.manifest is not None and before.checkpoint_ref is not None:
            stored = load_value(self._archive, before.checkpoint_ref, "manifest")
            text, state.checkpoint_ref = self._manifest(stored, before.checkpoint_ref)
            state.manifest = load(SessionCheckpoint, orjson.loads(text))
        self._retell(state)
        return state

    def _note(self, kind: RedactedKind, count: int) -> None:
        if count:
            self._counts[kind, self._before.session_id] += count

    def _live_input(self, live: LiveInput) -> LiveInput:
        return LiveInput(self._stored_input(live.stored), live.claim, live.deferred, live.said)

    def _stored_input(self, stored: StoredInput) -> StoredInput:
        record = stored.record
        given, _ = rewording.turn_input(self._redactor, record.input)
        number = self._input_numbers.get(record.enqueue_seq, record.enqueue_seq)
        images = tuple([(key, self.refs.get(ref, ref)) for key, ref in stored.images])
        return StoredInput(altered(record, input=given, enqueue_seq=number), stored.submitted, images)

    def _live_batch(self, queued: LiveBatch) -> LiveBatch:
        batch, _ = rewording.batch(self._redactor, queued.batch)
        number = self._work_numbers.get(batch.enqueue_seq, batch.enqueue_seq)
        return LiveBatch(altered(batch, enqueue_seq=number), queued.claim, queued.said)

    def _frame(self, frame: AgentFrameRecord) -> AgentFrameRecord:
        changed, count = rewording.frame(self._redactor, frame)
        if count:
            self._counts[RedactedKind.FRAME, frame.frame_id] += count
        return altered(changed, execution_state_ref=self._moved(frame.execution_state_ref))

    def _retell(self, state: SessionState) -> None:
        """The summary of what the nodes say now: a match may have been cut off at its end."""
        redactor, summary = self._redactor, state.summary
        if self._recount:
            live = summaries.live_nodes(self._before, self._archive)
            told = (rewording.node(redactor, node)[0] for node in live)
            state.summary = summaries.with_nodes(Summary(), told)
        elif (RedactedKind.NODE, summary.first_user_node_id) in self._counts:
            first = self._archive.find(f"n:{summary.first_user_node_id}")
            assert isinstance(first, NodeFact)
            text = user_text(rewording.node(redactor, first.node)[0]) or ""
            state.summary = replace(summary, first_user_message=text[:MAX_FIRST_MESSAGE])

    # The facts that it comes to.

    def changed_values(self) -> Iterator[ValueFact]:
        """The stored values that have a new address, as they are then."""
        for fact in self._archive.facts(ValueFact):
            if isinstance(fact, ValueFact) and fact.ref in self.refs and self.stored.get(fact.ref) == fact.seq:
                yield self._value(fact)

    def _value(self, fact: ValueFact) -> ValueFact:
        if fact.ref not in self.refs:
            return fact
        if fact.ref in self._manifests:
            content, ref = self._manifest(self._content(fact), fact.ref)
            return ValueFact(fact.seq, ref, content)
        content, _ = self._redactor.octets(self._content(fact))
        return ValueFact(fact.seq, self.refs[fact.ref], content)

    def kept_refs(self) -> frozenset[BlobRef]:
        """The addresses under which something is stored afterwards."""
        return frozenset(self.refs.get(ref, ref) for ref in self.stored)

    def facts(self) -> Iterator[Fact]:
        """Every fact as it is afterwards, oldest first. Values that were dropped or stored again are left out."""
        written: set[BlobRef] = set()
        for fact in self._archive.facts():
            if isinstance(fact, ValueFact):
                if self.stored.get(fact.ref) == fact.seq and self.refs.get(fact.ref, fact.ref) not in written:
                    written.add(self.refs.get(fact.ref, fact.ref))
                    yield self._value(fact)
            elif isinstance(fact, NodeFact):
                yield NodeFact(fact.seq, rewording.node(self._redactor, fact.node)[0], fact.line)
            elif isinstance(fact, InputFact):
                yield InputFact(fact.seq, self._settled(fact), fact.line)
            elif isinstance(fact, CommitFact):
                manifest, ref = self._manifest(encoded(fact, "manifest"), fact.checkpoint_ref)
                yield altered(fact, manifest=manifest, checkpoint_ref=ref)
            elif not isinstance(fact, ValueDroppedFact):
                yield fact

    def _settled(self, fact: InputFact) -> StoredInput:
        stored = self._stored_input(fact.stored)
        if self._before.owns(fact.seq):
            return stored
        number = fact.stored.record.enqueue_seq
        return StoredInput(altered(stored.record, enqueue_seq=number), stored.submitted, stored.images)


def _renumbered(changed: list[int], seqs: list[int], free: int) -> dict[int, int]:
    """New numbers from `free` on for the first that changed and all behind it, in their order."""
    if not changed:
        return {}
    first = min(changed)
    return {seq: free + at for at, seq in enumerate(sorted(seq for seq in seqs if seq >= first))}
