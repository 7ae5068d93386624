"""What checkpoints cost on the disk, what they look like there, and that every value comes back."""

from __future__ import annotations

import base64
import json
import pickle
import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from localstore import CorruptRecord, FullGraph, InMemoryStore, LocalStore
from localstore.adapters.checkpoints.patches import difference, patched
from localstore.adapters.checkpoints.trees import to_bytes, to_tree
from localstore.adapters.langgraph import LocalStoreSaver
from tests.adapters.adapter_processes import bytes_on_disk

TURNS = 400
SIZE = 1024


def text(number: int, size: int = SIZE) -> str:
    return "".join(random.Random(number).choices(string.ascii_letters + " ", k=size))


def put(saver: Any, config: Any, step: int, **values: Any) -> Any:
    """Put a checkpoint after the one that `config` names."""
    versions: Any = dict.fromkeys(values, step + 1)
    checkpoint: Any = {**empty_checkpoint(), "channel_values": values, "channel_versions": versions}
    return saver.put(config, checkpoint, {"source": "loop", "step": step, "parents": {}}, versions)


START: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}

MESSAGES: dict[str, Callable[[int], Any]] = {
    "text": text,
    "dict": lambda number: {"role": "assistant" if number % 2 else "user", "content": text(number)},
    "class": lambda number: (AIMessage if number % 2 else HumanMessage)(text(number), id=f"m-{number}"),
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_list_that_grows_costs_what_is_new(kind: str, tmp_path: Path) -> None:
    messages: list[Any] = []
    with LocalStoreSaver.from_path(tmp_path / "store") as saver:
        config = START
        for number in range(TURNS):
            messages.append(MESSAGES[kind](number))
            config = put(saver, config, number, messages=list(messages))
        found = saver.get_tuple(config)
        assert found is not None
        assert found.checkpoint["channel_values"]["messages"] == messages
    with LocalStore(tmp_path / "store") as store:
        session = store.open_session("t")
        assert session is not None
        read = session.load_session(FullGraph())
        assert read is not None
        told = sum(len(json.dumps(node.payload)) for node in read.graph.nodes)
        assert told < 1.25 * TURNS * SIZE
        session.vacuum()
    plain = [text(number) if kind == "text" else MESSAGES["dict"](number) for number in range(TURNS)]
    assert bytes_on_disk(tmp_path / "store") < 1.5 * sum(len(json.dumps(each)) for each in plain)
    with LocalStoreSaver.from_path(tmp_path / "store") as saver:
        for number, each in enumerate(reversed(list(saver.list(START)))):
            assert each.checkpoint["channel_values"]["messages"] == messages[: number + 1]


@pytest.mark.parametrize("change", ["window", "prepend", "middle", "nested", "shuffled", "restart"])
def test_lists_that_change_in_other_ways_cost_little_more(change: str, tmp_path: Path) -> None:
    def values(number: int) -> Any:
        items = [MESSAGES["dict"](index) for index in range(number + 1)]
        if change == "window":
            return {"messages": items[-20:]}
        if change == "prepend":
            return {"messages": items[::-1]}
        if change == "middle":
            return {"messages": [*items[: number // 2], text(1000 + number, 100), *items[number // 2 :]]}
        if change == "nested":
            return {"state": {"of": {"somebody": items}, "count": number}}
        if change == "shuffled":
            return {"messages": random.Random(number).sample(items, len(items))}
        return {"messages": [] if number % 10 == 0 else items}

    count = 60
    with LocalStoreSaver.from_path(tmp_path / "store") as saver:
        config = START
        for number in range(count):
            config = put(saver, config, number, **values(number))
    with LocalStoreSaver.from_path(tmp_path / "store") as saver:
        for number, each in enumerate(reversed(list(saver.list(START)))):
            assert each.checkpoint["channel_values"] == values(number)
    assert bytes_on_disk(tmp_path / "store") < 3.5 * count * SIZE


def test_a_big_value_is_stored_once_wherever_it_is_said_again(tmp_path: Path) -> None:
    secret = text(7, 3000)
    table = [[number, number / 7, str(number)] for number in range(500)]
    with LocalStoreSaver.from_path(tmp_path / "store") as saver:
        config = put(saver, START, 0, one=secret, two={"inside": [secret, table]}, three=[table, secret])
        saver.put_writes(config, [("one", secret), ("four", {"deep": {"down": table}})], "task")
        config = put(saver, config, 1, five=[AIMessage(secret)])
        config = put(saver, config, 2, one=table, two=secret)
        tuples = list(saver.list(START))
    assert tuples[0].checkpoint["channel_values"] == {"one": table, "two": secret}
    assert tuples[2].checkpoint["channel_values"] == {
        "one": secret,
        "two": {"inside": [secret, table]},
        "three": [table, secret],
    }
    assert tuples[2].pending_writes == [("task", "one", secret), ("task", "four", {"deep": {"down": table}})]
    stored = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*.jsonl"))
    # Once where it was said first, and once more as the message that people are shown.
    assert stored.count(secret.encode()) == 2
    assert stored.count(b"71.28571428571429") == 1


def test_it_takes_a_small_part_of_what_the_frameworks_saver_takes(tmp_path: Path) -> None:
    (tmp_path / "sqlite").mkdir()
    messages: list[Any] = []
    with (
        LocalStoreSaver.from_path(tmp_path / "store") as ours,
        SqliteSaver.from_conn_string(str(tmp_path / "sqlite" / "db")) as theirs,
    ):
        configs = [START, START]
        for number in range(100):
            messages.append(MESSAGES["class"](number))
            configs = [
                put(saver, config, number, messages=list(messages))
                for saver, config in zip((ours, theirs), configs, strict=True)
            ]
    assert bytes_on_disk(tmp_path / "store") * 20 < bytes_on_disk(tmp_path / "sqlite")


class Unknown:
    """What MessagePack has no form for."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown) and other.value == self.value

    __hash__ = None  # type: ignore[assignment]


def test_nothing_is_pickled_or_unpickled_unless_the_serialiser_was_told_to() -> None:
    store = InMemoryStore()
    with pytest.raises(TypeError):
        put(LocalStoreSaver(store), START, 0, thing=Unknown(1))
    assert store.list_sessions() == ()
    willing = LocalStoreSaver(store, serde=JsonPlusSerializer(pickle_fallback=True))
    config = put(willing, START, 0, things=[Unknown(1), "plain"], thing=Unknown(2))
    found = willing.get_tuple(config)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"things": [Unknown(1), "plain"], "thing": Unknown(2)}
    with pytest.raises(NotImplementedError):
        LocalStoreSaver(store).get_tuple(config)


class Rot:
    """A cipher that is none, but gives other bytes each time."""

    def __init__(self) -> None:
        self.count = 0

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        self.count += 1
        shift = self.count % 255 + 1
        return "rot", bytes([shift]) + bytes((byte + shift) % 256 for byte in plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        assert ciphername == "rot"
        return bytes((byte - ciphertext[0]) % 256 for byte in ciphertext[1:])


def test_what_is_encrypted_is_nowhere_readable_and_still_stored_once(tmp_path: Path) -> None:
    secret = text(1)
    messages: list[Any] = []
    config = START
    for number in range(40):
        with LocalStoreSaver.from_path(tmp_path / "store", serde=EncryptedSerializer(Rot())) as saver:
            for part in range(2):
                messages.append(HumanMessage(secret + text(2 * number + part)))
                config = put(saver, config, 2 * number + part, messages=list(messages), again=messages[-1])
            saver.put_writes(config, [("messages", [messages[-1]])], "task")
    with LocalStoreSaver.from_path(tmp_path / "store", serde=EncryptedSerializer(Rot())) as saver:
        found = saver.get_tuple(START)
        assert found is not None
        assert found.checkpoint["channel_values"] == {"messages": messages, "again": messages[-1]}
        assert found.pending_writes == [("task", "messages", [messages[-1]])]
    stored = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*.jsonl"))
    assert secret[:20].encode() not in stored
    assert len(stored) < 3.5 * 80 * 2 * SIZE


class Reversed:
    """A serialiser of somebody's own."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return "backwards", json.dumps(obj).encode()[::-1]

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        assert data[0] == "backwards"
        return json.loads(data[1][::-1])


def test_another_serialisers_bytes_are_kept_as_they_are() -> None:
    saver = LocalStoreSaver(InMemoryStore(), serde=Reversed())
    config = put(saver, START, 0, value={"a": [1, None]}, items=["x", {"y": 1}])
    found = saver.get_tuple(config)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"value": {"a": [1, None]}, "items": ["x", {"y": 1}]}
    assert found.metadata == {"source": "loop", "step": 0, "parents": {}}


def test_a_node_that_was_hidden_is_told_and_the_rest_is_readable() -> None:
    store = InMemoryStore()
    saver = LocalStoreSaver(store)
    first = put(saver, START, 0, messages=[text(0)])
    second = put(saver, first, 1, messages=[text(0), text(1)])
    session = store.open_session("t")
    assert session is not None
    session.tombstone_nodes(["2"])
    assert saver.get_tuple(second) is None
    assert saver.get_tuple(START) is not None
    third = put(saver, first, 2, messages=[text(0), text(2)])
    session.tombstone_nodes(["1"])
    for reader in (saver, LocalStoreSaver(store)):
        with pytest.raises(CorruptRecord, match="it is not there"):
            reader.get_tuple(third)


FLOATS = st.floats(allow_nan=False) | st.just(float("nan"))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | FLOATS | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(["$x", "$r", "$t", "$-", "role", "content"]), inner, max_size=4)
        | st.dictionaries(st.integers() | st.binary() | st.booleans(), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_serialised_bytes_come_back_from_their_tree(value: Any) -> None:
    try:
        kind, packed = JsonPlusSerializer().dumps_typed(value)
    except (TypeError, ValueError, OverflowError):
        return  # not even the framework can tell it
    if kind != "msgpack":
        return
    tree, is_lossless = to_tree(packed)
    assert is_lossless
    assert json.loads(json.dumps(tree)) == tree
    assert to_bytes(tree) == packed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("ab$", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("a$-", max_size=2), inner, max_size=3),
    max_leaves=10,
)
OBJECT = st.dictionaries(st.text("a$-", max_size=2), JSON, max_size=4)


@given(OBJECT, OBJECT)
def test_a_patch_makes_one_object_of_another(before: Any, after: Any) -> None:
    again = patched(before, json.loads(json.dumps(difference(before, after))))
    assert json.dumps(again, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert difference(before, before) == {}


LONG = [text(number, 90) for number in range(3)]
ITEM = st.one_of(
    st.integers(0, 3),
    st.sampled_from(["", "yes", *LONG]),
    st.builds(
        lambda said, number: HumanMessage(said, id=str(number)), st.sampled_from(["yes", *LONG]), st.integers(0, 3)
    ),
    st.builds(
        lambda said: AIMessage(said, tool_calls=[{"name": "f", "args": {"a": said}, "id": "1"}]), st.sampled_from(LONG)
    ),
    st.builds(lambda said: ToolMessage([{"type": "text", "text": said}], tool_call_id="1"), st.sampled_from(LONG)),
    st.fixed_dictionaries({"role": st.just("user"), "content": st.sampled_from(["yes", *LONG])}),
    st.fixed_dictionaries({"nested": st.lists(st.sampled_from(LONG), max_size=4), "$x": st.just(b"\0")}),
    st.tuples(st.just("user"), st.sampled_from(LONG)),
)
CHANNELS = st.dictionaries(
    st.sampled_from(["messages", "__start__", "other", "$l"]),
    st.lists(ITEM, max_size=5) | ITEM | st.fixed_dictionaries({"messages": st.lists(ITEM, max_size=3)}),
    max_size=3,
)
STEP = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 8), st.sampled_from(["", "sub:1"]), CHANNELS),
    st.tuples(st.just("write"), st.integers(0, 8), st.sampled_from(["a", "b"]), st.lists(ITEM, min_size=1, max_size=3)),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("prune")),
)


