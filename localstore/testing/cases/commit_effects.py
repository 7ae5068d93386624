"""What a commit changes, all of it together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ... import (
    GraphAppend,
    HydratedSessionCheckpoint,
    InputAlreadyCompleted,
    NextTurn,
    PersistedSessionConfig,
    RuntimeCommit,
    SessionExecutionLeaseExpired,
    TokenLedgerEntry,
    TokenUsage,
    TurnInputClaimExpired,
    TurnInputState,
)
from ..backends import Capability
from ..builders import (
    SESSION,
    TURN,
    active_input,
    append_commit,
    chain,
    frame,
    next_input,
    node,
    owner,
    unchanged_commit,
    usage,
    wake,
)
from .world import MINUTE, Conformance, World


class TestResult(Conformance):
    """What a commit returns, and what it stores as it is."""

    def test_grows_the_head_by_exactly_1(self, world: World) -> None:
        """Every commit grows the head revision by exactly 1, whatever it changes."""
        for number in range(1, 21):
            result = world.settle(unchanged_commit() if number % 2 else append_commit(node(f"n{number}")))
            assert result.head_revision == number
            assert world.read().head_revision == number

    def test_names_the_checkpoint(self, world: World) -> None:
        """The result's reference is that of the stored checkpoint."""
        checkpoint = HydratedSessionCheckpoint(execution_state=b"state")
        result = world.settle(append_commit(node("a"), checkpoint=checkpoint))
        read = world.read()
        assert result.checkpoint_ref == read.checkpoint_ref
        assert result.manifest.execution_state_ref == read.checkpoint.execution_state_ref

    def test_stores_config_and_frames_as_they_are(self, world: World) -> None:
        """Config, frames and current frame are the whole new state."""
        config = PersistedSessionConfig("provider", {"name": "m", "options": [1, None, {"x": 1.5}]})
        frames = (
            frame("f1", status="done", reason="finished", created_at="2026-01-01T00:00:00Z"),
            frame(
                "f2",
                previous_frame_id="f1",
                caused_by=["call", 1],
                assignment={"agent": "b"},
                protocol_turn_options={"depth": 3},
            ),
        )
        world.settle(append_commit(node("a"), config=config, agent_frames=frames, current_agent_frame_id="f2"))
        read = world.read()
        assert (read.config, read.agent_frames, read.current_agent_frame_id) == (config, frames, "f2")

    def test_replaces_config_and_frames(self, world: World) -> None:
        """What the next commit does not carry is gone."""
        world.settle(
            append_commit(
                node("a"),
                config=PersistedSessionConfig("provider", {"name": "m"}),
                agent_frames=(frame("f1"), frame("f2")),
                current_agent_frame_id="f1",
            )
        )
        world.settle(unchanged_commit("a", agent_frames=(frame("f3"),)))
        read = world.read()
        assert read.config == PersistedSessionConfig()
        assert (read.agent_frames, read.current_agent_frame_id) == ((frame("f3"),), None)

    @pytest.mark.parametrize(
        "config",
        [PersistedSessionConfig("other", {"m": 1}), PersistedSessionConfig("p", {"m": 2}), PersistedSessionConfig()],
        ids=["provider", "model", "both"],
    )
    def test_replaces_any_part_of_the_config(self, world: World, config: PersistedSessionConfig) -> None:
        """The config of the last commit counts, in whatever it differs from the one before."""
        world.settle(append_commit(node("a"), config=PersistedSessionConfig("p", {"m": 1})))
        for _ in range(2):
            world.settle(unchanged_commit("a", config=config))
            assert world.read().config == config

    @pytest.mark.parametrize(
        "change",
        [
            {"status": "done"},
            {"reason": "why"},
            {"caused_by": {"x": 1}},
            {"assignment": {"x": 1}},
            {"protocol_turn_options": {"x": 1}},
            {"previous_frame_id": "f0"},
            {"created_at": "2026-01-01T00:00:00Z"},
            {"execution_state_snapshot": b"other"},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_replaces_any_part_of_a_frame(self, world: World, change: dict[str, Any]) -> None:
        """The frames of the last commit count, in whatever they differ from the ones before."""
        first = frame("f1", execution_state_snapshot=b"state")
        world.settle(append_commit(node("a"), agent_frames=(first,)))
        changed = replace(first, **change)
        world.settle(unchanged_commit("a", agent_frames=(changed,)))
        (found,) = world.read().agent_frames
        assert replace(found, execution_state_ref=None) == changed

    def test_replaces_the_current_frame_alone(self, world: World) -> None:
        """The current frame may change while the frames stay."""
        frames = (frame("f1"), frame("f2"))
        for current in ("f1", "f2", None):
            world.settle(unchanged_commit(agent_frames=frames, current_agent_frame_id=current))
            assert world.read().current_agent_frame_id == current
            assert world.read().agent_frames == frames

    def test_is_seen_by_other_handles_at_once(self, world: World) -> None:
        """A commit is seen by every handle of the session."""
        other = world.handle()
        world.append(node("a"))
        head = other.load_session_head()
        assert head is not None
        assert (head.head_revision, head.leaf_node_id) == (1, "a")

    def test_may_come_from_any_handle(self, world: World) -> None:
        """The lease belongs to an owner, not to a handle."""
        fence = world.fence()
        other = world.handle()
        other.commit_runtime_state(append_commit(node("a")).with_session_execution_lease(fence))
        world.session.commit_runtime_state(append_commit(node("b", "a")).with_session_execution_lease(fence))
        assert world.node_ids() == ["a", "b"]


class TestTokenLedger(Conformance):
    """Token usage."""

    def settle(self, world: World, *deltas: TokenLedgerEntry) -> tuple[TokenLedgerEntry, ...]:
        """The ledger after one more commit."""
        world.settle(unchanged_commit(usage_deltas=deltas))
        return world.read().token_ledger

    def test_is_empty_without_usage(self, world: World) -> None:
        """Without deltas there is no entry."""
        assert self.settle(world) == ()

    def test_adds_every_count(self, world: World) -> None:
        """Deltas of one source and model are summed count by count, within a commit and across commits."""
        one, two = TokenUsage(1, 2, 3, 4, 5), TokenUsage(10, 20, 30, 40, 50)
        self.settle(world, TokenLedgerEntry("s", "m", one), TokenLedgerEntry("s", "m", two))
        ledger = self.settle(world, TokenLedgerEntry("s", "m", one))
        assert ledger == (TokenLedgerEntry("s", "m", TokenUsage(12, 24, 36, 48, 60)),)

    def test_keeps_sources_and_models_apart(self, world: World) -> None:
        """There is one entry for each pair of source and model."""
        ledger = self.settle(world, usage("s", "m"), usage("s", "n"), usage("t", "m"), usage("s", "m"))
        assert ledger == (usage("s", "m", 2), usage("s", "n"), usage("t", "m"))

    def test_stays_in_first_seen_order(self, world: World) -> None:
        """Entries stand in the order in which their pairs were first seen."""
        self.settle(world, usage("z", "m"), usage("a", "m"))
        ledger = self.settle(world, usage("k", "m"), usage("a", "m"), usage("z", "m"))
        assert [entry.source for entry in ledger] == ["z", "a", "k"]

    def test_stays_when_a_commit_has_no_usage(self, world: World) -> None:
        """Usage is added and never replaced."""
        self.settle(world, usage("s", "m", 7))
        assert self.settle(world) == (usage("s", "m", 7),)


class TestCompletedWork(Conformance):
    """What becomes of completed work and input."""

    requires = frozenset({Capability.QUEUED_WORK, Capability.TURN_INPUT})

    def test_completed_batches_leave_the_queue(self, world: World) -> None:
        """Completed batches are gone, the others stay."""
        world.queue(wake("done"))
        claim = world.take_work()
        assert claim is not None
        left = world.queue(wake("left"))
        world.settle(unchanged_commit().completing_queue_claim(claim))
        assert world.queued() == [left.batch_id]

    def test_completed_inputs_become_completed(self, world: World) -> None:
        """Completed inputs are terminal: COMPLETED, and no longer listed."""
        world.say(active_input("one"))
        world.say(active_input("two"))
        claim = world.take_active()
        assert claim is not None
        world.settle(unchanged_commit().completing_turn_input_claim(claim))
        assert world.pending() == []
        for item in claim.inputs:
            outcome = world.session.cancel_pending_turn_input(SESSION, item.input_id)
            assert isinstance(outcome, InputAlreadyCompleted)
            assert outcome.input.state is TurnInputState.COMPLETED
            assert outcome.input.input == item.input

    def test_next_turn_inputs_are_completed_alike(self, world: World) -> None:
        """A claim on next-turn input is completed by a commit too."""
        item = world.say(next_input("one"))
        claim = world.take_next()
        assert claim is not None
        world.settle(unchanged_commit().completing_turn_input_claim(claim))
        outcome = world.session.cancel_pending_turn_input(SESSION, item.input_id)
        assert isinstance(outcome, InputAlreadyCompleted)

    def test_several_claims_are_completed_together(self, world: World) -> None:
        """A commit completes any number of claims of both kinds."""
        commit = unchanged_commit()
        for number in range(3):
            world.say(active_input(f"{number}"))
            inputs = world.take_active()
            assert inputs is not None
            world.queue(wake(f"{number}"))
            work = world.take_work()
            assert work is not None
            commit = commit.completing_turn_input_claim(inputs).completing_queue_claim(work)
        world.settle(commit)
        assert world.queued() == world.pending() == []


class TestReleasingCommit(Conformance):
    """Commits that release the lease."""

    def test_releases_the_lease(self, world: World) -> None:
        """A commit that asks for it releases the lease."""
        lease = world.lease()
        commit = append_commit(node("a")).with_session_execution_lease(lease.fence())
        world.session.commit_runtime_state(commit.releasing_session_execution_lease(lease.completion()))
        assert world.session.get_session_execution_lease(SESSION) is None
        with pytest.raises(SessionExecutionLeaseExpired):
            world.session.commit_runtime_state(append_commit(node("b")).with_session_execution_lease(lease.fence()))
        assert world.lease(owner("next")).fencing_token > lease.fencing_token

    def test_keeps_the_lease_unless_asked(self, world: World) -> None:
        """A commit without a release leaves lease and expiry alone."""
        lease = world.lease()
        world.session.commit_runtime_state(append_commit(node("a")).with_session_execution_lease(lease.fence()))
        assert world.session.get_session_execution_lease(SESSION) == lease

    def test_with_a_stale_release_keeps_the_lease(self, world: World) -> None:
        """A release that does not name the current lease touches nothing."""
        stale = world.lease(ttl_ms=MINUTE).completion()
        world.clock.advance(MINUTE)
        lease = world.lease(owner("next"))
        commit = append_commit(node("a")).with_session_execution_lease(lease.fence())
        world.session.commit_runtime_state(commit.releasing_session_execution_lease(stale))
        assert world.session.get_session_execution_lease(SESSION) == lease


class TestInterruptedTurn(Conformance):
    """Commits that interrupt a turn."""

    requires = frozenset({Capability.TURN_INPUT})

    def interrupting(self, turn_id: str = TURN) -> RuntimeCommit:
        """A commit that says that the turn was interrupted."""
        return unchanged_commit().deferring_interrupted_turn_inputs(turn_id)

    def test_defers_pending_inputs(self, world: World) -> None:
        """Pending inputs of the interrupted turn become next-turn input."""
        item = world.say(active_input("hello"))
        world.settle(self.interrupting())
        (now,) = world.session.list_pending_turn_inputs(SESSION)
        assert (now.input_id, now.input, now.enqueue_seq) == (item.input_id, item.input, item.enqueue_seq)
        assert (now.state, now.ingress) == (TurnInputState.DEFERRED_NEXT_TURN, NextTurn())

    def test_defers_accepted_inputs_and_clears_their_claims(self, world: World) -> None:
        """Accepted inputs that the commit does not complete are deferred, and free at once."""
        item = world.say(active_input("hello"))
        claim = world.take_active()
        assert claim is not None
        world.settle(self.interrupting())
        assert world.pending() == [item.input_id]
        with pytest.raises(TurnInputClaimExpired):
            world.settle(unchanged_commit().completing_turn_input_claim(claim))
        world.session.abandon_turn_input_claim(claim)
        again = world.take_next()
        assert again is not None
        assert [found.state for found in again.inputs] == [TurnInputState.DEFERRED_NEXT_TURN]
        assert again.fencing_token > claim.fencing_token

    def test_does_not_defer_what_the_commit_completes(self, world: World) -> None:
        """Inputs completed by the same commit are completed, not deferred."""
        world.say(active_input("done"))
        claim = world.take_active()
        assert claim is not None
        left = world.say(active_input("left"))
        world.settle(self.interrupting().completing_turn_input_claim(claim))
        assert world.pending() == [left.input_id]
        outcome = world.session.cancel_pending_turn_input(SESSION, claim.inputs[0].input_id)
        assert isinstance(outcome, InputAlreadyCompleted)

    def test_leaves_other_turns_alone(self, world: World) -> None:
        """Input of other turns, and for the next one, stays as it is."""
        world.say(active_input("other", "turn-2"))
        world.say(next_input("next"))
        before = world.session.list_pending_turn_inputs(SESSION)
        world.settle(self.interrupting())
        assert world.session.list_pending_turn_inputs(SESSION) == before

    def test_leaves_terminal_inputs_alone(self, world: World) -> None:
        """Cancelled input of the turn stays cancelled."""
        item = world.say(active_input("hello"))
        world.session.cancel_pending_turn_input(SESSION, item.input_id)
        world.settle(self.interrupting())
        assert world.pending() == []

    def test_keeps_the_order_of_enqueueing(self, world: World) -> None:
        """Deferred inputs keep their place among those that were for the next turn all along."""
        names = [
            world.say(draft).input_id
            for draft in (
                active_input("1"),
                next_input("2"),
                active_input("3"),
                active_input("4", "turn-2"),
                next_input("5"),
            )
        ]
        world.take_active(limit=1)
        world.settle(self.interrupting())
        claim = world.take_next()
        assert claim is not None
        expected = [name for number, name in enumerate(names) if number != 3]
        assert list(claim.completion().input_ids) == expected

    def test_defers_inputs_whose_claim_expired(self, world: World) -> None:
        """An accepted input whose claim is no longer live is deferred as well."""
        item = world.say(active_input("hello"))
        world.take_active(ttl_ms=MINUTE)
        world.clock.advance(MINUTE)
        world.settle(self.interrupting())
        claim = world.take_next()
        assert claim is not None
        assert claim.completion().input_ids == (item.input_id,)

    def test_without_inputs_is_an_ordinary_commit(self, world: World) -> None:
        """There may be nothing to defer."""
        assert world.settle(self.interrupting("unheard of")).head_revision == 1


class TestAllTogether(Conformance):
    """All effects at once."""

    requires = frozenset({Capability.QUEUED_WORK, Capability.TURN_INPUT})

    def test_a_commit_settles_everything_at_once(self, world: World) -> None:
        """Nodes, checkpoint, usage, work, input and the lease settle in one step."""
        world.queue(wake())
        world.say(active_input("in"))
        work, inputs, lease = world.take_work(), world.take_active(), world.lease()
        assert work is not None
        assert inputs is not None
        commit = RuntimeCommit(
            SESSION,
            0,
            PersistedSessionConfig("p", {"m": 1}),
            (frame(execution_state_snapshot=b"snapshot"),),
            "frame-1",
            GraphAppend(chain("a", "b"), "b"),
            HydratedSessionCheckpoint(tool_state={"t": 1}),
            (usage("s", "m", 3),),
        )
        commit = commit.completing_queue_claim(work).completing_turn_input_claim(inputs)
        commit = commit.with_session_execution_lease(lease.fence())
        result = world.session.commit_runtime_state(commit.releasing_session_execution_lease(lease.completion()))
        read = world.read()
        assert (result.head_revision, read.head_revision) == (1, 1)
        assert read.graph.active_path() == chain("a", "b")
        assert read.checkpoint.tool_state == {"t": 1}
        assert read.agent_frames[0].execution_state_snapshot == b"snapshot"
        assert read.token_ledger == (usage("s", "m", 3),)
        assert world.queued() == world.pending() == []
        assert world.session.get_session_execution_lease(SESSION) is None
