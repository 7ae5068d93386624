"""The OpenAI Agents SDK: `SQLiteSession`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.memory import SQLiteSession

from localstore.adapters.openai_agents import LocalStoreSession

from . import OURS
from .said import said


def _batches(index: int) -> list[list[Any]]:
    words = said(index)
    call = {"type": "function_call", "call_id": f"call-{index}", "name": "shell", "arguments": words.command}
    result = {"type": "function_call_output", "call_id": f"call-{index}", "output": words.command}
    text = [{"type": "output_text", "text": words.answer, "annotations": []}]
    answer = {"type": "message", "role": "assistant", "status": "completed", "content": text}
    return [[{"role": "user", "content": words.user}], [call, result, answer]]


class _Session:
    def __init__(self, session: Any) -> None:
        self._session = session

    async def add(self, turn: list[list[Any]]) -> None:
        for batch in turn:
            await self._session.add_items(batch)

    async def load(self) -> list[Any]:
        found: list[Any] = await self._session.get_items()
        return found

    async def count(self) -> int:
        return len(await self._session.get_items())

    async def close(self) -> None:
        self._session.close()


class OpenAIAgents:
    """The OpenAI Agents SDK."""

    name = "openai-agents"
    theirs = "SQLiteSession"
    turn = "two add_items, 4 items"

    def script(self, count: int, session_id: str) -> list[Any]:
        return [_batches(index) for index in range(count)]

    def told(self, count: int) -> tuple[list[Any], int]:
        items = [item for index in range(count) for batch in _batches(index) for item in batch]
        return items, len(items)

    async def open(self, whose: str, root: Path, session_id: str) -> _Session:
        if whose == OURS:
            return _Session(LocalStoreSession(session_id, root))
        return _Session(SQLiteSession(session_id, root / "sessions.db"))
