"""Copies of a live session's folder, put together of what it held at different moments, with folds between them.

A copying program lists the folder at one moment and gets to its entries later, in any order. Ways in which the parts of
a folder can be of different moments are made here, around one fold and two, and judged as a user would.
`LOCALSTORE_COPY_WAYS` says how many of each course of events, 80 by default; 729 are all.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from localstore import CorruptRecord, Durability, FullGraph, LocalStore, QueuedWorkClaimBoundary, SessionStore
from localstore.disk import compaction, housekeeping, names, superseded
from localstore.disk.check import check_store
from localstore.disk.head import unseal_head
from localstore.disk.repair import repair_store
from localstore.testing.builders import append_commit, next_input, node, owner, wake
from tests.commits import settle
from tests.folders import tree

SESSION = "copied"
PARTS = ("head", "journals", "nodes", "inputs", "work", "blobs")
MOST = int(os.environ.get("LOCALSTORE_COPY_WAYS", "80"))
"""How many ways to put the parts together are tried of one course of events, at most; there are up to 729."""

State = tuple[Any, ...]


def state_of(root: Path) -> State:
    """What a user sees of the session."""
    with LocalStore(root) as store:
        return seen(reached(store))


def reached(store: LocalStore) -> SessionStore:
    session = store.open_session(SESSION)
    assert session is not None
    return session


def seen(session: SessionStore) -> State:
    read = session.load_session(FullGraph())
    return (
        0 if read is None else read.head_revision,
        () if read is None else tuple(each.node_id for each in read.graph.nodes),
        None if read is None else read.checkpoint,
        tuple(each.input_id for each in session.list_pending_turn_inputs(SESSION)),
        tuple(each.source_key for each in session.list_queued_work(SESSION)),
    )


class Course:
    """A course of events in a session: what it held at the moments that count, and each state that there was."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.moments: list[Path] = []
        self.states: list[State] = []
        self._store = LocalStore(root)
        self._session = self._store.create_session(SESSION)
        self._count = 0

    def close(self) -> None:
        self._store.close()

    def begin(self) -> None:
        """The copying begins: states of before are none that a copy may be of."""
        self.states.clear()
        self.moment()

    def moment(self) -> None:
        """Keep what the folder holds now."""
        kept = self.root.parent / f"moment-{len(self.moments)}"
        # A merge goes on in a thread, and what it has in the making may be gone before the copying gets there.
        shutil.copytree(self.root, kept, ignore=lambda _, found: filter(names.is_temporary, found))
        self.moments.append(kept)
        self.states.append(seen(self._session))

    def _did(self) -> None:
        self.states.append(seen(self._session))

    def turn(self) -> None:
        """Input and work come in; one of each is done, with a checkpoint too large for a line."""
        self._count += 1
        at = self._count
        session = self._session
        for letter in "ab":
            session.enqueue_pending_turn_input(
                next_input(f"i{at}{letter}", session_id=SESSION, input_id=f"i{at}{letter}")
            )
            self._did()
            session.enqueue_queued_work(wake(session_id=SESSION, source_key=f"w{at}{letter}"))
            self._did()
        lease = session.try_claim_session_execution_lease(SESSION, owner(), 60_000).acquired()
        assert lease is not None
        fence = lease.fence()
        inputs = session.claim_next_turn_inputs(SESSION, fence, owner(), 60_000, 1)
        self._did()
        work = session.claim_ready_queued_work(SESSION, fence, owner(), QueuedWorkClaimBoundary.IDLE, 60_000, 1)
        self._did()
        assert inputs is not None
        assert work is not None
        made = append_commit(node(f"n{at}", f"n{at - 1}" if at > 1 else None), session_id=SESSION)
        large = type(made.checkpoint)(plugin_snapshot=f"{at} " * 10_000)
        made = type(made)(SESSION, None, made.config, (), None, made.graph, large)
        made = made.completing_turn_input_claim(inputs).completing_queue_claim(work)
        made = made.with_session_execution_lease(fence).releasing_session_execution_lease(lease.completion())
        session.commit_runtime_state(made)
        self._did()

    def checkpoint(self) -> None:
        self._session.checkpoint()
        self._did()

    def vacuum(self) -> None:
        self._session.tombstone_nodes([f"n{self._count}"])
        self._did()
        self._session.vacuum()
        self._did()

    def collect(self) -> None:
        self._session.gc_unreachable()
        self._did()

    def reopen(self) -> None:
        self._store.close()
        self._store = LocalStore(self.root)
        self._session = reached(self._store)


