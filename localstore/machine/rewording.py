"""Records with what a redactor matches in them replaced, each with how many matches there were. Ids are left alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from ..contract.graph import SessionNodeRecord
from ..contract.inputs import TextItem, TurnInput
from ..contract.sessions import ChildSession, SessionMeta
from ..contract.state import AgentFrameRecord, PersistedSessionConfig, PersistedTurnState, TokenUsage
from ..contract.values import EncodedJson, altered, encoded
from ..contract.work import ProcessWake, QueuedWorkBatch, QueuedWorkItem, QueuedWorkPayload
from .redactor import Redactor

R = TypeVar("R")


def _reworded(redactor: Redactor, record: R, *, json: Iterable[str] = (), text: Iterable[str] = ()) -> tuple[R, int]:
    """`record` with these fields reworded; the same one where nothing matches."""
    changes: dict[str, Any] = {}
    total = 0
    for name in json:
        content, count = redactor.json(encoded(record, name))
        if count:
            changes[name] = content
            total += count
    for name in text:
        words, count = redactor.optional(getattr(record, name))
        if count:
            changes[name] = words
            total += count
    return (altered(record, **changes), total) if changes else (record, 0)


def node(redactor: Redactor, record: SessionNodeRecord) -> tuple[SessionNodeRecord, int]:
    """A node: its payload and its cause."""
    return _reworded(redactor, record, json=("payload", "caused_by"))


def config(redactor: Redactor, record: PersistedSessionConfig) -> tuple[PersistedSessionConfig, int]:
    """A configuration."""
    return _reworded(redactor, record, json=("model",), text=("provider_id",))


def frame(redactor: Redactor, record: AgentFrameRecord) -> tuple[AgentFrameRecord, int]:
    """An agent frame, but for what it refers to."""
    json = ("caused_by", "assignment", "protocol_turn_options")
    return _reworded(redactor, record, json=json, text=("status", "reason"))


def turn_state(redactor: Redactor, record: PersistedTurnState) -> tuple[PersistedTurnState, int]:
    """Where the turn loop stands."""
    return _reworded(redactor, record, json=("last_prompt_usage", "protocol_turn_options"))


def meta(redactor: Redactor, record: SessionMeta) -> tuple[SessionMeta, int]:
    """A session's metadata."""
    changed, total = _reworded(redactor, record, text=("session_name", "cwd", "model"))
    if isinstance(changed.relation, ChildSession):
        relation, count = _reworded(redactor, changed.relation, json=("caused_by",))
        if count:
            changed, total = replace(changed, relation=relation), total + count
    return changed, total


def turn_input(redactor: Redactor, record: TurnInput) -> tuple[TurnInput, int]:
    """An input: its texts and its options."""
    items, total = [], 0
    for item in record.items:
        words, count = redactor.text(item.text) if isinstance(item, TextItem) else ("", 0)
        items.append(TextItem(words) if count else item)
        total += count
    options, count = redactor.json(encoded(record, "protocol_turn_options"))
    total += count
    if not total:
        return record, 0
    given: Any = EncodedJson(options)
    return replace(record, items=tuple(items), protocol_turn_options=given), total


def batch(redactor: Redactor, record: QueuedWorkBatch) -> tuple[QueuedWorkBatch, int]:
    """A batch of work: its payloads."""
    items, total = [], 0
    for item in record.items:
        payload, count = _payload(redactor, item.payload)
        items.append(QueuedWorkItem(item.item_id, payload) if count else item)
        total += count
    return (replace(record, items=tuple(items)), total) if total else (record, 0)


def _payload(redactor: Redactor, payload: QueuedWorkPayload) -> tuple[QueuedWorkPayload, int]:
    return _reworded(redactor, payload, json=("wake",) if isinstance(payload, ProcessWake) else ("command",))


def ledger(
    redactor: Redactor, rows: dict[tuple[str, str], TokenUsage]
) -> tuple[dict[tuple[str, str], TokenUsage], int]:
    """A token ledger; rows that become one are added up."""
    fresh: dict[tuple[str, str], TokenUsage] = {}
    total = 0
    for (old_source, old_model), usage in rows.items():
        (source, count), (model, more) = redactor.text(old_source), redactor.text(old_model)
        total += count + more
        known = fresh.get((source, model))
        fresh[source, model] = usage if known is None else known.plus(usage)
    return fresh, total
