"""Paths through a session on files: the same, whether parents are found beside their children or looked up."""

from __future__ import annotations

import random

import pytest

from localstore import ActivePath, LocalStore, SessionStore
from localstore.disk.system import System, system
from localstore.testing import SESSION, ManualClock, node, replace_commit
from tests.history.living import Living


@pytest.fixture
def live(tmp_path):
    clock = ManualClock()
    living = Living(LocalStore(tmp_path / "store", clock=clock), clock)
    yield living
    living.store.close()


def path_to(session: SessionStore, leaf: str) -> list[str]:
    read = session.load_session(ActivePath(leaf))
    assert read is not None
    return [each.node_id for each in read.graph.nodes]


def climbed(session: SessionStore, leaf: str) -> list[str]:
    """The same path, node by node."""
    found: list[str] = []
    wanted: str | None = leaf
    while wanted is not None and (record := session.load_node(wanted)) is not None:
        found.append(wanted)
        wanted = record.parent_node_id
    return found[::-1]


class Counting(System):
    def __init__(self) -> None:
        self.reads = 0

    def pread(self, fd: int, n: int, offset: int) -> bytes:
        self.reads += 1
        return super().pread(fd, n, offset)


@pytest.mark.parametrize("seed", range(8))
def test_path_is_what_climbing_node_by_node_gives(live, seed):
    chance = random.Random(seed)
    alive: list[str] = []
    for turn in range(40):
        what = chance.random()
        made = []
        parent = None if not alive else alive[-1] if what < 0.6 else chance.choice(alive)
        for number in range(chance.randint(1, 4)):
            made.append(node(f"n{turn}-{number}", parent, payload={"text": "x" * chance.choice([10, 3_000, 30_000])}))
            parent = made[-1].node_id
        if what > 0.97 and seed % 2:
            live.settle(live.session, replace_commit(*made, session_id=SESSION).graph)
            alive = []
        else:
            live.append(*made)
        alive += [each.node_id for each in made]
        if chance.random() < 0.3:
            live.session.checkpoint()
        if seed % 4 == 3 and chance.random() < 0.2 and len(alive) > 3:
            hidden = alive.pop(chance.randrange(len(alive) - 1))
            live.session.tombstone_nodes([hidden])
        if chance.random() < 0.05:
            live.session.vacuum()
    for leaf in [*chance.sample(alive, min(12, len(alive))), alive[-1]]:
        assert path_to(live.session, leaf) == climbed(live.session, leaf)
    live.reopen()
    for leaf in [*chance.sample(alive, min(12, len(alive))), alive[-1]]:
        assert path_to(live.session, leaf) == climbed(live.session, leaf)


def test_path_of_a_chain_is_read_in_few_pieces(live):
    for turn in range(30):
        before = f"n{turn - 1}-9" if turn else None
        ids = [f"n{turn}-{number}" for number in range(10)]
        made = [
            node(name, parent, payload={"text": "x" * 2_000}) for name, parent in zip(ids, [before, *ids], strict=False)
        ]
        live.append(*made)
    live.reopen()
    counting = Counting()
    with system.installed(counting):
        assert len(path_to(live.session, "n29-9")) == 300
    assert counting.reads < 60
