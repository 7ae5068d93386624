"""A redaction on disk: everything of a session is written anew behind a new head, and what was before goes at once.

A crash leaves the head of before, or the one of after with files beside it that nothing reads any more; those go with
the next redaction, whatever it looks for, or with the next clean close.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import pbkdf2_hmac
from typing import Any

import orjson

from ..contract.errors import CorruptRecord
from ..contract.redaction import LeftPlace, RedactedKind, RedactedPlace, SessionRedaction
from ..contract.sessions import SessionMeta
from ..contract.work import QueuedWorkBatch
from ..machine import later
from ..machine.encoding import dump
from ..machine.facts import StoredInput
from ..machine.redaction import Redaction
from ..machine.redactor import Redactor
from . import names, spool
from .factlines import LARGE_VALUE, unknown_fields
from .files import seal
from .fold import meta_fields, write_meta
from .head import Head
from .loading import Loaded
from .strays import matching, remove, strays
from .system import system
from .views import write_whole

KIND = "redaction"
_ROUNDS = 100_000
_HOLDERS = (names.NODES, names.BLOBS, names.INPUTS, names.WORK, names.QUARANTINE)


@dataclass(frozen=True, slots=True)
class RedactionReceipt:
    """What was redacted and when, without saying what it was.

    `pattern_hash` is PBKDF2-HMAC-SHA-256 of the pattern with `salt`, in hex: whoever knows the pattern can tell that it
    was this one. `counts` are matches by kind; addresses of what was redacted are not kept, since a short secret could
    be guessed by them. One that is not `done` was begun; whether it came about is told by
    another redaction.
    """

    redacted_at_ms: int
    pattern_hash: str
    salt: str
    rounds: int
    regex: bool
    counts: dict[str, int]
    left_count: int = 0
    done: bool = False


Found = dict[str, RedactedPlace | LeftPlace]
"""What matches beside the session's records, by its path or what it is."""


def found_beside(folder: str, loaded: Loaded, redaction: Redaction, redactor: Redactor) -> Found:
    """Matches in files that nothing relies on, and in what this release does not know of the head."""
    bad = frozenset(each.path for each in loaded.bad_entries)
    found = strays(folder, loaded.head, frozenset(redaction.stored), bad)
    beside: Found = {place.id: place for _, place in matching(folder, found, redactor)}
    beside |= {place.id: place for place in _stale_metadata(folder, loaded, redactor)}
    beside |= {place.id: place for place in _said_by_later_releases(folder, loaded, redactor)}
    return beside


def _said_by_later_releases(folder: str, loaded: Loaded, redactor: Redactor) -> Iterator[LeftPlace]:
    """Matches in fields that this release does not know: they stay, whatever else is redacted."""
    for ident, fields in _unknown(folder, loaded):
        if fields and redactor.json(orjson.dumps(fields))[1]:
            yield LeftPlace("record", ident, "fields of a later release have it; use that release")


def _unknown(folder: str, loaded: Loaded) -> Iterator[tuple[str, list[Any]]]:
    """What this release does not know of each record of the session, the journal's left out."""
    yield names.HEAD, later.unknown(Head, loaded.head.said or {})
    yield names.META, later.unknown(SessionMeta, meta_fields(os.path.join(folder, names.META)))
    for entry in loaded.state.inputs.values():
        yield spool.INPUTS.name(entry), later.unknown(StoredInput, entry.said or {})
    for batch in loaded.state.work.values():
        yield spool.WORK.name(batch), later.unknown(QueuedWorkBatch, batch.said or {})
    for fact in loaded.archive.facts():
        yield fact.keys()[0], unknown_fields(fact)


def _stale_metadata(folder: str, loaded: Loaded, redactor: Redactor) -> Iterator[RedactedPlace]:
    """Matches in a `meta.json` that is not what the head says: a power cut may have left it to a head of afterwards."""
    path = os.path.join(folder, names.META)
    fields = later.without(SessionMeta, meta_fields(path))
    try:
        said = orjson.dumps(fields) if fields else system.read_file(path)
    except (FileNotFoundError, CorruptRecord):
        return
    count = 0 if fields == orjson.loads(dump(loaded.head.meta)) else redactor.count_in(said)
    if count:
        yield RedactedPlace(RedactedKind.FILE, names.META, count)


