"""The identity of a process that really lived and is really dead."""

from __future__ import annotations

import functools
import multiprocessing
from multiprocessing.connection import Connection

from .. import LeaseOwnerIdentity, LocalProcess


def _tell(answer: Connection) -> None:
    liveness = LeaseOwnerIdentity.local_process("child", "1").liveness
    assert isinstance(liveness, LocalProcess)
    answer.send((liveness.host_id, liveness.boot_id, liveness.pid, liveness.process_start))
    answer.close()


@functools.cache
def dead_process() -> LocalProcess:
    """The identity of a child process of this one, which has ended and was waited for."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_tell, args=(theirs,))
    child.start()
    theirs.close()
    host_id, boot_id, pid, start = mine.recv()
    mine.close()
    child.join()
    child.close()
    return LocalProcess(host_id, boot_id, pid, start)


def dead_owner(name: str = "dead", incarnation: str = "1") -> LeaseOwnerIdentity:
    """An owner that was a process of this host and boot, and is definitely dead."""
    return LeaseOwnerIdentity(name, incarnation, dead_process())
