"""Another copy of a head that is missing or damaged.

Each node file that a fold or a merge wrote ends with a copy of the head that it was written for, and the journal of a
session without node files begins with one. The newest copy counts whose node files are all there, and behind which no
journal and no node file goes on unseen.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..contract.errors import BackendError, CorruptRecord, RecordSchemaVersionError
from ..machine.encoding import Malformed
from . import names
from .head import Head, NodeFileRef, load_head
from .journal import MAX_JOURNAL, read_header, salvage_records
from .nodefile import NodeFile
from .system import system


def newest_head_copy(folder: str) -> Head | None:
    """The newest copy of the head by which nothing that is there would be overlooked."""
    reached = Journals(folder)
    copies, unread = _copies(folder)
    own = own_copies(folder, copies)
    for at, head in enumerate(own):
        if has_files(folder, head) and reached.continue_from(head):
            # What the session inherited is of before, whoever's copy of a head it came with.
            is_last = max(copy.folded_seq for copy in copies) <= reached.reach(head)
            # It may be of when the session was in the trash.
            is_last = is_last and all(_life(later) == _life(head) for later in own[:at])
            return head if is_last and (reached.has_next(head) or not unread) else None
    return None


def _life(head: Head) -> tuple[str, bool]:
    return head.incarnation, head.deleted


def head_copies(folder: str) -> list[Head]:
    """Every copy of a head of the session in `folder`, the newest first."""
    return own_copies(folder, _copies(folder)[0])


def _copies(folder: str) -> tuple[list[Head], set[str]]:
    """Every copy of a head, inherited ones too, and the node files that have none to be read and that none names.

    One of these may be the newest. While a journal goes on, it is what a fold did not finish.
    """
    unread: set[str] = set()
    copies = [*_in_node_files(os.path.join(folder, names.NODES), unread), *_in_journals(folder)]
    return copies, unread - {ref.name for head in copies for ref in head.files}


def own_copies(folder: str, copies: Iterable[Head]) -> list[Head]:
    """Those that are of the session in `folder`, the newest first.

    The files that a forked session shares hold copies of the heads of those it descends from. One of these may have
    been of the same id: it inherited less, and was of an earlier generation.
    """
    own = [head for head in copies if names.belongs_to(os.path.basename(folder), head.session_id)]
    inherited = max((head.inherited_seq for head in own), default=0)
    own = [head for head in own if head.inherited_seq == inherited]
    # Of one generation, the shorter one is of a fold that came to nothing.
    return sorted(own, key=lambda head: (-head.generation, -head.folded_seq))


def has_files(folder: str, head: Head) -> bool:
    """Whether each node file of the head is there, as long as it should be."""
    where = os.path.join(folder, names.NODES)
    return all(_is_there(where, ref) for ref in head.files)


def _in_node_files(where: str, unread: set[str]) -> Iterator[Head]:
    """The copies in node files; `unread` gets the names of those whose copy cannot be read."""
    try:
        found = system.listdir(where)
    except FileNotFoundError:
        return
    for sha in filter(None, map(names.parse_node_file, found)):
        try:
            file = NodeFile.open(os.path.join(where, names.node_file(sha)), sha)
        except (CorruptRecord, RecordSchemaVersionError, BackendError):
            unread.add(sha)
            continue
        except FileNotFoundError:
            continue
        try:
            head = load_head(file.head_copy())
            # The file itself has no name in the copy that it ends with.
            files = (ref if ref.name else replace(ref, name=sha, size=file.size) for ref in head.files)
            yield replace(head, files=tuple(files))
        except (CorruptRecord, Malformed, BackendError):
            unread.add(sha)
        finally:
            file.close()


def _in_journals(folder: str) -> Iterator[Head]:
    for _, path in journals(folder):
        try:
            found = (read_header(system.read_file(path, MAX_JOURNAL), path) or {}).get("head")
            if found is not None:
                yield load_head(found)
        except (CorruptRecord, RecordSchemaVersionError, Malformed, BackendError, FileNotFoundError):
            continue


def journals(folder: str) -> list[tuple[int, str]]:
    """First record and path of each journal in a session's folder, in order."""
    found = ((names.parse_journal(name), os.path.join(folder, name)) for name in system.listdir(folder))
    return sorted((first, path) for first, path in found if first is not None)


class Journals:
    """How far the journals of a session go."""

    def __init__(self, folder: str) -> None:
        self._found = journals(folder)
        self._last: dict[str, int] = {}

    def reach(self, head: Head) -> int:
        """The last record that a session with this head sees, in it or in the journal that continues it."""
        path = next((path for first, path in self._found if first == head.folded_seq + 1), None)
        return head.folded_seq if path is None else max(head.folded_seq, self._last_of(path))

    def has_next(self, head: Head) -> bool:
        """Whether there is a journal that continues the head."""
        return any(first == head.folded_seq + 1 for first, _ in self._found)

    def continue_from(self, head: Head) -> bool:
        """Whether a session with this head sees everything that is in the journals."""
        return all(
            first == head.folded_seq + 1 or (first <= head.folded_seq and self._last_of(path) <= head.folded_seq)
            for first, path in self._found
        )

    def _last_of(self, path: str) -> int:
        if path not in self._last:
            try:
                records, _ = salvage_records(system.read_file(path, MAX_JOURNAL), path)
            except (CorruptRecord, BackendError, FileNotFoundError):
                records = []
            self._last[path] = max((record.seq for _, record in records), default=0)
        return self._last[path]


def _is_there(where: str, ref: NodeFileRef) -> bool:
    try:
        return system.stat(os.path.join(where, names.node_file(ref.name))).st_size == ref.size
    except FileNotFoundError:
        return False
