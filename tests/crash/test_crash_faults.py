"""Every error: each system call of each call of the script fails, in each way in which it can."""

import random
from collections import Counter

import pytest

from localstore import Durability
from tests.crash.crash_faults import FAULTS, attempts
from tests.crash.crash_oracle import remember
from tests.crash.crash_recovery import Judge
from tests.crash.crash_settings import Setting, scratch
from tests.crash.crash_visits import record
from tests.crash.crash_workload import SCRIPT

SETTINGS = {
    "full": Setting(Durability.FULL, fold_bytes=3_000, fan_in=3),
    "process": Setting(Durability.PROCESS, fold_bytes=12_000, fan_in=3, at_once=True),
}
SEED = 20_260_102


@pytest.fixture(scope="module")
def history():
    return remember(SCRIPT)


def fail_everywhere(name, history, seed, share, capsys, faults=FAULTS, whole=()):
    setting = SETTINGS[name]
    rng = random.Random(seed)
    made: Counter[str] = Counter()
    found: list[str] = []
    with scratch() as base:
        recording = record(SCRIPT, setting, history, f"{base}/run")
        judge = Judge(setting, f"{base}/states")
        for attempt, fault, at in attempts(recording, history, faults, f"{base}/try", rng, share, whole):
            made[fault.name] += 1
            found += attempt.judge(fault, at, judge, rng)
    with capsys.disabled():
        faults = ", ".join(f"{kind} {count:,}" for kind, count in sorted(made.items()))
        print(f"\n  {name}: {made.total():,} faults ({faults}), seed {seed}", end="")
    assert not found
    return made


@pytest.mark.parametrize("name", SETTINGS)
def test_a_call_that_fails_leaves_the_former_state(name, history, capsys):
    made = fail_everywhere(name, history, SEED, 0.01, capsys)
    assert made.total() > 100


@pytest.mark.parametrize("name", SETTINGS)
def test_what_a_flush_failed_to_flush_is_never_taken_for_flushed(name, history, capsys):
    losing = [fault for fault in FAULTS if fault.drops]
    made = fail_everywhere(name, history, SEED, 0.02, capsys, losing, whole=("fork", "sweep"))
    assert made.total() > 30


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", SETTINGS)
def test_every_call_that_can_fail(name, history, capsys):
    fail_everywhere(name, history, random.randrange(1 << 32), 1.0, capsys)
