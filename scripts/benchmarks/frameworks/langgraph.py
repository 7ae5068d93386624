"""LangGraph: `SqliteSaver`. What a graph asks of its checkpointer in each turn is recorded, and played to both."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph

from localstore.adapters.langgraph import LocalStoreSaver

from . import OURS
from .said import said


@dataclass(frozen=True, slots=True)
class _Asked:
    """One call of a checkpointer: the checkpoint that it is about, or none, and what follows the config."""

    method: str
    checkpoint_id: str | None
    arguments: tuple[Any, ...]


@dataclass
class _Turn:
    thread_id: str
    asked: list[_Asked] = field(default_factory=list)


class _Recorder(InMemorySaver):
    """Notes every call that stores something."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[_Asked] = []

    def put(self, config: Any, *arguments: Any) -> Any:
        self.asked.append(_Asked("put", config["configurable"].get("checkpoint_id"), arguments))
        return super().put(config, *arguments)

    def put_writes(self, config: Any, *arguments: Any) -> None:
        self.asked.append(_Asked("put_writes", config["configurable"]["checkpoint_id"], arguments))
        super().put_writes(config, *arguments)


def _answer(state: MessagesState) -> dict[str, list[AnyMessage]]:
    index = len(state["messages"]) // 2
    return {"messages": [AIMessage(said(index).answer, id=f"answer-{index}")]}


@cache
def _recorded(count: int) -> tuple[tuple[_Asked, ...], ...]:
    """What a chat graph of one node asks in each of `count` turns."""
    recorder = _Recorder()
    builder = StateGraph(MessagesState)
    builder.add_node("model", _answer)
    builder.add_edge(START, "model")
    builder.add_edge("model", END)
    graph: Any = builder.compile(checkpointer=recorder)
    turns = []
    for index in range(count):
        recorder.asked = []
        given = {"messages": [HumanMessage(said(index).user, id=f"user-{index}")]}
        graph.invoke(given, {"configurable": {"thread_id": "recorded"}}, durability="sync")
        turns.append(tuple(recorder.asked))
    return tuple(turns)


class _Thread:
    def __init__(self, saver: Any, thread_id: str, end: Any) -> None:
        self._saver = saver
        self._config = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
        self._end = end

    async def add(self, turn: _Turn) -> None:
        for asked in turn.asked:
            place = {"thread_id": turn.thread_id, "checkpoint_ns": "", "checkpoint_id": asked.checkpoint_id}
            if asked.checkpoint_id is None:
                del place["checkpoint_id"]
            getattr(self._saver, asked.method)({"configurable": place}, *asked.arguments)

    async def load(self) -> list[Any]:
        found = self._saver.get_tuple(self._config)
        messages = [] if found is None else found.checkpoint["channel_values"].get("messages", [])
        return [(message.type, message.content) for message in messages]

    async def count(self) -> int:
        return sum(1 + len(found.pending_writes or ()) for found in self._saver.list(self._config))

    async def close(self) -> None:
        self._end()


class LangGraph:
    """LangGraph."""

    name = "langgraph"
    theirs = "SqliteSaver"
    turn = "the puts of a chat graph, 2 messages"

    def script(self, count: int, session_id: str) -> list[Any]:
        return [_Turn(session_id, list(asked)) for asked in _recorded(count)]

    def told(self, count: int) -> tuple[list[Any], int]:
        records = sum(
            1 if asked.method == "put" else len(asked.arguments[0]) for turn in _recorded(count) for asked in turn
        )
        words = [said(index) for index in range(count)]
        return [pair for each in words for pair in (("human", each.user), ("ai", each.answer))], records

    async def open(self, whose: str, root: Path, session_id: str) -> _Thread:
        if whose == OURS:
            saver = LocalStoreSaver(root)
            return _Thread(saver, session_id, saver.close)
        connection = sqlite3.connect(root / "checkpoints.db", check_same_thread=False)
        return _Thread(SqliteSaver(connection), session_id, connection.close)
