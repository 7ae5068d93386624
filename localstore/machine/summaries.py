"""What a session list shows of the graph: how many nodes, what the user said first, how often the user spoke."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson

from ..contract.graph import SessionNodeRecord
from ..contract.values import encoded
from .facts import Archive, NodeFact, TombstoneFact
from .state import SessionState, Summary

_SPEAKS_FIRST = re.compile(rb'\{(?:"kind":"[^"\\]*",)?(?:"(?:message|event)":\{)?"role":"user"[,}]')
"""The beginning of most user messages; others have to be parsed."""
MAX_FIRST_MESSAGE = 16_384
"""Characters of the first user message that a summary keeps, so that it stays small."""


def user_text(node: SessionNodeRecord) -> str | None:
    """What the user said in this node, or `None` when it is no user message.

    A user message is a payload, or the `message` or `event` object in it, whose `role` is "user". Its text is `content`
    if that is a string, else the texts (`text` or `content`) of its parts (`content` or `parts`), joined by newlines.
    """
    text = encoded(node, "payload")
    if b'"user"' not in text:
        return None
    payload = orjson.loads(text)
    for holder in (payload, payload.get("message"), payload.get("event")):
        if isinstance(holder, dict) and holder.get("role") == "user":
            return _text(holder)
    return None


def is_user_message(node: SessionNodeRecord) -> bool:
    """Whether `user_text` has an answer for this node."""
    return _SPEAKS_FIRST.match(encoded(node, "payload")) is not None or user_text(node) is not None


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else message.get("parts")
    texts = []
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            found = next((part[key] for key in ("text", "content") if isinstance(part.get(key), str)), None)
            if found is not None:
                texts.append(found)
    return "\n".join(texts)


def with_nodes(summary: Summary, nodes: Iterable[SessionNodeRecord]) -> Summary:
    """`summary` after `nodes` were added at the end."""
    count, users = summary.node_count, summary.user_message_count
    first_id, first = summary.first_user_node_id, summary.first_user_message
    for node in nodes:
        count += 1
        if not is_user_message(node):
            continue
        users += 1
        if first_id is None:
            first_id, first = node.node_id, (user_text(node) or "")[:MAX_FIRST_MESSAGE]
    return Summary(count, users, first_id, first)


def without_nodes(state: SessionState, archive: Archive, gone: dict[str, SessionNodeRecord]) -> Summary:
    """The session's summary after the nodes `gone`, which are in it, were tombstoned."""
    summary = state.summary
    users = sum(map(is_user_message, gone.values()))
    left = Summary(
        summary.node_count - len(gone),
        summary.user_message_count - users,
        summary.first_user_node_id,
        summary.first_user_message,
    )
    if summary.first_user_node_id not in gone:
        return left
    # Only the loss of the first user message needs a search for the next one.
    first = next(
        (node for node in live_nodes(state, archive) if node.node_id not in gone and is_user_message(node)),
        None,
    )
    if first is None:
        return Summary(left.node_count, left.user_message_count)
    text = user_text(first) or ""
    return Summary(left.node_count, left.user_message_count, first.node_id, text[:MAX_FIRST_MESSAGE])


def live_nodes(state: SessionState, archive: Archive) -> Iterable[SessionNodeRecord]:
    """Every node that is not tombstoned, in commit order; a node committed again stands at its last place."""
    nodes: dict[str, SessionNodeRecord] = {}
    for fact in archive.facts(NodeFact, TombstoneFact):
        if fact.seq < state.floor_seq:
            continue
        if isinstance(fact, NodeFact):
            nodes[fact.node.node_id] = fact.node
        elif isinstance(fact, TombstoneFact):
            nodes.pop(fact.node_id, None)
    return nodes.values()
