"""A constructor that checks in place takes and refuses what the functions in `checks` take and refuse."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field, replace
from enum import StrEnum
from typing import Any

import pytest

from localstore import InvalidArgument
from localstore.contract import checks
from localstore.contract import constructors as made
from localstore.contract.values import held


class Colour(StrEnum):
    RED = "red"


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Tuple(tuple[Any, ...]):
    __slots__ = ()


VALUES: list[Any] = [
    *("", "a", "\xe9", "\ud800", "a" * 1_024, "a" * 1_025, Text("a"), Text(""), "2026-01-31T12:00:00Z", "yesterday"),
    *(0, 1, -1, checks.MAX_INTEGER, checks.MAX_INTEGER + 1, True, False, 1.0, float("nan"), Number(3)),
    *(None, b"", b"x", bytearray(b"x"), memoryview(b"x"), Colour.RED, "red", object(), 1j),
    *((), [], ("a",), ["a"], ("",), (1,), Tuple(), Tuple("a"), {}, {"a": 1}, "abc", range(2)),
]
CHECKS = {
    "session id": (made.SESSION_ID, lambda name, value: checks.session_id(value, name)),
    "identifier": (made.IDENTIFIER, checks.identifier),
    "optional identifier": (made.OPTIONAL_IDENTIFIER, checks.optional_identifier),
    "identifiers": (made.IDENTIFIERS, checks.identifiers),
    "text": (made.TEXT, checks.text),
    "timestamp": (made.TIMESTAMP, checks.timestamp),
    "optional timestamp": (made.OPTIONAL_TIMESTAMP, checks.optional_timestamp),
    "integer": (made.INTEGER, checks.integer),
    "optional integer": (made.OPTIONAL_INTEGER, checks.optional_integer),
    "optional octets": (made.OPTIONAL_OCTETS, checks.optional_octets),
    "of": (made.of(int, Colour), lambda name, value: checks.instance(name, value, int, Colour)),
    "optional": (
        made.optional(Colour),
        lambda name, value: None if value is None else checks.instance(name, value, Colour),
    ),
    "each": (made.each(str), lambda name, value: checks.instances(name, value, str)),
    "member": (made.member(Colour), lambda name, value: checks.member(name, value, Colour)),
}


def outcome(call: Any, *arguments: Any) -> tuple[str, Any]:
    try:
        found = call(*arguments)
    except InvalidArgument as error:
        return "refused", str(error)
    return "taken", found


@pytest.mark.parametrize("name", CHECKS)
def test_in_place_is_as_by_the_function(name: str) -> None:
    check, function = CHECKS[name]

    @made.quick(value=check)
    @dataclass(frozen=True, slots=True)
    class Record:
        value: Any

    answers = [outcome(function, "value", value) for value in VALUES]
    assert {kind for kind, _ in answers} == {"taken", "refused"}
    for value, (kind, expected) in zip(VALUES, answers, strict=True):
        told, found = outcome(Record, value)
        found = found.value if told == "taken" else found
        assert (told, type(found), repr(found)) == (kind, type(expected), repr(expected)), value


@made.quick(number=made.INTEGER, names=made.IDENTIFIERS)
@held(payload="object")
@dataclass(frozen=True, slots=True)
class Record:
    number: int
    payload: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.number == 13:
            raise InvalidArgument("13 is unlucky")


def test_it_is_the_dataclass_that_it_was() -> None:
    record = Record(1, names=["a"])  # type: ignore[arg-type]
    assert (record.number, record.payload, record.names) == (1, {}, ("a",))
    assert replace(record, payload={"a": [1]}) == Record(1, {"a": [1]}, ("a",)) != record
    assert Record(1).payload is not Record(1).payload
    assert repr(Record(2)).endswith("Record(number=2, payload={}, names=())")
    assert Record.__init__.__annotations__["number"] == "int"
    with pytest.raises(FrozenInstanceError):
        record.number = 2  # type: ignore[misc]
    with pytest.raises(TypeError, match="number"):
        Record()  # type: ignore[call-arg]


def test_a_check_of_a_field_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="has no field numbr"):
        made.quick(numbr=made.INTEGER)(Record)


def test_what_concerns_several_fields_comes_last() -> None:
    with pytest.raises(InvalidArgument, match="13 is unlucky"):
        Record(13)
    with pytest.raises(InvalidArgument, match="payload must be a JSON object"):
        Record(13, [])  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match=r"names\[0\] must not be empty"):
        Record(13, {}, ("",))
