"""`LocalStoreSession` under the OpenAI Agents SDK: its items, its runner, retries, processes and crashes."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from agents import Agent, ModelResponse, RunConfig, Runner, Usage, function_tool
from agents.memory import Session, SessionSettings
from agents.models.interface import Model
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from localstore import (
    ActivePath,
    BackendError,
    GraphAppend,
    HydratedSessionCheckpoint,
    InMemoryStore,
    InvalidArgument,
    LeaseOwnerIdentity,
    LocalStore,
    PersistedSessionConfig,
    RuntimeCommit,
    RuntimeTurnCommitConflict,
    SessionNodeRecord,
    SessionStore,
    StoreClosed,
)
from localstore.adapters.openai_agents import LocalStoreSession
from localstore.cli.describing import said
from tests.adapters.adapter_processes import bytes_on_disk, finished, killed_after, together

T = TypeVar("T")

ITEMS: list[Any] = [
    {"role": "user", "content": "Wie heißt der Fluß? \U0001f30a\0"},
    {"content": "content first", "role": "user"},
    {
        "role": "user",
        "content": [{"type": "input_text", "text": "look"}, {"type": "input_image", "image_url": "data:,"}],
    },
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": None},
    {"type": "function_call", "name": "weather", "arguments": '{"city": "Oslo"}', "call_id": "c1", "id": "__fake_id__"},
    {"type": "function_call_output", "call_id": "c1", "output": "rain"},
    {
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Rain."}],
    },
    {"kind": "of its own", "role": "user", "content": ""},
    {"type": "odd", "numbers": [0, -1, 2**53, 1.5, 1e300, True, None], "nested": {"a": {"b": [[], {}]}}},
    {},
]


def run(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(main)


def user(text: str) -> Any:
    return {"role": "user", "content": text}


class ScriptedModel(Model):
    """Answers with the outputs of its script, one a call, and keeps what it was asked."""

    def __init__(self, *outputs: list[Any]) -> None:
        self.outputs = list(outputs)
        self.asked: list[Any] = []

    async def get_response(self, system_instructions: Any, input: Any, *args: Any, **kwargs: Any) -> ModelResponse:
        self.asked.append(json.loads(json.dumps(input)))
        return ModelResponse(output=self.outputs.pop(0), usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


def answer(text: str) -> Any:
    content: list[Any] = [ResponseOutputText(annotations=[], text=text, type="output_text", logprobs=[])]
    return ResponseOutputMessage(id="msg_1", content=content, role="assistant", status="completed", type="message")


def call(name: str, arguments: str, call_id: str) -> Any:
    return ResponseFunctionToolCall(name=name, arguments=arguments, call_id=call_id, type="function_call")


QUIET = RunConfig(tracing_disabled=True)


def test_it_is_a_session_with_the_sdks_settings(tmp_path: Path) -> None:
    session = LocalStoreSession("s", tmp_path / "store", session_settings={"limit": 2})
    assert isinstance(session, Session)
    assert session.session_id == "s"
    assert session.session_settings == SessionSettings(limit=2)
    assert LocalStoreSession("s", InMemoryStore()).session_settings == SessionSettings()
    session.close()


def test_items_come_back_exactly_as_they_were_added(tmp_path: Path) -> None:
    async def add() -> None:
        async with LocalStoreSession("s", tmp_path / "store") as session:
            await session.add_items(ITEMS[:4])
            await session.add_items(ITEMS[4:])

    async def read() -> list[Any]:
        async with LocalStoreSession("s", tmp_path / "store") as session:
            return await session.get_items()

    run(add())
    found = run(read())
    assert found == ITEMS
    assert [list(item) for item in found] == [list(item) for item in ITEMS]


def test_what_was_given_and_what_was_got_may_be_changed() -> None:
    async def main() -> None:
        session = LocalStoreSession("s", InMemoryStore())
        given: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]
        await session.add_items(given)
        given[0]["content"][0]["text"] = "b"
        got: list[Any] = await session.get_items()
        got[0]["content"].clear()
        assert (await session.get_items())[0]["content"] == [{"type": "input_text", "text": "a"}]  # type: ignore[typeddict-item]

    run(main())


@pytest.mark.parametrize("limit", [None, 0, 1, 3, 9, 10, 11, -1])
def test_a_limit_gives_the_latest_items(limit: int | None) -> None:
    async def main() -> None:
        session = LocalStoreSession("s", InMemoryStore())
        await session.add_items(ITEMS)
        expected = ITEMS if limit is None or limit < 0 else ITEMS[len(ITEMS) - min(limit, len(ITEMS)) :]
        assert await session.get_items(limit) == expected
        assert await session.get_items(limit=limit) == expected

    run(main())


def test_the_settings_limit_holds_where_none_is_given() -> None:
    async def main() -> None:
        session = LocalStoreSession("s", InMemoryStore(), session_settings=SessionSettings(limit=2))
        await session.add_items(ITEMS)
        assert await session.get_items() == ITEMS[-2:]
        assert await session.get_items(5) == ITEMS[-5:]

    run(main())


def test_reading_makes_no_session(tmp_path: Path) -> None:
    async def main() -> None:
        async with LocalStoreSession("s", tmp_path / "store") as session:
            assert await session.get_items() == []
            assert await session.get_items(3) == []
            assert await session.pop_item() is None
            await session.clear_session()
            await session.add_items([])

    run(main())
    with LocalStore(tmp_path / "store") as store:
        assert store.list_sessions() == ()


def test_pop_takes_the_latest_item_and_leaves_it_in_the_tree() -> None:
    store = InMemoryStore()

    async def main() -> None:
        session = LocalStoreSession("s", store)
        await session.add_items(ITEMS)
        assert [await session.pop_item() for _ in range(3)] == ITEMS[:-4:-1]
        assert await session.get_items() == ITEMS[:-3]
        await session.add_items([user("instead")])
        assert await session.get_items() == [*ITEMS[:-3], user("instead")]
        assert await session.get_items(2) == [ITEMS[-4], user("instead")]
        for _ in range(len(ITEMS) - 2):
            await session.pop_item()
        assert await session.pop_item() is None
        await session.add_items([user("anew")])
        assert await session.get_items() == [user("anew")]

    run(main())
    [summary] = store.list_sessions()
    assert summary.node_count == len(ITEMS) + 2


def test_clear_removes_the_items_from_the_disk(tmp_path: Path) -> None:
    secret = os.urandom(16).hex()

    async def main() -> None:
        async with LocalStoreSession("s", tmp_path / "store") as session:
            await session.add_items([user(secret)])
            await session.pop_item()
            await session.add_items([user(secret)])
            await session.clear_session()
            assert await session.get_items() == []
            await session.add_items([user("still here")])

    run(main())
    with LocalStore(tmp_path / "store") as store:
        assert [row.first_user_message for row in store.list_sessions()] == ["still here"]
    texts = [path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert not any(secret.encode() in text for text in texts)


def test_the_same_batch_added_twice_on_purpose_is_there_twice() -> None:
    async def main() -> None:
        session = LocalStoreSession("s", InMemoryStore())
        await session.add_items([user("yes")])
        await session.add_items([user("yes")])
        await asyncio.gather(session.add_items([user("yes")]), session.add_items([user("yes")]))
        assert await session.get_items() == [user("yes")] * 4

    run(main())


class Unanswered:
    """Commits that are carried out and then raise, as if the answer had been lost."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._commit = SessionStore.commit_in_passing
        outer = self

        def commit(session: SessionStore, request: Any, owner: Any) -> Any:
            result = outer._commit(session, request, owner)
            if outer.count:
                outer.count -= 1
                raise BackendError("the answer was lost")
            return result

        monkeypatch.setattr(SessionStore, "commit_in_passing", commit)


