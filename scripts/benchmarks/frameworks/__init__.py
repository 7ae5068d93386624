"""The storage that agent frameworks bring along, and this package's adapters for them: installed in .venv-bench only.

Each framework is used through the interface that it prescribes for storage, with what its own runner hands to it in a
turn, so that both sides are asked the same. The storage of the framework is used as its users get it; all of it keeps
SQLite's `synchronous` at FULL, as this package is at `Durability.FULL`. The Claude Agent SDK has no storage in SQLite:
its own transcripts are lines that its program appends, without a flush, and are not measured here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

OURS = "localstore"
THEIRS = "theirs"
NAMES = ("openai-agents", "langgraph", "adk")


class Talk(Protocol):
    """One open session of a framework."""

    async def add(self, turn: Any) -> None:
        """Store what the framework's runner stores in a turn."""

    async def load(self) -> list[Any]:
        """The conversation, as the runner reads it before a turn."""

    async def count(self) -> int:
        """How many records are there: items, events, checkpoints."""

    async def close(self) -> None:
        """Close cleanly."""


class Framework(Protocol):
    """A framework, and two ways to store its sessions."""

    name: str
    theirs: str
    """The class of its own that is measured."""
    turn: str
    """What is stored in a turn, in words."""

    def script(self, count: int, session_id: str) -> list[Any]:
        """`count` turns, fresh, each for `add`."""

    def told(self, count: int) -> tuple[list[Any], int]:
        """What `load` and `count` give after `count` turns."""

    async def open(self, whose: str, root: Path, session_id: str) -> Talk:
        """The session in the directory `root`, made where there is none, in `OURS` or `THEIRS`."""


def framework(name: str) -> Framework:
    """The framework of that name; importing it may take seconds."""
    if name == "openai-agents":
        from .openai_agents import OpenAIAgents

        return OpenAIAgents()
    if name == "langgraph":
        from .langgraph import LangGraph

        return LangGraph()
    from .adk import Adk

    return Adk()
