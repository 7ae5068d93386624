"""Redacting what was deleted: it is in the trash, and a secret in it as readable as before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..contract.errors import InvalidArgument, SessionNotFound, StoreError
from ..contract.redaction import RedactedKind, RedactedPlace, SessionRedaction
from ..contract.sessions import UnreadableSession
from ..machine.moment import Moment
from ..machine.redaction import Redaction
from ..machine.redactor import Redactor
from . import names, redacting
from .files import seal
from .fold import fold
from .journal import boot_tag
from .loading import Loaded, load_session
from .lock import SessionLock
from .strays import strays
from .system import system
from .trash import DEADLINE_S, Trash, TrashEntry
from .trash import KIND as RECEIPT_KIND
from .views import write_whole


def redact_entries(
    trash: Trash, redactor: Redactor, session_ids: frozenset[str] | None, moment: Moment, *, apply: bool
) -> Iterator[SessionRedaction | UnreadableSession]:
    """Redact every deleted session, or those of these ids; without `apply` only tell what matches."""
    for entry in list(trash.entries()):
        if session_ids is not None and entry.session.session_id not in session_ids:
            continue
        try:
            if apply:
                with trash.standing_still():
                    told = _redact(entry, redactor, moment)
            else:
                told = _preview(entry, redactor, moment)
        except FileNotFoundError:
            if os.path.lexists(entry.folder):
                raise
            continue  # purged or restored meanwhile
        except SessionNotFound:
            continue
        except InvalidArgument:
            raise
        except StoreError as error:
            yield UnreadableSession(entry.session.session_id, entry.folder, str(error))
        else:
            yield told


def _loaded(entry: TrashEntry, moment: Moment, *, write: bool) -> Loaded:
    return load_session(entry.folder, None, boot_tag(moment.boot_id), write=write, deleted=True)


def _preview(entry: TrashEntry, redactor: Redactor, moment: Moment) -> SessionRedaction:
    loaded = _loaded(entry, moment, write=False)
    try:
        redaction = Redaction(redactor, loaded.state, loaded.archive)
        return _with_receipt(entry, redacting.preview(entry.folder, loaded, redaction, redactor), redactor)
    finally:
        loaded.close()


def _with_receipt(entry: TrashEntry, told: SessionRedaction, redactor: Redactor) -> SessionRedaction:
    """Where the metadata says another name by now, the receipt's is told too."""
    count = redactor.text(entry.session.session_name)[1]
    known = any(place.kind is RedactedKind.METADATA for place in told.places)
    more = (RedactedPlace(RedactedKind.METADATA, entry.session.session_id, count),) if count and not known else ()
    return replace(told, places=(*told.places, *more), deleted_at_ms=entry.session.deleted_at_ms)


def _redact(entry: TrashEntry, redactor: Redactor, moment: Moment) -> SessionRedaction:
    lock = SessionLock(os.path.join(entry.folder, names.LOCK))
    try:
        lock.acquire(DEADLINE_S)
        told = _redact_locked(entry, redactor, moment)
    finally:
        lock.close()
    told = _with_receipt(entry, told, redactor)
    name, count = redactor.text(entry.session.session_name)
    if count:
        receipt = replace(entry.session, session_name=name)
        write_whole(os.path.join(entry.folder, names.RECEIPT), seal(RECEIPT_KIND, receipt), flush=True)
        system.flush_dir(entry.folder)
    return told


def _redact_locked(entry: TrashEntry, redactor: Redactor, moment: Moment) -> SessionRedaction:
    opened: list[Loaded] = []

    def load() -> Loaded:
        opened.append(_loaded(entry, moment, write=True))
        if not (opened[-1].head.deleted or os.path.lexists(os.path.join(entry.folder, names.RECEIPT))):
            raise SessionNotFound(entry.session.session_id)  # restored meanwhile
        return opened[-1]

    def fold_anew(loaded: Loaded, **kwargs: Any) -> Loaded:
        fold(entry.folder, loaded, at_rest=True, deleted=True, **kwargs)
        return load()

    try:
        loaded = load()
        redaction = Redaction(redactor, loaded.state, loaded.archive)
        beside = redacting.found_beside(entry.folder, loaded, redaction, redactor)
        found = strays(entry.folder, loaded.head, frozenset(redaction.stored))
        is_tidy = not any(stray.ours and not stray.aside for stray in found)
        if loaded.journal is not None or loaded.healed is not None or not is_tidy:
            loaded = fold_anew(loaded)
        return redacting.carry_out(entry.folder, loaded, redactor, moment.now_ms, fold_anew, beside)
    finally:
        for each in opened:
            each.close()
