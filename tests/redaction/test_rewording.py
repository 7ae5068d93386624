"""Records are reworded where something matches, and stay the same objects where nothing does."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import orjson
import pytest

from localstore import (
    ChildSession,
    HydratedSessionCheckpoint,
    PersistedSessionConfig,
    PersistedTurnState,
    ProcessWake,
    QueuedWorkBatch,
    QueuedWorkItem,
    SessionMeta,
    TurnInput,
)
from localstore.contract.values import altered, encoded
from localstore.machine import rewording, upkeep
from localstore.machine.facts import CommitFact, ValueFact
from localstore.machine.redaction import Redaction
from localstore.machine.redactor import Redactor
from localstore.testing import SESSION, frame, node, unchanged_commit, wake
from tests.model.pure_session import PureSession

REDACTOR = Redactor("secret", "x")


def batch(*labels: str) -> QueuedWorkBatch:
    draft = wake()
    items = tuple(QueuedWorkItem(f"i{number}", ProcessWake({"label": label})) for number, label in enumerate(labels))
    return QueuedWorkBatch(
        "b", SESSION, 1, draft.delivery_policy, draft.slot_policy, draft.merge_key, 0, 0, items, None
    )


def meta(model: str, why: str) -> SessionMeta:
    return SessionMeta(SESSION, "name", "", model, None, ChildSession("p", {"why": why}))


PLAIN: dict[str, tuple[Any, Any]] = {
    "node": (rewording.node, node("n")),
    "config": (rewording.config, PersistedSessionConfig("p", {"m": 1})),
    "frame": (rewording.frame, frame(reason="r")),
    "turn state": (rewording.turn_state, PersistedTurnState(1, protocol_turn_options={"a": 1})),
    "meta": (rewording.meta, meta("m", "w")),
    "input": (rewording.turn_input, TurnInput.text("t")),
    "batch": (rewording.batch, batch("one", "two")),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_record_without_a_match_stays_the_same(name):
    reword, record = PLAIN[name]
    found, count = reword(REDACTOR, record)
    assert found is record
    assert count == 0


def test_what_does_not_match_beside_a_match_stays_the_same():
    before = batch("a secret", "two")
    after, count = rewording.batch(REDACTOR, before)
    assert (after, count) == (batch("a x", "two"), 1)
    assert after.items[1] is before.items[1]


def test_the_cause_of_a_child_is_reworded():
    assert rewording.meta(REDACTOR, meta("m", "a secret")) == (meta("m", "a x"), 1)
    assert rewording.meta(REDACTOR, meta("secret", "secret")) == (meta("x", "x"), 2)


def test_values_that_change_are_given_once_and_no_others():
    session = PureSession()
    for state in (b"a secret", b"plain"):
        session.commit(unchanged_commit(checkpoint=HydratedSessionCheckpoint(execution_state=state)))
    session.do(upkeep.collect())
    session.commit(unchanged_commit(checkpoint=HydratedSessionCheckpoint(execution_state=b"a secret")))
    changed = list(Redaction(REDACTOR, session.state, session.recent).changed_values())
    assert b"plain" not in [fact.content for fact in changed]
    assert [fact.content for fact in changed].count(b"a x") == 1
    assert all(fact.ref == sha256(fact.content or b"").hexdigest() for fact in changed)


def test_a_manifest_keeps_what_a_later_release_wrote():
    session = PureSession()
    session.commit(unchanged_commit(checkpoint=HydratedSessionCheckpoint(tool_state="secret")))
    (commit,) = session.recent.facts(CommitFact)
    assert isinstance(commit, CommitFact)
    text = orjson.dumps({**orjson.loads(encoded(commit, "manifest")), "new": 5})
    ref, old = sha256(text).hexdigest(), commit.checkpoint_ref
    values = [fact for fact in session.recent.facts(ValueFact) if isinstance(fact, ValueFact) and fact.ref != old]
    session.recent.keep([*values, ValueFact(1, ref, text), altered(commit, manifest=text, checkpoint_ref=ref)])
    session.state.checkpoint_ref = ref
    for told in Redaction(REDACTOR, session.state, session.recent).facts():
        if isinstance(told, CommitFact):
            content = encoded(told, "manifest")
            assert told.checkpoint_ref == sha256(content).hexdigest() != ref
            assert orjson.loads(content)["new"] == 5
            assert orjson.loads(content)["tool_state_ref"] == sha256(b'"x"').hexdigest()
