"""The facts of a session: recent ones in memory, older ones in node files, large values in blobs.

A node file that is damaged still answers with what is intact in it. Nothing is concluded from what is damaged: where it
may hold a newer fact than the one found, or the one that was not found, the answer is `CorruptRecord`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256

from ..contract.errors import BackendError, CorruptRecord
from ..contract.graph import SessionNodeRecord
from ..contract.values import encoded
from ..machine.encoding import KINDS
from ..machine.facts import (
    Fact,
    NodeFact,
    Recent,
    TombstoneFact,
    Unfolded,
    ValueDroppedFact,
    ValueFact,
    climb,
    stored_values,
)
from . import names
from .factlines import CODES, decode_fact, payload_in
from .head import Head, NodeFileRef
from .keyindex import Probe, hash_key, perhaps
from .lines import BODY_AT
from .nodefile import NodeFile
from .salvage import SalvagedFile
from .system import system

_PROBES_GO_STALE = 64
"""After so many lookups it is looked again which indexes have come into memory."""
_BETWEEN_TURNS = 16
"""So many lines of other facts may stand between a node and its parent for it to be found there."""
_TRIES_NEARBY = 4
"""After so many nodes without a parent nearby it is not looked for any more."""
_VALUE = CODES[ValueFact]
_NODE_MARK = b'"kind":"%s"' % KINDS[NodeFact].encode()


class FileArchive:
    """The `Archive` of a session on disk. The newest node file is looked into first."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.recent = Recent()
        self._nodes = os.path.join(folder, names.NODES)
        self.refs: tuple[NodeFileRef, ...] = ()
        self._head: Head | None = None
        self._open: dict[str, NodeFile] = {}
        self._salvaged: dict[str, SalvagedFile] = {}
        self._hides_nodes: bool | None = None
        self._probes: list[Probe[NodeFileRef]] = []
        self._asks = 0

    @property
    def head(self) -> Head:
        """The head that names the node files."""
        assert self._head is not None
        return self._head

    @property
    def descriptor_count(self) -> int:
        """How many node files are open."""
        return len(self._open)

    def rely_on(self, head: Head) -> None:
        """From now on its files are the node files; others are closed, and new ones opened when they are asked."""
        self.refs = head.files
        self._head = head
        self._salvaged.clear()
        self._probes = []
        self._hides_nodes = None
        wanted = {ref.name for ref in head.files}
        for name in [name for name in self._open if name not in wanted]:
            self._open.pop(name).close()

    def close(self) -> None:
        """Close every node file; they are opened again when they are asked."""
        self._probes = []
        while self._open:
            self._open.popitem()[1].close()

    def _file(self, ref: NodeFileRef) -> NodeFile:
        found = self._open.get(ref.name)
        if found is None:
            found = self._open[ref.name] = self._opened(ref)
        return found

    def _opened(self, ref: NodeFileRef) -> NodeFile:
        path = os.path.join(self._nodes, names.node_file(ref.name))
        try:
            if not self._open:
                system.check_dir(self._nodes)
            return NodeFile.open(path, ref.name)
        except FileNotFoundError as error:
            raise CorruptRecord(path, "it is missing") from error
        except BackendError as error:
            if os.path.lexists(path) and not stat.S_ISREG(system.stat(path).st_mode):
                raise CorruptRecord(path, f"it is no regular file: {error}") from error
            raise

    def find(self, key: str) -> Fact | None:
        fact = self.recent.by_key.get(key)
        if fact is not None:
            return fact
        hashed = hash_key(key)
        try:
            return self._located(key, hashed)[0]
        except CorruptRecord:
            return self._find_past_damage(key, hashed)

    def _located(self, key: str, hashed: int) -> tuple[Fact | None, NodeFile | None, int]:
        """The newest fact under a key in node files none of which is damaged, and where it stands."""
        for ref in self._asked(hashed):
            file = self._file(ref)
            for offset, _ in file.find(hashed):
                found = decode_fact(file.line_at(offset), file.path, offset, self.read_blob)
                if key in found.keys():  # noqa: SIM118 - a fact's keys, no mapping's
                    return found, file, offset
        return None, None, 0

    def ancestry(self, node_id: str, since: int, *, once: bool) -> Iterator[SessionNodeRecord]:
        """As `Archive.ancestry`. A parent mostly stands right before its child, where no index need be asked for it."""
        tries = _TRIES_NEARBY if once else 0
        wanted: str | None = node_id
        while wanted is not None and tries > 0:
            key = f"n:{wanted}"
            fact, file, offset = self.recent.by_key.get(key), None, 0
            if fact is None:
                try:
                    fact, file, offset = self._located(key, hash_key(key))
                except CorruptRecord:
                    break
            if not isinstance(fact, NodeFact) or fact.seq < since:
                return
            yield fact.node
            wanted = fact.node.parent_node_id
            if file is not None:
                tries -= 1
                for node in self._nearby(file, offset, since):
                    if node.node_id != wanted:
                        break
                    yield node
                    wanted, tries = node.parent_node_id, _TRIES_NEARBY
        if wanted is not None:
            yield from climb(self.find, wanted, since)

    def _nearby(self, file: NodeFile, offset: int, since: int) -> Iterator[SessionNodeRecord]:
        """The nodes that stand right before a line, the nearest first, as far as they can be read."""
        others = 0
        for at, line in file.lines_before(offset):
            if line.startswith(_NODE_MARK, BODY_AT):
                try:
                    fact = decode_fact(line, file.path, at)
                except CorruptRecord:
                    return
                if not isinstance(fact, NodeFact) or fact.seq < since:
                    return
                yield fact.node
                others = 0
            elif others == _BETWEEN_TURNS:
                return
            else:
                others += 1

    def _asked(self, hashed: int) -> list[NodeFileRef]:
        """The files that may have a key of this hash, newest first. Opens none: the newest may have it."""
        self._asks += 1
        if self._asks > _PROBES_GO_STALE or len(self._probes) != len(self.refs):
            self._probes = [self._probe(ref) for ref in reversed(self.refs)]
            self._asks = 0
        return perhaps(self._probes, hashed)

    def _probe(self, ref: NodeFileRef) -> Probe[NodeFileRef]:
        file = self._open.get(ref.name)
        return (None, 0, ref) if file is None else file.probe(ref)

    def has_value(self, ref: str) -> bool:
        key = f"v:{ref}"
        if key in self.recent.by_key:
            return isinstance(self.recent.by_key[key], ValueFact)
        hashed = hash_key(key)
        try:
            for file_ref in self._asked(hashed):
                for _, kind in self._file(file_ref).find(hashed):
                    # A ref is a SHA-256 itself, so that its key's hash stands for it.
                    return kind == _VALUE
        except CorruptRecord:
            return isinstance(self._find_past_damage(key, hashed), ValueFact)
        return False

    def _find_past_damage(self, key: str, hashed: int) -> Fact | None:
        """`find` in node files some of which are damaged."""
        doubt: CorruptRecord | None = None
        found: Fact | None = None
        for ref in reversed(self.refs):
            try:
                file = self._file(ref)
                entries = file.find(hashed)
            except CorruptRecord:
                salvaged = self._salvage(ref)
                found = salvaged.find(key, self.read_blob)
                if not salvaged.complete:
                    doubt = doubt or salvaged.damage
            else:
                # The index says that the line is there: where that is damaged, no older one will do.
                facts = (self._fact_at(ref, file, at) for at, _ in entries)
                found = next((fact for fact in facts if key in fact.keys()), None)  # noqa: SIM118
            if found is not None:
                break
        if doubt is not None and (found is None or not self._is_last_word(key, found)):
            raise doubt
        return found

    def _fact_at(self, ref: NodeFileRef, file: NodeFile, offset: int) -> Fact:
        try:
            line = file.line_at(offset)
        except CorruptRecord:
            # Its line end may be all that is damaged.
            intact = self._salvage(ref).records.get(offset)
            if intact is None:
                raise
            line = intact
        return decode_fact(line, file.path, offset, self.read_blob)

    def _salvage(self, ref: NodeFileRef) -> SalvagedFile:
        found = self._salvaged.get(ref.name)
        if found is None:
            found = self._salvaged[ref.name] = SalvagedFile(self.folder, ref)
        return found

    def _is_last_word(self, key: str, found: Fact) -> bool:
        """Whether nothing that is damaged can be newer than the fact found under the key.

        Turns, revisions, settled inputs and values are written once. A node may have been hidden or committed again
        since: the head counts both, so that it is seen whether one of these is missing.
        """
        if key.startswith("a:"):
            return False
        if not key.startswith("n:"):
            return True
        if self._hides_nodes is None:
            self._hides_nodes = self._count_hidden()
        return isinstance(found, NodeFact) and not self._hides_nodes

    def _count_hidden(self) -> bool:
        """Whether the damaged files hid a node, or committed a hidden one again."""
        head = self._head
        assert head is not None
        live: dict[str, bool] = {}
        revived = 0
        for ref in self.refs:
            for _, fact in self._intact_facts(ref):
                if isinstance(fact, NodeFact) and fact.seq >= head.floor_seq:
                    revived += fact.node.node_id in live
                    live[fact.node.node_id] = True
                elif isinstance(fact, TombstoneFact) and fact.seq >= head.floor_seq:
                    live[fact.node_id] = False
        hidden = sum(not shown for shown in live.values())
        return (hidden, revived) != (head.tombstone_count, head.revived_count)

    def _intact_facts(self, ref: NodeFileRef) -> Iterator[tuple[int, Fact]]:
        try:
            path = self._file(ref).path
            lines = list(self._file(ref).lines())
        except CorruptRecord:
            return self._salvage(ref).facts()
        return ((offset, decode_fact(line, path, offset)) for offset, line in lines)

    def unfolded(self) -> Sequence[Unfolded]:
        return self.recent.records

    def read_blob(self, ref: str) -> bytes:
        """The bytes of a large value, checked against their name."""
        where = os.path.join(self.folder, names.BLOBS)
        path = os.path.join(where, names.blob(ref))
        try:
            system.check_dir(where)
            content = system.read_file(path)
        except FileNotFoundError as error:
            raise CorruptRecord(path, "the blob is missing") from error
        if sha256(content).hexdigest() != ref:
            raise CorruptRecord(path, "its bytes are not those of its name")
        return content

    def facts(self, *kinds: type) -> Iterator[Fact]:
        for ref in self.refs:
            done, path = -1, os.path.join(self._nodes, names.node_file(ref.name))
            try:
                for offset, line in self._lines(ref, kinds):
                    fact = decode_fact(line, path, offset)
                    if not kinds:
                        fact.line = line
                    yield fact
                    done = offset
            except CorruptRecord as damage:
                salvaged = self._salvage(ref)
                if not salvaged.complete:
                    raise damage
                yield from (
                    fact for at, fact in salvaged.facts() if at > done and (not kinds or isinstance(fact, kinds))
                )
        yield from self.recent.facts(*kinds)

    def blobs(self) -> list[str]:
        """The large values that are stored in files of their own."""
        return [ref for ref, value in stored_values(self.facts(ValueFact, ValueDroppedFact)).items() if value.is_blob]

    def nodes_where(self, test: Callable[[bytes], bool]) -> Iterator[NodeFact]:
        for ref in self.refs:
            done, path = -1, os.path.join(self._nodes, names.node_file(ref.name))
            try:
                for offset, line in self._file(ref).lines():
                    if line.startswith(_NODE_MARK, BODY_AT) and test(payload_in(line)):
                        fact = decode_fact(line, path, offset)
                        assert isinstance(fact, NodeFact)
                        yield fact
                        done = offset
            except CorruptRecord as damage:
                salvaged = self._salvage(ref)
                if not salvaged.complete:
                    raise damage
                found = ((at, fact) for at, fact in salvaged.facts() if at > done)
                yield from (
                    fact for _, fact in found if isinstance(fact, NodeFact) and test(encoded(fact.node, "payload"))
                )
        yield from self.recent.nodes_where(test)

    def _lines(self, ref: NodeFileRef, kinds: tuple[type, ...]) -> Iterator[tuple[int, bytes]]:
        """The lines of a node file that hold facts of these classes, in order."""
        file = self._file(ref)
        if kinds and NodeFact not in kinds:
            # Few of many lines: the index knows where.
            offsets = sorted({at for kind in kinds for at in file.entries_of_kind(CODES[kind])})
            return ((offset, file.line_at(offset)) for offset in offsets)
        if not kinds:
            return file.lines()
        marks = tuple(b'"kind":"%s"' % KINDS[kind].encode() for kind in kinds)
        return ((offset, line) for offset, line in file.lines() if line.startswith(marks, BODY_AT))
