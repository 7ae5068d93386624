"""What a search of all sessions finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A node that a search found, by the first place in it that matches.

    `role` is that of its message, `None` where it is none. `snippet` is the text around that place, cut to about a
    hundred characters; what matched is `snippet[start:end]`, cut too where it is longer than that.
    """

    session_id: str
    node_id: str
    role: str | None
    timestamp: str
    snippet: str
    start: int
    end: int
