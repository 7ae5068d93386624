"""What lies on the disk, and what was written to it, by byte of payload."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import orjson

from ..apart import apart
from ..figures import Bench, Figure
from ..kinds import OURS, SQLITE, kind_of
from ..rounds import fresh_directory
from ..stores import opened, verify_turns, whole_turn
from ..workload import turns

SESSION = "agent"
_COUNTERS = Path("/proc/self/io")


def _counted(name: str) -> int | None:
    """What this process has written through system calls so far, where the system tells."""
    try:
        lines = _COUNTERS.read_text().splitlines()
    except OSError:
        return None
    return next(int(line.removeprefix(f"{name}: ")) for line in lines if line.startswith(f"{name}: "))


def write_turns(kind_name: str, root: str, count: int) -> int | None:
    """In a process apart: play flushed turns and close; the bytes that this wrote."""
    script = list(turns(count))
    before = _counted("wchar")
    with opened(kind_of(kind_name), Path(root), flushed=True) as store:
        session = store.session(SESSION)
        for turn in script:
            whole_turn(session, turn)
    after = _counted("wchar")
    return None if before is None or after is None else after - before


def _sent_to(device: str | None) -> int | None:
    """Bytes that a block device was sent so far, after everything that waits was written."""
    if device is None:
        return None
    os.sync()
    try:
        return int(Path("/sys/class/block", Path(device).name, "stat").read_text().split()[6]) * 512
    except OSError:
        return None


def on_disk(root: Path) -> int:
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
    written: dict[str, int | None] = {}
    sent: dict[str, int | None] = {}
    for name in (OURS, SQLITE):
        kind = kind_of(name)
        with fresh_directory(bench.place) as root:
            before = _sent_to(bench.device)
            written[name] = apart(write_turns, kind_name=name, root=str(root), count=count)
            after = _sent_to(bench.device)
            sent[name] = None if before is None or after is None else after - before
            verify_turns(kind, root, SESSION, list(turns(count)))
            with opened(kind, root, flushed=True) as store:
                store.session(SESSION)
                store.settle()
            verify_turns(kind, root, SESSION, list(turns(count)))
            sizes[name] = on_disk(root)
    what = f"bytes written over {count:,} turns, FULL"
    return [
        *_figures("bytes on disk after fold and vacuum", sizes, "nodes as JSON", nodes, 1.1),
        *_figures(what, written, "what the turns gave, as JSON", everything, 4.0),
        *_figures("  as sent to the disk, the file system's own too", sent, "what the turns gave", everything, None),
    ]


def _figures(
    what: str, found: Mapping[str, int | None], against: str, payload: int, goal: float | None
) -> list[Figure]:
    """Ours by byte of payload, and beside SQLite's; nothing where it cannot be told."""
    ours, theirs = found[OURS], found[SQLITE]
    if ours is None or theirs is None:
        return []
    return [
        Figure(what, "MB", ours / 1e6, against, payload / 1e6, goal),
        Figure("  the same, beside SQLite", "MB", ours / 1e6, "SQLite", theirs / 1e6),
    ]
