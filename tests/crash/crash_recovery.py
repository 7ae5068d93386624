"""Opens a store on what a crash left, looks at everything in it, and goes on working with it."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from unittest import mock

from localstore import Durability, LocalStore, ProcessWake, StoreError
from localstore.disk import names
from localstore.disk.check import check_store
from localstore.disk.checking.findings import Severity
from localstore.disk.loading import is_deleted
from localstore.testing import START_MS, ManualClock, append_commit, next_input, node, owner, stamped, wake
from tests.crash.crash_copies import Copies, look
from tests.crash.crash_disk import Tree
from tests.crash.crash_oracle import Seen, has, is_there, see
from tests.crash.crash_settings import ROOT_NAME, Setting, lay_out
from tests.crash.crash_workload import ATTACHMENTS, HOUR_MS, SESSIONS, A

NEXT_BOOT = "the boot after the power cut"
LAST_BOOT = "the boot after the second power cut"
LATER_MS = START_MS + 100 * 24 * HOUR_MS
"""When a store works on after a crash: every lease and claim has expired."""
LAST_MS = LATER_MS + 100 * 24 * HOUR_MS
"""When a store is opened on what a crash left."""


@dataclass
class Recovery:
    """What a store shows when it is opened on what a crash left, and how it goes on from there."""

    sessions: dict[str, Seen] = field(default_factory=dict)
    attachments: dict[str, bool] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    copies: Copies = field(default_factory=Copies)
    trouble: str = ""


@dataclass
class _Known:
    """What one session showed, with what was deleted under its name, and the tokens that it gave out."""

    seen: Seen
    tokens: dict[str, int]


class Judge:
    """Opens stores on what crashes left, each distinct state once.

    A session that was opened in the same state before is mostly left out, since sessions have nothing in common.

    Attributes:
        visits: how many states were looked at, by the kind of crash.
    """

    def __init__(self, setting: Setting, base: str) -> None:
        self._setting = replace(setting, stale_s=-1, first_name=1 << 40)
        self._base = base
        self._found: dict[tuple[bytes, str], Recovery] = {}
        self._known: dict[tuple[bytes, str, str], _Known] = {}
        self._copies: dict[tuple[bytes, str], Copies] = {}
        self.visits: Counter[str] = Counter()

    @property
    def distinct(self) -> int:
        """How many states were opened."""
        return len(self._found)

    def recover(self, tree: Tree, *, boot: str = "", kind: str = "process death") -> Recovery:
        """What the store shows and does on `tree`, in this boot or in another one."""
        self.visits[kind] += 1
        key = _digest(tree), boot
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._recover(tree, boot, lot=key[0][0])
        return found

    def _recover(self, tree: Tree, boot: str, lot: int) -> Recovery:
        parts = {session_id: _part(tree, session_id) for session_id in SESSIONS}
        keys = {session_id: (_digest(part), boot, session_id) for session_id, part in parts.items()}
        left_out = {each: self._known[keys[each]] for each in SESSIONS if keys[each] in self._known and lot % 8}
        beside = {path: content for path, content in tree.items() if not f"{path}/".startswith(f"{ROOT_NAME}/")}
        copies_key = _digest(beside), boot
        known = self._copies.get(copies_key) if lot % 8 else None
        gone = {path for session_id in left_out for path in parts[session_id]} | set(beside if known else ())
        where = f"{self._base}/{len(self._found)}"
        lay_out({path: content for path, content in tree.items() if path not in gone}, where)
        found = self.open(f"{where}/{ROOT_NAME}", boot, lot)
        shutil.rmtree(where)
        if found.trouble:
            return found
        found.copies = self._copies[copies_key] = known or found.copies
        for session_id in SESSIONS:
            if session_id in left_out:
                found.sessions[session_id] = left_out[session_id].seen
                found.tokens |= left_out[session_id].tokens
            else:
                tokens = {key: token for key, token in found.tokens.items() if key.endswith(f" of {session_id}")}
                self._known[keys[session_id]] = _Known(found.sessions[session_id], tokens)
        return found

    def open(self, root: str, boot: str, lot: int = 0) -> Recovery:
        """What the store at `root` shows and does."""
        recovery = Recovery()
        with ExitStack() as stack:
            run_due = stack.enter_context(self._setting.installed())
            if boot:
                stack.enter_context(mock.patch("localstore.liveness.boot_id", return_value=boot))
            try:
                _go_on(root, self._setting.durability, recovery, run_due, thorough=lot % 8 == 0)
                recovery.copies = look(root)
            except (StoreError, OSError, AssertionError) as error:
                recovery.trouble = f"{type(error).__name__}: {error}"
        return recovery


def _part(tree: Tree, session_id: str) -> Tree:
    """What there is of a session, deleted ones of its name included."""
    name = names.session_dirname(session_id)
    folder, trash = f"{ROOT_NAME}/sessions/{name}", f"{ROOT_NAME}/trash/{name}."
    return {
        path: content
        for path, content in tree.items()
        if path == folder or path.startswith((f"{folder}/", f"{folder}.", trash))
    }


def _go_on(
    root: str, durability: Durability, recovery: Recovery, run_due: Callable[[], None], *, thorough: bool
) -> None:
    clock = ManualClock(LAST_MS)
    if os.path.lexists(f"{root}/store.json"):
        _check(root, "after the crash")
    with LocalStore(root, durability=durability, clock=clock) as store:
        for session_id in SESSIONS:
            recovery.sessions[session_id] = see(store, clock, session_id)
        for attachment in ATTACHMENTS:
            recovery.attachments[attachment] = has(store, attachment)
        there = sorted(session_id for session_id, seen in recovery.sessions.items() if is_there(seen))
        listed = sorted(line.session_id for line in store.list_sessions())
        assert listed == there, f"the list has {listed}, and there are {there}"
        at_work = there or [A]
        for session_id in at_work:
            _work(store, session_id, recovery.tokens)
        run_due()
        if thorough or any(name.endswith((".tmp", ".aside")) for name in _files(f"{root}/attachments")):
            store.sweep_attachments(clock.now_ms())
    if thorough:
        _check(root, "after going on")
    for path in _files(root):
        if path.endswith((".tmp", ".aside", ".journal")):
            assert _is_deleted(path), f"{path} is left behind by a clean close"
    _check_work(root, durability, at_work)


def _is_deleted(path: str) -> bool:
    """Whether a file is one of a deleted session: those stay what they were."""
    folder = os.path.dirname(path)
    return "/trash/" in path or (os.path.lexists(f"{folder}/{names.HEAD}") and is_deleted(folder))


def _files(folder: str) -> Iterator[str]:
    for where, _, found in os.walk(folder):
        for name in found:
            yield f"{where}/{name}"


def _work(store: LocalStore, session_id: str, tokens: dict[str, int]) -> None:
    """A turn on a session: input, lease, claim, commit, release, and work for the next one."""
    handle = store.create_session(session_id)
    handle.enqueue_pending_turn_input(next_input("after", session_id=session_id, source_key="after the crash"))
    lease = handle.try_claim_session_execution_lease(session_id, owner("after"), HOUR_MS).acquired()
    assert lease is not None, "an expired lease is not free"
    tokens[f"lease of {session_id}"] = lease.fencing_token
    claim = handle.claim_next_turn_inputs(session_id, lease.fence(), owner("after"), HOUR_MS, 100)
    assert claim is not None
    tokens[f"claim of {session_id}"] = claim.fencing_token
    commit = append_commit(node("after", "a1"), session_id=session_id).completing_turn_input_claim(claim.completion())
    commit = stamped(commit, "after").with_session_execution_lease(lease.fence())
    result = handle.commit_runtime_state(commit.releasing_session_execution_lease(lease.completion()))
    handle.enqueue_queued_work(wake("after", session_id=session_id))
    head = handle.load_session_head()
    assert head is not None
    assert head.head_revision == result.head_revision


def _check_work(root: str, durability: Durability, at_work: Sequence[str]) -> None:
    with LocalStore(root, durability=durability, clock=ManualClock(LAST_MS)) as store:
        for session_id in at_work:
            handle = store.open_session(session_id)
            assert handle is not None
            assert handle.load_node("after") is not None, f"what was committed to {session_id} after the crash is gone"
            queued = [item.payload for batch in handle.list_queued_work(session_id) for item in batch.items]
            assert ProcessWake({"label": "after"}) in queued, f"work queued in {session_id} after the crash is gone"


def _check(root: str, when: str) -> None:
    findings = [item for item in check_store(root).findings if item.severity is Severity.ERROR]
    assert not findings, f"{when} the check finds {findings}"


def _digest(tree: Tree) -> bytes:
    digest = blake2b(digest_size=16)
    for path, content in sorted(tree.items()):
        digest.update(path.encode() + b"\0")
        if content is not None:
            digest.update(b"%d " % len(content) + content)
    return digest.digest()
