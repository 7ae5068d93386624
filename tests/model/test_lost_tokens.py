"""A change of the boot may have cost the latest tokens: the next ones of the lease and of claims jump past them."""

from __future__ import annotations

from localstore import QueuedWorkClaimBoundary
from localstore.machine import leases, queued_work, turn_inputs
from localstore.testing import next_input, owner, wake
from tests.model.pure_session import HOUR, PureSession

JUMP = 2**32


def claims(session: PureSession) -> list[int]:
    """The fencing tokens of a new lease and of a claim of each queue under it."""
    lease = session.lease()
    fence = lease.fence()
    session.do(turn_inputs.enqueue(next_input("hello")))
    session.do(queued_work.enqueue(wake()))
    inputs = session.do(turn_inputs.claim_next(fence, owner(), HOUR, 9))
    work = session.do(queued_work.claim_ready(fence, owner(), QueuedWorkClaimBoundary.IDLE, HOUR, 9))
    session.do(leases.release(lease.completion()))
    return [fence.fencing_token, inputs.fencing_token, work.fencing_token]


def test_tokens_grow_by_one_within_a_boot():
    session = PureSession()
    assert [claims(session), claims(session)] == [[1, 1, 2], [2, 3, 4]]


def test_tokens_jump_once_after_another_boot():
    session = PureSession()
    claims(session)
    session.boot_id = "another boot"
    assert claims(session) == [JUMP + 2, JUMP + 3, JUMP + 4]
    assert claims(session) == [JUMP + 3, JUMP + 5, JUMP + 6]
