"""How readers build a transcript: ids, times, payloads, and entries in order."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from .pieces import Piece
from .records import EntryUsage, JsonObject, Problem, Transcript, TranscriptEntry
from .strict_json import MAX_DEPTH, canonical, excerpt, measure
from .usage import NOTHING

MAX_SESSION_ID_LENGTH = 1024

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_UNREADABLE = re.compile(r"[^A-Za-z0-9._-]+")


def non_empty(value: object) -> str | None:
    """`value` if it is a string with something in it."""
    return value if isinstance(value, str) and value else None


def rfc3339(value: object) -> str | None:
    """`value` if it is an RFC 3339 timestamp of a moment that exists."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        return None
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return None
    return value


def session_identifier(value: object) -> str | None:
    """`value` if it can be the id of a session: 1 to 1,024 characters."""
    identifier = non_empty(value)
    return identifier if identifier and len(identifier) <= MAX_SESSION_ID_LENGTH else None


def derived_session_id(name: str, opening: Sequence[JsonObject]) -> str:
    """An id for a session whose source names none: from the file's own name and how the session opens.

    It stays the same while the file grows, and where the file lies does not matter.
    """
    own_name = re.split(r"[/\\]", name)[-1].encode("utf-8", "backslashreplace").decode()
    digest = hashlib.sha256(canonical([own_name, list(opening)])).hexdigest()
    readable = _UNREADABLE.sub("-", own_name.rpartition(".")[0] or own_name).strip("-.")[:64]
    return f"{readable or 'transcript'}-{digest[:16]}"


def derived_entry_id(session_id: str, position: int, value: JsonObject) -> str:
    """An id for an entry whose source names none: SHA-256 (hex) of session, position and content."""
    return hashlib.sha256(canonical([session_id, position, value])).hexdigest()


def only_tool_results(message: JsonObject) -> bool:
    """Whether the message's content is nothing but results of tools, which no user typed."""
    content = message.get("content")
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(part, dict) and part.get("type") == "tool_result" for part in content)
    )


def event_payload(
    message: JsonObject, source: JsonObject, *, role: str | None = None, at: str | None = None
) -> JsonObject:
    """The payload of a message. `source` are the other fields of its line, `at` is the line's field that it
    came from (`None`: the line is the message). `role`: the role it gets instead of its own.
    """
    if role is not None and role != message.get("role"):
        original = {"role": message.get("role")}
        message = {**message, "role": role}
        source = {**source, **({at: original} if at else original)}
    payload: JsonObject = {"kind": "event", "message": message}
    if source:
        payload["source"] = source
    return payload


def original_message_line(payload: JsonObject, at: str | None) -> JsonObject:
    """The line that `event_payload` or a record payload was made from."""
    source: JsonObject = payload.get("source", {})
    if "message" not in payload:
        return source
    overlay = source.get(at, {}) if at else source
    message = {**payload["message"], **overlay}
    # Only a reader that added a role to a message without one leaves a null there.
    if "role" in overlay and overlay["role"] is None:
        del message["role"]
    return {**source, at: message} if at else message


class Draft:
    """Entries and problems of a transcript in the making."""

    def __init__(self, source_format: str, session_id: str, problems: Iterable[Problem]) -> None:
        self.source_format = source_format
        self.session_id = session_id
        self.entries: list[TranscriptEntry] = []
        self.pieces: list[Piece] = []
        self.problems = list(problems)

    @property
    def last_id(self) -> str | None:
        """The id of the entry added last."""
        return self.entries[-1].entry_id if self.entries else None

    def report(self, piece: Piece, reason: str) -> None:
        """Adds a problem with this piece of the source."""
        self.problems.append(Problem(piece.position, reason, excerpt(piece.text)))

    def add(
        self,
        piece: Piece,
        payload: JsonObject,
        *,
        entry_id: str | None = None,
        parent_id: str | None = None,
        timestamp: str | None = None,
        model: str | None = None,
        usage: EntryUsage = NOTHING,
    ) -> bool:
        """Adds an entry, without an id under a derived one. `False`: it nests too deep, which is reported."""
        if piece.text.count(b"{") + piece.text.count(b"[") >= MAX_DEPTH - 2:
            depth = measure(payload)[1]
            if depth > MAX_DEPTH:
                self.report(piece, f"nested {depth} levels deep as a payload, at most {MAX_DEPTH} are allowed")
                return False
        own_id = entry_id or derived_entry_id(self.session_id, piece.position, piece.value)
        counted = None if usage == NOTHING else usage
        self.entries.append(TranscriptEntry(own_id, parent_id, timestamp, payload, model, counted))
        self.pieces.append(piece)
        return True

    def cut_cycles(self) -> None:
        """Makes an entry a root where its parents lead back to itself: the last one of each circle in the
        source.
        """
        place = {entry.entry_id: index for index, entry in enumerate(self.entries)}
        done: set[int] = set()
        for start in range(len(self.entries)):
            path: dict[int, None] = {}
            index: int | None = start
            while index is not None and index not in done and index not in path:
                path[index] = None
                index = place.get(self.entries[index].parent_id or "")
            if index is not None and index in path:
                walked = list(path)
                last = max(walked[walked.index(index) :])
                self.report(self.pieces[last], "its parents lead back to itself, so it is kept as a root")
                self.entries[last] = replace(self.entries[last], parent_id=None)
            done.update(path)

    def finish(
        self,
        *,
        metadata: JsonObject,
        leaf: TranscriptEntry | None = None,
        title: str | None = None,
        cwd: str | None = None,
        model: str = "",
        created_at: str | None = None,
    ) -> Transcript:
        """The transcript. `leaf` defaults to the last entry, `created_at` to the first entry's time."""
        last = leaf or (self.entries[-1] if self.entries else None)
        return Transcript(
            source_format=self.source_format,
            session_id=self.session_id,
            title=title,
            cwd=cwd,
            model=model,
            created_at=created_at or next((entry.timestamp for entry in self.entries if entry.timestamp), None),
            entries=tuple(self.entries),
            problems=tuple(sorted(self.problems, key=lambda problem: problem.line)),
            metadata={"leaf_entry_id": last.entry_id if last else None, **metadata},
        )
