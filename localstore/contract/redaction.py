"""Redaction: what a pattern matches is replaced wherever a session has it, and what could not be is named."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .sessions import UnreadableSession
from .trash import SparedSession

REPLACEMENT = "[redacted]"
"""What takes the place of a match unless something else is asked for."""


class RedactedKind(StrEnum):
    """What a match was found in."""

    NODE = "node"
    """A node's payload or its `caused_by`; the id is the node's, which stays."""
    VALUE = "value"
    """A stored value: tool state, plugin snapshot, execution state, an image; the id is its address."""
    CHECKPOINT = "checkpoint"
    """The manifest of a checkpoint; the id is its address."""
    INPUT = "input"
    """User input, waiting or settled."""
    WORK = "work"
    """A batch of queued work."""
    FRAME = "frame"
    """An agent frame."""
    CONFIG = "config"
    """The session's configuration."""
    METADATA = "metadata"
    """Name, working directory, model and relation of the session."""
    USAGE = "usage"
    """Source or model in the token ledger."""
    LABEL = "label"
    """The label of an attachment; the id is the attachment's."""
    FILE = "file"
    """A file that nothing reads any more: what a repair set aside, or an interrupted call left. It goes whole."""


@dataclass(frozen=True, slots=True)
class RedactedPlace:
    """Something that has matches, `count` of them.

    `id` names it; what is stored under the SHA-256 of its content gets a new address with its new content, `new_id`.
    """

    kind: RedactedKind
    id: str
    count: int
    new_id: str | None = None


@dataclass(frozen=True, slots=True)
class LeftPlace:
    """A match that stays, and why: an id, an address, the bytes of an attachment, a file that is not the store's."""

    what: str
    id: str
    reason: str


def attachment_left(attachment_id: str) -> LeftPlace:
    """That the bytes of an attachment have a match."""
    return LeftPlace("attachment", attachment_id, "its bytes are its id; put it again without that, and sweep the old")


@dataclass(frozen=True, slots=True)
class SessionRedaction:
    """What a redaction did in one session or, where it was not `applied`, would do.

    `deleted_at_ms` says which session of that id it is in the trash, and is `None` for one that was not deleted.
    """

    session_id: str
    applied: bool
    places: tuple[RedactedPlace, ...]
    left: tuple[LeftPlace, ...]
    deleted_at_ms: int | None = None

    @property
    def count(self) -> int:
        """How many matches there were, but for those that stay."""
        return sum(place.count for place in self.places)


@dataclass(frozen=True, slots=True)
class RedactionReport:
    """What a redaction of several sessions did or, where it was not `applied`, would do.

    `sessions` are those with a match, in the trash too; `shared` are labels of attachments, and files that are in no
    session; `left` is what of these stays, such as attachments whose bytes match. `spared` were in use and `unreadable`
    are damaged: they may have matches.
    """

    applied: bool
    sessions: tuple[SessionRedaction, ...]
    shared: tuple[RedactedPlace, ...]
    left: tuple[LeftPlace, ...]
    spared: tuple[SparedSession, ...]
    unreadable: tuple[UnreadableSession, ...]

    @property
    def count(self) -> int:
        """How many matches there were, but for those that stay."""
        return sum(each.count for each in self.sessions) + sum(each.count for each in self.shared)

    @property
    def is_complete(self) -> bool:
        """Whether no match is known to stay, and everything could be looked at."""
        return not (self.left or self.spared or self.unreadable or any(each.left for each in self.sessions))
