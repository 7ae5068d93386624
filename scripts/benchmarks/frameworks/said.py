"""What is said in a turn: a message of the user, a call of a tool, an answer; 2.3 KB each, but for the call."""

from __future__ import annotations

from dataclasses import dataclass

from ..workload import node


@dataclass(frozen=True, slots=True)
class Said:
    """What is said in one turn."""

    user: str
    command: str
    answer: str


def said(index: int) -> Said:
    """What is said in the turn `index`."""
    user = node(2 * index, None).payload["message"]
    text, call = node(2 * index + 1, None).payload["message"]["content"]
    return Said(user["content"], call["input"]["command"], text["text"])
