"""`LocalStoreSaver` under LangGraph: its conformance suite, and real graphs against the framework's own saver."""

from __future__ import annotations

import asyncio
import operator
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send, interrupt

from localstore import FullGraph, InMemoryStore, LocalStore
from localstore.adapters.langgraph import AsyncLocalStoreSaver, LocalStoreSaver
from localstore.cli.describing import said


def config(thread_id: str = "t", **configurable: Any) -> Any:
    return {"configurable": {"thread_id": thread_id, **configurable}}


@pytest.fixture
def saver(tmp_path: Path) -> Iterator[LocalStoreSaver]:
    with LocalStoreSaver.from_path(tmp_path / "store") as opened:
        yield opened


@pytest.mark.parametrize("kind", [LocalStoreSaver, AsyncLocalStoreSaver])
@pytest.mark.parametrize("in_memory", [False, True])
def test_the_frameworks_own_suite_passes_with_all_capabilities(
    kind: type[LocalStoreSaver], in_memory: bool, tmp_path: Path
) -> None:
    @checkpointer_test(name=kind.__name__)
    async def savers() -> AsyncIterator[LocalStoreSaver]:
        async with kind.from_path(InMemoryStore() if in_memory else tmp_path / "store") as opened:
            yield opened

    report = asyncio.run(validate(savers))
    assert {capability.value for capability in Capability} == set(report.results)
    assert len(report.results) == 8
    for name, result in report.results.items():
        assert result.detected, name
        assert result.passed, (name, result.failures)
        assert result.tests_passed > 0


def chat(saver: Any, **options: Any) -> Any:
    """A graph that answers each message with what it was asked, and how many messages there are."""

    def reply(state: MessagesState) -> Any:
        text = f"{len(state['messages'])}: {state['messages'][-1].content}"
        return {"messages": [AIMessage(text, id=f"ai-{len(state['messages'])}")]}

    builder = StateGraph(MessagesState)
    builder.add_node("reply", reply)
    builder.add_edge(START, "reply")
    builder.add_edge("reply", END)
    return builder.compile(checkpointer=saver, **options)


def human(text: str, number: int) -> Any:
    return {"messages": [HumanMessage(text, id=f"human-{number}")]}


def history(graph: Any, of: Any) -> list[Any]:
    """What a thread's history says, without what differs from run to run."""
    return [
        (
            state.values,
            state.next,
            {key: value for key, value in (state.metadata or {}).items() if key not in ("parents", "run_id")},
            [(task.name, task.error, [each.value for each in task.interrupts], task.result) for task in state.tasks],
        )
        for state in graph.get_state_history(of)
    ]


def test_a_conversation_goes_on_after_a_restart_as_in_the_frameworks_saver(tmp_path: Path) -> None:
    reference = chat(InMemorySaver())
    for number in range(3):
        with LocalStoreSaver.from_path(tmp_path / "store") as saver:
            ours = chat(saver)
            given = human(f"question {number}", number)
            assert ours.invoke(given, config()) == reference.invoke(human(f"question {number}", number), config())
            assert history(ours, config()) == history(reference, config())


def test_a_conversation_of_coroutines_goes_on_as_well(tmp_path: Path) -> None:
    async def main() -> None:
        reference = chat(InMemorySaver())
        for number in range(3):
            async with AsyncLocalStoreSaver.from_path(tmp_path / "store") as saver:
                graph = chat(saver)
                found = [part async for part in graph.astream(human("hi", number), config(), stream_mode="values")]
                assert found[-1] == reference.invoke(human("hi", number), config())
                states = [state async for state in graph.aget_state_history(config())]
                assert [state.values for state in states] == [
                    state.values for state in reference.get_state_history(config())
                ]

    asyncio.run(main())


INPUTS: dict[str, Callable[[str, int], Any]] = {
    "with ids": human,
    "without ids": lambda text, number: {"messages": [HumanMessage(text)]},
    "dicts": lambda text, number: {"messages": [{"role": "user", "content": text}]},
    "pairs": lambda text, number: {"messages": [("user", text)]},
}


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("given", INPUTS)
def test_messages_are_nodes_that_are_listed_and_shown(given: str, durability: Any, tmp_path: Path) -> None:
    texts = ["Hello", "yes", "yes", "a longer question " * 9, "a longer question " * 9]
    with LocalStoreSaver.from_path(tmp_path / "store") as saver:
        graph = chat(saver)
        for number, text in enumerate(texts):
            graph.invoke(INPUTS[given](text, number), config(), durability=durability)
    with LocalStore(tmp_path / "store") as store:
        [summary] = store.list_sessions()
        assert (summary.session_id, summary.first_user_message) == ("t", "Hello")
        session = store.open_session("t")
        read = None if session is None else session.load_session(FullGraph())
        assert read is not None
        told = [(each.role, each.text) for each in map(said, read.graph.nodes)]
        path = [(each.role, each.text) for each in map(said, read.graph.active_path())]
    expected = []
    for number, text in enumerate(texts):
        expected += [("user", text), ("assistant", f"{2 * number + 1}: {text}")]
    # A message is told once, and on the way to the head.
    assert [each for each in told if each[0] in ("user", "assistant")] == expected
    assert [each for each in path if each[0] in ("user", "assistant")] == expected
    assert summary.user_message_count == len(texts)


