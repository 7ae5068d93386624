"""The leaves of JSON: the scalars in it, in their order. Documents of one shape differ in nothing but these."""

from __future__ import annotations

from typing import Any, Final

import orjson

MAX_LEAVES: Final = 200


def outline(tree: Any) -> tuple[bytes, list[Any]] | None:
    """The shape of a document and its leaves, or `None` where there are too many of them."""
    leaves: list[Any] = []
    try:
        return orjson.dumps(_hollow(tree, leaves)), leaves
    except OverflowError:
        return None


def _hollow(tree: Any, leaves: list[Any]) -> Any:
    if isinstance(tree, list):
        return [_hollow(item, leaves) for item in tree]
    if isinstance(tree, dict):
        return {key: _hollow(item, leaves) for key, item in tree.items()}
    if len(leaves) >= MAX_LEAVES:
        raise OverflowError
    leaves.append(tree)
    return 0


def with_leaves(tree: Any, leaves: dict[int, Any]) -> Any:
    """A copy of the document with other leaves."""
    return _with_leaves(tree, leaves, [0])


def _with_leaves(tree: Any, leaves: dict[int, Any], at: list[int]) -> Any:
    if isinstance(tree, list):
        return [_with_leaves(item, leaves, at) for item in tree]
    if isinstance(tree, dict):
        return {key: _with_leaves(item, leaves, at) for key, item in tree.items()}
    at[0] += 1
    return leaves.get(at[0] - 1, tree)


def is_same(one: Any, other: Any) -> bool:
    """Whether two leaves are the same in JSON, which tells 1, 1.0 and true apart, and 0.0 and -0.0."""
    return (
        one == other and type(one) is type(other) and (one != 0 or type(one) is not float or repr(one) == repr(other))
    )
