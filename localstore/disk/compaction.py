"""Merging node files as they pile up: neighbours of about a size become one, so that a lookup asks few files.

Files stay in the order of their records, since the newest line under a key counts. A line is copied some log(n) times
in its life, and none into a file over `MAX_FILE`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..contract.errors import BackendError
from . import names
from .fold import write_head
from .head import Head, NodeFileRef, copy_of
from .leftovers import remove_quietly
from .loading import Loaded
from .nodefile import NodeFile
from .nodewriter import NodeFileWriter, build_node_file
from .superseded import retire
from .system import system

MAX_FILE = 64 * 1024 * 1024
FAN_IN = 6
"""How many files of one size class are left before they are merged."""
_SMALLEST = 16 * 1024


def tier(size: int) -> int:
    """The size class of a file: each holds files `FAN_IN` times as large as the one before."""
    level, bound = 0, _SMALLEST
    while size > bound:
        level, bound = level + 1, bound * FAN_IN
    return level


def due(files: Sequence[NodeFileRef]) -> tuple[NodeFileRef, ...]:
    """The files to merge next, oldest first, or none.

    They are neighbours with `FAN_IN` of the largest size class among them, and together no larger than `MAX_FILE`.
    """
    for level in sorted({tier(ref.size) for ref in files}):
        for run in _runs(files, level):
            if sum(tier(ref.size) == level for ref in run) >= FAN_IN:
                return tuple(run)
    return ()


def _runs(files: Sequence[NodeFileRef], level: int) -> Iterator[list[NodeFileRef]]:
    """Neighbours of at most this size class, in portions of at most `MAX_FILE`."""
    run: list[NodeFileRef] = []
    total = 0
    for ref in files:
        if run and (tier(ref.size) > level or total + ref.size > MAX_FILE):
            yield run
            run, total = [], 0
        if tier(ref.size) <= level:
            run.append(ref)
            total += ref.size
    yield run


def merge(folder: str, head: Head, run: Sequence[NodeFileRef]) -> NodeFileRef:
    """Write the records of `run` to one new node file, flushed. Needs no lock: all of it is immutable."""
    where = os.path.join(folder, names.NODES)
    with NodeFileWriter(where) as writer:
        for ref in run:
            file = NodeFile.open(os.path.join(where, names.node_file(ref.name)), ref.name)
            try:
                writer.add_file(file)
            finally:
                file.close()
        sha = writer.finish(copy_of(head), True)
    size = system.stat(os.path.join(where, names.node_file(sha))).st_size
    return NodeFileRef(sha, size, run[0].first_seq, run[-1].last_seq)


def adopt(folder: str, loaded: Loaded, run: Sequence[NodeFileRef], merged: NodeFileRef) -> bool:
    """Under the lock: rename a head that relies on `merged` instead of `run`; whether it still could.

    The head gets its second copy in a node file without records, which the next merge takes up.
    """
    files = loaded.head.files
    at = next((index for index, ref in enumerate(files) if ref.name == run[0].name), -1)
    if at < 0 or files[at : at + len(run)] != tuple(run) or not _is_there(folder, merged):
        if all(ref.name != merged.name for ref in files):
            _discard(folder, merged)  # else another process, or thread, merged the same files and was first
        return False
    head = loaded.head
    kept = (*files[:at], merged, *files[at + len(run) :])
    last = head.folded_seq
    head = replace(
        head,
        generation=head.generation + 1,
        files=(*kept, NodeFileRef("", 0, last, last)),
        place="",
        kept_from=head.kept_from or last + 1,
    )
    where = os.path.join(folder, names.NODES)
    sha, content = build_node_file([], copy_of(head))
    made = os.path.join(where, names.node_file(sha))
    try:
        system.write_over_partial(made, content, True)
        system.flush_dir(where)
    except BaseException:
        # A full disk would stay full of them.
        remove_quietly(made)
        _discard(folder, merged)
        raise
    head = replace(head, files=(*kept, NodeFileRef(sha, len(content), last, last)))
    old, loaded.head = loaded.head, write_head(folder, head)
    retire(folder, old, head)
    loaded.archive.rely_on(head)
    loaded.pin_head(folder)
    return True


def _is_there(folder: str, ref: NodeFileRef) -> bool:
    """Whether the file still is there: a clean close of another process removes what no head relies on."""
    try:
        return system.stat(os.path.join(folder, names.NODES, names.node_file(ref.name))).st_size == ref.size
    except FileNotFoundError:
        return False


def _discard(folder: str, merged: NodeFileRef) -> None:
    try:
        system.unlink(os.path.join(folder, names.NODES, names.node_file(merged.name)))
    except (BackendError, FileNotFoundError):
        pass  # nobody relies on it: a fold removes it
