"""Damage of all sorts to a larger session, sampled: bursts, cuts, junk behind, files gone or put in place of others.

After each: no answer is wrong, nodes in other files are there, and the check tells; after a repair the session opens,
its check has no errors, and every node is there that was intact.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from localstore import Durability, FullGraph, LocalStore, SessionNodeRecord, SessionStore, StoreError
from localstore.disk import names
from localstore.disk.check import check_store
from localstore.disk.repair import repair_store
from localstore.testing import SESSION, ManualClock, append_commit, next_input, node, owner, stamped, wake
from tests.corruption.corruption_sample import HOUR, copied, views_at_once

FOLDS = 5
TURNS = 8
MUTANTS = 60
MANY = 3000


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A session with some hundred nodes, blobs and merged node files, as a process left it that was killed."""
    folder = tmp_path_factory.mktemp("large")
    with views_at_once(), _open(folder / "source") as store:
        session = store.create_session(SESSION)
        lease = session.try_claim_session_execution_lease(SESSION, owner(), HOUR).acquired()
        assert lease is not None
        rng = random.Random(1)
        previous = None
        for fold in range(FOLDS + 1):
            for turn in range(TURNS):
                ids = [f"n{fold}-{turn}-{number}" for number in range(4)]
                parents = [previous, *ids]
                nodes = [_node(rng, ids[number], parents[number]) for number in range(4)]
                commit = append_commit(*nodes, session_execution_lease=lease.fence())
                session.commit_runtime_state(stamped(commit, f"turn-{fold}-{turn}"))
                previous = ids[-1]
            session.enqueue_pending_turn_input(next_input(f"input {fold}"))
            session.enqueue_queued_work(wake(f"work {fold}"))
            if fold < FOLDS:
                session.checkpoint()
        copied(store.root, folder / "store")
    shutil.rmtree(folder / "source")
    return folder / "store"


def _open(root: Path) -> LocalStore:
    return LocalStore(root, durability=Durability.FULL, clock=ManualClock())


def _node(rng: random.Random, node_id: str, parent: str | None) -> SessionNodeRecord:
    text = rng.choice(["short", "a longer text " * 40, "and a long one " * 1500])
    return node(node_id, parent, payload={"kind": "event", "role": "user", "content": text, "n": rng.random()})


@pytest.mark.damaged
@pytest.mark.parametrize("what", ["missing", "empty", "zeros"])
def test_a_live_journal_that_is_gone_as_a_whole_takes_nothing_with_it(large, tmp_path, what):
    root = tmp_path / "store"
    shutil.copytree(large, root)
    folder = next((root / "sessions").iterdir())
    journal = folder / max(name for name in os.listdir(folder) if names.parse_journal(name) is not None)
    size = journal.stat().st_size
    journal.unlink()
    if what != "missing":
        journal.write_bytes(bytes(size) if what == "zeros" else b"")
    with _open(root) as store:
        session = store.open_session(SESSION)
        assert session is not None
        read = session.load_session(FullGraph())
        assert read is not None
        folds = {each.node_id.partition("-")[0] for each in read.graph.nodes}
    assert folds == {f"n{fold}" for fold in range(FOLDS)}
    assert len(read.graph.nodes) == FOLDS * TURNS * 4


def test_sampled_damage(large, tmp_path, capsys):
    _campaign(large, tmp_path, random.SystemRandom().randrange(2**32), MUTANTS, capsys)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_much_sampled_damage(large, tmp_path, capsys):
    _campaign(large, tmp_path, random.SystemRandom().randrange(2**32), MANY, capsys)


def _campaign(large: Path, tmp_path: Path, seed: int, count: int, capsys: pytest.CaptureFixture) -> None:
    with capsys.disabled():
        print(f"\nseed {seed}, {count} mutants")
    rng = random.Random(seed)
    truth = _Truth(large)
    for number in range(count):
        root = tmp_path / "mutant"
        copied(large, root)
        damage = _damage(rng, root)
        told = f"seed {seed}, mutant {number}: {damage.what} in {damage.path.relative_to(root)}"
        truth.judge(root, damage, told)
        shutil.rmtree(root)


@dataclass
class Damage:
    """The damaged file, what it held before, and what was done to it.

    A folded journal is only kept for copies under way: nobody reads it here. A live one that lost its end to a cut, or
    all it had, looks like one whose last calls never came.
    """

    path: Path
    before: bytes
    what: str
    is_folded: bool
    is_live: bool

    @property
    def loses_end(self) -> bool:
        return self.is_live and self.what.startswith(("cut", "removed", "another file"))

    @property
    def is_silent(self) -> bool:
        """Whether nothing may be told of it: it is of a folded journal, or it ends a live one with a record."""
        left = self.path.read_bytes().rstrip(b"\0") if self.path.is_file() else b""
        whole = self.before.rstrip(b"\0")
        at_an_end = not left or b"\n" in (left[-1:], whole[len(left) : len(left) + 1])
        return self.is_folded or (self.is_live and whole.startswith(left) and at_an_end)


