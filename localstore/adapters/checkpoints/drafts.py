"""The nodes of a commit in the making."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...contract.graph import SessionNodeRecord
from .cells import Codec
from .phrases import Speaker, Vocabulary
from .picture import Picture


@dataclass(slots=True)
class Draft:
    """The nodes of a commit in the making."""

    picture: Picture
    vocabulary: Vocabulary
    codec: Codec
    now: str
    nodes: list[SessionNodeRecord] = field(default_factory=list)
    fresh: Vocabulary = field(default_factory=Vocabulary)
    next_number: int = 0

    def __post_init__(self) -> None:
        self.next_number = self.picture.last + 1

    def add(self, parent: str | None, timestamp: str, payload: dict[str, Any]) -> SessionNodeRecord:
        """The next node."""
        node = SessionNodeRecord(str(self.next_number), parent, timestamp, self.vocabulary.layouts.brief(payload))
        self.next_number += 1
        self.nodes.append(node)
        return node

    def speaker(self) -> Speaker:
        """Who says the trees of the next node."""
        return Speaker(self.next_number, self.vocabulary, self.fresh)
