"""Real power cuts under load, where the machine permits; the model at greater length where it does not."""

import random

import pytest

from localstore import Durability
from tests.crash.crash_oracle import remember
from tests.crash.crash_power import Unavailable, cut_under_load, machine
from tests.crash.crash_recovery import Judge
from tests.crash.crash_settings import Setting, scratch
from tests.crash.crash_visits import record, visit
from tests.crash.crash_workload import SCRIPT

SEED = 20_260_103


@pytest.fixture(scope="module")
def history():
    return remember(SCRIPT)


def rounds(count, seed, history, tmp_path, capsys):
    rng = random.Random(seed)
    found, done = [], []
    with machine(tmp_path) as there:
        for number in range(count):
            what, wrong = cut_under_load(there, tmp_path / "acks", number, rng, history, str(tmp_path / "states"))
            done.append(what)
            found += wrong
    with capsys.disabled():
        print(f"\n  {len(done)} power cuts of a journalled ext4, seed {seed}; the last: {done[-1]}", end="")
    assert not found, done


@pytest.mark.crash
def test_a_power_cut_leaves_what_was_acknowledged(history, tmp_path, capsys):
    try:
        rounds(6, SEED, history, tmp_path, capsys)
    except Unavailable as reason:
        with pytest.raises(Unavailable), machine(_fresh(tmp_path)):
            raise AssertionError("it is available after all") from reason
        setting = Setting(Durability.FULL, fold_bytes=12_000, fan_in=2, due_after=2)
        with scratch() as base:
            recording = record(SCRIPT, setting, history, f"{base}/run")
            judge = Judge(setting, f"{base}/states")
            assert not list(visit(recording, history, judge, random.Random(SEED), most=3))


def _fresh(folder):
    again = folder / "again"
    again.mkdir()
    return again


@pytest.mark.crash
@pytest.mark.soak
@pytest.mark.timeout(0)
def test_power_cuts_at_length(history, tmp_path, capsys):
    rounds(300, random.randrange(1 << 32), history, tmp_path, capsys)
