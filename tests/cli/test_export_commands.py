"""`search`, `export`, `backup`, and archives in `import`."""

from typing import Any

import orjson
import pytest

from localstore import LocalStore
from localstore.cli import ExitCode
from localstore.cli.invocation import CommandFailure
from localstore.cli.searching import moment
from localstore.disk import names
from localstore.exports import to_markdown, to_messages
from localstore.importers import read_transcript_file
from localstore.machine.searching import role_of
from localstore.testing.builders import node, said
from tests.cli.sample import DEMO, DEMO_ID, TRANSCRIPTS, content, loaded, opened

DAY = 86_400_000


@pytest.fixture
def demo(run):
    """A store with the bundled session."""
    run("import", DEMO)
    return DEMO_ID


class TestSearch:
    def test_shows_where(self, run, demo):
        result = run("search", "PARSE_DATE")
        assert result.code == ExitCode.OK
        assert result.lines[0].split() == ["SESSION", "NODE", "ROLE", "TIME", "TEXT"]
        told = run("search", "PARSE_DATE", "--json").json
        assert (told["record"], told["unreadable"]) == ("search_result", [])
        assert result.lines[-1] == f"{len(told['hits'])} nodes in 1 session"
        for hit in told["hits"]:
            assert hit["snippet"][hit["start"] : hit["end"]].lower() == "parse_date"

    def test_is_narrowed_down(self, run, demo):
        every = run("search", "e", "--json").json["hits"]
        users = run("search", "e", "--role", "user", "--json").json["hits"]
        assert users == [hit for hit in every if hit["role"] == "user"]
        assert run("search", "e", "--limit", "2", "--json").json["hits"] == every[:2]
        assert run("search", "e", "--session", demo[:6], "--json").json["hits"] == every
        assert run("search", "e", "--since", "2999-01-01", "--json").json["hits"] == []
        assert run("search", "e", "--until", "2999-01-01", "--json").json["hits"] == every
        assert run("search", "--regex", "[Pp]arse.date", "--case", "--json").json["hits"]
        assert run("search", "nothing like that").out == "nothing found\n"

    def test_of_what_makes_no_sense(self, run, demo):
        assert run("search", "--regex", "(").code == ExitCode.USAGE
        assert run("search", "x", "--since", "someday").code == ExitCode.USAGE
        assert run("search", "").code == ExitCode.USAGE

    @pytest.mark.damaged
    def test_tells_of_damage_and_goes_on(self, run, root, demo):
        with LocalStore(root) as store:
            store.create_session("other")
        [file] = [path for path in root.rglob("*") if names.parse_node_file(path.name) is not None]
        file.write_bytes(file.read_bytes().replace(b"e", b"f"))
        result = run("search", "e", "--json")
        assert result.code == ExitCode.FINDINGS
        (unreadable,) = result.json["unreadable"]
        assert (unreadable["session_id"], unreadable["path"]) == (demo, str(file))
        assert f"session {demo} cannot be read: " in result.err

    def test_times(self):
        assert moment("2026-01-31", 0) == 1_769_817_600_000
        assert moment("2026-01-31", 0, end=True) == 1_769_817_600_000 + DAY - 1
        assert moment("2026-01-31T00:00:00+01:00", 0, end=True) == 1_769_817_600_000 - DAY // 24
        assert (moment("2d", 3 * DAY), moment("9d", DAY), moment(None, 1)) == (DAY, 0, None)
        with pytest.raises(CommandFailure):
            moment("soon", 0)


