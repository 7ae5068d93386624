"""A session as a whole: metadata, summary, head, and the reports of its upkeep."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from . import checks
from .constructors import quick
from .state import BlobRef
from .values import JsonValue, held


class Durability(StrEnum):
    """What a call that returned has survived.

    `FULL`: enqueues, cancels, commits, tombstones, metadata and intents survive a power cut; claims, renewals, releases
    and abandons may be lost in one, but a fencing token never comes back. `PROCESS`: everything survives the death of
    the process; a power cut may lose the latest calls but never tears or mixes state.
    """

    FULL = "full"
    PROCESS = "process"


class DurabilityTier(StrEnum):
    """How far a backend's state reaches: gone with the process, or on disk."""

    INLINE = "inline"
    DURABLE = "durable"


@dataclass(frozen=True, slots=True)
class RootSession:
    """Relation: a session of its own."""


@held(caused_by="value")
@dataclass(frozen=True, slots=True)
class ChildSession:
    """Relation: a session that another one started."""

    parent_session_id: str
    caused_by: JsonValue = None

    def __post_init__(self) -> None:
        checks.session_id(self.parent_session_id, "parent_session_id")


SessionRelation: TypeAlias = RootSession | ChildSession


@dataclass(frozen=True, slots=True)
class SessionMeta:
    """What a person knows a session by. `created_at` is RFC 3339 or empty."""

    session_id: str
    session_name: str
    created_at: str
    model: str
    cwd: str | None = None
    relation: SessionRelation = RootSession()

    def __post_init__(self) -> None:
        checks.session_id(self.session_id)
        checks.text("session_name", self.session_name)
        checks.optional_timestamp("created_at", self.created_at)
        checks.text("model", self.model)
        checks.optional_text("cwd", self.cwd)
        checks.instance("relation", self.relation, RootSession, ChildSession)

    @property
    def parent_session_id(self) -> str | None:
        """The parent's id for a child session, `None` for a root session."""
        return self.relation.parent_session_id if isinstance(self.relation, ChildSession) else None


@quick()
@dataclass(frozen=True, slots=True)
class SessionSummary:
    """One line of a session list, kept as part of committing. Times are epoch milliseconds, sizes bytes on disk."""

    session_id: str
    session_name: str
    cwd: str | None
    model: str
    relation: SessionRelation
    created_at_ms: int
    updated_at_ms: int
    first_user_message: str | None
    user_message_count: int
    node_count: int
    head_revision: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class UnreadableSession:
    """A session that cannot be read, and why. `session_id` is `None` where not even that is certain."""

    session_id: str | None
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class SessionSurvey:
    """Sessions of a store: those that can be read, newest activity first, and those that cannot.

    `fitting_count` is how many fit what was asked for, of which `sessions` may be a page.
    """

    sessions: tuple[SessionSummary, ...]
    unreadable: tuple[UnreadableSession, ...]
    fitting_count: int = 0


@dataclass(frozen=True, slots=True)
class SessionHead:
    """Where a session stands, without its nodes."""

    session_id: str
    head_revision: int
    leaf_node_id: str | None
    checkpoint_ref: BlobRef | None
    node_count: int
    current_agent_frame_id: str | None


@dataclass(frozen=True, slots=True)
class VacuumReport:
    """How many tombstoned nodes, and completed or cancelled inputs, were physically removed."""

    removed_node_count: int
    removed_pending_turn_input_tombstone_count: int


@dataclass(frozen=True, slots=True)
class GcReport:
    """How many roots kept how many blobs, and how many blobs were deleted."""

    root_count: int
    retained_blob_count: int
    deleted_blob_count: int