def test_a_retry_after_a_lost_answer_adds_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Unanswered(monkeypatch)

    async def main() -> None:
        session = LocalStoreSession("s", InMemoryStore())
        await session.add_items([user("before")])
        lost.count = 2
        for _ in range(2):
            with pytest.raises(BackendError):
                await session.add_items([user("yes"), user("and yes")])
        await session.add_items([user("yes"), user("and yes")])
        assert await session.get_items() == [user("before"), user("yes"), user("and yes")]
        await session.add_items([user("yes"), user("and yes")])  # which is no retry: the one before returned
        assert await session.get_items() == [user("before"), *[user("yes"), user("and yes")] * 2]

    run(main())


def test_what_failed_and_was_given_up_does_not_swallow_what_is_said_later(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Unanswered(monkeypatch)

    async def main() -> None:
        session = LocalStoreSession("s", InMemoryStore())
        lost.count = 1
        with pytest.raises(BackendError):
            await session.add_items([user("yes")])
        await session.pop_item()
        await session.add_items([user("yes")])
        await session.add_items([user("and another")])
        assert await session.get_items() == [user("yes"), user("and another")]

    run(main())


def test_a_cancelled_call_is_carried_out_and_its_retry_adds_nothing() -> None:
    async def main() -> None:
        session = LocalStoreSession("s", InMemoryStore())
        task = asyncio.ensure_future(session.add_items([user("yes")]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await session.add_items([user("yes")])
        assert await session.get_items() == [user("yes")]

    run(main())


def test_a_batch_id_is_known_to_everybody_and_for_ever(tmp_path: Path) -> None:
    async def main() -> None:
        for _ in range(2):
            async with LocalStoreSession("s", tmp_path / "store") as session:
                await session.add_items([user("once")], batch_id="b1")
        async with LocalStoreSession("s", tmp_path / "store") as session:
            with pytest.raises(RuntimeTurnCommitConflict):
                await session.add_items([user("other")], batch_id="b1")
            await session.add_items([user("once")], batch_id="b2")
            assert await session.get_items() == [user("once")] * 2

    run(main())


@pytest.mark.parametrize("item", ["text", None, {"a": float("nan")}, {"a": b"bytes"}, {1: "one"}, {"a": "\ud800"}])
def test_what_is_no_json_is_refused_and_nothing_is_written(item: Any) -> None:
    async def main() -> None:
        session = LocalStoreSession("s", InMemoryStore())
        with pytest.raises(InvalidArgument):
            await session.add_items([user("first"), item])
        assert await session.get_items() == []
        await session.add_items([user("first")])
        assert await session.get_items() == [user("first")]

    run(main())


def test_a_session_that_was_deleted_is_empty_and_begins_anew() -> None:
    store = InMemoryStore()

    async def main() -> None:
        session = LocalStoreSession("s", store)
        await session.add_items([user("old")])
        store.delete_session("s")
        assert await session.get_items() == []
        store.create_session("s")
        assert await session.pop_item() is None
        store.delete_session("s")
        await session.add_items([user("new")])
        assert await session.get_items() == [user("new")]

    run(main())


def test_a_closed_session_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        one, other = LocalStoreSession("s", tmp_path / "store"), LocalStoreSession("t", tmp_path / "store")
        await one.add_items([user("a")])
        one.close()
        one.close()
        with pytest.raises(StoreClosed):
            await one.get_items()
        await other.add_items([user("b")])
        other.close()

    run(main())
    assert not list((tmp_path / "store").rglob("*.journal"))


def test_what_others_keep_in_the_session_stays_and_is_passed_over() -> None:
    store = InMemoryStore()
    host = store.create_session("s")
    lease = host.try_claim_session_execution_lease("s", LeaseOwnerIdentity.opaque("h", "1"), 60_000).acquired()
    assert lease is not None
    foreign = SessionNodeRecord("n", None, "2026-01-31T12:00:00Z", {"kind": "event", "message": {"role": "user"}})
    checkpoint = HydratedSessionCheckpoint(tool_state={"kept": True})
    config = PersistedSessionConfig("a-provider", {"name": "a-model"})
    commit = RuntimeCommit("s", 0, config, (), None, GraphAppend((foreign,), "n"), checkpoint)
    host.commit_runtime_state(commit.with_session_execution_lease(lease.fence()))
    host.release_session_execution_lease(lease.completion())

    async def main() -> None:
        session = LocalStoreSession("s", store)
        assert await session.get_items() == []
        assert await session.pop_item() is None
        await session.add_items(ITEMS[:1])
        assert await session.get_items() == await session.get_items(5) == ITEMS[:1]

    run(main())
    read = host.load_session(ActivePath())
    assert read is not None
    assert (read.config, read.checkpoint.tool_state) == (config, {"kept": True})
    assert read.graph.nodes[0] == foreign


def test_sessions_are_listed_and_shown_like_any_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with LocalStoreSession("trip", tmp_path / "store") as session:
            await session.add_items(ITEMS)

    run(main())
    with LocalStore(tmp_path / "store") as store:
        [summary] = store.list_sessions()
        assert (summary.session_id, summary.first_user_message) == ("trip", ITEMS[0]["content"])
        assert summary.user_message_count == 3
        session = store.open_session("trip")
        read = None if session is None else session.load_session(ActivePath())
        assert read is not None
        shown = [said(node) for node in read.graph.nodes]
    assert [one.role for one in shown[:7]] == ["user", "user", "user", "assistant", "assistant", "tool", "assistant"]
    assert shown[4].text == '→ weather({"city": "Oslo"})'
    assert [one.text for one in shown[5:7]] == ["← rain", "Rain."]


def test_a_runner_remembers_what_was_said_and_done(tmp_path: Path) -> None:
    @function_tool
    def weather(city: str) -> str:
        return f"rain in {city}"

    model = ScriptedModel([call("weather", '{"city": "Oslo"}', "c1")], [answer("It rains.")], [answer("In Oslo.")])
    agent = Agent(name="guide", model=model, tools=[weather])

    async def turn(text: str) -> Any:
        async with LocalStoreSession("trip", tmp_path / "store") as session:
            result = await Runner.run(agent, text, session=session, run_config=QUIET)
            return result.final_output, await session.get_items(), result.to_input_list()

    output, items, told = run(turn("How is the weather?"))
    assert output == "It rains."
    assert items == json.loads(json.dumps(told))
    assert [item.get("type", item.get("role")) for item in items] == [
        "user",
        "function_call",
        "function_call_output",
        "message",
    ]
    output, later, _ = run(turn("Where was that?"))
    assert output == "In Oslo."
    assert later[: len(items)] == items
    assert later[len(items)] == user("Where was that?")
    assert model.asked[-1] == later[:-1]


def guarded_agent(model: ScriptedModel, book: Callable[[str], str]) -> Agent[Any]:
    return Agent(name="guide", model=model, tools=[function_tool(book, needs_approval=True)])


BEGINNER = """
import asyncio, json, sys
from agents import Runner
from localstore.adapters.openai_agents import LocalStoreSession
from tests.adapters.test_openai_agents import QUIET, ScriptedModel, call, guarded_agent

def book(train: str) -> str:
    raise AssertionError("nobody has approved")

async def main(root):
    agent = guarded_agent(ScriptedModel([call("book", '{"train": "7:25"}', "c1")]), book)
    session = LocalStoreSession("trip", root)
    result = await Runner.run(agent, "Book it.", session=session, run_config=QUIET)
    assert len(result.interruptions) == 1
    print(json.dumps(result.to_state().to_string()), flush=True)
    sys.stdin.readline()

asyncio.run(main(sys.argv[1]))
"""

RESUMER = """
import asyncio, json, sys
from agents import Runner, RunState
from localstore.adapters.openai_agents import LocalStoreSession
from tests.adapters.test_openai_agents import QUIET, ScriptedModel, answer, guarded_agent

root, state_text, dies_in_tool = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3] == "True"

def book(train: str) -> str:
    print(f"booking {train}", flush=True)
    if dies_in_tool:
        sys.stdin.readline()
    return f"booked {train}"

async def main():
    agent = guarded_agent(ScriptedModel([answer("Done.")]), book)
    async with LocalStoreSession("trip", root) as session:
        state = await RunState.from_string(agent, state_text)
        [approval] = state.get_interruptions()
        state.approve(approval)
        result = await Runner.run(agent, state, session=session, run_config=QUIET)
        print(result.final_output, flush=True)

asyncio.run(main())
"""


@pytest.mark.crash
def test_an_interrupted_run_is_resumed_by_another_process(tmp_path: Path) -> None:
    def items() -> list[Any]:
        async def read() -> list[Any]:
            async with LocalStoreSession("trip", tmp_path / "store") as session:
                return await session.get_items()

        return run(read())

    [state_text] = killed_after(BEGINNER, 1, tmp_path / "store")
    asked = items()
    assert [item.get("type", item.get("role")) for item in asked] == ["user", "function_call"]
    assert killed_after(RESUMER, 1, tmp_path / "store", state_text, True) == ["booking 7:25"]
    assert items() == asked
    assert finished(RESUMER, tmp_path / "store", state_text, False) == ["booking 7:25", "Done."]
    found = items()
    assert found[:2] == asked
    assert [item.get("type", item.get("role")) for item in found[2:]] == ["function_call_output", "message"]
    assert found[2]["output"] == "booked 7:25"


ADDER = """
import asyncio, sys
from localstore.adapters.openai_agents import LocalStoreSession

async def main(root, name, count):
    async with LocalStoreSession("s", root) as session:
        print("ready", flush=True)
        sys.stdin.readline()
        for index in range(count):
            await session.add_items([{"role": "user", "content": f"{name} {index} {part}"} for part in range(3)])

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.race
def test_processes_add_to_one_session_batch_by_batch(tmp_path: Path) -> None:
    names, count = ["a", "b", "c", "d"], 12
    together(ADDER, [(tmp_path / "store", name, count) for name in names])

    async def read() -> list[Any]:
        async with LocalStoreSession("s", tmp_path / "store") as session:
            return await session.get_items()

    texts = [str(item["content"]) for item in run(read())]
    batches = [texts[at : at + 3] for at in range(0, len(texts), 3)]
    assert all(len({text.rsplit(" ", 1)[0] for text in batch}) == 1 for batch in batches)
    for name in names:
        own = [text for text in texts if text.startswith(name)]
        assert own == [f"{name} {index} {part}" for index in range(count) for part in range(3)]


MORTAL = """
import asyncio, itertools, sys
from localstore.adapters.openai_agents import LocalStoreSession

async def main(root, first):
    session = LocalStoreSession("s", root)
    for index in itertools.count(first):
        await session.add_items([{"role": "user", "content": f"{index} {part}"} for part in range(3)])
        print(index, flush=True)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.crash
def test_what_was_added_survives_kill_9_and_the_rest_is_whole_or_not_there(tmp_path: Path) -> None:
    first = 0
    for lines in (1, 4, 9, 2, 17):
        acknowledged = killed_after(MORTAL, lines, tmp_path / "store", first)

        async def read() -> list[Any]:
            async with LocalStoreSession("s", tmp_path / "store") as session:
                return await session.get_items()

        texts = [str(item["content"]) for item in run(read())]
        batches = len(texts) // 3
        assert texts == [f"{index} {part}" for index in range(batches) for part in range(3)]
        assert int(acknowledged[-1]) + 1 <= batches <= int(acknowledged[-1]) + 2
        first = batches


def test_the_disk_holds_the_items_and_little_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with LocalStoreSession("s", tmp_path / "store") as session:
            for index in range(100):
                await session.add_items([user(f"{index:>2048}"), {"role": "assistant", "content": f"{-index:>2048}"}])

    run(main())
    assert bytes_on_disk(tmp_path / "store") < 1.5 * 100 * 2 * 2048


def test_the_example_runs(capsys: pytest.CaptureFixture[str], load_example: Callable[[str], Any]) -> None:
    example = load_example("openai_agents_example")
    example.main()
    assert "It was about trains." in capsys.readouterr().out
