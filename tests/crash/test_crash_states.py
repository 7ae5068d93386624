"""Every crash state: after each system call of a script of all calls, by a death of the process and by a power cut."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from unittest import mock

import pytest

from localstore import AttachmentStore, Durability, InMemoryStore, LocalStore, SessionStore
from localstore.disk import fold, keeper, openfolder, platforms
from localstore.history import SessionHistory
from localstore.memory import MemoryAttachments
from localstore.store import Store
from localstore.testing import ManualClock
from tests.crash.crash_oracle import History, remember
from tests.crash.crash_parts import Visits, visit_all
from tests.crash.crash_recovery import NEXT_BOOT, Judge
from tests.crash.crash_second import visit_recoveries, visit_repeats
from tests.crash.crash_settings import Setting, scratch
from tests.crash.crash_visits import Recording, record, visit, wrong
from tests.crash.crash_workload import SCRIPT, A, World

FULL, PROCESS = Durability.FULL, Durability.PROCESS
SETTINGS = {
    "full, folding often": Setting(FULL, fold_bytes=3_000, fan_in=3, grace_s=-1, due_after=3),
    "process, one journal": Setting(PROCESS, fold_bytes=1 << 20),
    "full, one journal": Setting(FULL, fold_bytes=1 << 20, ahead=512),
    "process, folding often": Setting(PROCESS, fold_bytes=3_000, fan_in=3, at_once=True),
    "full, folding now and then": Setting(FULL, fold_bytes=12_000, fan_in=2, due_after=2),
    "process, folding now and then": Setting(PROCESS, fold_bytes=12_000, fan_in=2, grace_s=-1, due_after=5),
}
IN_THE_SUITE = ("full, folding often", "process, one journal")
SEED = 20_260_101

READS = {
    "list_sessions", "open_session", "trash", "durability_tier", "load_session", "load_node", "load_session_head",
    "load_session_meta", "changes", "get_session_execution_lease", "list_pending_turn_inputs", "list_queued_work",
    "list_pending_queued_work", "list_uncommitted", "head_log", "branches", "leaves", "get", "search", "watch",
    "survey_sessions",
}  # fmt: skip
TOO = {"close", "mark_closed", "prune", "backup", "redact"}
"""Calls that are no calls on the session, or that are made of others (pruning deletes), or that copy to other folders
or write to all sessions: the backup and the redaction are cut off at their system calls by tests of their own."""


@pytest.fixture(scope="module")
def history() -> History:
    return remember(SCRIPT)


@pytest.fixture
def base() -> Iterator[str]:
    with scratch() as folder:
        yield folder


def tell(capsys, name: str, judge: Judge | Visits, *more: str) -> None:
    """Print how much was looked at, whether or not output is captured."""
    visits = ", ".join(f"{count:,} by {kind}" for kind, count in sorted(judge.visits.items()))
    with capsys.disabled():
        print(f"\n  {name}: {judge.visits.total():,} states ({visits}; {judge.distinct:,} distinct)", *more, end="")


def recorded(name: str, history: History, base: str) -> tuple[Recording, Judge]:
    setting = SETTINGS[name]
    return record(SCRIPT, setting, history, f"{base}/run"), Judge(setting, f"{base}/states")


def test_the_script_makes_every_call_that_changes_something(monkeypatch, tmp_path):
    called = set()

    def spied(name, method):
        def spy(*arguments, **keywords):
            called.add(name)
            return method(*arguments, **keywords)

        return spy

    public: set[str] = set()
    for face in (Store, SessionStore, SessionHistory, AttachmentStore):
        public |= {name for name, member in vars(face).items() if callable(member) and not name.startswith("_")}
    for cls in (Store, SessionStore, SessionHistory, MemoryAttachments):
        for name in public & set(vars(cls)):
            monkeypatch.setattr(cls, name, spied(name, vars(cls)[name]))
    clock = ManualClock()
    with InMemoryStore(clock) as in_memory, LocalStore(tmp_path / "store", clock=clock) as on_files:
        for store in (in_memory, on_files):
            world = World(clock, partial(_same, store), separate=False)
            for step in SCRIPT:
                clock.advance(1)
                step.run(world)
    assert public - READS - TOO - called == set()


def _same(store: Store) -> Store:
    return store


@pytest.mark.parametrize("name", IN_THE_SUITE)
def test_every_crash_leaves_what_was_acknowledged(name, capsys):
    found = visit_all(SETTINGS[name], SEED, most=2)
    tell(capsys, name, found, f"at {found.effects:,} effects of system calls, seed {SEED}")
    assert not found.wrong
    assert found.distinct > 1_000


def test_a_head_is_never_there_before_what_it_relies_on(history, base, capsys):
    """Where a head was just renamed, and nothing of that is flushed yet, many more states are visited."""
    recording, judge = recorded("full, folding often", history, base)
    renamed = [point for point, entry in enumerate(recording.log, 1) if is_of_a_head(entry)]
    rng = random.Random(SEED)
    found = [
        each
        for point in renamed
        for each in visit(recording, history, judge, rng, most=10, points=range(point, point + 1))
    ]
    tell(capsys, f"{len(renamed)} heads just renamed", judge)
    assert not found


def is_of_a_head(entry) -> bool:
    """Whether an effect is that `head.json` got its name."""
    return entry[0] == "rename" and entry[2].endswith("/head.json")


def test_an_answer_to_a_repeated_call_is_an_acknowledgement(history, base, capsys):
    recording, judge = recorded("full, folding often", history, base)
    rng = random.Random(SEED)
    found = list(visit_repeats(recording, history, judge, f"{base}/again", rng, most=2, share=0.5))
    tell(capsys, "calls made again", judge)
    assert not found
    assert judge.distinct > 50


@pytest.mark.parametrize("name", ["full, folding often", "process, one journal"])
def test_a_crash_of_those_who_recover(name, history, base, capsys):
    recording, judge = recorded(name, history, base)
    rng = random.Random(SEED)
    found = list(_recoveries(recording, history, judge, rng, base, count=2, most=2))
    tell(capsys, f"crashes after crashes, {name}", judge)
    assert not found


def _recoveries(recording: Recording, history: History, judge: Judge, rng, base: str, *, count: int, most: int):
    """Crashes of stores that work on after `count` power cuts at some points of the script."""
    done = 0
    while done < count:
        point = rng.randrange(len(recording.log))
        for tree in recording.disk_at(point).cuts(rng, 1, 0):
            found = judge.recover(tree, boot=NEXT_BOOT, kind="first power cut")
            acknowledged, begun = recording.at(point)
            where = f"after a first power cut at call {point}"
            yield from wrong(found, history, acknowledged, begun, recording.setting.durability, where)
            done += bool(found.trouble)
            seen = [at for at, each in enumerate(history.after) if each.sessions[A] == found.sessions.get(A)]
            if found.trouble or not seen or history.after[seen[0]].sessions[A] is None:
                continue
            more, second = visit_recoveries(
                tree, seen[0], recording, history, recording.setting, f"{base}/{point}", rng, most=most
            )
            judge.visits += second.visits
            yield from (f"{where}: {each}" for each in more)
            done += 1


BROKEN = {
    "files are not flushed": (platforms, "flush_bytes", lambda fd: None),
    "folders are not flushed": (platforms, "flush_all", lambda fd: None),
    "the folders of a first fold are not flushed": (fold, "_flush_first_names", lambda folder, old: None),
    "an answer is given from what is not flushed": (keeper.FileKeeper, "_acknowledge", lambda self, loaded: None),
    "tokens that jump are not flushed": (openfolder, "_renews_fencing", lambda *arguments: False),
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_store_with_a_mistake_is_found_out(mistake, history, base):
    """What finds nothing proves nothing: mistakes in the order of flushes are found."""
    rng = random.Random(SEED)
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(*BROKEN[mistake]))
        name = "process, one journal" if mistake.startswith("tokens") else "full, folding often"
        recording, judge = recorded(name, history, base)
        if mistake.startswith("an answer"):
            found = visit_repeats(recording, history, judge, f"{base}/again", rng, most=2)
        elif mistake.startswith("tokens"):
            found = _recoveries(recording, history, judge, rng, base, count=3, most=2)
        else:
            found = visit(recording, history, judge, rng, most=12)
        assert next(iter(found), None) is not None


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", SETTINGS)
def test_every_crash_at_length(name, history, base, capsys):
    """All combinations of at most six unflushed effects, and 200 states a point where there are more."""
    seed = random.randrange(1 << 32)
    visits = visit_all(SETTINGS[name], seed, most=200, every=20_000)
    tell(capsys, name, visits, f"at {visits.effects:,} effects of system calls, seed {seed}")
    assert not visits.wrong
    recording, judge = recorded(name, history, base)
    rng = random.Random(seed)
    found = list(visit_repeats(recording, history, judge, f"{base}/again", rng, most=20))
    found += _recoveries(recording, history, judge, rng, base, count=40, most=20)
    tell(capsys, f"{name}, calls made again, and crashes after crashes", judge)
    assert not found
