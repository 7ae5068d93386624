"""A copy of a session's files as they are at one moment: in files that are immutable, and so may be hard links.

Under the session's lock it is folded, and seen which files its head relies on. They are taken without the lock: the
session goes on meanwhile, however long that takes, and what is superseded stays a while (see `superseded`). Where one
is gone all the same, the session is looked at again, and what is new since is taken.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from ..contract.errors import BackendError
from ..machine import attachments as rows
from ..machine.moment import Moment
from ..machine.state import HeldLease
from . import names, spool
from .fold import seal_meta
from .head import Head, at_rest, seal_head
from .keeper import FileKeeper
from .leftovers import remove_quietly
from .loading import Loaded
from .names import EntryKind, Place
from .system import system

R = TypeVar("R")

_TRIES = 8
TRIES_UNLOCKED = 8
"""How often a session's files are taken without its lock, before they are taken under it."""
PLACES = {names.NODES: Place.NODES, names.BLOBS: Place.BLOBS, names.INPUTS: Place.INPUTS, names.WORK: Place.WORK}
KINDS = frozenset({EntryKind.NODE_FILE, EntryKind.BLOB, EntryKind.SPOOL_ENTRY})
"""The folders of a session that the files are in which its head relies on, and what these are."""


class Source(NamedTuple):
    """A file to take: where it is, and its name in a session's folder or in the attachments, with `/`."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session at one moment.

    Attributes:
        head: its head, which was just folded.
        parts: the immutable files that the head relies on.
        records: its files that are written anew at each fold, as they are then.
        lease: who holds it.
        attachments: those that it names, and whose bytes are in the store.
        session_name: its name.
        node_count: how many nodes it shows.
    """

    head: Head
    parts: tuple[Source, ...]
    records: dict[str, bytes]
    lease: HeldLease | None
    attachments: tuple[str, ...]
    session_name: str
    node_count: int


def of_one_moment(keeper: FileKeeper, attachments: str, moment: Moment, take: Callable[[Snapshot], R]) -> R:
    """What `take`, which copies, makes of the session as it is at one moment.

    It is called without the session's lock; again, with what there is by then, where others removed a file before it
    was taken; and in the end under the lock.
    """

    def look(loaded: Loaded) -> Snapshot:
        state = loaded.state
        ids = sorted(rows.named_ids()(state, loaded.archive, moment))
        return Snapshot(
            loaded.head,
            tuple(_parts_of(keeper.folder, loaded)),
            {
                names.META: seal_meta(loaded.head),
                names.HEAD: seal_head(at_rest(loaded.head)),
            },
            state.lease,
            tuple(ident for ident in ids if attachment_sources(attachments, ident)),
            state.session_id if state.meta is None else state.meta.session_name,
            state.summary.node_count,
        )

    for _ in range(TRIES_UNLOCKED):
        snapshot = keeper.folded(look)
        try:
            return take(snapshot)
        except FileNotFoundError:
            continue
    return keeper.folded(lambda loaded: take(look(loaded)))


class Copier:
    """Gives files second names, and counts what could not be a link.

    Attributes:
        linked: how many files are links.
        copied_bytes: the bytes of those that are copies.
    """

    def __init__(self) -> None:
        self.linked = 0
        self.copied_bytes = 0

    def take(self, source: str, target: str) -> bool:
        """Make `target` a file with the bytes of `source`, in one step; whether it was not there yet."""
        if os.path.lexists(target):
            return False
        # A copy that is cut off must not be taken for a whole one the next time.
        folder, name = os.path.split(target)
        made = os.path.join(folder, names.temporary(name))
        try:
            is_link = system.share(source, made)
            system.replace(made, target)
        except BaseException:
            remove_quietly(made)
            raise
        if is_link:
            self.linked += 1
        else:
            self.copied_bytes += system.stat(target).st_size
        return True


def _parts_of(folder: str, loaded: Loaded) -> Iterator[Source]:
    for ref in loaded.head.files:
        name = f"{names.NODES}/{names.node_file(ref.name)}"
        yield Source(os.path.join(folder, name), name)
    for sha in loaded.archive.blobs():
        name = f"{names.BLOBS}/{names.blob(sha)}"
        yield Source(os.path.join(folder, name), name)
    inputs = (f"{names.INPUTS}/{spool.INPUTS.name(entry)}" for entry in loaded.state.inputs.values())
    work = (f"{names.WORK}/{spool.WORK.name(entry)}" for entry in loaded.state.work.values())
    yield from (Source(os.path.join(folder, name), name) for name in (*inputs, *work))


def attachment_sources(attachments: str, attachment_id: str) -> list[Source]:
    """The files of an attachment, wherever a sweep has them at this moment; none where its bytes are not here."""
    if not names.is_sha256(attachment_id):
        return []
    shard = names.attachment_shard(attachment_id)
    found = []
    for name in (names.attachment_row(attachment_id), names.attachment(attachment_id)):
        path = os.path.join(attachments, shard, name)
        place = next((each for each in (path, names.aside(path), path) if os.path.lexists(each)), None)
        if place is None:
            return []
        found.append(Source(place, f"{shard}/{name}"))
    return found


def take_attachment(
    attachments: str, attachment_id: str, target: str, copier: Copier, *, flush: bool = True
) -> list[Source]:
    """Take what `target` lacks of an attachment, of which all files are told; none where its bytes are not here.

    What is said of the bytes is there before they are, and with `flush` durable before them.
    """
    for _ in range(_TRIES):
        sources = attachment_sources(attachments, attachment_id)
        try:
            for source in sources:
                if not os.path.lexists(os.path.join(target, *source.name.split("/"))):
                    take_parts([source], target, copier, flush=flush)
        except FileNotFoundError:
            continue  # a sweep put it aside meanwhile, or back, or away
        return sources
    raise BackendError(f"attachment {attachment_id} in {attachments} is moved again and again; try again")


def take_parts(sources: Iterable[Source], target: str, copier: Copier, *, flush: bool = True) -> set[str]:
    """Take files into the folder `target`, whose folders are made, and flushed with `flush`; the names of all."""
    taken = set()
    folders = {target}
    for source in sources:
        path = os.path.join(target, *source.name.split("/"))
        where = os.path.dirname(path)
        if where not in folders:
            system.make_dir(where)
            folders.add(where)
        copier.take(source.path, path)
        taken.add(source.name)
    for where in sorted(folders, key=len, reverse=True) if flush else ():
        system.flush_dir(where)
    return taken
