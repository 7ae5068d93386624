"""Where a session's head has been, and the branches of its graph."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from . import checks
from .errors import InvalidArgument

MAX_BRANCHES = 1_000
"""The most branches that a session may have, since they are kept in its head."""
MAX_BRANCH_NAME = 200
"""The most characters of a branch's name."""


class HeadMoveKind(StrEnum):
    """What moved the head."""

    COMMIT = "commit"
    REWIND = "rewind"
    SWITCH = "switch"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class HeadMove:
    """One move of the head: it made `revision`, at `at_ms` epoch milliseconds.

    `leaf_node_id` is the head's leaf since, `previous_leaf_node_id` the one before. `turn_id` is the stamped turn of a
    commit, `branch` the branch that was current after the move. `undone_revision` says which move an undo took back.
    """

    revision: int
    at_ms: int
    kind: HeadMoveKind
    leaf_node_id: str | None
    previous_leaf_node_id: str | None
    turn_id: str | None = None
    branch: str | None = None
    undone_revision: int | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """A name for a leaf. The current branch follows the head; the others stay where they are.

    `is_gone` says that its leaf was tombstoned, or is not in a graph that replaced the one it was named in.
    """

    name: str
    leaf_node_id: str | None
    is_current: bool = False
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class GraphLeaf:
    """A node that no other node has for its parent: the tip of a line of the conversation, named or not."""

    node_id: str
    timestamp: str
    branches: tuple[str, ...] = ()
    is_head: bool = False


def branch_name(value: object) -> str:
    """A branch's name: 1 to 200 printable characters, no blank at either end and no dash at the beginning."""
    name = checks.identifier("branch name", value)
    if len(name) > MAX_BRANCH_NAME:
        raise InvalidArgument(f"a branch name has at most {MAX_BRANCH_NAME} characters, this one has {len(name)}")
    if not name.isprintable() or name != name.strip() or name.startswith("-"):
        raise InvalidArgument(
            f"a branch name is printable, begins with no dash and has no blank at its ends, which is not so of"
            f" {checks.shown(name)}"
        )
    return name
