"""A backup cut off or refused: store and backup stay sound, each session is of one backup, the next one finishes."""

import errno
import os
import random
import shutil
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from unittest import mock

import pytest

from localstore import (
    AttachmentCreateMeta,
    AttachmentIntent,
    BackendError,
    Durability,
    FullGraph,
    HydratedSessionCheckpoint,
    LocalStore,
    SessionMeta,
    StoreError,
)
from localstore.disk import snapshots
from localstore.disk.check import check_store
from localstore.disk.checking.findings import Severity
from localstore.liveness import boot_id
from localstore.testing import ManualClock, next_input, node
from tests.crash.crash_disk import Disk
from tests.crash.crash_faults import FAULTS, Injector
from tests.crash.crash_kernel import Call, Kernel
from tests.crash.crash_recovery import NEXT_BOOT
from tests.crash.crash_settings import ROOT_NAME, Setting, lay_out, read_tree, scratch
from tests.crash.crash_single import record_single, states
from tests.history.living import Living

SEED = 20_260_105
SETTING = Setting(Durability.FULL, fold_bytes=1 << 20)
LATER = replace(SETTING, stale_s=-1, first_name=1 << 40)
BACKUP = "backup"


@pytest.fixture
def base():
    with scratch() as folder:
        yield folder


def prepare(base, *, again):
    """A store in use with several sessions, and with `again` a backup of what they were before."""
    clock = ManualClock()
    with SETTING.installed(), LocalStore(f"{base}/{ROOT_NAME}", clock=clock) as store:
        living = Living(store, clock)
        for name in ("a", "b", "c"):
            session = store.create_session(name, session_name=f"named {name}")
            living.append(node("n1", payload={"text": name}), session=session, checkpoint=checkpoint(name))
            session.enqueue_pending_turn_input(next_input(f"for {name}", session_id=name))
        attach(store, "a", b"a picture")
        if again:
            store.backup(f"{base}/{BACKUP}")
            living.append(node("n2", "n1"), session=living.handle("a"), checkpoint=checkpoint("later"))
            living.handle("a").enqueue_pending_turn_input(next_input("later", session_id="a"))
            living.handle("a").gc_unreachable()
            living.handle("a").tombstone_nodes(["n1"])
            living.handle("a").vacuum()
            living.handle("a").save_session_meta(SessionMeta("a", "another name", "", "m", "/w"))
            attach(store, "a", b"another picture")
            store.delete_session("b")
            living.append(node("anew"), session=store.create_session("b"))
            store.delete_session("c")
            store.create_session("d")
        tree = read_tree(base)
    shutil.rmtree(base)
    return tree


def checkpoint(text):
    """One with a value that is large enough for a file of its own."""
    return HydratedSessionCheckpoint(tool_state={"text": text + "x" * 20_000})


def attach(store, session_id, picture):
    ref = store.attachments.put(picture, AttachmentCreateMeta("image/png", 1, 2, "p"))
    session = store.open_session(session_id)
    session.record_intent(AttachmentIntent(ref.id, session_id, "file:///p.png", 5))
    session.commit_refs(session_id, [ref.id])


def contents(root):
    """What the sessions of a store say of themselves, and which attachments it has."""
    with LocalStore(root, clock=ManualClock()) as store:
        told = {row.session_id: said(store.open_session(row.session_id)) for row in store.list_sessions()}
        return told, sorted(name for _, _, found in os.walk(f"{root}/attachments") for name in found)


def said(session):
    session_id = session.session_id
    queued = session.list_pending_turn_inputs(session_id), session.list_queued_work(session_id)
    return repr((session.load_session(FullGraph()), session.load_session_meta(), queued))


def linking(links):
    """Whether the backup can have hard links, or is on another disk."""
    refusal = OSError(errno.EXDEV, "another disk")
    return nullcontext() if links == "links" else mock.patch("os.link", side_effect=refusal)


def record(base, tree, links):
    """The backup of what `tree` is."""
    lay_out(tree, base)

    def run(mark):
        with LocalStore(f"{base}/{ROOT_NAME}", clock=ManualClock()) as store, linking(links):
            mark()
            store.backup(f"{base}/{BACKUP}")
            mark()

    return record_single(replace(SETTING, first_name=1 << 32), base, run)


class Judge:
    """Opens stores, and backups of them, on what crashes left."""

    def __init__(self, base, tree, links):
        self._base = base
        self._links = links
        with LATER.installed():
            lay_out(tree, f"{base}/before")
            self._old = contents(f"{base}/before/{BACKUP}")[0] if BACKUP in tree else {}
            self._now = contents(f"{base}/before/{ROOT_NAME}")
        self._trash = ["b", "c"] if self._old else []

    def wrong(self, state):
        """What is wrong with what a crash left."""
        where = f"{self._base}/state"
        lay_out(state.tree, where)
        boot = NEXT_BOOT if state.cut else boot_id()
        with mock.patch("localstore.liveness.boot_id", return_value=boot):
            for each in self.told(f"{where}/{ROOT_NAME}", f"{where}/{BACKUP}", acknowledged=state.acknowledged):
                yield f"{state.where}: {each}"
        shutil.rmtree(where)

    def told(self, root, backup, *, acknowledged):
        """What is wrong with a store and its backup, of which the last one was `acknowledged` or not."""
        with LATER.installed():
            try:
                return list(self._opened(root, backup, acknowledged))
            except StoreError as error:
                return [f"{type(error).__name__}: {error}"]

    def _opened(self, root, backup, acknowledged):
        yield from _found(root, "the store")
        if os.path.lexists(f"{backup}/store.json"):
            yield from _found(backup, "the backup")
            there, _ = contents(backup)
            for session_id in {*there, *self._old, *self._now[0]}:
                allowed = [self._now[0].get(session_id)]
                if not acknowledged:
                    # One that was made anew is in the backup's trash before that is in its place.
                    allowed += [self._old.get(session_id), *([None] if session_id == "b" else [])]
                if there.get(session_id) not in allowed:
                    yield f"{session_id} in the backup is as in none: {there.get(session_id)}"
        elif acknowledged:
            yield "there is no backup"
        with LocalStore(root, clock=ManualClock()) as store, linking(self._links):
            store.backup(backup)
        yield from _found(backup, "the backup made again", warnings=True)
        if contents(backup) != self._now:
            yield f"the backup made again has {contents(backup)}"
        with LocalStore(backup, clock=ManualClock()) as copy:
            trash = sorted(entry.session_id for entry in copy.trash())
        if trash != self._trash:
            yield f"the trash of the backup has {trash}"
        left = [path for path in read_tree(backup) if path.endswith((".tmp", ".aside", ".journal"))]
        if left:
            yield f"{left} stay behind"


