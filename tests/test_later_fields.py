"""Fields of a later release go on with their records, from the journal and from what waits, into what they become."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from localstore import (
    Durability,
    HydratedSessionCheckpoint,
    LocalStore,
    PersistedSessionConfig,
    QueuedWorkClaimBoundary,
    SessionStore,
)
from localstore.disk.check import check_store
from localstore.disk.loading import load_session
from localstore.disk.names import session_dirname
from localstore.disk.repair import repair_store
from localstore.testing import (
    SteppedClock,
    frame,
    intent,
    next_input,
    owner,
    said,
    usage,
    wake,
)
from tests.commits import commit
from tests.folders import files
from tests.later_release import (
    change_journal,
    is_marked,
    journal_of,
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


def mark_event(event: dict[str, Any]) -> None:
    """Mark an event, and each record in it."""
    mark(event)
    ones = ("meta", "config", "summary", "stored", "batch", "claim", "lease", "manifest")
    inside = [event.get(name) for name in ones]
    for name in ("nodes", "frames", "usage", "entries", "values"):
        inside += event.get(name, [])
    inside += [row["usage"] for row in event.get("usage", [])]
    if "stored" in event:
        inside += [event["stored"]["record"], event["stored"]["record"]["input"]]
    inside += event.get("batch", {}).get("items", [])
    for record in filter(None, inside):
        mark(record)
    if "manifest" in event:
        event["checkpoint_ref"] = sha256(orjson.dumps(event["manifest"])).hexdigest()


def head_in(folder: Path) -> dict[str, Any]:
    head: dict[str, Any] = orjson.loads((folder / "head.json").read_bytes())
    return head


def entry_in(folder: Path, name: str) -> dict[str, Any]:
    [path] = [path for path in folder.glob("*/*.json") if name in path.read_text("utf-8")]
    entry: dict[str, Any] = orjson.loads(path.read_bytes())
    return entry


def use(root: Path) -> None:
    """What this release does with it: it reads, commits, cancels an input, and folds at its close."""
    with opened(root) as store:
        session = the_session(store)
        assert [each.input_id for each in session.list_pending_turn_inputs(ID)] == ["i1", "i2"]
        more = {"agent_frames": (frame("f1", session_id=ID, status="done"),), "usage_deltas": (usage("turn", "m", 4),)}
        commit(session, said("n3", "n2", "more"), **more)
        session.cancel_pending_turn_input(ID, "i1")


@pytest.mark.usefixtures("live")
def test_those_of_journal_records_survive_the_fold(root: Path, folder: Path) -> None:
    events = change_journal(folder, mark_event)
    assert {event["kind"] for event in events} >= {
        "committed",
        "input_enqueued",
        "work_enqueued",
        "attachments_written",
        "branch_created",
        "meta_saved",
    }
    use(root)
    assert check_store(root).errors == ()
    head = head_in(folder)
    assert is_marked(head["meta"])
    assert is_marked(head["config"])
    assert [is_marked(each) for each in head["frames"]] == [True]
    assert [(is_marked(row), is_marked(row["usage"])) for row in head["ledger"]] == [(True, True)]
    assert head["ledger"][0]["usage"]["input_tokens"] == 7
    assert [is_marked(row) for row in head["uncommitted"]] == [True]
    assert {row["name"]: is_marked(row) for row in head["branches"]} == {"side": True}
    assert is_marked(orjson.loads((folder / "meta.json").read_bytes()))
    lines = list(lines_in(folder))
    nodes = {line["node_id"]: is_marked(line) for line in lines if line["kind"] == "node"}
    assert nodes == {"n1": False, "n2": True, "n3": False}
    commits = {line["revision"]: is_marked(line) for line in lines if line["kind"] == "commit"}
    assert commits == {1: False, 2: True, 3: False}
    assert [is_marked(line["entry"]) for line in lines if line["kind"] == "attachment"] == [True]
    assert any(is_marked(line) for line in lines if line["kind"] == "value")
    [settled] = [line["stored"] for line in lines if line["kind"] == "input"]
    waiting = entry_in(folder, "text 2")
    for stored in (settled, waiting):
        assert is_marked(stored)
        assert is_marked(stored["record"])
        assert is_marked(stored["record"]["input"])
    assert settled["record"]["state"] == "cancelled"
    batch = entry_in(folder, "w1")
    assert is_marked(batch)
    assert is_marked(batch["items"][0])


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


HOUR = 3_600_000


@pytest.mark.usefixtures("live")
def test_those_of_a_lease_and_of_claims_survive_as_long_as_they_are_held(root: Path, folder: Path) -> None:
    store = opened(root)
    session = the_session(store)
    lease = session.try_claim_session_execution_lease(ID, owner("holder"), HOUR).acquired()
    assert lease is not None
    fence, who = lease.fence(), lease.owner
    assert session.claim_next_turn_inputs(ID, fence, who, HOUR, 1) is not None
    assert session.claim_ready_queued_work(ID, fence, who, QueuedWorkClaimBoundary.IDLE, HOUR, 1) is not None
    leave_as_killed(store, root)
    change_journal(folder, mark_event)
    with opened(root) as store:
        session = the_session(store)
        session.enqueue_pending_turn_input(next_input("text 3", session_id=ID))
        session.checkpoint()
        assert session.renew_session_execution_lease(fence, 2 * HOUR).fencing_token == lease.fencing_token
    head = head_in(folder)
    assert is_marked(head["lease"])
    assert is_marked(head["lease"]["lease"])
    for queue in ("inputs", "work"):
        [claim] = head[queue]["claims"]
        assert is_marked(claim)
        assert is_marked(claim["claim"])
    assert check_store(root).errors == ()


@pytest.mark.usefixtures("live")
def test_those_that_others_write_while_it_is_open_survive(root: Path, folder: Path) -> None:
    with opened(root) as store, opened(root) as other:
        session = the_session(store)
        assert session.load_node("n2") is not None
        path = journal_of(folder)
        size = path.stat().st_size
        commit(the_session(other), said("n3", "n2", "of another"))
        leave_as_killed(other, root)
        commits = [event for event in change_journal(folder, only("n3")) if event["kind"] == "committed"]
        assert [is_marked(event) for event in commits] == [False, True]
        assert path.stat().st_size > size
        commit(session, said("n4", "n3", "of this one"))
    marked = {line["node_id"]: is_marked(line) for line in lines_in(folder) if line["kind"] == "node"}
    assert marked == {"n1": False, "n2": False, "n3": True, "n4": False}


def only(node_id: str) -> Callable[[dict[str, Any]], None]:
    """What marks the commit of a node, and nothing else."""
    return lambda event: mark_event(event) if node_id in str(event.get("nodes")) else None


@pytest.mark.usefixtures("live")
def test_those_of_a_copy_that_was_made_in_use_survive(root: Path, folder: Path, tmp_path: Path) -> None:
    change_journal(folder, mark_event)
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    use(copy)
    inside = copy / "sessions" / folder.name
    marked = {line["node_id"]: is_marked(line) for line in lines_in(inside) if line["kind"] == "node"}
    assert marked == {"n1": False, "n2": True, "n3": False}
    assert is_marked(head_in(inside)["meta"])


@pytest.mark.usefixtures("live")
def test_those_of_every_row_of_usage_survive(root: Path, folder: Path) -> None:
    store = opened(root)
    for model in ("another", "m"):
        commit(the_session(store), said(model, "n2", "more"), usage_deltas=(usage("turn", model, 4),))
    leave_as_killed(store, root)
    change_journal(folder, mark_event)
    use_nothing(root)
    rows = {row["model"]: (is_marked(row), row["usage"]["input_tokens"]) for row in head_in(folder)["ledger"]}
    assert rows == {"m": (True, 7), "another": (True, 4)}


@pytest.mark.usefixtures("live")
def test_those_of_the_settling_of_an_input_survive(root: Path, folder: Path) -> None:
    use_nothing(root)
    store = opened(root)
    the_session(store).cancel_pending_turn_input(ID, "i1")
    leave_as_killed(store, root)
    change_journal(folder, mark_event)
    with opened(root) as store:
        # A list is read without the queues, so that nothing is settled there.
        assert [row.session_id for row in store.list_sessions()] == [ID]
    use_nothing(root)
    assert [is_marked(line) for line in lines_in(folder) if line["kind"] == "input"] == [True]


@pytest.mark.usefixtures("live")
def test_what_is_gone_leaves_nothing_to_its_successor(root: Path, folder: Path) -> None:
    change_journal(folder, mark_event)
    with opened(root) as store:
        session = the_session(store)
        session.checkpoint()
        assert [is_marked(row) for row in head_in(folder)["branches"]] == [True]
        session.drop_branch("side")
        session.checkpoint()
        session.create_branch("side", "n2")
    assert [is_marked(row) for row in head_in(folder)["branches"]] == [False]


@pytest.mark.usefixtures("live")
def test_a_repair_keeps_those_of_the_journal(root: Path, folder: Path) -> None:
    change_journal(folder, mark_event)
    (folder / "head.json").unlink()
    assert repair_store(root).after.errors == ()
    manifests = [line["json"] for line in lines_in(folder) if line.get("ref") == head_in(folder)["checkpoint_ref"]]
    assert [is_marked(each) for each in manifests] == [True]
    use(root)
    head = head_in(folder)
    assert is_marked(head["meta"])
    assert [(is_marked(row), is_marked(row["usage"])) for row in head["ledger"]] == [(True, True)]
    assert is_marked(entry_in(folder, "text 2"))
    assert check_store(root).errors == ()


@pytest.mark.parametrize("applies", [False, True])
@pytest.mark.usefixtures("live")
def test_a_redaction_tells_where_they_match_and_leaves_them(root: Path, folder: Path, applies: bool) -> None:
    change_journal(folder, mark_event)
    with opened(root) as store:
        [told] = store.redact("é", replacement="*", apply=applies).sessions
        places = {place.id for place in told.left if "later release" in place.reason}
        assert places >= {"head.json", "n:n2", "r:2", f"a:{'5' * 64}"}
        assert len([place for place in places if place.endswith(".json")]) == 4
        [told] = store.redact("text", replacement="*", apply=applies).sessions
    use_nothing(root)
    waiting = entry_in(folder, "* 1" if applies else "text 1")
    assert is_marked(waiting)
    assert is_marked(waiting["record"])
    assert is_marked(waiting["record"]["input"])
    assert ("text 1" in str(files(folder))) is not applies


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
