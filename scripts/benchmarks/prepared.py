"""Large sessions that several cases read: made once a place, by the same turns on every store."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .figures import Bench, Scale
from .stores import StoreKind, opened, whole_turn
from .workload import Turn, branching_turns, turns

SESSION = "agent"
NODES_PER_TURN = 10
DEPTH = 200


def long_turn_count(scale: Scale) -> int:
    """How many turns of 10 nodes a long session has: 100,000 nodes, a tenth of that when quick."""
    return scale.of(10_000, 1_000)


def long_session(bench: Bench, kind: StoreKind) -> Path:
    """The directory of a store with a long session that forks again and again; its leaf is 200 nodes deep."""
    script = branching_turns(long_turn_count(bench.scale), NODES_PER_TURN, DEPTH)
    return _prepare(bench, kind, f"long-{kind.name}", script)


def chain_length(scale: Scale) -> int:
    """How many nodes a chain session has."""
    return scale.of(10_000, 2_000)


def chain_session(bench: Bench, kind: StoreKind) -> Path:
    """The directory of a store whose session is one chain."""
    script = turns(chain_length(bench.scale) // NODES_PER_TURN, NODES_PER_TURN)
    return _prepare(bench, kind, f"chain-{kind.name}", script)


def _prepare(bench: Bench, kind: StoreKind, name: str, script: Iterable[Turn]) -> Path:
    found = bench.prepared.get(name)
    if found is None:
        found = bench.place / name
        found.mkdir()
        with opened(kind, found, flushed=False) as store:
            session = store.session(SESSION)
            for turn in script:
                whole_turn(session, turn)
        bench.prepared[name] = found
    return found
