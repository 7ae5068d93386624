"""What the faces need of a backend: a keeper a session, and the collection of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from .contract.archives import ArchiveInfo, BackupReport, OnConflict
from .contract.attachments import AttachmentStore
from .contract.checks import MAX_INTEGER
from .contract.redaction import LeftPlace, RedactedPlace, SessionRedaction
from .contract.sessions import DurabilityTier, GcReport, SessionMeta, SessionSummary, UnreadableSession, VacuumReport
from .contract.trash import TrashedSession
from .machine.decision import Decide, View
from .machine.facts import Recent
from .machine.forks import ForkRequest
from .machine.redactor import Redactor
from .machine.state import SessionState
from .surroundings import Surroundings

R = TypeVar("R")


class Keeper(Protocol):
    """Keeps one session: runs the machine's decisions and views on its state, one at a time."""

    @property
    def session_id(self) -> str:
        """The session's id."""

    def read(self, view: View[R]) -> R:
        """What `view` sees of the current state."""

    def write(self, decide: Decide[R], *, flush: bool = True) -> R:
        """Decide, and write the events; `flush`: they are to survive a power cut in `Durability.FULL`."""

    def checkpoint(self) -> None:
        """Fold what is only in the journal into files at rest."""

    def vacuum(self) -> VacuumReport:
        """Physically remove what is hidden or settled."""

    def collect(self) -> GcReport:
        """Delete blobs that are not live."""

    def redact(self, redactor: Redactor, *, apply: bool) -> SessionRedaction:
        """Replace what matches everywhere in the session; without `apply` only tell what does.

        `SessionExecutionLeaseHeld` where somebody holds it who is not known to be dead.
        """

    def summary(self) -> SessionSummary:
        """The session's line in a list."""

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake`, in any thread, when the session may have changed, until the returned function is called.

        A change may be missed.
        """


class Sessions(Protocol):
    """The sessions of one store."""

    surroundings: Surroundings

    @property
    def attachments(self) -> AttachmentStore:
        """The bytes of attachments."""

    @property
    def tier(self) -> DurabilityTier:
        """How far the state reaches."""

    def find(self, session_id: str) -> Keeper | None:
        """The keeper of an existing session."""

    def make(self, meta: SessionMeta) -> Keeper:
        """The keeper of the session, made with `meta` if it does not exist."""

    def remove(self, session_id: str, unless: View[bool] | None = None) -> bool:
        """Move the session to the trash, if it exists; `False` where it stays, since `unless` says yes of its state."""

    def trashed(self, session_id: str | None = None, deleted_until_ms: int = MAX_INTEGER) -> Iterable[TrashedSession]:
        """The sessions in the trash, or those of one id, or those deleted until then, in no order."""

    def restore(self, trashed: TrashedSession) -> Keeper:
        """Make it a session again; `SessionExists` or `TrashedSessionNotFound` where that cannot be."""

    def purge(self, trashed: TrashedSession) -> bool:
        """Remove it from the trash for good; `False` where it is not there any more."""

    def fork(self, parent: Keeper, request: ForkRequest) -> Keeper:
        """Make a child of the session of `parent`; `SessionExists` where its id is taken."""

    def export(self, keeper: Keeper, path: str, tell: Callable[[int, int], None]) -> ArchiveInfo:
        """Write the session to a new archive file; `tell` how many bytes were gone over, and of how many."""

    def restore_archive(self, path: str, session_id: str | None, on_conflict: OnConflict) -> Keeper:
        """Make the session of an archive file a session of this store."""

    def backup(self, path: str, tell: Callable[[int, int], None]) -> BackupReport:
        """Bring the backup at `path` to what the store is now; `tell` how many sessions are done, and of how many."""

    def keepers(self) -> Iterable[Keeper]:
        """The keepers of all sessions, one after the other."""

    def summaries(self) -> Iterable[SessionSummary]:
        """The summary of every session, in no order."""

    def redact_trash(
        self, redactor: Redactor, session_ids: frozenset[str] | None, *, apply: bool
    ) -> Iterable[SessionRedaction | UnreadableSession]:
        """Redact the deleted sessions, or those of these ids."""

    def redact_shared(
        self, redactor: Redactor, attachment_ids: frozenset[str] | None, *, apply: bool
    ) -> Iterable[RedactedPlace | LeftPlace]:
        """Redact the labels of these attachments, and tell which bytes match; or all that belongs to no session."""

    def survey(self) -> tuple[list[SessionSummary], list[UnreadableSession]]:
        """As `summaries`, and instead of raising what cannot be read."""

    def sweep_bytes(self, orphans: frozenset[str], older_than_ms: int) -> tuple[str, ...]:
        """Delete attachment bytes that no row names: `orphans`, and what was put at or before `older_than_ms`."""

    def close(self) -> None:
        """Fold and let go of everything. Idempotent."""


class AbsentKeeper:
    """Stands in for a session that does not exist: reads find nothing and decisions have nothing to change."""

    def __init__(self, session_id: str, surroundings: Surroundings) -> None:
        self.session_id = session_id
        self._surroundings = surroundings

    def read(self, view: View[R]) -> R:
        """What `view` sees of nothing."""
        return view(SessionState(self.session_id), Recent(), self._surroundings.moment())

    def write(self, decide: Decide[R], *, flush: bool = True) -> R:
        """What `decide` comes to where there is nothing to change."""
        return decide(SessionState(self.session_id), Recent(), self._surroundings.moment()).result
