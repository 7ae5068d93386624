"""`lease.json` and new spool files: what people and tools see of a live session at once.

They are views: the journal is the truth. A view that cannot be written fails no call; the fold makes it good.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..contract.errors import BackendError
from ..machine.events import Event, InputEnqueued, LeaseCleared, LeaseSet, WorkEnqueued
from ..machine.state import HeldLease, SessionState
from . import names, spool
from .files import seal
from .system import system

LEASE_KIND = "lease"


def show(folder: str, state: SessionState, events: Iterable[Event]) -> None:
    """Bring the views up to date after `events`."""
    for event in events:
        try:
            if isinstance(event, InputEnqueued):
                show_entry(folder, spool.INPUTS, state.inputs.get(event.stored.record.input_id))
            elif isinstance(event, WorkEnqueued):
                show_entry(folder, spool.WORK, state.work.get(event.batch.batch_id))
            elif isinstance(event, (LeaseSet, LeaseCleared)):
                show_lease(folder, state.lease, flush=False)
        except (BackendError, FileExistsError, FileNotFoundError):
            continue


def show_entry(folder: str, kind: spool.SpoolKind[spool.E], entry: spool.E | None) -> None:
    """Write a new entry's file."""
    if entry is None:
        return
    path = spool.entry_path(folder, kind, entry)
    content = kind.seal(entry)
    try:
        system.write_over_partial(path, content, False)
    except FileNotFoundError:
        system.make_dir(os.path.dirname(path))
        system.write_over_partial(path, content, False)


def show_lease(folder: str, held: HeldLease | None, *, flush: bool) -> None:
    """Write `lease.json` in one step, or remove it where nobody holds the lease."""
    path = os.path.join(folder, names.LEASE)
    if held is not None:
        write_whole(path, seal(LEASE_KIND, held), flush=flush)
        return
    try:
        system.unlink(path)
    except FileNotFoundError:
        pass


def write_whole(path: str, content: bytes, *, flush: bool) -> None:
    """Replace the file at `path` in one step. A failure leaves it as it was, and nothing beside it."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, names.temporary(name))
    system.write_new(temporary, content, flush)
    try:
        system.replace(temporary, path)
    except BaseException:
        try:
            system.unlink(temporary)
        except (BackendError, FileNotFoundError):
            pass  # the next fold removes it
        raise
