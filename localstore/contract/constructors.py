"""Constructors of frozen slotted records that check each field in place and put it straight in its slot.

The one that dataclasses make calls `object.__setattr__` for each field, and a `__post_init__` that checks calls a
function for each, while every call of the store makes a dozen records. What is not seen to be right in place goes to
the function in `checks` that says what is wrong with it, or makes it right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from enum import Enum
from typing import Any, NamedTuple, TypeVar

from . import checks
from .values import ways_in

R = TypeVar("R")


class Check(NamedTuple):
    """What a field must be: `{v}` stands for the value in `doubt`, an expression that is true where `settle` is asked.

    `settle(name, value)` gives the value that the record gets, or raises `InvalidArgument`. `kinds` is `{kinds}` in
    `doubt`.
    """

    doubt: str
    settle: Callable[[str, Any], Any]
    kinds: object = None


def _session_id(name: str, value: object) -> str:
    return checks.session_id(value, name)


_IDENTIFIER = "type({v}) is not str or not {v} or not {v}.isascii()"
_INTEGER = f"type({{v}}) is not int or not 0 <= {{v}} <= {checks.MAX_INTEGER}"
_MANY = "type({v}) is not tuple or {v}"

SESSION_ID = Check(f"{_IDENTIFIER} or len({{v}}) > {checks.MAX_SESSION_ID_LENGTH}", _session_id)
IDENTIFIER = Check(_IDENTIFIER, checks.identifier)
OPTIONAL_IDENTIFIER = Check(f"{{v}} is not None and ({_IDENTIFIER})", checks.optional_identifier)
IDENTIFIERS = Check(_MANY, checks.identifiers)
TEXT = Check("type({v}) is not str or not {v}.isascii()", checks.text)
TIMESTAMP = Check("True", checks.timestamp)
OPTIONAL_TIMESTAMP = Check("type({v}) is not str or {v}", checks.optional_timestamp)
INTEGER = Check(_INTEGER, checks.integer)
OPTIONAL_INTEGER = Check(f"{{v}} is not None and ({_INTEGER})", checks.optional_integer)
OPTIONAL_OCTETS = Check("{v} is not None", checks.optional_octets)


def of(*kinds: type[Any]) -> Check:
    """An instance of one of `kinds`."""
    return Check("not isinstance({v}, {kinds})", lambda name, value: checks.instance(name, value, *kinds), kinds)


def optional(kind: type[Any]) -> Check:
    """An instance of `kind`, or `None`."""
    return Check(
        "{v} is not None and type({v}) is not {kinds}", lambda name, value: checks.instance(name, value, kind), kind
    )


def each(*kinds: type[Any]) -> Check:
    """Instances of `kinds`, which become a tuple."""
    return Check(_MANY, lambda name, value: checks.instances(name, value, *kinds))


def member(kind: type[Enum]) -> Check:
    """A member of the enum `kind`, or the value of one, which becomes it."""
    return Check("type({v}) is not {kinds}", lambda name, value: checks.member(name, value, kind), kind)


def quick(**checked: Check) -> Callable[[type[R]], type[R]]:
    """Class decorator for a frozen slotted dataclass: check these fields, and put all in their slots.

    A `__post_init__`, where there is one, is for what concerns several fields.
    """

    def decorate(cls: type[R]) -> type[R]:
        cls.__init__ = _constructor(cls, checked)  # type: ignore[method-assign]
        return cls

    return decorate


def _constructor(cls: type, checked: dict[str, Check]) -> Any:
    unknown = checked.keys() - {item.name for item in fields(cls)}
    if unknown:
        raise TypeError(f"{cls.__name__} has no field {unknown.pop()}")
    names: dict[str, Any] = {"missing": MISSING}
    parameters, lines = ["self"], []
    for number, item in enumerate(fields(cls)):
        name = item.name
        names[f"default{number}"] = item.default
        has_default = item.default is not MISSING or item.default_factory is not MISSING
        parameters.append(f"{name}=default{number}" if has_default else name)
        if item.default_factory is not MISSING:
            names[f"make{number}"] = item.default_factory
            lines.append(f"if {name} is missing: {name} = make{number}()")
        check = checked.get(name)
        if check is not None:
            names[f"settle{number}"], names[f"kinds{number}"] = check.settle, check.kinds
            doubt = check.doubt.format(v=name, kinds=f"kinds{number}")
            lines.append(f"if {doubt}: {name} = settle{number}({name!r}, {name})")
        names[f"put{number}"], names[f"hold{number}"] = ways_in(cls, name)
        held = name if names[f"hold{number}"] is None else f"hold{number}({name})"
        lines.append(f"put{number}(self, {held})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    source = f"def __init__({', '.join(parameters)}):\n    " + "\n    ".join(lines)
    exec(compile(source, f"<constructor of {cls.__name__}>", "exec"), names)  # noqa: S102 - the source is all ours
    made = names["__init__"]
    made.__qualname__, made.__annotations__ = f"{cls.__qualname__}.__init__", vars(cls)["__init__"].__annotations__
    return made