class _Truth:
    """What the undamaged session says, and which node is in which file."""

    def __init__(self, root: Path) -> None:
        copy = root.with_name("truth")
        copied(root, copy)
        with _open(copy) as store:
            session = _session(store)
            read = session.load_session(FullGraph())
            assert read is not None
            self.read = read
            self.inputs = session.list_pending_turn_inputs(SESSION)
        shutil.rmtree(copy)
        self.nodes = {each.node_id: each for each in read.graph.nodes}
        self.where = {
            node_id: path.name
            for path in sorted(root.rglob("*"))
            if path.name.endswith((".jsonl", ".journal"))
            for node_id in self.nodes
            if f'"node_id":"{node_id}"'.encode() in path.read_bytes()
        }

    def judge(self, root: Path, damage: Damage, told: str) -> None:
        report = check_store(root)
        where = damage.path.relative_to(root).as_posix()
        # A file that only shows what is in the journal may be missing for a moment.
        assert damage.is_silent or any(where.startswith(each.path.rstrip("?")) for each in report.findings), (
            f"{told}: the check says nothing"
        )
        with _open(root) as store:
            self._judge_reads(_session(store), damage, told)
        kept = damage.path.read_bytes() if damage.path.is_file() else None
        repaired = repair_store(root)
        assert not repaired.after.errors, f"{told}: {repaired.after.errors}, after {repaired.actions}"
        with _open(root) as store:
            self._judge_repaired(_session(store), damage, told)
        if kept is not None and repaired.before.errors and not damage.path.is_file():
            _require_kept(root, damage, kept, told)

    def _judge_reads(self, session: SessionStore, damage: Damage, told: str) -> None:
        for node_id, truth in self.nodes.items():
            is_hit = self.where[node_id] == damage.path.name
            try:
                found = session.load_node(node_id)
            except StoreError:
                # Of what is damaged in a live journal it is not known which nodes it hid.
                assert is_hit or damage.is_live, f"{told}: {node_id} is not to be read"
                continue
            assert found == truth or (found is None and is_hit and damage.loses_end), f"{told}: {node_id} is {found}"
        try:
            read = session.load_session(FullGraph())
        except StoreError:
            assert not damage.is_silent, f"{told}: it is not to be read"
            return
        assert read is not None
        assert read == self.read or damage.loses_end, f"{told}: another session"
        assert read.graph.nodes == self.read.graph.nodes[: len(read.graph.nodes)], told

    def _judge_repaired(self, session: SessionStore, damage: Damage, told: str) -> None:
        read = session.load_session(FullGraph())
        assert read is not None, told
        for each in read.graph.nodes:
            assert each == self.nodes[each.node_id], told
        there = {each.node_id for each in read.graph.nodes}
        lost = {node_id for node_id in self.nodes if node_id not in there}
        assert all(self.where[node_id] == damage.path.name for node_id in lost), f"{told}: lost {lost}"
        assert session.list_pending_turn_inputs(SESSION), told
        lease = session.try_claim_session_execution_lease(SESSION, owner(), HOUR).acquired()
        assert lease is not None
        commit = append_commit(node("after", None), session_execution_lease=lease.fence())
        assert session.commit_runtime_state(commit).head_revision == read.head_revision + 1, told


def _session(store: LocalStore) -> SessionStore:
    session = store.open_session(SESSION)
    assert session is not None
    return session


def _require_kept(root: Path, damage: Damage, content: bytes, told: str) -> None:
    """A file that the repair took away is in the quarantine, byte by byte; of a live journal what is no record is."""
    kept = [each.read_bytes() for each in root.rglob(f"{names.QUARANTINE}/*")]
    parts = [each.partition(b"\n")[2] for each in kept if damage.is_live]
    assert any(content in each for each in kept) or any(part and part in content for part in parts), f"{told}: not kept"


def _damage(rng: random.Random, root: Path) -> Damage:
    """Damage one file that the session relies on."""
    files = sorted(
        path for path in root.rglob("*") if path.is_file() and path.stat().st_size and path.name != names.STORE
    )
    kinds = sorted({path.suffix for path in files})
    suffix = rng.choice(kinds)
    path = rng.choice([each for each in files if each.suffix == suffix])
    before = path.read_bytes()
    how = rng.choice(list(_ways(rng)))
    live = max(each for each in files if each.suffix == ".journal")
    is_journal = path.suffix == ".journal"
    return Damage(path, before, how(path), is_journal and path != live, path == live)


def _ways(rng: random.Random) -> Iterator[Callable[[Path], str]]:
    def burst(path: Path, fill: Callable[[int], bytes], word: str) -> str:
        raw = bytearray(path.read_bytes())
        offset = rng.randrange(len(raw))
        size = min(rng.choice([1, 3, 16, 512, 4096]), len(raw) - offset)
        before = bytes(raw[offset : offset + size])
        raw[offset : offset + size] = fill(size)
        if bytes(raw[offset : offset + size]) == before:
            raw[offset] ^= 1
        path.write_bytes(raw)
        return f"{size} {word} bytes at {offset}"

    def cut(path: Path) -> str:
        size = rng.randrange(path.stat().st_size)
        os.truncate(path, size)
        return f"cut to {size}"

    def junk(path: Path) -> str:
        more = rng.randbytes(rng.choice([1, 100, 5000])) or b"x"
        path.write_bytes(path.read_bytes() + b"x" + more)
        return f"{len(more) + 1} bytes more"

    def gone(path: Path) -> str:
        path.unlink()
        return "removed"

    def other(path: Path) -> str:
        content = b"something else\n"
        path.write_bytes(content)
        return "another file"

    yield lambda path: burst(path, rng.randbytes, "random")
    yield lambda path: burst(path, bytes, "zero")
    yield lambda path: burst(path, lambda size: b"\n" * size, "newline")
    yield cut
    yield junk
    yield gone
    yield other
