"""Facts as lines of node files.

A node's payload and a JSON value stand last in their line and their size first, so that they are cut out as text: what
is only passed on is never parsed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields as fields_of
from functools import lru_cache
from hashlib import sha256
from typing import Any

import orjson

from ..contract.errors import CorruptRecord, InvalidArgument
from ..contract.graph import SessionNodeRecord
from ..contract.values import encoded, restorer
from ..machine import later
from ..machine.encoding import FACT_CLASSES, KINDS, Malformed, dump, load_one_of, plain
from ..machine.facts import (
    AttachmentFact,
    CommitFact,
    DanglingFact,
    Fact,
    InputFact,
    NodeFact,
    TombstoneFact,
    TraceFact,
    ValueDroppedFact,
    ValueFact,
)
from .lines import BODY_AT

CODES: dict[type, int] = {
    NodeFact: 1,
    TombstoneFact: 2,
    DanglingFact: 3,
    CommitFact: 4,
    InputFact: 5,
    ValueFact: 6,
    ValueDroppedFact: 7,
    AttachmentFact: 8,
    TraceFact: 9,
}
"""The kind of a line in the index of its file."""

LARGE_VALUE = 16 * 1024
"""Values from this size on, in bytes, are blobs: files of their own."""

_CLASSES = {KINDS[cls]: cls for cls in FACT_CLASSES}
_NODE = b'"kind":"node","size":'
_JSON = b'"kind":"value","size":'
_PAYLOAD = b',"payload":'
_CONTENT = b',"json":'
_NULL = b"null"
_NO_MANIFEST = b"{}"
_restore_node = restorer(SessionNodeRecord)


_KNOWN_OF: dict[type, frozenset[str]] = {
    NodeFact: frozenset(
        ["kind", "size", "seq", "node_id", "parent_node_id", "timestamp", "caused_by", "agent_frame_id", "payload"]
    ),
    ValueFact: frozenset(["kind", "size", "seq", "ref", "json", "base64", "blob"]),
    CommitFact: frozenset(["kind", "leaf", *(item.name for item in fields_of(CommitFact) if item.name != "line")]),
}
"""The fields of lines that are not told as their facts are."""


def encode_fact(fact: Fact) -> bytes:
    """The body of the fact's line, with what a later release said in the one that it was read from."""
    body = _encode(fact)
    if fact.line is None or fact.line[BODY_AT:] == body[1:]:
        return body
    was = _fields(fact.line)
    if type(fact) in _KNOWN_OF:
        more = _unknown_of_flat(fact, was)
        # What stands first says how long the last field is.
        place = body.index(b",", body.index(b",") + 1)
        return body[:place] + b"," + orjson.dumps(more)[1:-1] + body[place:] if more else body
    now = orjson.loads(body)
    found = later.kept(type(fact), was, now)
    return orjson.dumps(found) if found != now else body


def unknown_fields(fact: Fact) -> list[Any]:
    """What a later release said in the line that the fact was read from: objects of fields."""
    if fact.line is None or fact.line[BODY_AT:] == _encode(fact)[1:]:
        return []
    was = _fields(fact.line)
    if type(fact) in _KNOWN_OF:
        more = _unknown_of_flat(fact, was)
        return [more] if more else []
    return later.unknown(type(fact), was)


