"""What every imported transcript must be, whatever it was read from."""

from dataclasses import astuple
from pathlib import Path
from typing import Any

import orjson
import pytest

from localstore.contract.graph import SessionNodeRecord
from localstore.importers import EntryUsage, Transcript, TranscriptEntry, original_record

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "scripts" / "demo_session.jsonl"
RECORDED = REPOSITORY / ".." / "shared" / "data"


def recorded(name: str) -> Path:
    """A recorded transcript beside the repository; the test is skipped where there is none."""
    path = RECORDED / name
    if not path.exists():
        pytest.skip(f"no recorded transcript {name} beside the repository")
    return path


def judge(transcript: Transcript) -> Transcript:
    """Fails unless a store could take every entry, ids are unique, and no entry is its own ancestor."""
    assert 1 <= len(transcript.session_id) <= 1024
    for entry in transcript.entries:
        SessionNodeRecord(
            node_id=entry.entry_id,
            parent_node_id=entry.parent_id,
            timestamp=entry.timestamp or "2025-01-01T00:00:00Z",
            payload=entry.payload,
        )
        assert set(entry.payload) <= {"kind", "message", "source"}
        assert entry.usage is None or any(astuple(entry.usage))
    parents = {entry.entry_id: entry.parent_id for entry in transcript.entries}
    assert len(parents) == len(transcript.entries)
    leaf = transcript.metadata["leaf_entry_id"]
    assert leaf in parents if parents else leaf is None
    rooted: set[str | None] = {None}
    for start in parents:
        path: list[str | None] = []
        node: str | None = start
        while node not in rooted and node in parents:
            assert node not in path, "an entry is its own ancestor"
            path.append(node)
            node = parents[node]
        rooted.update(path)
    lines = [problem.line for problem in transcript.problems]
    assert lines == sorted(lines)
    assert all(problem.reason and len(problem.excerpt) <= 120 for problem in transcript.problems)
    orjson.dumps(transcript)
    return transcript


def role(entry: TranscriptEntry) -> str:
    """The role of a message, the kind of anything else."""
    message = entry.payload.get("message")
    return message["role"] if message else entry.payload["kind"]


def roles(transcript: Transcript) -> list[str]:
    return [role(entry) for entry in transcript.entries]


def total_usage(transcript: Transcript) -> EntryUsage:
    counts = [astuple(entry.usage) for entry in transcript.entries if entry.usage]
    return EntryUsage(*map(sum, zip(*counts, strict=True)))


def originals(transcript: Transcript) -> list[dict[str, Any]]:
    """The lines or messages that the entries were made from."""
    return [original_record(entry.payload, transcript.source_format) for entry in transcript.entries]


def lines_of(*values: Any) -> bytes:
    """`values` as JSONL; bytes stand for themselves."""
    return b"".join((value if isinstance(value, bytes) else orjson.dumps(value)) + b"\n" for value in values)
