"""What a later release said in records of the journal, carried to what becomes of them when they are folded.

It goes on with the records within an event, and what is said of an event itself with the record that it makes: a fact,
an entry of a queue, a part of the head. Where an event makes none, that ends with the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import orjson

from ..contract.graph import SessionNodeRecord
from . import events as ev
from . import later
from .encoding import EVENT_CLASSES, KINDS, dump
from .facts import Fact, Recent
from .state import SessionState

Fields: TypeAlias = dict[str, Any]


def carry(state: SessionState, recent: Recent, head: Fields, said: Sequence[Fields]) -> None:
    """Carry what is said in the record that was just applied, of which `said` are the events as parsed JSON.

    `head` is what a later release said in the head, and says in it from now on.
    """
    carrier = _Carrier(state, recent, head)
    for event in said:
        cls = _CLASSES[event["kind"]]
        carrier.own = later.own(cls, event)
        if cls in _CARRY:
            _CARRY[cls](carrier, event)


class _Carrier:
    def __init__(self, state: SessionState, recent: Recent, head: Fields) -> None:
        self.state = state
        self.head = head
        self.own: Fields = {}
        self._made: dict[str, Fact] = {}
        for fact in reversed(recent.log):
            if fact.seq != state.seq:
                break
            for key in fact.keys():  # noqa: SIM118 - a fact's keys, no mapping's
                self._made.setdefault(key, fact)

    def say(self, key: str, more: Fields) -> None:
        """Add to what is said of the fact that the record made under the key."""
        fact = self._made.get(key)
        if fact is not None and more:
            was = {} if fact.line is None else orjson.loads(fact.line)
            fact.line = dump({**was, **more})

    def say_values(self, values: Sequence[Fields]) -> None:
        for value in values:
            self.say(f"v:{value['ref']}", later.own(ev.Value, value))

    def put(self, table: str, rows: Sequence[Fields], *names: str) -> None:
        """Take the rows into a table of the head, in place of those that have the same in the fields `names`."""
        taken = [[row[name] for name in names] for row in rows]
        others = [row for row in self.head.get(table, ()) if [row[name] for name in names] not in taken]
        self.head[table] = [*rows, *others]


def _meta_saved(carrier: _Carrier, event: Fields) -> None:
    carrier.head["meta"] = {**carrier.own, **event["meta"]}


def _lease_set(carrier: _Carrier, event: Fields) -> None:
    carrier.head["lease"] = {**carrier.own, "lease": event["lease"], "deadline": event["deadline"]}


def _input_enqueued(carrier: _Carrier, event: Fields) -> None:
    live = carrier.state.inputs.get(event["stored"]["record"]["input_id"])
    if live is not None:
        live.said = {**carrier.own, **event["stored"]}
    carrier.say_values(event.get("values", ()))


def _inputs_settled(carrier: _Carrier, event: Fields) -> None:
    for input_id in event["input_ids"]:
        carrier.say(f"i:{input_id}", carrier.own)


def _work_enqueued(carrier: _Carrier, event: Fields) -> None:
    live = carrier.state.work.get(event["batch"]["batch_id"])
    if live is not None:
        live.said = {**carrier.own, **event["batch"]}


def _inputs_claimed(carrier: _Carrier, event: Fields) -> None:
    _claim(carrier.head.setdefault("inputs", {}), carrier.own, event)


def _work_claimed(carrier: _Carrier, event: Fields) -> None:
    _claim(carrier.head.setdefault("work", {}), carrier.own, event)


def _claim(index: Fields, own: Fields, event: Fields) -> None:
    index.setdefault("claims", []).append({**own, "claim": event["claim"], "seqs": []})


def _committed(carrier: _Carrier, event: Fields) -> None:
    carrier.say(f"r:{event['revision']}", carrier.own)
    for node in event["nodes"]:
        carrier.say(f"n:{node['node_id']}", later.own(SessionNodeRecord, node))
    carrier.say_values(event.get("values", ()))
    for name in ("config", "frames", "manifest", "summary"):
        if event.get(name) is not None:
            carrier.head[name] = event[name]
    carrier.put("ledger", event.get("usage", ()), "source", "model")


def _nodes_tombstoned(carrier: _Carrier, event: Fields) -> None:
    carrier.head["summary"] = event["summary"]
    for node_id in event["node_ids"]:
        carrier.say(f"n:{node_id}", carrier.own)


def _head_moved(carrier: _Carrier, event: Fields) -> None:
    carrier.say(f"r:{event['revision']}", carrier.own)


def _branch_created(carrier: _Carrier, event: Fields) -> None:
    carrier.put("branches", [{**carrier.own, "name": event["name"]}], "name")


def _rows_written(carrier: _Carrier, event: Fields) -> None:
    for entry in event["entries"]:
        carrier.say(f"a:{entry['attachment_id']}", {**carrier.own, "entry": entry})
    uncommitted = carrier.state.uncommitted
    carrier.put("uncommitted", event["entries"], "attachment_id")
    carrier.head["uncommitted"] = [row for row in carrier.head["uncommitted"] if row["attachment_id"] in uncommitted]


def _values_dropped(carrier: _Carrier, event: Fields) -> None:
    for ref in event["refs"]:
        carrier.say(f"v:{ref}", carrier.own)


_CLASSES = {KINDS[cls]: cls for cls in EVENT_CLASSES}
_CARRY: dict[type, Callable[[_Carrier, Fields], None]] = {
    ev.MetaSaved: _meta_saved,
    ev.LeaseSet: _lease_set,
    ev.InputEnqueued: _input_enqueued,
    ev.InputsClaimed: _inputs_claimed,
    ev.InputsSettled: _inputs_settled,
    ev.WorkEnqueued: _work_enqueued,
    ev.WorkClaimed: _work_claimed,
    ev.Committed: _committed,
    ev.NodesTombstoned: _nodes_tombstoned,
    ev.HeadMoved: _head_moved,
    ev.BranchCreated: _branch_created,
    ev.AttachmentsWritten: _rows_written,
    ev.AttachmentsForgotten: _rows_written,
    ev.ValuesDropped: _values_dropped,
}