def _fields(line: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = orjson.loads(line)
    fields.pop("sum", None)
    return fields


def _unknown_of_flat(fact: Fact, was: dict[str, Any]) -> dict[str, Any]:
    known = _KNOWN_OF[type(fact)]
    return {name: value for name, value in was.items() if name not in known}


def _encode(fact: Fact) -> bytes:
    if isinstance(fact, NodeFact):
        return _encode_node(fact)
    if isinstance(fact, ValueFact):
        return _encode_value(fact)
    if isinstance(fact, CommitFact):
        return _encode_commit(fact)
    return dump(fact)


def _encode_node(fact: NodeFact) -> bytes:
    node = fact.node
    payload = encoded(node, "payload")
    fields: dict[str, Any] = {"kind": "node", "size": len(payload), "seq": fact.seq, "node_id": node.node_id}
    if node.parent_node_id is not None:
        fields["parent_node_id"] = node.parent_node_id
    fields["timestamp"] = node.timestamp
    caused_by = encoded(node, "caused_by")
    if caused_by != b"null":
        fields["caused_by"] = orjson.Fragment(caused_by)
    if node.agent_frame_id is not None:
        fields["agent_frame_id"] = node.agent_frame_id
    return orjson.dumps(fields)[:-1] + _PAYLOAD + payload + b"}"


def _encode_commit(fact: CommitFact) -> bytes:
    """`leaf` is where the head came from and went to; a manifest that is all defaults, and its address, go unsaid."""
    fields = plain(fact)
    seq, at_ms, revision = fields.pop("seq"), fields.pop("at_ms"), fields.pop("revision")
    leaf = [fields.pop("previous_leaf_node_id"), fields.pop("leaf_node_id")]
    manifest = encoded(fact, "manifest")
    if fact.checkpoint_ref == _address(manifest):
        del fields["checkpoint_ref"]
    if manifest == _NO_MANIFEST:
        del fields["manifest"]
    return dump({"kind": fields.pop("kind"), "seq": seq, "at_ms": at_ms, "revision": revision, "leaf": leaf, **fields})


@lru_cache(maxsize=8)
def _address(manifest: bytes) -> str:
    return sha256(manifest).hexdigest()


def _commit(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a commit's fact. Where `leaf` is not given they all are, as they were written at first."""
    if "leaf" not in fields:
        return fields
    previous, leaf = fields.pop("leaf")
    manifest = fields.setdefault("manifest", {})
    fields.setdefault("checkpoint_ref", _address(orjson.dumps(manifest)))
    return {**fields, "previous_leaf_node_id": previous, "leaf_node_id": leaf}


def _encode_value(fact: ValueFact) -> bytes:
    content = fact.content
    if content is None or len(content) >= LARGE_VALUE:
        return orjson.dumps({"kind": "value", "seq": fact.seq, "ref": fact.ref, "blob": True})
    if _is_json_line(content):
        head = orjson.dumps({"kind": "value", "size": len(content), "seq": fact.seq, "ref": fact.ref})
        return head[:-1] + _CONTENT + content + b"}"
    return dump({"kind": "value", "seq": fact.seq, "ref": fact.ref, "base64": content})


def _is_json_line(content: bytes) -> bool:
    if b"\n" in content or not content:
        return False
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return True


def _cut(line: bytes, prefix: bytes, name: bytes) -> tuple[dict[str, Any], bytes] | None:
    """The fields before the last one, and the text of the last one, where `line` is of that form."""
    if not line.startswith(prefix, BODY_AT):
        return None
    comma = line.index(b",", BODY_AT + len(prefix))
    start = len(line) - 1 - int(line[BODY_AT + len(prefix) : comma])
    if line[start - len(name) : start] != name:
        raise ValueError("the size in it does not fit")
    return orjson.loads(b"{" + line[BODY_AT : start - len(name)] + b"}"), line[start:-1]


def payload_in(line: bytes) -> bytes:
    """The end of a node's line that has its payload, mostly with nothing before that."""
    return line[max(0, line.find(_PAYLOAD, BODY_AT)) :]


def _node(line: bytes) -> NodeFact | None:
    cut = _cut(line, _NODE, _PAYLOAD)
    if cut is None:
        return None
    fields, payload = cut
    node_id, parent, timestamp = fields["node_id"], fields.get("parent_node_id"), fields["timestamp"]
    frame, seq = fields.get("agent_frame_id"), fields["seq"]
    texts = type(node_id) is str and type(timestamp) is str and type(seq) is int
    if not (texts and (parent is None or type(parent) is str) and (frame is None or type(frame) is str)):
        raise ValueError("a field of the node has another type")
    caused_by = orjson.dumps(fields["caused_by"]) if "caused_by" in fields else _NULL
    return NodeFact(seq, _restore_node(node_id, parent, timestamp, payload, caused_by, frame))


def decode_fact(line: bytes, path: str, offset: int, read_blob: Callable[[str], bytes] | None = None) -> Fact:
    """The fact in a line, given without its newline and checked already.

    A value that is a blob is read with `read_blob`, or listed without its content where that is not given.
    """
    try:
        found = _node(line) or _value(line, read_blob)
        if found is None:
            fields = orjson.loads(line)
            found = load_one_of(_commit(fields) if fields.get("kind") == "commit" else fields, _CLASSES)
    except (Malformed, InvalidArgument, KeyError, ValueError, TypeError) as error:
        raise CorruptRecord(path, f"the line at offset {offset} is malformed: {error!r}") from error
    if isinstance(found, ValueFact) and found.content is not None and sha256(found.content).hexdigest() != found.ref:
        raise CorruptRecord(path, f"the value at offset {offset} is not what its ref names")
    return found


def _value(line: bytes, read_blob: Callable[[str], bytes] | None) -> ValueFact | None:
    cut = _cut(line, _JSON, _CONTENT)
    if cut is not None:
        return ValueFact(cut[0]["seq"], cut[0]["ref"], cut[1])
    if not line.startswith(b'"kind":"value"', BODY_AT):
        return None
    fields = orjson.loads(line)
    if fields.get("blob") is True:
        return ValueFact(fields["seq"], fields["ref"], read_blob(fields["ref"]) if read_blob else None)
    found = load_one_of({**fields, "content": fields["base64"]}, _CLASSES)
    assert isinstance(found, ValueFact)
    return found
