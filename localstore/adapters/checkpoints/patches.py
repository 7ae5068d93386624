"""What changed from one JSON object to the next: an object with the members that are new or other.

A member that is an object before and after is a patch again, and one that is a list before and after may be told by its
pieces, `{"$l": [start, count, [item, …], …]}`: so many items of the list before, from `start` on, then the items given,
and so on. `$-` lists the members that are gone. A member whose own name begins with `$` has one more of it in a patch.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import orjson

from .leaves import is_same

T = TypeVar("T")

_GONE: Final = "$-"
_PIECES: Final = "$l"


class Piece(NamedTuple):
    """A piece of a list: `length` items of the list before, from `start` on, then new ones from `begin` to `end`."""

    start: int
    length: int
    begin: int
    end: int


def pieces(before: Sequence[Hashable], after: Sequence[Hashable]) -> list[Piece]:
    """A list told by the one before it; none, where it is empty."""
    found: list[Piece] = []
    places: dict[Hashable, int] | None = None
    start = count = begin = 0
    for index, item in enumerate(after):
        follows = start + count
        if begin == index and follows < len(before) and before[follows] == item:
            count, begin = count + 1, index + 1
            continue
        if places is None:
            places = {each: place for place, each in enumerate(before)}
        place = places.get(item)
        if place is None:
            continue
        # Behind new items the list before mostly goes on where it was left.
        if follows < len(before) and before[follows] == item:
            place = follows
        if count or begin < index:
            found.append(Piece(start, count, begin, index))
        start, count, begin = place, 1, index + 1
    if count or begin < len(after):
        found.append(Piece(start, count, begin, len(after)))
    return found


def joined(before: Sequence[T], told: Sequence[Any]) -> list[T]:
    """The list that is told by its pieces; `ValueError` where these do not fit the list before."""
    found: list[T] = []
    for start, count, items in zip(told[::3], told[1::3], told[2::3], strict=True):
        if not 0 <= start <= start + count <= len(before):
            raise ValueError(f"a piece goes to item {start + count} of {len(before)}")
        found += before[start : start + count]
        found += items
    return found


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The patch that makes `after` of `before`; empty where they are equal."""
    patch: dict[str, Any] = {}
    for key, value in after.items():
        if key not in before:
            patch[_named(key)] = value
            continue
        old = before[key]
        if isinstance(value, dict) and isinstance(old, dict):
            inner = difference(old, value)
            if inner:
                patch[_named(key)] = inner
        elif not _is_same(old, value):
            patch[_named(key)] = _told(old, value) if isinstance(value, list) and isinstance(old, list) else value
    gone = [key for key in before if key not in after]
    if gone:
        patch[_GONE] = gone
    return patch


def patched(before: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """`before` with the changes of `patch`; neither is altered."""
    after = {**before}
    patch_in(after, patch, is_shared=True)
    return after


def patch_in(target: dict[str, Any], patch: dict[str, Any], *, is_shared: bool = False) -> None:
    """`patched`, in place: those in `patch` become its own.

    The objects in `target` must be nobody else's, unless `is_shared` says that only it itself is not.
    """
    for key in patch.get(_GONE, ()):
        target.pop(key, None)
    for name, value in patch.items():
        if name == _GONE:
            continue
        key = name.removeprefix("$")
        old = target.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            if is_shared:
                target[key] = old = {**old}
            patch_in(old, value, is_shared=is_shared)
        elif isinstance(value, dict) and isinstance(old, list) and value.keys() == {_PIECES}:
            target[key] = joined(old, value[_PIECES])
        else:
            target[key] = value


def expected(
    state: dict[str, Any], metadata: dict[str, Any], changed: Collection[str], gone: Collection[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a checkpoint's state and metadata mostly are, after a checkpoint with these: only the difference is said.

    The step is one higher, channels that have another value or none have a version that is one higher than all, and
    where updated channels are listed, they are those with another value.
    """
    state, metadata = {**state}, {**metadata}
    if isinstance(state.get("channel_versions"), dict):
        state["channel_versions"] = {**state["channel_versions"]}
    anticipate(state, metadata, changed, gone)
    return state, metadata


def anticipate(
    state: dict[str, Any], metadata: dict[str, Any], changed: Collection[str], gone: Collection[str]
) -> None:
    """`expected`, in place."""
    versions = state.get("channel_versions")
    if isinstance(versions, dict) and all(type(version) is int for version in versions.values()):
        bumped = max(versions.values(), default=0) + 1
        for channel in changed:
            versions[channel] = bumped
        for channel in gone:
            versions[channel] = bumped
    if isinstance(state.get("updated_channels"), list):
        state["updated_channels"] = sorted(changed)
    if type(metadata.get("step")) is int:
        metadata["step"] += 1


def _named(key: str) -> str:
    return "$" + key if key.startswith("$") else key


def _is_same(one: Any, other: Any) -> bool:
    # JSON tells 1, 1.0 and true apart; Python's == does not.
    if one != other:
        return False
    if isinstance(one, (list, dict)):
        return type(one) is type(other) and orjson.dumps(one) == orjson.dumps(other)
    return is_same(one, other)


def _told(before: list[Any], after: list[Any]) -> Any:
    found = pieces([orjson.dumps(item) for item in before], [orjson.dumps(item) for item in after])
    told: list[Any] = []
    for piece in found:
        told += (piece.start, piece.length, after[piece.begin : piece.end])
    return {_PIECES: told} if len(orjson.dumps(told)) + 8 < len(orjson.dumps(after)) else after
