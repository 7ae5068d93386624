"""What a session is known by to its copies, and what is shown of its whole graph."""

from __future__ import annotations

import pytest

from localstore.machine import branches, turn_inputs, upkeep
from localstore.machine.lineage import has_record, parted_from
from localstore.testing import append_commit, chain, next_input, node, replace_commit
from tests.model.pure_session import PureSession, mark_of


def knows(session: PureSession, seq: int, mark: str) -> bool:
    return has_record(seq, mark)(session.state, session.recent, session.moment())


@pytest.mark.parametrize("folded", [0, 1, 2, 3])
def test_a_session_has_its_own_records_and_no_others(folded):
    session = PureSession()
    for number in range(1, 4):
        session.do(turn_inputs.enqueue(next_input(str(number))))
        if number == folded:
            session.fold()
    for number in range(1, 4):
        assert knows(session, number, mark_of(number))
        assert not knows(session, number, mark_of(number % 3 + 1))
        assert not knows(session, number, "another's")
    assert not knows(session, 4, mark_of(4))


def test_the_beginning_is_that_of_a_session_without_records_alone():
    session = PureSession()
    assert knows(session, 0, "")
    assert not knows(session, 1, mark_of(1))
    session.do(turn_inputs.enqueue(next_input("hello")))
    assert not knows(session, 0, "")


def parted(session: PureSession, seq: int, mark: str) -> bool:
    return parted_from(seq, mark)(session.state, session.recent, session.moment())


@pytest.mark.parametrize("folded", [0, 1, 3])
def test_a_session_parted_from_a_copy_that_ends_with_another_record(folded):
    session = PureSession()
    assert not parted(session, 0, "")
    for number in range(1, 4):
        session.do(turn_inputs.enqueue(next_input(str(number))))
        if number == folded:
            session.fold()
    assert not parted(session, 0, "")
    for number in range(1, 4):
        assert not parted(session, number, mark_of(number))
        assert parted(session, number, "another's")
    assert parted(session, 4, mark_of(4))


def outlined(session: PureSession) -> list[tuple[str, bool]]:
    found = branches.outline()(session.state, session.recent, session.moment())
    return [(each.node.node_id, each.is_hidden) for each in found.nodes]


def test_an_outline_is_of_the_graph_that_counts():
    session = PureSession()
    session.commit(append_commit(*chain("old", "b")))
    session.do(upkeep.tombstone(("b",)))
    session.commit(replace_commit(*chain("a", "b", "c")))
    assert outlined(session) == [("a", False), ("b", False), ("c", False)]
    session.do(upkeep.tombstone(("a", "b")))
    assert outlined(session) == [("a", True), ("b", True), ("c", False)]
    session.commit(append_commit(node("a")))
    assert outlined(session) == [("b", True), ("c", False), ("a", False)]


def test_an_outline_tells_the_branches_of_a_leaf():
    session = PureSession()
    session.commit(append_commit(*chain("a", "b")))
    for name, at in (("one", "a"), ("two", "b"), ("three", "a")):
        session.do(branches.create(name, at))
    found = branches.outline()(session.state, session.recent, session.moment())
    assert (found.branches_at("a"), found.branches_at("b"), found.branches_at("c")) == (["one", "three"], ["two"], [])
