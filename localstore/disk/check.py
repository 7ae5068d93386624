"""The check of a store: whether every byte of it is what was written, and nothing that is relied on is missing.

It reads as a reader does, takes no lock and writes nothing. A session that others work on meanwhile is looked at again,
and only what is found each time is told.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import fields

from .. import liveness
from ..contract.errors import CorruptRecord, RecordSchemaVersionError
from . import names
from .checking.attachments import check_attachments
from .checking.entries import check_folder
from .checking.findings import Checked, CheckReport, Finding, Severity
from .checking.heads import MAX_SMALL
from .checking.look import Look
from .checking.sessions import SessionCheck
from .files import read_sealed
from .journal import boot_tag
from .names import EntryKind, Place
from .root import KIND, StoreRecord

__all__ = ["CheckReport", "Checked", "Finding", "Severity", "check_store"]


def check_store(
    root: str | os.PathLike[str], *, session_id: str | None = None, tell: Callable[[int, int], None] | None = None
) -> CheckReport:
    """Check the store at `root`, or one session of it. Changes nothing, and may run while the store is in use.

    `tell` is called with how many sessions are checked, and of how many.

    A root that is no store is a report with an error and nothing checked.
    """
    path = os.path.abspath(os.fspath(root))
    check = _StoreCheck(path)
    if session_id is None:
        check.whole(tell or _tell_nobody)
    else:
        check.session(os.path.join(path, names.SESSIONS, names.session_dirname(session_id)))
    return check.report()


class _StoreCheck:
    def __init__(self, root: str) -> None:
        self._root = root
        self._boot = boot_tag(liveness.boot_id())
        self._findings: list[Finding] = []
        self._checked = Checked()
        self._complete = True
        self._named: dict[str, bool] = {}

    def report(self) -> CheckReport:
        found = sorted(self._findings, key=lambda each: (each.path, each.offset or 0, each.kind))
        return CheckReport(self._root, tuple(found), self._checked, self._complete)

    def whole(self, tell: Callable[[int, int], None]) -> None:
        """The root, every session, the trash, the attachments."""
        look = Look(self._root, self._root)
        if not os.path.isdir(self._root):
            look.error("no_store", self._root, "it is no folder", "name the folder of a store")
            look.complete = False
            self._take(look)
            return
        kinds = check_folder(look, self._root, Place.ROOT)
        self._check_store_record(look)
        self._take(look)
        folders = list(self._folders(names.SESSIONS, EntryKind.SESSION))
        folders += self._folders(names.TRASH, EntryKind.TRASHED)
        for done, folder in enumerate(folders):
            tell(done, len(folders))
            self.session(folder)
        tell(len(folders), len(folders))
        if kinds.get(names.ATTACHMENTS) is EntryKind.ATTACHMENTS:
            attachments = Look(self._root, os.path.join(self._root, names.ATTACHMENTS))
            check_attachments(attachments, self._named, all_named=not any(map(_hides_rows, self._findings)))
            self._take(attachments)

    def session(self, folder: str) -> None:
        """One session."""
        found = SessionCheck(self._root, folder, self._boot)
        self._findings += found.findings
        self._complete = self._complete and found.complete
        self._add(found.checked)
        self._add(Checked(sessions=1))
        for attachment_id, is_committed in found.named.items():
            self._named[attachment_id] = is_committed or self._named.get(attachment_id, False)

    def _folders(self, inside: str, kind: EntryKind) -> Iterator[str]:
        where = os.path.join(self._root, inside)
        place = Place.SESSIONS if inside == names.SESSIONS else Place.TRASH
        look = Look(self._root, where)
        kinds = check_folder(look, where, place)
        self._take(look)
        return (os.path.join(where, name) for name, found in kinds.items() if found is kind)

    def _check_store_record(self, look: Look) -> None:
        """`store.json` is whole and of the format that this release reads."""
        path = look.path(names.STORE)
        before = len(look.findings)
        raw = look.read(path, MAX_SMALL)
        if raw is None:
            if len(look.findings) == before:
                look.error("store_record_missing", path, "it is missing: this is no store, or has lost its record")
            return
        try:
            read_sealed(StoreRecord, KIND, raw, path)
        except RecordSchemaVersionError as error:
            look.version_error(path, error, raw, KIND)
        except CorruptRecord as error:
            look.error("damaged_record", path, error.reason, offset=0)
        else:
            end = raw.rfind(b"}") + 1
            if raw[end:] != b"\n":
                look.error("damaged_ending", path, "its line end is damaged, or something was added", offset=end)

    def _take(self, look: Look) -> None:
        self._findings += look.findings
        self._complete = self._complete and look.complete
        self._add(look.checked)

    def _add(self, more: Checked) -> None:
        sums = {each.name: getattr(self._checked, each.name) + getattr(more, each.name) for each in fields(Checked)}
        self._checked = Checked(**sums)


def _tell_nobody(done: int, total: int) -> None:
    pass


def _hides_rows(found: Finding) -> bool:
    """Whether what is damaged may have rows that name attachments."""
    return found.severity is Severity.ERROR and found.path.startswith((f"{names.SESSIONS}/", f"{names.TRASH}/"))
