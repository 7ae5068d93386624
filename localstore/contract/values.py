"""Fields that hold values which could change under us: JSON documents and byte maps.

A record keeps them encoded and decodes a fresh copy at each access. So a record is immutable all the way down, the
store and its callers can share records, and JSON that is only passed on is never parsed. Code that reads a large
payload more than once keeps it in a variable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import orjson

from . import checks
from .errors import CorruptRecord, InvalidArgument

JsonValue: TypeAlias = dict[str, Any] | list[Any] | str | int | float | bool | None
"""A JSON document as `json.loads` gives it. Integers fit 64 bits, at most 200 levels are nested, tuples are none."""
JsonObject: TypeAlias = dict[str, Any]
"""A JSON document whose outermost value is an object."""

MAX_JSON_DEPTH = 200

R = TypeVar("R")


class EncodedJson:
    """JSON text that is known to be valid, so that a record takes it without looking at it again."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text


_NULL = b"null"
_EMPTY = b"{}"


_SCALARS = frozenset({str, int, bool, type(None)})
_LOOK_AT = 32
"""Values that are looked at one by one whatever their text's length; one more for every this many bytes of it."""


def _is_plain(value: object, budget: int) -> bool:
    """Whether `value`, which orjson wrote, is seen to come back equal after a look at no more than `budget` values.

    Only the exact types of JSON are: a subclass may compare as it likes, and orjson writes NaN as null and tuples,
    dates and UUIDs as their nearest JSON.
    """
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        budget -= len(level)
        if budget < 0:
            return False
        inner: list[object] = []
        for item in level:
            kind = type(item)
            if kind in _SCALARS:
                continue
            if kind is dict:
                inner += item.values()  # type: ignore[attr-defined]
            elif kind is list:
                inner += item  # type: ignore[arg-type]
            elif kind is not float or item - item != 0.0:  # type: ignore[operator]
                return False
        if not inner:
            return True
        level = inner
    return False


def _depth(value: object) -> int:
    deepest = 0
    stack: list[tuple[object, int]] = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if isinstance(item, dict):
            deepest = max(deepest, depth)
            stack.extend((child, depth + 1) for child in item.values())
        elif isinstance(item, list):
            deepest = max(deepest, depth)
            stack.extend((child, depth + 1) for child in item)
    return deepest