class TestExport:
    def test_comes_back_by_import(self, run, root, demo, tmp_path):
        told = run("export", demo, "-o", tmp_path / "s.tar", "--json").json
        assert (told["record"], told["format"], told["session_id"]) == ("export", "archive", demo)
        before = content(root, demo)
        run("rm", demo)
        result = run("import", tmp_path / "s.tar", "--json")
        (file,) = result.json["files"]
        assert (file["format"], file["session_id"], file["is_new_session"]) == ("localstore-archive", demo, True)
        assert file["added_count"] == told["node_count"] > 0
        assert content(root, demo) == before
        again = run("import", tmp_path / "s.tar")
        assert again.code == ExitCode.OK
        assert again.out.endswith("nothing new\n")
        renamed = run("import", tmp_path / "s.tar", "--session-id", "another", "--json").json["files"][0]
        assert (renamed["session_id"], renamed["is_new_session"]) == ("another", True)

    def test_of_a_conflict_and_of_damage(self, run, store, demo, tmp_path):
        run("export", demo, "-o", tmp_path / "s.tar")
        store.delete_session(demo)
        store.create_session(demo)
        assert run("import", tmp_path / "s.tar").code == ExitCode.FINDINGS
        assert run("import", tmp_path / "s.tar", "--on-conflict", "skip").code == ExitCode.OK
        assert f"{demo}-2" in run("import", tmp_path / "s.tar", "--on-conflict", "rename").out
        raw = (tmp_path / "s.tar").read_bytes()
        (tmp_path / "cut.tar").write_bytes(raw[: len(raw) // 2])
        result = run("import", tmp_path / "cut.tar", "--session-id", "fresh", "--json")
        assert result.code == ExitCode.FINDINGS
        assert "damaged" in result.json["files"][0]["error"]

    def test_refuses_to_overwrite(self, run, demo, tmp_path):
        (tmp_path / "mine").write_text("mine")
        for form in ("archive", "markdown", "messages"):
            assert run("export", demo, "-o", tmp_path / "mine", "--format", form).code == ExitCode.USAGE
            assert run("export", demo, "-o", tmp_path / "no" / "x", "--format", form).code == ExitCode.USAGE
        assert (tmp_path / "mine").read_text() == "mine"
        assert run("export", demo, "-o", "-").code == ExitCode.USAGE

    def test_has_a_name_by_default(self, run, demo, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        run("export", demo)
        run("export", demo, "--format", "markdown")
        assert sorted(path.suffix for path in tmp_path.iterdir() if path.is_file()) == [".md", ".tar"]

    def test_as_text(self, run, demo):
        markdown = run("export", demo, "--format", "markdown", "-o", "-")
        assert markdown.lines[0].startswith("# ")
        assert "## User" in markdown.lines
        lines = run("export", demo, "--format", "messages", "-o", "-").lines
        assert {orjson.loads(line)["role"] for line in lines} >= {"user", "assistant", "tool"}

    @pytest.mark.parametrize("form", ["archive", "markdown", "messages"])
    def test_as_text_leaves_no_room_for_json(self, run, demo, form):
        result = run("export", demo, "--format", form, "-o", "-", "--json")
        assert (result.code, result.out) == (ExitCode.USAGE, "")
        assert "--output" in result.err


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.name)
def test_messages_of_recorded_transcripts_come_back(run, root, path, tmp_path):
    """Roles, texts, calls and their results are the same after a second way through messages."""
    run("import", path)
    with LocalStore(root) as store:
        (row,) = store.list_sessions()
        nodes = loaded(opened(store, row.session_id)).graph.nodes
    made = list(to_messages(nodes))
    assert bool(made) == any(role_of(each.payload) is not None for each in nodes)
    calls = [call["function"]["name"] for message in made for call in message.get("tool_calls", ())]
    told = b"".join(orjson.dumps(each.payload) for each in nodes)
    assert all(orjson.dumps(name) in told for name in calls)
    if not made:
        return  # a recording with no message in it has nothing to come back
    (tmp_path / "m.jsonl").write_bytes(b"".join(orjson.dumps(message) + b"\n" for message in made))
    back = read_transcript_file(tmp_path / "m.jsonl")
    assert back.problems == ()
    again = list(to_messages(node(str(at), payload=entry.payload) for at, entry in enumerate(back.entries)))
    assert again == made


class TestMessages:
    def of(self, **message: Any) -> list[Any]:
        return list(to_messages([node("n", payload={"kind": "event", "message": message})]))

    def test_of_parts(self):
        parts = [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "I look"},
            {"type": "tool_use", "id": "c1", "name": "read", "input": {"path": "x"}},
        ]
        call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path":"x"}'}}
        assert self.of(role="assistant", content=parts) == [
            {"role": "assistant", "content": "I look", "tool_calls": [call]}
        ]
        results = [
            {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "one"}]},
            {"type": "tool_result", "tool_use_id": "c2", "content": "two"},
            {"type": "text", "text": "and I say"},
        ]
        assert self.of(role="user", content=results) == [
            {"role": "tool", "content": "one", "tool_call_id": "c1"},
            {"role": "tool", "content": "two", "tool_call_id": "c2"},
            {"role": "user", "content": "and I say"},
        ]

    def test_of_what_is_in_this_style_already(self):
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        assert self.of(role="assistant", content=None, tool_calls=[call]) == [
            {"role": "assistant", "content": None, "tool_calls": [call]}
        ]
        assert self.of(role="tool", content="done", tool_call_id="c") == [
            {"role": "tool", "content": "done", "tool_call_id": "c"}
        ]

    def test_of_openais_items(self):
        def item(role, kind, **fields):
            return self.of(role=role, type=kind, **fields)

        def call(call_id, name, arguments):
            made = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
            return {"role": "assistant", "content": None, "tool_calls": [made]}

        assert item("assistant", "reasoning", summary=[{"type": "summary_text", "text": "hm"}]) == []
        assert item("assistant", "local_shell_call", id="i", call_id="c", action={"a": 1}) == [
            call("c", "local_shell", '{"a":1}')
        ]
        assert item("assistant", "mcp_call", id="i", name="f", arguments="{}", output="x") == [
            call("i", "f", "{}"),
            {"role": "tool", "content": "x", "tool_call_id": "i"},
        ]
        output = [{"type": "input_text", "text": "one"}, {"type": "input_image", "image_url": "data:,"}]
        assert item("tool", "function_call_output", call_id="c", output=output) == [
            {"role": "tool", "content": "one", "tool_call_id": "c"}
        ]
        assert item("tool", "shell_call_output", call_id="c", output=[{"stdout": "a"}]) == [
            {"role": "tool", "content": '{"stdout":"a"}', "tool_call_id": "c"}
        ]

    def test_of_geminis_parts(self):
        image = {"inline_data": {"mime_type": "image/png", "data": "_w-="}}
        code = {"executable_code": {"language": "PYTHON", "code": "1"}}
        url = {"type": "image_url", "image_url": {"url": "data:image/png;base64,/w+="}}
        run = {"name": "code_execution", "arguments": '{"language":"PYTHON","code":"1"}'}
        parts = [{"text": "hm", "thought": True}, image, code, {"code_execution_result": {"output": "1"}}]
        assert self.of(role="model", parts=parts) == [
            {
                "role": "assistant",
                "content": [url],
                "tool_calls": [{"id": None, "type": "function", "function": run}],
            },
            {"role": "tool", "content": "1"},
        ]
        file = {"file_data": {"mime_type": "image/gif", "file_uri": "gs://a"}}
        assert self.of(role="user", parts=[file, {"file_data": {"mime_type": "a/b"}}]) == [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "gs://a"}}]}
        ]

    def test_of_no_message(self):
        assert list(to_messages([node("n", payload={"kind": "plugin", "x": 1})])) == []

    def test_markdown_names_what_it_leaves_out(self):
        parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "I see"}, {"type": "odd"}]
        text = "".join(to_markdown("A", [node("n", payload={"kind": "e", "role": "assistant", "content": parts})]))
        assert text.endswith("\n*(thinking)*\n\nI see\n\n*(odd)*\n")

    def test_markdown_is_not_broken_by_what_it_holds(self):
        text = "".join(to_markdown("A\n# title", [said("n", None, "```\ncode\n```", "tool")]))
        assert text.startswith("# A # title\n")
        assert "\n````text\n```\ncode\n```\n````\n" in text


class TestBackup:
    def test_says_what_it_did(self, run, demo, tmp_path):
        told = run("backup", tmp_path / "copy", "--json").json
        assert (told["record"], told["copied"], told["unchanged"]) == ("backup_report", [demo], [])
        assert "0 sessions copied, 1 unchanged" in run("backup", tmp_path / "copy").out
        (tmp_path / "else").mkdir()
        (tmp_path / "else" / "x").write_text("x")
        assert run("backup", tmp_path / "else").code == ExitCode.REFUSED
