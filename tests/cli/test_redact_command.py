"""`localstore redact`: what is said and done, and what the exit code means."""

import pytest

from localstore import AttachmentCreateMeta, FullGraph
from localstore.cli import ExitCode
from localstore.testing.builders import next_input, owner, said
from tests.cli.sample import loaded
from tests.commits import commit
from tests.folders import tree

SECRET = "sk-live-4711"
OTHER = "other"


@pytest.fixture
def told(store, session):
    """Two sessions with a secret in each."""
    for session_id in (session.session_id, OTHER):
        handle = store.create_session(session_id)
        commit(handle, said("a", None, f"the key {SECRET}"))
    session.enqueue_pending_turn_input(next_input(f"and {SECRET} again", input_id="i"))
    return session


def test_it_only_says_unless_told(run, root, store, told):
    store.close()
    before = tree(root)
    result = run("redact", SECRET)
    assert result.code == ExitCode.OK
    assert tree(root) == before
    assert [line.split() for line in result.lines[:-1]] == [
        ["SESSION", "IN", "ID", "MATCHES"],
        ["other", "node", "a", "1"],
        ["session-1", "node", "a", "1"],
        ["session-1", "input", "i", "1"],
    ]
    assert result.lines[-1] == (
        "3 matches in 3 places of 2 sessions; nothing was changed: give --apply to replace them"
    )


def test_it_does_when_told(run, told):
    report = run("redact", SECRET, "--apply", "--replacement", "***", "--json").json
    assert (report["record"], report["applied"], report["count"]) == ("redaction_report", True, 3)
    assert report["sessions"][0] == {
        "session_id": OTHER,
        "deleted_at_ms": None,
        "places": [{"kind": "node", "id": "a", "count": 1, "new_id": None}],
        "left": [],
    }
    assert (report["shared"], report["left"], report["spared"], report["unreadable"]) == ([], [], [], [])
    assert loaded(told, FullGraph()).graph.nodes[0].payload["content"] == "the key ***"
    assert run("redact", SECRET).lines == ["0 matches in 0 places of 0 sessions; nothing was changed"]


def test_one_session_by_the_beginning_of_its_id(run, store, told):
    result = run("redact", "--regex", r"sk-live-\d+", "oth", "--apply")
    assert result.lines[-1] == "1 match in 1 place of 1 session replaced"
    assert run("redact", SECRET, "--json").json["count"] == 2
    assert run("redact", SECRET, "nobody", "--apply").code == ExitCode.NOT_FOUND


@pytest.mark.parametrize("arguments", [["("], ["a*"], [""], ["red"]])
def test_what_is_no_pattern(run, told, arguments):
    result = run("redact", "--regex", *arguments)
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert result.err.startswith("localstore: ")


def test_what_stays_is_named(run, store, told):
    store.delete_session(OTHER)
    ref = store.attachments.put(f"is {SECRET}".encode(), AttachmentCreateMeta("text/plain"))
    lease = told.try_claim_session_execution_lease("session-1", owner(), 60_000).acquired()
    result = run("redact", SECRET, "--apply")
    assert result.code == ExitCode.FINDINGS
    assert result.lines[1].startswith("other (in the trash)")
    assert "session session-1 stays as it is: its lease is held" in result.err
    assert f"attachment {ref.id} stays" in result.err
    told.release_session_execution_lease(lease.completion())
    told.enqueue_pending_turn_input(next_input("x", source_key=f"{SECRET}-key"))
    result = run("redact", SECRET, "--apply", "--json")
    assert result.code == ExitCode.FINDINGS
    assert [(left["what"], left["id"]) for left in result.json["sessions"][0]["left"]] == [
        ("source key", f"{SECRET}-key")
    ]
    assert f"source key {SECRET}-key stays" in result.err
