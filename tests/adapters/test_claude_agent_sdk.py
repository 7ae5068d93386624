"""`LocalStoreSessionStore` under the Claude Agent SDK: its contracts, its importer, resumes, processes and crashes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip("claude_agent_sdk", reason="it needs the extra claude-agent-sdk")

from claude_agent_sdk import (  # after the check
    AssistantMessage,
    ClaudeAgentOptions,
    TextBlock,
    fork_session_via_store,
    get_session_messages_from_store,
    get_subagent_messages_from_store,
    import_session_to_store,
    list_sessions_from_store,
    project_key_for_directory,
    query,
    tag_session_via_store,
)
from claude_agent_sdk.testing import run_session_store_conformance

from localstore import ChildSession, FullGraph, InMemoryStore, InvalidArgument, LocalStore, StoreClosed
from localstore.adapters.claude_agent_sdk import LocalStoreSessionStore, session_id_of
from localstore.cli.describing import said
from tests.adapters.adapter_processes import bytes_on_disk, killed_after, together

T = TypeVar("T")

PROJECT = "-home-user-trains"
SESSION = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
KEY: Any = {"project_key": PROJECT, "session_id": SESSION}
SUB: Any = {**KEY, "subpath": "subagents/agent-1"}


def run(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(main)


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def user(number: int, content: Any, **more: Any) -> Any:
    return entry(number, type="user", message={"role": "user", "content": content}, **more)


def assistant(number: int, content: Any) -> Any:
    message = {"id": f"msg_{number}", "role": "assistant", "model": "scripted", "content": content}
    return entry(number, type="assistant", message=message)


def entry(number: int, **fields: Any) -> Any:
    return {
        "parentUuid": uuid(number - 1) if number else None,
        "isSidechain": False,
        "cwd": "/home/user/trains",
        "sessionId": SESSION,
        "uuid": uuid(number),
        "timestamp": f"2026-01-02T03:04:{number % 60:02}.000Z",
        **fields,
    }


ENTRIES: list[Any] = [
    {"type": "mode", "mode": "default", "sessionId": SESSION},
    user(0, "When is the next train? \U0001f30a\0"),
    assistant(1, [{"type": "tool_use", "id": "t1", "name": "next_train", "input": {"town": "Oslo"}}]),
    user(2, [{"type": "tool_result", "tool_use_id": "t1", "content": "at 7:25"}], toolUseResult={"stdout": "at 7:25"}),
    user(3, "A reminder.", isMeta=True),
    assistant(4, [{"type": "text", "text": "At 7:25."}]),
    {"type": "custom-title", "customTitle": "Trains", "sessionId": SESSION},
    {"type": "odd", "kind": "of its own", "numbers": [0, -1, 2**53, 1.5, None, True], "nested": {"a": [[], {}]}},
    {"type": "cut", "text": "half a pair \ud83c", "big": 2**70},
    {"type": "odd", "uuid": 7, "timestamp": "yesterday", "message": "a string"},
]


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_the_conformance_suite_of_the_sdk_passes(tmp_path: Path, kind: str) -> None:
    made: list[LocalStoreSessionStore] = []

    def make() -> LocalStoreSessionStore:
        root = InMemoryStore() if kind == "memory" else tmp_path / str(len(made))
        made.append(LocalStoreSessionStore(root))
        return made[-1]

    run(run_session_store_conformance(make))
    assert len(made) == 15  # one a contract, and one to see what there is
    for store in made:
        store.close()


def test_entries_come_back_as_they_were_appended(tmp_path: Path) -> None:
    async def append() -> None:
        async with LocalStoreSessionStore(tmp_path / "store") as store:
            await store.append(KEY, ENTRIES[:4])
            await store.append(KEY, ENTRIES[4:])

    async def load() -> Any:
        async with LocalStoreSessionStore(tmp_path / "store") as store:
            return await store.load(KEY)

    run(append())
    found = run(load())
    assert found == ENTRIES
    assert [list(each) for each in found] == [list(each) for each in ENTRIES]


def test_keys_that_look_alike_are_kept_apart(tmp_path: Path) -> None:
    keys: list[Any] = [
        {"project_key": "a", "session_id": "b/c"},
        {"project_key": "a/b", "session_id": "c"},
        {"project_key": "a%2Fb", "session_id": "c"},
        {"project_key": "a", "session_id": "b", "subpath": "c"},
    ]

    async def main() -> None:
        async with LocalStoreSessionStore(tmp_path / "store") as store:
            for number, key in enumerate(keys):
                await store.append(key, [user(number, f"{number}")])
            for number, key in enumerate(keys):
                assert await store.load(key) == [user(number, f"{number}")]
            listed = {key["project_key"]: await store.list_sessions(key["project_key"]) for key in keys}
            ids = {project: [each["session_id"] for each in rows] for project, rows in listed.items()}
            assert ids == {"a": ["b/c"], "a/b": ["c"], "a%2Fb": ["c"]}

    run(main())


def test_an_entry_with_a_uuid_is_there_once_and_one_without_as_often_as_it_is_appended(tmp_path: Path) -> None:
    title = ENTRIES[6]

    async def main() -> Any:
        async with LocalStoreSessionStore(tmp_path / "store") as store:
            await store.append(KEY, [user(0, "a"), title])
            await store.append(KEY, [user(0, "a"), user(1, "b"), user(1, "b"), title])
            return await store.load(KEY)

    assert run(main()) == [user(0, "a"), title, user(1, "b"), title]


def test_a_retry_of_a_call_that_did_not_return_adds_nothing_twice(tmp_path: Path) -> None:
    title = ENTRIES[6]

    async def main() -> Any:
        async with LocalStoreSessionStore(tmp_path / "store") as store:
            for number in range(20):
                task = asyncio.create_task(store.append(KEY, [title, user(number, "a")]))
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await store.append(KEY, [title, user(number, "a")])
            return await store.load(KEY)

    assert run(main()) == [each for number in range(20) for each in (title, user(number, "a"))]


def test_what_is_no_entry_or_key_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        store = LocalStoreSessionStore(tmp_path / "store")
        nameless: Any = {**KEY, "subpath": ""}
        refused: list[Any] = [["text"], [{"type": "x", "bad": object()}], [{"type": "x", "bad": {1}}]]
        for entries in refused:
            with pytest.raises(InvalidArgument):
                await store.append(KEY, entries)
        with pytest.raises(InvalidArgument):
            await store.append(nameless, [user(0, "a")])
        assert await store.load(KEY) is None
        assert await store.list_sessions(PROJECT) == []
        store.close()
        with pytest.raises(StoreClosed):
            await store.append(KEY, [user(0, "a")])

    run(main())


def test_what_was_deleted_can_be_appended_to_again_and_restored(tmp_path: Path) -> None:
    async def main() -> None:
        with LocalStore(tmp_path / "store") as under:
            store = LocalStoreSessionStore(under)
            await store.append(KEY, ENTRIES)
            await store.append(SUB, [user(0, "sub")])
            await store.delete(KEY)
            assert [row.session_id for row in under.list_sessions()] == []
            await store.append(KEY, [user(0, "new")])
            assert await store.load(KEY) == [user(0, "new")]
            await store.delete(KEY)
            under.purge(session_id_of(PROJECT, SESSION), deleted_at_ms=under.trash()[0].deleted_at_ms)
            under.restore_session(session_id_of(PROJECT, SESSION))
            assert await store.load(KEY) == ENTRIES

    run(main())


# Summaries.


async def summary_of(store: LocalStoreSessionStore) -> Any:
    [summary] = await store.list_session_summaries(PROJECT)
    return summary["data"]


def test_the_summary_is_that_of_the_head_in_every_process_and_after_a_rewind(tmp_path: Path) -> None:
    async def append() -> None:
        async with LocalStoreSessionStore(tmp_path / "store") as store:
            await store.append(KEY, ENTRIES)
            for number in range(5, 205):
                await store.append(KEY, [assistant(number, "on")])
            tag: Any = {"type": "tag", "tag": "done", "sessionId": SESSION}
            await store.append(KEY, [user(205, "on"), tag])

    async def read() -> Any:
        async with LocalStoreSessionStore(tmp_path / "store") as store:
            return await summary_of(store)

    run(append())
    found = run(read())
    assert (found["first_prompt"][:4], found["custom_title"], found["tag"]) == ("When", "Trains", "done")
    assert found["cwd"] == "/home/user/trains"
    with LocalStore(tmp_path / "store") as under:
        session = under.open_session(session_id_of(PROJECT, SESSION))
        assert session is not None
        session.rewind(uuid(150))
    found = run(read())
    assert (found["custom_title"], "tag" in found) == ("Trains", False)
    with LocalStore(tmp_path / "store") as under:
        session = under.open_session(session_id_of(PROJECT, SESSION))
        assert session is not None
        session.rewind(uuid(4))
    found = run(read())
    assert (found["first_prompt"][:4], "custom_title" in found) == ("When", False)


def test_the_sdk_lists_tags_and_forks(tmp_path: Path) -> None:
    project = str(tmp_path)
    key: Any = {"project_key": project_key_for_directory(project), "session_id": SESSION}

    async def main() -> None:
        async with LocalStoreSessionStore(tmp_path / "store") as store:
            await store.append(key, ENTRIES[:7])
            await tag_session_via_store(store, SESSION, "travel", directory=project)
            [info] = await list_sessions_from_store(store, directory=project)
            assert (info.summary, info.tag, info.session_id) == ("Trains", "travel", SESSION)
            fork = await fork_session_via_store(store, SESSION, directory=project, title="Other trains")
            forked = await get_session_messages_from_store(store, fork.session_id, directory=project)
            messages = await get_session_messages_from_store(store, SESSION, directory=project)
            assert [each.message for each in forked] == [each.message for each in messages]
            titles = {info.summary for info in await list_sessions_from_store(store, directory=project)}
            assert titles == {"Trains", "Other trains"}

    run(main())


# Transcripts that exist already, and those that are resumed.


def write_transcripts(config: Path, project_key: str) -> None:
    folder = config / "projects" / project_key
    subagents = folder / SESSION / "subagents"
    subagents.mkdir(parents=True)
    main = "".join(f"{json.dumps(each)}\n" for each in ENTRIES)
    (folder / f"{SESSION}.jsonl").write_text(main, encoding="utf-8")
    sub = [user(0, "Look it up.", isSidechain=True, agentId="1"), assistant(1, [{"type": "text", "text": "7:25"}])]
    (subagents / "agent-1.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in sub), encoding="utf-8")
    (subagents / "agent-1.meta.json").write_text('{"agentType": "guide"}', encoding="utf-8")


def test_existing_transcripts_are_imported_and_importing_again_adds_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_key = project_key_for_directory(str(tmp_path))
    write_transcripts(tmp_path / "config", project_key)
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "config"))

    async def main() -> None:
        async with LocalStoreSessionStore(tmp_path / "store") as store:
            key: Any = {"project_key": project_key, "session_id": SESSION}
            await import_session_to_store(SESSION, store, batch_size=3)
            assert await store.load(key) == ENTRIES
            assert await store.list_subkeys(key) == ["subagents/agent-1"]
            sub = await get_subagent_messages_from_store(store, SESSION, "1", directory=str(tmp_path))
            assert [each.message["content"] for each in sub] == ["Look it up.", [{"type": "text", "text": "7:25"}]]
            await import_session_to_store(SESSION, store, batch_size=3)
            named = [each for each in await store.load(key) or [] if isinstance(each.get("uuid"), str)]
            assert named == [each for each in ENTRIES if isinstance(each.get("uuid"), str)]

    run(main())


PROGRAM = """#!{python}
import glob, json, os, sys

