"""Lost files, copies, backups, archives: the store on files answers as the one in memory, which knows nothing of it."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from localstore import Durability
from tests.crash.crash_settings import Setting
from tests.model import model_commands as made
from tests.model.model_damage import Damage, beyond_repair, damages
from tests.model.model_elsewhere import Remembered, Travelled
from tests.model.test_model import COUNTED, SameAnswers, doors, play, session_ids

some = st.integers(0, 3)
maybe_damage = st.none() | damages
DESCENT: dict[str, Any] = {
    "door": doors,
    "session_id": session_ids,
    "other": session_ids,
    "at": made.maybe_node,
    "plan": made.plans,
    "imported": st.booleans(),
    "damage": st.lists(damages, max_size=2),
}


class SameAnswersWithLosses(SameAnswers):
    """Every call of the contract, with losses and journeys of the files in between."""

    pair: Travelled

    @initialize(grace_s=st.sampled_from((0.0, 60.0)), fold_bytes=st.sampled_from((3_000, 6_000, 1 << 20)))
    def begin(self, grace_s: float, fold_bytes: int) -> None:
        setting = Setting(Durability.FULL, fold_bytes, 512, grace_s, fan_in=3, at_once=True, placed=True)
        self.pair = Travelled(setting)
        self.remembered: Remembered | None = None
        self.leases, self.claims, self.input_ids, self.batch_ids = [], [], [], []

    @rule(damage=damages)
    def lose(self, damage: Damage) -> None:
        """In use: whoever has the session open goes on."""
        self.pair.damage(self.pair.root, damage)
        COUNTED["damage"] += 1

    @rule(damage=st.lists(damages, min_size=1, max_size=3), repair=st.booleans())
    def lose_at_rest(self, damage: list[Damage], repair: bool) -> None:
        self.pair.close_all()
        for each in damage:
            self.pair.damage(self.pair.root, each)
            COUNTED["damage"] += 1
        if repair:
            self.pair.repair()
        self.pair.reopen_all(close=False)
        self.pair.compare()

    @rule()
    def repair(self) -> None:
        self.pair.repair()
        self.pair.compare()

    @rule(go_on=some)
    def copy(self, go_on: int) -> None:
        self.pair.copy(go_on=go_on == 3)
        COUNTED["copies"] += 1

    @rule(pick=some, damage=st.lists(beyond_repair, min_size=1, max_size=3))
    def never_another(self, pick: int, damage: list[Damage]) -> None:
        self.pair.never_another(pick, damage)
        COUNTED["beyond"] += 1

    @rule(again=some)
    def put_back(self, again: int) -> None:
        """Put the store back to how it was once; the backups know nothing of it."""
        if self.remembered is None or again == 0:
            self.remembered = self.pair.remember()
        else:
            self.pair.put_back(self.remembered)
            COUNTED["put back"] += 1

    @rule(door=doors, damage=maybe_damage, go_on=some)
    def back_up(self, door: int, damage: Damage | None, go_on: int) -> None:
        self.pair.back_up(door, damage, go_on=go_on == 3)
        COUNTED["backups"] += 1

    @rule(door=doors, session_id=session_ids, plan=made.plans)
    def back_up_across(self, door: int, session_id: str, plan: made.Plan) -> None:
        """Backups of the store as it went on, and of the store put back to before."""
        self.put_back(0)
        self.commit(door, session_id, 0, plan)
        self.back_up(door, None, 0)
        self.put_back(1)
        self.back_up(door, None, 0)

    @rule(door=doors, on_the_way=st.sampled_from(([""], ["x"], ["x", ""], ["", "y", ""])))
    def pass_on(self, door: int, on_the_way: list[str]) -> None:
        self.pair.pass_on(door, on_the_way)
        COUNTED["imports"] += 1

    @rule(door=doors, session_id=session_ids, other=session_ids, damage=maybe_damage)
    def rename(self, door: int, session_id: str, other: str, damage: Damage | None) -> None:
        self.pair.renamed(door, session_id, other, damage)
        COUNTED["imports"] += 1

    @rule(**DESCENT)
    def descend(self, door, session_id, other, at, plan, imported, damage) -> None:
        """A session that descends from one of its own id, and what can be lost of it."""
        if other == session_id:
            other = made.IDS[made.IDS.index(session_id) - 1]
        self.delete(door, other)
        self.fork(door, session_id, 0, other, None)
        if plan.release:
            self.commit(door, other, 0, plan)
        self.delete(door, session_id)
        if imported:
            self.rename(door, other, session_id, None)
        else:
            self.fork(door, other, 0, session_id, at)
        if plan.extra % 3 == 0:
            self.upkeep(door, session_id, 0, ("vacuum", "checkpoint", "gc_unreachable")[plan.extra // 3 % 3])
        if plan.fence % 3 == 0:
            self.commit(door, session_id, 0, plan)
        for each in damage:
            self.lose(each)
        if damage:
            self.pair.compare()

    @rule(**DESCENT)
    def descend_again(self, door, session_id, other, at, plan, imported, damage) -> None:
        self.descend(door, session_id, other, at, plan, imported, damage)


def run(runs: int, calls: int, **more: Any) -> None:
    play(SameAnswersWithLosses, runs, calls, **more)
    print(", ".join(f"{name}: {number}" for name, number in COUNTED.items()))
    assert all(COUNTED[name] for name in ("damage", "beyond", "copies", "put back", "backups", "imports"))


def test_lost_files_and_copies_change_no_answer() -> None:
    run(40, 40)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_lost_files_and_copies_change_no_answer_at_length() -> None:
    """As many runs as `LOCALSTORE_MODEL_RUNS` says, 3,000 by default."""
    run(int(os.environ.get("LOCALSTORE_MODEL_RUNS", "3000")), 60, derandomize=False)
