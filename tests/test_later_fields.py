"""Fields of a later release go on with their records, from the journal and from what waits, into what they become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from localstore import (
    Durability,
    HydratedSessionCheckpoint,
    LocalStore,
    PersistedSessionConfig,
    SessionStore,
)
from localstore.disk.check import check_store
from localstore.disk.loading import load_session
from localstore.disk.names import session_dirname
from localstore.testing import (
    SteppedClock,
    frame,
    intent,
    next_input,
    said,
    usage,
    wake,
)
from tests.commits import commit
from tests.later_release import (
    is_marked,
    leave_as_killed,
    lines_in,
    mark,
    sealed_anew,
)

ID = "trip"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def folder(root: Path) -> Path:
    return root / "sessions" / session_dirname(ID)


def opened(root: Path) -> LocalStore:
    return LocalStore(root, durability=Durability.PROCESS, clock=SteppedClock())


def the_session(store: LocalStore) -> SessionStore:
    session = store.open_session(ID)
    assert session is not None
    return session


def work_on(session: SessionStore) -> None:
    """Something of everything that the journal can say."""
    commit(
        session,
        said("n2", "n1", "hello again"),
        config=PersistedSessionConfig("provider", {"model": "m"}),
        agent_frames=(frame("f1", session_id=ID),),
        usage_deltas=(usage("turn", "m", 3),),
        checkpoint=HydratedSessionCheckpoint(tool_state={"a": "tool"}),
    )
    for number in (1, 2):
        session.enqueue_pending_turn_input(next_input(f"text {number}", session_id=ID, input_id=f"i{number}"))
    session.enqueue_queued_work(wake("w", session_id=ID, source_key="w1"))
    session.record_intent(intent("5" * 64, session_id=ID))
    session.create_branch("side", "n1")
    meta = session.load_session_meta()
    assert meta is not None
    session.save_session_meta(meta)


@pytest.fixture
def live(root: Path) -> None:
    """A session with a head that is folded and a journal behind it."""
    store = opened(root)
    session = store.create_session(ID)
    commit(session, said("n1", None, "hello"))
    session.checkpoint()
    work_on(session)
    leave_as_killed(store, root)


def head_in(folder: Path) -> dict[str, Any]:
    head: dict[str, Any] = orjson.loads((folder / "head.json").read_bytes())
    return head


def use(root: Path) -> None:
    """What this release does with it: it reads, commits, cancels an input, and folds at its close."""
    with opened(root) as store:
        session = the_session(store)
        assert [each.input_id for each in session.list_pending_turn_inputs(ID)] == ["i1", "i2"]
        more = {"agent_frames": (frame("f1", session_id=ID, status="done"),), "usage_deltas": (usage("turn", "m", 4),)}
        commit(session, said("n3", "n2", "more"), **more)
        session.cancel_pending_turn_input(ID, "i1")


@pytest.mark.usefixtures("live")
def test_those_of_waiting_entries_survive_until_they_are_settled(root: Path, folder: Path) -> None:
    opened(root).close()
    with opened(root) as store:
        the_session(store).checkpoint()

    def mark_inside(entry: dict[str, Any]) -> None:
        mark(entry)
        mark(entry["record"])

    [path] = [path for path in folder.glob("inputs/*.json") if "text 1" in path.read_text("utf-8")]
    path.write_bytes(sealed_anew(path.read_bytes(), mark_inside))
    use(root)
    [settled] = [line["stored"] for line in lines_in(folder) if line["kind"] == "input"]
    assert is_marked(settled)
    assert is_marked(settled["record"])
    assert settled["record"]["state"] == "cancelled"
    assert check_store(root).errors == ()


def mark_head(head: dict[str, Any]) -> None:
    mark(head)
    mark(head["meta"])
    for row in head.get("branches", []):
        mark(row)


def test_those_of_a_head_that_only_a_journal_has_a_copy_of_survive_its_loss(root: Path, folder: Path) -> None:
    store = opened(root)
    store.create_session(ID)
    leave_as_killed(store, root)
    path = folder / "head.json"
    path.write_bytes(sealed_anew(path.read_bytes(), mark_head))
    store = opened(root)
    commit(the_session(store), said("n1", None, "hello"))
    leave_as_killed(store, root)
    path.unlink()
    with opened(root) as store:
        commit(the_session(store), said("n2", "n1", "hello again"))
    assert is_marked(head_in(folder))
    assert is_marked(head_in(folder)["meta"])


@pytest.mark.usefixtures("live")
def test_those_of_a_head_survive_a_merge_and_the_loss_of_it(root: Path, folder: Path) -> None:
    path = folder / "head.json"
    path.write_bytes(sealed_anew(path.read_bytes(), mark_head))
    with opened(root) as store:
        session = the_session(store)
        for number in range(2, 12):
            commit(session, said(f"n{number + 1}", f"n{number}", "more"))
            session.checkpoint()
    assert len(head_in(folder)["files"]) < 10
    path.unlink()
    use_nothing(root)
    assert is_marked(head_in(folder))


def use_nothing(root: Path) -> None:
    with opened(root) as store:
        the_session(store).checkpoint()


@pytest.mark.usefixtures("live")
def test_where_there_are_none_nothing_is_kept_in_mind(root: Path, folder: Path) -> None:
    loaded = load_session(str(folder), ID, "", write=False)
    try:
        assert loaded.head.said is None
        assert [live.said for live in loaded.state.inputs.values()] == [None, None]
        assert [fact.line for fact in loaded.archive.recent.log if fact.line is not None] == []
    finally:
        loaded.close()


@pytest.mark.usefixtures("live")
def test_those_of_a_head_survive_the_loss_of_it(root: Path, folder: Path) -> None:
    path = folder / "head.json"
    path.write_bytes(sealed_anew(path.read_bytes(), mark_head))
    use(root)
    assert is_marked(head_in(folder))
    path.unlink()
    with opened(root) as store:
        commit(the_session(store), said("n4", "n3", "and more"))
    head = head_in(folder)
    assert head["revision"] == 4
    assert is_marked(head)
    assert is_marked(head["meta"])
    assert check_store(root).errors == ()
