"""Writes of fast tasks overtake the checkpoints that they are to: the conversation is told whole all the same."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from localstore import ActivePath, FullGraph, InMemoryStore
from localstore.adapters.langgraph import LocalStoreSaver
from localstore.cli.describing import said

ORDERS = 30
MANY_ORDERS = 1_000
SAID = ["Which?", "Hm.", "I look.", "7:25", "8:30", "The 7:25.", "And back?", "I look.", "9:10", "The 9:10."]


class Recorder(InMemorySaver):
    """Notes the calls that store something: what is called, and with which checkpoint's id and arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str | None, tuple[Any, ...]]] = []

    def put(self, config: Any, *arguments: Any) -> Any:
        self.calls.append(("put", config["configurable"].get("checkpoint_id"), arguments))
        return super().put(config, *arguments)

    def put_writes(self, config: Any, *arguments: Any) -> None:
        self.calls.append(("put_writes", config["configurable"]["checkpoint_id"], arguments))
        super().put_writes(config, *arguments)


@cache
def recorded() -> tuple[list[Any], list[Any]]:
    """The calls of a graph that works on two questions, and what was said."""
    answers = iter(SAID[2:3] + SAID[5:6] + SAID[7:8] + SAID[9:])
    found = iter([SAID[3:5], SAID[8:9]])

    def model(state: MessagesState) -> Any:
        text = next(answers)
        calls: Any = [{"name": "look", "args": {"at": len(state["messages"])}, "id": "c"}] if text == "I look." else []
        thought = [AIMessage("Hm.")] if len(state["messages"]) == 1 else []
        return {"messages": [*thought, AIMessage(text, tool_calls=calls)]}

    def tools(state: MessagesState) -> Any:
        return {"messages": [ToolMessage(text, tool_call_id="c") for text in next(found)]}

    def is_calling(state: MessagesState) -> str:
        last = state["messages"][-1]
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else END

    builder = StateGraph(MessagesState)
    builder.add_node("model", model)
    builder.add_node("tools", tools)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", is_calling)
    builder.add_edge("tools", "model")
    recorder = Recorder()
    graph: Any = builder.compile(checkpointer=recorder)
    where: Any = {"configurable": {"thread_id": "t"}}
    for question in (SAID[0], SAID[6]):
        state = graph.invoke({"messages": [HumanMessage(question)]}, where, durability="sync")
    return recorder.calls, state["messages"]


def test_what_was_recorded_is_the_conversation() -> None:
    calls, messages = recorded()
    assert [message.content for message in messages] == SAID
    assert {"put", "put_writes"} == {name for name, _, _ in calls}


def reordered(calls: list[Any], number: int) -> list[Any]:
    """Checkpoints in their order; writes earlier than they were made, by as much as `number` has it."""
    chance = random.Random(number)
    keys = []
    for place, (name, _, _) in enumerate(calls):
        keys.append(place if name == "put" else place - chance.choice([0, 0, 1, 2, 3, 5, 8]) - 0.5)
    order = sorted(range(len(calls)), key=lambda place: keys[place])
    return [calls[place] for place in order]


@pytest.mark.parametrize("number", range(ORDERS))
def test_the_way_to_the_head_has_every_message_once_and_in_order(number: int) -> None:
    play(number)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_the_same_in_many_orders() -> None:
    for number in range(ORDERS, MANY_ORDERS):
        play(number)


def play(number: int) -> None:
    calls, messages = recorded()
    calls = calls if number == 0 else reordered(calls, number)
    store = InMemoryStore()
    saver = LocalStoreSaver(store)
    for place, (name, checkpoint_id, arguments) in enumerate(calls):
        where: Any = {"thread_id": "t", "checkpoint_ns": ""}
        if checkpoint_id is not None:
            where["checkpoint_id"] = checkpoint_id
        getattr(saver, name)({"configurable": where}, *arguments)
        if place % 7 == number % 7:
            saver = LocalStoreSaver(store)  # as another process would go on
    read, whole = (store.open_session("t").load_session(scope) for scope in (ActivePath(), FullGraph()))  # type: ignore[union-attr]
    assert read is not None
    assert whole is not None
    told = [said(node).text for node in read.graph.nodes if "role" in node.payload]
    assert [text.lstrip("← ").split("\n")[0] for text in told] == SAID
    found = saver.get_tuple({"configurable": {"thread_id": "t"}})
    assert found is not None
    assert found.checkpoint["channel_values"]["messages"] == messages
    assert len(whole.graph.nodes) >= len(calls)