def _found(root, which, *, warnings=False):
    """The errors that a check finds, or these and warnings."""
    told = {Severity.ERROR, Severity.WARNING} if warnings else {Severity.ERROR}
    findings = [each for each in check_store(root).findings if each.severity in told]
    return [f"{which} has {findings}"] if findings else []


def visited(base, again, links, rng, **how):
    """What is wrong after crashes of a backup, state by state."""
    tree = prepare(f"{base}/prepared", again=again)
    single = record(f"{base}/run", tree, links)
    judge = Judge(base, tree, links)
    return (list(judge.wrong(state)) for state in states(single, rng, **how))


def judged(capsys, found, *more):
    """Assert that nothing is wrong, and print how much was looked at."""
    wrong = list(found)
    with capsys.disabled():
        print(f"\n  {len(wrong)} states", *more, end="")
    assert [each for state in wrong for each in state] == []


@pytest.mark.parametrize("links", ["links", "copies"])
@pytest.mark.parametrize("again", [False, True], ids=["the first", "a later one"])
def test_a_crash_leaves_what_the_next_one_finishes(base, again, links, capsys):
    judged(capsys, visited(base, again, links, random.Random(SEED), most=2, share=0.1))


def refusals(base, again, links, rng, share):
    """What is wrong after a backup of which one system call is refused, and how many were tried."""
    tree = prepare(f"{base}/prepared", again=again)
    judge = Judge(base, tree, links)
    calls: list[Call] = []
    assert attempt(f"{base}/count", tree, links, calls.append) == []
    found, tried = [], 0
    for fault in FAULTS:
        for at in range(1, sum(fault.hits(call) for call in calls) + 1):
            if rng.random() < share:
                tried += 1
                injector = Injector(fault, at)
                wrong = attempt(f"{base}/try", tree, links, injector, judge)
                found += [f"{fault.name} at {at} ({injector.fired[:3]}): {each}" for each in wrong]
    return found, f"{tried} faults of {len(calls)} calls"


def attempt(base, tree, links, before, judge=None):
    """A backup on a disk that refuses what `before` refuses; what is wrong then, and once it refuses nothing."""
    lay_out(tree, base)
    kernel = Kernel(base, Disk(tree))
    failed: BaseException | None = None
    with (
        replace(LATER, first_name=1 << 32).installed(),
        kernel.installed(),
        LocalStore(f"{base}/{ROOT_NAME}", clock=ManualClock()) as store,
        linking(links),
    ):
        kernel.before = before
        try:
            store.backup(f"{base}/{BACKUP}")
        except Exception as error:  # noqa: BLE001 - which it is, is what is judged
            failed = error
        kernel.before = lambda call: None
    is_told = failed is None or isinstance(failed, BackendError)
    wrong = [] if is_told else [f"{type(failed).__name__}: {failed}"]
    if kernel.open_count:
        wrong.append(f"{kernel.open_count} descriptors stay open")
    kernel.bury()
    if judge is not None:
        wrong += judge.told(f"{base}/{ROOT_NAME}", f"{base}/{BACKUP}", acknowledged=failed is None)
    shutil.rmtree(base)
    return wrong


@pytest.mark.parametrize("links", ["links", "copies"])
@pytest.mark.parametrize("again", [False, True], ids=["the first", "a later one"])
def test_a_disk_that_refuses_is_told_and_leaves_what_the_next_one_finishes(base, again, links, capsys):
    found, told = refusals(base, again, links, random.Random(SEED), 0.006)
    with capsys.disabled():
        print(f"\n  {told}", end="")
    assert not found


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("links", ["links", "copies"])
@pytest.mark.parametrize("again", [False, True], ids=["the first", "a later one"])
def test_every_refusal(base, again, links, capsys):
    found, told = refusals(base, again, links, random.Random(SEED), 0.4)
    with capsys.disabled():
        print(f"\n  {told}", end="")
    assert not found


def test_folders_that_are_not_flushed_are_found_out(base):
    unflushed = partial(snapshots.take_parts, flush=False)
    with mock.patch.object(snapshots, "take_parts", unflushed):
        found = visited(base, True, "links", random.Random(SEED), most=3)
        assert any("it is missing" in each for wrong in found for each in wrong)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("links", ["links", "copies"])
@pytest.mark.parametrize("again", [False, True], ids=["the first", "a later one"])
def test_crashes_at_length(base, again, links, capsys):
    seed = random.randrange(1 << 32)
    judged(capsys, visited(base, again, links, random.Random(seed), most=10, every=200), f"seed {seed}")
