"""Google's Agent Development Kit: `SqliteSessionService`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.adk.events.event import Event
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai import types

from localstore.adapters.adk import LocalStoreSessionService

from . import OURS
from .said import said


def _events(index: int) -> list[Event]:
    words = said(index)
    call = types.Part(function_call=types.FunctionCall(id=f"call-{index}", name="shell", args={"is": words.command}))
    answer = {"result": words.command}
    result = types.Part(function_response=types.FunctionResponse(id=f"call-{index}", name="shell", response=answer))
    parts = [
        ("user", types.Part(text=words.user)),
        ("agent", call),
        ("agent", result),
        ("agent", types.Part(text=words.answer)),
    ]
    return [
        Event(
            id=f"event-{index}-{at}",
            invocation_id=f"invocation-{index}",
            author=author,
            content=types.Content(role="user" if author == "user" else "model", parts=[part]),
            timestamp=1_767_225_600.0 + index + at / 8,
        )
        for at, (author, part) in enumerate(parts)
    ]


class _Session:
    def __init__(self, service: Any, session: Any) -> None:
        self._service = service
        self._session = session

    def _where(self) -> dict[str, str]:
        session = self._session
        return {"app_name": session.app_name, "user_id": session.user_id, "session_id": session.id}

    async def add(self, turn: list[Event]) -> None:
        for event in turn:
            await self._service.append_event(self._session, event)

    async def load(self) -> list[Any]:
        found = await self._service.get_session(**self._where())
        return [(event.id, event.author, event.content) for event in found.events]

    async def count(self) -> int:
        found = await self._service.get_session(**self._where())
        return len(found.events)

    async def close(self) -> None:
        if isinstance(self._service, LocalStoreSessionService):
            await self._service.close()


class Adk:
    """The Agent Development Kit."""

    name = "adk"
    theirs = "SqliteSessionService"
    turn = "four append_event"

    def script(self, count: int, session_id: str) -> list[Any]:
        return [_events(index) for index in range(count)]

    def told(self, count: int) -> tuple[list[Any], int]:
        events = [event for index in range(count) for event in _events(index)]
        return [(event.id, event.author, event.content) for event in events], len(events)

    async def open(self, whose: str, root: Path, session_id: str) -> _Session:
        service: Any = (
            LocalStoreSessionService(root) if whose == OURS else SqliteSessionService(str(root / "sessions.db"))
        )
        where = {"app_name": "bench", "user_id": "user", "session_id": session_id}
        session = await service.get_session(**where)
        return _Session(service, session or await service.create_session(**where))
