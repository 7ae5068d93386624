"""What must be found for ever, and where it is looked up.

A session's live state is bounded; what only grows - nodes, turn stamps, settled inputs, values, attachment rows - is
kept as facts, each under one or more keys. The newest fact under a key is the one that counts. One that may be written
anew has the `line` that it was read from, or a JSON object like it, with what a later release said in it. Facts since
the last fold are in a `Recent`; older ones are in node files; the `Archive` protocol covers both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from ..contract.attachments import AttachmentManifestEntry
from ..contract.feed import ChangeKind
from ..contract.graph import SessionNodeRecord
from ..contract.history import HeadMoveKind
from ..contract.inputs import PendingTurnInput, TurnInputIngress
from ..contract.state import BlobRef
from ..contract.values import JsonObject, JsonValue, encoded, held

_UNWRITTEN = {"transient": True}


@dataclass(slots=True)
class StoredInput:
    """An input as kept: with refs instead of the bytes of its images, and with the ingress it was submitted with."""

    record: PendingTurnInput
    submitted: TurnInputIngress
    images: tuple[tuple[str, BlobRef], ...] = ()


@dataclass(slots=True)
class NodeFact:
    """A node was committed."""

    seq: int
    node: SessionNodeRecord
    line: bytes | None = field(default=None, repr=False, compare=False, metadata=_UNWRITTEN)

    def keys(self) -> tuple[str, ...]:
        return (f"n:{self.node.node_id}",)


@dataclass(slots=True)
class TombstoneFact:
    """A node was hidden."""

    seq: int
    node_id: str
    line: bytes | None = field(default=None, repr=False, compare=False, metadata=_UNWRITTEN)

    def keys(self) -> tuple[str, ...]:
        return (f"n:{self.node_id}",)


@dataclass(slots=True)
class DanglingFact:
    """A node names this id as its parent, and no such node exists: committing it later could close a cycle."""

    seq: int
    node_id: str
    line: bytes | None = field(default=None, repr=False, compare=False, metadata=_UNWRITTEN)

    def keys(self) -> tuple[str, ...]:
        return (f"d:{self.node_id}",)


@held(manifest="object")
@dataclass(slots=True)
class CommitFact:
    """The head moved; with the stamp and result of the turn, if it had one. `manifest` is kept encoded.

    `branch` was current since, and `previous_branch` before a switch. `undone_revision` is of the move that an undo
    took back.
    """

    seq: int
    at_ms: int
    revision: int
    leaf_node_id: str | None
    previous_leaf_node_id: str | None
    checkpoint_ref: BlobRef
    manifest: JsonObject
    turn_id: str | None = None
    turn_commit_hash: str | None = None
    move: HeadMoveKind = HeadMoveKind.COMMIT
    branch: str | None = None
    previous_branch: str | None = None
    undone_revision: int | None = None
    line: bytes | None = field(default=None, repr=False, compare=False, metadata=_UNWRITTEN)

    def keys(self) -> tuple[str, ...]:
        own = f"r:{self.revision}"
        return (own,) if self.turn_id is None else (own, f"t:{self.turn_id}")


@dataclass(slots=True)
class InputFact:
    """An input was completed or cancelled."""

    seq: int
    stored: StoredInput
    line: bytes | None = field(default=None, repr=False, compare=False, metadata=_UNWRITTEN)

    def keys(self) -> tuple[str, ...]:
        record = self.stored.record
        own = f"i:{record.input_id}"
        return (own,) if record.source_key is None else (own, f"s:{record.source_key}")


@dataclass(slots=True)
class ValueFact:
    """A value was stored under the SHA-256 of its content.

    `content` is `None` where a large one is listed without being read; `Archive.find` always gives it.
    """

    seq: int
    ref: BlobRef
    content: bytes | None
    line: bytes | None = field(default=None, repr=False, compare=False, metadata=_UNWRITTEN)

    def keys(self) -> tuple[str, ...]:
        return (f"v:{self.ref}",)


@dataclass(slots=True)
class ValueDroppedFact:
    """A value that nothing live refers to was collected."""

    seq: int
    ref: BlobRef
    line: bytes | None = field(default=None, repr=False, compare=False, metadata=_UNWRITTEN)

    def keys(self) -> tuple[str, ...]:
        return (f"v:{self.ref}",)


@dataclass(slots=True)
class AttachmentFact:
    """A row of the attachment manifest was written, stamped or forgotten."""

    seq: int
    entry: AttachmentManifestEntry
    forgotten: bool = False
    line: bytes | None = field(default=None, repr=False, compare=False, metadata=_UNWRITTEN)

    def keys(self) -> tuple[str, ...]:
        return (f"a:{self.entry.attachment_id}",)


@dataclass(slots=True)
class TracedChange:
    """One change of a record, by kind and ids."""

    kind: ChangeKind
    ids: tuple[str, ...] = ()
    revision: int | None = None


@dataclass(slots=True)
class Trace:
    """What is remembered of a record for those who follow the session; `mark` tells it from a lost one's successor."""

    seq: int
    mark: str
    at_ms: int
    changes: tuple[TracedChange, ...]


