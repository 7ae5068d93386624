"""Fields that a later release wrote into a record, and that this one does not know.

They are passed over where a record is read, and go on with it where it is written anew: as long as it is the same
record, whatever this release changes in it. `was` and `now` are records as parsed JSON.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ..contract.attachments import AttachmentCreateMeta, AttachmentManifestEntry
from ..contract.inputs import PendingTurnInput, TurnInput
from ..contract.leases import SessionExecutionLease
from ..contract.sessions import SessionMeta
from ..contract.state import (
    AgentFrameRecord,
    PersistedSessionConfig,
    PersistedTurnState,
    SessionCheckpoint,
    TokenLedgerEntry,
    TokenUsage,
)
from ..contract.values import held_kinds
from ..contract.work import QueuedWorkBatch, QueuedWorkItem
from .encoding import KINDS
from .events import Committed
from .facts import StoredInput
from .state import HeldClaim, HeldLease, Summary

R = TypeVar("R")

_SAME_BY: dict[type, tuple[str, ...]] = {
    AgentFrameRecord: ("frame_id",),
    AttachmentCreateMeta: (),
    AttachmentManifestEntry: ("attachment_id",),
    HeldClaim: ("claim_id",),
    HeldLease: ("lease",),
    PendingTurnInput: ("input_id",),
    PersistedSessionConfig: (),
    PersistedTurnState: (),
    QueuedWorkBatch: ("batch_id",),
    QueuedWorkItem: ("item_id",),
    SessionCheckpoint: (),
    SessionExecutionLease: ("lease_token",),
    SessionMeta: ("session_id",),
    StoredInput: (),
    Summary: (),
    TokenLedgerEntry: ("source", "model"),
    TokenUsage: (),
    TurnInput: (),
}
"""What tells a record from others in its place, where it may change and still be the same. Any other is the same only
as long as nothing of it changes: a lease that somebody else holds is another one."""


_IN_JSON: dict[type, dict[str, type]] = {Committed: {"manifest": SessionCheckpoint}}
"""Fields that are kept as JSON and hold a record all the same."""


def same_by(*names: str) -> Callable[[type[R]], type[R]]:
    """Class decorator: these fields tell a record from others in its place; none do where there is only one."""

    def decorate(cls: type[R]) -> type[R]:
        _SAME_BY[cls] = names
        return cls

    return decorate


def kept(cls: type, was: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The record `now` with what a later release said in it when it was `was`; both are of class `cls`."""
    known = _known(cls)
    found = dict(now)
    for name, value in was.items():
        inside = known.get(name)
        if name not in known:
            found[name] = value
        elif inside is not None and name in now:
            found[name] = inside.kept(value, now[name])
        elif inside is not None and isinstance(value, dict) and _SAME_BY.get(inside.only) == ():
            # One that is all defaults by now is left out.
            rest = inside.kept(value, {})
            if rest:
                found[name] = rest
    return found


def said(cls: type, was: dict[str, Any]) -> dict[str, Any] | None:
    """The record, where a later release said something in it."""
    test = _TESTS.get(cls) or _test(cls)
    return was if test(was) else None


def own(cls: type, was: dict[str, Any]) -> dict[str, Any]:
    """What a later release said of the record itself, not of those in it."""
    known = _known(cls)
    return {name: value for name, value in was.items() if name not in known}


def unknown(cls: type, was: dict[str, Any]) -> list[Any]:
    """What a later release said in the record, and in those in it: objects of the fields, outer ones first."""
    known = _known(cls)
    more = own(cls, was)
    found: list[Any] = [more] if more else []
    for name, value in was.items():
        inside = known.get(name)
        if inside is not None:
            found += inside.unknown(value)
    return found


def without(cls: type, was: dict[str, Any]) -> dict[str, Any]:
    """The record without what this release does not know."""
    known = _known(cls)
    found = {}
    for name, value in was.items():
        if name in known:
            inside = known[name]
            found[name] = value if inside is None else inside.without(value)
    return found


