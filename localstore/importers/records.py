"""What every reader gives out: a transcript of neutral, typed entries, and the problems met on the way.

Nothing here knows a store. An entry's `payload` is JSON of one of two shapes:

```
{"kind": "event", "message": {"role": ..., "content": ..., ...}, "source": {...}}     a message
{"kind": "claude-code.summary", "source": {...}}                                      anything else
```

`message` is the source's own message. `source` holds every other field of the line (of the list element), so
that nothing is lost and nothing is stored twice; it is absent where there are none. Where a reader gives a
message another role than the source, because the source says "user" of something that no user typed, `source`
keeps the original at the place where the source has it. `original_record` (in `formats`) puts a payload back
together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of the source that is not in the transcript, or not as the source has it.

    `line` is the 1-based number of the line; in a JSON document the 1-based number of the message, and 0 for
    what concerns the document as a whole. `excerpt` is the beginning of the offending text, at most 120
    characters.
    """

    line: int
    reason: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class EntryUsage:
    """Tokens of one model call. The counts are disjoint but for the last, which is a part of `output_tokens`.

    `input_tokens` is the uncached input: where a source counts cached input in, it is taken out.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TranscriptEntry:
    """One node of the transcript.

    `entry_id` is the source's id, or one derived from the session id, the position and the content, so that
    the same or a grown file gives the same ids again. `parent_id` may name an entry that the transcript does
    not have. `timestamp` is RFC 3339 or `None`. `usage` is `None` where there is nothing to add: the sum over
    all entries is the session's usage, and a call that the source reports on several lines is counted once.
    """

    entry_id: str
    parent_id: str | None
    timestamp: str | None
    payload: JsonObject
    model: str | None = None
    usage: EntryUsage | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """One session as its source tells it, entries in the order of the source.

    `model` is the last one that answered in the main line of the conversation, `""` if none is named.
    `metadata` always has `"leaf_entry_id"`: the entry in which the main line ends (`None` without entries);
    the rest depends on the format and is described by its reader. `problems` are in the order of the source.
    """

    source_format: str
    session_id: str
    title: str | None
    cwd: str | None
    model: str
    created_at: str | None
    entries: tuple[TranscriptEntry, ...]
    problems: tuple[Problem, ...]
    metadata: JsonObject


class UnknownTranscriptFormat(ValueError):
    """The bytes are no transcript of a known format. `name` is what was read, `found` what it looks like."""

    def __init__(self, name: str, found: str) -> None:
        super().__init__(name, found)
        self.name = name
        self.found = found

    def __str__(self) -> str:
        return (
            f"{self.name!r} is no known transcript: looked for Claude Code JSONL, Codex rollout JSONL,"
            " a SWE-agent trajectory (an object with a `history` list), an object with a `messages` list,"
            f" a list of role/content messages, or one such message a line; found {self.found}"
        )
