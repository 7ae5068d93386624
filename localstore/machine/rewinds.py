"""Moves of the head that are no turn's commit: rewinding, switching branches, and taking moves back.

Only the leaf moves. Nodes, config, frames, checkpoint and usage stay as the latest commit left them, and the revision
grows by 1 as with any commit.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..contract.commits import RuntimeCommitResult
from ..contract.errors import (
    BranchNotFound,
    HeadRevisionConflict,
    InvalidCommit,
    NodeNotFound,
    NothingToUndo,
)
from ..contract.history import HeadMove, HeadMoveKind
from ..contract.leases import LeaseOwnerIdentity, SessionExecutionLeaseFence
from . import graphs
from .decision import Decide, Decision, View
from .events import Event, HeadMoved
from .facts import Archive, CommitFact
from .leases import in_passing, require_lease
from .moment import Moment
from .state import SessionState


@dataclass(frozen=True, slots=True)
class Lane:
    """By what right the head is moved: by the `fence` of a live lease, or by one that `owner` takes for the move."""

    owner: LeaseOwnerIdentity
    fence: SessionExecutionLeaseFence | None = None
    expected_head_revision: int | None = None


def rewind(to: str | None, lane: Lane) -> Decide[RuntimeCommitResult]:
    """Make the node `to` the leaf, or leave the session without one."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[RuntimeCommitResult]:
        first = _admit(state, moment, lane)
        _require_node(state, archive, to)
        return _moved(state, first, HeadMoved(state.revision + 1, to, HeadMoveKind.REWIND, state.current_branch))

    return decide


def switch(name: str, lane: Lane) -> Decide[RuntimeCommitResult]:
    """Make the branch the current one, and its leaf the head's."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[RuntimeCommitResult]:
        first = _admit(state, moment, lane)
        if name not in state.branches:
            raise BranchNotFound(state.session_id, name)
        leaf = state.branches[name]
        _require_node(state, archive, leaf)
        return _moved(state, first, HeadMoved(state.revision + 1, leaf, HeadMoveKind.SWITCH, name))

    return decide


def undo(lane: Lane) -> Decide[RuntimeCommitResult]:
    """Take back the latest move that is no undo itself and was not taken back yet."""

    def decide(state: SessionState, archive: Archive, moment: Moment) -> Decision[RuntimeCommitResult]:
        first = _admit(state, moment, lane)
        move = _latest_standing(state, archive)
        leaf, branch = move.previous_leaf_node_id, state.current_branch
        if move.move is HeadMoveKind.SWITCH:
            branch = move.previous_branch if move.previous_branch in state.branches else None
        _require_node(state, archive, leaf)
        return _moved(state, first, HeadMoved(state.revision + 1, leaf, HeadMoveKind.UNDO, branch, move.revision))

    return decide


def _admit(state: SessionState, moment: Moment, lane: Lane) -> tuple[Event, ...]:
    """The events around the move: with no fence given, of a lease that is taken for it."""
    if lane.fence is None:
        around = in_passing(state, moment, lane.owner)
    else:
        require_lease(state, moment, lane.fence)
        around = ()
    expected = lane.expected_head_revision
    if expected is not None and expected != state.revision:
        raise HeadRevisionConflict(expected, state.revision)
    if state.revision == 0:
        raise InvalidCommit(f"session {state.session_id!r} has no commit yet, so it has no head to move")
    return around


def _require_node(state: SessionState, archive: Archive, node_id: str | None) -> None:
    if node_id is not None and graphs.find_node(state, archive, node_id) is None:
        raise NodeNotFound(node_id)


def _moved(state: SessionState, first: tuple[Event, ...], event: HeadMoved) -> Decision[RuntimeCommitResult]:
    # There was a commit.
    assert state.checkpoint_ref is not None
    assert state.manifest is not None
    result = RuntimeCommitResult(event.revision, state.checkpoint_ref, state.manifest)
    return Decision((*first[:1], event, *first[1:]), result)


def _latest_standing(state: SessionState, archive: Archive) -> CommitFact:
    """The latest move that stands: it is no undo, and no undo took it back."""
    revision = state.revision
    while True:
        fact = archive.find(f"r:{revision}")
        if not isinstance(fact, CommitFact) or not state.owns(fact.seq):
            raise NothingToUndo(state.session_id)
        if fact.undone_revision is None:
            return fact
        # What an undo took back, and what came after that, is as if it had not been.
        revision = fact.undone_revision - 1


def head_log(limit: int | None) -> View[tuple[HeadMove, ...]]:
    """The latest `limit` moves of the head (all, where it is `None`), oldest first."""

    def view(state: SessionState, archive: Archive, moment: Moment) -> tuple[HeadMove, ...]:
        if limit is None:
            found = [fact for fact in archive.facts(CommitFact) if isinstance(fact, CommitFact)]
            return tuple(_told(fact) for fact in found if state.owns(fact.seq))
        latest: list[HeadMove] = []
        for revision in range(state.revision, max(0, state.revision - limit), -1):
            fact = archive.find(f"r:{revision}")
            if not isinstance(fact, CommitFact) or not state.owns(fact.seq):
                break
            latest.append(_told(fact))
        return tuple(reversed(latest))

    return view


def _told(fact: CommitFact) -> HeadMove:
    return HeadMove(
        fact.revision,
        fact.at_ms,
        fact.move,
        fact.leaf_node_id,
        fact.previous_leaf_node_id,
        fact.turn_id,
        fact.branch,
        fact.undone_revision,
    )
