"""`lease`: who may write to a session, until when, and whether that holder is alive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from . import output
from .invocation import Invocation
from .output import AsJson
from .selecting import SessionArgument, look, select

if TYPE_CHECKING:
    from ..contract.leases import LeaseOwnerIdentity, SessionExecutionLease
    from ..machine.facts import Archive
    from ..machine.moment import Moment
    from ..machine.state import SessionState

commands = typer.Typer()


class Held(NamedTuple):
    """The lease that was granted last and not released, or `None`.

    `remaining_ms` is the time until it expires, negative once it has, by the clock that judges it. `fencing_token` is
    that of the last lease that was granted at all.
    """

    lease: SessionExecutionLease | None
    remaining_ms: int
    fencing_token: int


class Verdict(NamedTuple):
    """What can be told of a holder from here: `alive`, `dead` or `unknown`, and why."""

    word: str
    reason: str


@commands.command("lease", rich_help_panel=output.LOOK)
def show_lease(context: typer.Context, session: SessionArgument, as_json: AsJson = False) -> None:
    """Show who holds a session's execution lease.

    Whether the holder is alive or dead, why we think so, and until when it holds. One that is provably dead is replaced
    at once by the next worker that asks, any other when its time is over.

    \b
    Example:
      localstore lease 7c1e
      localstore lease 7c1e --json | jq -r .holder
    """
    invocation: Invocation = context.obj
    with invocation.open_existing() as store:
        session_id = select(store, session).session_id
        held = look(store, session_id, held_lease)
    verdict = None if held.lease is None else judged(held.lease.owner)
    if as_json:
        output.json_object("lease", {"session_id": session_id, **_fields(held, verdict)})
    else:
        _print(held, verdict)


def held_lease(state: SessionState, archive: Archive, moment: Moment) -> Held:
    """View of the lease, also of one that has expired and nobody released."""
    held = state.lease
    if held is None:
        return Held(None, 0, state.lease_fencing)
    deadline = held.deadline
    if moment.boot_ms is not None and deadline.boot_ms is not None and deadline.boot_id == moment.boot_id:
        remaining = deadline.boot_ms - moment.boot_ms
    else:
        remaining = deadline.expires_at_ms - moment.now_ms
    return Held(held.lease, remaining, state.lease_fencing)


def judged(owner: LeaseOwnerIdentity) -> Verdict:
    """Whether the owner is alive, as far as this process can tell."""
    from .. import liveness
    from ..contract.leases import LeaseOwnerIdentity, LocalProcess

    process = owner.liveness
    if not isinstance(process, LocalProcess):
        return Verdict("unknown", "nothing is known of it but its name, so that nobody can prove it dead")
    if process.host_id != liveness.host_id():
        return Verdict("unknown", "it is a process of another host or container, which cannot be examined from here")
    if process.boot_id != liveness.boot_id():
        return Verdict("unknown", "it is of another boot of this host than this one, which is no proof")
    start = liveness.process_start(process.pid)
    if owner.is_definitely_dead_for_claimant(LeaseOwnerIdentity.local_process("localstore", "1")):
        if start is None:
            return Verdict("dead", f"no process has pid {process.pid} any more")
        if liveness.same_start(process.process_start, start) is False:
            return Verdict("dead", f"pid {process.pid} belongs to another process now, which started later")
        return Verdict("dead", f"process {process.pid} has ended, and its parent has not noticed yet")
    if start is not None and liveness.same_start(process.process_start, start):
        return Verdict("alive", f"process {process.pid} is there, and started when the holder did")
    return Verdict("unknown", f"process {process.pid} cannot be examined")


def _state(held: Held) -> str:
    return "free" if held.lease is None else "held" if held.remaining_ms > 0 else "expired"


def _print(held: Held, verdict: Verdict | None) -> None:
    if held.lease is None or verdict is None:
        output.line("nobody holds the lease")
        return
    lease, state = held.lease, _state(held)
    seconds = abs(held.remaining_ms) / 1000
    until = f"in {seconds:,.0f} s" if state == "held" else f"{seconds:,.0f} s ago"
    output.pairs(
        (
            ("holder", f"{lease.owner.owner_id}, incarnation {lease.owner.incarnation_id}"),
            ("state", state if verdict.word != "dead" else f"{state}, by a dead holder"),
            ("holder is", f"{verdict.word}: {verdict.reason}"),
            ("claimed", output.when(lease.claimed_at_epoch_ms)),
            ("expires" if state == "held" else "expired", f"{output.when(lease.expires_at_epoch_ms)}, {until}"),
            ("fencing", str(lease.fencing_token)),
        )
    )


def _fields(held: Held, verdict: Verdict | None) -> dict[str, Any]:
    from .describing import owner_fields

    lease = held.lease
    fields = None
    if lease is not None:
        fields = {
            "owner": owner_fields(lease.owner),
            "fencing_token": lease.fencing_token,
            "claimed_at_epoch_ms": lease.claimed_at_epoch_ms,
            "expires_at_epoch_ms": lease.expires_at_epoch_ms,
        }
    return {
        "state": _state(held),
        "lease": fields,
        "holder": None if verdict is None else verdict.word,
        "reason": None if verdict is None else verdict.reason,
        "remaining_ms": None if lease is None else held.remaining_ms,
        "last_fencing_token": held.fencing_token,
    }
