"""A redaction that is cut off or refused anywhere leaves the session as it was, or redacted; the next one finishes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from localstore import BackendError, Durability, LocalStore
from localstore.disk.check import check_store
from localstore.disk.system import system
from localstore.testing import SESSION, ManualClock
from tests.cli.sample import opened
from tests.history.faults import FailsAt
from tests.history.living import Living
from tests.redaction.secretive import everything, fill, holding

PLAIN = "sk-live-4711"
MOST_CHANGES = 400


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Path, str]:
    """A store whose session has a secret in its journal, and what it says of itself."""
    clock = ManualClock()
    living = Living(LocalStore(tmp_path / "store", durability=Durability.PROCESS, clock=clock), clock)
    fill(living, PLAIN)
    living.session.checkpoint()
    living.session.create_branch("kept")
    shutil.copytree(living.root, tmp_path / "prepared")
    before = everything(living.session)
    living.store.close()
    return tmp_path / "prepared", before


@pytest.mark.parametrize(("dead", "trashed"), [(False, False), (True, False), (True, True)])
def test_at_every_change(prepared: tuple[Path, str], tmp_path: Path, dead: bool, trashed: bool) -> None:
    source, before = prepared
    if trashed:
        with LocalStore(source, durability=Durability.PROCESS) as store:
            store.delete_session(SESSION)
    for number in range(MOST_CHANGES):
        root = tmp_path / "copy"
        shutil.copytree(source, root)
        fault = FailsAt(number, dead=dead)
        is_done = _redact_until(root, fault)
        _judge(root, before, trashed)
        shutil.rmtree(root)
        if fault.failed is None:
            assert is_done
            break
    else:
        pytest.fail("it never ended")


def _redact_until(root: Path, fault: FailsAt) -> bool:
    """Redact on a disk that fails; whether it says that it is done."""
    store = LocalStore(root, durability=Durability.PROCESS)
    try:
        with system.installed(fault):
            try:
                return store.redact(PLAIN, apply=True).is_complete
            except BackendError:
                return False
            finally:
                if fault.dead:
                    # As if the process had ended here: nothing is folded or tidied up by it.
                    try:
                        store.close()
                    except BackendError:
                        pass
    finally:
        try:
            store.close()
        except BackendError:
            pass


def _judge(root: Path, before: str, trashed: bool) -> None:
    assert check_store(root).errors == ()
    with LocalStore(root, durability=Durability.PROCESS) as store:
        if trashed:
            (entry,) = store.trash()
            assert store.list_sessions() == ()
            assert entry.session_id == SESSION
        else:
            said = everything(opened(store, SESSION))
            assert said == before or PLAIN not in said
        store.redact(PLAIN, apply=True)
        assert holding(root, PLAIN) == []
        if trashed:
            store.restore_session(SESSION)
        said = everything(opened(store, SESSION))
        assert PLAIN not in said
        assert said.count("node_id=") == before.count("node_id=")
