"""A value that is named and not there is damage, and told as such, whichever rule meets it."""

from __future__ import annotations

import pytest

from localstore import CorruptRecord, NextTurn, PendingTurnInput, TurnInput, TurnInputState
from localstore.machine import reading, turn_inputs
from localstore.machine.facts import Recent, StoredInput, ValueDroppedFact, ValueFact
from localstore.testing import SESSION

REF = "a" * 64
CONTENT = b"\x89PNG"


def archive(*facts: ValueFact | ValueDroppedFact) -> Recent:
    found = Recent()
    for fact in facts:
        found.add(fact)
    return found


LOST = {
    "never stored": archive(),
    "collected": archive(ValueFact(1, REF, CONTENT), ValueDroppedFact(2, REF)),
    "listed without its content": archive(ValueFact(1, REF, None)),
}


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_part_of_the_head(lost):
    with pytest.raises(CorruptRecord, match="the tool state of the head is missing"):
        reading.load_value(lost, REF, "tool state")
    assert reading.load_value(archive(ValueFact(1, REF, CONTENT)), REF, "tool state") == CONTENT


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_image_of_an_input(lost):
    given = TurnInput.text("look")
    record = PendingTurnInput("i", SESSION, 1, NextTurn(), TurnInputState.DEFERRED_NEXT_TURN, 5, given)
    stored = StoredInput(record, NextTurn(), (("picture", REF),))
    with pytest.raises(CorruptRecord, match="of image 'picture' is missing"):
        turn_inputs.hydrated(record, stored, lost)
    whole = turn_inputs.hydrated(record, stored, archive(ValueFact(1, REF, CONTENT)))
    assert whole.input.image_blobs == {"picture": CONTENT}
