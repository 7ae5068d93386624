"""Runs the script on files once, then visits what a crash at each system call would have left."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any
from unittest import mock

from localstore import Durability, LocalStore, SessionStore, StoreError
from localstore.disk import fold, housekeeping, journal, keeper, leftovers, names
from localstore.testing import START_MS, ManualClock, append_commit, next_input, node, owner, stamped, wake
from tests.crash.crash_disk import Disk, Tree
from tests.crash.crash_kernel import Entry, Kernel
from tests.crash.crash_oracle import History, Seen, difference, has, see
from tests.crash.crash_workload import A, ATTACHMENTS, HOUR_MS, SESSIONS, Ids, Step, World

ROOT_NAME = "store"
NEXT_BOOT = "the boot after the power cut"


@dataclass(frozen=True, slots=True)
class Setting:
    """How a store is run.

    Attributes:
        fold_bytes: the size of a journal that is folded.
        ahead: how many zeros are written ahead in a journal.
        grace_s: how long superseded node files stay.
    """

    durability: Durability
    fold_bytes: int = 1 << 20
    ahead: int = 4096
    grace_s: float = 60.0

    @contextmanager
    def installed(self, first_name: int = 0) -> Iterator[None]:
        """Views follow in the call itself, so that one thread makes all system calls; names are the same in each run."""
        count = iter(range(first_name, 1 << 60))
        with ExitStack() as stack:
            for module, name, value in (
                (keeper, "FOLD_BYTES", self.fold_bytes),
                (journal, "CHUNK", self.ahead),
                (fold, "GRACE_S", self.grace_s),
                (housekeeping, "VIEW_DELAY_S", 0),
                (names, "_unique", lambda: f"{next(count):016x}"),
            ):
                stack.enter_context(mock.patch.object(module, name, value))
            yield


@contextmanager
def scratch() -> Iterator[str]:
    """A folder for one run, in memory where there is such a place: the model knows what is durable."""
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = os.path.realpath(tempfile.mkdtemp(prefix="localstore-crash-", dir=where))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def lay_out(tree: Tree, base: str) -> None:
    """Make the files and folders of a tree."""
    os.makedirs(base)
    for path, content in sorted(tree.items()):
        where = f"{base}/{path}"
        if content is None:
            os.mkdir(where, 0o700)
            continue
        text = content.rstrip(b"\0")
        fd = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, text)
        if len(text) < len(content):
            os.ftruncate(fd, len(content))
        os.close(fd)


def read_tree(base: str) -> Tree:
    """What is under a folder."""
    tree: Tree = {}
    for folder, folders, files in os.walk(base):
        for name in folders:
            tree[os.path.relpath(os.path.join(folder, name), base)] = None
        for name in files:
            path = os.path.join(folder, name)
            tree[os.path.relpath(path, base)] = Path(path).read_bytes()
    return tree


@dataclass
class Recording:
    """The system calls of a run: the effects, and at which of them each step began and ended."""

    setting: Setting
    start: Tree
    log: list[Entry]
    began: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)

    def at(self, point: int) -> tuple[int, int]:
        """The last call acknowledged once `point` effects had happened, and the last one begun."""
        acknowledged = sum(1 for end in self.ended if end <= point)
        begun = acknowledged
        if acknowledged < len(self.began) and self.began[acknowledged] < point:
            begun += 1
        return acknowledged, begun


def record(steps: tuple[Step, ...], setting: Setting, history: History, base: str) -> Recording:
    """Run the script on files under `base`."""
    kernel = Kernel(base)
    clock = ManualClock()
    recording = Recording(setting, {}, kernel.log)
    ids = Ids()
    with setting.installed(), kernel.installed(), ids.installed():
        world = World(clock, lambda: LocalStore(f"{base}/{ROOT_NAME}", durability=setting.durability, clock=clock), True)
        for number, step in enumerate(steps, 1):
            ids.start(number)
            clock.advance(1_000)
            recording.began.append(len(kernel.log))
            step.run(world)
            recording.ended.append(len(kernel.log))
            for session_id in SESSIONS:
                found = see(world.store, clock, session_id)
                assert found == history.after[number].sessions[session_id], (
                    f"after {step.name}: {difference(found, history.after[number].sessions[session_id])}"
                )
        world.close()
    assert world.tokens == history.after[-1].tokens
    assert kernel.open_count == 0, "descriptors stay open after the stores were closed"
    assert kernel.disk.now() == read_tree(base), "a call that changes files went past the recorder"
    return recording


@dataclass
class Recovery:
    """What a store shows when it is opened on what a crash left, and how it goes on from there."""

    sessions: dict[str, Seen] = field(default_factory=dict)
    attachments: dict[str, bool] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    trouble: str = ""


class Judge:
    """Opens stores on what crashes left, each distinct state once."""

    def __init__(self, setting: Setting, base: str) -> None:
        self._setting = setting
        self._base = base
        self._known: dict[tuple[bytes, bool], Recovery] = {}
        self._count = 0
        self.visits: Counter[str] = Counter()

    @property
    def distinct(self) -> int:
        """How many states were opened."""
        return len(self._known)

    def recover(self, tree: Tree, *, power_cut: bool) -> Recovery:
        """What the store shows and does on `tree`."""
        self.visits["power cut" if power_cut else "process death"] += 1
        key = _digest(tree), power_cut
        found = self._known.get(key)
        if found is None:
            self._count += 1
            where = f"{self._base}/{self._count}"
            lay_out(tree, where)
            found = self._known[key] = self._open(f"{where}/{ROOT_NAME}", power_cut)
            shutil.rmtree(where)
        return found

    def _open(self, root: str, power_cut: bool) -> Recovery:
        recovery = Recovery()
        with ExitStack() as stack:
            stack.enter_context(self._setting.installed(1 << 40))
            stack.enter_context(mock.patch.object(leftovers, "STALE_S", -1))
            if power_cut:
                stack.enter_context(mock.patch("localstore.liveness.boot_id", lambda: NEXT_BOOT))
            try:
                _go_on(root, self._setting.durability, recovery)
            except (StoreError, OSError, AssertionError) as error:
                recovery.trouble = f"{type(error).__name__}: {error}"
        return recovery


def _go_on(root: str, durability: Durability, recovery: Recovery) -> None:
    clock = ManualClock(START_MS + 100 * 24 * HOUR_MS)
    if os.path.lexists(root):
        _check(root, durability, "after the crash")
    with LocalStore(root, durability=durability, clock=clock) as store:
        for session_id in SESSIONS:
            recovery.sessions[session_id] = see(store, clock, session_id)
        for attachment in ATTACHMENTS:
            recovery.attachments[attachment] = has(store, attachment)
        there = {session_id for session_id, seen in recovery.sessions.items() if seen is not None}
        assert {line.session_id for line in store.list_sessions()} == there, "the list is not of the sessions"
        for session_id in sorted({A, *there}):
            _work(store, session_id, recovery.tokens)
    _check(root, durability, "after going on")
    for path in read_tree(root):
        assert not path.endswith((".tmp", ".journal")), f"{path} is left behind by a clean close"
    with LocalStore(root, durability=durability, clock=clock) as store:
        for session_id in sorted({A, *there}):
            handle = store.open_session(session_id)
            assert handle is not None
            assert handle.load_node("later") is not None, f"what was committed to {session_id} after the crash is gone"


def _check(root: str, durability: Durability, when: str) -> None:
    return


def _work(store: LocalStore, session_id: str, tokens: dict[str, int]) -> None:
    """A turn on a session: input, lease, claim, commit, release, and work for the next one."""
    handle = store.create_session(session_id)
    handle.enqueue_pending_turn_input(next_input("after the crash", session_id=session_id, source_key="after the crash"))
    lease = handle.try_claim_session_execution_lease(session_id, owner("later"), HOUR_MS).acquired()
    assert lease is not None, "an expired lease is not free"
    tokens[f"lease of {session_id}"] = lease.fencing_token
    claim = handle.claim_next_turn_inputs(session_id, lease.fence(), owner("later"), HOUR_MS, 100)
    assert claim is not None
    tokens[f"claim of {session_id}"] = claim.fencing_token
    commit = append_commit(node("later", "a1"), session_id=session_id).completing_turn_input_claim(claim.completion())
    commit = stamped(commit, "later").with_session_execution_lease(lease.fence())
    result = handle.commit_runtime_state(commit.releasing_session_execution_lease(lease.completion()))
    handle.enqueue_queued_work(wake("later", session_id=session_id))
    head = handle.load_session_head()
    assert head is not None
    assert head.head_revision == result.head_revision


def _digest(tree: Tree) -> bytes:
    digest = blake2b(digest_size=16)
    for path, content in sorted(tree.items()):
        digest.update(path.encode() + b"\0")
        if content is not None:
            digest.update(b"%d " % len(content) + content)
    return digest.digest()


def visit(
    recording: Recording, history: History, judge: Judge, rng: random.Random, *, most: int, exhaustive: int = 6
) -> list[str]:
    """Visit every point between two system calls; what was wrong there.

    Args:
        most: how many states to visit at each point where the power is cut.
        exhaustive: up to how many unflushed effects all combinations are visited, if they are at most `most`.
    """
    wrong: list[str] = []
    disk = Disk(recording.start)
    for point in range(len(recording.log) + 1):
        acknowledged, begun = recording.at(point)
        where = f"after call {point} of {len(recording.log)}, in {_name(history, begun)}"
        now = disk.now()
        wrong += _wrong(judge.recover(now, power_cut=False), history, acknowledged, begun, None, f"death {where}")
        for tree in disk.cuts(rng, most, exhaustive):
            found = judge.recover(tree, power_cut=True)
            wrong += _wrong(found, history, acknowledged, begun, recording.setting.durability, f"cut {where}")
        if point == len(recording.log):
            break
        method, *arguments = recording.log[point]
        if method == "write":
            for part in _torn(disk, arguments, rng):
                begun_by_it = max(begun, recording.at(point + 1)[1])
                found = judge.recover(part, power_cut=False)
                wrong += _wrong(found, history, acknowledged, begun_by_it, None, f"death in the write {where}")
        getattr(disk, method)(*arguments)
    return wrong


def _torn(disk: Disk, write: list[Any], rng: random.Random) -> Iterator[Tree]:
    """A write that a death cut short."""
    inode, offset, content = write
    size = len(content.rstrip(b"\0"))
    for cut in {1, size - 1, rng.randrange(max(size, 1))} - {0, -1}:
        twin = disk.copy()
        twin.write(inode, offset, content[:cut])
        yield twin.now()


def _name(history: History, number: int) -> str:
    return f"step {number} ({history.steps[number - 1].name})" if number else "opening"


def _wrong(
    found: Recovery, history: History, acknowledged: int, begun: int, durability: Durability | None, where: str
) -> Iterator[str]:
    if found.trouble:
        yield f"{where}: {found.trouble}"
        return
    for name in (*SESSIONS, *ATTACHMENTS):
        first = history.kept(name, acknowledged, durability)
        allowed = history.allowed(name, first, begun)
        seen: Any = found.sessions[name] if name in SESSIONS else found.attachments[name]
        if seen not in allowed:
            yield f"{where}: {name} is of none of the calls {first} to {begun}: {_like(history, name, seen, allowed)}"
    for key, token in history.after[acknowledged].tokens.items():
        session_id = key.split(" of ", 1)[1]
        if found.sessions[session_id] is not None and found.tokens[key] <= token:
            yield f"{where}: the {key} got token {found.tokens[key]} after {token} was given out"


def _like(history: History, name: str, seen: Any, allowed: list[Any]) -> str:
    if isinstance(seen, bool):
        return f"{'there' if seen else 'missing'}"
    for number, snapshot in enumerate(history.after):
        if snapshot.sessions[name] == seen:
            return f"it is as after call {number}"
    return difference(seen, allowed[-1])
