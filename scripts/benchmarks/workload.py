"""What the agent of the benchmark says: turns of two nodes, deterministic, the same for every store.

A node is about 2.5 KB of JSON, an input about 200 bytes. The turn state changes with every turn, the tool state (1 KB)
with every tenth. Nothing here is timed: turns are made before a round begins.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

TEXT_LENGTH = 2_300
TOOL_STATE_PERIOD = 10

_PHRASES = """
the parser reads a date, then the importer writes one row; tests fail on this branch
where "locale" is given by position (scripts/backfill.py:23) and not by name \u2014 see line 57.
def parse_date(text: str) -> date:
    return datetime.strptime(text, '%d.%m.%Y').date()
"""
_WORDS = _PHRASES.split(" ")
_SHUFFLED = random.Random(7)
_POOL = " ".join(_SHUFFLED.choice(_WORDS) for _ in range(20_000))


@dataclass(frozen=True, slots=True)
class Node:
    """One node, as plain data."""

    node_id: str
    parent_node_id: str | None
    timestamp: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """Everything that one turn puts into a store."""

    turn_id: str
    turn_hash: str
    source_key: str
    text: str
    nodes: tuple[Node, ...]
    turn_state: dict[str, Any]
    tool_state: dict[str, Any]
    usage: dict[str, int]

    @property
    def leaf(self) -> str:
        """The id of the node that the turn ends with."""
        return self.nodes[-1].node_id


def node_id(index: int) -> str:
    """The id of the session's node `index`: like a random UUID, as hosts make them."""
    digest = hashlib.sha256(b"node %d" % index).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"


def _timestamp(index: int) -> str:
    minutes, seconds = divmod(index, 60)
    hours, minutes = divmod(minutes, 60)
    return f"2026-01-{1 + hours // 24 % 28:02d}T{hours % 24:02d}:{minutes:02d}:{seconds:02d}.000Z"


def _text(index: int, length: int) -> str:
    start = index * 7919 % (len(_POOL) - length)
    return f"#{index} {_POOL[start : start + length]}"


def node(index: int, parent: str | None) -> Node:
    """The session's node `index`: by turns a user's message and an assistant's with a tool call."""
    if index % 2 == 0:
        message: dict[str, Any] = {"role": "user", "content": _text(index, TEXT_LENGTH)}
    else:
        call = {"type": "tool_use", "id": f"call-{index}", "name": "Bash", "input": {"command": _text(index, 120)}}
        text = {"type": "text", "text": _text(index, TEXT_LENGTH - 200)}
        message = {"role": "assistant", "model": "a-model", "content": [text, call]}
    return Node(node_id(index), parent, _timestamp(index), {"kind": "event", "message": message})


def turn(index: int, nodes: tuple[Node, ...]) -> Turn:
    """The session's turn `index`, which commits `nodes`."""
    tokens = {"input_tokens": 900 + index % 100, "output_tokens": 150, "cache_read_input_tokens": 14_000}
    epoch = index // TOOL_STATE_PERIOD
    return Turn(
        turn_id=f"turn-{index}",
        turn_hash=hashlib.sha256(b"turn %d" % index).hexdigest(),
        source_key=f"message-{index}",
        text=_text(index, 180),
        nodes=nodes,
        turn_state={"turn_index": index, "token_usage": tokens, "protocol_turn_options": {"effort": "high"}},
        tool_state={"epoch": epoch, "open_files": [_text(epoch + at, 60) for at in range(14)]},
        usage=tokens,
    )


def turns(count: int, nodes_per_turn: int = 2) -> Iterator[Turn]:
    """The first `count` turns of a session that is one long chain."""
    parent: str | None = None
    for index in range(count):
        made: list[Node] = []
        for at in range(index * nodes_per_turn, (index + 1) * nodes_per_turn):
            made.append(node(at, parent))
            parent = made[-1].node_id
        yield turn(index, tuple(made))


def branching_turns(count: int, nodes_per_turn: int, depth: int = 200) -> Iterator[Turn]:
    """The first `count` turns of a session that forks again and again, its leaf `depth` nodes deep in the end.

    A path that has grown to `depth` is cut back to a random length and grows again from there, so that the path which
    is left is scattered over the whole session.
    """
    chance = random.Random(11)
    total = count * nodes_per_turn
    path: list[str] = []
    for index in range(count):
        made: list[Node] = []
        for at in range(index * nodes_per_turn, (index + 1) * nodes_per_turn):
            if len(path) == depth:
                left = total - at
                del path[depth - left if left <= depth else chance.randrange(depth // 10, depth * 9 // 10) :]
            made.append(node(at, path[-1] if path else None))
            path.append(made[-1].node_id)
        yield turn(index, tuple(made))
