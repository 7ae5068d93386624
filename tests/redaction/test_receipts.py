"""Receipts of redactions are looked at by the check."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from localstore.disk.check import Severity, check_store
from localstore.disk.lines import encode_line
from tests.history.living import Living
from tests.redaction.secretive import fill

PLAIN = "sk-live-4711"


@pytest.fixture
def receipt(on_files: Living) -> Path:
    """The receipt of a redaction, in a store that is closed."""
    fill(on_files, PLAIN)
    assert on_files.store.redact(PLAIN, apply=True).count
    on_files.store.close()
    (found,) = on_files.root.glob("sessions/*/redactions/*.json")
    return found


def test_a_whole_one_is_no_finding(on_files: Living, receipt: Path) -> None:
    assert receipt.exists()
    assert check_store(on_files.root).findings == ()


@pytest.mark.damaged
def test_a_damaged_one_is_told(on_files: Living, receipt: Path) -> None:
    raw = receipt.read_bytes()
    for at in range(len(raw)):
        receipt.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        (found,) = check_store(on_files.root).errors
        assert found.path == receipt.relative_to(on_files.root).as_posix()
        assert found.kind in {"damaged_record", "damaged_ending", "schema_version"}


def test_one_that_did_not_end_is_told(on_files: Living, receipt: Path) -> None:
    fields = orjson.loads(receipt.read_bytes())
    del fields["done"], fields["sum"]
    receipt.write_bytes(encode_line(orjson.dumps(fields)))
    (found,) = check_store(on_files.root).findings
    assert (found.severity, found.kind) == (Severity.WARNING, "redaction_unfinished")
    assert found.path == receipt.relative_to(on_files.root).as_posix()
