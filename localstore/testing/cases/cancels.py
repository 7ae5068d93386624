"""Cancelling pending turn input: one, several, and everything from an anchor on."""

from __future__ import annotations

import pytest

from ... import (
    CancelByInputId,
    CancelBySourceKey,
    InputAlreadyCancelled,
    InputAlreadyClaimed,
    InputAlreadyCompleted,
    InputCancelled,
    InputNotFound,
    InvalidArgument,
    PendingTurnInputCancelOutcome,
    PendingTurnInputClaimDiagnostics,
    SuffixAnchorNotFound,
    SuffixOutcomes,
    TurnInputClaimExpired,
    TurnInputState,
)
from ..backends import Capability
from ..builders import OTHER, SESSION, active_input, next_input, owner, unchanged_commit
from ..identities import dead_owner
from .world import MINUTE, Conformance, World


def cancel(world: World, input_id: str) -> PendingTurnInputCancelOutcome:
    """The outcome of cancelling one input."""
    return world.session.cancel_pending_turn_input(SESSION, input_id)


def mixed(world: World) -> list[str]:
    """Inputs in every state there is: pending, deferred, claimed, completed, cancelled, pending."""
    done = active_input("done", "turn-0")
    drafts = [active_input("0", "t"), next_input("1"), active_input("2"), done, next_input("4")]
    names = [world.say(draft).input_id for draft in (*drafts, active_input("5", "t"))]
    claim = world.take_active("turn-0")
    assert claim is not None
    world.settle(unchanged_commit().completing_turn_input_claim(claim))
    world.take_active()
    cancel(world, names[4])
    return names


EXPECTED = [
    InputCancelled,
    InputCancelled,
    InputAlreadyClaimed,
    InputAlreadyCompleted,
    InputAlreadyCancelled,
    InputCancelled,
]


class TestCancellingOne(Conformance):
    """Cancelling one input."""

    requires = frozenset({Capability.TURN_INPUT})

    @pytest.mark.parametrize("active", [True, False], ids=["pending", "deferred"])
    def test_cancels_input_that_waits(self, world: World, active: bool) -> None:
        """A pending or deferred input is cancelled, listed and claimed no more."""
        item = world.say(active_input("hello") if active else next_input("hello"))
        outcome = cancel(world, item.input_id)
        assert isinstance(outcome, InputCancelled)
        assert outcome.input.state is TurnInputState.CANCELLED
        assert (outcome.input.input_id, outcome.input.input) == (item.input_id, item.input)
        assert world.pending() == []
        assert world.take_active() is None
        assert world.take_next() is None

    def test_leaves_the_others(self, world: World) -> None:
        """Only the named input is cancelled."""
        names = [world.say(next_input(f"{number}")).input_id for number in range(3)]
        cancel(world, names[1])
        assert world.pending() == [names[0], names[2]]

    def test_tells_who_holds_claimed_input(self, world: World) -> None:
        """Input under a live claim stays, and the outcome says whose claim it is."""
        item = world.say(active_input("hello"))
        claim = world.take_active(owner=owner("holder"))
        assert claim is not None
        outcome = cancel(world, item.input_id)
        assert isinstance(outcome, InputAlreadyClaimed)
        assert outcome.input == claim.inputs[0]
        assert outcome.claim == PendingTurnInputClaimDiagnostics(
            TurnInputState.ACCEPTED,
            claim.claim_id,
            owner("holder"),
            claim.expires_at_epoch_ms,
            claim.fencing_token,
        )
        world.settle(unchanged_commit().completing_turn_input_claim(claim))

    def test_tells_who_holds_next_turn_input(self, world: World) -> None:
        """Claimed next-turn input keeps its state in the diagnostics."""
        item = world.say(next_input("hello"))
        claim = world.take_next()
        assert claim is not None
        outcome = cancel(world, item.input_id)
        assert isinstance(outcome, InputAlreadyClaimed)
        assert outcome.claim.state is TurnInputState.DEFERRED_NEXT_TURN
        assert outcome.claim.claim_id == claim.claim_id

    def test_does_not_look_at_liveness(self, world: World) -> None:
        """Where there is no claimant only expiry ends a claim: a dead owner's is live until then."""
        item = world.say(active_input("hello"))
        world.take_active(owner=dead_owner())
        assert isinstance(cancel(world, item.input_id), InputAlreadyClaimed)
        world.clock.advance(MINUTE - 1)
        assert isinstance(cancel(world, item.input_id), InputAlreadyClaimed)
        world.clock.advance(1)
        assert isinstance(cancel(world, item.input_id), InputCancelled)

    @pytest.mark.parametrize("active", [True, False], ids=["pending", "deferred"])
    def test_ends_an_expired_claim_for_good(self, world: World, active: bool) -> None:
        """Input whose claim expired is cancelled, and the claim can complete it no more."""
        item = world.say(active_input("hello") if active else next_input("hello"))
        claim = world.take_active() if active else world.take_next()
        assert claim is not None
        world.clock.advance(MINUTE)
        assert isinstance(cancel(world, item.input_id), InputCancelled)
        with pytest.raises(TurnInputClaimExpired):
            world.settle(unchanged_commit().completing_turn_input_claim(claim))
        world.session.abandon_turn_input_claim(claim)
        assert world.pending() == []

    def test_works_after_an_abandon(self, world: World) -> None:
        """Input that was given back is cancelled like any other."""
        item = world.say(active_input("hello"))
        claim = world.take_active()
        assert claim is not None
        world.session.abandon_turn_input_claim(claim)
        assert isinstance(cancel(world, item.input_id), InputCancelled)

    def test_again_says_so(self, world: World) -> None:
        """The second cancel finds it cancelled."""
        item = world.say(next_input("hello"))
        first = cancel(world, item.input_id)
        assert isinstance(first, InputCancelled)
        assert cancel(world, item.input_id) == InputAlreadyCancelled(first.input)

    def test_of_completed_input_says_so(self, world: World) -> None:
        """Completed input stays completed."""
        item = world.say(active_input("hello"))
        claim = world.take_active()
        assert claim is not None
        world.settle(unchanged_commit().completing_turn_input_claim(claim))
        outcome = cancel(world, item.input_id)
        assert isinstance(outcome, InputAlreadyCompleted)
        assert outcome.input.state is TurnInputState.COMPLETED
        assert outcome.input.input_id == item.input_id

    def test_of_unknown_input_says_so(self, world: World) -> None:
        """Unknown input, that of another session, and vacuumed input are not found."""
        world.store.create_session(OTHER)
        there = world.say(next_input("hello", session_id=OTHER))
        assert cancel(world, "nowhere") == InputNotFound()
        assert cancel(world, there.input_id) == InputNotFound()
        gone = world.say(next_input("hello"))
        cancel(world, gone.input_id)
        world.session.vacuum()
        assert cancel(world, gone.input_id) == InputNotFound()
        assert world.pending(OTHER) == [there.input_id]

    def test_gives_each_state_its_outcome(self, world: World) -> None:
        """There is one outcome for each state."""
        assert [type(cancel(world, name)) for name in mixed(world)] == EXPECTED


