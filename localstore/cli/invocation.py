"""One run of the command: which store it is about, and how it fails."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .exits import ExitCode

if TYPE_CHECKING:
    from ..local import LocalStore


class CommandFailure(Exception):
    """Ends the command with a message on the standard error and an exit code."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the options before the command say. `given_root` is `None` where the default is meant."""

    given_root: Path | None = None

    @property
    def root(self) -> Path:
        """The folder of the store."""
        if self.given_root is not None:
            return self.given_root
        from platformdirs import user_data_path

        return user_data_path("localstore", appauthor=False)

    def open_existing(self) -> LocalStore:
        """The store, for a command that looks at it: one that does not exist is not made by looking."""
        from ..disk import names

        self.require(names.STORE)
        return self._open(quick=False)

    def is_made(self) -> bool:
        """Whether there is a store, or at least what is left of one."""
        from ..disk import names

        return any(os.path.lexists(self.root / name) for name in (names.STORE, names.SESSIONS))

    def require(self, *any_of: str) -> None:
        """Fail unless one of these files and folders of a store is there."""
        if not any(os.path.lexists(self.root / name) for name in any_of):
            raise CommandFailure(
                f"there is no store at {self.root}; name one with --root or LOCALSTORE_ROOT,"
                " or make one with: localstore import FILE",
                ExitCode.NOT_FOUND,
            )

    def open_or_make(self, *, quick: bool = False) -> LocalStore:
        """The store, made if it does not exist.

        `quick` is for commands that can be run again: their calls survive a power cut only once the command is done.
        """
        return self._open(quick=quick)

    def _open(self, *, quick: bool) -> LocalStore:
        from ..contract.sessions import Durability
        from ..local import LocalStore

        return LocalStore(self.root, durability=Durability.PROCESS if quick else Durability.FULL)
