"""The stores that are compared, by name, so that a process apart can find them."""

from __future__ import annotations

from .localstore_turn import LocalTurns
from .sqlite_turn import SqliteTurns
from .stores import StoreKind

OURS = "localstore"
SQLITE = "SQLite"


def kind_of(name: str) -> StoreKind:
    """The store of that name."""
    return {OURS: LocalTurns(), SQLITE: SqliteTurns()}[name]  # type: ignore[return-value]


def both() -> list[StoreKind]:
    """Ours, then SQLite."""
    return [kind_of(OURS), kind_of(SQLITE)]
