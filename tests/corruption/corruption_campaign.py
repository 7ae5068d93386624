"""Judging many mutants of one sample in two processes, each with a copy of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.corruption.corruption_oracle import Mutant, Oracle
from tests.corruption.corruption_sample import Sample, copied

WORKERS = 2


def judge_all(sample: Sample, mutants: Sequence[Mutant]) -> list[str]:
    """What is wrong with any of the mutants."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        jobs = [pool.submit(_judge_some, sample, mutants[number::WORKERS], number) for number in range(WORKERS)]
        return [problem for job in jobs for problem in job.result()]


def _judge_some(sample: Sample, mutants: Sequence[Mutant], number: int) -> list[str]:
    copy = copied(sample.root, Path(f"{sample.root}-{number}"))
    oracle = Oracle(Sample(copy, sample.truths))
    return [problem for mutant in mutants for problem in oracle.judge(mutant)]
