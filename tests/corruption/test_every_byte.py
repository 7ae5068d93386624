"""Every byte of every kind of file, flipped, and every file cut short: the right data, or an error that says where.

Never wrong data, less data without a word, a bare exception, or a reader that writes; and the check tells of each.
Journals that are only kept for copies under way are sampled: nothing here reads them. `-m soak` damages every byte of
theirs as well, and every byte of all in more ways.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from tests.corruption.corruption_campaign import judge_all
from tests.corruption.corruption_oracle import Oracle
from tests.corruption.corruption_sample import sample_at_rest, sample_fresh, sample_live

SAMPLES = {
    "at rest": (sample_at_rest, ("",)),
    "live": (sample_live, (".journal", "head.json", "latest.json", "cancelled.json", "lease.json")),
    "never folded": (sample_fresh, (".journal", "head.json")),
}
"""Each sample, and what the names of its files end with that no other sample has like this."""
CUT_EVERY = 11
FOLDED_EVERY = 53
"""Of folded journals every fifty-third byte is damaged, besides their headers and the ends of their lines."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SAMPLES)
def test_each_byte_flipped_and_cuts(name, tmp_path, capsys):
    """One bit of each byte; and cuts at every eleventh offset, from a random one on."""
    make, endings = SAMPLES[name]
    sample = make(tmp_path / "sample")
    oracle = Oracle(sample)
    first = random.SystemRandom().randrange(CUT_EVERY)
    mutants = [
        mutant
        for path, raw in oracle.raw.items()
        if path.endswith(endings)
        for mutant in oracle.mutants(path, _offsets(oracle, path, first), (1,))
        if mutant.flip is not None or mutant.offset % CUT_EVERY == first or mutant.offset >= len(raw) - 2
    ]
    problems = judge_all(sample, mutants)
    with capsys.disabled():
        print(f"\n{name}: {len(mutants)} mutants of {len(oracle.raw)} files, cuts from offset {first} on")
    assert not problems, _told(problems)


def _offsets(oracle: Oracle, path: str, first: int) -> Sequence[int]:
    """Where to damage a file: everywhere; a folded journal in its header, where its lines end, and here and there."""
    everywhere = range(len(oracle.raw[path]))
    if not (path.endswith(".journal") and oracle.is_kept(path)):
        return everywhere
    header, *records = oracle.lines[path]
    ends = {at for line in (header, *records) for at in range(line.end - 2, line.end + 2)}
    return sorted({*range(header.end), *ends, *everywhere[first::FOLDED_EVERY]}.intersection(everywhere))


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", SAMPLES)
def test_each_cut_and_each_byte_in_many_ways(name, tmp_path, capsys):
    """All cuts; of each byte the lowest and the highest bit, all bits, and a NUL in its place."""
    sample = SAMPLES[name][0](tmp_path / "sample")
    oracle = Oracle(sample)
    mutants = [
        mutant for path, raw in oracle.raw.items() for mutant in oracle.mutants(path, range(len(raw)), (1, 128, 255, 0))
    ]
    problems = judge_all(sample, mutants)
    with capsys.disabled():
        print(f"\n{name}: {len(mutants)} mutants of {len(oracle.raw)} files")
    assert not problems, _told(problems)


def test_the_oracle_sees_what_is_wrong(tmp_path):
    """What is judged is really read: a sample whose truth is another one fails."""
    sample = sample_at_rest(tmp_path / "sample")
    other = sample_fresh(tmp_path / "other")
    oracle = Oracle(sample)
    path = next(path for path in oracle.raw if path.endswith("meta.json"))
    mutant = next(iter(oracle.mutants(path, range(1), ())))
    assert oracle.judge(mutant) == []
    sample.truths = other.truths
    assert any("full gives" in problem for problem in oracle.judge(mutant))


def _told(problems: list[str]) -> str:
    return f"{len(problems)} problems, the first:\n" + "\n".join(problems[:10])
