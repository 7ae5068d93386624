"""A backup or an export of a session takes long, and others go on with the session meanwhile."""

import threading

import pytest

from localstore import FullGraph, LocalStore
from localstore.disk import snapshots, superseded
from localstore.disk.check import check_store
from localstore.disk.system import System, system
from localstore.testing import append_commit, next_input, node, owner

PATIENCE_S = 60


def opened(store, session_id):
    """The session, which must exist."""
    session = store.open_session(session_id)
    assert session is not None
    return session


def commit(session, *nodes):
    lease = session.try_claim_session_execution_lease("a", owner(), 60_000).acquired()
    made = append_commit(*nodes, session_id="a").with_session_execution_lease(lease.fence())
    session.commit_runtime_state(made.releasing_session_execution_lease(lease.completion()))


def node_ids(store, session_id="a"):
    return [each.node_id for each in store.open_session(session_id).load_session(FullGraph()).graph.nodes]


def rewrite(root, number):
    """Go on with the session in another store, so that none of its files is what it was."""
    with LocalStore(root) as other:
        session = opened(other, "a")
        commit(session, node(f"m{number}", "n1"), node(f"hidden{number}", "n1"))
        session.tombstone_nodes([f"hidden{number}"])
        session.vacuum()


@pytest.fixture
def store(tmp_path):
    with LocalStore(tmp_path / "store") as opened:
        session = opened.create_session("a")
        commit(session, node("n1", payload={"text": "x" * 100_000}))
        session.enqueue_pending_turn_input(next_input("waits", session_id="a"))
        session.checkpoint()
        yield opened


def backed_up(store, place):
    """Make a backup; what is in it."""
    store.backup(place)
    assert [each for each in check_store(place).findings if each.severity.value != "info"] == []
    with LocalStore(place) as copy:
        return node_ids(copy)


def exported(store, place):
    """Export the session, and import it elsewhere; what is in it."""
    store.export_session("a", place)
    with LocalStore(place.parent / "elsewhere") as copy:
        copy.import_session(place)
        return node_ids(copy)


class Stops(System):
    """Calls `meanwhile` when a file is about to be copied."""

    def __init__(self, meanwhile, *, links=True):
        self._meanwhile = meanwhile
        self._links = links

    def share(self, src, dst):
        self._meanwhile()
        if self._links:
            return super().share(src, dst)
        self._copy(src, dst)
        return False


@pytest.mark.race
@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
@pytest.mark.parametrize("copied", [backed_up, exported])
def test_a_commit_goes_through(store, tmp_path, copied, links):
    reached, go_on, found = threading.Event(), threading.Event(), []

    def meanwhile():
        reached.set()
        assert go_on.wait(PATIENCE_S)

    with system.installed(Stops(meanwhile, links=links)):
        copying = threading.Thread(target=lambda: found.append(copied(store, tmp_path / "copy")))
        copying.start()
        try:
            assert reached.wait(PATIENCE_S)
            with LocalStore(store.root) as other:
                commit(other.open_session("a"), node("n2", "n1"))
            commit(store.open_session("a"), node("n3", "n2"))
            assert found == []
        finally:
            go_on.set()
            copying.join()
    assert found == [["n1"]]
    assert node_ids(store) == ["n1", "n2", "n3"]


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
@pytest.mark.parametrize("copied", [backed_up, exported])
def test_what_is_gone_meanwhile_is_taken_as_it_is_then(store, tmp_path, monkeypatch, copied, links):
    monkeypatch.setattr(superseded, "GRACE_S", -1)
    numbers = iter(range(2))

    def meanwhile():
        for number in numbers:
            rewrite(store.root, number)
            return

    with system.installed(Stops(meanwhile, links=links)):
        assert copied(store, tmp_path / "copy") == ["n1", "m0", "m1"]


@pytest.mark.parametrize("copied", [backed_up, exported])
def test_there_is_an_end_to_it(store, tmp_path, monkeypatch, copied):
    """Where all is gone again and again, it is copied under the lock at last."""
    monkeypatch.setattr(superseded, "GRACE_S", -1)
    tried: list[int] = []

    def meanwhile():
        if len(tried) < snapshots.TRIES_UNLOCKED:
            tried.append(1)
            rewrite(store.root, len(tried))

    with system.installed(Stops(meanwhile)):
        found = copied(store, tmp_path / "copy")
    assert found == node_ids(store)
    assert len(found) == snapshots.TRIES_UNLOCKED + 1


def test_a_later_backup_takes_what_is_there_then(store, tmp_path, monkeypatch):
    monkeypatch.setattr(superseded, "GRACE_S", -1)
    backed_up(store, tmp_path / "copy")
    commit(store.open_session("a"), node("n2", "n1"))
    numbers = iter(range(1))

    def meanwhile():
        for number in numbers:
            rewrite(store.root, number)

    with system.installed(Stops(meanwhile)):
        assert backed_up(store, tmp_path / "copy") == ["n1", "n2", "m0"]
    assert len(list((tmp_path / "copy").glob("sessions/a-*/nodes/*"))) == len(
        list(store.root.glob("sessions/a-*/nodes/*"))
    )
