"""The folder of a forked session: its parent's immutable files under second names, and a head of its own.

Each session has all that it needs in its own folder, so that its parent may be vacuumed or deleted. A file's bytes are
on the disk once, and go with the last name that they have. Nothing in these files is ever written again, and neither
session removes a name of the other's.
"""

from __future__ import annotations

import os
from dataclasses import replace

from ..contract.errors import CorruptRecord
from ..machine.encoding import dump
from ..machine.state import SessionState
from . import names
from .files import seal
from .fold import META_KIND
from .head import NodeFileRef, head_of, place_of, seal_head
from .loading import Loaded
from .nodefile import NodeFile, build_node_file
from .system import system

_SMALL = 64 * 1024


def build_child(parent: str, loaded: Loaded, state: SessionState, building: str) -> None:
    """Make the folder `building` of a session in `state`, which shares what its parent has just folded.

    The parent's lock is held. Everything is flushed, so that the folder's new name is all that is left to be.
    """
    nodes = os.path.join(building, names.NODES)
    for folder in (building, nodes):
        system.make_dir(folder)
    shared = tuple(ref for ref in loaded.head.files if _has_records(os.path.join(parent, names.NODES), ref))
    for ref in shared:
        name = names.node_file(ref.name)
        _share(os.path.join(parent, names.NODES, name), os.path.join(nodes, name))
    _share_blobs(os.path.join(parent, names.BLOBS), os.path.join(building, names.BLOBS), loaded.archive.blobs())
    head = head_of(
        state,
        # Later than any head of which the shared files have a copy: it may have been of the same id.
        generation=loaded.head.generation + 1,
        folded_sum=loaded.head.folded_sum,
        files=shared,
        blob_bytes=loaded.head.blob_bytes,
        spool_bytes=0,
    )
    # The copies of a head in the shared files are the parent's: this file has the child's.
    last = head.folded_seq
    copy = replace(head, files=(*head.files, NodeFileRef("", 0, last, last)))
    sha, content = build_node_file([], dump(copy))
    system.write_new(os.path.join(nodes, names.node_file(sha)), content, True)
    system.flush_dir(nodes)
    head = replace(head, files=(*head.files, NodeFileRef(sha, len(content), last, last)))
    system.write_new(os.path.join(building, names.LOCK), b"", False)
    system.write_new(os.path.join(building, names.META), seal(META_KIND, state.meta), True)
    head = replace(head, place=place_of(system.check_dir(building)))
    system.write_new(os.path.join(building, names.HEAD), seal_head(head), True)
    system.flush_dir(building)


def _has_records(where: str, ref: NodeFileRef) -> bool:
    """Whether there is more in the file than a copy of the parent's head."""
    if ref.size > _SMALL:
        return True
    try:
        file = NodeFile.open(os.path.join(where, names.node_file(ref.name)), ref.name)
    except (CorruptRecord, FileNotFoundError):
        return True
    try:
        return file.count > 0
    finally:
        file.close()


def _share_blobs(source: str, target: str, blobs: list[str]) -> None:
    if blobs:
        system.make_dir(target)
        for name in map(names.blob, blobs):
            _share(os.path.join(source, name), os.path.join(target, name))
        system.flush_dir(target)


def _share(source: str, target: str) -> None:
    if not os.path.lexists(source):
        raise CorruptRecord(source, "it is missing")
    system.share(source, target)
