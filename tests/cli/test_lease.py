"""`localstore lease`: who holds it, until when, and alive or dead on what grounds."""

import os
import subprocess
import sys

import pytest

from localstore import LeaseOwnerIdentity, LocalProcess, liveness
from localstore.cli import ExitCode
from localstore.cli.leases import judged
from tests.cli.sample import dead_owner, pid_of

ME = LeaseOwnerIdentity.local_process("me", "1")


def claim(session, owner, ttl_ms=60_000):
    return session.try_claim_session_execution_lease("session-1", owner, ttl_ms).acquired()


def process(**changes):
    own = liveness.this_process()
    fields = {"host_id": own.host_id, "boot_id": own.boot_id, "pid": own.pid, "process_start": own.start, **changes}
    return LeaseOwnerIdentity("it", "1", LocalProcess(**fields))


def told(run):
    return run("lease", "session-1", "--json").json


def test_a_free_lease(run, session):
    result = run("lease", "session-1")
    assert (result.code, result.lines) == (ExitCode.OK, ["nobody holds the lease"])
    assert told(run) == {
        "record": "lease",
        "schema_version": 1,
        "session_id": "session-1",
        "state": "free",
        "lease": None,
        "holder": None,
        "reason": None,
        "remaining_ms": None,
        "last_fencing_token": 0,
    }


def test_a_living_holder(run, session):
    lease = claim(session, ME)
    found = told(run)
    assert (found["state"], found["holder"], found["last_fencing_token"]) == ("held", "alive", lease.fencing_token)
    assert 0 < found["remaining_ms"] <= 60_000
    assert found["lease"] == run("show", "session-1", "--json").json["lease"]
    out = run("lease", "session-1").out
    assert "holder     me, incarnation 1\n" in out
    assert f"alive: process {os.getpid()} is there, and started when the holder did" in out


def test_a_dead_holder(run, session):
    ghost = dead_owner("ghost")
    claim(session, ghost)
    found = told(run)
    assert (found["state"], found["holder"]) == ("held", "dead")
    assert found["reason"] == f"no process has pid {pid_of(ghost)} any more"
    assert "held, by a dead holder" in run("lease", "session-1").out


def test_a_holder_of_which_nothing_is_known(run, session):
    claim(session, LeaseOwnerIdentity.opaque("somebody", "1"))
    assert told(run)["holder"] == "unknown"


def test_a_lease_that_expired_and_one_that_was_released(run, session):
    lease = claim(session, ME, 0)
    found = told(run)
    assert (found["state"], found["lease"]["fencing_token"]) == ("expired", lease.fencing_token)
    assert found["remaining_ms"] <= 0
    assert " s ago" in run("lease", "session-1").out
    session.release_session_execution_lease(lease.completion())
    assert (told(run)["state"], told(run)["last_fencing_token"]) == ("free", lease.fencing_token)


def test_it_changes_nothing(run, session):
    claim(session, dead_owner())
    cursor = session.changes().cursor
    told(run)
    assert session.changes(cursor).changes == ()


@pytest.mark.parametrize(
    "changes, word, reason",
    [
        ({"host_id": "elsewhere"}, "unknown", "another host or container"),
        ({"boot_id": "earlier"}, "unknown", "another boot"),
        ({"process_start": "ticks:1"}, "dead", "belongs to another process now"),
        ({"process_start": liveness.UNKNOWN_START}, "unknown", "cannot be examined"),
    ],
)
def test_the_verdict_on_a_process(changes, word, reason):
    verdict = judged(process(**changes))
    assert verdict.word == word
    assert reason in verdict.reason


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no zombies")
def test_a_zombie_is_dead():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start = liveness.process_start(child.pid)
    assert child.stdin is not None
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    verdict = judged(process(pid=child.pid, process_start=start))
    child.wait()
    assert verdict == ("dead", f"process {child.pid} has ended, and its parent has not noticed yet")
