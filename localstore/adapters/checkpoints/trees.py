"""Serialised values as JSON, without loss: MessagePack becomes a *tree*, and the tree becomes the same bytes again.

A tree is plain JSON. What JSON has no form for is a *mark*, an object whose only key begins with `$`:

| mark | stands for |
| --- | --- |
| `{"$b": "…"}` | bytes, in base64 |
| `{"$x": [code, tree]}` | an extension whose content is MessagePack itself, as all of LangGraph's are |
| `{"$X": [code, "…"]}` | any other extension, in base64 |
| `{"$m": [[key, value], …]}` | a map with keys that are no strings |
| `{"$f": "nan"}` | a float that is no number, or infinite |
| `{"$d": {…}}` | an object that looks like a mark and is none |

The bytes are only moved to another notation. No object is built from them: that is for the framework's serialiser.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any, Final, TypeAlias

import ormsgpack

Tree: TypeAlias = dict[str, Any] | list[Any] | str | int | float | bool | None

MAX_DEPTH: Final = 150
"""Levels of JSON that a tree may nest; a store's payloads may have 200."""

_OPTION: Final = ormsgpack.OPT_NON_STR_KEYS
_NESTED: Final = (list, dict)
_SCALARS: Final = (str, int, bool, type(None))


class _Extension:
    __slots__ = ("code", "content")

    def __init__(self, code: int, content: bytes) -> None:
        self.code = code
        self.content = content


class _NotLossless(Exception):
    """These bytes cannot be told as a tree."""


def mark_of(tree: object) -> str | None:
    """The key of a mark, or `None` for what is none."""
    if type(tree) is dict and len(tree) == 1:
        key = next(iter(tree))
        return key if key.startswith("$") else None
    return None


def to_tree(packed: bytes) -> tuple[Tree, bool]:
    """The tree of MessagePack bytes, and whether there is one: bytes that another packer wrote may have none."""
    try:
        tree = _unpacked(packed, 0)
        return tree, to_bytes(tree) == packed
    except (_NotLossless, ValueError, TypeError, RecursionError, OverflowError):
        return None, False


def to_bytes(tree: Tree) -> bytes:
    """The MessagePack bytes of a tree."""
    packed: bytes = ormsgpack.packb(_object(tree), option=_OPTION)
    return packed


def _unpacked(packed: bytes, depth: int) -> Tree:
    return _tree(ormsgpack.unpackb(packed, ext_hook=_Extension, option=_OPTION), depth)


def _tree(value: Any, depth: int) -> Tree:
    if depth > MAX_DEPTH:
        raise _NotLossless
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$f": repr(value)}
    if isinstance(value, (list, tuple)):
        return [_tree(item, depth + 1) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            return {"$m": [[_tree(key, depth + 3), _tree(item, depth + 3)] for key, item in value.items()]}
        found = {key: _tree(item, depth + 1) for key, item in value.items()}
        return found if mark_of(found) is None else {"$d": found}
    if isinstance(value, bytes):
        return {"$b": base64.b64encode(value).decode()}
    if isinstance(value, _Extension):
        return _extension(value, depth)
    raise _NotLossless


def _extension(value: _Extension, depth: int) -> Tree:
    try:
        inner = _unpacked(value.content, depth + 2)
        if to_bytes(inner) == value.content:
            return {"$x": [value.code, inner]}
    except (_NotLossless, ValueError, TypeError):
        pass
    return {"$X": [value.code, base64.b64encode(value.content).decode()]}


def _object(tree: Tree) -> Any:
    if isinstance(tree, list):
        return [_object(item) if isinstance(item, _NESTED) else item for item in tree]
    if not isinstance(tree, dict):
        return tree
    mark = mark_of(tree)
    if mark is None:
        return {key: _object(item) if isinstance(item, _NESTED) else item for key, item in tree.items()}
    content = tree[mark]
    if mark == "$x":
        return ormsgpack.Ext(content[0], to_bytes(content[1]))
    if mark == "$X":
        return ormsgpack.Ext(content[0], from_base64(content[1]))
    if mark == "$b":
        return from_base64(content)
    if mark == "$m":
        return {_key(key): _object(item) for key, item in content}
    if mark == "$f":
        return float(content)
    if mark == "$d":
        return {key: _object(item) for key, item in content.items()}
    raise ValueError(f"{mark!r} is no mark of a tree")


def _key(tree: Tree) -> Any:
    key = _object(tree)
    return tuple(key) if isinstance(key, list) else key


def from_base64(text: str) -> bytes:
    """The bytes; `ValueError` for what is no base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError) as error:
        raise ValueError(f"no base64: {error}") from error
