"""The fold: what is only in the journal becomes files at rest, and the head is renamed over the old one.

The order is the guarantee. What the new head relies on is on the disk before the head is; what only the old head relies
on goes after that. A crash anywhere leaves the old head with its journal, or the new head.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..contract.errors import BackendError
from ..machine.encoding import dump
from ..machine.facts import Fact, Recent, ValueDroppedFact, ValueFact
from . import names, spool
from .factlines import CODES, LARGE_VALUE, encode_fact
from .files import seal
from .head import Head, NodeFileRef, SpoolIndex, head_of, seal_head
from .loading import Loaded, head_path
from .nodefile import NodeLine, build_node_file
from .system import system
from .views import show_lease, write_whole

META_KIND = "meta"
FILE_BYTES = 64 * 1024 * 1024
"""About where a node file ends and the next begins."""
GRACE_S = 60.0
"""How long a superseded node file stays for readers and copies under way."""


def fold(
    folder: str,
    loaded: Loaded,
    *,
    at_rest: bool,
    facts: Iterable[Fact] | None = None,
    kept: tuple[NodeFileRef, ...] | None = None,
) -> None:
    """Write everything of `loaded` to files, and rename a new head over the old one.

    `facts` are written behind the node files `kept`; by default the recent facts behind all node files. Afterwards
    `loaded` goes on from the new head. Where this fails, `loaded` must be loaded again.
    """
    _flush_journal(loaded)
    old = loaded.head
    state = loaded.state
    blob_bytes = old.blob_bytes + _write_blobs(folder, loaded.archive.recent)
    spool_bytes = old.spool_bytes + _write_spool(folder, spool.INPUTS, old.inputs, state.inputs.values())
    spool_bytes += _write_spool(folder, spool.WORK, old.work, state.work.values())
    new = head_of(
        state,
        generation=old.generation + 1,
        folded_sum=old.folded_sum if loaded.journal is None else loaded.journal.last_sum,
        files=old.files if kept is None else kept,
        blob_bytes=blob_bytes,
        spool_bytes=spool_bytes,
    )
    gone_blobs = list(_dropped(loaded.archive.recent))
    new = _write_node_files(folder, old, new, list(loaded.archive.recent.log) if facts is None else facts)
    if new.meta != old.meta or loaded.healed is not None or at_rest:
        write_whole(os.path.join(folder, names.META), seal(META_KIND, new.meta), flush=True)
    show_lease(folder, state.lease, flush=True)
    _set_aside_damage(folder, loaded)
    freed = _sizes(folder, gone_blobs)
    new = replace(new, blob_bytes=max(0, new.blob_bytes - freed))
    write_head(folder, new, loaded.unknown)
    loaded.settle(folder, new)
    _clean(folder, loaded, at_rest, gone_blobs)


def write_head(folder: str, head: Head, unknown: dict[str, Any]) -> None:
    """Rename a flushed `head.json` over the old one, and make the name durable."""
    write_whole(head_path(folder), seal_head(head, unknown), flush=True)
    system.flush_dir(folder)


def _flush_journal(loaded: Loaded) -> None:
    journal = loaded.journal
    if journal is not None and journal.flushed_seq < journal.last_seq:
        journal.flush(journal.last_seq)


def _write_blobs(folder: str, recent: Recent) -> int:
    """Write the large values among the recent facts; their size."""
    written = 0
    where = os.path.join(folder, names.BLOBS)
    for fact in recent.by_key.values():
        if isinstance(fact, ValueFact) and fact.content is not None and len(fact.content) >= LARGE_VALUE:
            if not written:
                system.make_dir(where)
            system.write_over_partial(os.path.join(where, names.blob(fact.ref)), fact.content, True)
            written += len(fact.content)
    if written:
        system.flush_dir(where)
    return written


def _write_spool(folder: str, kind: spool.SpoolKind[spool.E], old: SpoolIndex, entries: Iterable[spool.E]) -> int:
    """Write and flush the files of the entries that the old head does not have; their size."""
    where = os.path.join(folder, kind.folder)
    written = 0
    for entry in entries:
        if kind.seq(entry) >= old.next_seq:
            if not written:
                system.make_dir(where)
            content = kind.seal(entry)
            system.write_over_partial(os.path.join(where, kind.name(entry)), content, True)
            written += len(content)
    if written:
        system.flush_dir(where)
    return written


def _write_node_files(folder: str, old: Head, new: Head, facts: Iterable[Fact]) -> Head:
    """Write the facts to new node files, and return the head that relies on them too.

    Each file ends with a copy of a head. The last one's is the new head's, so that there is a second copy of it; there
    is one such file even where there are no facts.
    """
    where = os.path.join(folder, names.NODES)
    system.make_dir(where)
    refs = new.files
    for lines, first, last, is_last in _portions(facts, new.folded_seq):
        own = NodeFileRef("", 0, first, last)
        copy = replace(new, files=(*refs, own)) if is_last else old
        sha, content = build_node_file(lines, dump(copy))
        system.write_over_partial(os.path.join(where, names.node_file(sha)), content, True)
        refs = (*refs, NodeFileRef(sha, len(content), first, last))
    system.flush_dir(where)
    return replace(new, files=refs)


def _portions(facts: Iterable[Fact], seq: int) -> Iterator[tuple[list[NodeLine], int, int, bool]]:
    """Facts as lines in portions of about a file: lines, first and last record, whether it is the last portion."""
    lines: list[NodeLine] = []
    size, first, last = 0, 0, 0
    for fact in facts:
        if size >= FILE_BYTES:
            yield lines, first, last, False
            lines, size, first = [], 0, 0
        body = encode_fact(fact)
        lines.append(NodeLine(body, CODES[type(fact)], fact.keys()))
        size += len(body)
        first, last = first or fact.seq, fact.seq
    yield lines, first or seq, last or seq, True


def _dropped(recent: Recent) -> Iterator[str]:
    return (fact.ref for fact in recent.by_key.values() if isinstance(fact, ValueDroppedFact))


def _sizes(folder: str, refs: Iterable[str]) -> int:
    total = 0
    for ref in refs:
        try:
            total += system.stat(os.path.join(folder, names.BLOBS, names.blob(ref))).st_size
        except FileNotFoundError:
            continue
    return total


def _set_aside_damage(folder: str, loaded: Loaded) -> None:
    """Move a damaged `head.json` to the quarantine before a good one takes its name."""
    if loaded.healed is None:
        return
    where = os.path.join(folder, names.QUARANTINE)
    system.make_dir(where)
    try:
        system.replace(head_path(folder), os.path.join(where, names.quarantined(names.HEAD)))
    except FileNotFoundError:
        pass  # it was missing altogether
    system.flush_dir(where)


def _clean(folder: str, loaded: Loaded, at_rest: bool, gone_blobs: list[str]) -> None:
    """Remove what the new head no longer needs. What cannot be removed now is removed by a later fold."""
    head = loaded.head
    for name in system.listdir(folder):
        first = names.parse_journal(name)
        is_old = first is not None and first <= head.folded_seq
        if is_old or names.classify(name, False, names.Place.SESSION) is names.EntryKind.TEMPORARY:
            _remove(os.path.join(folder, name))
    for kind, index in ((spool.INPUTS, head.inputs), (spool.WORK, head.work)):
        _clean_spool(os.path.join(folder, kind.folder), index)
    for ref in gone_blobs:
        _remove(os.path.join(folder, names.BLOBS, names.blob(ref)))
    wanted = {names.node_file(ref.name) for ref in head.files}
    where = os.path.join(folder, names.NODES)
    for name in system.listdir(where):
        path = os.path.join(where, name)
        if name not in wanted and (at_rest or _is_old(path)):
            _remove(path)


def _clean_spool(where: str, index: SpoolIndex) -> None:
    live = frozenset(index.seqs())
    try:
        found = system.listdir(where)
    except FileNotFoundError:
        return
    for name in found:
        entry = names.parse_spool_entry(name)
        if entry is not None and entry[0] not in live and entry[0] < index.next_seq:
            _remove(os.path.join(where, name))


def _is_old(path: str) -> bool:
    try:
        return time.time() - system.stat(path).st_mtime > GRACE_S
    except FileNotFoundError:
        return False


def _remove(path: str) -> None:
    try:
        system.unlink(path)
    except (BackendError, FileNotFoundError):
        pass
