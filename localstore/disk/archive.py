"""The facts of a session: recent ones in memory, older ones in node files, large values in blobs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256

from ..contract.errors import CorruptRecord
from ..machine.encoding import KINDS
from ..machine.facts import Fact, NodeFact, Recent, ValueFact
from . import names
from .factlines import CODES, decode_fact
from .head import NodeFileRef
from .keyindex import hash_key
from .lines import BODY_AT
from .nodefile import NodeFile
from .system import system

_VALUE = CODES[ValueFact]


class FileArchive:
    """The `Archive` of a session on disk. The newest node file is looked into first."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.recent = Recent()
        self.refs: tuple[NodeFileRef, ...] = ()
        self._open: dict[str, NodeFile] = {}

    @property
    def descriptor_count(self) -> int:
        """How many node files are open."""
        return len(self._open)

    def rely_on(self, refs: tuple[NodeFileRef, ...]) -> None:
        """From now on these are the node files; others are closed, and new ones opened when they are asked."""
        self.refs = refs
        wanted = {ref.name for ref in refs}
        for name in [name for name in self._open if name not in wanted]:
            self._open.pop(name).close()

    def close(self) -> None:
        """Close every node file; they are opened again when they are asked."""
        while self._open:
            self._open.popitem()[1].close()

    def _file(self, ref: NodeFileRef) -> NodeFile:
        found = self._open.get(ref.name)
        if found is None:
            path = os.path.join(self.folder, names.NODES, names.node_file(ref.name))
            found = self._open[ref.name] = NodeFile.open(path, ref.name)
        return found

    def find(self, key: str) -> Fact | None:
        fact = self.recent.by_key.get(key)
        if fact is not None:
            return fact
        hashed = hash_key(key)
        for ref in reversed(self.refs):
            file = self._file(ref)
            for offset, _ in file.find(hashed):
                found = decode_fact(file.line_at(offset), file.path, offset, self.read_blob)
                if key in found.keys():  # noqa: SIM118 - a fact's keys, no mapping's
                    return found
        return None

    def has_value(self, ref: str) -> bool:
        key = f"v:{ref}"
        if key in self.recent.by_key:
            return isinstance(self.recent.by_key[key], ValueFact)
        hashed = hash_key(key)
        for file_ref in reversed(self.refs):
            for _, kind in self._file(file_ref).find(hashed):
                # A ref is a SHA-256 itself, so that its key's hash stands for it.
                return kind == _VALUE
        return False

    def read_blob(self, ref: str) -> bytes:
        """The bytes of a large value, checked against their name."""
        path = os.path.join(self.folder, names.BLOBS, names.blob(ref))
        try:
            content = system.read_file(path)
        except FileNotFoundError as error:
            raise CorruptRecord(path, "the blob is missing") from error
        if sha256(content).hexdigest() != ref:
            raise CorruptRecord(path, "its bytes are not those of its name")
        return content

    def facts(self, *kinds: type) -> Iterator[Fact]:
        for ref in self.refs:
            yield from self._facts_of(self._file(ref), kinds)
        yield from self.recent.facts(*kinds)

    def _facts_of(self, file: NodeFile, kinds: tuple[type, ...]) -> Iterator[Fact]:
        if kinds and NodeFact not in kinds:
            # Few of many lines: the index knows where.
            offsets = sorted({at for kind in kinds for at in file.entries_of_kind(CODES[kind])})
            for offset in offsets:
                yield decode_fact(file.line_at(offset), file.path, offset)
            return
        marks = tuple(b'"kind":"%s"' % KINDS[kind].encode() for kind in kinds)
        for offset, line in file.lines():
            if not marks or line.startswith(marks, BODY_AT):
                yield decode_fact(line, file.path, offset)
