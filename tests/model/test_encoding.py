"""Records as JSON: defaults are left out, and what is not the record it should be is told as malformed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from localstore import (
    AgentFrameRecord,
    CorruptRecord,
    HydratedSessionCheckpoint,
    PendingTurnInput,
    PersistedSessionConfig,
    PersistedTurnState,
    TokenUsage,
    TurnInput,
)
from localstore.machine import events, facts
from localstore.machine.encoding import Malformed, dump, load
from localstore.machine.feed import gathered, traces_of
from localstore.testing import append_commit, node
from tests.model.pure_session import PureSession

BARE: dict[str, tuple[object, dict[str, Any]]] = {
    "turn state": (PersistedTurnState(), {}),
    "config": (PersistedSessionConfig(), {}),
    "checkpoint": (HydratedSessionCheckpoint(), {}),
    "frame": (AgentFrameRecord("f", "s"), {"frame_id": "f", "session_id": "s"}),
    "event": (events.InputsReleased(("i",)), {"kind": "inputs_released", "input_ids": ["i"]}),
}


@pytest.mark.parametrize("name", BARE)
def test_defaults_are_left_out(name):
    record, expected = BARE[name]
    assert orjson.loads(dump(record)) == expected
    assert load(type(record), expected) == record


INPUT = {
    "input_id": "i",
    "session_id": "s",
    "enqueue_seq": 1,
    "ingress": {"kind": "next_turn"},
    "state": "deferred_next_turn",
    "enqueued_at_ms": 0,
    "input": {"items": []},
}
WHOLE: dict[type, dict[str, Any]] = {
    facts.StoredInput: {"record": INPUT, "submitted": {"kind": "next_turn"}},
    PendingTurnInput: INPUT,
    TokenUsage: {},
}
MALFORMED: dict[str, tuple[type, Any, str]] = {
    "no object": (events.Value, ["ref", ""], "expected an object for Value"),
    "a field is missing": (events.Value, {"ref": "r"}, "Value lacks 'content'"),
    "a number for a text": (events.Value, {"ref": 5, "content": ""}, "expected str, found int"),
    "a text for a number": (facts.TombstoneFact, {"seq": "5", "node_id": "n"}, "expected int, found str"),
    "a number for bytes": (events.Value, {"ref": "r", "content": 5}, "expected base64 text, found int"),
    "no base64": (events.Value, {"ref": "r", "content": "?"}, "expected base64 text"),
    "a text for a list": (events.InputsReleased, {"input_ids": "ab"}, "expected a list, found str"),
    "one of a pair": (facts.StoredInput, {"images": [["a"]]}, "expected a list of 2"),
    "three of a pair": (facts.StoredInput, {"images": [["a", "b", "c"]]}, "expected a list of 2"),
    "a text for a pair": (facts.StoredInput, {"images": ["ab"]}, "expected a list of 2"),
    "a list for a mapping": (TurnInput, {"items": [], "image_blobs": []}, "expected an object, found list"),
    "an unknown kind": (facts.StoredInput, {"submitted": {"kind": "x"}}, "unknown kind 'x'"),
    "a kind that is no text": (facts.StoredInput, {"submitted": {"kind": 5}}, "unknown kind 5"),
    "a list for one of some kinds": (facts.StoredInput, {"submitted": []}, "expected an object, found list"),
    "an unknown word": (PendingTurnInput, {"state": "x"}, "'x' is not a valid TurnInputState"),
    "what the record refuses": (TokenUsage, {"input_tokens": -1}, "TokenUsage: "),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_not_the_record_is_malformed(name):
    cls, given, told = MALFORMED[name]
    whole = {**WHOLE[cls], **given} if isinstance(given, dict) and cls in WHOLE else given
    with pytest.raises(Malformed) as caught:
        load(cls, whole)
    assert told in str(caught.value)


def test_a_mapping_comes_back():
    given = TurnInput.text("look").with_image_ref("picture", b"\x89PNG")
    assert load(TurnInput, orjson.loads(dump(given))) == given


def test_what_is_not_written_is_not_read_either():
    committed = PureSession().commit(append_commit(node("a")))
    assert committed.checkpoint is not None
    found = load(events.Committed, {**orjson.loads(dump(committed)), "checkpoint": {"schema_version": 1}})
    assert found.checkpoint is None


TRACES: dict[str, Any] = {
    "no list of traces": {},
    "no list": [5],
    "too short": [[1, "mark"]],
    "a number that is none": [["1", "mark", 0]],
    "a change that is no list": [[1, "mark", 0, "committed"]],
    "a change without a kind": [[1, "mark", 0, []]],
    "a change of a revision alone": [[1, "mark", 0, [5]]],
    "an id that is none": [[1, "mark", 0, ["committed", 5, "a"]]],
    "an unknown kind": [[1, "mark", 0, ["x"]]],
    "a brief one that follows nothing": [["mark", 1, "a"]],
    "a brief one that follows no revision": [[1, "mark", 0, ["lease_cleared"]], ["mark", 1, "a"]],
    "a brief one without a time": [[1, "mark", 0, ["committed", "a", 1]], ["mark"]],
    "a brief one whose time is none": [[1, "mark", 0, ["committed", "a", 1]], ["mark", "1", "a"]],
    "a brief one with an id that is none": [[1, "mark", 0, ["committed", "a", 1]], ["mark", 1, 5]],
}


def test_traces_are_gathered_briefly_and_come_back():
    told: list[Any] = [
        [3, "m3", 1000, ["lease_set", "me"]],
        [4, "m4", 1001, ["committed", "a", 7]],
        [5, "m5", 1005, ["committed", "b", "c", 8]],
        [6, "m6", 1003, ["committed", 9]],
        [7, "m7", 1003, ["committed", "d", 10], ["lease_cleared"]],
        [8, "m8", 1009, ["head_moved", "a", 11]],
        [9, "m9", 1010, ["committed", "e", 12]],
        [10, "m10", 1010, ["committed", "f", 14]],
        [12, "m12", 1010, ["committed", "g", 15]],
        [13, "m13", 1011, ["committed", ',["committed",', 16]],
        [14, "m14", 1012, ["lease_set", ',["committed",']],
    ]
    fact = gathered([(each[0], orjson.dumps(each)) for each in told])
    found: Any = fact.traces
    assert [len(each) for each in found] == [4, 4, 4, 2, 5, 4, 4, 4, 4, 4, 4]
    assert found[2:4] == [["m5", 4, "b", "c"], ["m6", -2]]
    plain = traces_of(facts.TraceFact(14, told))
    assert traces_of(fact) == plain
    assert [(each.seq, each.mark, each.at_ms) for each in plain] == [(each[0], each[1], each[2]) for each in told]


@pytest.mark.parametrize("name", TRACES)
def test_traces_that_are_none_are_damage(name):
    with pytest.raises(CorruptRecord):
        traces_of(facts.TraceFact(1, TRACES[name]))
