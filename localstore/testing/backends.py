"""What a backend shows to the suite."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from .. import (
    AttachmentStore,
    AttachmentSweepReport,
    Clock,
    DurabilityTier,
    RootSession,
    RuntimePersistence,
    SessionRelation,
    SessionSummary,
)


class StoreFace(Protocol):
    """The face of a store: opens, lists and deletes sessions, and holds the attachments' bytes."""

    @property
    def attachments(self) -> AttachmentStore:
        """The bytes of attachments."""
        ...

    def create_session(
        self,
        session_id: str,
        *,
        session_name: str | None = None,
        model: str = "",
        cwd: str | None = None,
        relation: SessionRelation = RootSession(),
    ) -> RuntimePersistence:
        """A handle of the session, which is made if it does not exist."""
        ...

    def open_session(self, session_id: str) -> RuntimePersistence | None:
        """A handle of the session, or `None` when it does not exist."""
        ...

    def delete_session(self, session_id: str) -> None:
        """Remove the session and everything of it."""
        ...

    def list_sessions(self) -> tuple[SessionSummary, ...]:
        """All sessions, the newest activity first."""
        ...

    def durability_tier(self) -> DurabilityTier:
        """How far its state reaches."""
        ...

    def sweep_attachments(self, older_than_epoch_ms: int) -> AttachmentSweepReport:
        """Delete orphaned rows, and bytes that no row names."""
        ...

    def close(self) -> None:
        """Close the store and its handles."""
        ...


class Capability(StrEnum):
    """What a backend may lack. Tests of what it lacks are skipped, with the capability as the reason."""

    DURABLE = "durable"
    """A closed store can be opened again, and everything is still there."""
    MULTI_PROCESS = "multi_process"
    """Several processes may use one store at the same time."""
    ATTACHMENTS = "attachments"
    """The attachment manifest and the bytes."""
    TURN_INPUT = "turn_input"
    """Pending turn input."""
    QUEUED_WORK = "queued_work"
    """Queued work."""
    BOOT_CLOCK = "boot_clock"
    """Expiry is judged by a clock's `boot_ms()` where it has one, so that steps of the wall clock change nothing."""


class Backend(ABC):
    """How the suite gets stores of one backend. A subclass says at least how to `open` one."""

    capabilities: frozenset[Capability] = frozenset(Capability)

    @abstractmethod
    def open(self, clock: Clock) -> StoreFace:
        """A fresh, empty store that takes its time from `clock`."""

    def reopen(self, store: StoreFace, clock: Clock) -> StoreFace | None:
        """Close `store` and open its data again; `None` where it is not durable."""
        return None

    def opener(self, store: StoreFace) -> Callable[[Clock], StoreFace] | None:
        """A picklable function that opens the data of `store` in another process; `None` where none can."""
        return None

    def finish(self, store: StoreFace) -> None:
        """Called at the end of each test: close the store, and check what it left behind."""
        store.close()
