"""From files to state: head, spools, journal, in the reverse of the order they are written in."""

from __future__ import annotations

import os
from dataclasses import replace

import orjson

from ..contract.errors import CorruptRecord, InvalidArgument, SessionNotFound, StoreError
from ..machine.apply import apply_record
from ..machine.carrying import carry
from ..machine.encoding import Malformed
from ..machine.facts import Recent
from ..machine.state import SessionState
from . import copies, names, spool
from .archive import FileArchive
from .head import MAX_HEAD, Head, copy_of, state_of, unseal_head
from .healing import newest_head_copy
from .journal import Header, Journal, Record, header_line, open_journal
from .system import system

_PINS = os.name == "posix"
"""Whether an open descriptor keeps its inode number from being used again, and no rename from replacing the file."""


class Loaded:
    """A session as loaded from its folder, kept up to date by replaying what is appended to the journal.

    `pin` is a descriptor on the `head.json` it was loaded from: while it is open, a path with the same inode is the
    same file. `healed` says that the head was taken from its copy, since `head.json` is missing or damaged; `fold_due`
    that the head names what was set aside; `named` that the name of `head.json` is known to be on the disk. While
    `is_ahead`, a record may be in the state that the journal does not count yet. `copied`
    says that the folder is a copy that was made while the session was in use, and `newest` is the latest generation of
    a head in it.
    """

    __slots__ = (
        "archive",
        "bad_entries",
        "copied",
        "fold_due",
        "head",
        "healed",
        "identity",
        "is_ahead",
        "journal",
        "named",
        "newest",
        "pin",
        "state",
    )

    def __init__(self, folder: str, head: Head, archive: FileArchive) -> None:
        self.head = head
        self.archive = archive
        self.state = SessionState(head.session_id)
        self.journal: Journal | None = None
        self.bad_entries: list[spool.BadEntry] = []
        self.fold_due = False
        self.healed: StoreError | None = None
        self.copied = False
        self.newest = 0
        self.named = False
        self.is_ahead = False
        self.pin = -1
        self.identity: tuple[int, ...] = ()

    def header(self) -> Header:
        """The first line of the journal that continues the head."""
        head = self.head
        return Header(head.session_id, head.incarnation, head.folded_seq + 1, head.folded_sum)

    def first_line(self, boot: str) -> bytes:
        """The first line of that journal as it is written; it holds a copy of the head that no node file has yet."""
        copy = None if self.head.files else orjson.loads(copy_of(self.head))
        return header_line(replace(self.header(), boot=boot, head=copy))

    def pin_head(self, folder: str) -> None:
        """Pin the `head.json` that is at the path now, which the caller knows to be of `self.head`."""
        if self.pin >= 0:
            system.let_go(self.pin)
            self.pin = -1
        self.pin = system.open_read(head_path(folder))
        self.identity = identity_of(system.status(self.pin))
        if not _PINS:
            pin, self.pin = self.pin, -1
            system.let_go(pin)

    def settle(self, folder: str, head: Head) -> None:
        """Go on from `head`, into which everything was just folded, under the lock that is still held."""
        self.head = head
        self.archive.recent = Recent()
        self.archive.rely_on(head)
        if self.journal is not None:
            journal, self.journal = self.journal, None
            journal.close()
        self.bad_entries = []
        self.fold_due = False
        self.healed = None
        self.copied = False
        self.named = True
        self.state.damaged_inputs = self.state.damaged_work = None
        self.pin_head(folder)

    def close(self) -> None:
        """Let go of every descriptor."""
        journal, self.journal = self.journal, None
        pin, self.pin = self.pin, -1
        try:
            if journal is not None:
                journal.close()
        finally:
            try:
                self.archive.close()
            finally:
                if pin >= 0:
                    system.let_go(pin)


def head_path(folder: str) -> str:
    return folder + os.sep + names.HEAD  # without what `os.path.join` asks first: a list needs one for every session


def identity_of(found: os.stat_result) -> tuple[int, ...]:
    """What tells one `head.json` from the next: the inode while it is pinned, and more where nothing pins it."""
    if _PINS:
        return (found.st_dev, found.st_ino)
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def is_deleted(folder: str) -> bool:
    """Whether the session in `folder` is marked deleted. A receipt says it where the head is damaged."""
    try:
        loaded = _load_head(folder, None)
    except SessionNotFound:
        return os.path.lexists(folder)
    try:
        return loaded.head.deleted
    finally:
        loaded.close()


def load_session(
    folder: str, session_id: str | None, boot: str, *, write: bool, queues: bool = True, deleted: bool = False
) -> Loaded:
    """Load the session in `folder`.

    Without `queues` the spools stay unread: enough for a summary. With `deleted` the session may be a deleted one.
    Raises `SessionNotFound` where the folder is gone or the session was deleted, `CorruptRecord` for damage that
    nothing heals. `session_id` is `None` where it is unknown.
    """
    loaded = _load_head(folder, session_id, deleted=deleted)
    try:
        if not deleted:
            _require(folder, loaded.head, session_id)
        _load_state(folder, loaded, boot, write=write, queues=queues)
    except BaseException:
        loaded.close()
        raise
    return loaded


def load_head_only(folder: str, session_id: str) -> Loaded:
    """The session in `folder` as its head and its node files say, without spools and journal."""
    loaded = _load_head(folder, session_id)
    try:
        _require(folder, loaded.head, session_id)
    except BaseException:
        loaded.close()
        raise
    loaded.archive.rely_on(loaded.head)
    return loaded


