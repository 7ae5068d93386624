"""A redaction under power cuts: each session is as before or redacted, and what was redacted never comes back."""

import random
import shutil
from collections import Counter
from dataclasses import replace
from unittest import mock

import pytest

from localstore import Durability, LocalStore
from localstore.disk import redacting
from localstore.disk.check import check_store
from localstore.liveness import boot_id
from localstore.testing import SESSION, ManualClock, next_input, node
from tests.crash.crash_recovery import NEXT_BOOT
from tests.crash.crash_settings import ROOT_NAME, Setting, lay_out, read_tree, scratch
from tests.crash.crash_single import record_single, states
from tests.history.living import Living
from tests.redaction.secretive import everything, fill, spellings, summary

SECRET = "sk-live-4711"
WAYS = tuple(spellings(SECRET))
SEED = 20_260_104
SETTING = Setting(Durability.FULL, fold_bytes=1 << 20)
LATER = replace(SETTING, stale_s=-1, first_name=1 << 40)


@pytest.fixture
def base():
    with scratch() as folder:
        yield folder


def prepare(root, *, trashed):
    """A store whose session has a secret in every place: in files and the journal, superseded and set aside."""
    clock = ManualClock()
    with SETTING.installed():
        living = Living(LocalStore(root, clock=clock), clock)
        fill(living, SECRET)
        living.session.checkpoint()
        living.append(node("d", "c", payload={"text": SECRET + "x" * 20_000}))
        living.session.enqueue_pending_turn_input(next_input(f"late {SECRET}"))
        tree = read_tree(root)
        living.store.close()
        if trashed:
            with LocalStore(root, clock=clock) as store:
                store.delete_session(SESSION)
            tree = read_tree(root)
    shutil.rmtree(root)
    (folder,) = [path for path, content in tree.items() if content is None and path.count("/") == 1 and SESSION in path]
    for where in (folder, "."):
        lost = f"{where}/quarantine".removeprefix("./")
        tree |= {lost: None, f"{lost}/0000000000000001.journal.{1:016x}.bad": f"cut off: {SECRET}".encode()}
    tree[f"{folder}/head.json.{1 << 48:016x}.tmp"] = SECRET.encode()
    return {f"{ROOT_NAME}": None, **{f"{ROOT_NAME}/{path}": content for path, content in tree.items()}}


def shown(store):
    """All that the session says of itself, deleted or not."""
    if store.open_session(SESSION) is None:
        store.restore_session(SESSION)
    session = store.open_session(SESSION)
    assert session is not None
    return f"{everything(session)} {summary(store)}"


def holding(tree):
    return [path for path, content in tree.items() if content is not None and any(way in content for way in WAYS)]


def record(base, tree):
    """The redaction of what `tree` is."""
    lay_out(tree, base)

    def run(mark):
        with LocalStore(f"{base}/{ROOT_NAME}", clock=ManualClock()) as store:
            mark()
            assert store.redact(SECRET, apply=True).is_complete
            mark()

    return record_single(replace(SETTING, first_name=1 << 32), base, run)


class Judge:
    """Opens stores on what crashes left of a redaction."""

    def __init__(self, base, tree, trashed):
        self._base = base
        self._trashed = trashed
        self._before, self._after = (self._said(each) for each in (tree, read_tree(f"{base}/run")))
        assert SECRET in self._before
        assert SECRET not in self._after
        self.outcomes: Counter[str] = Counter()

    def _said(self, tree):
        where = f"{self._base}/said"
        lay_out(tree, where)
        with LATER.installed(), LocalStore(f"{where}/{ROOT_NAME}", clock=ManualClock()) as store:
            said = shown(store)
        shutil.rmtree(where)
        return said

    def wrong(self, state):
        """What is wrong with what a crash left."""
        where = f"{self._base}/state"
        left = holding(state.tree) if state.acknowledged else []
        if left:
            yield f"{state.where}: {left} have it again"
        lay_out(state.tree, where)
        boot = NEXT_BOOT if state.cut else boot_id()
        with LATER.installed(), mock.patch("localstore.liveness.boot_id", return_value=boot):
            yield from self._opened(f"{where}/{ROOT_NAME}", state.where)
        shutil.rmtree(where)

    def _opened(self, root, where):
        if check_store(root).errors:
            yield f"{where}: {check_store(root).errors}"
            return
        with LocalStore(root, clock=ManualClock()) as store:
            if not self._trashed:
                said = shown(store)
                self.outcomes["after" if said == self._after else "before"] += 1
                if said not in {self._before, self._after}:
                    yield f"{where}: neither as before nor as after: {said}"
            if not store.redact(SECRET, apply=True).is_complete:
                yield f"{where}: the next redaction is not complete"
            if holding(read_tree(root)):
                yield f"{where}: the next redaction leaves {holding(read_tree(root))}"
            if shown(store) != self._after:
                yield f"{where}: redacted again, it is not as after"
        if check_store(root).errors:
            yield f"{where}: redacted again: {check_store(root).errors}"


def visited(base, trashed, rng, **how):
    """What is wrong after crashes of a redaction, the states, and how the session was found in them."""
    tree = prepare(f"{base}/prepared", trashed=trashed)
    single = record(f"{base}/run", tree)
    judge = Judge(base, tree, trashed)
    found = [(state, list(judge.wrong(state))) for state in states(single, rng, **how)]
    told = f"{len(found)} states of {len(single.log)} effects, {dict(judge.outcomes)}"
    return [each for _, wrong in found for each in wrong], told


@pytest.mark.parametrize("trashed", [False, True], ids=["a session", "in the trash"])
def test_a_crash_leaves_it_whole_or_not_begun(base, trashed, capsys):
    found, told = visited(base, trashed, random.Random(SEED), most=3, share=0.4)
    with capsys.disabled():
        print(f"\n  {told}", end="")
    assert not found


def test_metadata_that_a_power_cut_left_behind_is_redacted(base):
    """The head of afterwards may be durable, and the new `meta.json` not."""
    tree = prepare(f"{base}/prepared", trashed=False)
    record(f"{base}/run", tree)
    (path,) = [path for path in tree if path.endswith("/meta.json")]
    with open(f"{base}/run/{path}", "wb") as file:
        file.write(tree[path])
    with LATER.installed(), LocalStore(f"{base}/run/{ROOT_NAME}", clock=ManualClock()) as store:
        for apply in (False, True):
            (told,) = store.redact(SECRET, apply=apply).sessions
            assert [place.id for place in told.places] == ["meta.json"]
        assert store.redact(SECRET).sessions == ()
    assert not holding(read_tree(f"{base}/run"))


def test_what_is_removed_and_not_flushed_is_found_out(base):
    with mock.patch.object(redacting, "_HOLDERS", ()):
        found, _ = visited(base, False, random.Random(SEED), most=3, share=0)
    assert any("have it again" in each for each in found)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("trashed", [False, True], ids=["a session", "in the trash"])
def test_crashes_at_length(base, trashed, capsys):
    seed = random.randrange(1 << 32)
    found, told = visited(base, trashed, random.Random(seed), most=100, every=2_000)
    with capsys.disabled():
        print(f"\n  {told}, seed {seed}", end="")
    assert not found
