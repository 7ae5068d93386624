"""Several processes on one thread of a graph, and processes that are killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from localstore.adapters.langgraph import LocalStoreSaver
from tests.adapters.adapter_processes import killed_after, together

CONFIG: Any = {"configurable": {"thread_id": "t"}}

PUTTER = """
import sys
from langgraph.checkpoint.base import empty_checkpoint
from localstore.adapters.langgraph import LocalStoreSaver

root, name, count, namespace = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
with LocalStoreSaver.from_path(root) as saver:
    print("ready", flush=True)
    sys.stdin.readline()
    config = {"configurable": {"thread_id": "t", "checkpoint_ns": namespace.replace("NAME", name)}}
    for index in range(count):
        log = [f"{name} {each} and a text that is long enough to be shared, {each}" for each in range(index + 1)]
        values = {"log": log}
        checkpoint = {**empty_checkpoint(), "channel_values": values, "channel_versions": {"log": index + 1}}
        config = saver.put(config, checkpoint, {"source": "loop", "step": index, "writer": name}, {"log": index + 1})
        saver.put_writes(config, [("log", [f"{name} {index}"])], f"task-{name}")
        found = saver.get_tuple(config)
        assert found.checkpoint["channel_values"] == values and len(found.pending_writes) == 1
"""


@pytest.mark.race
@pytest.mark.parametrize("namespace", ["", "sub:NAME"])
def test_processes_on_one_thread_lose_nothing(namespace: str, tmp_path: Path) -> None:
    names, count = ["a", "b", "c", "d"], 10
    together(PUTTER, [(tmp_path / "store", name, count, namespace) for name in names])
    with LocalStoreSaver.from_path(tmp_path / "store") as saver:
        found = list(saver.list(CONFIG))
        assert len(found) == len(names) * count
        for each in found:
            metadata: Any = each.metadata
            writer, step = metadata["writer"], metadata["step"]
            log = each.checkpoint["channel_values"]["log"]
            assert [line.split(" and ")[0] for line in log] == [f"{writer} {number}" for number in range(step + 1)]
            assert each.pending_writes == [(f"task-{writer}", "log", [f"{writer} {step}"])]
            assert (each.parent_config is None) == (step == 0)


TALKER = """
import itertools, sys
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from localstore.adapters.langgraph import LocalStoreSaver

builder = StateGraph(MessagesState)
builder.add_node("reply", lambda state: {"messages": [AIMessage(f"reply to {state['messages'][-1].content}")]})
builder.add_edge(START, "reply")
graph = builder.compile(checkpointer=LocalStoreSaver(sys.argv[1]))
config = {"configurable": {"thread_id": "t"}}
while graph.get_state(config).next:
    graph.invoke(None, config)
for turn in itertools.count(len(graph.get_state(config).values.get("messages", [])) // 2):
    graph.invoke({"messages": [HumanMessage(f"question {turn}")]}, config, durability="sync")
    print(turn, flush=True)
"""


@pytest.mark.crash
def test_a_graph_goes_on_after_kill_9_with_every_acknowledged_turn(tmp_path: Path) -> None:
    for lines in (1, 3, 8, 2, 12):
        acknowledged = killed_after(TALKER, lines, tmp_path / "store")
        with LocalStoreSaver.from_path(tmp_path / "store") as saver:
            found = saver.get_tuple(CONFIG)
            assert found is not None
            messages = found.checkpoint["channel_values"].get("messages", [])
            asked = [message.content for message in messages if isinstance(message, HumanMessage)]
            replies = [message.content for message in messages if not isinstance(message, HumanMessage)]
            assert asked == [f"question {turn}" for turn in range(len(asked))]
            assert replies == [f"reply to question {turn}" for turn in range(len(replies))]
            assert len(replies) > int(acknowledged[-1])
            assert len(asked) - len(replies) in (0, 1)
            for each in saver.list(CONFIG):
                assert each.parent_config is None or saver.get_tuple(each.parent_config) is not None