if "-v" in sys.argv or "--version" in sys.argv:
    print("9.9.9 (Claude Code)")
    raise SystemExit
projects = os.path.join(os.environ["CLAUDE_CONFIG_DIR"], "projects")
[path] = glob.glob(os.path.join(projects, "*", "{session}.jsonl")) or [os.path.join(projects, "p", "{session}.jsonl")]
past = [json.loads(line) for line in open(path)] if os.path.exists(path) else []
for line in sys.stdin:
    heard = json.loads(line)
    if heard["type"] == "control_request":
        response = {{"subtype": "success", "request_id": heard["request_id"], "response": {{}}}}
        print(json.dumps({{"type": "control_response", "response": response}}), flush=True)
    elif heard["type"] == "user":
        text = f"entries before: {{len(past)}}"
        said = {{"role": "assistant", "model": "scripted", "content": [{{"type": "text", "text": text}}]}}
        entries = [{{"type": "user", "uuid": f"u{{len(past)}}", "message": heard["message"]}},
                   {{"type": "assistant", "uuid": f"a{{len(past)}}", "message": said}}]
        print(json.dumps({{"type": "transcript_mirror", "filePath": path, "entries": entries}}), flush=True)
        print(json.dumps({{"type": "assistant", "message": said, "session_id": "{session}"}}), flush=True)
        print(json.dumps({{"type": "result", "subtype": "success", "is_error": False, "duration_ms": 1,
                          "duration_api_ms": 1, "num_turns": 1, "session_id": "{session}"}}), flush=True)
        raise SystemExit
