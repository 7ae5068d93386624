"""A list reads the sessions that another store holds open from their journals, which have all kinds of records."""

from __future__ import annotations

from pathlib import Path

from localstore import LocalStore, QueuedWorkClaimBoundary
from localstore.testing import SESSION, next_input, owner, wake

HOUR = 3_600_000


def test_a_list_passes_over_what_became_of_queues(tmp_path: Path):
    with LocalStore(tmp_path / "store") as holder, LocalStore(tmp_path / "store") as other:
        session = holder.create_session(SESSION)
        lease = session.try_claim_session_execution_lease(SESSION, owner(), HOUR).acquired()
        assert lease is not None
        said = session.enqueue_pending_turn_input(next_input("hello"))
        session.enqueue_queued_work(wake())
        session.checkpoint()
        inputs = session.claim_next_turn_inputs(SESSION, lease.fence(), owner(), HOUR, 9)
        work = session.claim_ready_queued_work(SESSION, lease.fence(), owner(), QueuedWorkClaimBoundary.IDLE, HOUR, 9)
        assert inputs is not None
        assert work is not None
        session.renew_queued_work_claim(work, 2 * HOUR)
        session.abandon_queued_work_claim(work)
        session.abandon_turn_input_claim(inputs)
        session.cancel_pending_turn_input(SESSION, said.input_id)
        session.cancel_queued_work_batch(SESSION, work.batches[0].batch_id)
        assert other.list_sessions() == holder.list_sessions()
