"""The files of a folder that may be transcripts, and why the others are none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ENDINGS = (".jsonl", ".json", ".traj", ".tar")
"""What the names of transcripts and archives end in; a file that is named itself may be called anything."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file to import. `found` in a folder, it may turn out to be no transcript without that being an error."""

    path: Path
    found: bool = False
    skipped: str | None = None


def candidates(given: list[Path]) -> list[Candidate]:
    """The files that are given, and those in the folders that are, each once: in a folder by path, nothing followed."""
    seen: set[str] = set()
    fresh = []
    for candidate in (each for path in given for each in _below(path)):
        name = os.path.abspath(candidate.path)
        if name not in seen:
            seen.add(name)
            fresh.append(candidate)
    return fresh


def _below(path: Path) -> Iterator[Candidate]:
    if not path.is_dir():
        yield Candidate(path)
        return
    from ..disk import names

    refused: list[OSError] = []
    for where, folders, files in os.walk(path, onerror=refused.append):
        if names.STORE in files and names.SESSIONS in folders:
            folders.clear()
            yield Candidate(Path(where), True, "it is a store; see export and backup")
            continue
        folders.sort()
        links = [name for name in folders if os.path.islink(os.path.join(where, name))]
        for found in (Path(where, name) for name in sorted([*files, *links])):
            yield Candidate(found, True, _why_not(found))
    for error in refused:
        yield Candidate(Path(os.fsdecode(error.filename)), True, f"it cannot be looked into: {error.strerror}")


def _why_not(path: Path) -> str | None:
    if path.is_symlink():
        return "it is a symbolic link, and none is followed"
    if not path.is_file():
        return "it is no regular file"
    if path.suffix.lower() not in ENDINGS:
        return f"its name ends in none of {', '.join(ENDINGS)}"
    return None
