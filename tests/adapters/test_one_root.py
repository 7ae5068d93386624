"""One root that sessions of all adapters share: the command, forks, the change feed, and what opening it costs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

pytest.importorskip("agents", reason="it needs the extra openai-agents")
pytest.importorskip("langgraph", reason="it needs the extra langgraph")
pytest.importorskip("google.adk", reason="it needs the extra adk")
pytest.importorskip("claude_agent_sdk", reason="it needs the extra claude-agent-sdk")

from google.adk.events.event import Event  # after the check
from google.genai import types
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from localstore import ChangeKind, FullGraph, LocalStore
from localstore.adapters import adk, claude_agent_sdk
from localstore.adapters.adk import LocalStoreSessionService
from localstore.adapters.claude_agent_sdk import LocalStoreSessionStore
from localstore.adapters.langgraph import LocalStoreSaver
from localstore.adapters.openai_agents import LocalStoreSession
from localstore.cli import ExitCode, main
from tests.adapters.adapter_processes import REPOSITORY, bytes_on_disk

QUESTION, ANSWER = "Which train goes to Oslo?", "The one at 7:25."
CLAUDE: Any = {"project_key": "-home-user-trains", "session_id": "talk"}
ADK: Any = {"app_name": "trains", "user_id": "ada", "session_id": "talk"}


async def say_openai(root: Path) -> None:
    async with LocalStoreSession("openai", root) as session:
        await session.add_items([{"role": "user", "content": QUESTION}])
        content: Any = [{"type": "output_text", "text": ANSWER}]
        await session.add_items([{"type": "message", "role": "assistant", "content": content}])  # type: ignore[list-item, unused-ignore]


async def hear_openai(root: Path, session_id: str) -> list[str]:
    async with LocalStoreSession(session_id, root) as session:
        items: list[Any] = await session.get_items()
    return [each["content"] if isinstance(each["content"], str) else each["content"][0]["text"] for each in items]


async def say_langgraph(root: Path) -> None:
    builder = StateGraph(MessagesState)
    builder.add_node("reply", lambda state: {"messages": [AIMessage(ANSWER)]})
    builder.add_edge(START, "reply")
    with LocalStoreSaver.from_path(root) as saver:
        graph: Any = builder.compile(checkpointer=saver)
        graph.invoke({"messages": [HumanMessage(QUESTION)]}, {"configurable": {"thread_id": "langgraph"}})


async def hear_langgraph(root: Path, session_id: str) -> list[str]:
    with LocalStoreSaver.from_path(root) as saver:
        found = saver.get_tuple({"configurable": {"thread_id": session_id}})
    return [] if found is None else [each.content for each in found.checkpoint["channel_values"]["messages"]]


async def say_adk(root: Path) -> None:
    async with LocalStoreSessionService(root) as service:
        session = await service.create_session(**ADK, state={"n": 1})
        for author, role, text in (("user", "user", QUESTION), ("guide", "model", ANSWER)):
            content = types.Content(role=role, parts=[types.Part(text=text)])
            await service.append_event(session, Event(author=author, content=content))
        await service.flush()


async def hear_adk(root: Path, session_id: str) -> list[str]:
    async with LocalStoreSessionService(root) as service:
        session: Any = await service.get_session(**{**ADK, "session_id": session_id.rsplit("/", 1)[-1]})
    return [each.content.parts[0].text for each in session.events]


async def say_claude(root: Path) -> None:
    async with LocalStoreSessionStore(root) as store:
        for role, content in (("user", QUESTION), ("assistant", [{"type": "text", "text": ANSWER}])):
            entry: Any = {"type": role, "uuid": f"uuid-{role}", "message": {"role": role, "content": content}}
            await store.append(CLAUDE, [entry])


async def hear_claude(root: Path, session_id: str) -> list[str]:
    key: Any = {**CLAUDE, "session_id": session_id.rsplit("/", 1)[-1]}
    async with LocalStoreSessionStore(root) as store:
        entries: Any = await store.load(key) or []
    contents = [each["message"]["content"] for each in entries]
    return [each if isinstance(each, str) else each[0]["text"] for each in contents]


WHOSE: dict[str, tuple[str, str, Callable[..., Any], Callable[..., Any]]] = {
    "openai-agents": ("openai", "openai-fork", say_openai, hear_openai),
    "langgraph": ("langgraph", "langgraph-fork", say_langgraph, hear_langgraph),
    "adk": (adk.session_id_of(**ADK), adk.session_id_of("trains", "ada", "fork"), say_adk, hear_adk),
    "claude-agent-sdk": (
        claude_agent_sdk.session_id_of(**CLAUDE),
        claude_agent_sdk.session_id_of("-home-user-trains", "fork"),
        say_claude,
        hear_claude,
    ),
}
EACH = pytest.mark.parametrize("whose", WHOSE)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root where all of them have talked."""
    for _, _, say, _ in WHOSE.values():
        asyncio.run(say(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def command(root: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command on the root, and gives what it printed."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        code = main(["--root", str(root), *map(str, arguments)])
        printed = capsys.readouterr()
        assert code == ExitCode.OK, printed.err
        return printed.out

    return run


def test_all_are_listed_and_found_together(command: Callable[..., str]) -> None:
    rows = {row["session_id"]: row for row in orjson.loads(command("ls", "--json"))["sessions"]}
    ids = {session_id for session_id, *_ in WHOSE.values()}
    assert set(rows) == ids
    for row in rows.values():
        assert (row["first_user_message"], row["user_message_count"]) == (QUESTION, 1)
    for text in ("train goes to Oslo", "at 7:25"):
        hits = orjson.loads(command("search", text, "--json"))["hits"]
        assert {hit["session_id"] for hit in hits} == ids


@EACH
def test_each_is_shown_drawn_and_exported(whose: str, command: Callable[..., str], tmp_path: Path) -> None:
    session_id = WHOSE[whose][0]
    told = command("show", "--", session_id)
    assert told.index(QUESTION) < told.index(ANSWER)
    ids = [node["node_id"] for node in orjson.loads(command("show", "--json", "--", session_id))["nodes"]]
    drawn = command("tree", "--", session_id)
    assert drawn.startswith(ids[0][:11])
    assert "[head]" in drawn
    for form in ("markdown", "messages"):
        written = tmp_path / form
        command("export", "-o", written, "--format", form, "--", session_id)
        assert written.read_text(encoding="utf-8").index(QUESTION) < written.read_text(encoding="utf-8").index(ANSWER)


@EACH
def test_an_exported_archive_is_read_by_the_adapter_elsewhere(
    whose: str, command: Callable[..., str], tmp_path: Path
) -> None:
    session_id, _, _, hear = WHOSE[whose]
    command("export", "-o", tmp_path / "archive", "--", session_id)
    assert main(["--root", str(tmp_path / "elsewhere"), "import", str(tmp_path / "archive")]) == ExitCode.OK
    assert asyncio.run(hear(tmp_path / "elsewhere", session_id)) == [QUESTION, ANSWER]


@EACH
def test_a_fork_is_read_by_the_adapter(whose: str, root: Path) -> None:
    session_id, fork_id, _, hear = WHOSE[whose]
    with LocalStore(root) as store:
        session = store.open_session(session_id)
        assert session is not None
        session.fork(fork_id)
    assert asyncio.run(hear(root, fork_id)) == asyncio.run(hear(root, session_id)) == [QUESTION, ANSWER]


@EACH
def test_the_change_feed_tells_each_node_of_it_once(whose: str, root: Path) -> None:
    with LocalStore(root) as store:
        session = store.open_session(WHOSE[whose][0])
        read = None if session is None else session.load_session(FullGraph())
        assert session is not None
        assert read is not None
        changes = session.changes().changes
    told = [node_id for change in changes if change.kind is ChangeKind.COMMITTED for node_id in change.ids]
    assert told == [node.node_id for node in read.graph.nodes]


def test_opening_and_reading_grows_nothing(root: Path) -> None:
    size = bytes_on_disk(root)
    for _ in range(3):
        for session_id, _, _, hear in WHOSE.values():
            assert asyncio.run(hear(root, session_id)) == [QUESTION, ANSWER]
    assert bytes_on_disk(root) == size


FRAMEWORKS = {
    "openai_agents": "agents",
    "langgraph": "langgraph",
    "adk": "google.adk",
    "claude_agent_sdk": "claude_agent_sdk",
}


@pytest.mark.parametrize("used", ["", *FRAMEWORKS])
def test_a_framework_is_imported_only_by_its_own_adapter(used: str) -> None:
    modules = [
        "localstore",
        "localstore.adapters",
        "localstore.cli",
        *([f"localstore.adapters.{used}"] if used else []),
    ]
    program = f"import sys, {', '.join(modules)}\nprint(*[n for n in {list(FRAMEWORKS.values())} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ([FRAMEWORKS[used]] if used else [])
