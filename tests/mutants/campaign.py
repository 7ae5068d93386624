"""Runs the tests against mutants, each in a process of its own, and tells which of them were noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.mutants.mutations import FILES, Mutant, mutants_of

ROOT = Path(__file__).parents[2]
TEST_S = 60
"""Seconds for one test of a mutant, of which hardly any takes one: it may run for ever."""
TRIAL_S = 900

IN_MEMORY = ("tests/conformance/test_memory.py",)
ON_FILES = ("tests/conformance/test_file_process.py",)
CONFORMANCE = {"suite in memory": IN_MEMORY, "suite on files": ON_FILES}
"""The stages of the conformance suite, in the order they are tried."""
_HISTORY = ("tests/history",)
_REDACTION = (
    "tests/redaction/test_rewording.py",
    "tests/redaction/test_ids_left.py",
    "tests/redaction/test_redactor.py",
    "tests/redaction/test_redact.py",
)
_SEARCH = ("tests/test_search.py",)
_LATER = ("tests/test_later_fields.py",)
_FEED = ("tests/test_feed.py", "tests/test_watch.py")
_STORED = (
    "tests/model/test_encoding.py",
    "tests/model/test_later.py",
    "tests/model/test_lost_tokens.py",
    "tests/model/test_lost_values.py",
    "tests/model/test_outlines.py",
    "tests/model/test_waste.py",
    "tests/model/test_written_once.py",
    "tests/disk/test_lists_of_others.py",
    "tests/disk/test_node_file.py",
    "tests/golden",
)
BESIDE_THE_CONTRACT = {
    "branches.py": (*_STORED, *_HISTORY),
    "carrying.py": _LATER,
    "charsets.py": (*_SEARCH, *_REDACTION),
    "encoding.py": (*_STORED, *ON_FILES),
    "facts.py": (*_STORED, *IN_MEMORY, *ON_FILES, *_SEARCH),
    "feed.py": (*_FEED, *_STORED),
    "forks.py": _HISTORY,
    "later.py": (*_STORED, *_LATER),
    "lineage.py": (*_STORED, "tests/test_archive.py"),
    "matching_ids.py": _REDACTION,
    "needles.py": (*_SEARCH, *_REDACTION),
    "patterns.py": (*_SEARCH, *_REDACTION),
    "redaction.py": _REDACTION,
    "redactor.py": _REDACTION,
    "rewinds.py": _HISTORY,
    "rewording.py": _REDACTION,
    "searching.py": _SEARCH,
    "spoken.py": ("tests/model/test_spoken.py",),
}
"""The tests of files that are of what the store does beside the contract, or of how something is written."""
OF_THE_CONTRACT = tuple(file for file in FILES if file not in BESIDE_THE_CONTRACT)


def stages(file: str) -> dict[str, tuple[str, ...]]:
    """What a mutant of a file has to pass to survive, by name. A rule of the contract is the suite's to notice."""
    if file in BESIDE_THE_CONTRACT:
        return {"tests of its own": BESIDE_THE_CONTRACT[file]}
    others = (*_STORED, *_FEED[:1], *_HISTORY)
    return {**CONFORMANCE, "tests of what is stored": others}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The stage that noticed the mutant, or `None`, and what failed."""

    mutant: Mutant
    stage: str | None
    failed: str

    def __str__(self) -> str:
        if self.stage is None:
            return f"SURVIVED {self.mutant}"
        return f"killed by the {self.stage}: {self.mutant}: {self.failed}"


def trial(mutant: Mutant | None, paths: Iterable[str], scratch: Path) -> tuple[bool, str]:
    """Whether pytest passes with the mutant (`None`: with none) in place, and what it wrote."""
    named = ("__init__.py", "none")
    if mutant is not None:
        named = (mutant.file, str(mutants_of(mutant.file).index(mutant)))
    options = ("-x", "-q", "-p", "no:cacheprovider", "--timeout", str(TEST_S), *paths)
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    surroundings |= {"PYTEST_DEBUG_TEMPROOT": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "tests.mutants.trial", *named, *options]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=TRIAL_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False, "FAILED to come to an end"
    return done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def judged(mutant: Mutant, scratch: Path) -> Verdict:
    for stage, paths in stages(mutant.file).items():
        passes, wrote = trial(mutant, paths, scratch)
        if not passes:
            lines = [line for line in wrote.splitlines() if line.strip()] or ["nothing was written"]
            failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
            return Verdict(mutant, stage, (failed or lines)[-1][:150])
    return Verdict(mutant, None, "")


def judge(mutants: Iterable[Mutant], scratch: Path) -> Iterator[Verdict]:
    """The verdicts, in order; as many trials run at once as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(partial(judged, scratch=scratch), mutants)
