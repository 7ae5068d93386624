"""`localstore ls` and `localstore show`."""

import sys
from typing import Any

import pytest

from localstore import ActivePath, ChildSession, LeaseOwnerIdentity, LocalStore, RootSession, TokenUsage
from localstore.cli import ExitCode
from localstore.disk import names
from localstore.testing import ManualClock, node
from localstore.testing.builders import said, usage
from tests.cli.sample import DEMO, DEMO_ID, dead_owner
from tests.commits import commit

SUMMARY_FIELDS = {
    "session_id",
    "session_name",
    "cwd",
    "model",
    "relation",
    "created_at_ms",
    "updated_at_ms",
    "first_user_message",
    "user_message_count",
    "node_count",
    "head_revision",
    "size_bytes",
}


def test_ls_of_an_empty_store(run, root, store):
    result = run("ls")
    assert (result.code, result.lines) == (ExitCode.OK, [f"no sessions in {root}"])
    assert run("ls", "--json").json == {
        "record": "session_list",
        "schema_version": 1,
        "root": str(root),
        "sessions": [],
        "fitting_count": 0,
        "unreadable": [],
    }


def test_ls_newest_activity_first(run, store):
    for session_id in ("first", "second", "third"):
        store.create_session(session_id)
    commit(store.open_session("second"), said("n", None, "Hello there"))
    rows = run("ls", "--json").json["sessions"]
    assert [row["session_id"] for row in rows] == [row.session_id for row in store.list_sessions()]
    header, *lines = run("ls").lines
    assert header.split() == ["SESSION", "UPDATED", "NODES", "USER", "SIZE", "NAME", "OR", "FIRST", "MESSAGE"]
    assert [line.split()[0] for line in lines] == [row["session_id"] for row in rows]
    [told] = [line for line in lines if line.startswith("second")]
    assert told.endswith("Hello there")


def test_ls_as_json_has_every_field_of_the_summary(run, store):
    parent = ChildSession("parent", {"tool": "task"})
    store.create_session("child", session_name="A child", model="a-model", cwd="/somewhere", relation=parent)
    [row] = run("ls", "--json").json["sessions"]
    [summary] = store.list_sessions()
    assert set(row) == SUMMARY_FIELDS
    assert row.pop("relation") == {
        "kind": "child",
        "parent_session_id": "parent",
        "caused_by": {"tool": "task"},
    }
    assert row == {name: getattr(summary, name) for name in SUMMARY_FIELDS - {"relation"}}


@pytest.fixture
def several(root):
    """Sessions a second apart, the newest last."""
    clock = ManualClock(1_767_225_600_000)
    with LocalStore(root, clock=clock) as store:
        for session_id, cwd, model, relation, text in (
            ("one", "/srv/site", "Big-1", RootSession(), "Why is LOGIN slow?"),
            ("two", "/srv/site/app", "small-1", ChildSession("one"), "Tidy up"),
            ("three", "/srv/sites", "small-2", ChildSession("gone"), "Tidy up more"),
            ("four", None, "", RootSession(), "Hello"),
        ):
            clock.advance(1_000)
            session = store.create_session(session_id, cwd=cwd, model=model, relation=relation)
            commit(session, said(f"n-{session_id}", None, text))
        yield store


@pytest.mark.parametrize(
    "options, listed",
    [
        (("--cwd", "/srv/site"), ["two", "one"]),
        (("--cwd", "/srv/site/"), ["two", "one"]),
        (("--cwd", "/srv"), ["three", "two", "one"]),
        (("--cwd", "/"), ["three", "two", "one"]),
        (("--cwd", "/elsewhere"), []),
        (("--model", "SMALL"), ["three", "two"]),
        (("--model", "big-1"), ["one"]),
        (("--parent", "one"), ["two"]),
        (("--parent", "on"), ["two"]),
        (("--parent", "gone"), ["three"]),
        (("--parent", "four"), []),
        (("--text", "login"), ["one"]),
        (("--text", "tidy up"), ["three", "two"]),
        (("--text", "FOUR"), ["four"]),
        (("--since", "2026-01-01T00:00:03Z"), ["four", "three"]),
        (("--until", "2026-01-01T00:00:02Z"), ["two", "one"]),
        (("--since", "2026-01-01T00:00:02Z", "--until", "2026-01-01T00:00:03Z"), ["three", "two"]),
        (("--until", "2025-12-31"), []),
        (("--model", "small", "--text", "more"), ["three"]),
    ],
)
def test_ls_lists_what_fits(run, several, options, listed):
    told = run("ls", "--json", *options).json
    assert [row["session_id"] for row in told["sessions"]] == listed
    assert told["fitting_count"] == len(listed)
    lines = run("ls", *options).lines
    assert [line.split()[0] for line in lines[1:]] == listed if listed else lines == ["no session fits"]


