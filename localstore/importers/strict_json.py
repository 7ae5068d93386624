"""JSON that comes back as it was, or a reason why not.

`orjson` keeps the last of two equal keys and turns an integer over 64 bits into a float without a word. A
transcript must not change on its way in, so both are looked for here.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

MAX_DEPTH = 200

STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'

_STRING = re.compile(STRING, re.DOTALL)
_LONG_INTEGER = re.compile(rb"(?<![\d.eE+-])-?\d{19,}+(?![.eE])")
_NOT_A_NUMBER = re.compile(rb"NaN|-?Infinity")


class MalformedJson(ValueError):
    """The text is not JSON that can be kept as it is; the message says why."""


def decode(text: bytes) -> Any:
    """The JSON value in `text`; `MalformedJson` if it is none, or none that would survive unchanged."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(_reason(text, error)) from None
    # In valid JSON without its strings, each colon is a key and each run of digits a number.
    structure = _STRING.sub(b"", text)
    pairs, depth = measure(value)
    if depth > MAX_DEPTH:
        raise MalformedJson(f"nested {depth} levels deep, at most {MAX_DEPTH} are allowed")
    if structure.count(b":") != pairs:
        raise MalformedJson("an object has the same key twice")
    for number in _LONG_INTEGER.findall(structure):
        if not -(2**63) <= int(number) < 2**64:
            raise MalformedJson(f"the integer {number[:40].decode()} does not fit 64 bits")
    return value


def measure(value: object) -> tuple[int, int]:
    """The number of keys in all objects of `value`, and how deep it nests (0 for a scalar)."""
    pairs = deepest = 0
    stack: list[tuple[object, int]] = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if isinstance(item, dict):
            pairs += len(item)
            children = list(item.values())
        elif isinstance(item, list):
            children = item
        else:
            continue
        deepest = max(deepest, depth)
        stack.extend((child, depth + 1) for child in children)
    return pairs, deepest


def canonical(value: object) -> bytes:
    """`value` as JSON text that is the same for equal values."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def excerpt(text: bytes) -> str:
    """The beginning of `text` for people, always valid Unicode."""
    return text[:480].decode("utf-8", "replace")[:120]


def _reason(text: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        text.decode()
    except UnicodeDecodeError as undecodable:
        return f"not UTF-8: byte {undecodable.start} is 0x{text[undecodable.start]:02x}"
    if not text.strip():
        return "empty where a JSON value is expected"
    message = error.msg.partition(":")[0]
    if "surrogate" in message:
        return "a \\u escape is half of a surrogate pair, which is no Unicode text"
    if "depth limit" in message:
        return f"nested too deep, at most {MAX_DEPTH} levels are allowed"
    if "infinity" in message:
        return "a number is too large for 64 bits"
    constant = _NOT_A_NUMBER.search(_STRING.sub(b"", text))
    if constant:
        return f"{constant[0].decode()} is not JSON"
    return f"not JSON: {message} at character {error.pos + 1}"