def _require(folder: str, head: Head, session_id: str | None) -> None:
    if head.deleted:
        raise SessionNotFound(head.session_id)
    if session_id not in (None, head.session_id):
        raise CorruptRecord(head_path(folder), f"it is the head of session {head.session_id!r}")


def _load_head(folder: str, session_id: str | None, *, deleted: bool = False) -> Loaded:
    path = head_path(folder)
    try:
        where = system.check_dir(folder)
    except FileNotFoundError:
        raise SessionNotFound(session_id or folder) from None
    try:
        pin = system.open_read(path)
    except FileNotFoundError:
        if not os.path.lexists(folder):
            raise SessionNotFound(session_id or folder) from None
        return _healed(folder, session_id, CorruptRecord(path, "it is missing"), deleted=deleted)
    try:
        try:
            head = unseal_head(_whole(pin, path), path)
        except CorruptRecord as error:
            loaded = _healed(folder, session_id, error, deleted=deleted)
        else:
            loaded = own_or_copied(folder, where, head)
        loaded.identity = identity_of(system.status(pin))
    except BaseException:
        system.let_go(pin)
        raise
    if _PINS:
        loaded.pin = pin
    else:
        system.let_go(pin)
    return loaded


def own_or_copied(folder: str, where: os.stat_result, own: Head) -> Loaded:
    """The session by its head, or, where the folder is a copy, by the newest head that is whole in it.

    `where` is the folder's status. Raises `CorruptRecord` for a copy of which parts are gone.
    """
    found = copies.look_over(folder, own) if copies.is_elsewhere(where, own) else None
    if found is None:
        return Loaded(folder, own, FileArchive(folder))
    loaded = Loaded(folder, found.head, FileArchive(folder))
    loaded.copied, loaded.newest = True, found.newest
    return loaded


def _whole(pin: int, path: str) -> bytes:
    size = system.size(pin)
    if size > MAX_HEAD:
        raise CorruptRecord(path, f"it has {size} bytes, more than the {MAX_HEAD} it may have")
    return system.pread(pin, size, 0)


def _healed(folder: str, session_id: str | None, damage: CorruptRecord, *, deleted: bool) -> Loaded:
    """The session by the newest copy of its head, which does not know whether it was deleted since."""
    if not deleted and os.path.lexists(os.path.join(folder, names.RECEIPT)):
        raise SessionNotFound(session_id or folder)
    try:
        found = newest_head_copy(folder)
    except FileNotFoundError:
        found = None
    if found is None:
        raise damage
    loaded = Loaded(folder, found, FileArchive(folder))
    loaded.healed = damage
    return loaded


def _load_state(folder: str, loaded: Loaded, boot: str, *, write: bool, queues: bool) -> None:
    loaded.archive.rely_on(loaded.head)
    load_folded(folder, loaded, queues=queues)
    loaded.journal = attach_journal(folder, loaded, write=write)
    if loaded.journal is not None:
        read = copies.read_all if loaded.copied else Journal.read_all
        replay(loaded, read(loaded.journal, loaded.header(), boot))


def load_folded(folder: str, loaded: Loaded, *, queues: bool) -> None:
    """Give `loaded` the state that its head says, without what is in the journal."""
    head = loaded.head
    if queues:
        inputs, bad_inputs = spool.load_spool(folder, spool.INPUTS, head.inputs)
        work, bad_work = spool.load_spool(folder, spool.WORK, head.work)
        loaded.state = state_of(head, inputs, work)
        loaded.bad_entries = [*bad_inputs, *bad_work]
        loaded.state.damaged_inputs = bad_inputs[0].error if bad_inputs else None
        loaded.state.damaged_work = bad_work[0].error if bad_work else None
    else:
        loaded.state = state_of(head)


def attach_journal(folder: str, loaded: Loaded, *, write: bool, again: bool = False) -> Journal | None:
    """The journal that continues the head, opened, or `None` at rest.

    A later journal without this one is damage. It was looked for already where there was none before (`again`).
    """
    first = loaded.head.folded_seq + 1
    path = os.path.join(folder, names.journal(first))
    journal = open_journal(path, first, loaded.head.folded_sum, write=write)
    if journal is None and not again:
        later = [seq for seq in map(names.parse_journal, system.listdir(folder)) if seq is not None and seq > first]
        if later:
            stray = os.path.join(folder, names.journal(min(later)))
            raise CorruptRecord(stray, f"the head ends at record {first - 1}: what lies between is missing")
    return journal


def carry_out(loaded: Loaded, record: Record) -> None:
    """Carry out a record that was read, and carry on what a later release said in it."""
    state, recent = loaded.state, loaded.archive.recent
    apply_record(state, recent, record.seq, record.at_ms, record.events, record.sum)
    if record.said:
        said = {} if loaded.head.said is None else loaded.head.said
        carry(state, recent, said, record.said)
        loaded.head = replace(loaded.head, said=said)


def replay(loaded: Loaded, records: list[Record]) -> None:
    """Carry out journal records on the state. One that cannot be is `CorruptRecord`, and the state spoilt."""
    for record in records:
        try:
            carry_out(loaded, record)
        except (Malformed, InvalidArgument, KeyError) as error:
            path = "" if loaded.journal is None else loaded.journal.path
            raise CorruptRecord(path, f"record {record.seq} cannot be carried out: {error!r}") from error
