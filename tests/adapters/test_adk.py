"""`LocalStoreSessionService` under the Agent Development Kit: its runner, states, revisions, processes and crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip("google.adk", reason="it needs the extra adk")

from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions import BaseSessionService, InMemorySessionService
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

from localstore import FullGraph, InMemoryStore, LocalStore, StoreClosed
from localstore.adapters.adk import LocalStoreSessionService, session_id_of
from localstore.cli.describing import said
from tests.adapters.adapter_processes import bytes_on_disk, killed_after, together

T = TypeVar("T")

WHO: dict[str, Any] = {"app_name": "trains", "user_id": "ada", "session_id": "trip"}
ID = session_id_of("trains", "ada", "trip")


def run(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(main)


def event(text: str, *, author: str = "user", at: float = 1.0, **delta: Any) -> Event:
    content = types.Content(role="user" if author == "user" else "model", parts=[types.Part(text=text)])
    return Event(id=f"id {text}", author=author, content=content, timestamp=at, actions=changes(**delta))


def changes(**delta: Any) -> EventActions:
    return EventActions(state_delta={key.replace("__", ":"): value for key, value in delta.items()})


def texts(session: Any) -> list[str]:
    return [each.content.parts[0].text for each in session.events]


# What the ADK's own services do.


async def follow_a_script(service: BaseSessionService) -> list[Any]:
    """Everything that can be seen of a service in the course of a conversation."""
    seen: list[Any] = []

    def see(session: Any) -> None:
        seen.append(None if session is None else session.model_dump(exclude={"last_update_time"}))

    see(await service.get_session(**WHO))
    state = {"a": 1, "app:b": 2, "user:c": {"d": [None, 1.5]}, "temp:e": 3}
    session = await service.create_session(**WHO, state=state)
    see(session)
    await service.append_event(session, event("one", a=2, new=None, temp__x=1))
    see(session)
    await service.append_event(session, event("two", author="guide", at=2.0, app__b=3, user__c="ü", user__e=True))
    see(session)
    assert (await service.append_event(session, Event(author="guide", partial=True))).partial
    call = types.Part(function_call=types.FunctionCall(id="f1", name="look", args={"up": [1]}))
    answer = types.Part(function_response=types.FunctionResponse(id="f1", name="look", response={"result": "7:25"}))
    blob = types.Part(inline_data=types.Blob(data=b"\xff\0", mime_type="image/png"))
    for number, (role, part) in enumerate([("model", call), ("user", answer), ("model", blob)]):
        content = types.Content(role=role, parts=[part])
        await service.append_event(
            session, Event(id=f"part {number}", author="guide", content=content, timestamp=3.0 + number)
        )
    await service.append_event(session, Event(id="bare", author="guide", timestamp=7.0))
    see(session)
    for config in (
        None,
        GetSessionConfig(num_recent_events=0),
        GetSessionConfig(num_recent_events=2),
        GetSessionConfig(num_recent_events=99),
        GetSessionConfig(after_timestamp=2.0),
        GetSessionConfig(after_timestamp=2.0, num_recent_events=1),
    ):
        see(await service.get_session(**WHO, config=config))
    with pytest.raises(AlreadyExistsError):
        await service.create_session(**WHO)
    other = await service.create_session(app_name="trains", user_id="bob/%2F", session_id=" spaced ")
    see(other)
    see(await service.get_session(app_name="trains", user_id="bob/%2F", session_id="spaced"))
    await service.create_session(app_name="other", user_id="ada", session_id="trip")
    for user in ("ada", None, "nobody"):
        response = await service.list_sessions(app_name="trains", user_id=user)
        seen.append(sorted((each.user_id, each.id, str(each.state), len(each.events)) for each in response.sessions))
    seen.append(await service.get_user_state(app_name="trains", user_id="ada"))
    seen.append(await service.get_user_state(app_name="trains", user_id="nobody"))
    await service.delete_session(**WHO)
    await service.delete_session(**WHO)
    see(await service.get_session(**WHO))
    seen.append(await service.get_user_state(app_name="trains", user_id="ada"))
    with pytest.raises(SessionNotFoundError):
        await service.append_event(session, event("late"))
    again = await service.create_session(**WHO)
    see(again)
    return seen


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_it_does_what_the_service_of_the_adk_in_memory_does(tmp_path: Path, kind: str) -> None:
    async def follow() -> list[Any]:
        async with LocalStoreSessionService(InMemoryStore() if kind == "memory" else tmp_path / "store") as service:
            return await follow_a_script(service)

    expected = run(follow_a_script(InMemorySessionService()))
    found = run(follow())
    assert len(found) == len(expected)
    for each, other in zip(found, expected, strict=True):
        assert each == other


def test_sessions_are_listed_by_their_latest_event_and_have_ids_of_their_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with LocalStoreSessionService(tmp_path / "store") as service:
            made = [await service.create_session(app_name="a", user_id="u") for _ in range(3)]
            assert len({each.id for each in made}) == 3
            now = made[-1].last_update_time
            for offset, session in zip((30, 10, 20), made, strict=True):
                await service.append_event(session, event("x", at=now + offset))
            listed = await service.list_sessions(app_name="a")
            assert [each.id for each in listed.sessions] == [made[1].id, made[2].id, made[0].id]
            assert [each.last_update_time for each in listed.sessions] == [now + 10, now + 20, now + 30]

    run(main())


def test_state_without_a_json_form_is_kept_as_text(tmp_path: Path) -> None:
    async def main() -> Any:
        async with LocalStoreSessionService(tmp_path / "store") as service:
            session = await service.create_session(**WHO, state={"when": datetime(2026, 1, 2, tzinfo=UTC)})
            await service.append_event(session, event("x", thing=object(), some={1}))
            return (await service.get_session(**WHO)).state  # type: ignore[union-attr, unused-ignore]

    state = run(main())
    assert state["when"] == "2026-01-02T00:00:00Z"
    assert state["some"] == [1]
    assert state["thing"].startswith("<object object")


def test_a_closed_service_refuses(tmp_path: Path) -> None:
    async def main() -> None:
        service = LocalStoreSessionService(tmp_path / "store")
        await service.close()
        await service.close()
        with pytest.raises(StoreClosed):
            await service.get_session(**WHO)

    run(main())


# Revisions.


def test_a_session_object_that_is_behind_is_stale_and_left_as_it_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with LocalStoreSessionService(tmp_path / "a") as service:
            await service.create_session(**WHO)
            first, second = await service.get_session(**WHO), await service.get_session(**WHO)
            assert first is not None
            assert second is not None
            await service.append_event(first, event("first", app__x=1))
            before = second.model_dump()
            with pytest.raises(StaleSessionError):
                await service.append_event(second, event("second", app__x=2, y=3, temp__z=4))
            assert second.model_dump() == before
            found = await service.get_session(**WHO)
            assert found is not None
            assert (texts(found), found.state) == (["first"], {"app:x": 1})
            await service.append_event(found, event("third"))
            with pytest.raises(StaleSessionError):
                await service.append_event(first, event("fourth"))

    run(main())


def test_an_event_that_is_appended_again_is_there_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with LocalStoreSessionService(tmp_path / "a") as service:
            await service.create_session(**WHO)
            mine, other = await service.get_session(**WHO), await service.get_session(**WHO)
            assert mine is not None
            assert other is not None
            for session in (mine, mine, other, other):
                await service.append_event(session, event("one", count=1))
            assert texts(mine) == texts(other) == ["one"]
            assert mine.state == other.state == {"count": 1}
            await service.append_event(other, event("two"))
            await service.append_event(other, event("one", count=1))
            twin = event("another")
            twin.id = "id one"
            await service.append_event(other, twin)
            found = await service.get_session(**WHO)
            assert texts(found) == texts(other) == ["one", "two", "another"]

    run(main())


def test_a_call_that_was_cancelled_can_be_repeated(tmp_path: Path) -> None:
    async def main() -> None:
        async with LocalStoreSessionService(tmp_path / "a") as service:
            session = await service.create_session(**WHO)
            for number in range(20):
                task = asyncio.create_task(service.append_event(session, event(f"{number}", user__n=number)))
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await service.append_event(session, event(f"{number}", user__n=number))
            found = await service.get_session(**WHO)
            assert texts(found) == texts(session) == [f"{number}" for number in range(20)]
            assert found is not None
            assert found.state == {"user:n": 19}

    run(main())


def test_shared_state_that_changes_often_stays_small(tmp_path: Path) -> None:
    async def main() -> None:
        with LocalStore(tmp_path / "store") as under:
            service = LocalStoreSessionService(under)
            session = await service.create_session(**WHO)
            for number in range(200):
                delta: Any = {"user__n": number, f"user__k{number % 7}": number}
                await service.append_event(session, event(f"{number}", **delta))
            values = await service.get_user_state(app_name="trains", user_id="ada")
            assert values == {"n": 199, **{f"k{number % 7}": number for number in range(193, 200)}}
            rows = {row.session_id: row for row in under.list_sessions()}
            assert rows[session_id_of("trains", "ada")].node_count <= 65

    run(main())


# As ordinary sessions.


def test_people_see_who_said_what_and_a_rewind_takes_back_the_state(tmp_path: Path) -> None:
    async def talk(under: LocalStore) -> None:
        service = LocalStoreSessionService(under)
        session = await service.create_session(**WHO, state={"n": 0})
        await service.append_event(session, event("When?", n=1))
        answer = types.Part(function_response=types.FunctionResponse(name="look", response={"result": "7:25"}))
        content = types.Content(role="user", parts=[answer])
        await service.append_event(session, Event(id="result", author="guide", content=content))
        await service.append_event(session, event("At 7:25.", author="guide", n=2))

    async def after(under: LocalStore) -> None:
        service = LocalStoreSessionService(under)
        found = await service.get_session(**WHO)
        assert found is not None
        assert (texts(found), found.state) == (["When?"], {"n": 1})
        await service.append_event(found, event("Thanks.", n=3))
        fork = await service.get_session(app_name="trains", user_id="ada", session_id="other")
        assert fork is not None
        assert (len(fork.events), fork.state) == (3, {"n": 2})

    with LocalStore(tmp_path / "store") as under:
        run(talk(under))
        session = under.open_session(ID)
        assert session is not None
        read = session.load_session(FullGraph())
        assert read is not None
        roles = [said(node).role for node in read.graph.nodes]
        assert roles == ["adk.session", "user", "tool", "assistant"]
        [row] = under.list_sessions()
        assert (row.first_user_message, row.user_message_count) == ("When?", 1)
        assert [hit.node_id for hit in under.search("7:25", role="assistant")] == ["id At 7:25."]
        session.fork(session_id_of("trains", "ada", "other"))
        session.rewind("id When?")
        run(after(under))


# Processes and crashes.


RACER = """
import asyncio, sys
from google.adk.errors import StaleSessionError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from localstore.adapters.adk import LocalStoreSessionService

