"""Looking at files for a check: reading without writing, and taking down what is found."""

from __future__ import annotations

import os
import stat
from dataclasses import replace

from ...contract.errors import BackendError, CorruptRecord, RecordSchemaVersionError
from .. import platforms
from ..files import is_ours
from ..system import system
from .findings import Checked, Finding, Severity

REPAIR = "run `localstore check --repair`"
NONE = "nothing to do"


def is_regular(found: os.stat_result) -> bool:
    """Whether that is the status of a regular file."""
    return stat.S_ISREG(found.st_mode) and not platforms.is_link(found)


class Look:
    """One look at a store or at one session of it.

    Attributes:
        folder: what is looked at.
        findings: what was found so far.
        checked: how much was looked at.
        complete: whether everything could be looked at.
        session_id: goes into the findings.
        elsewhere: whether the folder is a copy, whose views may be of other moments than its head.
        copied: whether the copy was made while the session was in use.
    """

    def __init__(self, root: str, folder: str) -> None:
        self.root = root
        self.folder = folder
        self.findings: list[Finding] = []
        self.checked = Checked()
        self.complete = True
        self.session_id: str | None = None
        self.elsewhere = False
        self.copied = False

    def path(self, *parts: str) -> str:
        """A path in the folder."""
        return os.path.join(self.folder, *parts)

    def note(
        self,
        severity: Severity,
        kind: str,
        path: str,
        message: str,
        remedy: str = REPAIR,
        *,
        offset: int | None = None,
        node_id: str | None = None,
    ) -> None:
        """Take down a finding."""
        relative = os.path.relpath(path, self.root).replace(os.sep, "/")
        self.findings.append(Finding(severity, kind, relative, message, remedy, self.session_id, offset, node_id))

    def error(self, kind: str, path: str, message: str, remedy: str = REPAIR, *, offset: int | None = None) -> None:
        """Take down an error."""
        self.note(Severity.ERROR, kind, path, message, remedy, offset=offset)

    def warning(self, kind: str, path: str, message: str, remedy: str) -> None:
        """Take down a warning."""
        self.note(Severity.WARNING, kind, path, message, remedy)

    def view(self, kind: str, path: str, message: str, remedy: str) -> None:
        """Take down a view that is not what it should be. In a copy that is no trouble."""
        if self.elsewhere:
            self.info(kind, path, f"{message}; it was copied at another moment")
        else:
            self.warning(kind, path, message, remedy)

    def info(self, kind: str, path: str, message: str, remedy: str = NONE) -> None:
        """Take down what is no trouble."""
        self.note(Severity.INFO, kind, path, message, remedy)

    def version_error(self, path: str, error: RecordSchemaVersionError, raw: bytes, kind: str) -> None:
        """Take down a record of another format, unless it is ours for certain."""
        if is_ours(kind, raw[: raw.rfind(b"}") + 1]):
            self.error("damaged_record", path, "its schema version is damaged, as its checksum proves", offset=0)
        else:
            self.error("schema_version", path, str(error), "use the release that wrote it, or upgrade")

    def unreadable(self, path: str, error: BackendError) -> None:
        """Take down what the system refuses to show: it may be sound or not."""
        self.complete = False
        self.warning("unreadable", path, str(error), "make it readable, and check again")

    def check_ending(self, path: str, raw: bytes, *, is_view: bool = False) -> None:
        """A record ends with a line end, and nothing is behind that."""
        end = raw.rfind(b"}") + 1
        if raw[end:] != b"\n":
            severity = Severity.WARNING if is_view else Severity.ERROR
            self.note(severity, "damaged_ending", path, "its line end is damaged, or something was added", offset=end)

    def read(self, path: str, limit: int) -> bytes | None:
        """The bytes of a regular file, or `None` where it is missing or cannot be read; the latter is taken down."""
        try:
            raw = system.read_file(path, limit)
        except FileNotFoundError:
            return None
        except CorruptRecord as error:
            self.error("too_large", path, error.reason)
            return None
        except BackendError as error:
            if self.is_regular(path):
                self.unreadable(path, error)
            return None
        self.count(files=1, bytes=len(raw))
        return raw

    @staticmethod
    def is_regular(path: str) -> bool:
        """Whether there is a regular file; the look at the folder takes down what is none."""
        try:
            return is_regular(system.stat(path))
        except (FileNotFoundError, BackendError):
            return False

    def count(self, **more: int) -> None:
        """Add to what was looked at."""
        now = {name: getattr(self.checked, name) + number for name, number in more.items()}
        self.checked = replace(self.checked, **now)