class TestCancellingSeveral(Conformance):
    """Cancelling several inputs at once."""

    requires = frozenset({Capability.TURN_INPUT})

    def test_gives_one_result_a_target_in_order(self, world: World) -> None:
        """Each target has its result, in the order of the targets."""
        names = mixed(world)
        targets = tuple(CancelByInputId(name) for name in (*reversed(names), "nowhere"))
        results = world.session.cancel_pending_turn_inputs(SESSION, targets)
        assert tuple(result.target for result in results) == targets
        expected = [*reversed(EXPECTED), InputNotFound]
        assert [type(result.outcome) for result in results] == expected
        assert world.pending() == []

    def test_finds_targets_by_source_key(self, world: World) -> None:
        """A target may name the source key."""
        item = world.say(next_input("hello", source_key="k"))
        targets = (CancelBySourceKey("unknown"), CancelBySourceKey("k"))
        unknown, known = world.session.cancel_pending_turn_inputs(SESSION, targets)
        assert unknown.outcome == InputNotFound()
        assert isinstance(known.outcome, InputCancelled)
        assert known.outcome.input.input_id == item.input_id

    def test_does_not_mix_ids_and_source_keys_up(self, world: World) -> None:
        """An id is no source key, and a source key no id."""
        world.say(next_input("1", input_id="a", source_key="b"))
        world.say(next_input("2", input_id="b"))
        (result,) = world.session.cancel_pending_turn_inputs(SESSION, (CancelBySourceKey("b"),))
        assert isinstance(result.outcome, InputCancelled)
        assert result.outcome.input.input_id == "a"
        assert world.pending() == ["b"]

    def test_shows_a_repeated_target_the_first_one_s_effect(self, world: World) -> None:
        """The second mention of an input finds it cancelled by the first."""
        item = world.say(next_input("hello", source_key="k"))
        by_id, by_key = CancelByInputId(item.input_id), CancelBySourceKey("k")
        results = world.session.cancel_pending_turn_inputs(SESSION, (by_id, by_key, by_id))
        assert [type(result.outcome) for result in results] == [
            InputCancelled,
            InputAlreadyCancelled,
            InputAlreadyCancelled,
        ]

    def test_of_nothing_gives_nothing(self, world: World) -> None:
        """Without targets there are no results."""
        assert world.session.cancel_pending_turn_inputs(SESSION, ()) == ()

    def test_takes_any_sequence(self, world: World) -> None:
        """A list of targets will do."""
        item = world.say(next_input("hello"))
        (result,) = world.session.cancel_pending_turn_inputs(SESSION, [CancelByInputId(item.input_id)])
        assert isinstance(result.outcome, InputCancelled)

    def test_is_all_or_nothing(self, world: World) -> None:
        """When a target is no target nothing is cancelled."""
        item = world.say(next_input("hello"))
        targets = (CancelByInputId(item.input_id), "not a target")
        with pytest.raises(InvalidArgument):
            world.session.cancel_pending_turn_inputs(SESSION, targets)  # type: ignore[arg-type]
        assert world.pending() == [item.input_id]

    def test_works_for_any_session(self, world: World) -> None:
        """The session id decides, not the handle."""
        world.store.create_session(OTHER)
        item = world.say(next_input("hello", session_id=OTHER))
        (result,) = world.session.cancel_pending_turn_inputs(OTHER, (CancelByInputId(item.input_id),))
        assert isinstance(result.outcome, InputCancelled)


