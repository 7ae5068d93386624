"""Every id and address of a session that matches is told, with what it is of, wherever it is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from localstore import (
    ActiveTurn,
    CancelByInputId,
    ChildSession,
    ImageRef,
    LeaseOwnerIdentity,
    MergeGroup,
    PendingTurnInputDraft,
    QueuedWorkClaimBoundary,
    SessionMeta,
    TextItem,
    TurnInput,
)
from localstore.machine import attachments, branches, cancels, leases, queued_work, turn_inputs, upkeep
from localstore.machine.matching_ids import ids_left
from localstore.machine.redactor import Redactor
from localstore.testing import SESSION, frame, intent, next_input, node, stamped, wake
from localstore.testing.builders import append_commit
from tests.model.pure_session import HOUR, PureSession

TOKEN = LeaseOwnerIdentity.opaque("tok-owner", "tok-incarnation")
OWNER = {("owner", "tok-owner"), ("owner", "tok-incarnation")}
Told = set[tuple[str, str]]


def relation(session: PureSession) -> None:
    session.do(upkeep.save_meta(SessionMeta(SESSION, "tok", "", "tok", relation=ChildSession("tok-parent", None))))


def branch(session: PureSession) -> None:
    session.do(branches.create("tok-branch", None))
    session.do(branches.create("other", None))


def frames(session: PureSession) -> None:
    given = frame("tok-frame", previous_frame_id="tok-previous")
    session.commit(append_commit(node("a"), agent_frames=(given, frame("f")), current_agent_frame_id="f"))


def lease(session: PureSession) -> None:
    session.do(leases.try_claim(TOKEN, HOUR))


def said(session: PureSession, given: TurnInput, turn_id: str = "tok-turn") -> None:
    draft = PendingTurnInputDraft(SESSION, ActiveTurn(turn_id), given, input_id="tok-input", source_key="tok-key")
    session.do(turn_inputs.enqueue(draft))


def waiting(session: PureSession) -> None:
    said(session, TurnInput((TextItem("tok"),), trace_turn_id="tok-trace").with_image_ref("tok-image", b"x"))


def deferred(session: PureSession) -> None:
    fence = session.lease().fence()
    said(session, TurnInput.text("tok"))
    session.do(turn_inputs.defer_orphaned(fence, "tok-turn"))


def cancelled(session: PureSession) -> None:
    waiting(session)
    session.do(cancels.cancel((CancelByInputId("tok-input"),)))


def claimed(session: PureSession) -> None:
    fence = session.lease().fence()
    session.do(turn_inputs.enqueue(next_input("hello")))
    session.do(turn_inputs.claim_next(fence, TOKEN, HOUR, 9))


def queued(session: PureSession) -> None:
    session.do(queued_work.enqueue(wake("tok", merge=MergeGroup("tok-group"), source_key="tok-key")))
    fence = session.lease().fence()
    session.do(queued_work.claim_ready(fence, TOKEN, QueuedWorkClaimBoundary.IDLE, HOUR, 9))


def row(session: PureSession) -> None:
    session.do(attachments.record_intent(intent("tok-row")))


def committed_row(session: PureSession) -> None:
    row(session)
    session.do(attachments.commit_refs(("tok-row",)))


def nodes(session: PureSession) -> None:
    session.commit(stamped(append_commit(node("tok-node", "tok-before", agent_frame_id="tok-frame")), "tok-turn"))


def passed(session: PureSession) -> None:
    session.do(leases.try_claim(TOKEN, HOUR))
    assert session.state.lease is not None
    session.do(leases.release(session.state.lease.lease.completion()))


def folded(session: PureSession) -> None:
    passed(session)
    session.fold()


INPUT = {("input", "tok-input"), ("source key", "tok-key"), ("turn", "tok-turn")}
ROW = {("attachment", "tok-row"), ("address", "attachment:tok-row")}
PLACES: dict[str, tuple[Callable[[PureSession], None], Told]] = {
    "nothing": (lambda session: None, set()),
    "relation": (relation, {("session", "tok-parent")}),
    "branch": (branch, {("branch", "tok-branch")}),
    "frames": (frames, {("frame", "tok-frame"), ("frame", "tok-previous")}),
    "lease": (lease, OWNER),
    "waiting input": (waiting, {*INPUT, ("turn", "tok-trace"), ("image", "tok-image")}),
    "deferred input": (deferred, INPUT),
    "cancelled input": (cancelled, {*INPUT, ("turn", "tok-trace"), ("image", "tok-image")}),
    "image without bytes": (
        lambda session: said(session, TurnInput((ImageRef("tok-image"),))),
        {*INPUT, ("image", "tok-image")},
    ),
    "claimed input": (claimed, OWNER),
    "work": (queued, {*OWNER, ("source key", "tok-key"), ("merge group", "tok-group")}),
    "row": (row, ROW),
    "committed row": (committed_row, ROW),
    "nodes": (
        nodes,
        {("node", "tok-node"), ("node", "tok-before"), ("frame", "tok-frame"), ("turn", "tok-turn")},
    ),
    "what happened since the last fold": (passed, {("change", "tok-owner")}),
    "what happened before it": (folded, {("change", "tok-owner")}),
}


@pytest.mark.parametrize("name", PLACES)
def test_each_is_told_once(name):
    fill, expected = PLACES[name]
    session = PureSession()
    fill(session)
    told = [(place.what, place.id) for place in ids_left(Redactor("tok", "x"), session.state, session.recent)]
    assert (len(told), set(told)) == (len(expected), expected)


def test_that_of_the_session_is_told():
    session = PureSession()
    session.state = replace(session.state, session_id="tok-session")
    (place,) = ids_left(Redactor("tok", "x"), session.state, session.recent)
    assert (place.what, place.id) == ("session", "tok-session")
