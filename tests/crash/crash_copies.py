"""Judges what a crash leaves beside the store: the archive is whole, or not there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from localstore.disk.archives import Member
from localstore.disk.transfer import opened
from tests.crash.crash_beside import ARCHIVE, EXPORT, beside
from tests.crash.crash_oracle import History


@dataclass
class Copies:
    """What is beside the store: whether there is an archive."""

    archive: bool = False


def look(root: str) -> Copies:
    """What a crash left beside the store at `root`; half an archive is an error."""
    archive = beside(root, ARCHIVE)
    if not os.path.lexists(archive):
        return Copies()
    with opened(archive) as reader:
        reader.members(_use_up)
    return Copies(archive=True)


def _use_up(member: Member, content: Iterable[bytes]) -> None:
    for _ in content:
        pass


def wrong_beside(found: Copies, history: History, acknowledged: int, begun: int, where: str) -> Iterator[str]:
    """What is wrong beside the store: what is there is flushed in both durabilities."""
    number = {step.name: at for at, step in enumerate(history.steps, 1)}
    if EXPORT not in number:
        return
    if found.archive and begun < number[EXPORT]:
        yield f"{where}: there is an archive that nobody exported"
    if not found.archive and acknowledged >= number[EXPORT]:
        yield f"{where}: the archive is missing"
