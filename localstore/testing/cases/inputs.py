"""Pending turn input: how it is enqueued, recognised again, and listed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from ... import (
    ActiveTurn,
    ImageRef,
    InvalidArgument,
    NextTurn,
    PendingTurnInputDraft,
    PendingTurnInputSourceKeyConflict,
    TextItem,
    TurnInput,
    TurnInputCheckpointBoundary,
    TurnInputState,
)
from ..backends import Capability
from ..builders import OTHER, SESSION, TURN, active_input, next_input, stamped, unchanged_commit, wake
from ..identities import dead_owner
from .world import MINUTE, SECOND, Conformance, World

Change = Callable[[PendingTurnInputDraft], PendingTurnInputDraft]

OTHER_CONTENT: dict[str, Change] = {
    "text": lambda draft: replace(draft, input=TurnInput.text("other")),
    "turn": lambda draft: replace(draft, ingress=ActiveTurn("turn-2")),
    "boundary": lambda draft: replace(draft, ingress=ActiveTurn(TURN, TurnInputCheckpointBoundary.BEFORE_COMPLETION)),
    "ingress": lambda draft: replace(draft, ingress=NextTurn()),
    "more items": lambda draft: replace(draft, input=TurnInput((TextItem("hello"), TextItem("hello")))),
    "image": lambda draft: replace(draft, input=draft.input.with_image_ref("i", b"data")),
    "blob without item": lambda draft: replace(draft, input=replace(draft.input, image_blobs={"i": b"x"})),
    "options": lambda draft: replace(draft, input=replace(draft.input, protocol_turn_options={})),
    "trace id": lambda draft: replace(draft, input=replace(draft.input, trace_turn_id="t")),
}


class TestEnqueueingInput(Conformance):
    """Enqueueing input."""

    requires = frozenset({Capability.TURN_INPUT})

    def test_for_a_running_turn_is_pending(self, world: World) -> None:
        """Input for an active turn is stored as pending, as it was submitted."""
        draft = active_input("hello", boundary=TurnInputCheckpointBoundary.BEFORE_COMPLETION)
        item = world.say(draft)
        assert (item.session_id, item.ingress, item.input) == (SESSION, draft.ingress, draft.input)
        assert item.state is TurnInputState.PENDING_ACTIVE
        assert item.enqueued_at_ms == world.clock.now_ms()
        assert item.source_key is None
        assert item.input_id

    def test_for_the_next_turn_is_deferred(self, world: World) -> None:
        """Input for the next turn is stored as deferred."""
        item = world.say(next_input("hello", source_key="k"))
        assert item.ingress == NextTurn()
        assert item.state is TurnInputState.DEFERRED_NEXT_TURN
        assert item.source_key == "k"

    def test_takes_the_given_id(self, world: World) -> None:
        """An input id of the caller's is kept."""
        assert world.say(next_input("hello", input_id="my id ✓ ../x")).input_id == "my id ✓ ../x"
        assert world.pending() == ["my id ✓ ../x"]

    def test_gives_each_input_an_id_of_its_own(self, world: World) -> None:
        """Without an id every input gets a fresh one, equal content or not."""
        names = {world.say(next_input("same")).input_id for _ in range(20)}
        assert len(names) == 20
        assert len(world.pending()) == 20

    def test_gives_growing_sequence_numbers(self, world: World) -> None:
        """The enqueue_seq grows with each input of the session, whatever becomes of those before."""
        numbers = []
        for count in range(10):
            item = world.say(next_input(f"{count}") if count % 2 else active_input(f"{count}"))
            numbers.append(item.enqueue_seq)
            if count % 3 == 0:
                world.session.cancel_pending_turn_input(SESSION, item.input_id)
                world.session.vacuum()
        assert all(later > earlier for earlier, later in pairwise(numbers))

    def test_keeps_everything_of_the_input(self, world: World) -> None:
        """Items, images, options and trace id come back as they were."""
        blobs = {"img-1": bytes(range(256)) * 300, "img ✓/../2": b"", "unused": b"z"}
        items = (TextItem("a\n\0✓"), ImageRef("img-1"), TextItem(""), ImageRef("img ✓/../2"))
        options = {"mode": ["x", 1, None], "nested": {"a": {}}}
        given = TurnInput(items, blobs, options, "trace-1")
        world.say(PendingTurnInputDraft(SESSION, NextTurn(), given))
        (found,) = world.handle().list_pending_turn_inputs(SESSION)
        assert found.input == given
        assert found.input.image_blobs == blobs
        claim = world.take_next()
        assert claim is not None
        assert claim.inputs[0].input == given

    def test_keeps_the_difference_between_no_and_empty_options(self, world: World) -> None:
        """Options may be None or an empty object."""
        world.say(PendingTurnInputDraft(SESSION, NextTurn(), TurnInput((), {}, None)))
        world.say(PendingTurnInputDraft(SESSION, NextTurn(), TurnInput((), {}, {})))
        none, empty = world.session.list_pending_turn_inputs(SESSION)
        assert none.input.protocol_turn_options is None
        assert empty.input.protocol_turn_options == {}

    def test_for_a_turn_that_is_already_stamped_is_deferred(self, world: World) -> None:
        """Input for an active turn that was already committed is stored deferred, for the next turn."""
        world.settle(stamped(unchanged_commit()))
        item = world.say(active_input("too late"))
        assert (item.state, item.ingress) == (TurnInputState.DEFERRED_NEXT_TURN, NextTurn())
        other = world.say(active_input("in time", "turn-2"))
        assert other.state is TurnInputState.PENDING_ACTIVE

    def test_needs_no_lease(self, world: World) -> None:
        """Users may speak while anybody or nobody holds the lease."""
        world.lease()
        world.say(active_input("hello"))
        assert world.session.get_session_execution_lease(SESSION) is not None


