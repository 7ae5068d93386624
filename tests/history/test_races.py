"""Several processes make, fork, move, delete and restore the same sessions at the same time."""

import multiprocessing
import random
from pathlib import Path

import pytest

from localstore import (
    FullGraph,
    HeadRevisionConflict,
    InvalidCommit,
    LeaseOwnerIdentity,
    LocalStore,
    NodeNotFound,
    NothingToUndo,
    SessionExecutionLeaseExpired,
    SessionExecutionLeaseHeld,
    SessionExists,
    SessionNotFound,
    SessionStore,
    TrashedSessionNotFound,
)
from localstore.testing import append_commit, node
from tests.history.living import nodes

PROCESSES = 4
ROUNDS = 40
IDS = ("one", "two")
EXPECTED = (
    HeadRevisionConflict,
    InvalidCommit,
    NodeNotFound,
    NothingToUndo,
    SessionExecutionLeaseExpired,
    SessionExecutionLeaseHeld,
    SessionExists,
    SessionNotFound,
    TrashedSessionNotFound,
)


@pytest.mark.race
def test_no_session_is_lost_torn_or_mixed(tmp_path: Path) -> None:
    """Each node names the life of the session that it was committed in: no session ever has nodes of two lives."""
    root = tmp_path / "store"
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(root, seed + number)) for number in range(PROCESSES)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
    assert [worker.exitcode for worker in workers] == [0] * PROCESSES
    with LocalStore(root) as store:
        _judge(store)
        entries = store.trash()
        assert len({(entry.session_id, entry.deleted_at_ms) for entry in entries}) == len(entries)
        for session_id in IDS:
            store.delete_session(session_id)
        for entry in store.trash():
            store.restore_session(entry.session_id, deleted_at_ms=entry.deleted_at_ms)
            _judge(store)
            store.delete_session(entry.session_id)
        assert len(store.trash()) >= len(entries)
        assert store.list_sessions() == ()
        store.purge(everything=True)
    assert [path.name for path in (root / "trash").iterdir()] == ["moving.lock"]
    assert list((root / "sessions").iterdir()) == []


def _judge(store: LocalStore) -> None:
    for row in store.list_sessions():
        session = store.open_session(row.session_id)
        assert session is not None
        lives = {node_id.partition(":")[0] for node_id in nodes(session)}
        assert len(lives) <= 1, lives


def _work(root: Path, seed: int) -> None:
    chance = random.Random(seed)
    with LocalStore(root) as store:
        for step in range(ROUNDS):
            try:
                _act(store, chance, f"{seed}.{step}")
            except EXPECTED:
                continue


def _act(store: LocalStore, chance: random.Random, mark: str) -> None:
    session_id, other = chance.sample(IDS, 2)
    act = chance.randrange(7)
    if act <= 2:
        _commit(store.create_session(session_id), mark)
    elif act == 3:
        store.delete_session(session_id)
    elif act == 4:
        store.restore_session(session_id)
    elif act == 5:
        session = store.create_session(session_id)
        chance.choice((session.undo, lambda: session.rewind(None)))()
    else:
        store.create_session(session_id).fork(other)


def _commit(session: SessionStore, mark: str) -> None:
    """Append a node of the session's own life: that of its first node, or a new one."""
    read = session.load_session(FullGraph())
    revision = 0 if read is None else read.head_revision
    life = mark if read is None else read.graph.nodes[0].node_id.partition(":")[0]
    lease = session.try_claim_session_execution_lease(
        session.session_id, LeaseOwnerIdentity.local_process("worker", mark), 10_000
    ).acquired()
    if lease is None:
        return
    try:
        session.commit_runtime_state(
            append_commit(
                node(f"{life}:{mark}"),
                session_id=session.session_id,
                expected_head_revision=revision,
                session_execution_lease=lease.fence(),
            )
        )
    finally:
        session.release_session_execution_lease(lease.completion())
