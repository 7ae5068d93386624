"""What a check finds, and its report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad a finding is."""

    INFO = "info"
    """Nothing is wrong: leftovers of a crash that go by themselves, files of others."""
    WARNING = "warning"
    """Nothing is lost, but somebody should look: what was set aside, views that are behind, wide permissions."""
    ERROR = "error"
    """Bytes are not what was written, or what is relied on is missing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    Attributes:
        severity: how bad it is.
        kind: what it is, as a stable word in snake case.
        path: the file or folder, relative to the store's root, with `/`.
        message: what was found.
        remedy: what to do about it.
        session_id: the session it belongs to, where that is known.
        offset: where in the file the damage begins, in bytes.
        node_id: the node that is damaged, where that can be told.
    """

    severity: Severity
    kind: str
    path: str
    message: str
    remedy: str
    session_id: str | None = None
    offset: int | None = None
    node_id: str | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """How much was looked at."""

    sessions: int = 0
    files: int = 0
    bytes: int = 0
    nodes: int = 0
    attachments: int = 0


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        root: the store's folder.
        findings: ordered by path.
        checked: how much was looked at.
        complete: whether everything could be looked at.
    """

    root: str
    findings: tuple[Finding, ...] = ()
    checked: Checked = field(default_factory=Checked)
    complete: bool = True

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(found for found in self.findings if found.severity is Severity.ERROR)

    @property
    def exit_code(self) -> int:
        """0: no errors, though there may be warnings; 1: errors; 2: no errors, but not everything could be checked."""
        if self.errors:
            return 1
        return 0 if self.complete else 2

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON data."""
        return {
            "root": self.root,
            "findings": [asdict(found) for found in self.findings],
            "checked": asdict(self.checked),
            "complete": self.complete,
            "exit_code": self.exit_code,
        }