"""


@pytest.mark.skipif(os.name == "nt", reason="the program is a script with a #! line")
def test_a_session_is_resumed_from_the_store_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    program = tmp_path / "program"
    program.write_text(PROGRAM.format(python=sys.executable, session=SESSION), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "config"))
    key: Any = {"project_key": project_key_for_directory(str(project)), "session_id": SESSION}

    async def ask(**how: Any) -> str:
        async with LocalStoreSessionStore(tmp_path / "store") as store:
            options = ClaudeAgentOptions(session_store=store, cwd=str(project), cli_path=str(program), **how)
            said = [
                part.text
                async for message in query(prompt="On?", options=options)
                if isinstance(message, AssistantMessage)
                for part in message.content
                if isinstance(part, TextBlock)
            ]
            return said[0]

    async def begin() -> None:
        async with LocalStoreSessionStore(tmp_path / "store") as store:
            await store.append(key, [user(0, "Hello"), assistant(1, [{"type": "text", "text": "Hello."}])])

    run(begin())
    assert run(ask(resume=SESSION)) == "entries before: 2"
    assert run(ask(continue_conversation=True)) == "entries before: 4"
    assert not (tmp_path / "config").exists()


# As ordinary sessions.


def test_people_see_who_said_what(tmp_path: Path) -> None:
    async def main(under: LocalStore) -> None:
        store = LocalStoreSessionStore(under)
        await store.append(KEY, ENTRIES[:7])
        await store.append(SUB, [user(0, "Look it up.")])

    with LocalStore(tmp_path / "store") as under:
        run(main(under))
        session = under.open_session(session_id_of(PROJECT, SESSION))
        assert session is not None
        read = session.load_session(FullGraph())
        assert read is not None
        spoken = [said(node) for node in read.graph.nodes]
        assert [each.role for each in spoken] == [
            "claude.mode", "user", "assistant", "tool", "system", "assistant", "claude.custom-title"
        ]  # fmt: skip
        assert spoken[-1].text == "Trains"
        assert "7:25" in spoken[3].text
        rows = {row.session_id: row for row in under.list_sessions()}
        row = rows[session_id_of(PROJECT, SESSION)]
        assert (row.user_message_count, row.node_count, row.cwd) == (1, 7, "/home/user/trains")
        child = rows[session_id_of(PROJECT, SESSION, "subagents/agent-1")]
        assert child.relation == ChildSession(row.session_id)
        assert [hit.node_id for hit in under.search("7:25", role="assistant")] == [uuid(4)]


def test_a_fork_by_the_store_is_a_transcript_of_its_own(tmp_path: Path) -> None:
    other: Any = {**KEY, "session_id": "00000000-0000-4000-8000-00000000ffff"}

    async def main(under: LocalStore) -> None:
        store = LocalStoreSessionStore(under)
        await store.append(KEY, ENTRIES)
        session = under.open_session(session_id_of(PROJECT, SESSION))
        assert session is not None
        session.fork(session_id_of(PROJECT, other["session_id"]), at=uuid(2))
        assert await store.load(other) == ENTRIES[:4]
        await store.append(other, [assistant(9, "Elsewhere.")])
        assert await store.load(KEY) == ENTRIES
        assert {each["session_id"] for each in await store.list_sessions(PROJECT)} == {SESSION, other["session_id"]}

    with LocalStore(tmp_path / "store") as under:
        run(main(under))


# Processes and crashes.


APPENDER = """
import asyncio, sys
from localstore.adapters.claude_agent_sdk import LocalStoreSessionStore

