"""Commits as a host makes them that does one thing at a time."""

from __future__ import annotations

from typing import Any

from localstore import RuntimeCommit, RuntimeCommitResult, SessionNodeRecord, SessionStore
from localstore.testing import append_commit, owner


def settle(session: SessionStore, made: RuntimeCommit) -> RuntimeCommitResult:
    """Make a commit under a lease of its own, which it gives back."""
    lease = session.try_claim_session_execution_lease(session.session_id, owner(), 60_000).acquired()
    assert lease is not None
    under = made.with_session_execution_lease(lease.fence())
    return session.commit_runtime_state(under.releasing_session_execution_lease(lease.completion()))


def commit(session: SessionStore, *nodes: SessionNodeRecord, **changes: Any) -> int:
    """Commit `nodes`, the last of which is the leaf unless told, under a lease of its own; the new revision."""
    return settle(session, append_commit(*nodes, session_id=session.session_id, **changes)).head_revision
