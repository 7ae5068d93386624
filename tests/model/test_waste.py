"""Whether a vacuum has anything to remove: what a fork shares is left shared otherwise."""

from __future__ import annotations

import pytest

from localstore import HydratedSessionCheckpoint
from localstore.machine import attachments, feed, turn_inputs, upkeep
from localstore.testing import intent, next_input, node, unchanged_commit
from localstore.testing.builders import append_commit
from tests.model.pure_session import PureSession


def has_waste(session: PureSession) -> bool:
    return upkeep.has_waste(session.state, session.recent)


def test_a_session_whose_every_fact_counts_has_none():
    session = PureSession()
    assert not has_waste(session)
    session.commit(append_commit(node("a"), checkpoint=HydratedSessionCheckpoint(tool_state=1)))
    session.do(turn_inputs.enqueue(next_input("hello")))
    session.do(attachments.record_intent(intent("a")))
    session.fold()
    assert not has_waste(session)


def test_hidden_nodes_alone_are_some():
    session = PureSession()
    session.commit(append_commit(node("a")))
    session.do(upkeep.tombstone(("a",)))
    assert has_waste(session)


def test_a_row_that_was_forgotten_is_some():
    session = PureSession()
    session.do(attachments.record_intent(intent("a")))
    assert not has_waste(session)
    session.do(attachments.forget("a"))
    assert has_waste(session)


def test_a_value_that_was_dropped_is_some():
    session = PureSession()
    session.commit(unchanged_commit(checkpoint=HydratedSessionCheckpoint(tool_state=1)))
    session.commit(unchanged_commit())
    assert not has_waste(session)
    session.do(upkeep.collect())
    assert has_waste(session)


def test_more_traces_than_are_kept_are_some(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feed, "KEPT", 3)
    session = PureSession()
    for number in range(3):
        session.do(turn_inputs.enqueue(next_input(str(number))))
    session.fold()
    assert not has_waste(session)
    session.do(turn_inputs.enqueue(next_input("one more")))
    session.fold()
    assert has_waste(session)