class Trip(TypedDict):
    town: str
    log: Annotated[list[str], operator.add]


def ask(state: Trip) -> Any:
    return {"log": [f"asked {interrupt({'question': 'where to?'})}"]}


def planner(saver: Any) -> Any:
    """A graph that asks, in a subgraph, and books."""
    inner = StateGraph(Trip)
    inner.add_node("look", lambda state: {"log": [f"looked at {state['town']}"]})
    inner.add_node("ask", ask)
    inner.add_edge(START, "look")
    inner.add_edge("look", "ask")
    inner.add_edge("ask", END)
    outer = StateGraph(Trip)
    outer.add_node("plan", inner.compile())
    outer.add_node("book", lambda state: {"log": ["booked"]})
    outer.add_edge(START, "plan")
    outer.add_edge("plan", "book")
    outer.add_edge("book", END)
    return outer.compile(checkpointer=saver)


def test_an_interrupt_in_a_subgraph_is_resumed_after_a_restart(tmp_path: Path) -> None:
    reference = planner(InMemorySaver())
    start: Any = {"town": "Oslo", "log": []}
    reference.invoke(start, config())
    with LocalStoreSaver.from_path(tmp_path / "store") as saver:
        graph = planner(saver)
        found = graph.invoke(start, config())
        assert [each.value for each in found["__interrupt__"]] == [{"question": "where to?"}]
        assert history(graph, config()) == history(reference, config())
    with LocalStoreSaver.from_path(tmp_path / "store") as saver:
        graph = planner(saver)
        inside = graph.get_state(config(), subgraphs=True).tasks[0].state
        assert inside.values["log"][-1] == "looked at Oslo"
        resumed = graph.invoke(Command(resume="Bergen"), config())
        assert resumed == reference.invoke(Command(resume="Bergen"), config())
        assert resumed["log"][-1] == "booked"
        assert history(graph, config()) == history(reference, config())
        namespaces = {each.config["configurable"]["checkpoint_ns"] for each in saver.list(config())}
        assert len(namespaces) == 2


def test_time_travel_makes_a_branch_and_leaves_the_other_as_it_was(saver: LocalStoreSaver) -> None:
    reference, graph = chat(InMemorySaver()), chat(saver)
    for each in (reference, graph):
        for number in range(3):
            each.invoke(human(f"question {number}", number), config())
        before = list(each.get_state_history(config()))
        past = next(state for state in before if state.next == ("reply",) and len(state.values["messages"]) == 3)
        forked = each.update_state(past.config, {"messages": [HumanMessage("another question", id="human-1")]})
        each.invoke(None, forked)
        each.invoke(None, past.config)  # and once more as it was
    assert history(graph, config()) == history(reference, config())
    assert graph.get_state(config()).values == reference.get_state(config()).values
    newest = {state.config["configurable"]["checkpoint_id"]: state for state in graph.get_state_history(config())}
    for state in before:
        again = newest[state.config["configurable"]["checkpoint_id"]]
        assert (again.values, again.parent_config) == (state.values, state.parent_config)


def test_a_rewind_with_the_store_is_one_for_the_graph(tmp_path: Path) -> None:
    with LocalStore(tmp_path / "store") as store:
        graph = chat(LocalStoreSaver(store))
        graph.invoke(human("one", 1), config())
        first = graph.get_state(config()).values
        session = store.open_session("t")
        assert session is not None
        head = session.load_session_head()
        assert head is not None
        graph.invoke(human("two", 2), config())
        assert len(graph.get_state(config()).values["messages"]) == 4
        assert head.leaf_node_id is not None
        session.rewind(head.leaf_node_id)
        assert graph.get_state(config()).values == first
        found = graph.invoke(human("three", 3), config())
        assert [message.content for message in found["messages"]] == ["one", "1: one", "three", "3: three"]
        assert len(list(graph.get_state_history(config()))) == 9


