"""The session list: two small reads a session, and no node file opened.

The head has all that a summary says. Only a session that is live, with records in its journal, is replayed.
"""

from __future__ import annotations

from typing import Any

from ..contract.errors import CorruptRecord, SessionNotFound
from ..contract.sessions import ChildSession, RootSession, SessionSummary
from ..machine import reading
from ..machine.encoding import KINDS, Malformed, load_one_of
from . import names
from .files import unseal
from .head import KIND, MAX_HEAD, Head, place_of
from .loading import Loaded, head_path, load_session
from .system import system

_RELATIONS: dict[str, type] = {KINDS[cls]: cls for cls in (RootSession, ChildSession)}
_ROOT = RootSession()
_TRIES = 8


def summarize(folder: str, boot: str) -> SessionSummary | None:
    """The summary of the session in `folder`, or `None` where it was deleted meanwhile."""
    try:
        raw = system.read_file(head_path(folder), MAX_HEAD)
        fields = unseal(KIND, raw, folder)
        if _says_it_all(folder, fields):
            return None if fields.get("deleted") else _from_head(fields, len(raw))
    except (FileNotFoundError, CorruptRecord, Malformed, KeyError, TypeError):
        pass  # what is missing or damaged is looked into by the way that heals and reports
    for left in reversed(range(_TRIES)):
        try:
            return _replayed(folder, boot)
        except SessionNotFound:
            return None
        except (FileNotFoundError, CorruptRecord):
            # Perhaps a writer folds: then the next look finds all in place.
            if not left:
                raise
    return None


def _replayed(folder: str, boot: str) -> SessionSummary:
    loaded = load_session(folder, None, boot, write=False, queues=False)
    try:
        return reading.summarize(loaded.state, size_of(folder, loaded))
    finally:
        loaded.close()


def _says_it_all(folder: str, fields: dict[str, Any]) -> bool:
    """Whether nothing happened since the head, and it is the head to go by, as it may not be in a copy."""
    journals = [first for first in map(names.parse_journal, system.listed(folder)) if first is not None]
    if journals and max(journals) > fields["folded_seq"]:
        return False
    place = fields.get("place")
    # A session that is at rest keeps no journal: wherever it is, its head is the right one.
    return not (place and (journals or fields.get("kept_from"))) or place == place_of(system.check_dir(folder))


def _from_head(fields: dict[str, Any], head_bytes: int) -> SessionSummary:
    session_id = fields["session_id"]
    meta, summary = fields.get("meta") or {}, fields.get("summary") or {}
    relation = meta.get("relation")
    size = head_bytes + sum([ref["size"] for ref in fields.get("files", ())])
    return SessionSummary(
        session_id,
        meta.get("session_name", session_id),
        meta.get("cwd"),
        meta.get("model", ""),
        _ROOT if relation is None else load_one_of(relation, _RELATIONS),
        fields["created_at_ms"],
        fields["updated_at_ms"],
        summary.get("first_user_message"),
        summary.get("user_message_count", 0),
        summary.get("node_count", 0),
        fields.get("revision", 0),
        size + fields.get("blob_bytes", 0) + fields.get("spool_bytes", 0),
    )


def size_of(folder: str, loaded: Loaded) -> int:
    """Bytes on disk of what the head names, and the journal."""
    head: Head = loaded.head
    total = sum(ref.size for ref in head.files) + head.blob_bytes + head.spool_bytes
    if loaded.journal is not None:
        total += system.size(loaded.journal.fd)
    try:
        total += system.stat(head_path(folder)).st_size
    except FileNotFoundError:
        pass
    return total