def one_fold(course: Course) -> None:
    course.turn()
    course.checkpoint()
    course.turn()
    course.begin()
    course.turn()
    course.checkpoint()
    course.turn()
    course.moment()


def two_folds(course: Course) -> None:
    course.turn()
    course.checkpoint()
    course.turn()
    course.begin()
    course.turn()
    course.checkpoint()
    course.moment()
    course.turn()
    course.checkpoint()
    course.turn()
    course.moment()


def the_first_folds(course: Course) -> None:
    """The folder has neither node files nor queues when the copying begins."""
    course.turn()
    course.begin()
    course.checkpoint()
    course.moment()
    course.turn()
    course.checkpoint()
    course.moment()


def nothing_since_a_fold(course: Course) -> None:
    """There is no journal when the copying begins."""
    course.turn()
    course.checkpoint()
    course.begin()
    course.turn()
    course.checkpoint()
    course.moment()
    course.turn()
    course.checkpoint()
    course.moment()


def from_rest(course: Course) -> None:
    """The session is at rest when the copying begins: it has no journal, nor anything that was superseded."""
    course.turn()
    course.turn()
    course.reopen()
    course.begin()
    course.turn()
    course.checkpoint()
    course.moment()
    course.turn()
    course.checkpoint()
    course.turn()
    course.moment()


def vacuums(course: Course) -> None:
    course.turn()
    course.checkpoint()
    course.turn()
    course.begin()
    course.vacuum()
    course.moment()
    course.turn()
    course.vacuum()
    course.moment()


def values_are_dropped(course: Course) -> None:
    for _ in range(3):
        course.turn()
    course.checkpoint()
    course.turn()
    course.begin()
    course.collect()
    course.moment()
    course.turn()
    course.collect()
    course.checkpoint()
    course.moment()


def merges(course: Course) -> None:
    for _ in range(3):
        course.turn()
        course.checkpoint()
    course.turn()
    course.begin()
    course.checkpoint()
    merge(course)
    course.moment()
    course.turn()
    merge(course)
    course.turn()
    course.checkpoint()
    course.moment()


def merge(course: Course) -> None:
    """Merge what is due, as the store's own thread does."""
    keeper: Any = course._store._sessions.find(SESSION)
    before = len(list(course.root.rglob("*.jsonl")))
    keeper.merge_due()
    assert len(list(course.root.rglob("*.jsonl"))) > before  # the merged ones stay for a while


COURSES: dict[str, Callable[[Course], None]] = {
    "one fold": one_fold,
    "two folds": two_folds,
    "the first folds": the_first_folds,
    "nothing since a fold": nothing_since_a_fold,
    "from rest": from_rest,
    "vacuums": vacuums,
    "values are dropped": values_are_dropped,
    "merges": merges,
}


def put_together(course: Course, at: dict[str, int], target: Path) -> None:
    """A copy whose parts are of these moments, of what the folder listed at the first."""
    folder = Path(names.SESSIONS) / names.session_dirname(SESSION)
    first = course.moments[0]
    shutil.copytree(first, target, ignore=shutil.ignore_patterns(names.session_dirname(SESSION)))
    (target / folder).mkdir(mode=0o700)
    for listed in sorted((first / folder).iterdir()):
        source = course.moments[at[part_of(listed.name)]] / folder / listed.name
        if source.is_dir():
            shutil.copytree(source, target / folder / listed.name)
        elif source.exists():
            shutil.copy2(source, target / folder / listed.name)


def part_of(name: str) -> str:
    if names.parse_journal(name) is not None:
        return "journals"
    return {names.HEAD: "head", names.META: "views", names.LEASE: "views", names.LOCK: "views"}.get(name, name)


def ways(course: Course) -> Iterator[dict[str, int]]:
    """Ways to put the parts together; those first in which all parts but one or two are of one moment."""
    found = list(itertools.product(range(len(course.moments)), repeat=len(PARTS)))
    random.Random(1).shuffle(found)
    found.sort(key=lambda way: -max(map(way.count, way)) // 4)
    for way in found[:MOST]:
        yield {**dict(zip(PARTS, way, strict=True)), "views": (way[0] + 1) % len(course.moments)}


def unclean(root: Path) -> list[Any]:
    return [found for found in check_store(root).findings if found.severity.value != "info"]


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Course]:
    monkeypatch.setattr(housekeeping, "VIEW_DELAY_S", 0)
    made = Course(tmp_path / "store")
    yield made
    made.close()


