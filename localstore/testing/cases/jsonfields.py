"""Fields of records that hold JSON and bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from ... import (
    ChildSession,
    HydratedSessionCheckpoint,
    ImageRef,
    InvalidArgument,
    PersistedSessionConfig,
    PersistedTurnState,
    ProcessWake,
    SessionCommand,
    SessionNodeRecord,
    TurnInput,
)
from ..builders import TIMESTAMP, frame, node

JSON_FIELDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "SessionNodeRecord.payload": (lambda v: SessionNodeRecord("a", None, TIMESTAMP, v), "payload"),
    "SessionNodeRecord.caused_by": (lambda v: node("a", caused_by=v), "caused_by"),
    "ChildSession.caused_by": (lambda v: ChildSession("p", v), "caused_by"),
    "PersistedSessionConfig.model": (lambda v: PersistedSessionConfig("p", v), "model"),
    "AgentFrameRecord.assignment": (lambda v: frame(assignment=v), "assignment"),
    "AgentFrameRecord.caused_by": (lambda v: frame(caused_by=v), "caused_by"),
    "AgentFrameRecord.protocol_turn_options": (
        lambda v: frame(protocol_turn_options=v),
        "protocol_turn_options",
    ),
    "PersistedTurnState.last_prompt_usage": (
        lambda v: PersistedTurnState(last_prompt_usage=v),
        "last_prompt_usage",
    ),
    "PersistedTurnState.protocol_turn_options": (
        lambda v: PersistedTurnState(protocol_turn_options=v),
        "protocol_turn_options",
    ),
    "HydratedSessionCheckpoint.tool_state": (lambda v: HydratedSessionCheckpoint(tool_state=v), "tool_state"),
    "HydratedSessionCheckpoint.plugin_snapshot": (
        lambda v: HydratedSessionCheckpoint(plugin_snapshot=v),
        "plugin_snapshot",
    ),
    "TurnInput.protocol_turn_options": (
        lambda v: TurnInput((), {}, v),
        "protocol_turn_options",
    ),
    "ProcessWake.wake": (ProcessWake, "wake"),
    "SessionCommand.command": (SessionCommand, "command"),
}

OBJECT_FIELDS = [
    name
    for name in JSON_FIELDS
    if not name.endswith(("caused_by", "last_prompt_usage", "tool_state", "plugin_snapshot"))
]


def nested(depth: int, leaf: Any) -> Any:
    """`leaf` inside of `depth` objects."""
    for _ in range(depth):
        leaf = {"a": leaf}
    return leaf


class _Odd:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("never compare me")

    __hash__ = None  # type: ignore[assignment]


NOT_JSON: dict[str, Any] = {
    "nan": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "tuple": (1, 2),
    "empty tuple": (),
    "set": {1},
    "bytes": b"x",
    "object": object(),
    "odd object": _Odd(),
    "class": int,
    "complex": 1j,
    "integer over 64 bits": 2**64,
    "integer under 64 bits": -(2**63) - 1,
    "lone surrogate": "\ud800",
    "key that is no text": {1: 2},
    "key that is None": {None: 2},
    "surrogate in a key": {"\udc00": 1},
    "too deep": nested(201, 1),
    "much too deep": nested(5000, 1),
    "list too deep": [nested(199, {})],
}


class TestJsonFields:
    """Fields that hold JSON."""

    @pytest.mark.parametrize("name", JSON_FIELDS)
    def test_give_back_what_they_were_given(self, name: str) -> None:
        """A JSON field holds any plain JSON object, as it is."""
        make, field = JSON_FIELDS[name]
        value = {"a": [1, 2.5, None, True, "✓\0"], "b": {"": {}}, "n": -(2**63), "m": 2**64 - 1}
        assert getattr(make(value), field) == value

    @pytest.mark.parametrize("name", JSON_FIELDS)
    def test_keep_their_own_copy(self, name: str) -> None:
        """Changing what was given, or what was got, changes no record."""
        make, field = JSON_FIELDS[name]
        given: dict[str, Any] = {"a": [1], "b": {}}
        record = make(given)
        given["a"].append(2)
        given["c"] = 3
        got = getattr(record, field)
        got["a"].append(4)
        got["b"]["x"] = 5
        assert getattr(record, field) == {"a": [1], "b": {}}
        assert record == make({"a": [1], "b": {}})

    @pytest.mark.parametrize("name", JSON_FIELDS)
    @pytest.mark.parametrize("bad", NOT_JSON)
    def test_refuse_what_is_no_json(self, name: str, bad: str) -> None:
        """What would not come back equal is refused at once, on top and inside."""
        make, _ = JSON_FIELDS[name]
        for value in (NOT_JSON[bad], {"a": NOT_JSON[bad]}, {"a": [0, NOT_JSON[bad]]}):
            with pytest.raises(InvalidArgument):
                make(value)

    @pytest.mark.parametrize("name", OBJECT_FIELDS)
    def test_that_are_objects_refuse_other_json(self, name: str) -> None:
        """A JSON object is a dict on top."""
        make, _ = JSON_FIELDS[name]
        for value in ([], [1], "x", 1, True, 1.5, *(() if "TurnInput." in name else (None,))):
            with pytest.raises(InvalidArgument):
                make(value)

    @pytest.mark.parametrize("name", [name for name in JSON_FIELDS if name not in OBJECT_FIELDS])
    def test_that_are_values_take_any_json(self, name: str) -> None:
        """A JSON value is any JSON."""
        make, field = JSON_FIELDS[name]
        values: tuple[Any, ...] = (None, True, False, 0, -1, 1.5, "", "x", [], [[]], {})
        for value in values:
            assert getattr(make(value), field) == value
            assert type(getattr(make(value), field)) is type(value)

    def test_nest_up_to_200_levels(self) -> None:
        """Nesting is at most 200 deep."""
        assert node("a", payload=nested(200, 1)).payload == nested(200, 1)
        with pytest.raises(InvalidArgument):
            node("a", payload=nested(201, 1))


class TestBlobFields:
    """Fields that hold bytes."""

    def test_keep_their_own_copy(self) -> None:
        """Image blobs are copied on the way in and on the way out."""
        blobs = {"i": b"1"}
        given = TurnInput((ImageRef("i"),), blobs)
        blobs["j"] = b"2"
        given.image_blobs["k"] = b"3"
        assert given.image_blobs == {"i": b"1"}

    def test_take_mutable_buffers_as_bytes(self) -> None:
        """A bytearray is copied to bytes."""
        buffer = bytearray(b"abc")
        given = TurnInput((), {"i": buffer})  # type: ignore[dict-item]
        checkpoint = HydratedSessionCheckpoint(execution_state=buffer)  # type: ignore[arg-type]
        buffer[0] = 0
        assert given.image_blobs == {"i": b"abc"}
        assert checkpoint.execution_state == b"abc"
        assert type(checkpoint.execution_state) is bytes

    @pytest.mark.parametrize("bad", [None, [], "x", {"i": "text"}, {"": b""}, {1: b""}, {"\ud800": b""}])
    def test_refuse_other_things(self, bad: Any) -> None:
        """Blobs are a dict of bytes by non-empty text."""
        with pytest.raises(InvalidArgument):
            TurnInput((), bad)

    @pytest.mark.parametrize("bad", ["text", 7, [1], object()])
    def test_of_state_are_bytes(self, bad: Any) -> None:
        """Execution states and snapshots are bytes or None."""
        with pytest.raises(InvalidArgument):
            HydratedSessionCheckpoint(execution_state=bad)
        with pytest.raises(InvalidArgument):
            frame(execution_state_snapshot=bad)
