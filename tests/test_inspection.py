"""What programs look at a whole store with: the same as the commands."""

from localstore import LocalStore
from localstore.importers import read_transcript_file
from localstore.inspection import check_store, diagnose, measure, repair_store
from localstore.transcripts import put_transcript
from tests.cli.sample import DEMO, DEMO_ID


def test_a_store_is_filled_measured_checked_and_repaired(tmp_path):
    root = tmp_path / "store"
    with LocalStore(root) as store:
        assert put_transcript(store, read_transcript_file(DEMO), DEMO.name).added_count == 31
    told = []
    space = measure(root, lambda done, total: told.append((done, total)))
    assert [each.session_id for each in space.sessions] == [DEMO_ID]
    assert told[-1] == (1, 1)
    assert check_store(root).findings == ()
    assert diagnose(root).root == str(root)
    (damaged,) = root.glob("sessions/*/meta.json")
    damaged.write_bytes(b"?")
    assert [each.path for each in check_store(root).findings] == [damaged.relative_to(root).as_posix()]
    report = repair_store(root)
    assert report.actions
    assert {each.kind for each in report.after.findings} == {"quarantined"}
