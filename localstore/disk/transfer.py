"""A session out to an archive file, and in from one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from ..contract.archives import ArchiveInfo
from ..contract.errors import BackendError, CorruptRecord, InvalidArgument
from ..contract.values import altered
from ..machine.facts import StoredInput
from ..machine.moment import Moment
from ..machine.state import SessionState
from ..surroundings import fresh_id
from . import names, snapshots, spool
from .archives import SESSION, ArchiveReader, ArchiveWriter, Manifest, Member, member_of
from .attachments import KIND as ATTACHMENT_KIND
from .attachments import AttachmentRecord, FileAttachments
from .checking.findings import Severity
from .checking.sessions import SessionCheck
from .files import read_sealed
from .fold import fold
from .keeper import FileKeeper
from .leftovers import is_stale, remove_quietly, remove_tree_quietly
from .loading import load_session
from .snapshots import Copier, Snapshot
from .system import system

_PART = ".part"


def export_session(
    keeper: FileKeeper, attachments: str, path: str, moment: Moment, tell: Callable[[int, int], None]
) -> ArchiveInfo:
    """Write the session as it is now to a new archive at `path`, in one step.

    `tell` is called with how many bytes were gone over, and of how many: each is summed, and then written.
    """
    _remove_former(path)
    if os.path.lexists(path):
        raise _taken(path)
    beside = names.temporary(f".{os.path.basename(path)}")
    staging = os.path.join(os.path.dirname(path), beside)
    made = f"{staging}{_PART}"
    _make_parent(path)
    try:
        system.make_dir(staging)
        manifest, sources = _stage(keeper, attachments, staging, moment, tell)
        fd = system.open_write(made, True, True)
        try:
            writer = ArchiveWriter(fd)
            digest = writer.write(manifest, sources.__getitem__, tell)
        finally:
            system.let_go(fd)
        system.link_new(made, path)
        try:
            system.flush_dir(os.path.dirname(path))
        except BackendError:
            remove_quietly(path)
            raise
    except FileExistsError:
        raise _taken(path) from None
    except FileNotFoundError as error:
        raise BackendError(f"{staging} was removed while {path} was written; export it again") from error
    finally:
        # Twice: where a disk refused once, nothing need stay behind.
        for _ in range(2):
            remove_quietly(made)
            remove_tree_quietly(staging)
    return info_of(path, manifest, writer.size, digest)


def _remove_former(path: str) -> None:
    """Remove what an export to this place left behind whose disk failed for good, or that was cut off."""
    folder, name = os.path.split(path)
    try:
        found = system.entries(folder)
    except (BackendError, FileNotFoundError):
        return
    for entry, is_folder in found:
        own = entry.removesuffix(_PART)
        left = os.path.join(folder, entry)
        if names.is_temporary_of(own, f".{name}") and is_stale(left):
            if is_folder:
                remove_tree_quietly(left)
            else:
                remove_quietly(left)


def _taken(path: str) -> InvalidArgument:
    return InvalidArgument(f"{path} exists already; name another file, or move it away")


def _make_parent(path: str) -> None:
    try:
        system.check_dir(os.path.realpath(os.path.dirname(path)))
    except FileNotFoundError:
        raise InvalidArgument(f"there is no folder {os.path.dirname(path)} to write {path} in; make it") from None


def _stage(
    keeper: FileKeeper, attachments: str, staging: str, moment: Moment, tell: Callable[[int, int], None]
) -> tuple[Manifest, dict[str, str]]:
    """Take everything of the session at one moment into `staging`; what the archive has, and from where."""
    copier = Copier()
    beside = os.path.join(staging, names.ATTACHMENTS)

    def take(snapshot: Snapshot) -> tuple[Snapshot, list[str], int]:
        taken = snapshots.take_parts(snapshot.parts, staging, copier, flush=False)
        found = sorted(f"{SESSION}/{name}" for name in (*taken, *snapshot.records))
        for attachment_id in snapshot.attachments:
            system.make_dir(beside)
            files = snapshots.take_attachment(attachments, attachment_id, beside, copier, flush=False)
            if not files:
                raise FileNotFoundError(attachment_id)  # it was swept since
            found += sorted(f"{names.ATTACHMENTS}/{source.name}" for source in files)
        return snapshot, found, len(snapshot.attachments)

    snapshot, found, count = snapshots.of_one_moment(keeper, attachments, moment, take)
    for name, content in snapshot.records.items():
        system.write_new(os.path.join(staging, name), content, False)
    sources = {name: os.path.join(staging, *name.removeprefix(f"{SESSION}/").split("/")) for name in found}
    head = snapshot.head
    return Manifest(
        head.session_id,
        snapshot.session_name,
        head.revision,
        snapshot.node_count,
        count,
        moment.now_ms,
        head.folded_seq,
        head.folded_sum,
        _summed(found, sources, tell),
    ), sources


def _summed(found: list[str], sources: dict[str, str], tell: Callable[[int, int], None]) -> tuple[Member, ...]:
    """The members of an archive; that they were read is half of what there is to do."""
    total = 2 * sum(system.stat(sources[name]).st_size for name in found)
    members: list[Member] = []
    done = 0
    for name in found:
        tell(done, total)
        members.append(member_of(name, sources[name]))
        done += members[-1].size
    return tuple(members)


def info_of(path: str, manifest: Manifest, size: int, digest: str) -> ArchiveInfo:
    """What is said of an archive."""
    return ArchiveInfo(
        path,
        manifest.session_id,
        manifest.session_name,
        manifest.head_revision,
        manifest.node_count,
        manifest.attachment_count,
        manifest.exported_at_ms,
        size,
        digest,
    )


def build_session(
    reader: ArchiveReader,
    building: str,
    session_id: str,
    attachments: FileAttachments,
    boot: str,
) -> str:
    """Make the folder `building` of the archive's session under `session_id`; its incarnation.

    Everything is checked before an attachment is put, and flushed before this returns. Nobody holds the session, and
    what was claimed in its queues waits again: whoever held it did so elsewhere.
    """
    system.make_dir(building)
    rows: dict[str, AttachmentRecord] = {}

    def take(member: Member, content: Iterator[bytes]) -> None:
        kind, _, rest = member.name.partition("/")
        if kind == SESSION:
            _write(os.path.join(building, *rest.split("/")), content)
        elif rest.endswith(".json"):
            raw = b"".join(content)
            rows[rest.rpartition("/")[2].removesuffix(".json")] = read_sealed(
                AttachmentRecord, ATTACHMENT_KIND, raw, reader.path
            )
        else:
            _use_up(content)

    reader.members(take)
    system.write_new(os.path.join(building, names.LOCK), b"", False)
    _check(reader, building, boot)

    def put(member: Member, content: Iterator[bytes]) -> None:
        kind, _, rest = member.name.partition("/")
        attachment_id = rest.rpartition("/")[2]
        if kind == names.ATTACHMENTS and attachment_id in rows:
            attachments.put(b"".join(content), rows[attachment_id].meta)
        else:
            _use_up(content)

    if rows:
        reader.members(put)
    return _settle(building, reader.manifest.session_id, session_id, boot)


def _write(path: str, content: Iterator[bytes]) -> None:
    system.make_dir(os.path.dirname(path))
    fd = system.open_write(path, True, True)
    try:
        at = 0
        for piece in content:
            system.pwrite_all(fd, piece, at)
            at += len(piece)
        system.flush_file(fd)
    finally:
        system.let_go(fd)


def _use_up(content: Iterator[bytes]) -> None:
    for _ in content:
        pass


def _check(reader: ArchiveReader, building: str, boot: str) -> None:
    """The files are one session's, all of it: what the check of a store has nothing against.

    The check takes down what the disk refuses as what it may mean for a session. Here it means nothing of the kind: the
    files are new.
    """
    for last in (False, True):
        found = SessionCheck(os.path.dirname(building), building, boot)
        errors = [each for each in found.findings if each.severity is Severity.ERROR]
        if found.complete and not errors:
            return
        if last:
            _read_again(reader, building)
    if not errors:
        raise BackendError(f"not all of the session in {reader.path} could be looked at, once unpacked; try again")
    raise CorruptRecord(reader.path, f"the session in it is damaged: {errors[0].message}")


def _read_again(reader: ArchiveReader, building: str) -> None:
    """Raise what the disk says to whoever reads what was written a moment ago."""
    for member in reader.manifest.members:
        kind, _, rest = member.name.partition("/")
        path = os.path.join(building, *rest.split("/"))
        if kind == SESSION and member_of(member.name, path) != member:
            raise BackendError(f"the disk did not keep what was written to {path}; look into the system's log")


def _settle(building: str, archived_id: str, session_id: str, boot: str) -> str:
    """Fold the session under its new incarnation, and its new id if it has one."""
    loaded = load_session(building, archived_id, boot, write=True)
    try:
        state = loaded.state
        if loaded.bad_entries:
            raise CorruptRecord(loaded.bad_entries[0].path, str(loaded.bad_entries[0].error))
        incarnation = state.incarnation = fresh_id()
        state.lease = None
        for live in state.inputs.values():
            live.claim = None
        for batch in state.work.values():
            batch.claim = None
        if session_id != archived_id:
            _rename(building, state, session_id)
        fold(building, loaded, at_rest=True)
        for folder in (names.NODES, names.BLOBS, names.INPUTS, names.WORK):
            where = os.path.join(building, folder)
            if os.path.lexists(where):
                system.flush_dir(where)
        system.flush_dir(building)
    finally:
        loaded.close()
    return incarnation


def _rename(building: str, state: SessionState, session_id: str) -> None:
    """As a fork that keeps its parent's queues: what names the session names the new one."""
    archived_id, state.session_id = state.session_id, session_id
    state.inherited_seq = state.seq
    state.settled_input_count = 0
    state.attachment_row_count -= len(state.uncommitted)
    state.uncommitted = {}
    if state.meta is not None:
        state.meta = replace(state.meta, session_id=session_id)
    state.frames = tuple(
        altered(frame, session_id=session_id) if frame.session_id == archived_id else frame for frame in state.frames
    )
    for live in state.inputs.values():
        stored = live.stored
        record = altered(stored.record, session_id=session_id)
        live.stored = StoredInput(record, stored.submitted, stored.images)
        _write_again(building, spool.INPUTS.name(live), names.INPUTS, spool.INPUTS.seal(live))
    for batch in state.work.values():
        batch.batch = altered(batch.batch, session_id=session_id)
        _write_again(building, spool.WORK.name(batch), names.WORK, spool.WORK.seal(batch))


def _write_again(building: str, name: str, folder: str, content: bytes) -> None:
    system.write_over_partial(os.path.join(building, folder, name), content, True)


@contextmanager
def opened(path: str) -> Iterator[ArchiveReader]:
    """The archive at `path`, open."""
    try:
        reader = ArchiveReader(os.path.realpath(path))
    except FileNotFoundError:
        raise InvalidArgument(f"there is no archive {path}") from None
    try:
        yield reader
    finally:
        reader.close()
