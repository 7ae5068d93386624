"""A redaction of the sessions of a store: which, in what order, and what is told of those that cannot be looked at."""

from __future__ import annotations

from .contract.errors import InvalidArgument, SessionExecutionLeaseHeld, SessionNotFound, StoreError
from .contract.redaction import LeftPlace, RedactedPlace, RedactionReport, SessionRedaction
from .contract.sessions import UnreadableSession
from .contract.trash import SparedSession, SpareReason
from .keeper import Sessions
from .machine import attachments as rows
from .machine.redactor import Redactor


def redact(
    sessions: Sessions, redactor: Redactor, session_ids: tuple[str, ...] | None, *, apply: bool
) -> RedactionReport:
    """Redact these sessions, or all, with those of the same ids in the trash, and the labels of their attachments."""
    chosen, unreadable = _chosen(sessions, session_ids)
    told: list[SessionRedaction] = []
    spared: list[SparedSession] = []
    named: set[str] = set()
    for session_id in chosen:
        try:
            keeper = sessions.find(session_id)
            if keeper is None:
                raise SessionNotFound(session_id)
            told.append(keeper.redact(redactor, apply=apply))
            named |= keeper.read(rows.named_ids()) if session_ids is not None else set()
        except SessionNotFound:
            if session_ids is not None:
                raise
        except SessionExecutionLeaseHeld:
            spared.append(SparedSession(session_id, SpareReason.LEASE))
        except InvalidArgument:
            raise
        except StoreError as error:
            unreadable.append(UnreadableSession(session_id, getattr(error, "path", ""), str(error)))
    ids = None if session_ids is None else frozenset(session_ids)
    for each in sessions.redact_trash(redactor, ids, apply=apply):
        if isinstance(each, SessionRedaction):
            told.append(each)
        else:
            unreadable.append(each)
    beside = list(sessions.redact_shared(redactor, None if ids is None else frozenset(named), apply=apply))
    return RedactionReport(
        apply,
        tuple([each for each in told if each.places or each.left]),
        tuple([each for each in beside if isinstance(each, RedactedPlace)]),
        tuple([each for each in beside if isinstance(each, LeftPlace)]),
        tuple(spared),
        tuple(unreadable),
    )


def _chosen(sessions: Sessions, session_ids: tuple[str, ...] | None) -> tuple[list[str], list[UnreadableSession]]:
    if session_ids is not None:
        for session_id in session_ids:
            # A wrong id is told before anything is changed.
            if sessions.find(session_id) is None:
                raise SessionNotFound(session_id)
        return list(session_ids), []
    found, unreadable = sessions.survey()
    return sorted(row.session_id for row in found), unreadable
