"""Child sessions that share what their parent has written."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from localstore import (
    AgentFrameRecord,
    AttachmentCreateMeta,
    BackendError,
    CancelByInputId,
    ChildSession,
    CorruptRecord,
    FullGraph,
    HydratedSessionCheckpoint,
    InputNotFound,
    InvalidArgument,
    LocalStore,
    NodeNotFound,
    NothingToUndo,
    SessionExists,
    SessionNotFound,
    SessionScopedAttachmentStore,
    SessionStore,
    StoreClosed,
)
from localstore.disk import forking
from localstore.disk.system import system
from localstore.testing import SESSION, ManualClock, active_input, chain, frame, node, stamped, usage, wake
from localstore.testing.builders import append_commit, next_input
from tests.history.faults import Counter, FailsAt
from tests.history.living import HOUR, Living, leaf, nodes, path, revision

CHILD = "child"
LARGE = HydratedSessionCheckpoint(tool_state={"k": "v" * 20_000}, execution_state=b"x" * 50_000)


@pytest.fixture
def parent(live: Living) -> Living:
    """A parent with a bit of everything."""
    live.append(
        *chain("a", "b", "c"),
        agent_frames=(frame(execution_state_snapshot=b"snapshot" * 4_000),),
        current_agent_frame_id="frame-1",
        checkpoint=LARGE,
        usage_deltas=(usage("agent", "m", 7),),
    )
    return live


def everything(session: SessionStore) -> object:
    read = session.load_session(FullGraph())
    return None if read is None else (read, session.branches(), session.leaves())


class TestTheChild:
    def test_begins_as_the_parent_is(self, parent: Living) -> None:
        parent.session.create_branch("early", "a")
        child = parent.session.fork(CHILD)
        ours, theirs = child.load_session(FullGraph()), parent.session.load_session(FullGraph())
        assert ours is not None
        assert theirs is not None
        assert ours.session_id == CHILD
        same = ("head_revision", "config", "current_agent_frame_id", "graph", "checkpoint_ref", "checkpoint")
        assert [getattr(ours, name) for name in same] == [getattr(theirs, name) for name in same]
        assert ours.token_ledger == theirs.token_ledger
        assert child.branches() == parent.session.branches()
        frames = tuple(_of_session(item, SESSION) for item in ours.agent_frames)
        assert frames == theirs.agent_frames
        assert [item.session_id for item in ours.agent_frames] == [CHILD]

    def test_begins_at_a_node(self, parent: Living) -> None:
        child = parent.session.fork(CHILD, at="a")
        assert (path(child), nodes(child)) == (["a"], ["a", "b", "c"])
        assert (path(parent.session), revision(child)) == (["a", "b", "c"], 1)

    def test_says_where_it_is_from(self, parent: Living) -> None:
        parent.store.create_session("other", model="m-1", cwd="/home/me").fork("other's", session_name="A try")
        meta = parent.handle("other's").load_session_meta()
        assert meta is not None
        assert (meta.session_name, meta.model, meta.cwd) == ("A try", "m-1", "/home/me")
        assert meta.relation == ChildSession("other", {"fork": {"node_id": None}})
        parent.clock.advance(HOUR)
        for session_id, at, expected in ((CHILD, None, "c"), ("early", "a", "a")):
            meta = parent.session.fork(session_id, at=at).load_session_meta()
            assert meta is not None
            assert meta.session_name == session_id
            assert meta.relation == ChildSession(SESSION, {"fork": {"node_id": expected}})
            assert meta.parent_session_id == SESSION
        row = next(row for row in parent.store.list_sessions() if row.session_id == CHILD)
        assert row.created_at_ms == row.updated_at_ms == parent.clock.now_ms()
        assert (row.node_count, row.head_revision) == (3, 1)

    def test_goes_its_own_way(self, parent: Living) -> None:
        child = parent.session.fork(CHILD, at="b")
        parent.append(node("p", "c"))
        parent.append(node("k", "b"), session=child)
        child.create_branch("mine")
        for _ in range(2):
            assert path(parent.session) == ["a", "b", "c", "p"]
            assert (path(child), nodes(child)) == (["a", "b", "k"], ["a", "b", "c", "k"])
            assert parent.session.branches() == ()
            parent.reopen()
            child = parent.handle(CHILD)

    def test_may_use_the_ids_of_nodes_that_came_after(self, parent: Living) -> None:
        child = parent.session.fork(CHILD)
        parent.append(node("same", "c"))
        parent.append(node("same", "a"), session=child)
        assert path(parent.session) == ["a", "b", "c", "same"]
        assert path(child) == ["a", "same"]

    def test_of_a_session_without_commits(self, live: Living) -> None:
        child = live.session.fork(CHILD)
        assert child.load_session(FullGraph()) is None
        live.append(node("k"), session=child)
        assert (revision(child), path(child)) == (1, ["k"])
        assert live.session.load_session_head() is None

    def test_is_on_the_current_branch_only_where_the_branch_is(self, parent: Living) -> None:
        parent.session.create_branch("main")
        parent.session.switch_branch("main")
        at_tip, early = parent.session.fork(CHILD), parent.session.fork("early", at="a")
        assert [branch.is_current for branch in at_tip.branches()] == [True]
        assert [branch.is_current for branch in early.branches()] == [False]
        parent.append(node("k", "a"), session=early)
        assert early.branches()[0].leaf_node_id == "c"

    def test_has_a_child_itself(self, parent: Living) -> None:
        child = parent.session.fork(CHILD)
        parent.append(node("k", "c"), session=child)
        grandchild = child.fork("grandchild", at="k")
        parent.store.delete_session(SESSION)
        parent.store.delete_session(CHILD)
        parent.store.purge(everything=True)
        parent.reopen()
        assert path(parent.handle("grandchild")) == ["a", "b", "c", "k"]
        assert grandchild.session_id == "grandchild"


class TestWhatIsNotInherited:
    def test_lease_and_queues(self, parent: Living) -> None:
        lease = parent.lease(parent.session)
        parent.session.enqueue_pending_turn_input(next_input("hello"))
        parent.session.enqueue_queued_work(wake())
        child = parent.session.fork(CHILD)
        assert child.get_session_execution_lease(CHILD) is None
        assert child.list_pending_turn_inputs(CHILD) == ()
        assert child.list_queued_work(CHILD) == ()
        assert parent.lease(child).fencing_token == 1
        assert parent.session.get_session_execution_lease(SESSION) == lease
        assert len(parent.session.list_pending_turn_inputs(SESSION)) == 1
        record = child.enqueue_pending_turn_input(next_input("own", session_id=CHILD))
        assert record.enqueue_seq == 1

    def test_turn_stamps(self, parent: Living) -> None:
        lease = parent.lease(parent.session)
        turn = append_commit(node("t", "c"))
        parent.session.commit_runtime_state(stamped(turn).with_session_execution_lease(lease.fence()))
        child = parent.session.fork(CHILD, at="c")
        parent.reopen()
        child = parent.handle(CHILD)
        fence = parent.lease(child).fence()
        again = stamped(append_commit(node("u", "c"), session_id=CHILD)).with_session_execution_lease(fence)
        assert child.commit_runtime_state(again).head_revision == 3
        assert path(child) == ["a", "b", "c", "u"]
        # Input for that turn was pending before, and is for the next one now that the child has committed it.
        assert child.commit_runtime_state(again).head_revision == 3

    def test_input_for_a_turn_that_only_the_parent_committed(self, parent: Living) -> None:
        lease = parent.lease(parent.session)
        turn = stamped(append_commit(node("t", "c"))).with_session_execution_lease(lease.fence())
        parent.session.commit_runtime_state(turn)
        child = parent.session.fork(CHILD)
        draft = active_input("now", session_id=CHILD)
        assert child.enqueue_pending_turn_input(draft).ingress == draft.ingress
        assert parent.session.enqueue_pending_turn_input(active_input("now")).ingress != draft.ingress

    def test_input_ids_and_source_keys(self, parent: Living) -> None:
        settled = parent.session.enqueue_pending_turn_input(next_input("one", input_id="i1", source_key="s1"))
        parent.session.cancel_pending_turn_input(SESSION, settled.input_id)
        child = parent.session.fork(CHILD)
        parent.reopen()
        child = parent.handle(CHILD)
        assert child.cancel_pending_turn_inputs(CHILD, [CancelByInputId("i1")])[0].outcome == InputNotFound()
        draft = next_input("two", session_id=CHILD, input_id="i1", source_key="s1")
        assert child.enqueue_pending_turn_input(draft).enqueue_seq == 1
        later = child.cancel_pending_turn_input_suffix(CHILD, CancelByInputId("i1"))
        assert len(later.outcomes) == 1  # type: ignore[union-attr]
        assert parent.session.vacuum().removed_pending_turn_input_tombstone_count == 1
        assert child.vacuum().removed_pending_turn_input_tombstone_count == 1
        assert child.vacuum().removed_pending_turn_input_tombstone_count == 0

    def test_images_of_the_parents_inputs(self, parent: Living) -> None:
        draft = next_input("look")
        image = draft.input.with_image_ref("i", b"i" * 30_000)
        settled = parent.session.enqueue_pending_turn_input(_with_input(draft, image))
        parent.session.cancel_pending_turn_input(SESSION, settled.input_id)
        child = parent.session.fork(CHILD)
        assert child.gc_unreachable().deleted_blob_count == 1
        assert parent.session.gc_unreachable().deleted_blob_count == 0
        repeated = parent.session.cancel_pending_turn_input(SESSION, settled.input_id)
        assert repeated.input.input.image_blobs == {"i": b"i" * 30_000}  # type: ignore[union-attr]

    def test_moves_of_the_head(self, parent: Living) -> None:
        parent.append(node("d", "c"))
        child = parent.session.fork(CHILD, at="a")
        assert child.head_log() == child.head_log(5) == ()
        with pytest.raises(NothingToUndo):
            child.undo()
        parent.append(node("k", "a"), session=child)
        assert [(move.revision, move.leaf_node_id) for move in child.head_log()] == [(3, "k")]
        child.undo()
        assert leaf(child) == "a"
        with pytest.raises(NothingToUndo):
            child.undo()

    def test_changes(self, parent: Living) -> None:
        child = parent.session.fork(CHILD)
        start = child.changes(None)
        assert start.changes == ()
        parent.append(node("k", "c"), session=child)
        for _ in range(2):
            kinds = [change.kind.value for change in parent.handle(CHILD).changes(start.cursor).changes]
            assert kinds == ["lease_set", "committed", "lease_cleared"]
            assert [change.kind.value for change in parent.handle(CHILD).changes(None).changes] == kinds
            parent.reopen()


class TestAttachments:
    def test_committed_ones_are_the_childs_too(self, parent: Living) -> None:
        scoped = SessionScopedAttachmentStore(parent.store.attachments, parent.session)
        kept = scoped.put(b"kept", AttachmentCreateMeta("text/plain"))
        parent.append(node("d", "c"), committed_attachment_ids=scoped.take_pending_attachment_ids())
        child = parent.session.fork(CHILD)
        # The child may name it again without an intent of its own.
        parent.append(node("k", "d"), session=child, committed_attachment_ids=(kept.id,))
        parent.store.delete_session(SESSION)
        parent.store.purge(everything=True)
        parent.clock.advance(HOUR)
        parent.reopen()
        assert parent.store.sweep_attachments(parent.clock.now_ms()).deleted_attachment_ids == ()
        assert parent.store.attachments.get(kept.id).data == b"kept"
        parent.handle(CHILD).forget(kept.id)
        assert parent.store.sweep_attachments(parent.clock.now_ms()).deleted_attachment_ids == (kept.id,)

    def test_uncommitted_ones_are_the_parents_affair(self, parent: Living) -> None:
        scoped = SessionScopedAttachmentStore(parent.store.attachments, parent.session)
        open_one = scoped.put(b"open", AttachmentCreateMeta("text/plain"))
        child = parent.session.fork(CHILD)
        assert child.list_uncommitted(parent.clock.now_ms()) == ()
        assert len(parent.session.list_uncommitted(parent.clock.now_ms())) == 1
        parent.reopen()
        child = parent.handle(CHILD)
        own = SessionScopedAttachmentStore(parent.store.attachments, child)
        own.put(b"open", AttachmentCreateMeta("text/plain"))
        assert [row.session_id for row in child.list_uncommitted(parent.clock.now_ms())] == [CHILD]
        parent.append(node("k", "c"), session=child, committed_attachment_ids=(open_one.id,))
        assert child.list_uncommitted(parent.clock.now_ms()) == ()
        assert len(parent.session.list_uncommitted(parent.clock.now_ms())) == 1
        child.vacuum()
        parent.session.vacuum()


class TestRefusals:
    def test_an_id_that_is_taken(self, parent: Living) -> None:
        parent.store.create_session(CHILD)
        for session_id in (CHILD, SESSION):
            with pytest.raises(SessionExists) as caught:
                parent.session.fork(session_id)
            assert caught.value.session_id == session_id

    def test_a_node_that_is_not_there(self, parent: Living) -> None:
        parent.session.tombstone_nodes(["a"])
        for missing in ("a", "nobody"):
            with pytest.raises(NodeNotFound):
                parent.session.fork(CHILD, at=missing)
        assert parent.store.open_session(CHILD) is None

    @pytest.mark.parametrize(
        "arguments", [{"session_id": ""}, {"session_id": 7}, {"at": ""}, {"at": 7}, {"session_name": 7}]
    )
    def test_bad_arguments(self, parent: Living, arguments: dict[str, object]) -> None:
        with pytest.raises(InvalidArgument):
            parent.session.fork(**{"session_id": CHILD, **arguments})  # type: ignore[arg-type]

    def test_a_parent_that_was_deleted(self, parent: Living) -> None:
        parent.store.delete_session(SESSION)
        with pytest.raises(SessionNotFound):
            parent.session.fork(CHILD)
        assert parent.store.open_session(CHILD) is None

    def test_a_handle_that_was_closed(self, parent: Living) -> None:
        child = parent.session.fork(CHILD)
        parent.session.close()
        with pytest.raises(StoreClosed):
            parent.session.fork("other")
        parent.store.close()
        with pytest.raises(StoreClosed):
            child.load_session_head()

    def test_makes_anew_what_was_deleted(self, parent: Living) -> None:
        old = parent.session.fork(CHILD)
        parent.store.delete_session(CHILD)
        parent.session.fork(CHILD, at="a")
        assert path(parent.handle(CHILD)) == ["a"]
        with pytest.raises(SessionNotFound):
            old.load_session_head()


class TestWithoutEachOther:
    """Neither session needs the other, whatever becomes of it."""

    def test_the_parent_is_deleted_for_good(self, parent: Living) -> None:
        before = everything(parent.session.fork(CHILD, at="b"))
        parent.store.delete_session(SESSION)
        parent.store.purge(everything=True)
        parent.reopen()
        assert everything(parent.handle(CHILD)) == before

    def test_the_child_is_deleted_for_good(self, parent: Living) -> None:
        before = everything(parent.session)
        parent.session.fork(CHILD)
        parent.store.delete_session(CHILD)
        parent.store.purge(everything=True)
        parent.reopen()
        assert everything(parent.session) == before

    @pytest.mark.parametrize("worked_on", [SESSION, CHILD])
    def test_one_is_vacuumed_and_collected(self, parent: Living, worked_on: str) -> None:
        parent.session.fork(CHILD)
        other = CHILD if worked_on == SESSION else SESSION
        before = everything(parent.handle(other))
        busy = parent.handle(worked_on)
        parent.append(node("n", "a"), session=busy)
        busy.tombstone_nodes(["b", "c"])
        busy.vacuum()
        busy.gc_unreachable()
        parent.reopen()
        assert everything(parent.handle(other)) == before
        assert nodes(parent.handle(worked_on)) == ["a", "n"]

    def test_a_large_value_is_collected_and_stored_again(self, parent: Living) -> None:
        """It gets a file of its own then: the other session's is not touched."""
        child = parent.session.fork(CHILD)
        parent.append(node("n", "a"), session=child)
        child.gc_unreachable()
        parent.append(node("m", "n"), session=child, checkpoint=LARGE)
        child.checkpoint()
        parent.append(node("o", "m"), session=child)
        child.gc_unreachable()
        parent.append(node("p", "o"), session=child, checkpoint=LARGE)
        parent.reopen()
        for session_id in (SESSION, CHILD):
            read = parent.handle(session_id).load_session(FullGraph())
            assert read is not None
            assert read.checkpoint.execution_state == LARGE.execution_state


