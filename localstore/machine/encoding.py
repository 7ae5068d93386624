"""Records, facts and events as JSON and back.

A dataclass is an object of its fields, defaults left out. Where a field admits several classes, `"kind"` says which one
it is. Bytes are base64. Fields that hold JSON are spliced in as they are. Unknown keys are passed over, so that a later
release may add some.
"""

from __future__ import annotations

import base64
import binascii
import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson

from ..contract import inputs, leases, sessions, work
from ..contract.errors import InvalidArgument
from ..contract.values import EncodedJson, held_kinds
from . import events, facts

T = TypeVar("T")
Load: TypeAlias = Callable[[Any], Any]

KINDS: dict[type, str] = {
    leases.Opaque: "opaque",
    leases.LocalProcess: "local_process",
    inputs.ActiveTurn: "active_turn",
    inputs.NextTurn: "next_turn",
    inputs.TextItem: "text",
    inputs.ImageRef: "image_ref",
    work.MergeNever: "never",
    work.MergePayloadDefault: "payload_default",
    work.MergeGroup: "group",
    work.ProcessWake: "process_wake",
    work.SessionCommand: "session_command",
    sessions.RootSession: "root",
    sessions.ChildSession: "child",
    events.MetaSaved: "meta_saved",
    events.LeaseSet: "lease_set",
    events.LeaseCleared: "lease_cleared",
    events.InputEnqueued: "input_enqueued",
    events.InputsClaimed: "inputs_claimed",
    events.InputsReleased: "inputs_released",
    events.InputsDeferred: "inputs_deferred",
    events.InputsSettled: "inputs_settled",
    events.WorkEnqueued: "work_enqueued",
    events.WorkClaimed: "work_claimed",
    events.WorkRenewed: "work_renewed",
    events.WorkReleased: "work_released",
    events.WorkRemoved: "work_removed",
    events.Committed: "committed",
    events.NodesTombstoned: "nodes_tombstoned",
    events.HeadMoved: "head_moved",
    events.BranchCreated: "branch_created",
    events.BranchDropped: "branch_dropped",
    events.AttachmentsWritten: "attachments_written",
    events.AttachmentsForgotten: "attachments_forgotten",
    events.ValuesDropped: "values_dropped",
    facts.NodeFact: "node",
    facts.TombstoneFact: "tombstone",
    facts.DanglingFact: "dangling",
    facts.CommitFact: "commit",
    facts.InputFact: "input",
    facts.ValueFact: "value",
    facts.ValueDroppedFact: "value_dropped",
    facts.AttachmentFact: "attachment",
    facts.TraceFact: "traces",
}
"""The word for each class that stands where several may."""


class Malformed(ValueError):
    """JSON that is not the record it should be."""