@pytest.mark.parametrize("happens", COURSES)
def test_each_copy_is_a_state_that_existed_since_it_began(
    happens: str, course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "FAN_IN", 2 if happens == "merges" else 100)
    COURSES[happens](course)
    judged: set[str] = set()
    for number, way in enumerate(ways(course)):
        copy = tmp_path / f"copy-{number}"
        put_together(course, way, copy)
        held = tree(copy)
        mark = sha256(repr(sorted(held.items())).encode()).hexdigest()
        if mark not in judged:
            judged.add(mark)
            assert unclean(copy) == [], way
            with LocalStore(copy) as store:
                (row,) = store.list_sessions()
                found = seen(reached(store))
            assert found in course.states, way
            assert row.head_revision == found[0], way
            assert tree(copy) == held, f"reading changed it: {way}"
            goes_on(copy, found, way)
        shutil.rmtree(copy)
    assert len(judged) >= min(MOST, 10)


def goes_on(copy: Path, found: State, way: dict[str, int]) -> None:
    """The copy is a session like others: it is written to, closed, opened again, sound, and at rest."""
    with LocalStore(copy, durability=Durability.PROCESS) as store:
        session = reached(store)
        session.enqueue_pending_turn_input(next_input("more", session_id=SESSION, input_id="more"))
        assert seen(session) == (*found[:3], (*found[3], "more"), found[4]), way
        session.checkpoint()
        assert seen(session) == (*found[:3], (*found[3], "more"), found[4]), way
    assert state_of(copy) == (*found[:3], (*found[3], "more"), found[4]), way
    assert unclean(copy) == [], way
    assert list(copy.rglob("*.journal")) == []


def live_folder(root: Path) -> Path:
    return root / names.SESSIONS / names.session_dirname(SESSION)


def journals_of(root: Path) -> list[Path]:
    return sorted(live_folder(root).glob("*.journal"))


@pytest.mark.damaged
def test_a_journal_is_copied_page_by_page_while_it_grows(course: Course, tmp_path: Path) -> None:
    """What was written behind a page that had been read already is left out; what is damaged is told all the same."""
    course.turn()
    course.begin()
    course.turn()
    (journal,) = journals_of(course.root)
    whole = journal.read_bytes().rstrip(b"\0")
    old = len(journals_of(course.moments[0])[0].read_bytes().rstrip(b"\0"))
    page = -(-(old + 1) // 4096) * 4096
    assert page < len(whole)
    copy = tmp_path / "copy"
    shutil.copytree(course.root, copy)
    (copied,) = journals_of(copy)
    copied.write_bytes(whole[:old] + bytes(page - old) + whole[page:])
    assert unclean(copy) == []
    held = tree(copy)
    found = state_of(copy)
    assert found == course.states[0]
    assert tree(copy) == held
    with LocalStore(copy) as store:
        reached(store).enqueue_pending_turn_input(next_input("more", session_id=SESSION, input_id="more"))
    assert state_of(copy) == (*found[:3], (*found[3], "more"), found[4])
    damaged = tmp_path / "damaged"
    shutil.copytree(course.root, damaged)
    (copied,) = journals_of(damaged)
    copied.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])
    with pytest.raises(CorruptRecord):
        state_of(damaged)


@pytest.mark.damaged
def test_a_copy_that_took_too_long_is_refused(course: Course, tmp_path: Path) -> None:
    """Journals that were removed before the copying program got to them are missed, and nothing older is given out."""
    course.turn()
    course.checkpoint()
    course.turn()
    course.begin()
    (first, *_) = course.moments
    for _ in range(3):
        course.turn()
        for journal in journals_of(course.root)[:-1]:
            os.utime(journal, (0, 0))
        course.checkpoint()
    copy = tmp_path / "copy"
    shutil.copytree(course.root, copy)
    listed = {path.name for path in journals_of(first)}
    for path in journals_of(copy):
        if path.name not in listed:
            path.unlink()
    shutil.rmtree(live_folder(copy) / names.INPUTS)
    shutil.copytree(live_folder(first) / names.INPUTS, live_folder(copy) / names.INPUTS)
    shutil.copy2(live_folder(first) / names.HEAD, live_folder(copy) / names.HEAD)
    assert journals_of(copy) == []
    held = tree(copy)
    assert "incomplete_copy" in {found.kind for found in unclean(copy)}
    with pytest.raises(CorruptRecord, match="copy it again"):
        state_of(copy)
    assert tree(copy) == held
    repair_store(copy)
    assert unclean_but_quarantine(copy) == []
    state_of(copy)