@held(traces="value")
@dataclass(slots=True)
class TraceFact:
    """The traces of the records that one fold took up, oldest first, kept encoded; `seq` is the last one's."""

    seq: int
    traces: JsonValue
    line: bytes | None = field(default=None, repr=False, compare=False, metadata=_UNWRITTEN)

    def keys(self) -> tuple[str, ...]:
        return (f"c:{self.seq}",)


Fact: TypeAlias = (
    NodeFact
    | TombstoneFact
    | DanglingFact
    | CommitFact
    | InputFact
    | ValueFact
    | ValueDroppedFact
    | AttachmentFact
    | TraceFact
)


class StoredValue(NamedTuple):
    """Where a stored value is: the record that stored it, and whether its bytes are in a file of their own."""

    seq: int
    is_blob: bool


def stored_values(facts: Iterable[Fact]) -> dict[BlobRef, StoredValue]:
    """The values that are stored and were not dropped since, by facts of which the oldest come first."""
    found: dict[BlobRef, StoredValue] = {}
    for fact in facts:
        if isinstance(fact, ValueFact):
            found[fact.ref] = StoredValue(fact.seq, fact.content is None)
        elif isinstance(fact, ValueDroppedFact):
            found.pop(fact.ref, None)
    return found


Unfolded: TypeAlias = tuple[int, bytes]
"""A record that is only in the journal: its number, and its trace as JSON text."""


class Archive(Protocol):
    """Reads of what is kept for ever. Implementations raise `CorruptRecord` for damage, never a shorter answer."""

    def find(self, key: str) -> Fact | None:
        """The newest fact under `key`."""

    def has_value(self, ref: BlobRef) -> bool:
        """Whether a value is stored under `ref`, without reading it."""

    def facts(self, *kinds: type) -> Iterable[Fact]:
        """Every fact of these classes (of all, where none is named), oldest first."""

    def nodes_where(self, test: Callable[[bytes], bool]) -> Iterable[NodeFact]:
        """The nodes, oldest first, whose encoded text, perhaps with more around it, passes `test`."""

    def ancestry(self, node_id: str, since: int, *, once: bool) -> Iterable[SessionNodeRecord]:
        """The node, its parent, that one's parent and so on, up to where one has no parent, or none that counts.

        Args:
            node_id: whose.
            since: facts of earlier records do not count.
            once: no node has more than one fact that counts.
        """

    def unfolded(self) -> Sequence[Unfolded]:
        """The records that no `TraceFact` has yet, oldest first."""


def climb(find: Callable[[str], Fact | None], node_id: str, since: int) -> Iterator[SessionNodeRecord]:
    """`Archive.ancestry`, each node looked up by itself."""
    wanted: str | None = node_id
    while wanted is not None:
        fact = find(f"n:{wanted}")
        if not isinstance(fact, NodeFact) or fact.seq < since:
            return
        yield fact.node
        wanted = fact.node.parent_node_id


class Recent:
    """Facts in memory, oldest first, the newest of each key at hand."""

    __slots__ = ("by_key", "log", "records")

    def __init__(self) -> None:
        self.records: list[Unfolded] = []
        self.log: list[Fact] = []
        self.by_key: dict[str, Fact] = {}

    def add(self, fact: Fact) -> None:
        self.log.append(fact)
        for key in fact.keys():  # noqa: SIM118 - a fact's keys, no mapping's
            self.by_key[key] = fact

    def find(self, key: str) -> Fact | None:
        return self.by_key.get(key)

    def unfolded(self) -> Sequence[Unfolded]:
        return self.records

    def has_value(self, ref: BlobRef) -> bool:
        return isinstance(self.by_key.get(f"v:{ref}"), ValueFact)

    def facts(self, *kinds: type) -> Iterator[Fact]:
        return (fact for fact in self.log if not kinds or isinstance(fact, kinds))

    def nodes_where(self, test: Callable[[bytes], bool]) -> Iterator[NodeFact]:
        return (fact for fact in self.log if isinstance(fact, NodeFact) and test(encoded(fact.node, "payload")))

    def ancestry(self, node_id: str, since: int, *, once: bool) -> Iterator[SessionNodeRecord]:
        return climb(self.find, node_id, since)

    def keep(self, keep: Iterable[Fact]) -> None:
        """Replace everything by `keep`."""
        kept = list(keep)
        self.log, self.by_key, self.records = [], {}, []
        for fact in kept:
            self.add(fact)