@dataclass(frozen=True, slots=True)
class _Inside:
    """A field that holds records: one, or with `many` a list of them, each of the one class or of its kind's."""

    classes: tuple[type, ...]
    many: bool

    @property
    def only(self) -> type:
        return self.classes[0]

    def _class_of(self, value: Any) -> type | None:
        if not isinstance(value, dict):
            return None
        if len(self.classes) == 1:
            return self.only
        return next((cls for cls in self.classes if KINDS[cls] == value.get("kind")), None)

    def test(self) -> Callable[[Any], bool]:
        """Whether a later release said something in a record that may stand here."""
        if len(self.classes) == 1:
            return _test(self.only)
        tests = {KINDS[cls]: _test(cls) for cls in self.classes}

        def test(was: Any) -> bool:
            found = tests.get(was["kind"]) if type(was) is dict else None
            return found is not None and found(was)

        return test

    def kept(self, was: Any, now: Any) -> Any:
        if not self.many:
            return self._one(was, now)
        if not (isinstance(was, list) and isinstance(now, list)):
            return now
        left = list(was)
        found = []
        for item in now:
            same = next((each for each in left if self._is_same(each, item)), None)
            if same is not None:
                left.remove(same)
            found.append(item if same is None else self._one(same, item))
        return found

    def _one(self, was: Any, now: Any) -> Any:
        cls = self._class_of(now)
        return kept(cls, was, now) if cls is not None and self._is_same(was, now) else now

    def _is_same(self, was: Any, now: Any) -> bool:
        cls = self._class_of(was)
        if cls is None or cls is not self._class_of(now):
            return False
        names, known = _SAME_BY.get(cls), _known(cls)
        if names is None:
            return bool(without(cls, was) == now)
        for name in names:
            inside, one, other = known[name], was.get(name), now.get(name)
            if not (one == other if inside is None else inside._is_same(one, other)):
                return False
        return True

    def without(self, was: Any) -> Any:
        if self.many and isinstance(was, list):
            return [self._without_one(item) for item in was]
        return self._without_one(was)

    def _without_one(self, was: Any) -> Any:
        cls = self._class_of(was)
        return was if cls is None else without(cls, was)

    def unknown(self, was: Any) -> list[Any]:
        items = was if self.many and isinstance(was, list) else [was]
        return [each for item in items if (cls := self._class_of(item)) is not None for each in unknown(cls, item)]


_PLANS: dict[type, dict[str, _Inside | None]] = {}
_TESTS: dict[type, Callable[[Any], bool]] = {}


def _test(cls: type) -> Callable[[Any], bool]:
    """Whether there is something that `unknown` would find in a record, in a small part of the time that loads it."""
    known = _known(cls)
    names = frozenset(known)
    ones = [(name, inside.test()) for name, inside in known.items() if inside is not None and not inside.many]
    lists = [(name, inside.test()) for name, inside in known.items() if inside is not None and inside.many]

    def test(was: Any) -> bool:
        if type(was) is not dict:
            return False
        if not names.issuperset(was):
            return True
        for name, inside in ones:
            if name in was and inside(was[name]):
                return True
        for name, inside in lists:
            for item in was.get(name) or ():
                if inside(item):
                    return True
        return False

    return _TESTS.setdefault(cls, test)


def _known(cls: type) -> dict[str, _Inside | None]:
    """The fields of a record class as they are written, each with the records that are in it, if any are."""
    plan = _PLANS.get(cls)
    if plan is None:
        hints, as_json = get_type_hints(cls), held_kinds(cls)
        written = [item.name for item in fields(cls) if not item.metadata.get("transient")]
        plan = {name: None if name in as_json else _inside(hints[name]) for name in written}
        plan |= {name: _Inside((inner,), False) for name, inner in _IN_JSON.get(cls, {}).items()}
        if cls in KINDS:
            plan["kind"] = None
        _PLANS[cls] = plan
    return plan


def _inside(hint: Any) -> _Inside | None:
    many = get_origin(hint) is tuple and get_args(hint)[1:] == (Ellipsis,)
    item = get_args(hint)[0] if many else hint
    some = get_args(item) if get_origin(item) in (types.UnionType, Union) else (item,)
    classes = tuple(each for each in some if each is not type(None))
    return _Inside(classes, many) if all(map(is_dataclass, classes)) else None
