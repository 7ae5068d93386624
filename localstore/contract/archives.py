"""What an export wrote, and what a backup copied."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OnConflict(StrEnum):
    """What an import does where the store has another session of the archive's id."""

    REFUSE = "refuse"
    """It raises `SessionExists`."""
    RENAME = "rename"
    """The imported session gets the first free id of `<id>-2`, `<id>-3`, ..."""
    SKIP = "skip"
    """The session that is there stays as it is, and nothing is imported."""


@dataclass(frozen=True, slots=True)
class ArchiveInfo:
    """A session in an archive file. `size_bytes` is the file's, `sha256` of all its bytes.

    `attachment_count` counts the attachments whose bytes are in it. Times are epoch milliseconds.
    """

    path: str
    session_id: str
    session_name: str
    head_revision: int
    node_count: int
    attachment_count: int
    exported_at_ms: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup did.

    Of the sessions, `copied` are new or changed, `unchanged` were left alone, and `trashed` are in the backup's trash
    now, since they were deleted. Files were `linked` or, where that is not possible, `copied_bytes` were copied.
    """

    path: str
    copied: tuple[str, ...]
    unchanged: tuple[str, ...]
    trashed: tuple[str, ...]
    linked_file_count: int
    copied_bytes: int