class TestSourceKeyOfInput(Conformance):
    """Recognising input by its source key."""

    requires = frozenset({Capability.TURN_INPUT})

    def test_known_with_the_same_content_gives_the_stored_record(self, world: World) -> None:
        """A known source key with the same ingress and input returns what is stored, and stores nothing."""
        first = world.say(active_input("hello", source_key="k"))
        before = world.everything()
        world.clock.advance(SECOND)
        assert world.say(active_input("hello", source_key="k")) == first
        world.clock.advance(-SECOND)
        assert world.everything() == before

    def test_known_gives_the_stored_record_whatever_id_is_asked(self, world: World) -> None:
        """The source key decides; a retry with a new input id is still the stored input."""
        first = world.say(active_input("hello", source_key="k", input_id="i-1"))
        assert world.say(active_input("hello", source_key="k", input_id="i-2")) == first
        assert world.pending() == ["i-1"]

    @pytest.mark.parametrize("change", OTHER_CONTENT)
    def test_known_with_other_content_is_a_conflict(self, world: World, change: str) -> None:
        """A known source key with other content raises a conflict that names the existing input."""
        draft = active_input("hello", source_key="k")
        first = world.say(draft)
        before = world.everything()
        with pytest.raises(PendingTurnInputSourceKeyConflict) as caught:
            world.say(OTHER_CONTENT[change](draft))
        error = caught.value
        assert (error.session_id, error.source_key, error.existing_input_id) == (SESSION, "k", first.input_id)
        assert world.everything() == before

    def test_known_gives_an_accepted_record(self, world: World) -> None:
        """The stored record comes back in its current state: accepted."""
        first = world.say(active_input("hello", source_key="k"))
        world.take_active()
        assert world.say(active_input("hello", source_key="k")) == replace(first, state=TurnInputState.ACCEPTED)

    def test_known_gives_a_pending_record_when_its_claim_has_ended(self, world: World) -> None:
        """The current state of an input whose claim expired is pending again."""
        first = world.say(active_input("hello", source_key="k"))
        world.take_active(ttl_ms=MINUTE)
        world.clock.advance(MINUTE)
        assert world.say(active_input("hello", source_key="k")) == first

    def test_known_gives_a_cancelled_record(self, world: World) -> None:
        """A cancelled input is not enqueued again by its retry."""
        first = world.say(active_input("hello", source_key="k"))
        world.session.cancel_pending_turn_input(SESSION, first.input_id)
        assert world.say(active_input("hello", source_key="k")) == replace(first, state=TurnInputState.CANCELLED)
        assert world.pending() == []

    def test_known_gives_a_completed_record(self, world: World) -> None:
        """A completed input is not enqueued again by its retry."""
        first = world.say(active_input("hello", source_key="k"))
        claim = world.take_active()
        assert claim is not None
        world.settle(unchanged_commit().completing_turn_input_claim(claim))
        assert world.say(active_input("hello", source_key="k")) == replace(first, state=TurnInputState.COMPLETED)
        assert world.pending() == []

    def test_conflicts_in_terminal_states_too(self, world: World) -> None:
        """A terminal input still owns its source key."""
        first = world.say(active_input("hello", source_key="k"))
        world.session.cancel_pending_turn_input(SESSION, first.input_id)
        with pytest.raises(PendingTurnInputSourceKeyConflict):
            world.say(active_input("other", source_key="k"))

    def test_is_free_again_after_a_vacuum(self, world: World) -> None:
        """A vacuum removes terminal inputs, and with them their source keys."""
        first = world.say(active_input("hello", source_key="k"))
        world.session.cancel_pending_turn_input(SESSION, first.input_id)
        world.session.vacuum()
        second = world.say(next_input("other", source_key="k"))
        assert second.input_id != first.input_id
        assert world.pending() == [second.input_id]

    def test_is_compared_with_what_was_submitted(self, world: World) -> None:
        """After a deferral the retry of the original is recognised, and the deferred form is a conflict."""
        first = world.say(active_input("hello", source_key="k"))
        world.settle(unchanged_commit().deferring_interrupted_turn_inputs(TURN))
        again = world.say(active_input("hello", source_key="k"))
        assert again == replace(first, state=TurnInputState.DEFERRED_NEXT_TURN, ingress=NextTurn())
        with pytest.raises(PendingTurnInputSourceKeyConflict):
            world.say(next_input("hello", source_key="k"))

    def test_is_compared_with_what_was_submitted_to_a_stamped_turn(self, world: World) -> None:
        """Input that was deferred on arrival is recognised by its retry."""
        world.settle(stamped(unchanged_commit()))
        first = world.say(active_input("late", source_key="k"))
        assert world.say(active_input("late", source_key="k")) == first
        assert len(world.pending()) == 1

    def test_is_recognised_when_its_turn_is_stamped_meanwhile(self, world: World) -> None:
        """A retry that comes after its turn was committed finds the input that was enqueued before."""
        first = world.say(active_input("hello", source_key="k"))
        world.settle(stamped(unchanged_commit()))
        assert world.say(active_input("hello", source_key="k")).input_id == first.input_id

    def test_of_another_session_is_another_key(self, world: World) -> None:
        """Source keys belong to their session."""
        world.store.create_session(OTHER)
        here = world.say(next_input("hello", source_key="k"))
        there = world.say(next_input("other", source_key="k", session_id=OTHER))
        assert here.input_id != there.input_id

    def test_absent_makes_every_input_a_new_one(self, world: World) -> None:
        """Without source key and id equal inputs are different inputs."""
        assert world.say(next_input("hello")).input_id != world.say(next_input("hello")).input_id


