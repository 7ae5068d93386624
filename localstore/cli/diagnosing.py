"""`doctor`: whether a store is in a good place, who is at it, and what was left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from . import output
from .checking import finding_fields
from .exits import ExitCode
from .invocation import Invocation
from .leases import Held, Verdict, held_lease, judged
from .output import AsJson

if TYPE_CHECKING:
    from ..disk.diagnosis import Diagnosis
    from ..store import Store

commands = typer.Typer()


class Holder(NamedTuple):
    """Who is at a session: the process in the midst of a call, and who has the lease."""

    session_id: str
    locked_by: int | None
    held: Held
    verdict: Verdict | None


@commands.command("doctor", rich_help_panel=output.LOOK)
def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Look at what is around a store.

    Who holds its sessions, what was left behind or set aside, file systems and folders that it should not be on,
    permissions, limits. Nothing is changed. The exit code is 1 where something should be done. The bytes themselves are
    for check.

    \b
    Example:
      localstore doctor
      localstore doctor --json | jq '.findings[] | .message, .remedy'
    """
    from ..disk.diagnosis import diagnose

    invocation: Invocation = context.obj
    # Before it is opened: opening removes what is left over from long ago.
    found = diagnose(str(invocation.root))
    with invocation.open_existing() as store:
        holders = _holders(store, found)
    if as_json:
        output.json_object("diagnosis", _fields(found, holders))
    else:
        _print(found, holders)
    if any(each.severity != "info" for each in found.findings):
        raise typer.Exit(ExitCode.FINDINGS)


def _holders(store: Store, found: Diagnosis) -> list[Holder]:
    """Every session that somebody is at, or was at when it died."""
    from ..contract.errors import CorruptRecord
    from ..disk.checking.look import Look
    from ..disk.names import session_dirname

    holders = []
    survey = store.survey_sessions()
    for each in survey.unreadable:
        _unreadable(Look(found.root, found.root), found, each.path, each.reason)
    for session_id in (row.session_id for row in survey.sessions):
        keeper = store._sessions.find(session_id)
        if keeper is None:
            continue
        try:
            held = keeper.read(held_lease)
        except CorruptRecord as damage:
            _unreadable(Look(found.root, found.root), found, damage.path, damage.reason)
            continue
        pid = found.locked_by.get(session_dirname(session_id))
        if held.lease is not None or pid is not None:
            holders.append(Holder(session_id, pid, held, None if held.lease is None else judged(held.lease.owner)))
    return holders


def _unreadable(look: Any, found: Diagnosis, path: str, reason: str) -> None:
    look.error("damaged_session", path, reason, "run `localstore check`, which says what is damaged")
    found.findings += look.findings


def _print(found: Diagnosis, holders: list[Holder]) -> None:
    place, limits = found.place, found.limits
    free = "" if place.free_bytes is None else f", {output.size(place.free_bytes)} free"
    output.pairs(
        (
            ("root", found.root),
            ("file system", f"{place.type or 'unknown'} at {place.mount_point}{free}"),
            ("open files", f"{_limit(limits.open_files)} at most"),
            ("watching", _watching(found)),
        )
    )
    for holder in holders:
        output.line(output.clean(f"{holder.session_id}: {_holder_text(holder)}"))
    for each in found.findings:
        output.line(output.clean(f"{each.severity}: {each.path}: {each.message}"))
        output.line(f"    {output.clean(each.remedy)}")
    if not found.findings:
        output.line("no findings")


def _limit(count: int | None) -> str:
    return "any number" if count is None else f"{count:,}"


def _watching(found: Diagnosis) -> str:
    limits = found.limits
    if not limits.has_watchdog:
        return "by looking every so often"
    if limits.inotify_instances is None:
        return "by watchdog"
    return (
        f"by watchdog, with {limits.inotify_instances:,} inotify instances of {_limit(limits.inotify_watches)} watches"
    )


def _holder_text(holder: Holder) -> str:
    told = [] if holder.locked_by is None else [f"process {holder.locked_by} is in the midst of a call"]
    if holder.held.lease is not None and holder.verdict is not None:
        state = "holds the lease" if holder.held.remaining_ms > 0 else "held the lease, which has expired"
        told.append(f"{holder.held.lease.owner.owner_id} {state}; {holder.verdict.word}: {holder.verdict.reason}")
    return "; ".join(told)


def _fields(found: Diagnosis, holders: list[Holder]) -> dict[str, Any]:
    place, limits = found.place, found.limits
    return {
        "root": found.root,
        "file_system": {
            "type": place.type,
            "mount_point": place.mount_point,
            "is_network": place.is_network,
            "is_passing": place.is_passing,
            "synced_by": found.synced_by,
            "free_bytes": place.free_bytes,
        },
        "limits": {
            "open_files": limits.open_files,
            "open_files_hard": limits.open_files_hard,
            "inotify_watches": limits.inotify_watches,
            "inotify_instances": limits.inotify_instances,
            "has_watchdog": limits.has_watchdog,
        },
        "holders": [_holder_fields(each) for each in holders],
        "findings": [finding_fields(each) for each in found.findings],
    }


def _holder_fields(holder: Holder) -> dict[str, Any]:
    from .describing import owner_fields

    lease = holder.held.lease
    return {
        "session_id": holder.session_id,
        "locked_by": holder.locked_by,
        "owner": None if lease is None else owner_fields(lease.owner),
        "holder": None if holder.verdict is None else holder.verdict.word,
        "reason": None if holder.verdict is None else holder.verdict.reason,
        "remaining_ms": None if lease is None else holder.held.remaining_ms,
    }
