"""Judges copies that were made of a store while it was in use."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localstore import JsonObject
from tests.folders import copy_in_use
from tests.processes.judged_history import Kept, Line, judge_queue, read_store, what_was_told

_TRIES = 20
_ENGLISH = {**os.environ, "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class Copy:
    """Where it is, and from when to when it was made, nanoseconds since the epoch."""

    root: Path
    begun: int
    ended: int


def by_command(root: Path, target: Path) -> None:
    """By the tool that people use; again, where it says that it left a file out.

    GNU cp leaves out what is replaced between its look at it and its opening it, as a head may be by a fold.
    """
    for _ in range(_TRIES):
        # What is gone when it gets there is no loss.
        done = subprocess.run(["cp", "-r", str(root), str(target)], check=False, capture_output=True, env=_ENGLISH)
        if b"replaced while being copied" not in done.stderr:
            return
        shutil.rmtree(target)
    raise AssertionError(f"cp left a file out {_TRIES} times: {done.stderr!r}")


WAYS = [way for way, is_there in ((by_command, shutil.which("cp") is not None), (copy_in_use, True)) if is_there]


def copied(way: Callable[[Path, Path], None], root: Path, target: Path) -> Copy:
    """A copy made in one of the ways."""
    begun = time.time_ns()
    way(root, target)
    return Copy(target, begun, time.time_ns())


def judge_copies(
    copies: list[Copy], last: dict[str, Kept], logs: dict[str, list[Line]]
) -> list[list[tuple[str, JsonObject]]]:
    """Each is sound, and each session of it is as it was at some moment not before the copy began; their nodes.

    `last` is what the store has in the end.
    """
    told = what_was_told(logs)
    nodes = []
    for copy in copies:
        found = read_store(copy.root, told)
        for session_id, here in told.items():
            known = [revision for revision, at in here.commits.values() if at < copy.begun]
            if session_id not in found:
                assert not known, f"{copy.root} has no {session_id}"
                continue
            kept = found[session_id]
            nodes.append(kept.nodes)
            assert kept.nodes == last[session_id].nodes[: len(kept.nodes)]
            assert kept.revision == len(kept.nodes) >= max(known, default=0)
            for kind, waiting in (("input", kept.inputs), ("work", kept.work)):
                here_then = _answered_before(here, kind, copy.begun)
                judge_queue(kind, here_then, kept, waiting)
    return nodes


def _answered_before(told, kind: str, at: int):
    """What was told with only the answers of before in it; what was asked is all of it."""
    before = type(told)()
    before.asked = told.asked
    before.has[kind] = {item: (seq, when) for item, (seq, when) in told.has[kind].items() if when < at}
    return before
