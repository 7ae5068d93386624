"""Real processes on shared sessions, killed at random; what they were told is judged afterwards.

`LOCALSTORE_KILL_SECONDS` says for how long, 20 seconds by default.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from localstore import LocalStore
from tests.processes.crews import Crew, context
from tests.processes.judged_copies import WAYS, copied, judge_copies
from tests.processes.judged_history import Line, judge, read_logs, read_store, what_was_told
from tests.processes.judged_worker import SESSIONS, work_for, work_on_both_sides_of_a_fork

SECONDS = float(os.environ.get("LOCALSTORE_KILL_SECONDS", "20"))
COPIES = 20
pytestmark = [pytest.mark.race, pytest.mark.timeout(180 + 4 * SECONDS)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


def tell(capsys, title: str, figures: Counter[str]) -> None:
    text = ", ".join(f"{count} {what}" for what, count in figures.items())
    with capsys.disabled():
        print(f"\n{title}: {text}")


@pytest.mark.crash
def test_nothing_acknowledged_is_lost_by_kills(root: Path, logs: Path, capsys) -> None:
    seed = random.randrange(1 << 32)
    crew = Crew(root, logs, seed, 3)
    pace, until = threading.Event(), time.monotonic() + SECONDS
    while time.monotonic() < until:
        # Kills come at moments that nothing in the workers agrees with.
        pace.wait(crew.chance.random() * 0.2)
        crew.kill_one()
    crew.end()
    figures = judge(root, read_logs(logs))
    tell(capsys, f"{crew.kills} kills in {SECONDS:g} s, seed {seed}", figures)
    assert crew.kills > 5
    assert figures["commits"] > 50
    assert figures["inputs"] > 20


def test_a_copy_between_folds_is_a_revision_that_existed(root: Path, logs: Path, tmp_path: Path, capsys) -> None:
    """`cp -r` while others append, again and again: each copy opens, is sound, and is not older than its beginning."""
    crew = Crew(root, logs, random.randrange(1 << 32), 3, upkeep=False)
    crew.wait()
    copies = [copied(WAYS[0], root, tmp_path / f"copy-{number}") for number in range(COPIES)]
    crew.end()
    found = read_logs(logs)
    figures = judge(root, found)
    judge_copies(copies, read_store(root, what_was_told(found)), found)
    tell(capsys, f"{COPIES} copies", figures)


def test_threads_with_stores_of_their_own(root: Path, logs: Path, capsys) -> None:
    with LocalStore(root) as store:
        for session_id in SESSIONS:
            store.create_session(session_id)
    threads = [
        threading.Thread(target=work_for, args=(root, logs / f"t{number}.log", f"t{number}", number, 150))
        for number in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    figures = judge(root, read_logs(logs))
    tell(capsys, "threads", figures)
    assert figures["commits"] > 50


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> tuple[Path, Path]:
    """A store that two workers wrote one after the other, and their logs."""
    folder = tmp_path_factory.mktemp("honest")
    for number in range(2):
        work_for(folder / "store", folder / f"w{number}.log", f"w{number}", number, 80)
    return folder / "store", folder


def _last(lines: list[Line], what: str) -> Line:
    return [line for line in lines if line["what"] == what][-1]


def _one_more(what: str, **facts):
    return lambda lines: lines.append({**_last(lines, what), **facts})


LIES = {
    "a commit that is not there": _one_more("has commit", id="never"),
    "a commit at another revision": _one_more("has commit", revision=1),
    "a commit on top of another": _one_more("asks commit", expected=0),
    "input that is not there": _one_more("has input", id="never", seq=999),
    "two inputs of one number": _one_more("has input", id="never", seq=1),
    "work that is not there": _one_more("has work", id="never", seq=999),
    "a read of an old revision": _one_more("reads", begun=1 << 62, revision=0),
    "a token that came back": _one_more("has lease", begun=1 << 61, at=1 << 62, token=0),
    "an unknown error": lambda lines: lines.append({"what": "trouble", "error": "?"}),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_store_that_lies_is_found_out(honest: tuple[Path, Path], lie: str) -> None:
    """What finds nothing proves nothing: each thing that is judged is found where it is not so."""
    root, folder = honest
    logs = read_logs(folder)
    judge(root, logs)
    LIES[lie](logs["w1"])
    with pytest.raises(AssertionError):
        judge(root, logs)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_goes_on_beside_its_parent(root: Path, logs: Path, capsys) -> None:
    process = context().Process(target=work_on_both_sides_of_a_fork, args=(root, logs, 150))
    process.start()
    process.join(90)
    assert process.exitcode == 0
    found = read_logs(logs)
    figures = judge(root, found)
    tell(capsys, "parent and child", figures)
    assert set(found) == {"parent", "child"}
    assert figures["commits"] > 50