KEY = {"project_key": "p", "session_id": "s"}

async def main(root, name, count):
    async with LocalStoreSessionStore(root) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        for index in range(count):
            shared = {"type": "shared", "uuid": f"shared {index}"}
            said = {"type": "user", "lastPrompt": f"{name} {index}"}
            own = [{**said, "uuid": f"{name} {index} {part}"} for part in (0, 1)]
            await store.append(KEY, [shared, *own])

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.mark.race
def test_several_processes_append_whole_batches_each_in_order(tmp_path: Path) -> None:
    names, count = ["a", "b", "c", "d"], 15
    together(APPENDER, [(tmp_path / "store", name, count) for name in names])

    async def read() -> tuple[Any, Any]:
        async with LocalStoreSessionStore(tmp_path / "store") as store:
            [summary] = await store.list_session_summaries("p")
            return await store.load({"project_key": "p", "session_id": "s"}), summary

    entries, summary = run(read())
    uuids = [each["uuid"] for each in entries]
    own = [each for each in uuids if not each.startswith("shared")]
    assert sorted(set(uuids)) == sorted(uuids)
    assert [each for each in uuids if each.startswith("shared")] == [f"shared {index}" for index in range(count)]
    assert all(own[at].rsplit(" ", 1)[0] == own[at + 1].rsplit(" ", 1)[0] for at in range(0, len(own), 2))
    for name in names:
        expected = [f"{name} {index} {part}" for index in range(count) for part in (0, 1)]
        assert [each for each in own if each.startswith(name)] == expected
    assert summary["data"]["last_prompt"] == entries[-1]["lastPrompt"]


