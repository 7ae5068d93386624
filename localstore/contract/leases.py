"""The execution lease: one fenced writer lane a session, and who holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .. import liveness
from . import checks
from .constructors import IDENTIFIER, INTEGER, SESSION_ID, of, quick


@dataclass(frozen=True, slots=True)
class Opaque:
    """Liveness of a holder of which nothing is known but its names: it is never provably dead."""


@dataclass(frozen=True, slots=True)
class LocalProcess:
    """Liveness of a holder that is a process of one host, filled by psutil.

    `host_id` tells machines and pid namespaces apart, `boot_id` boots, `process_start` the processes that have had the
    same `pid`.
    """

    host_id: str
    boot_id: str
    pid: int
    process_start: str

    def __post_init__(self) -> None:
        checks.identifier("host_id", self.host_id)
        checks.text("boot_id", self.boot_id)
        checks.integer("pid", self.pid)
        checks.text("process_start", self.process_start)


OwnerLiveness: TypeAlias = Opaque | LocalProcess


@dataclass(frozen=True, slots=True)
class LeaseOwnerIdentity:
    """Who claims: a stable owner (a worker, a window), and the incarnation of it that runs now."""

    owner_id: str
    incarnation_id: str
    liveness: OwnerLiveness = Opaque()

    def __post_init__(self) -> None:
        checks.identifier("owner_id", self.owner_id)
        checks.identifier("incarnation_id", self.incarnation_id)
        checks.instance("liveness", self.liveness, Opaque, LocalProcess)

    @classmethod
    def opaque(cls, owner_id: str, incarnation_id: str) -> LeaseOwnerIdentity:
        """An owner whose death nobody can prove; its lease ends by release or expiry alone."""
        return cls(owner_id, incarnation_id)

    @classmethod
    def local_process(cls, owner_id: str, incarnation_id: str, host_id: str | None = None) -> LeaseOwnerIdentity:
        """An owner that is this very process, so that others on this host can prove its death.

        `host_id` defaults to the id of this host and pid namespace.
        """
        own = liveness.this_process()
        alive = LocalProcess(own.host_id if host_id is None else host_id, own.boot_id, own.pid, own.start)
        return cls(owner_id, incarnation_id, alive)

    def same_incarnation(self, other: LeaseOwnerIdentity) -> bool:
        """Whether owner id and incarnation id are equal."""
        return self.owner_id == other.owner_id and self.incarnation_id == other.incarnation_id

    def is_definitely_dead_for_claimant(self, claimant: LeaseOwnerIdentity) -> bool:
        """Whether `claimant` may take this holder for dead.

        True only on proof: both are processes of one host and boot, and the holder's pid is gone, a zombie, or belongs
        to a process with another start. Anything else, an error included, is `False`.
        """
        mine, theirs = self.liveness, claimant.liveness
        if not isinstance(mine, LocalProcess) or not isinstance(theirs, LocalProcess):
            return False
        if not mine.boot_id or mine.host_id != theirs.host_id or not liveness.same_boot(mine.boot_id, theirs.boot_id):
            return False
        return liveness.is_definitely_gone(mine.pid, mine.process_start)


@quick(
    session_id=SESSION_ID,
    owner=of(LeaseOwnerIdentity),
    lease_token=IDENTIFIER,
    fencing_token=INTEGER,
)
@dataclass(frozen=True, slots=True)
class SessionExecutionLeaseFence:
    """Proof of holding the lease; stale when any of its four fields differs from the current lease."""

    session_id: str
    owner: LeaseOwnerIdentity
    lease_token: str
    fencing_token: int


@quick(
    session_id=SESSION_ID,
    owner=of(LeaseOwnerIdentity),
    lease_token=IDENTIFIER,
    fencing_token=INTEGER,
)
@dataclass(frozen=True, slots=True)
class SessionExecutionLeaseCompletion:
    """What releases a lease; stale when any of its four fields differs from the current lease."""

    session_id: str
    owner: LeaseOwnerIdentity
    lease_token: str
    fencing_token: int


@quick(
    session_id=SESSION_ID,
    owner=of(LeaseOwnerIdentity),
    lease_token=IDENTIFIER,
    fencing_token=INTEGER,
    claimed_at_epoch_ms=INTEGER,
    expires_at_epoch_ms=INTEGER,
)
@dataclass(frozen=True, slots=True)
class SessionExecutionLease:
    """A granted lease. Times are milliseconds since the Unix epoch; `fencing_token` only grows in a session's life."""

    session_id: str
    owner: LeaseOwnerIdentity
    lease_token: str
    fencing_token: int
    claimed_at_epoch_ms: int
    expires_at_epoch_ms: int

    def fence(self) -> SessionExecutionLeaseFence:
        """The proof of holding that goes with commits, claims, renewals, and as the observed holder of a reclaim."""
        return SessionExecutionLeaseFence(self.session_id, self.owner, self.lease_token, self.fencing_token)

    def completion(self) -> SessionExecutionLeaseCompletion:
        """What releases this lease."""
        return SessionExecutionLeaseCompletion(self.session_id, self.owner, self.lease_token, self.fencing_token)


@quick()
@dataclass(frozen=True, slots=True)
class LeaseAcquired:
    """The claim was granted."""

    lease: SessionExecutionLease

    def acquired(self) -> SessionExecutionLease | None:
        """The lease."""
        return self.lease


@dataclass(frozen=True, slots=True)
class LeaseBusy:
    """Somebody else holds the lease: `holder` is the current lease."""

    holder: SessionExecutionLease

    def acquired(self) -> SessionExecutionLease | None:
        """`None`: nothing was acquired."""
        return None


SessionExecutionLeaseClaimOutcome: TypeAlias = LeaseAcquired | LeaseBusy
