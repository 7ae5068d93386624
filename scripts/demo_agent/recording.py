"""A recorded session cut into the turns that an agent's runtime would commit one by one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from localstore import SessionNodeRecord, TokenLedgerEntry
from localstore.cli.describing import said
from localstore.importers import Transcript, TranscriptEntry
from localstore.transcripts import is_user_message, ledger_entry

NO_TIME = "1970-01-01T00:00:00Z"


class Cause(StrEnum):
    """What starts a turn."""

    INPUT = "input"
    """The user said something."""
    WORK = "work"
    """Tools have finished."""
    START = "start"
    """Nothing: what the recording has before anybody spoke."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: what starts it, and what it adds to the session. `first` is the place of its first entry."""

    number: int
    cause: Cause
    first: int
    entries: tuple[TranscriptEntry, ...]

    @property
    def turn_id(self) -> str:
        """The turn's name in its commit stamp: the same however often it is tried."""
        return f"turn-{self.number}"

    @property
    def results(self) -> tuple[TranscriptEntry, ...]:
        """The tool results that it begins with."""
        count = next((at for at, entry in enumerate(self.entries) if not _is_tool_result(entry)), len(self.entries))
        return self.entries[:count] if self.cause is Cause.WORK else ()


@dataclass(frozen=True, slots=True)
class Recording:
    """A transcript and its turns. `main_line` are the entries from the root to the leaf."""

    transcript: Transcript
    turns: tuple[Turn, ...]
    main_line: frozenset[str]

    def usage_of(self, turn: Turn) -> tuple[TokenLedgerEntry, ...]:
        """The tokens that the turn's model calls took."""
        found = (ledger_entry(self.transcript, entry) for entry in turn.entries)
        return tuple(delta for delta in found if delta is not None)


def record(transcript: Transcript) -> Recording:
    """Cut `transcript` where the user speaks and where results of tools come in."""
    turns: list[Turn] = []
    entries: list[TranscriptEntry] = []
    cause, first = Cause.START, 0
    for at, entry in enumerate(transcript.entries):
        begins = _cause(entry)
        goes_on = begins is Cause.WORK and cause is Cause.WORK and all(map(_is_tool_result, entries))
        if begins is not None and not goes_on:
            if entries:
                turns.append(Turn(len(turns) + 1, cause, first, tuple(entries)))
            entries, cause, first = [], begins, at
        entries.append(entry)
    if entries:
        turns.append(Turn(len(turns) + 1, cause, first, tuple(entries)))
    return Recording(transcript, tuple(turns), _main_line(transcript))


def _main_line(transcript: Transcript) -> frozenset[str]:
    parents = {entry.entry_id: entry.parent_id for entry in transcript.entries}
    line: dict[str, None] = {}
    at: str | None = transcript.metadata["leaf_entry_id"]
    while at in parents and at not in line:
        line[at] = None
        at = parents[at]
    return frozenset(line)


def _cause(entry: TranscriptEntry) -> Cause | None:
    if is_user_message(entry):
        return Cause.INPUT
    return Cause.WORK if _is_tool_result(entry) and not _is_aside(entry) else None


def _is_aside(entry: TranscriptEntry) -> bool:
    source: Any = entry.payload.get("source")
    return isinstance(source, dict) and source.get("isSidechain") is True


def _is_tool_result(entry: TranscriptEntry) -> bool:
    message: Any = entry.payload.get("message")
    return isinstance(message, dict) and message.get("role") == "tool" and not _is_aside(entry)


def words(entry: TranscriptEntry) -> str:
    """What the entry says."""
    node = SessionNodeRecord(entry.entry_id, None, entry.timestamp or NO_TIME, entry.payload)
    return said(node).text


def answer(turn: Turn) -> str:
    """What the agent says last in the turn; where it says nothing, what is said last at all."""
    told = [(entry.payload.get("message"), words(entry)) for entry in turn.entries]
    spoken = [text for message, text in told if text and isinstance(message, dict) and message["role"] == "assistant"]
    return spoken[-1] if spoken else next((text for _, text in reversed(told) if text), "")
