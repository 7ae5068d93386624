"""The queues on SQLite that people take today: persist-queue and litequeue. Installed in .venv-bench only.

Session stores of agent frameworks get a module of their own beside this one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol


class DurableQueue(Protocol):
    """A queue that is used up one put at a time."""

    def put(self, item: dict[str, Any]) -> None:
        """Put `item` durably."""

    def count(self) -> int:
        """How many items wait, by a fresh look at the file."""

    def close(self) -> None:
        """Close the file."""


class PersistQueue:
    """persist-queue's SQLite queue as its users get it: WAL, synchronous FULL, a commit a put, pickled items."""

    def __init__(self, directory: Path) -> None:
        from persistqueue import SQLiteQueue

        self._directory = directory
        self._queue = SQLiteQueue(str(directory), auto_commit=True)

    def put(self, item: dict[str, Any]) -> None:
        self._queue.put(item)

    def count(self) -> int:
        from persistqueue import SQLiteQueue

        again = SQLiteQueue(str(self._directory), auto_commit=True)
        waiting = int(again.qsize())
        again.close()
        return waiting

    def close(self) -> None:
        self._queue.close()


class LiteQueueFull:
    """litequeue with `synchronous` FULL: as it comes, a put does not survive a power cut. Items are JSON text."""

    def __init__(self, directory: Path) -> None:
        from litequeue import LiteQueue

        self._path = directory / "queue.db"
        self._queue = LiteQueue(self._path)
        self._queue.conn.execute("PRAGMA synchronous=FULL")

    def put(self, item: dict[str, Any]) -> None:
        import orjson

        self._queue.put(orjson.dumps(item).decode())

    def count(self) -> int:
        from litequeue import LiteQueue

        again = LiteQueue(self._path)
        waiting = int(again.qsize())
        again.conn.close()
        return waiting

    def close(self) -> None:
        self._queue.conn.close()
