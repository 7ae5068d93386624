"""How the adapters write: one commit at a time under the session's execution lease, which ends with the commit.

Several processes may work on one session. Each commit is decided on the head that was read, and takes the lease in
passing. Where another one was faster, or holds the session, the lease is claimed first and the commit decided anew; a
lane that is taken is waited for, and a holder that is provably dead is replaced at once.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from ..contract.commits import PersistedSessionRead, RuntimeCommit, RuntimeTurnCommitStamp
from ..contract.errors import (
    BackendError,
    HeadRevisionConflict,
    SessionExecutionLeaseExpired,
    SessionExecutionLeaseHeld,
)
from ..contract.graph import ActivePath, GraphDelta
from ..contract.leases import LeaseBusy, LeaseOwnerIdentity, SessionExecutionLease
from ..contract.sessions import SessionHead
from ..contract.state import AgentFrameRecord, BlobRef, HydratedSessionCheckpoint, PersistedSessionConfig
from ..session import SessionStore

LEASE_MS: Final = 30_000
"""How long a lane is held at most: a commit takes milliseconds, the rest is for a process that is stopped in it."""
WAIT_S: Final = 60.0
"""How long a lane that somebody else holds is waited for."""

_FIRST_WAIT_S: Final = 0.000_5
_LONGEST_WAIT_S: Final = 0.02
_MAX_CONFLICTS: Final = 32

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Step:
    """What one commit does to the graph, and the stamp that makes it happen once."""

    graph: GraphDelta
    stamp: RuntimeTurnCommitStamp | None = None


@dataclass(frozen=True, slots=True)
class _Carried:
    """What a commit must repeat, since it states the whole of it; `ref` is the address of the checkpoint it is from."""

    ref: BlobRef | None
    config: PersistedSessionConfig
    frames: tuple[AgentFrameRecord, ...] = ()
    frame_id: str | None = None
    checkpoint: HydratedSessionCheckpoint = field(default_factory=HydratedSessionCheckpoint)


class Lane:
    """The way to write to one session; threads may share it.

    Args:
        session: the session.
        framework: whose session it is: the lease's owner, and the `provider_id` of a session that is new.
        wait_s: how long a lane that somebody else holds is waited for.
    """

    def __init__(self, session: SessionStore, framework: str, wait_s: float = WAIT_S) -> None:
        self.session = session
        self._framework = framework
        self._wait_s = wait_s
        self._incarnation = os.urandom(8).hex()
        self._mutex = threading.Lock()
        self._never = threading.Event()
        self._carried: _Carried | None = None

    def commit(self, decide: Callable[[SessionHead | None], tuple[Step | None, R]]) -> R:
        """Commit what `decide` makes of the current head, and give its second answer; no step, no commit.

        `decide` is called again, with a newer head, when the head moved or the lease was lost before the commit.

        Raises:
            BackendError: somebody else held the session all the time.
            StoreError: as the store's calls do. Nothing was committed then.
        """
        with self._mutex:
            is_contended = False
            for attempt in range(_MAX_CONFLICTS):
                lease = self._claim() if is_contended else None
                try:
                    head = self.session.load_session_head()
                    step, answer = decide(head)
                    if step is not None:
                        self._commit(head, step, lease)
                        return answer
                except (HeadRevisionConflict, SessionExecutionLeaseExpired, SessionExecutionLeaseHeld):
                    if attempt == _MAX_CONFLICTS - 1:
                        raise
                    is_contended = True
                    continue
                except BaseException:
                    self._release(lease)
                    raise
                self._release(lease)
                return answer
            raise AssertionError("the last attempt returns or raises")

    def remember(self, read: PersistedSessionRead) -> None:
        """Take from a read what commits must repeat, so that the first one need not read the session for it."""
        self._carried = _Carried(
            read.checkpoint_ref,
            read.config,
            tuple(replace(frame, execution_state_snapshot=None) for frame in read.agent_frames),
            read.current_agent_frame_id,
            replace(read.checkpoint, tool_state=None, plugin_snapshot=None, execution_state=None),
        )

    def _commit(self, head: SessionHead | None, step: Step, lease: SessionExecutionLease | None) -> None:
        carried = self._carry(head)
        request = RuntimeCommit(
            self.session.session_id,
            0 if head is None else head.head_revision,
            carried.config,
            carried.frames,
            carried.frame_id,
            step.graph,
            carried.checkpoint,
            turn_commit=step.stamp,
        )
        if lease is None:
            result = self.session.commit_in_passing(request, self._owner())
        else:
            request = request.with_session_execution_lease(lease.fence())
            result = self.session.commit_runtime_state(request.releasing_session_execution_lease(lease.completion()))
        self._carried = replace(carried, ref=result.checkpoint_ref)

    def _owner(self) -> LeaseOwnerIdentity:
        return LeaseOwnerIdentity.local_process(self._framework, f"{self._incarnation}-{os.getpid()}")

    def _carry(self, head: SessionHead | None) -> _Carried:
        if head is not None and (self._carried is None or self._carried.ref != head.checkpoint_ref):
            read = self.session.load_session(ActivePath())
            if read is not None:
                self.remember(read)
        if head is None or self._carried is None:
            return _Carried(None, PersistedSessionConfig(self._framework))
        return self._carried

    def _claim(self) -> SessionExecutionLease:
        owner = self._owner()
        session_id = self.session.session_id
        deadline = time.monotonic() + self._wait_s
        wait_s = _FIRST_WAIT_S
        while True:
            outcome = self.session.try_claim_session_execution_lease(session_id, owner, LEASE_MS)
            if isinstance(outcome, LeaseBusy):
                observed = outcome.holder.fence()
                outcome = self.session.reclaim_session_execution_lease(session_id, owner, observed, LEASE_MS)
            if not isinstance(outcome, LeaseBusy):
                return outcome.lease
            if time.monotonic() >= deadline:
                raise BackendError(
                    f"session {session_id!r} is held by {outcome.holder.owner.owner_id!r}"
                    f" and was not free within {self._wait_s:g} s; try again when it is"
                )
            # Two processes that wait must not wake in step for ever.
            self._never.wait(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def _release(self, lease: SessionExecutionLease | None) -> None:
        if lease is not None:
            self.session.release_session_execution_lease(lease.completion())