class TestFiles:
    def test_are_shared(self, on_files: Living) -> None:
        on_files.append(*chain("a", "b"), checkpoint=LARGE)
        on_files.session.fork(CHILD)
        ours, theirs = _inodes(on_files.root, CHILD), _inodes(on_files.root, SESSION)
        shared = ours & theirs
        assert len(shared) == 3  # a node file, and two blobs
        assert theirs == shared
        assert len(ours - theirs) == 1  # the node file with the child's own head

    def test_of_a_hundred_megabytes_cost_next_to_nothing(self, on_files: Living) -> None:
        for number in range(25):
            state = os.urandom(1 << 21) + bytes(1 << 21)
            on_files.append(node(str(number), None), checkpoint=HydratedSessionCheckpoint(execution_state=state))
        on_files.reopen()  # so that nothing of the parent is left to be folded or merged
        counter = Counter()
        with system.installed(counter):
            child = on_files.session.fork(CHILD, at="3")
        assert counter.written < 8 * 1024
        assert counter.shared >= 25
        row = next(row for row in on_files.store.list_sessions() if row.session_id == CHILD)
        assert row.size_bytes > 100_000_000
        assert path(child) == ["3"]

    def test_are_copied_where_there_are_no_links(self, on_files: Living) -> None:
        on_files.append(*chain("a", "b"), checkpoint=LARGE)
        with system.installed(Counter(links=False)):
            child = on_files.session.fork(CHILD)
        assert not _inodes(on_files.root, CHILD) & _inodes(on_files.root, SESSION)
        on_files.store.delete_session(SESSION)
        assert path(child) == ["a", "b"]

    def test_of_values_that_were_collected_are_not_shared(self, on_files: Living) -> None:
        on_files.append(node("a", None), checkpoint=LARGE)
        on_files.session.checkpoint()
        on_files.append(node("b", "a"), checkpoint=HydratedSessionCheckpoint())
        on_files.session.gc_unreachable()
        # The parent keeps it for copies that are under way.
        assert list((_folder(on_files.root, SESSION) / "blobs").iterdir())
        on_files.session.fork(CHILD)
        blobs = _folder(on_files.root, CHILD) / "blobs"
        assert not blobs.exists() or not list(blobs.iterdir())

    def test_of_a_parent_that_lacks_one_are_not_forked(self, on_files: Living) -> None:
        on_files.append(*chain("a", "b"), checkpoint=LARGE)
        on_files.session.checkpoint()
        on_files.append(node("c", "b"))
        on_files.session.checkpoint()
        lost = min((_folder(on_files.root, SESSION) / "nodes").iterdir(), key=lambda file: -file.stat().st_size)
        kept = lost.read_bytes()
        lost.unlink()
        with pytest.raises(CorruptRecord, match="missing"):
            on_files.session.fork(CHILD)
        assert on_files.store.open_session(CHILD) is None
        lost.write_bytes(kept)

    def test_of_the_child_are_private(self, on_files: Living) -> None:
        before = os.umask(0)
        try:
            on_files.append(*chain("a", "b"), checkpoint=LARGE)
            on_files.session.fork(CHILD)
        finally:
            os.umask(before)
        for where, folders, files in os.walk(_folder(on_files.root, CHILD)):
            assert all(os.stat(os.path.join(where, name)).st_mode & 0o777 == 0o700 for name in folders)
            assert all(os.stat(os.path.join(where, name)).st_mode & 0o777 == 0o600 for name in files)

    @pytest.mark.parametrize("damage", ["missing", "flipped"])
    def test_heal_the_childs_head_and_not_the_parents(self, on_files: Living, damage: str) -> None:
        """The shared node files hold copies of the parent's head: none of them is the child's."""
        on_files.append(*chain("a", "b"))
        on_files.append(node("c", "b"))
        on_files.session.fork(CHILD, at="a")
        on_files.store.close()
        head = _folder(on_files.root, CHILD) / "head.json"
        if damage == "missing":
            head.unlink()
        else:
            content = bytearray(head.read_bytes())
            content[100] ^= 1
            head.write_bytes(content)
        with LocalStore(on_files.root, clock=on_files.clock) as store:
            child = store.open_session(CHILD)
            assert child is not None
            assert path(child) == ["a"]
            meta = child.load_session_meta()
            assert meta is not None
            assert meta.session_id == CHILD
            child.checkpoint()

    @pytest.mark.parametrize("damage", ["none", "missing", "flipped"])
    def test_of_an_earlier_session_of_the_same_id_are_not_its_own(self, on_files: Living, damage: str) -> None:
        """A session may descend from one that had its id: that one's heads are in the shared files, too."""
        on_files.append(node("a"))
        for number in range(3):
            on_files.session.create_branch(f"branch {number}")
            on_files.session.checkpoint()
        middle = on_files.session.fork(CHILD)
        on_files.store.delete_session(SESSION)
        again = middle.fork(SESSION, at="a")
        again.create_branch("its own")
        expected = everything(again)
        on_files.store.close()
        head = _folder(on_files.root, SESSION) / "head.json"
        match damage:
            case "missing":
                head.unlink()
            case "flipped":
                head.write_bytes(head.read_bytes().replace(b'"generation":', b'"generation";', 1))
        with LocalStore(on_files.root, clock=on_files.clock) as store:
            found = store.open_session(SESSION)
            assert found is not None
            assert everything(found) == expected
            found.checkpoint()