def as_stored(value: Any) -> Any:
    """What a value is once it has been serialised and loaded."""
    serde = JsonPlusSerializer()
    return serde.loads_typed(serde.dumps_typed(value))


class Model:
    """What a saver should hold: checkpoints by namespace and id, with parent, values, and writes."""

    def __init__(self) -> None:
        self.checkpoints: dict[tuple[str, str], tuple[str | None, Any]] = {}
        self.writes: dict[tuple[str, str], dict[tuple[str, int], Any]] = {}
        self.order: list[tuple[str, str]] = []

    def prune(self) -> None:
        for namespace in {key[0] for key in self.order}:
            latest = max(key for key in self.order if key[0] == namespace)
            for key in [key for key in self.order if key[0] == namespace and key != latest]:
                self.order.remove(key)
                del self.checkpoints[key]
                self.writes.pop(key, None)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEP, max_size=12))
def test_any_checkpoints_and_writes_are_what_was_put(steps: list[Any]) -> None:
    store, model = InMemoryStore(), Model()
    saver = LocalStoreSaver(store)
    for number, (kind, *details) in enumerate(steps):
        if kind == "put":
            position, namespace, values = details
            parents = [key for key in model.order if key[0] == namespace]
            parent = parents[position % len(parents)] if parents and position else None
            config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": namespace}}
            if parent:
                config["configurable"]["checkpoint_id"] = parent[1]
            stored = put(saver, config, number, **values)
            key = (namespace, stored["configurable"]["checkpoint_id"])
            model.order.append(key)
            model.checkpoints[key] = (None if parent is None else parent[1], as_stored(values))
        elif kind == "write" and model.order:
            position, task_id, items = details
            key = model.order[position % len(model.order)]
            target: Any = {"thread_id": "t", "checkpoint_ns": key[0], "checkpoint_id": key[1]}
            saver.put_writes({"configurable": target}, [("messages", item) for item in items], task_id)
            found = model.writes.setdefault(key, {})
            for index, item in enumerate(items):
                found.setdefault((task_id, index), as_stored(item))
        elif kind == "reopen":
            saver = LocalStoreSaver(store)
        elif kind == "prune":
            saver.prune(["t"])
            model.prune()
        for reader in (saver, LocalStoreSaver(store)):
            check(reader, model)


