"""Node files: what their names promise, each line, the index, the copy of the head."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import orjson

from ...contract.errors import CorruptRecord, RecordSchemaVersionError
from ...machine.encoding import Malformed
from ...machine.facts import Fact, ValueFact
from .. import keyindex, names
from ..factlines import CODES, decode_fact
from ..head import Head, NodeFileRef, load_head
from ..lines import BODY_AT
from ..linescan import Finding as Stretch
from ..linescan import intact_lines
from ..nodefile import NodeFile
from .findings import Severity
from .look import REPAIR, Look
from .recount import Recount

_NODE_ID = re.compile(rb'"node_id":("(?:[^"\\]|\\.)*")')
_BLOB = b',"blob":true}'


@dataclass(slots=True)
class NodeFiles:
    """What the node files of a head come to.

    `complete` says that no record of any is damaged or missing; `copies` are the copies of heads, newest file first.
    """

    counts: Recount
    complete: bool = True
    copies: tuple[Head, ...] = ()


def check_node_files(look: Look, head: Head) -> NodeFiles:
    """Look at every node file that the head relies on, and count what is in them."""
    found = NodeFiles(Recount())
    damaged: list[_Damaged] = []
    last = 0
    for ref in head.files:
        if not last <= ref.first_seq <= ref.last_seq <= head.folded_seq:
            look.error("file_order", look.path(names.HEAD), f"the records of node file {ref.name} are out of order")
        last = ref.last_seq
        path = look.path(names.NODES, names.node_file(ref.name))
        raw = _read(look, path, ref)
        if raw is None:
            found.complete = False
            continue
        one = _OneFile(look, path, ref, raw)
        one.check_name()
        one.check_lines(found.counts)
        one.check_index()
        found.copies = (*one.copy_of_head(), *found.copies)
        found.complete = found.complete and one.is_complete
        if one.stretches:
            damaged.append(_Damaged(path, one))
    known = _known_ids(found.counts, head)
    for each in damaged:
        each.report(look, known)
    look.count(nodes=sum(1 for _ in found.counts.live(head.floor_seq)))
    return found


def _read(look: Look, path: str, ref: NodeFileRef) -> bytes | None:
    """The bytes of a node file that the head relies on, which is there."""
    before = len(look.findings)
    raw = look.read(path, ref.size)
    if raw is None and len(look.findings) == before:
        message = f"the node file with the records {ref.first_seq} to {ref.last_seq} is missing"
        look.error("node_file_missing", path, message, f"put it back from a copy, or {REPAIR}")
    return raw


def _known_ids(counts: Recount, head: Head) -> dict[int, str]:
    """Ids that a damaged line may be of, by the hashes of their keys."""
    ids = set(counts.nodes) | counts.parents
    if head.leaf_node_id is not None:
        ids.add(head.leaf_node_id)
    return {keyindex.hash_key(f"n:{node_id}"): node_id for node_id in ids}


class _OneFile:
    """One node file, all of its bytes at hand."""

    def __init__(self, look: Look, path: str, ref: NodeFileRef, raw: bytes) -> None:
        self._look = look
        self._path = path
        self._ref = ref
        self.raw = raw
        good, self.stretches = intact_lines(raw)
        self._own = [(at, line) for at, line in good if line.startswith(b'"kind":"file.', BODY_AT)]
        own = {at for at, _ in self._own}
        self._records = [(at, line) for at, line in good if at not in own]
        self.hashes: dict[int, list[int]] = {}
        self._wanted: dict[int, tuple[int, int]] = {}
        self._pairs: set[tuple[int, int, int]] = set()
        self.end_of_records = self._end()
        self.is_complete = self._tiles()

    def _end(self) -> int:
        """Where the records end, as far as that can be told; behind the file where it cannot."""
        for offset, line in self._own:
            if line.startswith(b'"kind":"file.index"', BODY_AT):
                return offset
            if line.startswith(b'"kind":"file.end"', BODY_AT):
                return int(orjson.loads(line)["index"][0])
        return max(len(self.raw), self._ref.size) + 1

    def _tiles(self) -> bool:
        at = 0
        for offset, line in self._records:
            if offset != at:
                return False
            at += len(line) + 1
        return at == self.end_of_records

    def check_name(self) -> None:
        """The name is the SHA-256 of the bytes."""
        found = sha256(self.raw).hexdigest()
        if found != self._ref.name and not self.stretches:
            self._look.error("name_mismatch", self._path, f"its bytes have the SHA-256 {found}, not that of its name")
        if len(self.raw) != self._ref.size and not self.stretches:
            message = f"it has {len(self.raw)} bytes, the head says {self._ref.size}"
            self._look.error("truncated", self._path, message, offset=min(len(self.raw), self._ref.size))

    def check_lines(self, counts: Recount) -> None:
        """Each line holds a record that can be read, of the journal records that the head says are in the file."""
        last = 0
        for offset, line in self._records:
            try:
                fact = decode_fact(line, self._path, offset)
            except CorruptRecord as error:
                self._look.error("damaged_record", self._path, error.reason, offset=offset)
                self.is_complete = False
                continue
            if not last <= fact.seq <= self._ref.last_seq or fact.seq < self._ref.first_seq:
                message = f"the line is of record {fact.seq}, which is out of order"
                self._look.error("record_order", self._path, message, offset=offset)
            last = max(last, fact.seq)
            counts.add(fact, is_blob=isinstance(fact, ValueFact) and line.endswith(_BLOB))
            self._note_keys(offset, fact)

    def _note_keys(self, offset: int, fact: Fact) -> None:
        for key in fact.keys():  # noqa: SIM118 - a fact's keys, no mapping's
            hashed = keyindex.hash_key(key)
            self._wanted[hashed] = (offset, CODES[type(fact)])
            self._pairs.add((hashed, offset, CODES[type(fact)]))

    def check_index(self) -> None:
        """The index has the newest line of each key, and nothing that is not in the file; lookups find the same."""
        try:
            file = NodeFile.open(self._path, self._ref.name)
        except (CorruptRecord, FileNotFoundError):
            return  # what is damaged is among the stretches
        except RecordSchemaVersionError as error:
            self._look.error("schema_version", self._path, str(error), "use the release that wrote it, or upgrade")
            return
        try:
            self._compare(file)
        except CorruptRecord as error:
            if not self.stretches:
                self._look.error("damaged_index", self._path, error.reason)
        finally:
            file.close()

    def _compare(self, file: NodeFile) -> None:
        for hashed, entry in list(_hashed(file)):
            self.hashes.setdefault(entry[0], []).append(hashed)
            if self.is_complete and (hashed, *entry) not in self._pairs:
                self._look.error("damaged_index", self._path, f"the index points to offset {entry[0]} for no key of it")
        if not self.is_complete:
            return
        for hashed, wanted in self._wanted.items():
            if file.find(hashed)[:1] != [wanted]:
                message = f"the index does not find the newest line of a key, at offset {wanted[0]}"
                self._look.error("damaged_index", self._path, message)
        if file.count != len(self._records):
            self._look.error("damaged_index", self._path, f"it counts {file.count} records of {len(self._records)}")

    def copy_of_head(self) -> Iterator[Head]:
        """The copy of a head that the file ends with."""
        for _, line in self._own:
            if not line.startswith(b'"kind":"file.head"', BODY_AT):
                continue
            try:
                copy = load_head(orjson.loads(line).get("head"))
            except Malformed as error:
                self._look.error("damaged_copy", self._path, f"the copy of the head is malformed: {error}")
                continue
            files = (each if each.name else replace(self._ref) for each in copy.files)
            yield replace(copy, files=tuple(files))


def _hashed(file: NodeFile) -> Iterator[tuple[int, keyindex.Entry]]:
    for number in file.index_entries():
        yield number >> 56, (number >> 8 & keyindex.MAX_OFFSET, number & 0xFF)


class _Damaged:
    """A file with damaged stretches, to be told of once all ids are known."""

    def __init__(self, path: str, file: _OneFile) -> None:
        self._path = path
        self._file = file

    def report(self, look: Look, known: dict[int, str]) -> None:
        """Each damaged stretch, with the node that it was where that can be told."""
        for stretch in self._file.stretches:
            is_record = stretch.offset < self._file.end_of_records
            node_id = self._node_id(stretch, known) if is_record else None
            what = "a record" if is_record else "the index, the copy of the head or the last line"
            message = f"{stretch.size} bytes of {what} are damaged: {stretch.reason}"
            kind = "damaged_record" if is_record else "damaged_index"
            look.note(Severity.ERROR, kind, self._path, message, offset=stretch.offset, node_id=node_id)
        if not self._file.is_complete and len(self._file.raw) <= self._file.end_of_records:
            message = "it is cut short: what it held behind this is gone"
            look.error("truncated", self._path, message, offset=len(self._file.raw))

    def _node_id(self, stretch: Stretch, known: dict[int, str]) -> str | None:
        hashes = self._file.hashes.get(stretch.offset, [])
        for hashed in hashes:
            if hashed in known:
                return known[hashed]
        for match in _NODE_ID.finditer(self._file.raw[stretch.offset : stretch.offset + stretch.size]):
            node_id: Any = _text(match[1])
            if node_id is not None and (not hashes or keyindex.hash_key(f"n:{node_id}") in hashes):
                return str(node_id)
        return None


def _text(quoted: bytes) -> str | None:
    try:
        found = orjson.loads(quoted)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, str) else None