class TestKeysOfBothQueues(Conformance):
    """Source keys of input and of work."""

    requires = frozenset({Capability.TURN_INPUT, Capability.QUEUED_WORK})

    def test_are_separate(self, world: World) -> None:
        """Input and work are separate lifecycles, with separate source keys."""
        world.queue(wake(source_key="k"))
        world.say(next_input("hello", source_key="k"))
        assert len(world.pending()) == len(world.queued()) == 1


class TestInputId(Conformance):
    """Recognising input by its id."""

    requires = frozenset({Capability.TURN_INPUT})

    def test_known_with_equal_content_gives_the_record(self, world: World) -> None:
        """A known input id with equal content and no source key returns what is stored."""
        first = world.say(active_input("hello", input_id="i"))
        assert world.say(active_input("hello", input_id="i")) == first
        assert world.pending() == ["i"]

    def test_known_without_the_source_key_gives_the_record(self, world: World) -> None:
        """The draft may leave out the source key of the stored input."""
        first = world.say(active_input("hello", input_id="i", source_key="k"))
        assert world.say(active_input("hello", input_id="i")) == first

    def test_known_with_the_same_source_key_gives_the_record(self, world: World) -> None:
        """Id and source key of the same input agree."""
        first = world.say(active_input("hello", input_id="i", source_key="k"))
        assert world.say(active_input("hello", input_id="i", source_key="k")) == first

    def test_known_gives_the_record_in_its_current_state(self, world: World) -> None:
        """A known id of a cancelled input gives it as cancelled."""
        first = world.say(active_input("hello", input_id="i"))
        world.session.cancel_pending_turn_input(SESSION, "i")
        assert world.say(active_input("hello", input_id="i")) == replace(first, state=TurnInputState.CANCELLED)

    @pytest.mark.parametrize("change", OTHER_CONTENT)
    def test_known_with_other_content_is_invalid(self, world: World, change: str) -> None:
        """A known input id with other content is an InvalidArgument."""
        draft = active_input("hello", input_id="i")
        world.say(draft)
        before = world.everything()
        with pytest.raises(InvalidArgument):
            world.say(OTHER_CONTENT[change](draft))
        assert world.everything() == before

    @pytest.mark.parametrize("stored", [None, "k-1"])
    def test_known_with_another_source_key_is_invalid(self, world: World, stored: str | None) -> None:
        """A known input id with a source key that is not its own is an InvalidArgument."""
        world.say(active_input("hello", input_id="i", source_key=stored))
        before = world.everything()
        with pytest.raises(InvalidArgument):
            world.say(active_input("hello", input_id="i", source_key="k-2"))
        assert world.everything() == before
        assert world.say(active_input("new", source_key="k-2")).input_id != "i"

    def test_is_free_again_after_a_vacuum(self, world: World) -> None:
        """The id of a vacuumed input may be used for new input."""
        first = world.say(active_input("hello", input_id="i"))
        world.session.cancel_pending_turn_input(SESSION, "i")
        world.session.vacuum()
        second = world.say(next_input("other", input_id="i"))
        assert second.enqueue_seq > first.enqueue_seq
        assert world.pending() == ["i"]