WHO = {"app_name": "trains", "user_id": "ada", "session_id": "trip"}

async def main(root, name, rounds):
    async with LocalStoreSessionService(root) as service:
        print("ready", flush=True)
        sys.stdin.readline()
        won = 0
        while True:
            session = await service.get_session(**WHO)
            number = session.state.get("n", 0)
            if number == rounds:
                break
            actions = EventActions(state_delta={"n": number + 1, f"user:{name}": won + 1, f"app:{number}": name})
            try:
                await service.append_event(session, Event(author=name, actions=actions))
                won += 1
            except StaleSessionError:
                pass
        print(won)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.race
def test_from_one_revision_exactly_one_of_several_processes_wins(tmp_path: Path) -> None:
    names, rounds = ["a", "b", "c", "d"], 25

    async def create() -> None:
        async with LocalStoreSessionService(tmp_path / "store") as service:
            await service.create_session(**WHO)

    async def read() -> Any:
        async with LocalStoreSessionService(tmp_path / "store") as service:
            return await service.get_session(**WHO)

    run(create())
    won = [int(each) for each in together(RACER, [(tmp_path / "store", name, rounds) for name in names])]
    session = run(read())
    assert sum(won) == rounds
    assert [each.actions.state_delta["n"] for each in session.events] == list(range(1, rounds + 1))
    winners = {f"app:{number}": each.author for number, each in enumerate(session.events)}
    counts = {f"user:{name}": count for name, count in zip(names, won, strict=True) if count}
    assert session.state == {"n": rounds, **winners, **counts}


