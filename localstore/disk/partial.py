"""Reading a session whose journal is damaged: what is certain all the same.

A record that is damaged may have changed anything of the session's state, so nothing is said of that. Nodes are another
matter: the intact ones before and behind the damage are given out, unless the damaged record may have hidden them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn, cast

from ..contract.errors import BackendError, CorruptRecord
from ..contract.graph import SessionNodeRecord
from ..machine.apply import apply_record
from ..machine.encoding import EVENT_CLASSES, KINDS
from ..machine.events import Committed, NodesTombstoned
from ..machine.facts import Archive, Fact, NodeFact, climb
from ..machine.state import SessionState
from .archive import FileArchive
from .head import state_of
from .healing import journals
from .journal import MAX_JOURNAL, Record, salvage_records
from .loading import Loaded
from .system import system

_HIDING = (b"nodes_tomb", b"tombstoned", b"node_ids")
"""What the text of an event that hides nodes has in it, whichever byte of it is damaged."""


_APPENDING = (b'"replaces_graph":f', b'graph":false,', b'alse,"checkpoint_ref":')
"""What the text of a commit has in it that keeps the nodes there were, whichever byte of it is damaged."""


_HARMLESS = tuple(
    b'"kind":"%s"' % KINDS[cls].encode() for cls in EVENT_CLASSES if cls not in {Committed, NodesTombstoned}
)
"""The kinds of events that hide no node."""


class PartialSession:
    """A session as far as it can be read past the damage of its journal.

    Attributes:
        state: knows the session's id, and where the graph was replaced last; anything else raises the damage.
        archive: gives out what no damaged record can have changed, and raises the damage otherwise.
    """

    def __init__(self, folder: str, loaded: Loaded, damage: CorruptRecord) -> None:
        intact = IntactRecords(folder, loaded.head.folded_seq)
        replayed = state_of(loaded.head)
        for record in intact.records:
            apply_record(replayed, loaded.archive.recent, record.seq, record.at_ms, record.events, record.sum)
        self.state = cast(SessionState, _Unknown(replayed.session_id, replayed.floor_seq, damage))
        self.archive: Archive = _Certain(loaded.archive, replayed.floor_seq, intact, damage)


class IntactRecords:
    """The intact records of a session's journals that its head does not have.

    Attributes:
        records: in order, whatever is missing between them.
        hole: the last sequence number that is missing.
        hides_nodes: whether what is missing may have hidden nodes.
    """

    def __init__(self, folder: str, folded_seq: int) -> None:
        self.records: list[Record] = []
        self.hole = expected = folded_seq + 1
        self.hides_nodes = False
        for first, path in journals(folder):
            if first <= folded_seq:
                continue
            try:
                data = system.read_file(path, MAX_JOURNAL)
                found, findings = salvage_records(data, path)
            except (CorruptRecord, BackendError, FileNotFoundError):
                found, findings, data = [], [], b""
            stretches = [data[each.offset : each.offset + each.size] for each in findings]
            for _, record in found:
                if record.seq > expected:
                    self.hole = record.seq - 1
                    self.hides_nodes = self.hides_nodes or not stretches or expected < self.hole
                expected = record.seq + 1
                self.records.append(record)
            if not found or (findings and findings[-1].offset > found[-1][0]):
                self.hole = expected
            self.hides_nodes = self.hides_nodes or not data or any(map(_may_hide, stretches))


class _Unknown:
    """Stands in for a state of which only this much is known."""

    def __init__(self, session_id: str, floor_seq: int, damage: CorruptRecord) -> None:
        self.session_id = session_id
        self.floor_seq = floor_seq
        self._damage = damage

    def __getattr__(self, name: str) -> Any:
        raise self._damage


class _Certain:
    """An `Archive` that knows which records are missing."""

    def __init__(self, archive: FileArchive, floor_seq: int, intact: IntactRecords, damage: CorruptRecord) -> None:
        self._archive = archive
        self._floor_seq = floor_seq
        self._intact = intact
        self._damage = damage

    def find(self, key: str) -> Fact | None:
        found = self._archive.find(key)
        if found is None or not self._is_last_word(key, found):
            raise self._damage
        return found

    def _is_last_word(self, key: str, found: Fact) -> bool:
        if found.seq > self._intact.hole:
            return True
        if key.startswith("n:"):
            return isinstance(found, NodeFact) and found.seq >= self._floor_seq and not self._intact.hides_nodes
        # Turns, revisions, settled inputs and values are written once.
        return not key.startswith("a:")

    def has_value(self, ref: str) -> NoReturn:
        raise self._damage

    def facts(self, *kinds: type) -> Iterable[Fact]:
        raise self._damage

    def nodes_where(self, test: Callable[[bytes], bool]) -> Iterable[NodeFact]:
        raise self._damage

    def ancestry(self, node_id: str, since: int, *, once: bool) -> Iterable[SessionNodeRecord]:
        return climb(self.find, node_id, since)

    def unfolded(self) -> NoReturn:
        raise self._damage


def _may_hide(stretch: bytes) -> bool:
    """Whether a damaged record may have hidden nodes: it says that it does, or too little is left of it to tell."""
    if any(mark in stretch for mark in _HIDING):
        return True
    if any(mark in stretch for mark in _APPENDING):
        return False
    if any(mark in stretch for mark in (b"committed", b"replaces", b"_graph")):
        return True
    return b'"events":[' not in stretch and not any(kind in stretch for kind in _HARMLESS)
