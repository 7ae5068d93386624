"""An agent of the Claude Agent SDK whose transcripts are in a store, offline: its program follows a script.

Run it with `python scripts/examples/claude_agent_sdk_example.py`; it needs
`pip install 'localstore[claude-agent-sdk]'`.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from claude_agent_sdk import (
    AssistantMessage,
    ClaudeAgentOptions,
    TextBlock,
    Transport,
    list_sessions_from_store,
    project_key_for_directory,
    query,
)

from localstore import LocalStore
from localstore.adapters.claude_agent_sdk import LocalStoreSessionStore, session_id_of

SESSION = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


class ScriptedProgram(Transport):  # type: ignore[misc, unused-ignore]
    """Stands in for the program that the SDK starts: it answers from the transcript, and reports what it adds to it."""

    def __init__(self, transcript: list[Any], file_path: str) -> None:
        self._transcript = transcript
        self._file_path = file_path
        self._messages: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def connect(self) -> None:
        pass

    async def write(self, data: str) -> None:
        message = json.loads(data)
        if message["type"] == "control_request":
            response = {"subtype": "success", "request_id": message["request_id"], "response": {}}
            self._say(type="control_response", response=response)
        elif message["type"] == "user":
            self._answer(message["message"]["content"])

    def _answer(self, question: str) -> None:
        asked = [entry["message"]["content"] for entry in self._transcript if entry["type"] == "user"]
        text = f"Your question was: {asked[-1]}" if asked else "At 7:25."
        content = [{"type": "text", "text": text}]
        said = {"role": "assistant", "model": "scripted", "content": content}
        entries = [
            self._entry(type="user", message={"role": "user", "content": question}),
            self._entry(type="assistant", message=said),
        ]
        self._say(type="transcript_mirror", filePath=self._file_path, entries=entries)
        self._say(type="assistant", message=said)
        numbers = {"duration_ms": 1, "duration_api_ms": 1, "num_turns": 1}
        self._say(type="result", subtype="success", is_error=False, **numbers)
        self._messages.put_nowait(None)

    def _entry(self, **fields: Any) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        return {"uuid": str(uuid.uuid4()), "timestamp": now, "sessionId": SESSION, **fields}

    def _say(self, **message: Any) -> None:
        self._messages.put_nowait({"session_id": SESSION, **message})

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        while (message := await self._messages.get()) is not None:
            yield message

    async def close(self) -> None:
        self._messages.put_nowait(None)

    def is_ready(self) -> bool:
        return True

    async def end_input(self) -> None:
        pass


async def talk(root: str, project: str) -> None:
    project_key = project_key_for_directory(project)
    file_path = os.path.join(project, "projects", project_key, f"{SESSION}.jsonl")
    for question in ("When is the next train to Oslo?", "What was my question?"):
        # A new store object each time, as if the program had been started again.
        async with LocalStoreSessionStore(root) as store:
            transcript = await store.load({"project_key": project_key, "session_id": SESSION})
            options = ClaudeAgentOptions(session_store=store, cwd=project, env={"CLAUDE_CONFIG_DIR": project})
            program = ScriptedProgram(list(transcript or ()), file_path)
            print("user      -", question)
            async for message in query(prompt=question, options=options, transport=program):
                if isinstance(message, AssistantMessage):
                    print("assistant -", *(part.text for part in message.content if isinstance(part, TextBlock)))
            for info in await list_sessions_from_store(store, directory=project):
                print("sessions  -", info.summary)


def main() -> None:
    with tempfile.TemporaryDirectory() as root, tempfile.TemporaryDirectory() as project:
        asyncio.run(talk(root, project))
        with LocalStore(root) as store:
            session = store.open_session(session_id_of(project_key_for_directory(project), SESSION))
            assert session is not None
            for row in store.list_sessions():
                print(f"{row.node_count} entries, begins with {row.first_user_message!r}")


if __name__ == "__main__":
    main()