CREATOR = """
import asyncio, sys
from google.adk.errors.already_exists_error import AlreadyExistsError
from localstore.adapters.adk import LocalStoreSessionService

async def main(root):
    async with LocalStoreSessionService(root) as service:
        print("ready", flush=True)
        sys.stdin.readline()
        won = []
        for number in range(10):
            try:
                await service.create_session(app_name="trains", user_id="ada", session_id=f"{number}")
                won.append(number)
            except AlreadyExistsError:
                pass
        print(*won)

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.race
def test_of_several_processes_one_creates_a_session(tmp_path: Path) -> None:
    outputs = together(CREATOR, [(tmp_path / "store",)] * 4)
    assert sorted(int(number) for output in outputs for number in output.split()) == list(range(10))


MORTAL = """
import asyncio, itertools, sys
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from localstore.adapters.adk import LocalStoreSessionService

WHO = {"app_name": "trains", "user_id": "ada", "session_id": "trip"}

async def main(root, first):
    service = LocalStoreSessionService(root)
    session = await service.get_session(**WHO) or await service.create_session(**WHO)
    for index in itertools.count(first):
        actions = EventActions(state_delta={"n": index, "app:n": index, "user:n": index})
        await service.append_event(session, Event(id=f"{index}", author="user", actions=actions))
        print(index, flush=True)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.crash