def test_ls_in_pages(run, several):
    pages = [run("ls", "--json", "--limit", "3", "--offset", offset).json for offset in (0, 3, 6)]
    assert [[row["session_id"] for row in page["sessions"]] for page in pages] == [
        ["four", "three", "two"],
        ["one"],
        [],
    ]
    assert [page["fitting_count"] for page in pages] == [4, 4, 4]
    assert run("ls", "--limit", "3").lines[-1] == "1 to 3 of 4 sessions; for more: --offset 3"
    assert run("ls", "--limit", "3", "--offset", "3").lines[-1] == "4 to 4 of 4 sessions"
    assert run("ls", "--limit", "4").lines[-1].startswith("one ")


@pytest.mark.parametrize("options", [("--limit", "0"), ("--offset", "-1"), ("--since", "yesterday"), ("--parent", "t")])
def test_ls_refuses_what_it_cannot_mean(run, several, options):
    assert run("ls", *options).code == ExitCode.USAGE


def test_show_in_words(run, session):
    commit(
        session, said("n1", None, "one"), said("n2", "n1", "two", "assistant"), usage_deltas=(usage("turn", "m", 5),)
    )
    result = run("show", "session-1")
    assert result.code == ExitCode.OK
    assert "session  session-1" in result.lines
    assert "name     A session" in result.lines
    assert "model    a-model" in result.lines
    assert "cwd      /somewhere" in result.lines
    assert "head     revision 1, leaf n2" in result.lines
    assert "lease    free" in result.lines
    assert [line.split() for line in result.lines if line.startswith("turn ")] == [
        ["turn", "m", "5", "0", "0", "0", "0"]
    ]
    assert [line.split()[::2] for line in result.lines[-2:]] == [["n1", "user"], ["n2", "assistant"]]


def test_show_what_was_said_word_by_word(run, session):
    long = "first line\n\tindented " + "word " * 100 + "\x1b[31m\u202ered\nlast line"
    call = {"type": "tool_use", "id": "c", "name": "Bash", "input": {"command": "x" * 500}}
    result = {"type": "tool_result", "tool_use_id": "c", "content": "a\nb " + "y" * 500}
    payloads: list[dict[str, Any]] = [
        {"message": {"role": "user", "content": long}},
        {"message": {"role": "assistant", "content": [{"type": "text", "text": "so:\nit is"}, call]}},
        {"message": {"role": "user", "content": [result]}},
    ]
    parent = None
    made = []
    for number, payload in enumerate(payloads):
        made.append(node(f"node-{number}", parent, payload=payload))
        parent = made[-1].node_id
    commit(session, *made)
    shown = run("show", session.session_id, "--text").out
    lines = shown[shown.index("user  ") :].splitlines()
    assert lines[0].endswith("node-0")
    assert lines[1] == "    first line"
    assert lines[2] == "        indented " + "word " * 100 + "\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}red"
    assert lines[3:5] == ["    last line", ""]
    assert lines[5].startswith("assistant  ")
    assert lines[6:8] == ["    so:", "    it is"]
    assert lines[8].startswith('    \u2192 Bash({"command":"xxx')
    assert lines[8].endswith("\u2026")
    assert lines[11].startswith("    \u2190 a b yyy")
    assert len(lines) == 12


def test_show_as_json(run, session):
    commit(session, said("n1", None, "one"), said("n2", "n1", "two"), usage_deltas=(usage("turn", "m", 5),))
    told = run("show", "session-1", "--json").json
    read = session.load_session(ActivePath())
    assert set(told.pop("summary")) == SUMMARY_FIELDS
    assert told.pop("created_at") == session.load_session_meta().created_at
    assert told == {
        "record": "session",
        "schema_version": 1,
        "lease": None,
        "leaf_node_id": "n2",
        "checkpoint_ref": read.checkpoint_ref,
        "current_agent_frame_id": None,
        "token_ledger": [
            {
                "source": "turn",
                "model": "m",
                "input_tokens": 5,
                "output_tokens": 0,
                "cache_read_input_tokens": 0,
                "cache_write_input_tokens": 0,
                "reasoning_output_tokens": 0,
            }
        ],
        "scope": "active_path",
        "nodes": [
            {
                "node_id": node.node_id,
                "parent_node_id": node.parent_node_id,
                "timestamp": node.timestamp,
                "agent_frame_id": None,
                "caused_by": None,
                "payload": node.payload,
            }
            for node in read.graph.nodes
        ],
    }


def test_show_before_the_first_commit(run, session):
    result = run("show", "session-1")
    assert result.code == ExitCode.OK
    assert "head     revision 0, before the first node" in result.lines
    told = run("show", "session-1", "--json").json
    assert (told["leaf_node_id"], told["checkpoint_ref"], told["nodes"]) == (None, None, [])


def test_show_all_branches_or_the_path(run, session):
    commit(session, said("root", None, "one"))
    commit(session, said("left", "root", "two"))
    commit(session, said("right", "root", "three"))
    shown = run("show", "session-1", "--json").json
    assert [node["node_id"] for node in shown["nodes"]] == ["root", "right"]
    full = run("show", "session-1", "--full", "--json").json
    assert [node["node_id"] for node in full["nodes"]] == ["root", "left", "right"]
    assert full["scope"] == "full_graph"