class TestCancellingASuffix(Conformance):
    """Cancelling everything from an input on."""

    requires = frozenset({Capability.TURN_INPUT})

    def test_cancels_the_anchor_and_every_later_input(self, world: World) -> None:
        """The anchor and what came after it is cancelled, in order; what came before stays."""
        names = [
            world.say(draft).input_id
            for draft in (next_input("0"), active_input("1"), next_input("2"), active_input("3", "turn-2"))
        ]
        anchor = CancelByInputId(names[1])
        outcome = world.session.cancel_pending_turn_input_suffix(SESSION, anchor)
        assert isinstance(outcome, SuffixOutcomes)
        assert outcome.anchor == anchor
        cancelled = [found.input.input_id for found in outcome.outcomes if isinstance(found, InputCancelled)]
        assert cancelled == names[1:]
        assert len(outcome.outcomes) == 3
        assert world.pending() == names[:1]

    def test_reports_claimed_and_terminal_inputs_as_such(self, world: World) -> None:
        """Claimed, completed and cancelled inputs of the suffix are reported and left alone."""
        names = mixed(world)
        outcome = world.session.cancel_pending_turn_input_suffix(SESSION, CancelByInputId(names[0]))
        assert isinstance(outcome, SuffixOutcomes)
        assert [type(found) for found in outcome.outcomes] == EXPECTED
        inputs = [found.input.input_id for found in outcome.outcomes if not isinstance(found, InputNotFound)]
        assert inputs == names

    def test_may_start_at_a_terminal_anchor(self, world: World) -> None:
        """The anchor may be completed, cancelled or claimed."""
        names = mixed(world)
        outcome = world.session.cancel_pending_turn_input_suffix(SESSION, CancelByInputId(names[3]))
        assert isinstance(outcome, SuffixOutcomes)
        assert [type(found) for found in outcome.outcomes] == EXPECTED[3:]
        assert world.pending() == names[:2]

    def test_may_be_the_last_input_alone(self, world: World) -> None:
        """A suffix may be one input."""
        names = [world.say(next_input(f"{number}")).input_id for number in range(2)]
        outcome = world.session.cancel_pending_turn_input_suffix(SESSION, CancelByInputId(names[1]))
        assert isinstance(outcome, SuffixOutcomes)
        assert [type(found) for found in outcome.outcomes] == [InputCancelled]
        assert world.pending() == names[:1]

    def test_finds_the_anchor_by_source_key(self, world: World) -> None:
        """The anchor may be named by its source key."""
        world.say(next_input("0"))
        world.say(next_input("1", source_key="k"))
        world.say(next_input("2"))
        anchor = CancelBySourceKey("k")
        outcome = world.session.cancel_pending_turn_input_suffix(SESSION, anchor)
        assert isinstance(outcome, SuffixOutcomes)
        assert outcome.anchor == anchor
        assert len(outcome.outcomes) == 2
        assert len(world.pending()) == 1

    @pytest.mark.parametrize(
        "anchor", [CancelByInputId("nowhere"), CancelBySourceKey("nowhere")], ids=["id", "source key"]
    )
    def test_of_an_unknown_anchor_cancels_nothing(
        self, world: World, anchor: CancelByInputId | CancelBySourceKey
    ) -> None:
        """Without the anchor nothing is cancelled."""
        item = world.say(next_input("hello"))
        outcome = world.session.cancel_pending_turn_input_suffix(SESSION, anchor)
        assert outcome == SuffixAnchorNotFound(anchor)
        assert world.pending() == [item.input_id]

    def test_does_not_find_a_vacuumed_anchor(self, world: World) -> None:
        """A vacuumed input is unknown."""
        gone = world.say(next_input("gone"))
        left = world.say(next_input("left"))
        cancel(world, gone.input_id)
        world.session.vacuum()
        anchor = CancelByInputId(gone.input_id)
        outcome = world.session.cancel_pending_turn_input_suffix(SESSION, anchor)
        assert outcome == SuffixAnchorNotFound(anchor)
        assert world.pending() == [left.input_id]
