"""A head for a session whose own cannot be read: the best copy that is left, or one made from what is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from ...contract.clock import rfc3339
from ...contract.errors import BackendError, CorruptRecord, RecordSchemaVersionError
from ...contract.sessions import SessionMeta
from ...machine.encoding import Malformed
from ...surroundings import fresh_id
from .. import names
from ..files import is_ours, read_sealed, with_our_frame
from ..fold import META_KIND
from ..head import KIND, MAX_HEAD, NO_SUM, Head, NodeFileRef, load_head, unseal_head
from ..healing import journals, newest_head_copy, own_copies
from ..journal import MAX_JOURNAL, read_header
from ..nodefile import salvage_head
from ..salvage import SalvagedFile
from ..system import system

_MAX_NODE_FILE = 1 << 30


class HeadLeft(NamedTuple):
    """A head, where it is from, and whether something of what it said is lost."""

    head: Head
    source: str
    lost: bool = False


def head_left(folder: str, now_ms: int) -> HeadLeft | None:
    """A head for the session in `folder`; `None` where not even its id can be told."""
    own = _with_our_version(folder)
    if own is not None:
        return HeadLeft(own, "head.json, whose checksum proves that only its version is damaged")
    try:
        copy = newest_head_copy(folder)
    except FileNotFoundError:
        copy = None
    if copy is not None:
        return HeadLeft(copy, "its newest copy")
    files = _node_files(folder)
    copies = own_copies(folder, [*_copies_in_files(folder), *_copies_in_journals(folder)])
    if copies:
        best = copies[0]
        named = {ref.name for ref in best.files}
        later = [ref for ref in files if ref.name not in named and ref.first_seq > best.folded_seq]
        last = max([best.folded_seq, *(ref.last_seq for ref in later)])
        made = replace(best, files=(*best.files, *later), folded_seq=last)
        return HeadLeft(made, "an old copy, and the files since", bool(later))
    meta = _meta(folder)
    if meta is None or not names.belongs_to(os.path.basename(folder), meta.session_id):
        return None
    source = "meta.json and the node files: config, frames, usage and queues are lost"
    had_more = bool(_listed(os.path.join(folder, names.NODES)) or journals(folder))
    return HeadLeft(_made(meta, files, now_ms), source, had_more)


def _with_our_version(folder: str) -> Head | None:
    path = os.path.join(folder, names.HEAD)
    try:
        raw = system.read_file(path, MAX_HEAD)
    except (FileNotFoundError, BackendError, CorruptRecord):
        return None
    line = raw[: raw.rfind(b"}") + 1]
    if not is_ours(KIND, line):
        return None
    try:
        return unseal_head(with_our_frame(KIND, line), path)
    except (CorruptRecord, RecordSchemaVersionError):
        return None


def _node_files(folder: str) -> list[NodeFileRef]:
    """Every node file in the folder, as far as it can be read, in the order of its records."""
    where = os.path.join(folder, names.NODES)
    found: list[NodeFileRef] = []
    for sha in _listed(where):
        try:
            size = system.stat(os.path.join(where, names.node_file(sha))).st_size
            seqs = [
                fact.seq for _, fact in SalvagedFile(folder, NodeFileRef(sha, min(size, _MAX_NODE_FILE), 0, 0)).facts()
            ]
        except (CorruptRecord, BackendError, FileNotFoundError):
            continue
        if seqs:
            found.append(NodeFileRef(sha, size, min(seqs), max(seqs)))
    return _without_merged(sorted(found, key=lambda ref: (ref.first_seq, -ref.last_seq)))


def _listed(where: str) -> list[str]:
    try:
        return sorted(filter(None, map(names.parse_node_file, system.listdir(where))))
    except (FileNotFoundError, BackendError):
        return []


def _without_merged(files: list[NodeFileRef]) -> list[NodeFileRef]:
    """Leave out what is in a larger file too."""
    kept: list[NodeFileRef] = []
    for ref in files:
        if not kept or ref.last_seq > kept[-1].last_seq:
            kept.append(ref)
    return kept


def _copies_in_files(folder: str) -> Iterator[Head]:
    """The copies in all node files, those without any record too."""
    where = os.path.join(folder, names.NODES)
    for sha in _listed(where):
        path = os.path.join(where, names.node_file(sha))
        try:
            raw = system.read_file(path, _MAX_NODE_FILE)
            found = salvage_head(raw)
            if found is None:
                continue
            head = load_head(found)
        except (CorruptRecord, BackendError, FileNotFoundError, Malformed):
            continue
        own = (each if each.name else replace(each, name=sha, size=len(raw)) for each in head.files)
        yield replace(head, files=tuple(own))


def _copies_in_journals(folder: str) -> Iterator[Head]:
    for _, path in journals(folder):
        try:
            fields = read_header(system.read_file(path, MAX_JOURNAL), path) or {}
            if fields.get("head") is not None:
                yield load_head(fields["head"])
        except (CorruptRecord, RecordSchemaVersionError, BackendError, FileNotFoundError, Malformed):
            continue


def _meta(folder: str) -> SessionMeta | None:
    path = os.path.join(folder, names.META)
    try:
        return read_sealed(SessionMeta, META_KIND, system.read_file(path), path)
    except (FileNotFoundError, BackendError, CorruptRecord, RecordSchemaVersionError):
        return None


def _made(meta: SessionMeta, files: list[NodeFileRef], now_ms: int) -> Head:
    created = meta if meta.created_at else replace(meta, created_at=rfc3339(now_ms))
    last = max((ref.last_seq for ref in files), default=0)
    return Head(
        meta.session_id,
        fresh_id(),
        generation=1,
        folded_seq=last,
        folded_sum=NO_SUM,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        meta=created,
        files=tuple(files),
    )
