"""Opening a store with a long session of many branches and loading the path to its leaf."""

from __future__ import annotations

from .. import cold
from ..figures import Bench, Figure
from ..kinds import OURS, SQLITE, both
from ..prepared import DEPTH, NODES_PER_TURN, long_session, long_turn_count


def run(bench: Bench) -> list[Figure]:
    roots = {kind.name: long_session(bench, kind) for kind in both()}
    nodes = long_turn_count(bench.scale) * NODES_PER_TURN
    found = cold.compare(roots, "path", DEPTH, repeats=20, rounds=bench.scale.of(3, 2))
    what = f"cold open and active path of {DEPTH} nodes in {nodes:,}, many branches"
    return [Figure(what, "us", found[OURS], "SQLite recursive query", found[SQLITE], 1.0)]