def test_what_finished_beside_a_failure_is_not_done_again(tmp_path: Path) -> None:
    ran: list[str] = []
    broken = [True]
    stored = threading.Event()

    def fails(state: Trip) -> Any:
        ran.append("fails")
        if broken[0]:
            # A node that comes to its end after the other one failed may find the graph shut down.
            assert stored.wait(60)
            raise RuntimeError("no connection")
        return {"log": ["recovered"]}

    def works(state: Trip) -> Any:
        ran.append("works")
        return {"log": ["worked"]}

    def compiled(saver: Any) -> Any:
        builder = StateGraph(Trip)
        for name, node in (("works", works), ("fails", fails)):
            builder.add_node(name, node)
            builder.add_edge(START, name)
        return builder.compile(checkpointer=saver)

    class Telling(LocalStoreSaver):
        def put_writes(self, *arguments: Any, **keywords: Any) -> None:
            super().put_writes(*arguments, **keywords)
            stored.set()

    with Telling.from_path(tmp_path / "store") as telling, pytest.raises(RuntimeError, match="no connection"):
        compiled(telling).invoke({"town": "Oslo", "log": []}, config())
    broken[0] = False
    with LocalStoreSaver.from_path(tmp_path / "store") as saver:
        found = compiled(saver).invoke(None, config())
    assert sorted(found["log"]) == ["recovered", "worked"]
    assert sorted(ran) == ["fails", "fails", "works"]


def test_tasks_that_are_sent_each_keep_what_they_wrote(saver: LocalStoreSaver) -> None:
    def compiled(saver: Any) -> Any:
        builder = StateGraph(Trip)
        builder.add_node("visit", lambda state: {"log": [f"visited {state['town']}"]})
        towns = ["Oslo", "Bergen", "Voss"]
        builder.add_conditional_edges(START, lambda state: [Send("visit", {"town": town, "log": []}) for town in towns])
        return builder.compile(checkpointer=saver)

    reference = compiled(InMemorySaver())
    graph = compiled(saver)
    start: Any = {"town": "", "log": []}
    assert graph.invoke(start, config()) == reference.invoke(start, config())
    assert history(graph, config()) == history(reference, config())


def test_messages_that_are_removed_replaced_and_dropped_from_the_front(saver: LocalStoreSaver) -> None:
    reference, graph = chat(InMemorySaver()), chat(saver)
    for each in (reference, graph):
        for number in range(4):
            each.invoke(human(f"question {number}", number), config())
        each.update_state(config(), {"messages": [RemoveMessage(id="human-0"), RemoveMessage(id="ai-1")]})
        each.update_state(config(), {"messages": [HumanMessage("replaced", id="human-2")]})
        each.invoke(human("last", 9), config())
    assert history(graph, config()) == history(reference, config())


def test_a_copied_thread_goes_its_own_way(saver: LocalStoreSaver) -> None:
    graph = chat(saver)
    graph.invoke(human("one", 1), config())
    saver.copy_thread("t", "copy")
    assert history(graph, config("copy")) == history(graph, config())
    graph.invoke(human("only here", 2), config("copy"))
    assert len(graph.get_state(config()).values["messages"]) == 2
    saver.copy_thread("copy", "t")  # which is there: what it has not is added
    assert history(graph, config()) == history(graph, config("copy"))
    graph.invoke(human("on", 3), config())
    assert len(graph.get_state(config()).values["messages"]) == 6
    saver.copy_thread("t", "t")
    saver.copy_thread("nothing", "new")
    assert saver.get_tuple(config("new")) is None


def test_a_pruned_thread_goes_on_and_a_saver_that_knew_it_sees_what_is_gone(tmp_path: Path) -> None:
    with LocalStore(tmp_path / "store") as store:
        saver, other = LocalStoreSaver(store), LocalStoreSaver(store)
        graph, watching = chat(saver), chat(other)
        for number in range(5):
            graph.invoke(human(f"question {number}", number), config())
        before = watching.get_state(config()).values
        old = list(other.list(config()))[-1].config
        saver.prune(["t", "nothing"])
        assert other.get_tuple(old) is None
        [left] = other.list(config())
        assert left.checkpoint["channel_values"]["messages"] == before["messages"]
        found = watching.invoke(human("on", 9), config())
        assert found["messages"][:-2] == before["messages"]
        assert graph.get_state(config()).values == found
        saver.prune(["t"], strategy="delete")
        assert other.get_tuple(config()) is None
        assert store.list_sessions() == ()
        with pytest.raises(ValueError, match="keep_latest"):
            saver.prune(["t"], strategy="some")


