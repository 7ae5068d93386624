"""What a value must be to enter the store: one function a kind of value, each raising `InvalidArgument`.

Integers are 0..2^53-1 so that every JSON reader keeps them exact, and `bool` is none. Text must be encodable as UTF-8,
which a lone surrogate is not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, TypeVar

from .errors import InvalidArgument

MAX_INTEGER = 2**53 - 1
MAX_SESSION_ID_LENGTH = 1024

_TIMESTAMP = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt ]([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?"
    r"([Zz]|[+-]([01]\d|2[0-3]):?[0-5]\d)?",
    re.ASCII,
)

E = TypeVar("E", bound=Enum)


def shown(value: object) -> str:
    """`value` for a message: its repr, cut short."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def text(name: str, value: object) -> str:
    """Any string that UTF-8 can hold."""
    if type(value) is str and value.isascii():
        return value
    if not isinstance(value, str):
        raise InvalidArgument(f"{name} must be a str, not {type(value).__name__}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgument(f"{name} holds a lone surrogate, which UTF-8 cannot store") from error
    return value


def path(name: str, value: object) -> str:
    """The absolute form of a path, given as `str` or `os.PathLike`."""
    if not isinstance(value, str | os.PathLike):
        raise InvalidArgument(f"{name} must be a path, not {type(value).__name__}")
    given = identifier(name, os.fspath(value))
    if "\0" in given:
        raise InvalidArgument(f"{name} must be a path without NUL characters")
    return os.path.abspath(given)


def optional_text(name: str, value: object) -> str | None:
    return None if value is None else text(name, value)


def identifier(name: str, value: object) -> str:
    """A non-empty string."""
    if type(value) is str and value and value.isascii():
        return value
    if not text(name, value):
        raise InvalidArgument(f"{name} must not be empty")
    return value  # type: ignore[return-value]


def optional_identifier(name: str, value: object) -> str | None:
    return None if value is None else identifier(name, value)


def session_id(value: object, name: str = "session_id") -> str:
    """A non-empty string of at most 1,024 characters."""
    checked = identifier(name, value)
    if len(checked) > MAX_SESSION_ID_LENGTH:
        raise InvalidArgument(f"{name} has {len(checked)} characters, at most {MAX_SESSION_ID_LENGTH} are allowed")
    return checked


def _collected(name: str, value: object, refused: tuple[type, ...], expected: str) -> tuple[Any, ...]:
    if isinstance(value, refused) or not isinstance(value, Iterable):
        raise InvalidArgument(f"{name} must be {expected}, not {type(value).__name__}")
    return tuple(value)


def identifiers(name: str, value: object) -> tuple[str, ...]:
    """An iterable of non-empty strings; a lone `str` is refused, since its characters are hardly meant."""
    items = value if type(value) is tuple else _collected(name, value, (str, bytes), "an iterable of str")
    for index, item in enumerate(items):
        if not (type(item) is str and item and item.isascii()):
            identifier(f"{name}[{index}]", item)
    return items


def timestamp(name: str, value: object) -> str:
    """An RFC 3339 timestamp."""
    if not _TIMESTAMP.fullmatch(text(name, value)):
        raise InvalidArgument(f"{name} must be an RFC 3339 timestamp such as 2026-01-31T12:00:00Z, not {shown(value)}")
    return value  # type: ignore[return-value]


def optional_timestamp(name: str, value: object) -> str:
    """An RFC 3339 timestamp, or the empty string where none is known."""
    return "" if value == "" else timestamp(name, value)


def integer(name: str, value: object) -> int:
    """An integer from 0 to 2^53-1."""
    if type(value) is int and 0 <= value <= MAX_INTEGER:
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidArgument(f"{name} must be an int, not {type(value).__name__}")
    if not 0 <= value <= MAX_INTEGER:
        raise InvalidArgument(f"{name} must be between 0 and 2^53-1, not {shown(value)}")
    return int(value)


def optional_integer(name: str, value: object) -> int | None:
    return None if value is None else integer(name, value)


def octets(name: str, value: object) -> bytes:
    """Bytes; a mutable buffer is copied."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    raise InvalidArgument(f"{name} must be bytes, not {type(value).__name__}")


def optional_octets(name: str, value: object) -> bytes | None:
    return None if value is None else octets(name, value)


def member(name: str, value: object, kind: type[E]) -> E:
    """A member of the enum `kind`, or the value of one."""
    if type(value) is kind:
        return value
    try:
        return kind(value)
    except ValueError as error:
        allowed = ", ".join(str(item.value) for item in kind)
        raise InvalidArgument(f"{name} must be one of {allowed}, not {shown(value)}") from error


def instance(name: str, value: object, *kinds: type[Any]) -> Any:
    """An instance of one of `kinds`."""
    if not isinstance(value, kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise InvalidArgument(f"{name} must be {expected}, not {type(value).__name__}")
    return value


def instances(name: str, value: object, *kinds: type[Any]) -> tuple[Any, ...]:
    """An iterable of instances of `kinds`, as a tuple."""
    items = value if type(value) is tuple else _collected(name, value, (str, bytes, dict), "a tuple")
    for index, item in enumerate(items):
        if not isinstance(item, kinds):
            instance(f"{name}[{index}]", item, *kinds)
    return items


def optional_call(name: str, value: Callable[..., None] | None) -> Callable[..., None]:
    """What is to be called, or for `None` what does nothing."""
    if value is not None and not callable(value):
        raise InvalidArgument(f"{name} must be something to call, not {type(value).__name__}")
    return _ignored if value is None else value


def _ignored(*told: object) -> None:
    pass
