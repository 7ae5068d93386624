"""The repair of a store, `localstore check --repair`.

What another copy proves is made good: a head by its copies, node files and journals by their intact lines, views by the
head. The damaged original, and whatever is in the way, is kept in a quarantine with a receipt. Nothing is deleted, and
every step is in the report. A session is repaired under its lock; afterwards it opens, and every intact node of it is
there. A store, session or record of another format is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from ..contract.clock import SystemClock, rfc3339
from ..contract.errors import BackendError
from ..surroundings import fresh_id
from . import names
from .check import check_store
from .checking.findings import CheckReport, Finding, Severity
from .files import seal
from .repairing.actions import Actions, RepairAction, RepairReport
from .repairing.attachments import repair_attachment
from .repairing.sessions import repair_session
from .root import KIND, StoreRecord
from .system import system
from .views import write_whole

__all__ = ["RepairAction", "RepairReport", "repair_store"]

_LEFT_ALONE = frozenset({"no_store", "schema_version", "quarantined", "conflicted_copy", "history_gap", "unreadable"})
_KEPT_AS_IT_IS = frozenset({"damaged_ending", "damaged_view"})
"""Findings after which a file is written anew, from what is proven of it or from what it is a view of."""


def repair_store(
    root: str | os.PathLike[str], *, session_id: str | None = None, tell: Callable[[int, int], None] | None = None
) -> RepairReport:
    """Repair the store at `root`, or one session of it, and check it again.

    May run while the store is in use; whoever has a repaired session open goes on from what is left of it. `tell` is
    that of `check_store`, which goes over the store before and once more after repairs.

    Raises `BackendError` where the disk or a lock does not let it; what was done until then stays done.
    """
    path = os.path.abspath(os.fspath(root))
    before = check_store(path, session_id=session_id, tell=tell)
    done: list[RepairAction] = []
    groups = _groups(path, before)
    for group, found in groups.items():
        done += _repair_group(path, group, found)
    after = check_store(path, session_id=session_id, tell=tell) if groups else before
    return RepairReport(before, tuple(done), after)


def _groups(root: str, report: CheckReport) -> dict[str, list[Finding]]:
    """What is to be made good, by the session folder it is in, or the root."""
    groups: dict[str, list[Finding]] = {}
    for found in report.findings:
        if found.severity is Severity.INFO:
            continue
        parts = found.path.split("/")
        inside = parts[0] in {names.SESSIONS, names.TRASH} and len(parts) > 2
        folder = os.path.join(root, *parts[:2]) if inside else root
        groups.setdefault(folder, []).append(found)
    return groups


def _repair_group(root: str, folder: str, found: list[Finding]) -> list[RepairAction]:
    actions = Actions(root, folder)
    refused = [each for each in found if each.kind == "schema_version"]
    for each in refused:
        actions.note("left", os.path.join(root, each.path), "it is of another format")
    found = [each for each in found if each.kind not in _LEFT_ALONE]
    if refused or not found:
        return actions.done
    _mend_modes(actions, root, found)
    if folder == root:
        _repair_root(actions, root, found)
        return actions.done
    for each in found:
        if each.kind == "wrong_type":
            actions.set_aside("set_aside", os.path.join(root, each.path), each.message, lost=True)
    if any(each.kind != "permissions" for each in found):
        keep = [os.path.join(root, each.path) for each in found if each.kind in _KEPT_AS_IT_IS]
        repair_session(actions, folder, keep, SystemClock().now_ms())
    return actions.done


def _mend_modes(actions: Actions, root: str, found: Iterable[Finding]) -> None:
    """Take away from others what only the owner may have."""
    for each in found:
        if each.kind == "permissions":
            path = os.path.join(root, each.path)
            try:
                system.restrict(path)
            except (BackendError, FileNotFoundError) as error:
                actions.note("left", path, str(error))
            else:
                actions.note("mode_changed", path, "others can no longer get at it")


def _repair_root(actions: Actions, root: str, found: Iterable[Finding]) -> None:
    for each in found:
        path = os.path.join(root, each.path)
        if each.path == names.STORE:
            if each.kind != "store_record_missing":
                actions.set_aside("store_record_set_aside", path, each.message)
            _write_store_record(actions, path)
        elif each.path.startswith(f"{names.ATTACHMENTS}/"):
            repair_attachment(actions, path, each)
        elif each.kind == "wrong_type":
            actions.set_aside("set_aside", path, each.message, lost=True)


def _write_store_record(actions: Actions, path: str) -> None:
    record = StoreRecord(fresh_id(), rfc3339(SystemClock().now_ms()))
    write_whole(path, seal(KIND, record), flush=True)
    system.flush_dir(os.path.dirname(path))
    actions.note("store_record_made", path, "the store has a new id")
