"""Files that are taken from a session or spoilt, though another copy proves what was in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from localstore.disk import names
from localstore.disk.journal import MAX_JOURNAL, read_header
from localstore.disk.nodefile import NodeFile
from localstore.disk.system import system

_FRAME = 80
"""Behind kind and version: where these are damaged, the file may be of a later release, which is left alone."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What is done to which file of a session; `pick` says of which one."""

    name: str
    how: str
    pick: int
    at: int

    def carry_out(self, path: str) -> None:
        file = Path(path)
        raw = file.read_bytes()
        if len(raw) <= _FRAME + 2:
            return  # it was spoilt before
        at = _FRAME + self.at % (len(raw) - _FRAME - 2)
        match self.how:
            case "missing":
                file.unlink()
            case "empty":
                file.write_bytes(b"")
            case "short":
                file.write_bytes(raw[:at])
            case "zeros":
                file.write_bytes(bytes(len(raw)))
            case "flipped":
                file.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])


damages = st.builds(
    Damage,
    st.sampled_from((names.HEAD, names.HEAD, names.HEAD, names.META, names.LEASE)),
    st.sampled_from(("missing", "missing", "empty", "short", "zeros", "flipped")),
    st.integers(0, 15),
    st.integers(0, 9_999),
)


beyond_repair = st.builds(
    Damage,
    st.sampled_from((names.HEAD, names.HEAD, names.NODES, names.NODES, names.BLOBS, names.INPUTS, names.WORK)),
    st.sampled_from(("missing", "empty", "short", "zeros", "flipped")),
    st.integers(0, 15),
    st.integers(0, 9_999),
)


def lossy(folder: Path, wanted: Damage) -> list[Path]:
    """The files of this name in a session's folder, or in folders of it, but for one that nothing tells to be gone."""
    if wanted.name == names.HEAD:
        path = folder / names.HEAD
        return [path] if path.is_file() and _has_copy(folder) else []
    where = folder / wanted.name
    paths = sorted(where.iterdir()) if where.is_dir() else []
    if wanted.name == names.NODES:
        # By the heads that they were written for, since their names depend on what is random: the newest is last.
        paths.sort(key=_generation)
        return paths[:-1] if wanted.how == "missing" else paths
    return paths


def _generation(path: Path) -> int:
    file = NodeFile.open(str(path), path.stem)
    try:
        return int(file.head_copy()["generation"])
    finally:
        file.close()


def losses(root: str, wanted: Damage) -> list[str]:
    """The files of this name that a store can do without, those of deleted sessions too."""
    found = []
    for place in (names.SESSIONS, names.TRASH):
        where = Path(root, place)
        for folder in sorted(where.iterdir()) if where.is_dir() else ():
            path = folder / wanted.name
            if path.is_file() and (wanted.name != names.HEAD or _has_copy(folder)):
                found.append(str(path))
    return found


def _has_copy(folder: Path) -> bool:
    """Whether there is a second copy of the session's head: a new session has none before its first record."""
    nodes = folder / names.NODES
    if nodes.is_dir() and any(map(names.parse_node_file, os.listdir(nodes))):
        return True
    journals = [path for path in folder.iterdir() if names.parse_journal(path.name) is not None]
    headers = (read_header(system.read_file(str(path), MAX_JOURNAL), str(path)) for path in journals)
    return any(header is not None and header.get("head") is not None for header in headers)