MORTAL = """
import asyncio, itertools, sys
from localstore.adapters.claude_agent_sdk import LocalStoreSessionStore

async def main(root, first):
    store = LocalStoreSessionStore(root)
    for index in itertools.count(first):
        entries = [{"type": "user", "uuid": f"{index} {part}", "lastPrompt": f"{index} {part}"} for part in range(3)]
        await store.append({"project_key": "p", "session_id": "s"}, entries)
        print(index, flush=True)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.crash
def test_what_was_appended_survives_kill_9_and_the_rest_is_whole_or_not_there(tmp_path: Path) -> None:
    first = 0
    for lines in (1, 4, 9, 2, 17):
        acknowledged = killed_after(MORTAL, lines, tmp_path / "store", first)

        async def read() -> tuple[Any, Any]:
            async with LocalStoreSessionStore(tmp_path / "store") as store:
                [summary] = await store.list_session_summaries("p")
                return await store.load({"project_key": "p", "session_id": "s"}), summary

        entries, summary = run(read())
        batches = len(entries) // 3
        assert [each["uuid"] for each in entries] == [
            f"{index} {part}" for index in range(batches) for part in range(3)
        ]
        assert int(acknowledged[-1]) + 1 <= batches <= int(acknowledged[-1]) + 2
        assert summary["data"]["last_prompt"] == f"{batches - 1} 2"
        first = batches


def test_the_disk_holds_the_entries_and_little_more(tmp_path: Path) -> None:
    async def main() -> int:
        size = 0
        async with LocalStoreSessionStore(tmp_path / "store") as store:
            for index in range(100):
                entries = [user(2 * index, f"{index:>2048}"), assistant(2 * index + 1, f"{-index:>2048}")]
                size += len(json.dumps(entries))
                prompt: Any = {"type": "last-prompt", "lastPrompt": f"{index:>200}"}
                await store.append(KEY, [*entries, prompt])
            return size

    payload = run(main())
    assert bytes_on_disk(tmp_path / "store") < 1.5 * payload


def test_the_example_runs(capsys: pytest.CaptureFixture[str], load_example: Callable[[str], Any]) -> None:
    example = load_example("claude_agent_sdk_example")
    example.main()
    assert "Your question was: When is the next train to Oslo?" in capsys.readouterr().out
