"""The JSON files of a store: one line each, self-checked, with kind and schema version.

`{"sum":"<crc32>","file":"head","schema_version":1,...}`: the sum is over everything behind it, so that damage is seen
before a field is believed.
"""

from __future__ import annotations

from typing import Any, TypeVar

import orjson

from ..contract.errors import (
    CorruptRecord,
    InvalidRecordSchemaVersion,
    MissingRecordSchemaVersion,
    UnsupportedRecordSchemaVersion,
)
from ..machine import later
from ..machine.encoding import Malformed, dump, load
from .lines import BODY_AT, check_line, encode_line

SCHEMA_VERSION = 1
_FRAME = ("sum", "file", "schema_version")

T = TypeVar("T")


def seal(kind: str, record: object, was: dict[str, Any] | None = None) -> bytes:
    """The file's bytes for a record of this kind: its fields behind sum, kind and schema version.

    What a later release said in the record when its fields were `was` is there, too.
    """
    fields = dump_anew(record, was)
    body = b"{" + _frame(kind) + (b"}" if fields == b"{}" else b"," + fields[1:])
    return encode_line(body)


def _frame(kind: str) -> bytes:
    return b'"file":"%s","schema_version":%d' % (kind.encode(), SCHEMA_VERSION)


def unseal(kind: str, raw: bytes, path: str) -> dict[str, Any]:
    """The fields of a sealed record.

    Raises `CorruptRecord` for damage, and the schema version errors for a record of another format; the version is
    judged first, since a later format may sum its records in another way.
    """
    # What a damaged line end looks like, or what was added behind it, takes nothing from what the checksum proves.
    line = raw[: raw.rfind(b"}") + 1]
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise CorruptRecord(path, f"it is no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise CorruptRecord(path, "it is no JSON object")
    if "schema_version" not in fields and is_ours(kind, line):
        raise CorruptRecord(path, "its kind and version are damaged")
    check_version(kind, fields)
    if check_line(line) is None:
        raise CorruptRecord(path, "its checksum does not match")
    if fields.get("file") != kind:
        raise CorruptRecord(path, f"it holds a {fields.get('file')!r} record where a {kind!r} record belongs")
    return fields


def is_ours(kind: str, line: bytes) -> bool:
    """Whether the checksum proves that this release wrote the line, whatever it says of kind and version."""
    return check_line(with_our_frame(kind, line)) is not None


def with_our_frame(kind: str, line: bytes) -> bytes:
    """The line with the kind and the version that this release writes, of the same length."""
    frame = _frame(kind)
    return line[:BODY_AT] + frame + line[BODY_AT + len(frame) :]


def check_version(kind: str, fields: dict[str, Any]) -> None:
    """Raise the error that fits unless `fields` says the version that this package reads."""
    if "schema_version" not in fields:
        raise MissingRecordSchemaVersion(kind, SCHEMA_VERSION)
    version = fields["schema_version"]
    if type(version) is not int:
        raise InvalidRecordSchemaVersion(kind, version, SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise UnsupportedRecordSchemaVersion(kind, version, SCHEMA_VERSION)


def read_sealed(cls: type[T], kind: str, raw: bytes, path: str) -> T:
    """The record of class `cls` in a sealed file."""
    return read_said(cls, kind, raw, path)[0]


def read_said(cls: type[T], kind: str, raw: bytes, path: str) -> tuple[T, dict[str, Any] | None]:
    """As `read_sealed`, with the record's fields where a later release said something in it."""
    fields = unseal(kind, raw, path)
    try:
        record = load(cls, fields)
    except Malformed as error:
        raise CorruptRecord(path, str(error)) from error
    return record, later.said(cls, without_frame(fields))


def without_frame(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a sealed record alone."""
    return {name: value for name, value in fields.items() if name not in _FRAME}


def dump_anew(record: object, was: dict[str, Any] | None) -> bytes:
    """As `dump`, with what a later release said in the record when its fields were `was`."""
    if not was:
        return dump(record)
    now = orjson.loads(dump(record))
    fields = later.kept(type(record), was, now)
    return orjson.dumps(fields) if fields != now else dump(record)