def dump(record: object) -> bytes:
    """`record` (a dataclass, or a dict or list of such) as JSON text."""
    return orjson.dumps(record, default=plain, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def plain(value: Any) -> Any:
    """What `dump` writes for a record or bytes: a dict that may hold further ones, or text."""
    try:
        encode = _ENCODERS[type(value)]
    except KeyError:
        encode = _ENCODERS[type(value)] = _encoder(type(value))
    return encode(value)


_ENCODERS: dict[type, Callable[[Any], Any]] = {bytes: lambda value: base64.b64encode(value).decode()}


def _encoder(cls: type) -> Callable[[Any], Any]:
    """A function that turns a record of class `cls` into a dict of its fields.

    It is compiled, as a dataclass's own methods are: every call of the store encodes a dozen records.
    """
    if not is_dataclass(cls):
        raise TypeError(f"{cls.__name__} has no JSON form")
    kind, held, hints = KINDS.get(cls), held_kinds(cls), get_type_hints(cls)
    names: dict[str, Any] = {"fragment": orjson.Fragment, "plain": plain}
    first = [] if kind is None else [f'"kind": {kind!r}']
    later = []
    for number, item in enumerate(fields(cls)):
        if item.metadata.get("transient"):
            continue
        is_json = item.name in held and held[item.name] != "blobs"
        if is_json:
            names[f"get{number}"] = cls.__dict__[item.name].get
        value = f"get{number}(record)" if is_json else f"record.{item.name}"
        form = "fragment({})" if is_json else _form(hints[item.name])
        if item.default is MISSING and item.default_factory is MISSING:
            first.append(f'"{item.name}": {form.format(value)}')
            continue
        default = item.default_factory() if item.default_factory is not MISSING else item.default
        put = f"out[{item.name!r}] = "
        if is_dataclass(default) and not isinstance(default, type) and not plain(default):
            # One that is all defaults has an empty form, which is cheaper to see than that it is equal to the default.
            later.append(f"    item = plain({value})\n    if item:\n        {put}item\n")
            continue
        names[f"default{number}"] = orjson.dumps(default) if is_json else default
        test = "item is not None" if default is None and not is_json else f"item != default{number}"
        later.append(f"    item = {value}\n    if {test}:\n        {put}{form.format('item')}\n")
    source = f"def encode(record):\n    out = {{{', '.join(first)}}}\n{''.join(later)}    return out\n"
    exec(compile(source, f"<encoder of {cls.__name__}>", "exec"), names)  # noqa: S102 - the source is all ours
    made: Callable[[Any], Any] = names["encode"]
    return made


def _form(hint: Any) -> str:
    """How a value of the annotation `hint` is written, `{}` being the value.

    Records are turned into dicts at once where that is seen here, and by the JSON writer's call back where it is not.
    """
    if is_dataclass(hint):
        return "plain({})"
    parts = get_args(hint)
    if get_origin(hint) is tuple and len(parts) == 2 and parts[1] is Ellipsis and _is_records(parts[0]):
        return "[plain(each) for each in {}]"
    if _is_records(hint):
        return "None if {0} is None else plain({0})" if type(None) in parts else "plain({})"
    return "{}"


def _is_records(hint: Any) -> bool:
    """Whether every value of the annotation but `None` is a record."""
    parts = get_args(hint) if get_origin(hint) in (types.UnionType, Union) else (hint,)
    return all(is_dataclass(part) for part in parts if part is not type(None))


def load(cls: type[T], value: object) -> T:
    """The record of class `cls` that `value`, as parsed JSON, is. Raises `Malformed` where it is not one."""
    return _loader(cls)(value)  # type: ignore[no-any-return]


def load_one_of(value: object, classes: dict[str, type]) -> Any:
    """The record of whichever of `classes`, by kind, the `"kind"` of `value` names."""
    if not isinstance(value, dict):
        raise Malformed(f"expected an object, found {type(value).__name__}")
    kind = value.get("kind")
    cls = classes.get(kind) if type(kind) is str else None
    if cls is None:
        raise Malformed(f"unknown kind {kind!r:.80}")
    return _loader(cls)(value)


_LOADERS: dict[type, Load] = {}


def _loader(cls: type) -> Load:
    found = _LOADERS.get(cls)
    if found is None:
        found = _LOADERS[cls] = _dataclass_loader(cls)
    return found


def _dataclass_loader(cls: type) -> Load:
    hints, held = get_type_hints(cls), held_kinds(cls)
    plan = []
    for item in fields(cls):
        if item.metadata.get("transient"):
            continue
        required = item.default is MISSING and item.default_factory is MISSING
        is_json = item.name in held and held[item.name] != "blobs"
        plan.append((item.name, _load_json if is_json else _load_plan(hints[item.name]), required))

    def load_record(value: Any) -> Any:
        if type(value) is not dict:
            raise Malformed(f"expected an object for {cls.__name__}, found {type(value).__name__}")
        given = {}
        for name, load_field, required in plan:
            if name in value:
                given[name] = load_field(value[name])
            elif required:
                raise Malformed(f"{cls.__name__} lacks {name!r}")
        try:
            return cls(**given)
        except InvalidArgument as error:
            raise Malformed(f"{cls.__name__}: {error}") from error

    return load_record


def _load_json(value: Any) -> EncodedJson:
    try:
        return EncodedJson(orjson.dumps(value))
    except TypeError as error:  # nested deeper than orjson writes
        raise Malformed(f"JSON that cannot be kept: {error}") from error


def _load_bytes(value: Any) -> bytes:
    if type(value) is not str:
        raise Malformed(f"expected base64 text, found {type(value).__name__}")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"expected base64 text: {error}") from error


def _load_exact(kind: type) -> Load:
    def load_exact(value: Any) -> Any:
        if type(value) is not kind:
            raise Malformed(f"expected {kind.__name__}, found {type(value).__name__}")
        return value

    return load_exact


def _load_enum(kind: type[StrEnum]) -> Load:
    def load_enum(value: Any) -> Any:
        try:
            return kind(value)
        except ValueError as error:
            raise Malformed(str(error)) from error

    return load_enum


def _load_tuple(parts: tuple[Any, ...]) -> Load:
    if len(parts) == 2 and parts[1] is Ellipsis:
        load_item = _load_plan(parts[0])

        def load_many(value: Any) -> Any:
            if type(value) is not list:
                raise Malformed(f"expected a list, found {type(value).__name__}")
            return tuple([load_item(item) for item in value])

        return load_many
    loads = [_load_plan(part) for part in parts]

    def load_fixed(value: Any) -> Any:
        if type(value) is not list or len(value) != len(loads):
            raise Malformed(f"expected a list of {len(loads)}")
        return tuple([one(item) for one, item in zip(loads, value, strict=True)])

    return load_fixed


def _load_mapping(parts: tuple[Any, ...]) -> Load:
    load_key, load_item = _load_plan(parts[0]), _load_plan(parts[1])

    def load_mapping(value: Any) -> Any:
        if type(value) is not dict:
            raise Malformed(f"expected an object, found {type(value).__name__}")
        return {load_key(key): load_item(item) for key, item in value.items()}

    return load_mapping


def _load_plan(hint: Any) -> Load:
    """How a value of the annotation `hint` is loaded."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        some = [part for part in parts if part is not type(None)]
        one = _load_plan(some[0]) if len(some) == 1 else _load_kinds(some)
        if len(some) == len(parts):
            return one
        return lambda value: None if value is None else one(value)
    if origin is tuple:
        return _load_tuple(parts)
    if origin is dict:
        return _load_mapping(parts)
    if hint is bytes:
        return _load_bytes
    if is_dataclass(hint) and isinstance(hint, type):
        return lambda value: _loader(hint)(value)  # noqa: PLW0108 - a class may hold itself
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _load_enum(hint)
    return _load_exact(hint)


def _load_kinds(classes: list[type]) -> Load:
    by_kind = {KINDS[cls]: cls for cls in classes}
    return lambda value: load_one_of(value, by_kind)


EVENT_CLASSES: tuple[type, ...] = get_args(events.Event)
FACT_CLASSES: tuple[type, ...] = get_args(facts.Fact)
