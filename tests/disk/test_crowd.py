"""When more sessions are open than may be, the longest unused is closed: without waiting for anybody."""

from pathlib import Path

from localstore import LocalStore
from localstore.disk import crowd, housekeeping
from localstore.disk.keeper import FileKeeper
from localstore.disk.lock import SessionLock
from localstore.testing import OTHER, SESSION
from localstore.testing.builders import wake


def test_a_session_that_another_works_on_is_not_waited_for(checked_root, monkeypatch):
    """Both may hold a lock that the other would have to wait for: with 65 sessions that stopped two processes."""
    monkeypatch.setattr(crowd, "MAX_OPEN_SESSIONS", 1)
    monkeypatch.setattr(housekeeping, "VIEW_DELAY_S", 0)
    waits = []
    acquire = SessionLock.acquire

    def noted(lock, deadline_s):
        if Path(lock.path).parent.name.startswith(SESSION):
            waits.append(deadline_s)
        acquire(lock, deadline_s)

    with LocalStore(checked_root) as ours, LocalStore(checked_root) as theirs:
        first = ours.create_session(SESSION)
        first.enqueue_queued_work(wake())
        second = ours.create_session(OTHER)
        holder = theirs._sessions.find(SESSION)
        assert isinstance(holder, FileKeeper)

        def open_the_second(loaded):
            monkeypatch.setattr(SessionLock, "acquire", noted)
            second.enqueue_queued_work(wake(session_id=OTHER))
            monkeypatch.setattr(SessionLock, "acquire", acquire)

        holder.folded(open_the_second)
        assert set(waits) == {0.0}
        first.enqueue_queued_work(wake())
        assert len(first.list_queued_work(SESSION)) == 2
    assert list(checked_root.rglob("*.journal")) == []
