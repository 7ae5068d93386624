"""Whatever is done to histories, the store in memory and the store on files come to the same."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from localstore import (
    FullGraph,
    GraphReplaceFull,
    InMemoryStore,
    LocalStore,
    SessionGraph,
    SessionStore,
    StoreError,
)
from localstore.disk.check import check_store
from localstore.store import Store
from localstore.testing import ManualClock, node
from localstore.testing.builders import next_input, stamped, unchanged_commit, wake
from tests.history.living import DAY, HOUR, Living

IDS = ("s0", "s1", "s2")
NAMES = ("x", "y")

sessions = st.sampled_from(IDS)
nodes = st.integers(0, 7).map(lambda number: f"n{number}")
maybe_node = st.none() | nodes
names = st.sampled_from(NAMES)

Act = Callable[[Living], Any]


def of(live: Living, session_id: str) -> SessionStore:
    return live.store.create_session(session_id)


def _append(session_id: str, node_id: str, parent: str | None) -> Act:
    return lambda live: live.append(node(node_id, parent), session=of(live, session_id))


def _replace(session_id: str, node_id: str) -> Act:
    graph = GraphReplaceFull(SessionGraph((node(node_id),), node_id))
    return lambda live: live.settle(of(live, session_id), graph)


def _turn(session_id: str, turn_id: str) -> Act:
    def act(live: Living) -> object:
        session = of(live, session_id)
        lease = live.lease(session)
        commit = stamped(unchanged_commit(session_id=session_id), turn_id)
        result = session.commit_runtime_state(
            commit.with_session_execution_lease(lease.fence()).releasing_session_execution_lease(lease.completion())
        )
        return result.head_revision

    return act


def _input(session_id: str, key: str, *, cancel: bool) -> Act:
    def act(live: Living) -> object:
        session = of(live, session_id)
        record = session.enqueue_pending_turn_input(
            next_input(key, session_id=session_id, source_key=key, input_id=key)
        )
        if cancel:
            return type(session.cancel_pending_turn_input(session_id, record.input_id)).__name__
        return record

    return act


def _restore(session_id: str) -> Act:
    return lambda live: live.store.restore_session(session_id).session_id


def _prune(most: int, apply: bool) -> Act:
    def act(live: Living) -> object:
        report = live.store.prune(max_sessions=most, older_than_ms=2 * DAY, apply=apply)
        ids = ([row.session_id for row in report.sessions], [row.session_id for row in report.purged])
        return ids, report.spared

    return act


acts: st.SearchStrategy[Act] = st.one_of(
    st.builds(_append, sessions, nodes, maybe_node),
    st.builds(_append, sessions, nodes, maybe_node),
    st.builds(_replace, sessions, nodes),
    st.builds(_turn, sessions, st.sampled_from(("t0", "t1"))),
    st.builds(_input, sessions, st.sampled_from(("k0", "k1")), cancel=st.booleans()),
    st.builds(lambda s: lambda live: of(live, s).enqueue_queued_work(wake(session_id=s)).enqueue_seq, sessions),
    st.builds(lambda s, to: lambda live: of(live, s).rewind(to), sessions, maybe_node),
    st.builds(lambda s: lambda live: of(live, s).undo(), sessions),
    st.builds(lambda s: lambda live: of(live, s).undo(), sessions),
    st.builds(lambda s, name, at: lambda live: of(live, s).create_branch(name, at), sessions, names, maybe_node),
    st.builds(lambda s, name: lambda live: of(live, s).switch_branch(name), sessions, names),
    st.builds(lambda s, name: lambda live: of(live, s).drop_branch(name), sessions, names),
    st.builds(lambda s, t, at: lambda live: of(live, s).fork(t, at=at).session_id, sessions, sessions, maybe_node),
    st.builds(lambda s, node_id: lambda live: of(live, s).tombstone_nodes([node_id]), sessions, nodes),
    st.builds(lambda s: lambda live: of(live, s).vacuum(), sessions),
    st.builds(lambda s: lambda live: of(live, s).gc_unreachable(), sessions),
    st.builds(lambda s: lambda live: live.store.delete_session(s), sessions),
    st.builds(_restore, sessions),
    st.builds(lambda s: lambda live: len(live.store.purge(s)), sessions),
    st.builds(_prune, st.integers(0, 3), st.booleans()),
    st.builds(lambda ms: lambda live: live.clock.advance(ms), st.sampled_from((1, HOUR, DAY, 5 * DAY))),
    st.just(lambda live: live.reopen()),
)


def outcome(live: Living, act: Act) -> object:
    try:
        result = act(live)
    except StoreError as error:
        return type(error).__name__, str(error)
    return result if not hasattr(result, "input_id") else (result.input_id, result.enqueue_seq, result.state)


def seen(store: Store) -> object:
    """Everything that can be seen of the store's histories, but for what only files have."""
    rows = []
    for row in store.list_sessions():
        session = store.open_session(row.session_id)
        assert session is not None
        read = session.load_session(FullGraph())
        inputs = [record.input_id for record in session.list_pending_turn_inputs(row.session_id)]
        work = [batch.enqueue_seq for batch in session.list_queued_work(row.session_id)]
        rows.append(
            (
                row.session_id,
                row.updated_at_ms,
                row.head_revision,
                row.node_count,
                read,
                session.load_session_meta(),
                session.head_log(),
                session.branches(),
                session.leaves(),
                inputs,
                work,
            )
        )
    trash = [(entry.session_id, entry.deleted_at_ms, entry.node_count, entry.head_revision) for entry in store.trash()]
    return rows, trash


@given(st.lists(acts, max_size=40))
@settings(max_examples=60, deadline=None)
def test_come_to_the_same(script: list[Act]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clocks = ManualClock(), ManualClock()
        memory = Living(InMemoryStore(clocks[0]), clocks[0])
        files = Living(LocalStore(f"{folder}/store", clock=clocks[1]), clocks[1])
        for act in script:
            assert outcome(memory, act) == outcome(files, act)
        assert seen(memory.store) == seen(files.store)
        files.reopen()
        assert seen(memory.store) == seen(files.store)
        files.store.close()
        assert check_store(f"{folder}/store").errors == ()
        memory.store.close()
