"""An agent of the OpenAI Agents SDK that remembers, offline: its model follows a script.

Run it with `python scripts/examples/openai_agents_example.py`; it needs `pip install 'localstore[openai-agents]'`.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, ModelResponse, RunConfig, Runner, Usage, function_tool
from agents.models.interface import Model
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from localstore import LocalStore
from localstore.adapters.openai_agents import LocalStoreSession


class ScriptedModel(Model):
    """Stands in for a model: it looks a train up once, and then answers from what the session gives it."""

    async def get_response(self, system_instructions: Any, input: Any, *args: Any, **kwargs: Any) -> ModelResponse:
        asked = [item for item in input if item.get("role") == "user"]
        if input[-1].get("type") == "function_call_output":
            output: Any = message(f"Take the train {input[-1]['output']}.")
        elif len(asked) == 1:
            output = ResponseFunctionToolCall(
                name="next_train", arguments='{"town": "Oslo"}', call_id="call-1", type="function_call"
            )
        else:
            output = message("It was about trains." if "train" in asked[0]["content"] else "I do not know.")
        return ModelResponse(output=[output], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


def message(text: str) -> ResponseOutputMessage:
    content = ResponseOutputText(annotations=[], text=text, type="output_text", logprobs=[])
    return ResponseOutputMessage(id="msg-1", content=[content], role="assistant", status="completed", type="message")


@function_tool
def next_train(town: str) -> str:
    """When the next train leaves."""
    return f"at 7:25 to {town}"


async def talk(root: str) -> None:
    agent = Agent(name="Guide", model=ScriptedModel(), tools=[next_train])
    quiet = RunConfig(tracing_disabled=True)
    for question in ("When is the next train to Oslo?", "What was my question about?"):
        # A new session object each time, as if the program had been started again.
        async with LocalStoreSession("trip", root) as session:
            result = await Runner.run(agent, question, session=session, run_config=quiet)
            print("user      -", question)
            print("assistant -", result.final_output)


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        asyncio.run(talk(root))
        with LocalStore(root) as store:
            for row in store.list_sessions():
                print(f"{row.session_id}: {row.node_count} items, begins with {row.first_user_message!r}")


if __name__ == "__main__":
    main()
