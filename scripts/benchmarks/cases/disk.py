"""What lies on the disk, and what was written to it, by byte of payload."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson

from ..apart import apart
from ..figures import Bench, Figure
from ..kinds import OURS, SQLITE, kind_of
from ..rounds import fresh_directory
from ..stores import opened, verify_turns, whole_turn
from ..workload import turns

SESSION = "agent"
_COUNTERS = Path("/proc/self/io")


def _counters() -> dict[str, int]:
    """What this process has written: `wchar` through system calls, `write_bytes` as pages made dirty."""
    return {name: int(value) for name, value in (line.split(": ") for line in _COUNTERS.read_text().splitlines())}


def write_turns(kind_name: str, root: str, count: int) -> dict[str, Any]:
    """In a process apart: play flushed turns and close; the bytes that this wrote."""
    script = list(turns(count))
    before = _counters()
    with opened(kind_of(kind_name), Path(root), flushed=True) as store:
        session = store.session(SESSION)
        for turn in script:
            whole_turn(session, turn)
    after = _counters()
    return {name: after[name] - before[name] for name in ("wchar", "write_bytes")}


def _on_disk(root: Path) -> int:
    """Bytes that the files of a directory take, as `du` counts them."""
    total = 0
    for folder, _, files in os.walk(root):
        for name in files:
            found = os.lstat(os.path.join(folder, name))
            total += found.st_blocks * 512 if hasattr(found, "st_blocks") else found.st_size
    return total


def _payload(count: int) -> tuple[int, int]:
    """Bytes of JSON: of the nodes alone, and of everything that the turns gave."""
    nodes = everything = 0
    for turn in turns(count):
        size = sum(len(orjson.dumps(node)) for node in turn.nodes)
        nodes += size
        everything += size + len(orjson.dumps([turn.text, turn.turn_state, turn.tool_state, turn.usage]))
    return nodes, everything


def run(bench: Bench) -> list[Figure]:
    count = bench.scale.of(10_000, 1_000)
    nodes, everything = _payload(count)
    sizes: dict[str, int] = {}
    written: dict[str, dict[str, int]] = {}
    for name in (OURS, SQLITE):
        kind = kind_of(name)
        with fresh_directory(bench.place) as root:
            if _COUNTERS.exists():
                written[name] = apart(write_turns, kind_name=name, root=str(root), count=count)
            else:
                written[name] = {}
                write_turns_without_counting(name, root, count)
            verify_turns(kind, root, SESSION, list(turns(count)))
            with opened(kind, root, flushed=True) as store:
                store.session(SESSION)
                store.settle()
            verify_turns(kind, root, SESSION, list(turns(count)))
            sizes[name] = _on_disk(root)
    return [
        *_size_figures(sizes, nodes),
        *_written_figures(written, everything, count),
    ]


def write_turns_without_counting(kind_name: str, root: Path, count: int) -> None:
    """The same turns where the system does not tell what a process writes."""
    with opened(kind_of(kind_name), root, flushed=True) as store:
        session = store.session(SESSION)
        for turn in turns(count):
            whole_turn(session, turn)


def _size_figures(sizes: dict[str, int], nodes: int) -> list[Figure]:
    what = "bytes on disk after fold and vacuum / nodes as JSON"
    return [
        Figure(what, "bytes", sizes[OURS] / nodes, goal=1.1),
        Figure("  SQLite after VACUUM, for comparison", "MB", sizes[OURS] / 1e6, "SQLite", sizes[SQLITE] / 1e6),
    ]


def _written_figures(written: dict[str, dict[str, int]], everything: int, count: int) -> list[Figure]:
    if not written[OURS]:
        return []
    ours, theirs = ({key: size / everything for key, size in written[name].items()} for name in (OURS, SQLITE))
    what = f"bytes written / bytes of payload over {count:,} turns, FULL"
    return [
        Figure(what, "bytes", ours["wchar"], goal=4.0),
        Figure("  SQLite, for comparison", "bytes", ours["wchar"], "SQLite", theirs["wchar"]),
        Figure("  as pages sent to the disk", "bytes", ours["write_bytes"], "SQLite", theirs["write_bytes"]),
    ]
