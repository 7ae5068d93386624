"""Searching the live nodes of a session for a text or a pattern.

What is searched is every string in a node's payload but for the words of its form (`kind`, `role`, `type` of a message
and its parts): each string by itself. Most nodes are told by their encoded text alone that nothing in them can match,
and are never parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..contract.errors import InvalidArgument
from ..contract.graph import SessionNodeRecord
from ..contract.search import SearchHit
from . import needles
from .decision import View
from .facts import Archive, NodeFact
from .moment import Moment
from .state import SessionState

AROUND = 40
"""Characters of a snippet before and behind what matched."""
MAX_MATCH = 200
"""Characters of a match that a snippet shows."""

_FORM = frozenset({"kind", "role", "type"})
_HOLDERS = ("message", "event")


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for. `may_match` says of a node's encoded text whether it must be parsed; times in epoch ms."""

    pattern: re.Pattern[str]
    may_match: Callable[[bytes], bool]
    role: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


def query_of(
    text: str, *, regex: bool, ignore_case: bool, role: str | None, since_ms: int | None, until_ms: int | None
) -> Query:
    """The query for a text, or for a pattern in the syntax of `re`. Raises `InvalidArgument` for a malformed one."""
    flags = re.MULTILINE | (re.IGNORECASE if ignore_case else 0)
    try:
        pattern = re.compile(text if regex else re.escape(text), flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidArgument(f"text must be a regular expression: {error}") from error
    return Query(pattern, needles.test_for(text, regex=regex, ignore_case=ignore_case), role, since_ms, until_ms)


def search(query: Query, limit: int | None) -> View[tuple[SearchHit, ...]]:
    """The first `limit` live nodes that match, in commit order."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> tuple[SearchHit, ...]:
        hits: list[SearchHit] = []
        for fact in archive.nodes_where(query.may_match):
            if limit is not None and len(hits) >= limit:
                break
            if fact.seq < state.floor_seq:
                continue
            hit = match(query, state.session_id, fact.node)
            if hit is not None and _is_live(archive, fact):
                hits.append(hit)
        return tuple(hits)

    return view


def _is_live(archive: Archive, fact: NodeFact) -> bool:
    """Whether the node was neither hidden nor committed again since."""
    last = archive.find(f"n:{fact.node.node_id}")
    return isinstance(last, NodeFact) and last.seq == fact.seq


def match(query: Query, session_id: str, node: SessionNodeRecord) -> SearchHit | None:
    """The hit that the node is, or `None`."""
    if not _in_time(query, node.timestamp):
        return None
    payload = node.payload
    role = role_of(payload)
    if query.role is not None and role != query.role:
        return None
    for text in texts_of(payload):
        found = query.pattern.search(text)
        if found is not None:
            return _hit(session_id, node, role, text, found)
    return None


def _hit(session_id: str, node: SessionNodeRecord, role: str | None, text: str, found: re.Match[str]) -> SearchHit:
    start, end = found.start(), min(found.end(), found.start() + MAX_MATCH)
    first, last = max(0, start - AROUND), min(len(text), end + AROUND)
    return SearchHit(session_id, node.node_id, role, node.timestamp, text[first:last], start - first, end - first)


def _in_time(query: Query, timestamp: str) -> bool:
    if query.since_ms is None and query.until_ms is None:
        return True
    at_ms = epoch_ms(timestamp)
    if at_ms is None:
        return False
    if query.since_ms is not None and at_ms < query.since_ms:
        return False
    return query.until_ms is None or at_ms <= query.until_ms


def epoch_ms(timestamp: str) -> float | None:
    """Milliseconds since the epoch of an RFC 3339 timestamp; `None` where there is no such day or hour."""
    try:
        # A leap second is the last moment of its minute.
        moment = datetime.fromisoformat(timestamp.upper().replace(":60", ":59"))
    except ValueError:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() * 1000


def role_of(payload: dict[str, Any]) -> str | None:
    """The role of the message that a payload is or holds, or `None`."""
    for holder in (payload, *(payload.get(name) for name in _HOLDERS)):
        if isinstance(holder, dict) and isinstance(holder.get("role"), str):
            return str(holder["role"])
    return None


def texts_of(payload: dict[str, Any]) -> Iterator[str]:
    """Every string of a payload that is searched, in the order of the document."""
    return _texts(payload, is_form=True, depth=0)


def _texts(value: Any, *, is_form: bool, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, is_form=is_form, depth=depth)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if is_form and name in _FORM and isinstance(inner, str):
                continue
            # Messages and their parts have a form; what tools were given is content, whatever it is called.
            inside = is_form and (isinstance(inner, list) or (depth == 0 and name in _HOLDERS))
            yield from _texts(inner, is_form=inside, depth=depth + 1)
