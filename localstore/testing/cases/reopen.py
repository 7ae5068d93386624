"""What outlives the store: everything, when it is closed and opened again."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from ... import (
    ActivePath,
    ChildSession,
    HydratedSessionCheckpoint,
    InputAlreadyCancelled,
    PendingTurnInputDraft,
    PersistedSessionConfig,
    RuntimeTurnCommitConflict,
    SessionExecutionLeaseExpired,
    SessionMeta,
    StoreClosed,
    StoredAttachment,
    TurnInput,
    TurnInputState,
)
from ..backends import Capability
from ..builders import (
    OTHER,
    PNG,
    SESSION,
    active_input,
    append_commit,
    chain,
    frame,
    intent,
    next_input,
    node,
    owner,
    replace_commit,
    stamped,
    unchanged_commit,
    usage,
    wake,
)
from ..clocks import SteppedClock
from .sessions import ODD_IDS
from .world import HOUR, MINUTE, Conformance, World

DURABLE = frozenset({Capability.DURABLE, Capability.ATTACHMENTS, Capability.QUEUED_WORK, Capability.TURN_INPUT})


def same_after_reopening(world: World) -> None:
    """All that any read shows is the same after closing and opening, twice."""
    before = world.everything()
    world.reopen()
    assert world.everything() == before
    world.reopen()
    assert world.everything() == before


class TestReopening(Conformance):
    """Closing a store and opening it again."""

    requires = DURABLE

    def test_keeps_an_empty_store(self, world: World) -> None:
        """A store without sessions is a store."""
        world.store.create_session(OTHER)
        world.store.delete_session(OTHER)
        same_after_reopening(world)

    def test_keeps_the_graph(self, world: World) -> None:
        """Nodes, their order, branches, leaf and tombstones are kept."""
        world.append(*chain("a", "b", "c"))
        world.append(*chain("d", "e", after="a"))
        world.session.tombstone_nodes(("b",))
        same_after_reopening(world)
        assert world.node_ids() == ["a", "c", "d", "e"]
        read = world.session.load_session(ActivePath("c"))
        assert read is not None
        assert [item.node_id for item in read.graph.nodes] == ["c"]
        assert world.session.vacuum().removed_node_count == 1
        same_after_reopening(world)

    def test_leads_no_path_through_what_was_hidden_since(self, world: World) -> None:
        """A parent that was hidden after it was written ends a path; one committed again is the new one."""
        world.append(*chain("a", "b", "c"))
        world.reopen()
        world.session.tombstone_nodes(("b",))
        world.reopen()
        hidden = world.session.load_session(ActivePath("c"))
        assert hidden is not None
        assert [item.node_id for item in hidden.graph.nodes] == ["c"]
        world.append(node("b"))
        world.reopen()
        again = world.session.load_session(ActivePath("c"))
        assert again is not None
        assert [item.node_id for item in again.graph.nodes] == ["b", "c"]

    def test_keeps_several_roots(self, world: World) -> None:
        """Nodes without a parent are kept beside each other, and no id but those that were named dangles."""
        world.append(node("first"))
        world.append(node("a"), node("b"), node("c", "elsewhere"))
        same_after_reopening(world)
        world.session.tombstone_nodes(("b",))
        assert world.session.vacuum().removed_node_count == 1
        same_after_reopening(world)

    def test_keeps_the_settled_state(self, world: World) -> None:
        """Config, frames, checkpoint and usage are kept."""
        world.settle(
            append_commit(
                node("a"),
                config=PersistedSessionConfig("p", {"m": [1, None]}),
                agent_frames=(frame("f1", execution_state_snapshot=b"snapshot"), frame("f2")),
                current_agent_frame_id="f2",
                checkpoint=HydratedSessionCheckpoint(
                    tool_state={"t": 1}, plugin_snapshot="p" * 100_000, execution_state=b"e" * 100_000
                ),
                usage_deltas=(usage("s", "m"), usage("t", "m")),
            )
        )
        world.settle(append_commit(node("b", "a"), usage_deltas=(usage("s", "m"),)))
        same_after_reopening(world)
        assert world.settle(append_commit(node("c", "b"), expected_head_revision=2)).head_revision == 3

    def test_keeps_metadata_and_summaries(self, world: World) -> None:
        """Metadata, relation and the lines of the list are kept, order included."""
        meta = SessionMeta(SESSION, "Name ✓", "2020-01-01T00:00:00Z", "m", "/cwd", ChildSession(OTHER, [1]))
        world.clock.advance(MINUTE)
        world.store.create_session(OTHER)
        world.clock.advance(MINUTE)
        world.session.save_session_meta(meta)
        same_after_reopening(world)
        assert world.listed() == [SESSION, OTHER]

    def test_keeps_inputs_with_their_images(self, world: World) -> None:
        """Waiting input is kept, byte for byte and in order."""
        given = TurnInput.text("look").with_image_ref("i", bytes(range(256)) * 1000)
        world.say(PendingTurnInputDraft(SESSION, active_input("x").ingress, given, source_key="k"))
        world.say(next_input("next"))
        same_after_reopening(world)
        (first, _) = world.session.list_pending_turn_inputs(SESSION)
        assert first.input == given

    def test_judges_a_lease_by_the_wall_where_no_boot_clock_did(self, world: World) -> None:
        """A lease that was granted without a boot clock ends by the wall clock, also for a store that has one."""
        world.lease(ttl_ms=MINUTE)
        world.clock = SteppedClock(world.clock.now_ms() + MINUTE - 1)
        world.reopen()
        assert world.session.get_session_execution_lease(SESSION) is not None
        world.clock.advance(1)
        assert world.session.get_session_execution_lease(SESSION) is None

    def test_keeps_claims(self, world: World) -> None:
        """After a clean close claims are as live as before, and may be completed."""
        world.say(active_input("hello"))
        world.queue(wake())
        inputs, work = world.take_active(), world.take_work()
        same_after_reopening(world)
        assert world.pending() == world.waiting() == []
        assert inputs is not None
        assert work is not None
        world.settle(unchanged_commit().completing_turn_input_claim(inputs).completing_queue_claim(work))
        same_after_reopening(world)
        assert world.queued() == []

    def test_keeps_expired_claims_ownable(self, world: World) -> None:
        """An expired claim that nobody took may be completed after reopening too."""
        world.say(active_input("hello"))
        claim = world.take_active(ttl_ms=MINUTE)
        world.reopen()
        world.clock.advance(HOUR)
        assert len(world.pending()) == 1
        assert claim is not None
        world.settle(unchanged_commit().completing_turn_input_claim(claim))
        assert world.pending() == []

    def test_keeps_the_lease(self, world: World) -> None:
        """A live lease is live after a clean close, and serves its holder."""
        lease = world.lease()
        same_after_reopening(world)
        assert world.session.get_session_execution_lease(SESSION) == lease
        world.session.commit_runtime_state(append_commit(node("a")).with_session_execution_lease(lease.fence()))

    def test_keeps_fencing_tokens_growing(self, world: World) -> None:
        """Fencing tokens grow across releases and restarts."""
        tokens = []
        for number in range(5):
            lease = world.lease(owner(f"w{number}"))
            tokens.append(lease.fencing_token)
            if number % 2:
                world.session.release_session_execution_lease(lease.completion())
            else:
                world.clock.advance(HOUR)
            world.reopen()
        assert all(later > earlier for earlier, later in pairwise(tokens))

    def test_keeps_released_leases_released(self, world: World) -> None:
        """A released lease does not come back."""
        lease = world.lease()
        world.session.release_session_execution_lease(lease.completion())
        world.reopen()
        with pytest.raises(SessionExecutionLeaseExpired):
            world.session.renew_session_execution_lease(lease.fence(), HOUR)

    def test_keeps_claim_tokens_growing(self, world: World) -> None:
        """A re-claim after reopening has a higher fencing token."""
        world.say(active_input("hello"))
        world.queue(wake())
        inputs, work = world.take_active(), world.take_work()
        world.reopen()
        world.clock.advance(MINUTE)
        more_inputs, more_work = world.take_active(), world.take_work()
        assert inputs is not None
        assert work is not None
        assert more_inputs is not None
        assert more_work is not None
        assert more_inputs.fencing_token > inputs.fencing_token
        assert more_work.fencing_token > work.fencing_token

    def test_keeps_stamps(self, world: World) -> None:
        """A turn that was committed before the restart is replayed after it, and conflicts alike."""
        commit = stamped(append_commit(node("a"), checkpoint=HydratedSessionCheckpoint(tool_state=1)))
        result = world.settle(commit)
        world.settle(unchanged_commit("a"))
        world.session.gc_unreachable()
        world.reopen()
        assert world.session.commit_runtime_state(commit) == result
        with pytest.raises(RuntimeTurnCommitConflict):
            world.session.commit_runtime_state(stamped(append_commit(node("b"))))
        assert world.say(active_input("late")).state is TurnInputState.DEFERRED_NEXT_TURN

    def test_keeps_source_keys_and_terminal_inputs(self, world: World) -> None:
        """Terminal inputs and their source keys are kept until they are vacuumed away."""
        first = world.say(next_input("hello", source_key="k"))
        world.session.cancel_pending_turn_input(SESSION, first.input_id)
        world.queue(wake(source_key="k"))
        world.reopen()
        assert world.say(next_input("hello", source_key="k")) == replace(first, state=TurnInputState.CANCELLED)
        outcome = world.session.cancel_pending_turn_input(SESSION, first.input_id)
        assert isinstance(outcome, InputAlreadyCancelled)
        world.queue(wake("other", source_key="k"))
        assert len(world.queued()) == 1
        world.session.vacuum()
        world.reopen()
        assert world.say(next_input("hello", source_key="k")).input_id != first.input_id

    def test_keeps_what_was_submitted(self, world: World) -> None:
        """The retry of an input that was deferred is recognised after reopening."""
        first = world.say(active_input("hello", source_key="k"))
        world.settle(unchanged_commit().deferring_interrupted_turn_inputs("turn-1"))
        world.reopen()
        assert world.say(active_input("hello", source_key="k")).input_id == first.input_id

    def test_keeps_numbers_growing(self, world: World) -> None:
        """Sequence numbers go on where they were, though the last ones are gone."""
        item, batch = world.say(next_input("1")), world.queue(wake("1"))
        world.session.cancel_pending_turn_input(SESSION, item.input_id)
        world.session.cancel_queued_work_batch(SESSION, batch.batch_id)
        world.session.vacuum()
        world.reopen()
        assert world.say(next_input("2")).enqueue_seq > item.enqueue_seq
        assert world.queue(wake("2")).enqueue_seq > batch.enqueue_seq

    def test_keeps_attachments(self, world: World) -> None:
        """Rows, their commit stamps, the bytes and their meta are kept."""
        for name in ("a", "b"):
            world.session.record_intent(intent(name))
        world.settle(unchanged_commit(committed_attachment_ids=("a",)))
        ref = world.store.attachments.put(b"data" * 50_000, PNG)
        same_after_reopening(world)
        assert world.store.attachments.get(ref.id) == StoredAttachment(PNG, b"data" * 50_000)
        world.session.record_intent(intent("a"))
        assert [entry.attachment_id for entry in world.session.list_uncommitted(2**52)] == ["b"]

    def test_keeps_blobs_referable(self, world: World) -> None:
        """A blob stored before the restart may be referred to after it."""
        world.settle(unchanged_commit(checkpoint=HydratedSessionCheckpoint(execution_state=b"x")))
        ref = world.read().checkpoint.execution_state_ref
        world.settle(unchanged_commit())
        world.reopen()
        world.settle(unchanged_commit(checkpoint=HydratedSessionCheckpoint(execution_state_ref=ref)))
        assert world.read().checkpoint.execution_state == b"x"

    def test_keeps_deletions(self, world: World) -> None:
        """Deleted, vacuumed, replaced and completed things do not come back."""
        world.store.create_session(OTHER)
        world.settle(append_commit(node("x"), session_id=OTHER))
        world.append(*chain("a", "b"))
        world.settle(replace_commit(node("c")))
        world.store.delete_session(OTHER)
        world.reopen()
        assert world.listed() == [SESSION]
        assert world.node_ids() == ["c"]
        again = world.store.create_session(OTHER)
        assert again.load_node("x") is None
        assert world.lease(session_id=OTHER).fencing_token == 1

    def test_keeps_every_id_whatever_it_looks_like(self, world: World) -> None:
        """Sessions of any id are found again."""
        for session_id in ODD_IDS.values():
            world.store.create_session(session_id)
        same_after_reopening(world)
        assert set(world.listed()) == {SESSION, *ODD_IDS.values()}

    def test_keeps_a_long_history(self, world: World) -> None:
        """Hundreds of commits are read back as they were made, and the next one follows them."""
        fence = world.fence()
        parent = None
        for number in range(300):
            commit = append_commit(node(f"n{number}", parent), usage_deltas=(usage("s", "m"),))
            world.session.commit_runtime_state(stamped(commit, f"t{number}").with_session_execution_lease(fence))
            parent = f"n{number}"
            if number % 100 == 99:
                world.reopen()
        assert world.node_ids() == [f"n{number}" for number in range(300)]
        assert world.read().token_ledger == (usage("s", "m", 300),)
        assert world.session.load_node("n7") == node("n7", "n6")
        assert world.append(node("last", parent)).head_revision == 301

    def test_closes_the_handles_of_before(self, world: World) -> None:
        """A handle of the closed store stays closed."""
        old = world.session
        world.reopen()
        with pytest.raises(StoreClosed):
            old.load_session_meta()
