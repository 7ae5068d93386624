"""How the command ends."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command."""

    OK = 0
    """Done, and nothing was found wrong."""
    FINDINGS = 1
    """Done, but a check found something, or an item of several failed."""
    USAGE = 2
    """The command line is wrong, or names more than one session."""
    NOT_FOUND = 3
    """There is no such store, session or node."""
    REFUSED = 4
    """The store refused: damage, a newer format, a lock that stays held, a full disk. Nothing was changed."""
