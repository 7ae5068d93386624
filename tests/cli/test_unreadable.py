"""One session that cannot be read hides no other: commands name it and go on."""

import pytest

from localstore import AttachmentCreateMeta, CorruptRecord, LocalStore, SessionScopedAttachmentStore
from localstore.cli import ExitCode
from localstore.testing.builders import said
from tests.commits import commit

GOOD = "good"
BAD = "bad"

pytestmark = pytest.mark.damaged


@pytest.fixture
def damaged(root):
    """A store with a session that is well, and one of which nothing but its folder and its name is left."""
    with LocalStore(root) as store:
        for session_id in (GOOD, BAD):
            session = store.create_session(session_id)
            attachments = SessionScopedAttachmentStore(store.attachments, session)
            attachments.put(session_id.encode(), AttachmentCreateMeta("text/plain"))
            commit(session, said("a", None, f"needle in {session_id}"))
    (folder,) = (root / "sessions").glob(f"{BAD}-*")
    (folder / "head.json").write_bytes(b"?")
    for file in (folder / "nodes").iterdir():
        file.write_bytes(b"?")
    return folder


def test_the_library_raises_or_tells_both(root, damaged):
    with LocalStore(root) as store:
        with pytest.raises(CorruptRecord):
            store.list_sessions()
        survey = store.survey_sessions()
        assert [row.session_id for row in survey.sessions] == [GOOD]
        (unreadable,) = survey.unreadable
        assert (unreadable.session_id, unreadable.path) == (BAD, str(damaged))
        assert "head.json" in unreadable.reason


def test_ls(run, damaged):
    result = run("ls")
    assert result.code == ExitCode.FINDINGS
    assert [line.split()[0] for line in result.lines] == ["SESSION", GOOD]
    assert result.err.startswith(f"localstore: session {BAD} cannot be read: ")
    listed = run("ls", "--json")
    assert listed.code == ExitCode.FINDINGS
    assert [row["session_id"] for row in listed.json["sessions"]] == [GOOD]
    (unreadable,) = listed.json["unreadable"]
    assert (unreadable["session_id"], unreadable["path"]) == (BAD, str(damaged))


def test_search(run, damaged):
    result = run("search", "needle", "--json")
    assert result.code == ExitCode.FINDINGS
    assert [hit["session_id"] for hit in result.json["hits"]] == [GOOD]
    (unreadable,) = result.json["unreadable"]
    assert (unreadable["session_id"], unreadable["path"]) == (BAD, str(damaged))
    assert result.err.startswith(f"localstore: session {BAD} cannot be read: ")


def test_redact(run, damaged):
    result = run("redact", "needle", "--json")
    assert result.code == ExitCode.FINDINGS
    assert [each["session_id"] for each in result.json["sessions"]] == [GOOD]
    (unreadable,) = result.json["unreadable"]
    assert (unreadable["session_id"], unreadable["path"]) == (BAD, str(damaged))
    assert f"localstore: session {BAD} cannot be looked at: " in result.err


def test_looking_one_up_by_the_beginning_of_its_id(run, damaged):
    assert run("show", "goo").code == ExitCode.OK
    assert run("show", "nobody").code == ExitCode.NOT_FOUND
    result = run("show", "ba")
    assert result.code == ExitCode.REFUSED
    assert "cannot be read" in result.err


def test_space_and_doctor(run, damaged):
    assert {each["session_id"] for each in run("du", "--json").json["sessions"]} >= {GOOD}
    assert run("du", "goo").code == ExitCode.OK
    result = run("doctor", "--json")
    assert result.code == ExitCode.FINDINGS
    assert "damaged_session" in {each["kind"] for each in result.json["findings"]}


def test_prune(run, root, damaged):
    result = run("prune", "--max-sessions", "0", "--apply", "--json")
    assert result.code == ExitCode.FINDINGS
    assert [row["session_id"] for row in result.json["sessions"]] == [GOOD]
    assert [each["session_id"] for each in result.json["unreadable"]] == [BAD]
    assert damaged.exists()


@pytest.mark.parametrize("command", ["vacuum", "gc"])
def test_upkeep_of_all(run, damaged, command):
    result = run(command, "--all", "--json")
    assert result.code == ExitCode.FINDINGS
    assert [row["session_id"] for row in result.json["sessions"]] == [GOOD]
    assert [each["session_id"] for each in result.json["unreadable"]] == [BAD]


def test_no_attachment_goes_that_it_may_need(run, root, damaged):
    files = sorted((root / "attachments").rglob("*"))
    result = run("gc", "--attachments", "0d", "--json")
    assert result.code == ExitCode.FINDINGS
    assert result.json["deleted_attachment_ids"] == []
    assert [each["session_id"] for each in result.json["unreadable"]] == [BAD]
    assert "no attachment was removed" in result.err
    named = run("gc", GOOD, "--attachments", "0d", "--json")
    assert (named.code, [each["session_id"] for each in named.json["unreadable"]]) == (ExitCode.FINDINGS, [BAD])
    with LocalStore(root) as store, pytest.raises(CorruptRecord):
        store.sweep_attachments(2**50)
    assert sorted((root / "attachments").rglob("*")) == files


def test_backup_of_the_others(run, root, damaged, tmp_path):
    result = run("backup", tmp_path / "backup")
    assert result.code == ExitCode.REFUSED
    with LocalStore(tmp_path / "backup") as store:
        assert [row.session_id for row in store.list_sessions()] == [GOOD]
