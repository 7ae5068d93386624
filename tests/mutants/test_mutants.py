"""The tests notice a mutant of every rule: one comparison, connective or condition of the pure code turned at a time.

A sample is tried here. `-m soak` tries all of them, which takes an hour or two; those that nothing notices fail it, but
for the ones that are listed in `equivalents` with the reason, which nothing may notice.
"""

from __future__ import annotations

import ast
import random
from collections import Counter

import pytest

from tests.mutants.campaign import CONFORMANCE, IN_MEMORY, OF_THE_CONTRACT, judge, stages, trial
from tests.mutants.equivalents import EQUIVALENTS
from tests.mutants.mutations import FILES, all_mutants, mutants_of, mutated, parsed

SEED = 20
SAMPLE = 6


def test_a_mutant_is_its_file_with_one_flip():
    file = "leases.py"
    before = ast.unparse(parsed(file)).splitlines()
    made = [ast.unparse(mutated(mutant)).splitlines() for mutant in mutants_of(file)]
    assert len(set(map(tuple, made))) == len(made)
    for after in made:
        assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


def test_every_equivalent_is_a_mutant_with_a_reason():
    known = [mutant.key for mutant in all_mutants()]
    assert len(set(known)) == len(known)
    assert [key for key in EQUIVALENTS if key not in known] == []
    assert all(reason.endswith(".") for reason in EQUIVALENTS.values())


@pytest.mark.timeout(600)
def test_the_rules_as_they_are_pass_where_mutants_are_tried(tmp_path):
    passes, wrote = trial(None, IN_MEMORY, tmp_path)
    assert passes, wrote


@pytest.mark.timeout(1200)
def test_a_sample_of_mutants_is_noticed(tmp_path):
    mutants = [mutant for file in OF_THE_CONTRACT for mutant in mutants_of(file) if mutant.key not in EQUIVALENTS]
    sample = random.Random(SEED).sample(mutants, SAMPLE)
    assert [str(verdict) for verdict in judge(sample, tmp_path) if verdict.stage is None] == []


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_every_mutant_is_noticed(tmp_path, capsys):
    for paths in {paths for file in FILES for paths in stages(file).values()}:
        passes, wrote = trial(None, paths, tmp_path)
        assert passes, wrote
    mutants = [mutant for mutant in all_mutants() if mutant.key not in EQUIVALENTS]
    noticed: Counter[str | None] = Counter()
    survivors = []
    for verdict in judge(mutants, tmp_path):
        noticed[verdict.stage] += 1
        survivors += [str(verdict)] if verdict.stage is None else []
        with capsys.disabled():
            print(f"\n  {verdict}", end="")
    with capsys.disabled():
        told = ", ".join(f"{count} by the {stage}" for stage, count in noticed.items() if stage is not None)
        print(f"\n  {len(mutants)} mutants: {told}; {len(survivors)} survived, {len(EQUIVALENTS)} are equivalent")
        rules = sum(mutant.file in OF_THE_CONTRACT for mutant in mutants)
        alone = " and ".join(f"{noticed[stage]} by the {stage}" for stage in CONFORMANCE)
        print(f"  of the {rules} in the contract's rules, the conformance suite alone notices {alone}")
    assert survivors == []


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_no_equivalent_is_noticed(tmp_path):
    mutants = [mutant for mutant in all_mutants() if mutant.key in EQUIVALENTS]
    assert [str(verdict) for verdict in judge(mutants, tmp_path) if verdict.stage is not None] == []