def preview(folder: str, loaded: Loaded, redaction: Redaction, redactor: Redactor) -> SessionRedaction:
    """What a redaction would do in a session. Changes nothing."""
    return _told(redaction, found_beside(folder, loaded, redaction, redactor), applied=False)


def _told(redaction: Redaction, beside: Found, *, applied: bool) -> SessionRedaction:
    places = [place for place in beside.values() if isinstance(place, RedactedPlace)]
    left = [place for place in beside.values() if isinstance(place, LeftPlace)]
    session_id = redaction.state.session_id
    return SessionRedaction(session_id, applied, (*redaction.places, *places), (*redaction.left, *left))


def carry_out(
    folder: str, loaded: Loaded, redactor: Redactor, now_ms: int, fold: Callable[..., Loaded], beside: Found
) -> SessionRedaction:
    """Redact a session of which everything is in files, under its lock.

    `fold` folds it, given what `fold.fold` takes, and gives the session as it is then. `beside` is what was found
    beside the session's records before.
    """
    redaction = Redaction(redactor, loaded.state, loaded.archive)
    kept = redaction.kept_refs()
    if redaction.refs or redaction.places:
        receipt, path = _begin(folder, redaction, redactor, now_ms)
        blobs_total = _write_blobs(folder, redaction)
        loaded.state = redaction.state
        loaded = fold(loaded, facts=redaction.facts(), kept=(), blobs_total=blobs_total)
        write_whole(path, seal(KIND, replace(receipt, done=True)), flush=True)
    elif any(_stale_metadata(folder, loaded, redactor)):
        write_meta(folder, loaded.head)
    remove(folder, strays(folder, loaded.head, kept), redactor)
    for where in (folder, *(os.path.join(folder, name) for name in _HOLDERS)):
        # Or a power cut would bring back what was removed.
        if os.path.lexists(where):
            system.flush_dir(where)
    still = {place.id for _, place in matching(folder, strays(folder, loaded.head, kept), redactor)}
    for ident in still & beside.keys():
        if isinstance(beside[ident], RedactedPlace):
            why = "it could not be removed; close what has it open, and redact again"
            beside[ident] = LeftPlace("file", ident, why)
    return _told(redaction, beside, applied=True)


def _begin(folder: str, redaction: Redaction, redactor: Redactor, now_ms: int) -> tuple[RedactionReceipt, str]:
    """Write the receipt of what is about to be done; its path."""
    salt = os.urandom(16)
    counts: dict[str, int] = {}
    for place in redaction.places:
        counts[place.kind.value] = counts.get(place.kind.value, 0) + place.count
    hashed = pbkdf2_hmac("sha256", redactor.pattern.encode(), salt, _ROUNDS).hex()
    receipt = RedactionReceipt(now_ms, hashed, salt.hex(), _ROUNDS, redactor.regex, counts, len(redaction.left))
    where = os.path.join(folder, names.REDACTIONS)
    if system.make_dir(where):
        system.flush_dir(folder)
    at_ms = now_ms
    while os.path.lexists(os.path.join(where, names.redaction(at_ms))):
        at_ms += 1
    path = os.path.join(where, names.redaction(at_ms))
    write_whole(path, seal(KIND, receipt), flush=True)
    system.flush_dir(where)
    return receipt, path


def _write_blobs(folder: str, redaction: Redaction) -> int:
    """Write the large values that have a new address; the size of all that are kept."""
    where = os.path.join(folder, names.BLOBS)
    sizes: dict[str, int] = {}
    unchanged = redaction.stored.keys() - redaction.refs.keys()
    for ref in unchanged:
        try:
            sizes[ref] = system.stat(os.path.join(where, names.blob(ref))).st_size
        except FileNotFoundError:
            continue  # a small one, which is in a node file
    fresh = False
    for fact in redaction.changed_values():
        content = fact.content or b""
        if len(content) < LARGE_VALUE or fact.ref in sizes:
            continue
        if system.make_dir(where):
            system.flush_dir(folder)
        path = os.path.join(where, names.blob(fact.ref))
        write_whole(path, content, flush=True)
        sizes[fact.ref] = len(content)
        fresh = True
    if fresh:
        system.flush_dir(where)
    return sum(sizes.values())
