"""The shape of a decision: from state, archive and moment to events and a result, or an error of the contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from .events import Event
from .facts import Archive
from .moment import Moment
from .state import SessionState

R = TypeVar("R")


@dataclass(slots=True)
class Decision(Generic[R]):
    """Events to write as one record (none: nothing changes), and the caller's result once they are written."""

    events: tuple[Event, ...]
    result: R


Decide: TypeAlias = Callable[[SessionState, Archive, Moment], Decision[R]]
View: TypeAlias = Callable[[SessionState, Archive, Moment], R]
