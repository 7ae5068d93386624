"""Transcripts to import, and what is to be found in a store then."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

from localstore import (
    FullGraph,
    LeaseOwnerIdentity,
    LocalProcess,
    LocalStore,
    PersistedSessionRead,
    SessionReadScope,
    SessionStore,
    TokenUsage,
    liveness,
)
from localstore.cli.app import build_app
from localstore.importers import read_transcript_file

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "scripts" / "demo_session.jsonl"
DEMO_ID = "7c1e52d0-4b7e-4b0e-9a51-6f2f1d0c8e37"
RECORDED = REPOSITORY / ".." / "shared" / "data"

# The recorded transcripts lie beside the repository where there are any; the bundled one is always there.
TRANSCRIPTS = [DEMO, *sorted(path for path in RECORDED.glob("*/*") if path.is_file())]


def lines_of(*values: Any) -> bytes:
    """`values` as JSONL; bytes stand for themselves."""
    return b"".join((value if isinstance(value, bytes) else orjson.dumps(value)) + b"\n" for value in values)


def write_lines(path: Path, *values: Any) -> Path:
    """`values` as a file of JSONL."""
    path.write_bytes(lines_of(*values))
    return path


def claude_line(uuid: str, parent: str | None, text: str, role: str = "user", **changes: Any) -> dict[str, Any]:
    """A line of a Claude Code session."""
    return {
        "type": role,
        "uuid": uuid,
        "parentUuid": parent,
        "sessionId": "claude-session",
        "timestamp": "2026-01-01T00:00:00Z",
        "message": {"role": role, "content": text},
        **changes,
    }


def opened(store: LocalStore, session_id: str) -> SessionStore:
    """The session, which must exist."""
    session = store.open_session(session_id)
    assert session is not None
    return session


def loaded(session: SessionStore, scope: SessionReadScope = FullGraph()) -> PersistedSessionRead:
    """What is loaded of a session, which must have a commit."""
    read = session.load_session(scope)
    assert read is not None
    return read


def content(root: Path, session_id: str) -> dict[str, Any]:
    """Everything of a session that an import makes, but for commits and ids that are made up."""
    with LocalStore(root) as store:
        session = opened(store, session_id)
        read = loaded(session)
        return {
            "nodes": read.graph.nodes,
            "leaf": read.graph.leaf_node_id,
            "ledger": {(row.source, row.model): row.usage for row in read.token_ledger},
            "meta": session.load_session_meta(),
            "config": read.config,
            "usage": read.checkpoint.turn_state.token_usage,
        }


def usage_of(path: Path) -> TokenUsage:
    """The sum of all usage in a transcript."""
    total = TokenUsage()
    for entry in read_transcript_file(path).entries:
        if entry.usage is not None:
            counts = entry.usage
            total = total.plus(
                TokenUsage(
                    counts.input_tokens,
                    counts.output_tokens,
                    counts.cache_read_input_tokens,
                    counts.cache_write_input_tokens,
                    counts.reasoning_output_tokens,
                )
            )
    return total


def dead_owner(owner_id: str = "worker") -> LeaseOwnerIdentity:
    """An owner that was a process of this machine and is no more."""
    own = liveness.this_process()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        start = liveness.process_start(child.pid)
    assert start is not None
    return LeaseOwnerIdentity(owner_id, "1", LocalProcess(own.host_id, own.boot_id, child.pid, start))


def pid_of(owner: LeaseOwnerIdentity) -> int:
    """The pid of an owner that is, or was, a process of this machine."""
    assert isinstance(owner.liveness, LocalProcess)
    return owner.liveness.pid


def commands() -> list[str]:
    """The names of all commands."""
    groups = [group.typer_instance for group in build_app(rich=False).registered_groups]
    found = [command.name for group in groups if group is not None for command in group.registered_commands]
    return sorted(filter(None, found))