def test_deleting_runs_leaves_the_rest_readable(saver: LocalStoreSaver) -> None:
    graph = chat(saver)
    runs = ["7f3c5b0e-0000-4000-8000-00000000000" + str(number) for number in range(3)]
    for number, run_id in enumerate(runs):
        graph.invoke(human(f"question {number}", number), {**config(), "metadata": {"run_id": run_id}})
    found = [state.metadata.get("run_id") for state in graph.get_state_history(config())]
    assert set(found) == set(runs)
    final = graph.get_state(config()).values
    saver.delete_for_runs(runs[:2])
    assert graph.get_state(config()).values == final
    assert {state.metadata["run_id"] for state in graph.get_state_history(config())} == {runs[2]}
    saver.delete_for_runs(runs)
    assert saver.get_tuple(config()) is None


def joined(state: list[str], writes: Any) -> list[str]:
    return [*state, *(item for write in writes for item in write)]


class Notes(TypedDict):
    notes: Annotated[list[str], DeltaChannel(joined, snapshot_frequency=4)]


def notebook(saver: Any) -> Any:
    builder = StateGraph(Notes)
    builder.add_node("note", lambda state: {"notes": [f"{len(state['notes'])} before"]})
    builder.add_edge(START, "note")
    return builder.compile(checkpointer=saver)


def test_a_delta_channel_is_read_back_also_after_pruning(tmp_path: Path) -> None:
    reference = notebook(InMemorySaver())
    is_pruned = False
    for number in range(9):
        with LocalStoreSaver.from_path(tmp_path / "store") as saver:
            graph = notebook(saver)
            given: Any = {"notes": [f"given {number}"]}
            assert graph.invoke(given, config()) == reference.invoke(given, config())
            assert is_pruned or history(graph, config()) == history(reference, config())
            if number in (2, 5, 6):
                saver.prune(["t"])
                is_pruned = True
                assert len(list(saver.list(config()))) < 12
                assert graph.get_state(config()).values == reference.get_state(config()).values


def test_versions_go_on_in_the_form_that_a_thread_has() -> None:
    saver = LocalStoreSaver(InMemoryStore())
    assert [saver.get_next_version(None, None), saver.get_next_version(4, None)] == [1, 5]
    from_others = InMemorySaver().get_next_version(None, None)
    following = saver.get_next_version(from_others, None)
    assert following > from_others
    assert InMemorySaver().get_next_version(following, None) > following


def test_a_checkpoint_that_is_put_again_adds_nothing_and_a_changed_one_replaces_it() -> None:
    store = InMemoryStore()
    saver = LocalStoreSaver(store)
    checkpoint: Any = {**empty_checkpoint(), "channel_values": {"a": [1, 2]}, "channel_versions": {"a": 1}}
    for _ in range(2):
        stored = saver.put(config(checkpoint_ns=""), checkpoint, {"source": "input", "step": -1}, {"a": 1})
        saver.put_writes(stored, [("a", 3), ("b", None)], "task", "path")
    [summary] = store.list_sessions()
    assert (summary.head_revision, summary.node_count) == (2, 2)
    saver.put_writes(stored, [("__error__", "first")], "task")
    saver.put_writes(stored, [("__error__", "second"), ("a", "ignored")], "task")
    changed: Any = {**checkpoint, "channel_values": {"a": [2]}}
    saver.put(config(checkpoint_ns=""), changed, {"source": "loop", "step": 0}, {"a": 1})
    found = saver.get_tuple(config())
    assert found is not None
    assert found.checkpoint == changed
    assert found.metadata == {"source": "loop", "step": 0}
    assert sorted(found.pending_writes or (), key=str) == sorted(
        [("task", "a", 3), ("task", "b", None), ("task", "__error__", "second")], key=str
    )
    assert len(list(saver.list(config()))) == 1


def test_all_threads_are_listed_together_and_other_sessions_are_none(saver: LocalStoreSaver, tmp_path: Path) -> None:
    graph = chat(saver)
    for number in range(2):
        for thread_id in ("a", "b"):
            graph.invoke(human("hi", number), config(thread_id))
    with LocalStore(tmp_path / "store") as store:
        store.create_session("no thread")
    found = list(saver.list(None))
    ids = [each.checkpoint["id"] for each in found]
    assert len(found) == 12
    assert ids == sorted(ids, reverse=True)
    assert {each.config["configurable"]["thread_id"] for each in found} == {"a", "b"}
    assert list(saver.list(None, limit=0)) == []
    assert len(list(saver.list(None, filter={"step": -1}, limit=3))) == 2


def test_the_example_runs(capsys: pytest.CaptureFixture[str], load_example: Callable[[str], Any]) -> None:
    load_example("langgraph_example").main()
    output = capsys.readouterr().out
    assert "interrupted: book the 7:25?" in output
    assert "assistant - The 7:25 is booked." in output
