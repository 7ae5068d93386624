"""Fields of a later release go on with the record that they are of, and with no other."""

from __future__ import annotations

from typing import Any

import pytest

from localstore.machine import events, facts, later

A, B = {"attachment_id": "a"}, {"attachment_id": "b"}
ACTIVE = {"kind": "active_turn", "turn_id": "t"}
CLAIM = {"claim_id": "c"}
Case = tuple[type, dict[str, Any], dict[str, Any], dict[str, Any]]

KEPT: dict[str, Case] = {
    "of the record": (events.Value, {"ref": 1, "new": 2}, {"ref": 3}, {"ref": 3, "new": 2}),
    "of one within": (
        events.Committed,
        {"summary": {"node_count": 1, "new": 2}},
        {"summary": {"node_count": 3}},
        {"summary": {"node_count": 3, "new": 2}},
    ),
    "of one that is all defaults by now": (
        events.Committed,
        {"summary": {"node_count": 1, "new": 2}},
        {},
        {"summary": {"new": 2}},
    ),
    "none of one that is all defaults by now": (events.Committed, {"summary": {"node_count": 1}}, {}, {}),
    "of each in a list": (
        events.AttachmentsWritten,
        {"entries": [{**A, "new": 1}, {**B, "new": 2}]},
        {"entries": [{**B, "x": 0}, A, {"attachment_id": "c"}]},
        {"entries": [{**B, "x": 0, "new": 2}, {**A, "new": 1}, {"attachment_id": "c"}]},
    ),
    "none of a list that is gone": (
        events.AttachmentsWritten,
        {"entries": [{**A, "new": 1}]},
        {"entries": None},
        {"entries": None},
    ),
    "none of what is no record": (events.AttachmentsWritten, {"entries": [A]}, {"entries": [5]}, {"entries": [5]}),
    "of one that is the same": (
        events.InputsClaimed,
        {"claim": {**CLAIM, "new": 1}},
        {"claim": CLAIM},
        {"claim": {**CLAIM, "new": 1}},
    ),
    "none of another": (
        events.InputsClaimed,
        {"claim": {**CLAIM, "new": 1}},
        {"claim": {"claim_id": "d"}},
        {"claim": {"claim_id": "d"}},
    ),
    "of one of its kind": (
        facts.StoredInput,
        {"submitted": {**ACTIVE, "new": 1}},
        {"submitted": ACTIVE},
        {"submitted": {**ACTIVE, "new": 1}},
    ),
    "none of another kind": (
        facts.StoredInput,
        {"submitted": {"kind": "next_turn", "new": 1}},
        {"submitted": ACTIVE},
        {"submitted": ACTIVE},
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_is_kept(name):
    cls, was, now, expected = KEPT[name]
    assert later.kept(cls, was, now) == expected


UNKNOWN: dict[str, tuple[type, dict[str, Any], list[Any], dict[str, Any]]] = {
    "nothing": (events.Value, {"ref": 1}, [], {"ref": 1}),
    "a field": (events.Value, {"ref": 1, "new": 2, "kind": 3}, [{"new": 2, "kind": 3}], {"ref": 1}),
    "a field of a list's": (
        events.AttachmentsWritten,
        {"kind": "attachments_written", "new_er": 1, "entries": [{**A, "x": 1}, 5]},
        [{"new_er": 1}, {"x": 1}],
        {"kind": "attachments_written", "entries": [A, 5]},
    ),
    "a field of one in a list alone": (
        events.AttachmentsWritten,
        {"entries": [A, {**B, "x": 1}]},
        [{"x": 1}],
        {"entries": [A, B]},
    ),
    "a field of what is kept as JSON": (
        events.Committed,
        {"manifest": {"plugin_snapshot_revision": 1, "x": 1}},
        [{"x": 1}],
        {"manifest": {"plugin_snapshot_revision": 1}},
    ),
    "no list": (events.AttachmentsWritten, {"entries": None}, [], {"entries": None}),
    "a field of one within": (
        facts.StoredInput,
        {"submitted": {**ACTIVE, "x": 1}},
        [{"x": 1}],
        {"submitted": ACTIVE},
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_is_told_and_left_out(name):
    cls, was, told, without = UNKNOWN[name]
    assert later.unknown(cls, was) == told
    assert later.said(cls, was) == (was if told else None)
    assert later.without(cls, was) == without