def check(saver: LocalStoreSaver, model: Model) -> None:
    found = list(saver.list({"configurable": {"thread_id": "t"}}))
    ids = [each.checkpoint["id"] for each in found]
    assert ids == sorted((key[1] for key in model.order), reverse=True)
    for each in found:
        configurable = each.config["configurable"]
        key = (configurable["checkpoint_ns"], configurable["checkpoint_id"])
        parent_id, values = model.checkpoints[key]
        assert each.checkpoint["channel_values"] == values
        assert (each.parent_config or {"configurable": {"checkpoint_id": None}})["configurable"][
            "checkpoint_id"
        ] == parent_id
        writes = model.writes.get(key, {})
        assert each.pending_writes == [(task, "messages", writes[task, index]) for task, index in sorted(writes)]


def test_pickles_and_other_bytes_are_told_in_base64() -> None:
    store = InMemoryStore()
    saver = LocalStoreSaver(store, serde=JsonPlusSerializer(pickle_fallback=True))
    put(saver, START, 0, thing=Unknown(1), raw=b"\0\1")
    session = store.open_session("t")
    node = None if session is None else session.load_node("1")
    assert node is not None
    values = node.payload["values"]
    assert values["raw"] == {"$t": ["bytes", "AAE="]}
    kind, content = values["thing"]["$t"]
    assert (kind, pickle.loads(base64.b64decode(content))) == ("pickle", Unknown(1))
