"""Moving the head back, and taking moves back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from localstore import (
    ActivePath,
    GraphReplaceFull,
    HeadMove,
    HeadMoveKind,
    HeadRevisionConflict,
    HydratedSessionCheckpoint,
    InvalidArgument,
    InvalidCommit,
    LocalStore,
    NodeNotFound,
    NothingToUndo,
    SessionExecutionLeaseExpired,
    SessionExecutionLeaseHeld,
    SessionGraph,
)
from localstore.testing import SESSION, chain, frame, node, stamped, usage
from localstore.testing.builders import append_commit
from tests.history.living import (
    HOUR,
    Living,
    identity_of_a_dead_process,
    in_another_process,
    leaf,
    nodes,
    path,
    revision,
)


@pytest.fixture
def three(live: Living) -> Living:
    """Three commits: a; b; c, each the parent of the next."""
    live.append(node("a"))
    live.append(node("b", "a"))
    live.append(node("c", "b"))
    return live


def test_moves_the_leaf_and_nothing_else(live: Living) -> None:
    live.append(
        *chain("a", "b", "c"),
        agent_frames=(frame(execution_state_snapshot=b"snapshot"),),
        current_agent_frame_id="frame-1",
        checkpoint=HydratedSessionCheckpoint(tool_state={"open": ["x"]}, execution_state=b"x" * 40_000),
        usage_deltas=(usage("agent", "m", 7),),
    )
    before = live.session.load_session(ActivePath("a"))
    result = live.session.rewind("a")
    after = live.session.load_session(ActivePath())
    assert before is not None
    assert after is not None
    assert (result.head_revision, after.head_revision) == (2, 2)
    assert after.graph == before.graph
    assert (result.checkpoint_ref, after.checkpoint_ref) == (before.checkpoint_ref, before.checkpoint_ref)
    same = ("config", "agent_frames", "current_agent_frame_id", "checkpoint", "token_ledger")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]
    assert nodes(live.session) == ["a", "b", "c"]


def test_goes_on_from_there(three: Living) -> None:
    three.session.rewind("a")
    three.append(node("d", "a"))
    assert path(three.session) == ["a", "d"]
    assert nodes(three.session) == ["a", "b", "c", "d"]


def test_may_leave_no_leaf(three: Living) -> None:
    three.session.rewind(None)
    assert (leaf(three.session), path(three.session)) == (None, [])
    three.append(node("r"))
    assert path(three.session) == ["r"]


def test_survives_reopening_vacuum_and_collection(three: Living) -> None:
    three.session.rewind("a")
    three.session.vacuum()
    three.session.gc_unreachable()
    three.reopen()
    assert (revision(three.session), path(three.session)) == (4, ["a"])
    three.session.undo()
    assert path(three.session) == ["a", "b", "c"]


def test_is_activity(three: Living) -> None:
    three.clock.advance(HOUR)
    three.session.rewind("a")
    assert three.store.list_sessions()[0].updated_at_ms == three.clock.now_ms()
    assert three.session.head_log()[-1].at_ms == three.clock.now_ms()


class TestRefusals:
    def test_an_unknown_node(self, three: Living) -> None:
        with pytest.raises(NodeNotFound) as caught:
            three.session.rewind("nobody")
        assert caught.value.node_id == "nobody"
        assert (revision(three.session), leaf(three.session)) == (3, "c")

    def test_a_tombstoned_node(self, three: Living) -> None:
        three.session.tombstone_nodes(["a"])
        with pytest.raises(NodeNotFound):
            three.session.rewind("a")

    def test_before_the_first_commit(self, live: Living) -> None:
        for move in (lambda: live.session.rewind(None), live.session.undo):
            with pytest.raises(InvalidCommit, match="no commit yet"):
                move()
        assert live.session.load_session_head() is None

    def test_another_revision_than_expected(self, three: Living) -> None:
        with pytest.raises(HeadRevisionConflict) as caught:
            three.session.rewind("a", expected_head_revision=2)
        assert (caught.value.expected, caught.value.actual) == (2, 3)
        assert three.session.rewind("a", expected_head_revision=3).head_revision == 4

    @pytest.mark.parametrize("bad", ["", 7, "\ud800"])
    def test_what_is_no_node_id(self, three: Living, bad: object) -> None:
        with pytest.raises(InvalidArgument):
            three.session.rewind(bad)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument):
            three.session.rewind("a", fence=bad)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument):
            three.session.undo(fence=bad)  # type: ignore[arg-type]


class TestFencing:
    MOVES: tuple[Callable[[Living], object], ...] = (
        lambda live: live.session.rewind("a"),
        lambda live: live.session.undo(),
        lambda live: live.session.switch_branch("here"),
    )

    @pytest.mark.parametrize("number", range(3))
    def test_without_a_fence_a_holder_is_respected(self, three: Living, number: int) -> None:
        three.session.create_branch("here", "a")
        lease = three.lease(three.session)
        with pytest.raises(SessionExecutionLeaseHeld) as caught:
            self.MOVES[number](three)
        assert caught.value.session_id == SESSION
        assert caught.value.owner_id == lease.owner.owner_id
        assert caught.value.expires_at_epoch_ms == lease.expires_at_epoch_ms
        assert (revision(three.session), leaf(three.session)) == (3, "c")

    @pytest.mark.parametrize("number", range(3))
    def test_without_a_fence_the_lease_is_free_again(self, three: Living, number: int) -> None:
        three.session.create_branch("here", "a")
        before = three.lease(three.session)
        three.session.release_session_execution_lease(before.completion())
        self.MOVES[number](three)
        assert three.session.get_session_execution_lease(SESSION) is None
        assert three.lease(three.session).fencing_token > before.fencing_token

    def test_a_lease_that_expired_is_superseded(self, three: Living) -> None:
        old = three.lease(three.session, ttl_ms=HOUR)
        three.clock.advance(HOUR)
        three.session.rewind("a")
        with pytest.raises(SessionExecutionLeaseExpired):
            three.session.renew_session_execution_lease(old.fence(), HOUR)
        with pytest.raises(SessionExecutionLeaseExpired):
            three.session.commit_runtime_state(append_commit(node("late", "c"), session_execution_lease=old.fence()))
        assert leaf(three.session) == "a"
        # The token of the move lies between.
        assert three.lease(three.session).fencing_token == old.fencing_token + 2

    def test_a_holder_that_is_dead_is_taken_over(self, three: Living) -> None:
        dead = identity_of_a_dead_process()
        assert three.session.try_claim_session_execution_lease(SESSION, dead, HOUR).acquired() is not None
        three.session.rewind("a")
        assert leaf(three.session) == "a"
        assert three.session.get_session_execution_lease(SESSION) is None

    def test_a_fence_keeps_its_lease(self, three: Living) -> None:
        lease = three.lease(three.session)
        three.session.create_branch("here", "b")
        assert three.session.rewind("a", fence=lease.fence()).head_revision == 4
        assert three.session.undo(fence=lease.fence()).head_revision == 5
        assert three.session.switch_branch("here", lease.fence()).head_revision == 6
        assert three.session.get_session_execution_lease(SESSION) == lease

    def test_a_stale_fence_is_refused(self, three: Living) -> None:
        stale = three.lease(three.session)
        three.session.release_session_execution_lease(stale.completion())
        three.session.create_branch("here", "b")
        for move in (
            lambda: three.session.rewind("a", fence=stale.fence()),
            lambda: three.session.undo(fence=stale.fence()),
            lambda: three.session.switch_branch("here", stale.fence()),
        ):
            with pytest.raises(SessionExecutionLeaseExpired):
                move()
        assert (revision(three.session), leaf(three.session)) == (3, "c")

    def test_a_commit_from_before_is_out_of_date(self, three: Living) -> None:
        three.session.rewind("a")
        with pytest.raises(HeadRevisionConflict):
            three.append(node("d", "c"), expected_head_revision=3)


class TestUndo:
    def test_takes_back_a_commit(self, three: Living) -> None:
        assert three.session.undo().head_revision == 4
        assert path(three.session) == ["a", "b"]
        assert nodes(three.session) == ["a", "b", "c"]

    def test_walks_further_back_when_repeated(self, three: Living) -> None:
        for expected in (["a", "b"], ["a"], []):
            three.session.undo()
            assert path(three.session) == expected
        for _ in range(2):
            with pytest.raises(NothingToUndo) as caught:
                three.session.undo()
            assert caught.value.session_id == SESSION
        assert revision(three.session) == 6

    def test_takes_back_a_rewind(self, three: Living) -> None:
        three.session.rewind("a")
        three.session.undo()
        assert leaf(three.session) == "c"
        three.session.undo()
        assert leaf(three.session) == "b"

    def test_passes_over_what_was_undone(self, three: Living) -> None:
        three.session.undo()
        three.session.undo()
        three.append(node("d", "a"))
        three.session.rewind(None)
        for expected in ("d", "a", None):
            three.session.undo()
            assert leaf(three.session) == expected
        with pytest.raises(NothingToUndo):
            three.session.undo()

    def test_is_undone_by_a_rewind(self, three: Living) -> None:
        three.session.undo()
        three.session.rewind("c")
        assert leaf(three.session) == "c"
        three.session.undo()
        assert leaf(three.session) == "b"

    def test_is_refused_where_the_former_leaf_is_gone(self, three: Living) -> None:
        three.session.tombstone_nodes(["b"])
        with pytest.raises(NodeNotFound) as caught:
            three.session.undo()
        assert caught.value.node_id == "b"
        assert (revision(three.session), leaf(three.session)) == (3, "c")

    def test_does_not_bring_back_a_graph_that_was_replaced(self, three: Living) -> None:
        three.settle(three.session, GraphReplaceFull(SessionGraph((node("n"),), "n")))
        with pytest.raises(NodeNotFound):
            three.session.undo()
        assert nodes(three.session) == ["n"]

    def test_goes_on_after_a_vacuum(self, three: Living) -> None:
        three.session.tombstone_nodes(["c"])
        three.session.vacuum()
        assert leaf(three.session) is None
        three.session.undo()
        assert leaf(three.session) == "b"

    def test_keeps_the_stamp_of_the_turn(self, three: Living) -> None:
        """The turn happened, whatever the head is now: repeated, it is answered and commits nothing."""
        lease = three.lease(three.session)
        turn = stamped(append_commit(node("t", "c"))).with_session_execution_lease(lease.fence())
        done = three.session.commit_runtime_state(turn)
        three.session.undo(fence=lease.fence())
        assert three.session.commit_runtime_state(turn) == done
        assert leaf(three.session) == "c"


class TestHeadLog:
    def test_tells_every_move(self, three: Living) -> None:
        lease = three.lease(three.session)
        turn = stamped(append_commit(node("d", "c")), "turn-9").with_session_execution_lease(lease.fence())
        three.session.commit_runtime_state(turn)
        three.session.rewind("a", fence=lease.fence())
        three.session.undo(fence=lease.fence())
        now = three.clock.now_ms()
        expected = (
            HeadMove(1, now, HeadMoveKind.COMMIT, "a", None),
            HeadMove(2, now, HeadMoveKind.COMMIT, "b", "a"),
            HeadMove(3, now, HeadMoveKind.COMMIT, "c", "b"),
            HeadMove(4, now, HeadMoveKind.COMMIT, "d", "c", turn_id="turn-9"),
            HeadMove(5, now, HeadMoveKind.REWIND, "a", "d"),
            HeadMove(6, now, HeadMoveKind.UNDO, "d", "a", undone_revision=5),
        )
        for _ in range(2):
            assert three.session.head_log() == expected
            assert three.session.head_log(2) == expected[-2:]
            assert three.session.head_log(100) == expected
            assert three.session.head_log(0) == ()
            three.reopen()

    def test_survives_a_vacuum(self, three: Living) -> None:
        three.session.rewind("a")
        three.session.tombstone_nodes(["b"])
        before = three.session.head_log()
        three.session.vacuum()
        assert three.session.head_log() == before
        assert len(before) == 4

    def test_is_empty_before_the_first_commit(self, live: Living) -> None:
        assert (live.session.head_log(), live.session.head_log(5)) == ((), ())

    @pytest.mark.parametrize("bad", [-1, True, "5", 1.0])
    def test_refuses_what_is_no_limit(self, live: Living, bad: object) -> None:
        with pytest.raises(InvalidArgument):
            live.session.head_log(bad)  # type: ignore[arg-type]


def test_is_seen_by_another_process(on_files: Living) -> None:
    on_files.append(*chain("a", "b", "c"))
    assert in_another_process(_rewind_there, on_files.root) == 2
    assert path(on_files.session) == ["a"]
    on_files.session.undo()
    assert in_another_process(_leaf_there, on_files.root) == "c"


def _rewind_there(root: Path) -> int:
    with LocalStore(root) as store:
        session = store.open_session(SESSION)
        assert session is not None
        return session.rewind("a").head_revision


def _leaf_there(root: Path) -> str | None:
    with LocalStore(root) as store:
        session = store.open_session(SESSION)
        assert session is not None
        return leaf(session)
