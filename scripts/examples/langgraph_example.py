"""A graph of LangGraph that asks before it books, offline: its model follows a script.

Run it with `python scripts/examples/langgraph_example.py`; it needs `pip install 'localstore[langgraph]'`.
"""

from __future__ import annotations

import tempfile
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from localstore import LocalStore
from localstore.adapters.langgraph import LocalStoreSaver

TRIP: Any = {"configurable": {"thread_id": "trip"}}


def suggest(state: MessagesState) -> Any:
    return {"messages": [AIMessage("There is a train at 7:25.")]}


def book(state: MessagesState) -> Any:
    agreed = interrupt("book the 7:25?")
    return {"messages": [AIMessage("The 7:25 is booked." if agreed else "As you like.")]}


def graph(saver: LocalStoreSaver) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("suggest", suggest)
    builder.add_node("book", book)
    builder.add_edge(START, "suggest")
    builder.add_edge("suggest", "book")
    builder.add_edge("book", END)
    return builder.compile(checkpointer=saver)


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        with LocalStoreSaver.from_path(root) as saver:
            found = graph(saver).invoke({"messages": [HumanMessage("How do I get to Oslo?")]}, TRIP)
            print("interrupted:", found["__interrupt__"][0].value)

        # As if the program had been started again: the graph goes on where it was interrupted.
        with LocalStoreSaver.from_path(root) as saver:
            found = graph(saver).invoke(Command(resume=True), TRIP)
            for message in found["messages"]:
                print("user     " if message.type == "human" else "assistant", "-", message.content)
            print(f"{len(list(graph(saver).get_state_history(TRIP)))} checkpoints to go back to")

        with LocalStore(root) as store:
            for row in store.list_sessions():
                print(f"{row.session_id}: {row.size_bytes} bytes, begins with {row.first_user_message!r}")


if __name__ == "__main__":
    main()
