"""Repairing one session: under its lock everything that is intact is loaded, and folded anew."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256

from ...contract.errors import BackendError, CorruptRecord, RecordSchemaVersionError
from ...machine.encoding import Malformed
from ...machine.facts import Fact, InputFact, TraceFact, ValueFact, stored_values
from .. import names, spool
from ..archive import FileArchive
from ..checking.recount import Recount
from ..fold import fold, unfolded
from ..head import MAX_HEAD, Head, state_of, unseal_head
from ..healing import journals
from ..journal import MAX_JOURNAL, salvage_records
from ..loading import Loaded, carry_out, head_path, own_or_copied
from ..lock import SessionLock
from ..nodefile import NodeFile
from ..recovery import set_aside_entries
from ..salvage import SalvagedFile
from ..system import MAX_READ, system
from ..views import write_whole
from .actions import Actions
from .heads import head_left
from .state import mend

DEADLINE_S = 10.0
_DELETED = "it is deleted; restore it first, then repair it"


def repair_session(actions: Actions, folder: str, keep: Iterable[str], now_ms: int) -> None:
    """Make the session in `folder` good as far as that can be.

    Of the files `keep`, which are written anew, a copy is kept. Raises `BackendError` where the lock stays held.
    """
    lock = SessionLock(os.path.join(folder, names.LOCK))
    try:
        lock.acquire(DEADLINE_S)
        try:
            _Repair(actions, folder, now_ms).run(keep)
        finally:
            lock.release()
    finally:
        lock.close()


class _Repair:
    def __init__(self, actions: Actions, folder: str, now_ms: int) -> None:
        self._actions = actions
        self._folder = folder
        self._now_ms = now_ms

    def run(self, keep: Iterable[str]) -> None:
        loaded = self._load_head()
        if loaded is None:
            return
        try:
            if loaded.head.deleted:
                self._actions.note("left", self._folder, _DELETED)
                return
            self._actions.session_id = loaded.head.session_id
            for path in keep:
                self._keep(path)
            self._load_spools(loaded)
            facts, damaged = self._facts(loaded.head)
            self._replay(loaded)
            self._set_unnamed_aside(loaded.head)
            self._fold(loaded, facts, damaged=damaged)
            self._set_journals_aside(loaded)
        finally:
            loaded.close()

    def _keep(self, path: str) -> None:
        """Keep a copy of a file that is written anew; an entry of a spool is written here, others by the fold."""
        try:
            raw = system.read_file(path, MAX_READ)
        except (FileNotFoundError, BackendError, CorruptRecord):
            return
        if names.parse_journal(os.path.basename(path)) is None:
            self._actions.keep("written_anew", path, raw, "it was written anew; this is what it was")
        parsed = names.parse_spool_entry(os.path.basename(path))
        if parsed is not None:
            if os.path.basename(os.path.dirname(path)) == names.INPUTS:
                _write_entry(spool.INPUTS, path, parsed[0])
            else:
                _write_entry(spool.WORK, path, parsed[0])

    # Loading what is intact.

    def _load_head(self) -> Loaded | None:
        path = head_path(self._folder)
        damage: CorruptRecord
        try:
            head = unseal_head(system.read_file(path, MAX_HEAD), path)
        except FileNotFoundError:
            damage = CorruptRecord(path, "it is missing")
        except (CorruptRecord, RecordSchemaVersionError) as error:
            damage = error if isinstance(error, CorruptRecord) else CorruptRecord(path, str(error))
        else:
            return self._own_or_copied(head)
        if self._is_trashed():
            self._actions.note("left", self._folder, _DELETED)
            return None
        found = head_left(self._folder, self._now_ms)
        if found is None:
            self._actions.note("left", path, "no copy of it is left, nor anything that says whose it is", lost=True)
            return None
        head, source, lost = found
        loaded = Loaded(self._folder, head, FileArchive(self._folder))
        loaded.healed = damage
        self._actions.session_id = head.session_id
        self._actions.note("head_made_good", path, f"{damage.reason}; it was made from {source}", lost=lost)
        return loaded

    def _is_trashed(self) -> bool:
        """Whether the session was deleted, where its head cannot say so: the copies of that are from before."""
        in_trash = os.path.basename(os.path.dirname(self._folder)) == names.TRASH
        return in_trash or os.path.lexists(os.path.join(self._folder, names.RECEIPT))

    def _own_or_copied(self, own: Head) -> Loaded:
        try:
            return own_or_copied(self._folder, system.check_dir(self._folder), own)
        except CorruptRecord as error:
            self._actions.note("incomplete_copy", error.path, f"{error.reason}; what came later is lost", lost=True)
            return Loaded(self._folder, own, FileArchive(self._folder))

    def _load_spools(self, loaded: Loaded) -> None:
        head = loaded.head
        self._clear_strays(spool.INPUTS)
        self._clear_strays(spool.WORK)
        inputs, bad_inputs = spool.load_spool(self._folder, spool.INPUTS, head.inputs)
        work, bad_work = spool.load_spool(self._folder, spool.WORK, head.work)
        loaded.state = state_of(head, inputs, work)
        loaded.archive.rely_on(head)
        loaded.bad_entries = [*bad_inputs, *bad_work]
        for bad in loaded.bad_entries:
            self._actions.note("entry_set_aside", bad.path, str(bad.error), lost=True)
        if loaded.bad_entries:
            set_aside_entries(self._folder, loaded)

    def _clear_strays(self, kind: spool.SpoolKind[spool.E]) -> None:
        """Set aside what stands beside an entry under its number."""
        where = os.path.join(self._folder, kind.folder)
        for seq, found in spool.names_by_seq(where).items():
            bad = [name for name in found if len(found) > 1 and not _is_good(kind, os.path.join(where, name), seq)]
            # Of two that look right none can be told to be the one.
            for name in bad if len(found) - len(bad) <= 1 else found:
                self._actions.set_aside("entry_set_aside", os.path.join(where, name), f"it is not entry {seq}")

    def _facts(self, head: Head) -> tuple[list[Fact], bool]:
        """The intact facts of all node files, and whether one of these is damaged."""
        facts: list[Fact] = []
        damaged = False
        for ref in head.files:
            path = os.path.join(self._folder, names.NODES, names.node_file(ref.name))
            salvaged = SalvagedFile(self._folder, ref)
            try:
                file = NodeFile.open(path, ref.name)
                try:
                    file.verify()
                finally:
                    file.close()
                if os.path.getsize(path) != ref.size:
                    raise CorruptRecord(path, f"it has not the {ref.size} bytes that the head says")
            except (CorruptRecord, FileNotFoundError, BackendError) as error:
                damaged = True
                self._keep_node_file(path, error, lost=not salvaged.complete)
            facts += _intact(salvaged)
        return facts, damaged

    def _set_unnamed_aside(self, head: Head) -> None:
        """What is damaged and not named by the head that is left may have been named by the one that is lost."""
        where = os.path.join(self._folder, names.NODES)
        wanted = {ref.name for ref in head.files}
        for name in sorted(system.listdir(where)) if os.path.lexists(where) else ():
            sha, path = names.parse_node_file(name), os.path.join(where, name)
            if sha is None or sha in wanted:
                continue
            try:
                whole = sha256(system.read_file(path, 1 << 30)).hexdigest() == sha
            except (FileNotFoundError, BackendError, CorruptRecord):
                whole = False
            if not whole:
                why = "its bytes are not those of its name, and no head that is left names it"
                self._actions.set_aside("node_file_set_aside", path, why, lost=True)

    def _keep_node_file(self, path: str, error: Exception, *, lost: bool) -> None:
        try:
            raw = system.read_file(path, 1 << 30)
        except (FileNotFoundError, BackendError, CorruptRecord):
            self._actions.note("node_file_lost", path, f"{error}; nothing of it could be read", lost=True)
            return
        why = f"{error}; its intact records are in a new node file"
        self._actions.keep("node_file_salvaged", path, raw, why, lost=lost)

    def _replay(self, loaded: Loaded) -> None:
        """Carry out every intact record, whatever is missing between them, and keep what is damaged."""
        folded = loaded.head.folded_seq
        for first, path in journals(self._folder):
            if first <= folded:
                continue
            try:
                data = system.read_file(path, MAX_JOURNAL)
                records, stretches = salvage_records(data, path)
            except (CorruptRecord, BackendError) as error:
                self._actions.set_aside("journal_set_aside", path, str(error), lost=True)
                continue
            except FileNotFoundError:
                continue
            for stretch in stretches:
                piece = data[stretch.offset : stretch.offset + stretch.size]
                why = f"{stretch.size} bytes at offset {stretch.offset}: {stretch.reason}"
                self._actions.keep("record_set_aside", path, piece, why, lost=len(piece) > 1)
            for offset, record in records:
                if record.seq <= loaded.state.seq:
                    continue
                if record.seq > loaded.state.seq + 1:
                    message = f"records {loaded.state.seq + 1} to {record.seq - 1} are lost"
                    self._actions.note("records_lost", path, message, lost=True)
                try:
                    carry_out(loaded, record)
                except (Malformed, ValueError, KeyError) as error:
                    message = f"the record at offset {offset} cannot be carried out: {error!r}"
                    self._actions.note("records_lost", path, message, lost=True)

    # Writing it anew.

    def _fold(self, loaded: Loaded, facts: list[Fact], *, damaged: bool) -> None:
        recent = unfolded(loaded.archive.recent)
        everything = [*facts, *recent]
        lost = self._lost_values(everything)
        kept = [_without(fact, lost) for fact in everything if not (isinstance(fact, ValueFact) and fact.ref in lost)]
        counts = Recount()
        for fact in kept:
            counts.add(fact)
        fresh = mend(self._actions, head_path(self._folder), loaded.state, counts, kept)
        self._write_inputs(loaded, lost)
        loaded.head = replace(
            loaded.head, blob_bytes=self._blob_bytes(facts, counts), spool_bytes=self._spool_bytes(loaded.head)
        )
        if not damaged and not lost:
            for fact in fresh:
                loaded.archive.recent.add(fact)
            fold(self._folder, loaded, at_rest=True)
            return
        loaded.archive.recent.keep([fact for fact in recent if not isinstance(fact, TraceFact)])
        fold(self._folder, loaded, at_rest=True, facts=[*kept, *fresh], kept=())

    def _set_journals_aside(self, loaded: Loaded) -> None:
        """What no head will look at any more is kept as it is."""
        for first, path in journals(self._folder):
            if first > loaded.head.folded_seq:
                self._actions.set_aside("journal_set_aside", path, "its intact records are in node files")

    def _lost_values(self, facts: Iterable[Fact]) -> set[str]:
        """The large values whose blob is missing or damaged; a damaged one is set aside."""
        lost = set()
        for ref in [ref for ref, value in stored_values(facts).items() if value.is_blob]:
            path = self._blob(ref)
            try:
                if sha256(system.read_file(path, MAX_READ)).hexdigest() == ref:
                    continue
                why = "its bytes are not those of its name"
            except (FileNotFoundError, BackendError, CorruptRecord) as error:
                why = str(error)
            lost.add(ref)
            if not self._actions.set_aside("blob_set_aside", path, why, lost=True):
                self._actions.note("blob_lost", path, "it is missing", lost=True)
        return lost

    def _write_inputs(self, loaded: Loaded, lost: set[str]) -> None:
        """Write the files of live inputs anew whose images are lost."""
        for live in loaded.state.inputs.values():
            images = tuple((image_id, ref) for image_id, ref in live.stored.images if ref not in lost)
            if images == live.stored.images:
                continue
            live.stored = replace(live.stored, images=images)
            path = spool.entry_path(self._folder, spool.INPUTS, live)
            if spool.INPUTS.seq(live) < loaded.head.inputs.next_seq:
                self._actions.set_aside("images_lost", path, "images of it are lost; the input is kept", lost=True)
                system.write_over_partial(path, spool.INPUTS.seal(live), True)
                system.flush_dir(os.path.dirname(path))

    def _blob_bytes(self, facts: Iterable[Fact], counts: Recount) -> int:
        """The size of the blobs that are there; the fold adds those that it writes."""
        here = {fact.ref for fact in facts if isinstance(fact, ValueFact) and fact.content is None}
        paths = [self._blob(ref) for ref in here if ref in counts.values]
        return sum(os.path.getsize(path) for path in paths)

    def _blob(self, ref: str) -> str:
        return os.path.join(self._folder, names.BLOBS, names.blob(ref))

    def _spool_bytes(self, head: Head) -> int:
        """The size of the files of entries that the head names; the fold sees to what changed since."""
        total = 0
        for kind, index in ((names.INPUTS, head.inputs), (names.WORK, head.work)):
            where = os.path.join(self._folder, kind)
            live = set(index.seqs())
            for seq, found in spool.names_by_seq(where).items():
                total += sum(os.path.getsize(os.path.join(where, name)) for name in found if seq in live)
        return total


def _write_entry(kind: spool.SpoolKind[spool.E], path: str, seq: int) -> None:
    try:
        entry = spool.load_entry(kind, path, seq)
    except (CorruptRecord, RecordSchemaVersionError, BackendError):
        return  # a view, which the fold writes from the journal
    write_whole(path, kind.seal(entry), flush=True)


def _is_good(kind: spool.SpoolKind[spool.E], path: str, seq: int) -> bool:
    try:
        spool.load_entry(kind, path, seq)
    except (CorruptRecord, RecordSchemaVersionError, BackendError):
        return False
    return True


def _intact(file: SalvagedFile) -> Iterator[Fact]:
    for offset in list(file.records):
        try:
            yield file.fact_at(offset)
        except CorruptRecord:
            continue


def _without(fact: Fact, lost: set[str]) -> Fact:
    """The fact without images that are lost."""
    if isinstance(fact, InputFact) and any(ref in lost for _, ref in fact.stored.images):
        images = tuple((image_id, ref) for image_id, ref in fact.stored.images if ref not in lost)
        return InputFact(fact.seq, replace(fact.stored, images=images), fact.line)
    return fact