def encode_json(name: str, value: object) -> bytes:
    """`value` as JSON text, or `InvalidArgument` when it would not come back equal."""
    if type(value) is EncodedJson:
        return value.text
    if value is None:
        return _NULL
    if type(value) is dict and not value:
        return _EMPTY
    try:
        encoded = orjson.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"{name} is not plain JSON: {error}") from error
    if not _is_plain(value, _LOOK_AT + len(encoded) // _LOOK_AT):
        _require_equal(name, value, encoded)
    return encoded


def _require_equal(name: str, value: object, encoded: bytes) -> None:
    """Decode and compare: dearer than a look at few values, cheaper than one at many."""
    decoded = orjson.loads(encoded)
    try:
        same = bool(decoded == value)
    except Exception as error:  # an __eq__ of the caller's may do anything
        raise InvalidArgument(f"{name} is not plain JSON: {error}") from error
    if not same:
        raise InvalidArgument(
            f"{name} is not plain JSON: NaN, infinities, tuples, dates and other Python types do not survive"
        )
    # Few brackets cannot nest deeply: the walk is only paid by large documents.
    if encoded.count(b"{") + encoded.count(b"[") > MAX_JSON_DEPTH and _depth(decoded) > MAX_JSON_DEPTH:
        raise InvalidArgument(f"{name} nests deeper than {MAX_JSON_DEPTH} levels")


class _Held:
    """A data descriptor over a dataclass slot: `hold` on the way in, `give` on the way out."""

    def __init__(self, name: str, slot: Any) -> None:
        self.name = name
        self.slot = slot
        self.put = slot.__set__
        self.get = slot.__get__

    def hold(self, value: Any) -> Any:
        raise NotImplementedError

    def give(self, held: Any) -> Any:
        raise NotImplementedError

    def __get__(self, record: Any, owner: type | None = None) -> Any:
        return self if record is None else self.give(self.get(record))

    def __set__(self, record: Any, value: Any) -> None:
        self.put(record, self.hold(value))


class _HeldJson(_Held):
    def hold(self, value: Any) -> bytes:
        # Most of these fields are left at their default.
        return _NULL if value is None else encode_json(self.name, value)

    def give(self, held: bytes) -> Any:
        try:
            return orjson.loads(held)
        except orjson.JSONDecodeError as error:
            # What comes from files is not looked at until it is asked for.
            raise CorruptRecord(f"the {self.name} of a record", f"it is no JSON: {error}") from error


class _HeldObject(_HeldJson):
    def hold(self, value: Any) -> bytes:
        encoded = encode_json(self.name, value)
        if encoded[:1] != b"{":
            raise InvalidArgument(f"{self.name} must be a JSON object (a dict), not {type(value).__name__}")
        return encoded


class _HeldOptionalObject(_HeldObject):
    def hold(self, value: Any) -> bytes:
        if value is None or (type(value) is EncodedJson and value.text == _NULL):
            return _NULL
        return super().hold(value)


class _HeldBlobs(_Held):
    def hold(self, value: Any) -> tuple[tuple[str, bytes], ...]:
        if not isinstance(value, Mapping):
            raise InvalidArgument(f"{self.name} must be a dict of bytes, not {type(value).__name__}")
        return tuple(
            (checks.identifier(f"a key of {self.name}", key), checks.octets(f"{self.name}[{key!r}]", blob))
            for key, blob in value.items()
        )

    def give(self, held: tuple[tuple[str, bytes], ...]) -> dict[str, bytes]:
        return dict(held)


_KINDS: dict[str, type[_Held]] = {
    "object": _HeldObject,
    "optional object": _HeldOptionalObject,
    "value": _HeldJson,
    "blobs": _HeldBlobs,
}


def held(**kinds: str) -> Callable[[type[R]], type[R]]:
    """Class decorator for a slotted dataclass: keep each named field as its kind says.

    Kinds: "object" (a JSON object), "optional object" (or `None`), "value" (any JSON), "blobs" (`dict[str, bytes]`).
    """

    def decorate(cls: type[R]) -> type[R]:
        for name, kind in kinds.items():
            setattr(cls, name, _KINDS[kind](name, cls.__dict__[name]))
        return cls

    return decorate


def encoded(record: object, name: str) -> bytes:
    """The JSON text that the field `name` of `record` holds, without decoding it."""
    descriptor: _Held = type(record).__dict__[name]
    text: bytes = descriptor.get(record)
    return text


def altered(record: R, **changes: Any) -> R:
    """A copy of a slotted record with fields changed to values that are known to be good: nothing is checked again."""
    cls = type(record)
    slots = _SLOTS.get(cls)
    if slots is None:
        own = ((name, cls.__dict__[name]) for name in cls.__slots__)  # type: ignore[attr-defined]
        slots = _SLOTS[cls] = tuple((name, item.slot if isinstance(item, _Held) else item) for name, item in own)
    copy = object.__new__(cls)
    for name, slot in slots:
        slot.__set__(copy, changes[name] if name in changes else slot.__get__(record))
    return copy


_SLOTS: dict[type, tuple[tuple[str, Any], ...]] = {}


def restorer(cls: type[R]) -> Callable[..., R]:
    """A constructor of a slotted record from the values of its slots, in order, that checks and encodes nothing.

    For what was checked when it was made and is proven to be unchanged; JSON fields are given as their text.
    """
    slots = [cls.__dict__[name] for name in cls.__slots__]  # type: ignore[attr-defined]
    puts = tuple(item.put if isinstance(item, _Held) else item.__set__ for item in slots)
    make = object.__new__

    def restore(*values: Any) -> R:
        record = make(cls)
        for put, value in zip(puts, values, strict=True):
            put(record, value)
        return record

    return restore


def ways_in(cls: type, name: str) -> tuple[Callable[[Any, Any], None], Callable[[Any], Any] | None]:
    """What puts a value in the slot `name` of a record of class `cls`, and what encodes it before, if it is kept so."""
    slot: Any = cls.__dict__[name]
    return (slot.put, slot.hold) if isinstance(slot, _Held) else (slot.__set__, None)


def held_kinds(cls: type) -> dict[str, str]:
    """The fields of the record class `cls` that are kept encoded, each with its kind; see `held`."""
    return {
        name: next(kind for kind, held_class in _KINDS.items() if type(item) is held_class)
        for name, item in cls.__dict__.items()
        if isinstance(item, _Held)
    }