def test_what_was_appended_survives_kill_9_and_its_state_with_it(tmp_path: Path) -> None:
    first = 0
    for lines in (1, 4, 9, 2, 17, 3):
        acknowledged = killed_after(MORTAL, lines, tmp_path / "store", first)

        async def read() -> Any:
            async with LocalStoreSessionService(tmp_path / "store") as service:
                return await service.get_session(**WHO)

        session = run(read())
        count = len(session.events)
        assert [each.id for each in session.events] == [f"{index}" for index in range(count)]
        assert int(acknowledged[-1]) + 1 <= count <= int(acknowledged[-1]) + 2
        assert session.state == {"n": count - 1, "app:n": count - 1, "user:n": count - 1}
        first = count


def test_the_disk_holds_the_events_and_little_more(tmp_path: Path) -> None:
    async def main() -> int:
        size = 0
        async with LocalStoreSessionService(tmp_path / "store") as service:
            session = await service.create_session(**WHO)
            for index in range(200):
                each = event(f"{index:>2048}", at=float(index), n=index)
                each.id = f"00000000-0000-4000-8000-{index:012}"
                size += len(each.model_dump_json(exclude_none=True))
                await service.append_event(session, each)
        return size

    payload = run(main())
    assert bytes_on_disk(tmp_path / "store") < 1.5 * payload


@pytest.mark.filterwarnings("default")  # of the ADK, about features of its own that are on trial
def test_the_example_runs(capsys: pytest.CaptureFixture[str], load_example: Callable[[str], Any]) -> None:
    example = load_example("adk_example")
    example.main()
    output = capsys.readouterr().out
    assert "It was about trains." in output
    assert "{'town': 'Oslo'}" in output