@pytest.mark.parametrize("asked, shown", [(("--last", "0"), 0), (("--last", "2"), 2), (("--last", "99"), 40), ((), 30)])
def test_show_the_last_nodes(run, session, asked, shown):
    nodes = [said(f"n{number}", f"n{number - 1}" if number else None, "text") for number in range(40)]
    commit(session, *nodes)
    lines = run("show", "session-1", *asked).lines
    told = [line.split()[0] for line in lines if line.startswith("n") and line.split()[0][1:].isdigit()]
    assert told == [node.node_id for node in nodes[40 - shown :]]
    assert (f"{40 - shown} nodes before; see --last and --full" in lines) == (0 < shown < 40)
    as_json = run("show", "session-1", "--json", *asked).json["nodes"]
    assert len(as_json) == (shown if asked else 40)


def test_show_the_path_to_a_node(run, session):
    commit(session, *(said(f"n{number}", f"n{number - 1}" if number else None, "text") for number in range(4)))
    told = run("show", "session-1", "--at", "n2", "--last", "2", "--json").json
    assert [each["node_id"] for each in told["nodes"]] == ["n1", "n2"]
    assert told["leaf_node_id"] == "n3"
    assert "revision 1, leaf n3" in run("show", "session-1", "--at", "n2").out
    assert run("show", "session-1", "--at", "m").code == ExitCode.NOT_FOUND
    assert run("show", "session-1", "--at", "n2", "--full").code == ExitCode.USAGE


def test_show_who_holds_it(run, session):
    held = session.try_claim_session_execution_lease("session-1", dead_owner("ghost"), 60_000).acquired()
    assert f"held by ghost (pid {held.owner.liveness.pid}, dead), fencing token 1" in run("show", "session-1").out
    lease = run("show", "session-1", "--json").json["lease"]
    assert lease["owner"]["owner_id"] == "ghost"
    assert lease["owner"]["process"]["definitely_dead"] is True
    assert lease["expires_at_epoch_ms"] == held.expires_at_epoch_ms
    mine = LeaseOwnerIdentity.local_process("me", "1")
    taken = session.reclaim_session_execution_lease("session-1", mine, held.fence(), 60_000).acquired()
    assert "dead" not in run("show", "session-1").out
    session.release_session_execution_lease(taken.completion())
    opaque = LeaseOwnerIdentity.opaque("somewhere", "1")
    session.try_claim_session_execution_lease("session-1", opaque, 60_000)
    assert "held by somewhere, fencing token 3" in run("show", "session-1").out
    assert run("show", "session-1", "--json").json["lease"]["owner"]["process"] is None


def test_a_tombstoned_leaf(run, session):
    commit(session, said("n1", None, "one"))
    session.tombstone_nodes(["n1"])
    told = run("show", "session-1", "--json").json
    assert (told["leaf_node_id"], told["nodes"]) == (None, [])


@pytest.mark.damaged
def test_show_needs_no_other_session(run, root):
    with LocalStore(root) as store:
        for session_id in ("sound", "broken"):
            commit(store.create_session(session_id), said("n", None, "text"))
    shown = run("show", "sound", "--json")
    folder = root / names.SESSIONS / names.session_dirname("broken")
    for path in (folder / names.HEAD, *(folder / names.NODES).iterdir()):
        path.write_bytes(b"damaged")
    assert run("show", "sound", "--json") == shown
    assert run("queue", "sound").code == ExitCode.OK
    result = run("show", "broken")
    assert result.code == ExitCode.REFUSED
    assert str(folder / names.HEAD) in result.err


def test_what_a_terminal_obeys_is_not_printed(run, store):
    wicked = "\x1b]0;title\x07 \x1b[31mred\x9b2J\u202eback\r\n\tline"
    session = store.create_session("wicked\x1b[2J", session_name=wicked, model=wicked, cwd=wicked)
    commit(session, said("n\x1b", None, wicked))
    for arguments in (("ls",), ("show", "wicked"), ("queue", "wicked")):
        result = run(*arguments)
        assert result.code == ExitCode.OK
        assert not any(bad in result.out for bad in "\x1b\x07\x9b\u202e\r\t")


def test_a_terminal_gets_a_table_as_wide_as_it_is(run, monkeypatch, store):
    for number in range(3):
        session = store.create_session(f"a-session-with-quite-a-long-id-{number}", session_name="A name " * 9)
        commit(session, said("n", None, "word " * 50))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    run("ls")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    drawn = run("ls").out
    assert "\x1b[1m" in drawn
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    for line in run("ls").lines:
        assert len(line) <= 80
    assert sum(" 1 " in line for line in run("ls").lines) == 3


def test_the_bundled_session(run):
    run("import", DEMO)
    told = run("show", DEMO_ID[:4], "--json").json
    assert told["summary"]["session_id"] == DEMO_ID
    assert len(told["nodes"]) == 26
    total = TokenUsage()
    for row in told["token_ledger"]:
        total = total.plus(TokenUsage(**{name: count for name, count in row.items() if name.endswith("tokens")}))
    assert total == TokenUsage(62, 1843, 198377, 25274, 0)
    assert "Only the German case fails" in run("show", DEMO_ID).out
