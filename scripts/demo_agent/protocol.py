"""What the director and a worker say to each other: one JSON object a line, down its standard input and up its output.

The store is not in it: what counts goes through the store, and would get through to a worker on its own as well. This
is the demonstration's way to make a worker take the next turn, and stop where it is to be killed.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeVar

import orjson

M = TypeVar("M")


class StopAt(StrEnum):
    """Where in a turn a worker stops and waits to be killed."""

    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"


@dataclass(frozen=True, slots=True)
class TakeTurn:
    """Do this turn. `ids` are the input or the batches that start it, as they were answered when they were enqueued."""

    number: int
    ids: tuple[str, ...]
    stop_at: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The worker holds the lease. `taken_from` is the pid of the dead holder that it was taken from, 0 for none."""

    pid: int
    fencing_token: int
    taken_from: int
    remaining_ms: int
    took_us: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """The worker took what starts the turn. `fencing_token` is the claim's; 0: nothing of it is left to take."""

    fencing_token: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The worker stands still in the middle of the turn."""

    at: str


@dataclass(frozen=True, slots=True)
class Committed:
    """The turn is in the store. `is_replay`: it had been before, and the store answered with the stored result."""

    revision: int
    is_replay: bool
    turn_commit_hash: str


KINDS: dict[str, type] = {cls.__name__: cls for cls in (TakeTurn, Started, Claimed, Stopped, Committed)}


def encode(message: object) -> bytes:
    """The line of a message."""
    fields: dict[str, Any] = asdict(message)  # type: ignore[call-overload]
    return orjson.dumps({"kind": type(message).__name__, **fields}) + b"\n"


def decode(line: bytes, kind: type[M]) -> M:
    """The message in a line, which must be of this kind."""
    fields = orjson.loads(line)
    found = KINDS[fields.pop("kind")](
        **{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    )
    if not isinstance(found, kind):
        raise TypeError(f"expected {kind.__name__}, got {found}")
    return found


def say(message: object) -> None:
    """Send a message up, from a worker."""
    sys.stdout.buffer.write(encode(message))
    sys.stdout.buffer.flush()
