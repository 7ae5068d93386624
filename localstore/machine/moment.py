"""What a decision needs from outside: the time, fresh ids, verdicts of death. And deadlines, which are judged by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..contract.checks import MAX_INTEGER
from ..contract.leases import LeaseOwnerIdentity


@dataclass(slots=True)
class Deadline:
    """When something expires: by wall time, and by the clock of one boot where there is one."""

    expires_at_ms: int
    boot_id: str | None = None
    boot_ms: int | None = None


@dataclass(slots=True)
class Moment:
    """One instant, as the machine sees it.

    `boot_ms` counts milliseconds since boot, suspend included and wall-clock steps ignored, or is `None`; `boot_id`
    names the boot. `is_dead(holder, claimant)` is the verdict on a holder; `new_id()` gives unguessable fresh ids.
    """

    now_ms: int
    boot_id: str
    boot_ms: int | None
    new_id: Callable[[], str]
    is_dead: Callable[[LeaseOwnerIdentity, LeaseOwnerIdentity], bool]

    def deadline(self, ttl_ms: int) -> Deadline:
        """Now + `ttl_ms`, held at the largest integer of the contract."""
        expires_at = min(self.now_ms + ttl_ms, MAX_INTEGER)
        if self.boot_ms is None:
            return Deadline(expires_at)
        return Deadline(expires_at, self.boot_id, min(self.boot_ms + ttl_ms, MAX_INTEGER))

    def expired(self, deadline: Deadline) -> bool:
        """Within one boot the boot clock judges, since the wall clock may be stepped; across boots the wall does."""
        if self.boot_ms is not None and deadline.boot_ms is not None and deadline.boot_id == self.boot_id:
            return self.boot_ms >= deadline.boot_ms
        return self.now_ms >= deadline.expires_at_ms
