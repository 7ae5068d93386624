"""Which messages are near a checkpoint: they came with it, or with what is around it, and need not be said again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from . import messages
from .picture import CheckpointNode, Key, Picture, number_of
from .trees import Tree, mark_of

Near: TypeAlias = list[tuple[int, messages.Said]]
"""Messages, with the numbers of the nodes that carry them."""


def in_line(picture: Picture, node: CheckpointNode) -> Near:
    """The messages that came to a checkpoint and are in no list of it yet: input and writes."""
    said = picture.payload(node.number).get("values", {}).values()
    is_settled = any(mark_of(value) in ("$l", "$a", "$w") for value in said)
    return carried_by(picture, [number for number in node.line if number != node.number or not is_settled])


def in_writes(picture: Picture, key: Key) -> Near:
    """The messages in the writes to a checkpoint that may not be there yet."""
    return carried_by(picture, picture.nodes_of_writes(key))


def in_children(picture: Picture, node: CheckpointNode) -> Near:
    """The messages that came with the checkpoints after this one."""
    return carried_by(picture, picture.children.get(node.number, ()))


def aside(picture: Picture, node: CheckpointNode) -> Iterator[Tree]:
    """The trees of the messages in those writes to a checkpoint that do not lie in its line."""
    for number in picture.nodes_of_writes(node.key):
        if number not in node.line:
            yield from picture.messages_of(number)


def carried_by(picture: Picture, numbers: Iterable[int]) -> Near:
    """The messages that nodes carry, or that came with them."""
    with_own = (each for number in numbers for each in (*_before(picture, number), number))
    return [(number, picture.said[number]) for number in dict.fromkeys(with_own) if number in picture.said]


def _before(picture: Picture, number: int) -> list[int]:
    """The messages that came with a node and stand before it."""
    found: list[int] = []
    parent = number_of(picture.nodes[number].parent_node_id)
    while parent is not None and parent in picture.alone:
        found.append(parent)
        parent = number_of(picture.nodes[parent].parent_node_id)
    return found[::-1]
