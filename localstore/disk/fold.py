"""The fold: what is only in the journal becomes files at rest, and the head is renamed over the old one.

The order is the guarantee. What the new head relies on is on the disk before the head is; what only the old head relies
on goes after that, and stays a while unless the session is left at rest (see `superseded`). A crash anywhere leaves the
old head with its journal, or the new head.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..contract.errors import BackendError, CorruptRecord, RecordSchemaVersionError
from ..machine import feed
from ..machine.facts import Fact, Recent, ValueDroppedFact, ValueFact
from . import names, spool, superseded
from .factlines import CODES, LARGE_VALUE, encode_fact
from .files import is_ours, seal, unseal, without_frame
from .head import (
    Head,
    NodeFileRef,
    SpoolIndex,
    copy_of,
    head_of,
    index_inputs,
    index_work,
    place_of,
    seal_head,
)
from .head import (
    at_rest as rested,
)
from .leftovers import remove_quietly, size_of_file
from .loading import Loaded, head_path, identity_of
from .nodewriter import NodeFileBytes
from .quarantine import set_aside
from .system import system
from .views import show_lease, write_whole

META_KIND = "meta"
FILE_BYTES = 64 * 1024 * 1024
"""About where a node file ends and the next begins."""
_NEVER_THERE = "0" * 64


def fold(
    folder: str,
    loaded: Loaded,
    *,
    at_rest: bool,
    facts: Iterable[Fact] | None = None,
    kept: tuple[NodeFileRef, ...] | None = None,
    blobs_total: int | None = None,
    deleted: bool = False,
) -> bool:
    """Write everything of `loaded` to files, and rename a new head over the old one.

    `facts` are written behind the node files `kept`; by default the recent facts behind all node files. The journal
    need not be flushed: until the new head is on the disk, the old one and its journal are what they were. With
    `blobs_total` the caller has written the blobs that they name, of so many bytes in all. `deleted`: the session is in
    the trash, and stays there.

    Returns whether `loaded` goes on from the new head; if not, or where this fails, it must be loaded again.
    """
    old = loaded.head
    state = loaded.state
    blob_bytes = _write_blobs(folder, loaded.archive.recent)
    input_bytes = _write_spool(folder, spool.INPUTS, old.inputs, state.inputs.values())
    work_bytes = _write_spool(folder, spool.WORK, old.work, state.work.values())
    gone_bytes = _spool_gone(folder, spool.INPUTS, old.inputs, index_inputs(state))
    gone_bytes += _spool_gone(folder, spool.WORK, old.work, index_work(state))
    new = head_of(
        state,
        generation=max(old.generation, loaded.newest) + 1,
        folded_sum=old.folded_sum if loaded.journal is None else loaded.journal.last_sum,
        files=old.files if kept is None else kept,
        blob_bytes=old.blob_bytes + blob_bytes if blobs_total is None else blobs_total,
        spool_bytes=max(0, old.spool_bytes + input_bytes + work_bytes - gone_bytes),
        said=old.said,
    )
    new = replace(new, deleted=deleted)
    dropped = superseded.still_dropped(
        folder, loaded.archive, dict.fromkeys([*old.dropped_blobs, *_dropped(loaded.archive.recent)])
    )
    freed = sum(map(size_of_file, superseded.blob_paths(folder, set(dropped) - set(old.dropped_blobs))))
    new = replace(new, blob_bytes=max(0, new.blob_bytes - freed))
    if not at_rest:
        kept_blobs = superseded.kept_blobs(folder, old, dropped)
        new = replace(new, kept_from=superseded.kept_from(folder, old, new.folded_seq), dropped_blobs=kept_blobs)
    relied_on = (old.files, not blob_bytes, old.inputs.live or not input_bytes)
    written: list[str] = []
    try:
        facts = unfolded(loaded.archive.recent) if facts is None else facts
        new = _write_node_files(folder, old, new, facts, written)
        if new.meta != old.meta or loaded.healed is not None or at_rest:
            write_meta(folder, new)
        show_lease(folder, state.lease, flush=at_rest)  # while the session is live, the next change replaces it
        _set_aside_damage(folder, loaded)
        if not (all(relied_on) and (old.work.live or not work_bytes)):
            _flush_first_names(folder, old)
        new = write_head(folder, new, before=old)
    except BaseException:
        _remove_vain(folder, loaded, written)
        raise
    is_copy = loaded.copied
    try:
        loaded.settle(folder, new)
    except (BackendError, FileNotFoundError):
        return False
    finally:
        if not at_rest:
            superseded.retire(folder, old, new)
        superseded.clean(folder, old, new, dropped, beyond=is_copy)
    return True


def _remove_vain(folder: str, loaded: Loaded, written: list[str]) -> None:
    """Remove the node files of a fold that did not come to a head: a full disk would stay full of them."""
    try:
        if loaded.identity != identity_of(system.stat(head_path(folder))):
            return  # this may be the new head
    except (BackendError, FileNotFoundError):
        return
    for path in written:
        remove_quietly(path)


def make_room(folder: str, loaded: Loaded) -> bool:
    """Remove at once what earlier folds superseded, and what was left behind; whether that made any room.

    Copies of the folder that are under way may be broken by it.
    """
    head, archive = loaded.head, loaded.archive
    if loaded.healed is not None or loaded.copied or loaded.bad_entries:
        return False
    system.flush_dir(folder)  # what only the head before needs goes no sooner than this one is there for good
    before = superseded.size(folder)
    superseded.clean(folder, head, rested(head), superseded.still_dropped(folder, archive, head.dropped_blobs))
    return superseded.size(folder) < before


def _flush_first_names(folder: str, old: Head) -> None:
    """Make the names of folders durable that the old head may not have relied on, before the new head does.

    And those of blobs: they were moved here, and a move between folders is done for sure once both are flushed.
    """
    system.flush_dir(folder)
    if not old.files:
        # The session itself may have been made without a flush, or by somebody who died before it.
        system.flush_dir(os.path.dirname(folder))


def unfolded(recent: Recent) -> list[Fact]:
    """The recent facts, and the traces of the records that they came with."""
    if not recent.records:
        return list(recent.log)
    return [*recent.log, feed.gathered(recent.records)]


def write_head(folder: str, head: Head, before: Head | None = None, *, placed: bool = True) -> Head:
    """Rename a flushed `head.json` over the old one, and make the name durable. The head, with its place if `placed`.

    Where that fails at the last, the head `before` is put back, if it is given and can be.
    """
    head = replace(head, place=place_of(system.check_dir(folder)) if placed else "")
    with system.flushing_dir(folder) as flush:
        write_whole(head_path(folder), seal_head(head), flush=True)
        try:
            flush()
        except BackendError:
            if before is not None:
                _put_back(folder, before)
            raise
    return head


def _put_back(folder: str, head: Head) -> None:
    try:
        write_whole(head_path(folder), seal_head(head), flush=True)
    except (BackendError, FileNotFoundError, FileExistsError):
        pass  # what failed first is what the caller must hear of


def _write_blobs(folder: str, recent: Recent) -> int:
    """Write the large values among the recent facts; their size."""
    written = 0
    where = os.path.join(folder, names.BLOBS)
    for fact in recent.by_key.values():
        if isinstance(fact, ValueFact) and fact.content is not None and len(fact.content) >= LARGE_VALUE:
            if not written:
                system.make_dir(where)
            # In one step: a copy that is under way takes a blob that is there for a whole one.
            path = os.path.join(where, names.blob(fact.ref))
            made = os.path.join(folder, names.temporary(names.blob(fact.ref)))
            system.write_new(made, fact.content, True)
            system.replace(made, path)
            written += len(fact.content)
    if written:
        system.flush_dir(where)
    return written


def write_meta(folder: str, head: Head) -> None:
    """Write `meta.json`, with what a later release said in it, or in the head."""
    path = os.path.join(folder, names.META)
    write_whole(path, seal_meta(head, meta_fields(path)), flush=True)


def seal_meta(head: Head, was: dict[str, Any] | None = None) -> bytes:
    """The bytes of `meta.json`, with what a later release said in the head, or in it when its fields were `was`."""
    in_head = (head.said or {}).get("meta") or {}
    return seal(META_KIND, head.meta, {**in_head, **(was or {})})


def meta_fields(path: str) -> dict[str, Any]:
    """The fields of the `meta.json` at `path`; none where it is lost, since the head has all that we know of it."""
    raw = b""
    try:
        raw = system.read_file(path)
        return without_frame(unseal(META_KIND, raw, path))
    except (FileNotFoundError, CorruptRecord):
        return {}
    except RecordSchemaVersionError:
        if not is_ours(META_KIND, raw[: raw.rfind(b"}") + 1]):
            raise  # whoever can read it shall find it as it is
        return {}
    except BackendError as error:
        if stat.S_ISREG(system.stat(path).st_mode) and not isinstance(error.__cause__, PermissionError):
            raise
        return {}


def _write_spool(folder: str, kind: spool.SpoolKind[spool.E], old: SpoolIndex, entries: Iterable[spool.E]) -> int:
    """Write and flush the files of the entries that the old head does not have; their size."""
    where = os.path.join(folder, kind.folder)
    written = 0
    fresh = [entry for entry in entries if kind.seq(entry) >= old.next_seq]
    if fresh:
        system.make_dir(where)
        _remove_lost_views(where, {kind.name(entry) for entry in fresh}, old.next_seq)
    for entry in fresh:
        content = kind.seal(entry)
        system.write_over_partial(os.path.join(where, kind.name(entry)), content, True)
        written += len(content)
    if written:
        system.flush_dir(where)
    return written


def _remove_lost_views(where: str, own: set[str], next_seq: int) -> None:
    """Remove files of entries that a power cut took from the journal, before others with their numbers count."""
    for seq, found in spool.names_by_seq(where).items():
        for name in found if seq >= next_seq else ():
            if name not in own:
                remove_quietly(os.path.join(where, name))


def _spool_gone(folder: str, kind: spool.SpoolKind[spool.E], old: SpoolIndex, new: SpoolIndex) -> int:
    """The size of the files of the entries that the old head has and the new one has not."""
    return sum(map(size_of_file, superseded.spool_paths(folder, kind, set(old.seqs()) - set(new.seqs()))))


def _write_node_files(folder: str, old: Head, new: Head, facts: Iterable[Fact], written: list[str]) -> Head:
    """Write the facts to new node files, and return the head that relies on them too. `written` gets their paths.

    Each file ends with a copy of a head. The last one's is the new head's, so that there is a second copy of it; there
    is one such file even where there are no facts.
    """
    where = os.path.join(folder, names.NODES)
    system.make_dir(where)
    refs = new.files
    # Where all files are written anew, nothing of the old head stays, and none of them alone makes the new one.
    earlier = old if refs else replace(new, files=(NodeFileRef(_NEVER_THERE, 0, 0, 0),))
    left = iter(facts)
    following = next(left, None)
    while True:
        made = NodeFileBytes()
        first = last = new.folded_seq if following is None else following.seq
        while following is not None and made.size < FILE_BYTES:
            made.add(encode_fact(following), CODES[type(following)], following.keys())
            last = following.seq
            following = next(left, None)
        own = NodeFileRef("", 0, first, last)
        sha, content = made.finish(copy_of(earlier if following is not None else replace(new, files=(*refs, own))))
        written.append(os.path.join(where, names.node_file(sha)))
        system.write_over_partial(written[-1], content, True)
        refs = (*refs, NodeFileRef(sha, len(content), first, last))
        if following is None:
            break
    system.flush_dir(where)
    return replace(new, files=refs)


def _dropped(recent: Recent) -> Iterator[str]:
    return (fact.ref for fact in recent.by_key.values() if isinstance(fact, ValueDroppedFact))


def _set_aside_damage(folder: str, loaded: Loaded) -> None:
    """Move a damaged `head.json` to the quarantine before a good one takes its name."""
    if loaded.healed is None:
        return
    try:
        set_aside(folder, head_path(folder), str(loaded.healed))
    except FileNotFoundError:
        pass  # it was missing altogether


def tidy(folder: str, loaded: Loaded) -> None:
    """Leave a session at rest in which nothing happened since its head: what earlier folds kept goes.

    Where the head cannot say so, everything stays for another time.
    """
    head, archive = loaded.head, loaded.archive
    if head.kept_from:
        try:
            loaded.head = write_head(folder, rested(head), before=head)
            loaded.pin_head(folder)
        except (BackendError, FileNotFoundError, FileExistsError):
            return
    superseded.clean(folder, head, loaded.head, superseded.still_dropped(folder, archive, head.dropped_blobs))
