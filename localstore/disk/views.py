"""`lease.json` and new spool files: what people and tools see of a live session, a moment after it changed.

They are views: the journal is the truth, and the fold makes them true. A view that cannot be written fails no call. One
that would be out of date before anybody could read it is not written: a file made and removed again in every turn
costs more than the turn's journal.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..contract.errors import BackendError
from ..machine.events import (
    Event,
    InputEnqueued,
    InputsSettled,
    LeaseCleared,
    LeaseSet,
    WorkEnqueued,
    WorkRemoved,
)
from ..machine.state import HeldLease, SessionState
from . import names, spool
from .files import seal
from .head import Head
from .leftovers import remove_quietly
from .system import system

LEASE_KIND = "lease"


class Views:
    """Which views of one session are behind, as far as this process made them so."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._new: dict[tuple[str, str], None] = {}
        self._shown: dict[tuple[str, str], str] = {}
        self._gone: list[tuple[str, str]] = []
        self._lease_changed = False

    def note(self, events: Iterable[Event]) -> bool:
        """Take note of what was written to the journal; whether a view is behind now."""
        for event in events:
            kind = type(event)
            if kind is LeaseSet or kind is LeaseCleared:
                self._lease_changed = True
            elif kind is InputEnqueued:
                self._new[names.INPUTS, event.stored.record.input_id] = None  # type: ignore[union-attr]
            elif kind is WorkEnqueued:
                self._new[names.WORK, event.batch.batch_id] = None  # type: ignore[union-attr]
            elif kind is InputsSettled:
                self._drop(names.INPUTS, event.input_ids)  # type: ignore[union-attr]
            elif kind is WorkRemoved:
                self._drop(names.WORK, event.batch_ids)  # type: ignore[union-attr]
        return self._lease_changed or bool(self._new) or bool(self._gone)

    def _drop(self, folder: str, ids: Iterable[str]) -> None:
        for key in ((folder, ident) for ident in ids):
            if key in self._new:
                del self._new[key]
            elif key in self._shown:
                self._gone.append((folder, self._shown.pop(key)))

    def refresh(self, state: SessionState, head: Head) -> None:
        """Bring the views up to date. One that cannot be written is made good by the fold.

        Files of entries that the head has are none of its views: somebody else folded them.
        """
        first = {names.INPUTS: head.inputs.next_seq, names.WORK: head.work.next_seq}
        new, self._new = self._new, {}
        gone, self._gone = self._gone, []
        changed, self._lease_changed = self._lease_changed, False
        for folder, ident in new:
            if folder == names.INPUTS:
                self._show(spool.INPUTS, ident, state.inputs.get(ident), first[folder])
            else:
                self._show(spool.WORK, ident, state.work.get(ident), first[folder])
        for folder, path in gone:
            parsed = names.parse_spool_entry(os.path.basename(path))
            if parsed is not None and parsed[0] >= first[folder]:
                remove_quietly(path)
        if changed:
            try:
                show_lease(self._folder, state.lease, flush=False)
            except (BackendError, FileNotFoundError, FileExistsError):
                return

    def _show(self, kind: spool.SpoolKind[spool.E], ident: str, entry: spool.E | None, first: int) -> None:
        if entry is None or kind.seq(entry) < first:
            return
        path = spool.entry_path(self._folder, kind, entry)
        try:
            try:
                system.write_over_partial(path, kind.seal(entry), False)
            except FileNotFoundError:
                system.make_dir(os.path.dirname(path))
                system.write_over_partial(path, kind.seal(entry), False)
        except (BackendError, FileExistsError, FileNotFoundError):
            return
        self._shown[kind.folder, ident] = path

    def folded(self) -> None:
        """A fold made every view good."""
        self._new.clear()
        self._shown.clear()
        self._gone.clear()
        self._lease_changed = False


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
        remove_quietly(temporary)
        raise
