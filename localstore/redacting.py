"""A redaction of the sessions of a store: which, in what order, and what is told of those that cannot be looked at."""

from __future__ import annotations

from collections.abc import Callable

from .contract.errors import InvalidArgument, SessionExecutionLeaseHeld, SessionNotFound, StoreError
from .contract.redaction import LeftPlace, RedactedPlace, RedactionReport, SessionRedaction
from .contract.sessions import UnreadableSession
from .contract.trash import SparedSession, SpareReason
from .keeper import Sessions
from .machine import attachments as rows
from .machine.redactor import Redactor


def redact(
    sessions: Sessions,
    redactor: Redactor,
    session_ids: tuple[str, ...] | None,
    tell: Callable[[int, int], None],
    *,
    apply: bool,
) -> RedactionReport:
    """Redact these sessions, or all, with those of the same ids in the trash, and the labels of their attachments.

    `tell` is called with how many sessions are done, and of how many.
    """
    chosen, unreadable = _chosen(sessions, session_ids)
    ids = None if session_ids is None else frozenset(session_ids)
    total = len(chosen) + sum(ids is None or each.session_id in ids for each in sessions.trashed())
    told: list[SessionRedaction] = []
    spared: list[SparedSession] = []
    named: set[str] = set()
    for done, session_id in enumerate(chosen):
        tell(done, total)
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
    for done, each in enumerate(sessions.redact_trash(redactor, ids, apply=apply), len(chosen)):
        tell(min(done, total), total)
        if isinstance(each, SessionRedaction):
            told.append(each)
        else:
            unreadable.append(each)
    tell(total, total)
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
