"""A real runner of the ADK leaves in `LocalStoreSessionService` what it leaves in the ADK's own services."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.adk", reason="it needs the extra adk")

from google.adk.agents import LlmAgent, SequentialAgent  # after the check
from google.adk.apps.app import App, EventsCompactionConfig, ResumabilityConfig
from google.adk.apps.llm_event_summarizer import LlmEventSummarizer
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.sessions import BaseSessionService, InMemorySessionService
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.adk.tools.long_running_tool import LongRunningFunctionTool
from google.adk.tools.tool_context import ToolContext
from google.genai import types

from localstore.adapters.adk import LocalStoreSessionService

WHO: dict[str, Any] = {"user_id": "ada", "session_id": "trip"}


class ScriptedModel(BaseLlm):  # type: ignore[misc, unused-ignore]
    """Calls the tool that the last text names, tells what a tool gave, or how much it was given."""

    async def generate_content_async(self, llm_request: Any, stream: bool = False) -> AsyncGenerator[LlmResponse, None]:
        last = llm_request.contents[-1].parts[-1]
        if last.function_response:
            answer = types.Part(text=f"got {json.dumps(last.function_response.response)}")
        elif last.text in ("look", "ask"):
            answer = types.Part(function_call=types.FunctionCall(name=last.text, args={"number": 1}))
        else:
            answer = types.Part(text=f"given {len(llm_request.contents)}")
        yield LlmResponse(content=types.Content(role="model", parts=[answer]))


def look(number: int, tool_context: ToolContext) -> dict[str, Any]:
    """Changes every kind of state."""
    for prefix in ("", "user:", "app:", "temp:"):
        tool_context.state[f"{prefix}n"] = number
    return {"number": number}


def ask(number: int) -> dict[str, Any]:
    """Takes long."""
    return {"status": "pending"}


def said(text: str) -> types.Content:
    return types.Content(role="user", parts=[types.Part(text=text)])


async def follow_a_script(service: BaseSessionService) -> list[Any]:
    """What is in the session after turns with tools and summaries, after a rewind, and after one turn more."""
    model = ScriptedModel(model="scripted")
    first = LlmAgent(name="first", model=model, tools=[look, LongRunningFunctionTool(ask)], output_key="temp:heard")
    second = LlmAgent(name="second", model=model, output_key="heard")
    compaction = EventsCompactionConfig(compaction_interval=2, overlap_size=1, summarizer=LlmEventSummarizer(llm=model))
    app = App(
        name="trains",
        root_agent=SequentialAgent(name="both", sub_agents=[first, second]),
        events_compaction_config=compaction,
        resumability_config=ResumabilityConfig(is_resumable=True),
    )
    runner = Runner(app=app, session_service=service)
    await service.create_session(app_name="trains", **WHO, state={"z": 1})
    seen: list[Any] = []

    async def turn(text: str) -> str:
        return [event.invocation_id async for event in runner.run_async(**WHO, new_message=said(text))][-1]

    async def see() -> None:
        session: Any = await service.get_session(app_name="trains", **WHO)
        seen.append([event.model_dump(mode="json", exclude_none=True) for event in session.events])
        seen.append(session.state)

    turns = [await turn(text) for text in ("hello", "look", "ask", "again")]
    await see()
    await runner.rewind_async(**WHO, rewind_before_invocation_id=turns[1])
    await see()
    await turn("on we go")
    await see()
    seen.append(await service.get_user_state(app_name="trains", user_id="ada"))
    return seen


def without_chance(seen: list[Any]) -> Any:
    """The same without what differs from run to run: ids and times."""
    text = json.dumps(seen, sort_keys=True)
    text = re.sub(r"\b(adk-|e-)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "ID", text)
    return json.loads(re.sub(r'(timestamp": )[0-9.]+', r"\1 0", text))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # of the ADK, about itself
def test_it_leaves_what_it_leaves_in_the_services_of_the_adk(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()

    async def ours() -> list[Any]:
        async with LocalStoreSessionService(tmp_path / "store") as service:
            return await follow_a_script(service)

    found = asyncio.run(ours())
    events, state, _, rewound, later, *_ = found
    assert (state["user:n"], state["app:n"], state["n"], state["z"]) == (1, 1, 1, 1)
    assert not any(key.startswith("temp:") for key in state)
    assert (rewound["n"], rewound["user:n"]) == (None, 1)
    assert any("compaction" in each["actions"] for each in events)
    assert len(later) > len(events)
    for service in (InMemorySessionService(), SqliteSessionService(str(tmp_path / "theirs" / "db"))):
        assert without_chance(found) == without_chance(asyncio.run(follow_a_script(service)))
