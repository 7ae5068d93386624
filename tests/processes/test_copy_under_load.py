"""A plain copy of a store in use, also when folds fall into it: sound, and of a moment since the copying began.

`LOCALSTORE_COPY_SECONDS` says for how long copies are made, 4 seconds by default, with five to judge for each of them.
"""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest

from localstore.contract.errors import StoreError
from localstore.disk.check import check_store
from tests.folders import tree
from tests.processes.crews import Crew
from tests.processes.judged_copies import WAYS, Copy, copied, judge_copies
from tests.processes.judged_history import Kept, Line, judge, read_logs, read_store, what_was_told

SECONDS = float(os.environ.get("LOCALSTORE_COPY_SECONDS", "4"))
pytestmark = [pytest.mark.race, pytest.mark.timeout(240 + 20 * SECONDS)]


def wrong_with(copy: Copy, last: dict[str, Kept], logs: dict[str, list[Line]]) -> str | None:
    """What is wrong with a copy, if anything."""
    held = tree(copy.root)
    # A file that went while it was copied has whatever mode the tool had given it by then.
    findings = [found for found in check_store(copy.root).findings if found.kind != "permissions"]
    unclean = [found for found in findings if found.severity.value != "info"]
    if unclean:
        return f"it is not clean: {unclean}"
    if tree(copy.root) != held:
        return "the check changed it"
    asked = {line["id"] for lines in logs.values() for line in lines if _was_asked(line, copy.ended)}
    try:
        kept = judge_copies([copy], last, logs)
    except (AssertionError, StoreError) as error:
        return repr(error)
    later = [node_id for nodes in kept for node_id, _ in nodes if node_id not in asked]
    return f"it has commits of after its end: {later}" if later else None


def _was_asked(line: Line, until: int) -> bool:
    return bool(line["what"] == "asks commit" and line["at"] <= until)


def test_a_copy_of_a_store_that_folds_all_the_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, logs = tmp_path / "store", tmp_path / "logs"
    logs.mkdir()
    seed = random.randrange(1 << 32)
    crew = Crew(root, logs, seed, 2, folds=True)
    crew.wait()
    pace, until = threading.Event(), time.monotonic() + SECONDS
    copies: list[Copy] = []
    while time.monotonic() < until and len(copies) < 5 * SECONDS:
        pace.wait(crew.chance.random() * 0.4)
        copies.append(copied(WAYS[len(copies) % len(WAYS)], root, tmp_path / f"copy-{len(copies)}"))
    crew.end()
    found = read_logs(logs)
    figures = judge(root, found)
    last = read_store(root, what_was_told(found))
    wrong = {copy.root.name: what for copy in copies if (what := wrong_with(copy, last, found))}
    with capsys.disabled():
        print(f"\n{len(copies)} copies, {len(wrong)} failed, {figures['commits']} commits, seed {seed}")
    assert wrong == {}
    assert len(copies) > 5
