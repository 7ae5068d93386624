"""What is stored already is not written again, and what can be made anew is not written at all."""

from __future__ import annotations

from localstore import (
    AgentFrameRecord,
    HydratedSessionCheckpoint,
    PendingTurnInputDraft,
    PersistedSessionConfig,
    RuntimeCommit,
    TurnInput,
)
from localstore.machine import turn_inputs
from localstore.machine.encoding import dump
from localstore.machine.events import InputEnqueued
from localstore.machine.facts import ValueFact
from localstore.testing import append_commit, next_input, said
from tests.model.pure_session import PureSession


def turn(number: int) -> RuntimeCommit:
    """A turn that says something new, with everything else as in the turn before."""
    return append_commit(
        said(f"n{number}", None, "hello"),
        checkpoint=HydratedSessionCheckpoint(tool_state={"tool": 1}, execution_state=b"state"),
        config=PersistedSessionConfig("provider", {"model": 1}),
        agent_frames=(AgentFrameRecord("frame", "session-1", execution_state_snapshot=b"snapshot"),),
        current_agent_frame_id="frame",
    )


def test_a_commit_writes_what_changed_alone():
    session = PureSession()
    first = session.commit(turn(1))
    assert (len(first.values), first.stores_manifest, first.summary.first_user_message) == (3, True, "hello")
    assert None not in (first.config, first.frames)
    stored = list(session.recent.facts(ValueFact))
    again = session.commit(turn(2))
    assert (again.values, again.stores_manifest, again.config, again.frames) == ((), False, None, None)
    assert again.summary.first_user_message is None
    assert list(session.recent.facts(ValueFact)) == stored
    assert session.state.summary.first_user_message == "hello"


def test_a_manifest_is_written_once():
    assert b'"checkpoint":' not in dump(PureSession().commit(turn(1)))


def test_images_are_written_as_values_alone():
    session = PureSession()
    given = TurnInput.text("look").with_image_ref("picture", b"\x89PNG")
    draft = PendingTurnInputDraft("session-1", next_input("x").ingress, given)
    assert session.do(turn_inputs.enqueue(draft)).input == given
    (event,) = session.events
    assert isinstance(event, InputEnqueued)
    assert [value.content for value in event.values] == [b"\x89PNG"]
    assert event.stored.record.input.image_blobs == {}
    session.do(turn_inputs.enqueue(draft))
    (event,) = session.events
    assert isinstance(event, InputEnqueued)
    assert event.values == ()
