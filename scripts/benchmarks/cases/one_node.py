"""Opening a store with a long session and loading one node by its id."""

from __future__ import annotations

from .. import cold
from ..figures import Bench, Figure
from ..kinds import OURS, SQLITE, both
from ..prepared import NODES_PER_TURN, long_session, long_turn_count


def run(bench: Bench) -> list[Figure]:
    roots = {kind.name: long_session(bench, kind) for kind in both()}
    nodes = long_turn_count(bench.scale) * NODES_PER_TURN
    found = cold.compare(roots, "node", nodes, repeats=100, rounds=bench.scale.of(3, 2))
    what = f"cold open and load_node in a session of {nodes:,}"
    return [Figure(what, "us", found[OURS], "SQLite", found[SQLITE], 1.0)]
