"""What a repair did, and its report."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..checking.findings import CheckReport
from ..quarantine import quarantine, set_aside


@dataclass(frozen=True, slots=True)
class RepairAction:
    """One thing that a repair did.

    Attributes:
        kind: what it did, as a stable word in snake case.
        path: the file or folder, relative to the store's root, with `/`.
        message: what was done, and what is lost.
        session_id: the session it belongs to, where that is known.
        kept: where the damaged original is now, relative to the root; `None` where there was none to keep.
        lost: whether something could not be made good.
    """

    kind: str
    path: str
    message: str
    session_id: str | None = None
    kept: str | None = None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair found, did and left: a check before it, its actions, and a check after it."""

    before: CheckReport
    actions: tuple[RepairAction, ...]
    after: CheckReport

    @property
    def exit_code(self) -> int:
        """As that of the check after the repair."""
        return self.after.exit_code


class Actions:
    """Does what has to be kept track of, and keeps track of it. `folder` has the quarantine."""

    def __init__(self, root: str, folder: str) -> None:
        self._root = root
        self._folder = folder
        self.done: list[RepairAction] = []
        self.session_id: str | None = None

    def note(self, kind: str, path: str, message: str, *, kept: str | None = None, lost: bool = False) -> None:
        """Take down what was done."""
        shown = None if kept is None else self._relative(kept)
        self.done.append(RepairAction(kind, self._relative(path), message, self.session_id, shown, lost))

    def set_aside(self, kind: str, path: str, why: str, *, lost: bool = False) -> bool:
        """Move what is at `path` to the quarantine; whether there was something."""
        try:
            kept = set_aside(self._folder, path, why)
        except FileNotFoundError:
            return False
        self.note(kind, path, f"set aside: {why}", kept=kept, lost=lost)
        return True

    def keep(self, kind: str, path: str, content: bytes, why: str, *, lost: bool = False) -> None:
        """Keep a copy of bytes of the file at `path` in the quarantine."""
        kept = quarantine(self._folder, os.path.basename(path), content, why)
        self.note(kind, path, why, kept=kept, lost=lost)

    def _relative(self, path: str) -> str:
        return os.path.relpath(path, self._root).replace(os.sep, "/")