class TestInterrupted:
    """A child is there, whole, or it is not."""

    def test_a_failure_at_any_call_leaves_no_child(self, tmp_path: Path) -> None:
        number = 0
        while True:
            root = tmp_path / str(number)
            clock = ManualClock()
            with LocalStore(root, clock=clock) as store:
                live = Living(store, clock)
                live.append(*chain("a", "b"), checkpoint=LARGE)
                fault = FailsAt(number)
                try:
                    with system.installed(fault):
                        live.session.fork(CHILD)
                except BackendError:
                    assert store.open_session(CHILD) is None or fault.failed == "flush_dir"
                assert path(live.session) == ["a", "b"]
                live.append(node("c", "b"))
                if store.open_session(CHILD) is None:
                    live.session.fork(CHILD)
                child = live.handle(CHILD)
                live.append(node("k", "b"), session=child)
            with LocalStore(root, clock=clock) as store:
                assert path(live_handle(store, CHILD)) == ["a", "b", "k"]
                assert path(live_handle(store, SESSION)) == ["a", "b", "c"]
            if fault.failed is None:
                break
            number += 1
        assert number > 20

    def test_two_forks_to_one_id_make_one_child(self, on_files: Living, monkeypatch: pytest.MonkeyPatch) -> None:
        on_files.append(*chain("a", "b"))
        build = forking.build_child

        def overtaken(*args: object) -> None:
            build(*args)  # type: ignore[arg-type]
            monkeypatch.undo()
            on_files.handle().fork(CHILD, at="a")

        monkeypatch.setattr("localstore.disk.sessions.build_child", overtaken)
        with pytest.raises(SessionExists):
            on_files.session.fork(CHILD, at="b")
        assert path(on_files.handle(CHILD)) == ["a"]
        assert sorted(entry.name for entry in (on_files.root / "sessions").iterdir()) == sorted(
            [_folder(on_files.root, CHILD).name, _folder(on_files.root, SESSION).name]
        )


def live_handle(store: LocalStore, session_id: str) -> SessionStore:
    found = store.open_session(session_id)
    assert found is not None
    return found


def _folder(root: Path, session_id: str) -> Path:
    return next(folder for folder in (root / "sessions").iterdir() if folder.name.startswith(session_id))


def _inodes(root: Path, session_id: str) -> set[int]:
    folder = _folder(root, session_id)
    return {file.stat().st_ino for inner in ("nodes", "blobs") for file in (folder / inner).glob("*")}


def _of_session(item: AgentFrameRecord, session_id: str) -> AgentFrameRecord:
    return replace(item, session_id=session_id)


def _with_input(draft, given):
    return replace(draft, input=given)


def test_chains_of_forks_do_not_pile_up_files(on_files: Living) -> None:
    """What holds nothing but a copy of the parent's head stays with the parent."""
    on_files.append(*chain("a", "b"))
    session = on_files.session
    for number in range(30):
        session = session.fork(f"child-{number}")
    on_files.reopen()
    assert path(on_files.handle("child-29")) == ["a", "b"]
    assert len(list((_folder(on_files.root, "child-29") / "nodes").iterdir())) == 2