class TestListingInput(Conformance):
    """Listing input."""

    requires = frozenset({Capability.TURN_INPUT})

    def test_has_pending_and_deferred_ones_in_order(self, world: World) -> None:
        """Pending and deferred inputs are listed as stored, in the order of enqueueing."""
        assert world.session.list_pending_turn_inputs(SESSION) == ()
        items = tuple(
            world.say(draft)
            for draft in (active_input("1"), next_input("2"), active_input("3", "turn-2"), next_input("4"))
        )
        assert world.session.list_pending_turn_inputs(SESSION) == items

    def test_leaves_out_those_under_a_live_claim(self, world: World) -> None:
        """Input under a live claim is not listed, claimed for the turn or for the next."""
        world.say(active_input("1"))
        world.say(next_input("2"))
        left = world.say(active_input("3", "turn-2"))
        world.take_active()
        world.take_next()
        assert world.pending() == [left.input_id]

    def test_shows_them_again_once_the_claim_expired(self, world: World) -> None:
        """When a claim expires its inputs are listed again, in their old place and state."""
        world.say(active_input("1"))
        world.say(next_input("2"))
        world.say(active_input("3"))
        before = world.session.list_pending_turn_inputs(SESSION)
        world.take_active(ttl_ms=MINUTE)
        world.take_next(ttl_ms=MINUTE)
        world.clock.advance(MINUTE - 1)
        assert world.pending() == []
        world.clock.advance(1)
        assert world.session.list_pending_turn_inputs(SESSION) == before

    def test_leaves_out_terminal_ones(self, world: World) -> None:
        """Cancelled and completed input is not listed."""
        cancelled = world.say(next_input("1"))
        world.session.cancel_pending_turn_input(SESSION, cancelled.input_id)
        world.say(active_input("2"))
        claim = world.take_active()
        assert claim is not None
        world.settle(unchanged_commit().completing_turn_input_claim(claim))
        assert world.pending() == []

    def test_does_not_look_at_liveness(self, world: World) -> None:
        """Where there is no claimant only expiry ends a claim, the dead owner's too."""
        world.say(active_input("1"))
        assert world.take_active(owner=dead_owner()) is not None
        assert world.pending() == []
        world.clock.advance(MINUTE)
        assert len(world.pending()) == 1
