"""Calls of tools and their results, told alike whichever adapter wrote them: shown, exported and searched by role."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

pytest.importorskip("google.adk", reason="it needs the extra adk")
pytest.importorskip("claude_agent_sdk", reason="it needs the extra claude-agent-sdk")

from google.adk.events.event import Event  # after the check
from google.genai import types
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from localstore.adapters import adk, claude_agent_sdk
from localstore.adapters.adk import LocalStoreSessionService
from localstore.adapters.claude_agent_sdk import LocalStoreSessionStore
from localstore.adapters.langgraph import AsyncLocalStoreSaver
from localstore.adapters.openai_agents import LocalStoreSession
from localstore.cli import ExitCode, main

QUESTION, THOUGHT, ANSWER = "Which trains?", "Two towns, two calls.", "At 7:25 and 8:30."
ASKED = {"c1": "Oslo", "c2": "Bergen"}
FOUND = {"c1": "7:25", "c2": "8:30"}


async def say_openai(root: Path) -> str:
    calls = [
        {"type": "function_call", "call_id": call, "name": "look", "arguments": f'{{"town":"{town}"}}'}
        for call, town in ASKED.items()
    ]
    results: list[Any] = [{"type": "function_call_output", "call_id": "c1", "output": FOUND["c1"]}]
    output = [{"type": "input_text", "text": FOUND["c2"]}]
    results.append({"type": "function_call_output", "call_id": "c2", "output": output})
    content = [{"type": "output_text", "text": ANSWER, "annotations": []}]
    items: list[Any] = [
        {"role": "user", "content": QUESTION},
        {"type": "reasoning", "id": "r1", "summary": [{"type": "summary_text", "text": THOUGHT}]},
        *calls,
        *results,
        {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": content},
    ]
    async with LocalStoreSession("talk", root) as session:
        await session.add_items(items)
    return "talk"


async def say_adk(root: Path) -> str:
    part = types.Part
    calls = [
        part(function_call=types.FunctionCall(id=call, name="look", args={"town": town}))
        for call, town in ASKED.items()
    ]
    results = [
        part(function_response=types.FunctionResponse(id=call, name="look", response={"result": found}))
        for call, found in FOUND.items()
    ]
    contents = [
        ("user", types.Content(role="user", parts=[part(text=QUESTION)])),
        ("guide", types.Content(role="model", parts=[part(text=THOUGHT, thought=True), *calls])),
        ("guide", types.Content(role="user", parts=results)),
        ("guide", types.Content(parts=[part(text=ANSWER)])),
    ]
    who: Any = {"app_name": "trains", "user_id": "ada", "session_id": "talk"}
    async with LocalStoreSessionService(root) as service:
        session = await service.create_session(**who)
        for author, content in contents:
            await service.append_event(session, Event(author=author, content=content))
        found: Any = await service.get_session(**who)
    assert [each.content for each in found.events] == [content for _, content in contents]
    return adk.session_id_of(**who)


async def say_claude(root: Path) -> str:
    calls = [{"type": "tool_use", "id": call, "name": "look", "input": {"town": town}} for call, town in ASKED.items()]
    results = [{"type": "tool_result", "tool_use_id": call, "content": found} for call, found in FOUND.items()]
    contents: list[tuple[str, Any]] = [
        ("user", QUESTION),
        ("assistant", [{"type": "thinking", "thinking": THOUGHT, "signature": "s"}, *calls]),
        ("user", results),
        ("assistant", [{"type": "text", "text": ANSWER}]),
    ]
    key: Any = {"project_key": "-home-user-trains", "session_id": "talk"}
    async with LocalStoreSessionStore(root) as store:
        for number, (role, content) in enumerate(contents):
            entry: Any = {"type": role, "uuid": f"uuid-{number}", "message": {"role": role, "content": content}}
            await store.append(key, [entry])
    return claude_agent_sdk.session_id_of(**key)


async def say_langgraph(root: Path) -> str:
    calls: Any = [{"name": "look", "args": {"town": town}, "id": call} for call, town in ASKED.items()]
    thought: Any = [{"type": "thinking", "thinking": THOUGHT, "signature": "s"}]
    spoken = {
        "asks": [AIMessage(thought, tool_calls=calls)],
        "looks": [ToolMessage(found, tool_call_id=call) for call, found in FOUND.items()],
        "answers": [AIMessage(ANSWER)],
    }
    builder = StateGraph(MessagesState)
    for name, said in spoken.items():
        builder.add_node(name, lambda state, said=said: {"messages": said})
    for before, after in pairwise((START, *spoken, END)):
        builder.add_edge(before, after)
    async with AsyncLocalStoreSaver.from_path(root) as saver:
        graph: Any = builder.compile(checkpointer=saver)
        where: Any = {"configurable": {"thread_id": "talk"}}
        await graph.ainvoke({"messages": [HumanMessage(QUESTION)]}, where, durability="sync")
    return "talk"


def called(call: str) -> dict[str, Any]:
    function = {"name": "look", "arguments": f'{{"town":"{ASKED[call]}"}}'}
    return {"id": call, "type": "function", "function": function}


@pytest.mark.parametrize("say", [say_openai, say_adk, say_claude, say_langgraph])
def test_calls_and_results_are_told_alike(
    say: Callable[[Path], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "store"
    session_id = asyncio.run(say(root))

    def command(*arguments: str) -> str:
        assert main(["--root", str(root), *arguments]) == ExitCode.OK
        return capsys.readouterr().out

    exported = command("export", "-o", "-", "--format", "messages", "--", session_id)
    messages: list[Any] = [orjson.loads(line) for line in exported.splitlines()]
    assert messages[0] == {"role": "user", "content": QUESTION}
    assert messages[-1] == {"role": "assistant", "content": ANSWER}
    asking = [each for each in messages[1:-1] if each["role"] == "assistant"]
    assert [call for each in asking for call in each["tool_calls"]] == [called(call) for call in ASKED]
    assert {each["content"] for each in asking} == {None}
    results = [{"role": "tool", "content": found, "tool_call_id": call} for call, found in FOUND.items()]
    assert messages[-3:-1] == results

    shown = command("show", "--text", "--", session_id)
    told = [QUESTION, THOUGHT, *(f'→ look({{"town":"{town}"}})' for town in ASKED.values())]
    told += [*(f"← {found}" for found in FOUND.values()), ANSWER]
    lines = [line.strip() for line in shown.splitlines()]
    assert [line for line in lines if line in told] == told
    assert all(line in command("show", "--", session_id) for line in told)

    document = command("export", "-o", "-", "--format", "markdown", "--", session_id)
    headings = [line for line in document.splitlines() if line.startswith("## ")]
    assert list(dict.fromkeys(headings)) == ["## User", "## Assistant", "## Tool"]
    assert document.count("Calls `look`:") == len(ASKED)
    assert document.count("*(thinking)*") == 1
    assert all(f"```text\n{found}\n```" in document for found in FOUND.values())

    for role, text in (("user", QUESTION), ("assistant", "Oslo"), ("tool", "8:30"), ("assistant", ANSWER)):
        hits = orjson.loads(command("search", text, "--role", role, "--json"))["hits"]
        assert [hit["role"] for hit in hits] == [role]