def unclean_but_quarantine(root: Path) -> list[Any]:
    return [found for found in unclean(root) if found.kind != "quarantined"]


def test_what_is_superseded_stays_a_minute(course: Course) -> None:
    folder = live_folder(course.root)
    for _ in range(2):
        course.turn()
        course.checkpoint()
    course.turn()
    held = set(folder.rglob("*"))
    os.utime(journals_of(course.root)[-1], (0, 0))  # long unchanged; its age counts from the fold
    course.collect()
    course.checkpoint()
    dropped = set(unseal_head((folder / names.HEAD).read_bytes(), "").dropped_blobs)
    assert dropped
    assert held - set(folder.rglob("*")) == set()
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (0, 0))
    course.turn()
    course.checkpoint()
    left = set(folder.rglob("*"))
    assert len(journals_of(course.root)) == 1
    assert dropped.isdisjoint(path.name for path in left)
    course.close()
    assert journals_of(course.root) == []
    assert unclean(course.root) == []
    assert len(list((folder / names.INPUTS).iterdir())) == len(state_of(course.root)[3])


def test_folded_journals_are_bounded(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(superseded, "MOST_JOURNALS", 3)
    for _ in range(5):
        course.turn()
        course.checkpoint()
    assert len(journals_of(course.root)) == 3
    monkeypatch.setattr(superseded, "MOST_BYTES", 1)
    course.turn()
    course.checkpoint()
    assert len(journals_of(course.root)) == 1


def test_a_dropped_value_that_is_stored_again_stays(course: Course) -> None:
    """Its blob is not removed for its former life."""
    session = course._session

    def store_value(text: str) -> None:
        made = append_commit(node(f"n{len(course.states)}"), session_id=SESSION)
        course.states.append(())
        large = type(made.checkpoint)(plugin_snapshot=text * 5_000)
        made = type(made)(SESSION, None, made.config, (), None, made.graph, large)
        settle(session, made)

    store_value("this")
    course.checkpoint()
    store_value("that")
    session.gc_unreachable()
    course.checkpoint()
    store_value("this")
    course.checkpoint()
    assert unclean(course.root) == []
    course.close()
    assert unclean(course.root) == []
    read = state_of(course.root)[2]
    assert read.plugin_snapshot == "this" * 5_000


@pytest.mark.damaged
def test_a_copy_at_rest_is_listed_by_its_heads(tmp_path: Path) -> None:
    root, copy = tmp_path / "store", tmp_path / "copy"
    made = Course(root)
    made.turn()
    made.checkpoint()
    made.close()
    shutil.copytree(root, copy)
    shutil.rmtree(live_folder(copy) / names.NODES)
    with LocalStore(copy) as store:
        assert [row.head_revision for row in store.list_sessions()] == [1]


def test_a_root_that_is_renamed_is_no_copy(course: Course, tmp_path: Path) -> None:
    course.turn()
    course.checkpoint()
    course.turn()
    found = seen(course._session)
    held = tree(course.root)
    course.root.rename(tmp_path / "elsewhere")
    try:
        assert "live_copy" not in {each.kind for each in check_store(tmp_path / "elsewhere").findings}
        assert state_of(tmp_path / "elsewhere") == found
        assert tree(tmp_path / "elsewhere") == held
    finally:
        (tmp_path / "elsewhere").rename(course.root)


def test_a_handle_that_folded_what_others_wrote_leaves_the_session_at_rest(tmp_path: Path) -> None:
    with LocalStore(tmp_path / "store") as other:
        session = other.create_session(SESSION)
        session.enqueue_pending_turn_input(next_input("a", session_id=SESSION))
        with LocalStore(tmp_path / "store") as own:
            reached(own).checkpoint()
            assert journals_of(own.root)
        assert journals_of(other.root) == []
        session.enqueue_pending_turn_input(next_input("b", session_id=SESSION))
        with LocalStore(tmp_path / "store") as own:
            own.export_session(SESSION, tmp_path / "a.archive")
        assert journals_of(other.root) == []
        assert len(session.list_pending_turn_inputs(SESSION)) == 2
