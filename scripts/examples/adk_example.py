"""An agent of Google's Agent Development Kit that remembers, offline: its model follows a script.

Run it with `python scripts/examples/adk_example.py`; it needs `pip install 'localstore[adk]'`.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from typing import Any

from google.adk.agents import LlmAgent
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.tools.tool_context import ToolContext
from google.genai import types

from localstore import LocalStore
from localstore.adapters.adk import LocalStoreSessionService


class ScriptedModel(BaseLlm):  # type: ignore[misc, unused-ignore]
    """Stands in for a model: it looks a train up once, and then answers from what the session gives it."""

    async def generate_content_async(self, llm_request: Any, stream: bool = False) -> AsyncGenerator[LlmResponse, None]:
        parts = [part for content in llm_request.contents for part in content.parts]
        asked = [part.text for content in llm_request.contents if content.role == "user" for part in content.parts]
        asked = [text for text in asked if text]
        if parts[-1].function_response:
            answer = types.Part(text=f"Take the train {parts[-1].function_response.response['result']}.")
        elif len(asked) == 1:
            answer = types.Part(function_call=types.FunctionCall(name="next_train", args={"town": "Oslo"}))
        else:
            answer = types.Part(text="It was about trains." if "train" in asked[0] else "I do not know.")
        yield LlmResponse(content=types.Content(role="model", parts=[answer]))


def next_train(town: str, tool_context: ToolContext) -> str:
    """When the next train leaves."""
    tool_context.state["user:town"] = town
    return f"at 7:25 to {town}"


async def talk(root: str) -> None:
    agent = LlmAgent(name="guide", model=ScriptedModel(model="scripted"), tools=[next_train])
    for question in ("When is the next train to Oslo?", "What was my question about?"):
        # A new service each time, as if the program had been started again.
        async with LocalStoreSessionService(root) as service:
            who: dict[str, Any] = {"app_name": "trains", "user_id": "ada", "session_id": "trip"}
            if await service.get_session(**who) is None:
                await service.create_session(**who)
            runner = Runner(agent=agent, app_name="trains", session_service=service)
            message = types.Content(role="user", parts=[types.Part(text=question)])
            print("user      -", question)
            async for event in runner.run_async(user_id="ada", session_id="trip", new_message=message):
                if event.is_final_response() and event.content and event.content.parts:
                    print("assistant -", event.content.parts[0].text)
            print("known     -", await service.get_user_state(app_name="trains", user_id="ada"))


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        asyncio.run(talk(root))
        with LocalStore(root) as store:
            for row in store.list_sessions():
                print(f"{row.session_id}: {row.node_count} nodes, begins with {row.first_user_message!r}")


if __name__ == "__main__":
    main()
