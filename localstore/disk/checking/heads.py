"""`head.json`, its copies, and the views of it: `meta.json` and `lease.json`."""

from __future__ import annotations

import os
from dataclasses import replace

from ...contract.errors import CorruptRecord, RecordSchemaVersionError
from ...contract.sessions import SessionMeta
from ...machine.state import HeldLease, SessionState
from .. import names
from ..copies import is_elsewhere, look_over
from ..files import read_sealed
from ..fold import META_KIND
from ..head import KIND, MAX_HEAD, Head, at_rest, unseal_head
from ..healing import newest_head_copy, own_copies
from ..system import system
from ..views import LEASE_KIND
from .findings import Severity
from .look import NONE, REPAIR, Look

MAX_SMALL = 1024 * 1024
"""The largest small file, bytes."""


def check_head(look: Look) -> tuple[Head | None, bool]:
    """`head.json` is whole; where it is not, the newest copy. Whether it is `head.json` itself."""
    path = look.path(names.HEAD)
    before = len(look.findings)
    raw = look.read(path, MAX_HEAD)
    if raw is None:
        if len(look.findings) == before:
            look.error("head_missing", path, "it is missing")
    else:
        try:
            head = unseal_head(raw, path)
        except RecordSchemaVersionError as error:
            look.version_error(path, error, raw, KIND)
            return None, False
        except CorruptRecord as error:
            look.error("damaged_record", path, error.reason, offset=0)
        else:
            look.check_ending(path, raw)
            return head, True
    return _copy_of_head(look, path), False


def _copy_of_head(look: Look, path: str) -> Head | None:
    try:
        head = newest_head_copy(look.folder)
    except FileNotFoundError:
        head = None
    if head is None:
        look.error("no_head", path, "no copy of the head is left by which everything there would be found")
    return head


def choose_head(look: Look, own: Head) -> Head:
    """The head to go by, which in a copy may be another than that in its `head.json`."""
    look.elsewhere = is_elsewhere(system.check_dir(look.folder), own)
    try:
        found = look_over(look.folder, own) if look.elsewhere else None
    except CorruptRecord as error:
        look.error("incomplete_copy", error.path, error.reason, "copy it again; or " + REPAIR)
        return own
    if found is None:
        return own
    look.copied = True
    message = f"it was copied while it was in use; it is as it was after record {found.head.folded_seq}, or later"
    look.info("live_copy", look.path(names.HEAD), message, "the first call that writes to it makes it one of its own")
    return found.head


def check_name(look: Look, head: Head) -> None:
    """The folder has the name of the session that the head says."""
    if not names.belongs_to(os.path.basename(look.folder), head.session_id):
        message = f"it is the head of session {head.session_id!r}, which belongs in another folder"
        look.error("wrong_session", look.path(names.HEAD), message, "put the right session's folder back from a copy")


def check_head_copies(look: Look, head: Head, copies: tuple[Head, ...]) -> None:
    """The newest node file ends with a copy of the head, which says what the head says."""
    own = own_copies(look.folder, copies)
    path = look.path(names.HEAD)
    if not head.files:
        return
    if not own:
        look.error("no_head_copy", path, "no node file has a copy of this head")
        return
    newest = own[0]
    if newest.generation > head.generation:
        look.error("head_is_old", path, f"it is generation {head.generation}, a node file of it has a later one")
        return
    # Marks and rescues of the journal change the head without a fold.
    kept = {"generation": head.generation, "deleted": head.deleted, "blob_bytes": head.blob_bytes}
    said = replace(newest, **kept, incarnation=head.incarnation)  # type: ignore[arg-type]
    # What is kept beside goes when it is left at rest, and where it is no copy can know.
    if at_rest(said) != at_rest(head):
        look.warning("head_copy_differs", path, "the copy of it in its newest node file says otherwise", REPAIR)


def check_meta(look: Look, head: Head, state: SessionState | None) -> None:
    """`meta.json` says what the head says, or the journal since."""
    path = look.path(names.META)
    raw = look.read(path, MAX_SMALL)
    found: SessionMeta | None = None
    if raw is not None:
        try:
            found = read_sealed(SessionMeta, META_KIND, raw, path)
            look.check_ending(path, raw, is_view=True)
        except (CorruptRecord, RecordSchemaVersionError) as error:
            look.warning("damaged_view", path, str(error), f"the head has it all: {REPAIR}")
            return
    if found is None and head.meta is not None:
        look.view("view_missing", path, "it is missing", f"the head has it all: {REPAIR}")
    elif found != head.meta and (state is None or found != state.meta):
        look.view("view_behind", path, "it does not say what the head says", f"the next fold writes it; or {REPAIR}")


def check_lease(look: Look, head: Head, state: SessionState | None) -> None:
    """`lease.json` shows the lease that was granted last. It follows a live session a moment later."""
    path = look.path(names.LEASE)
    raw = look.read(path, MAX_SMALL)
    if raw is not None:
        try:
            found: HeldLease | None = read_sealed(HeldLease, LEASE_KIND, raw, path)
            look.check_ending(path, raw, is_view=True)
        except (CorruptRecord, RecordSchemaVersionError) as error:
            look.warning("damaged_view", path, str(error), f"head and journal have it all: {REPAIR}")
            return
    else:
        found = None
    held = head.lease if state is None else state.lease
    if found == held:
        return
    if state is not None and found is not None and found.lease.fencing_token > state.lease_fencing:
        message = "it shows a lease that is later than the last one in the journal, whose end was lost"
        look.view("view_ahead", path, message, "a power cut may do that; tokens go on from far beyond it")
        return
    is_live = look.elsewhere or (state is not None and state.seq > head.folded_seq)
    severity, remedy = (Severity.INFO, NONE) if is_live else (Severity.WARNING, f"the next fold writes it; or {REPAIR}")
    look.note(severity, "view_behind", path, "it does not show the lease that was granted last", remedy)
