"""Input of turns that crashed or stopped: none of it is ever stranded."""

from __future__ import annotations

import pytest

from ... import (
    InputCancelled,
    NextTurn,
    TurnInputClaimExpired,
    TurnInputState,
)
from ..backends import Capability
from ..builders import OTHER, SESSION, TURN, active_input, living_owner, next_input, owner, unchanged_commit
from ..identities import dead_owner
from .input_claims import ids
from .world import (
    BEFORE_COMPLETION,
    MINUTE,
    Conformance,
    World,
)


class TestNothingIsStranded(Conformance):
    """An accepted input whose claim is no longer live counts as pending again everywhere."""

    requires = frozenset({Capability.TURN_INPUT})

    def crashed(self, world: World) -> str:
        """An input that was accepted by a claim that expired."""
        item = world.say(active_input("hello"))
        world.take_active(ttl_ms=MINUTE)
        world.clock.advance(MINUTE)
        return item.input_id

    def test_it_is_listed(self, world: World) -> None:
        """It is listed as pending."""
        name = self.crashed(world)
        (item,) = world.session.list_pending_turn_inputs(SESSION)
        assert (item.input_id, item.state) == (name, TurnInputState.PENDING_ACTIVE)
        assert isinstance(item.ingress, type(active_input("x").ingress))

    def test_it_is_claimed_at_the_next_checkpoint(self, world: World) -> None:
        """The same turn's next checkpoint takes it."""
        name = self.crashed(world)
        assert ids(world.take_active(checkpoint=BEFORE_COMPLETION)) == [name]

    def test_it_is_not_taken_by_another_turn(self, world: World) -> None:
        """It stays the input of its turn."""
        self.crashed(world)
        assert world.take_active("turn-2") is None
        assert world.take_next() is None

    def test_it_can_be_cancelled(self, world: World) -> None:
        """It is cancelled like any pending input."""
        name = self.crashed(world)
        outcome = world.session.cancel_pending_turn_input(SESSION, name)
        assert isinstance(outcome, InputCancelled)
        assert outcome.input.state is TurnInputState.CANCELLED

    def test_it_is_deferred_by_an_interrupting_commit(self, world: World) -> None:
        """A commit that interrupts its turn defers it."""
        name = self.crashed(world)
        world.settle(unchanged_commit().deferring_interrupted_turn_inputs(TURN))
        assert ids(world.take_next()) == [name]

    def test_it_can_be_deferred_without_a_commit(self, world: World) -> None:
        """A turn that stopped without a commit has its input deferred."""
        name = self.crashed(world)
        assert world.session.defer_orphaned_turn_inputs(SESSION, world.fence(), TURN) == 1
        assert ids(world.take_next()) == [name]

    def test_a_dead_owner_s_input_is_claimed_before_expiry(self, world: World) -> None:
        """The death of the claim's owner frees its input for a claimant that can tell."""
        item = world.say(active_input("hello"))
        world.take_active(owner=dead_owner())
        claim = world.take_active(checkpoint=BEFORE_COMPLETION, owner=living_owner("next"))
        assert claim is not None
        assert [(found.input_id, found.state) for found in claim.inputs] == [(item.input_id, TurnInputState.ACCEPTED)]


class TestNextTurnIsNotStranded(Conformance):
    """Next-turn input whose claim is no longer live is free again."""

    requires = frozenset({Capability.TURN_INPUT})

    def test_after_expiry_it_is_claimed_again(self, world: World) -> None:
        """An expired claim frees its inputs, with a higher fencing token for the next one."""
        item = world.say(next_input("hello"))
        first = world.take_next(ttl_ms=MINUTE)
        world.clock.advance(MINUTE - 1)
        assert world.take_next(owner=owner("other")) is None
        world.clock.advance(1)
        again = world.take_next(owner=owner("other"))
        assert ids(again) == [item.input_id]
        assert first is not None
        assert again is not None
        assert again.fencing_token > first.fencing_token

    def test_a_dead_owner_s_input_is_claimed_before_expiry(self, world: World) -> None:
        """The death of the claim's owner frees its input for a claimant that can tell."""
        item = world.say(next_input("hello"))
        world.take_next(owner=dead_owner())
        assert world.take_next(owner=owner("no process")) is None
        assert ids(world.take_next(owner=living_owner("next"))) == [item.input_id]


class TestDeferringOrphans(Conformance):
    """Deferring the input of a turn that stopped without a commit."""

    requires = frozenset({Capability.TURN_INPUT})

    def test_defers_pending_and_accepted_inputs_of_the_turn(self, world: World) -> None:
        """Pending and accepted inputs of the turn become next-turn input, in order, and are counted."""
        names = [world.say(active_input(f"{number}")).input_id for number in range(3)]
        world.take_active(limit=1)
        assert world.session.defer_orphaned_turn_inputs(SESSION, world.fence(), TURN) == 3
        listed = world.session.list_pending_turn_inputs(SESSION)
        assert [item.input_id for item in listed] == names
        assert {item.state for item in listed} == {TurnInputState.DEFERRED_NEXT_TURN}
        assert {item.ingress for item in listed} == {NextTurn()}
        assert ids(world.take_next()) == names

    def test_clears_the_claims(self, world: World) -> None:
        """A claim on an input that was deferred owns it no longer."""
        world.say(active_input("hello"))
        claim = world.take_active()
        assert claim is not None
        world.session.defer_orphaned_turn_inputs(SESSION, world.fence(), TURN)
        with pytest.raises(TurnInputClaimExpired):
            world.settle(unchanged_commit().completing_turn_input_claim(claim))

    def test_leaves_everything_else_alone(self, world: World) -> None:
        """Input of other turns, for the next turn, and terminal input stays, and the head does not move."""
        world.say(active_input("1", "turn-2"))
        world.say(next_input("2"))
        gone = world.say(active_input("3"))
        world.session.cancel_pending_turn_input(SESSION, gone.input_id)
        fence = world.fence()
        before = world.everything()
        assert world.session.defer_orphaned_turn_inputs(SESSION, fence, TURN) == 0
        assert world.everything() == before

    def test_is_idempotent(self, world: World) -> None:
        """The second time there is nothing left to defer."""
        world.say(active_input("hello"))
        assert world.session.defer_orphaned_turn_inputs(SESSION, world.fence(), TURN) == 1
        assert world.session.defer_orphaned_turn_inputs(SESSION, world.fence(), TURN) == 0

    def test_works_for_any_session(self, world: World) -> None:
        """The session id decides, not the handle."""
        world.store.create_session(OTHER)
        item = world.say(active_input("hello", session_id=OTHER))
        assert world.session.defer_orphaned_turn_inputs(OTHER, world.fence(OTHER), TURN) == 1
        (found,) = world.session.list_pending_turn_inputs(OTHER)
        assert (found.input_id, found.ingress) == (item.input_id, NextTurn())
