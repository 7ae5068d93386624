"""Nodes that are told by others of their layout: they say what they were made to say, and a real graph costs little."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from localstore import CorruptRecord, InMemoryStore, LocalStore
from localstore.adapters.checkpoints.layouts import LIKE, TOLD, Expander, Layouts
from localstore.adapters.checkpoints.leaves import outline, with_leaves
from localstore.adapters.checkpoints.patches import difference
from localstore.adapters.langgraph import LocalStoreSaver
from tests.adapters.adapter_processes import bytes_on_disk

SIZE = 1024
TEXT = st.text('ab\1é"', max_size=3)
LEAF = (
    st.none()
    | st.booleans()
    | st.integers(-1, 2)
    | st.sampled_from([0.0, -0.0, 1.0, 0.1])
    | TEXT
    | st.just("long " * 20)
)
JSON = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
PAYLOAD = st.fixed_dictionaries(
    {"kind": st.just("langgraph.put"), "id": TEXT}, optional={**dict.fromkeys(TOLD, JSON), "role": TEXT}
)


@given(PAYLOAD, st.data())
def test_a_payload_that_is_told_by_another_is_told_in_full_again(model: dict[str, Any], data: st.DataObject) -> None:
    found = outline(model)
    assert found is not None
    places = range(len(found[1]))
    other = with_leaves(model, data.draw(st.dictionaries(st.sampled_from(places), LEAF)))
    layouts = Layouts()
    layouts.learn(7, model)
    told = layouts.brief(other)
    # Text tells 0.0 and -0.0, 1 and 1.0 and true apart.
    again = Expander({7: model}.__getitem__).full(told) if LIKE in told else told
    again.pop(LIKE, None)
    assert json.dumps(again, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert len(json.dumps(told)) <= len(json.dumps(other))


@pytest.mark.parametrize(
    "like", [[7, -1, 0], [7, 9, 0], [7, 0], [7, "0", 1], [8], ["7"], [], {}, 7, [9]], ids=json.dumps
)
def test_what_tells_nothing_is_refused(like: Any) -> None:
    payloads: dict[int, dict[str, Any]] = {7: {"values": {"a": 1}}, 9: {LIKE: [9]}}
    with pytest.raises((LookupError, TypeError, ValueError)):
        Expander(payloads.__getitem__).full({LIKE: like})


def test_zeros_of_both_signs_are_two_values() -> None:
    assert difference({"a": 0.0}, {"a": -0.0}) == {"a": -0.0}


CONFIG: Any = {"configurable": {"thread_id": "t"}}


def chat(saver: Any, turns: int, durability: Any, size: int = SIZE, *, ids: bool = False) -> None:
    """A graph of one node that answers, in as many turns, each of twice so many letters.

    The graph gives an id to each message that has none, in the midst of it.
    """
    letters = random.Random(turns)

    def own_id() -> str | None:
        return str(letters.random()) if ids else None

    def text() -> str:
        return "".join(letters.choices(string.ascii_letters, k=size))

    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [AIMessage(text(), id=own_id())]})
    graph.add_edge(START, "model")
    graph.add_edge("model", END)
    app: Any = graph.compile(checkpointer=saver)
    for _ in range(turns):
        app.invoke({"messages": [HumanMessage(text(), id=own_id())]}, CONFIG, durability=durability)


# From the second turn on each costs the same: what a session costs whatever it holds is a hundredth of so many.
TURNS = [60, pytest.param(400, marks=pytest.mark.soak)]


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize(("durability", "times"), [("async", 2.2), ("sync", 2.15), ("exit", 1.5)])
def test_a_real_graph_takes_little_more_than_its_text(
    durability: str, times: float, turns: int, tmp_path: Path
) -> None:
    with LocalStoreSaver.from_path(tmp_path / "store") as saver:
        chat(saver, turns, durability)
    with LocalStore(tmp_path / "store") as store:
        session = store.open_session("t")
        assert session is not None
        session.vacuum()
    assert bytes_on_disk(tmp_path / "store") < times * turns * 2 * SIZE


class Both(InMemorySaver):
    """Has the framework's own saver beside ours."""

    def __init__(self, ours: LocalStoreSaver) -> None:
        super().__init__()
        self.ours = ours

    def put(self, *given: Any) -> Any:
        self.ours.put(*given)
        return super().put(*given)

    def put_writes(self, *given: Any) -> None:
        self.ours.put_writes(*given)
        super().put_writes(*given)


@pytest.mark.parametrize("durability", ["async", "sync", "exit"])
def test_a_real_graph_is_told_as_the_frameworks_own_saver_tells_it(durability: str, tmp_path: Path) -> None:
    with LocalStoreSaver.from_path(tmp_path / "store") as ours:
        both = Both(ours)
        chat(both, 12, durability, size=80, ids=True)
    with LocalStoreSaver.from_path(tmp_path / "store") as ours:
        found, wanted = list(ours.list(CONFIG)), list(both.list(CONFIG))
    assert len(found) == (12 if durability == "exit" else 36)
    for one, other in zip(found, wanted, strict=True):
        assert one._replace(pending_writes=None) == other._replace(pending_writes=None)
        assert sorted(one.pending_writes or [], key=repr) == sorted(other.pending_writes or [], key=repr)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*.jsonl"))
    assert stored.count(b'"like":') > len(found) / 2


def test_a_node_whose_model_was_hidden_is_told_to_be_damaged() -> None:
    store = InMemoryStore()
    saver = LocalStoreSaver(store)
    chat(saver, 3, "sync", size=80)
    session = store.open_session("t")
    assert session is not None
    node = next(node for number in range(1, 16) if (node := session.load_node(str(number))) and LIKE in node.payload)
    session.tombstone_nodes([str(node.payload[LIKE][0])])
    with pytest.raises(CorruptRecord, match="it is not there"):
        list(LocalStoreSaver(store).list(CONFIG))
