"""What came of the demonstration, and whether it is what the recording says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from localstore import ActivePath, FullGraph, LocalStore, SessionStore, TokenUsage
from localstore.disk import names

from .recording import Recording


@dataclass
class Outcome:
    """The facts of one demonstration. Turns are given by their numbers, from 1."""

    root: Path
    killed_pids: list[int] = field(default_factory=list)
    taken_from_pids: list[int] = field(default_factory=list)
    remaining_ms: list[int] = field(default_factory=list)
    fencing_tokens: list[int] = field(default_factory=list)
    tries: list[int] = field(default_factory=list)
    replayed_turns: list[int] = field(default_factory=list)
    revisions: list[int] = field(default_factory=list)
    judgement: list[tuple[bool, str]] = field(default_factory=list)
    check_exit_code: int = -1

    @property
    def is_good(self) -> bool:
        """Whether everything that the demonstration promises holds."""
        return self.check_exit_code == 0 and all(holds for holds, _ in self.judgement)


def judge(outcome: Outcome, recording: Recording) -> None:
    """Compare what is in the store with the recording, and note it in the outcome."""
    with LocalStore(outcome.root) as store:
        session = store.open_session(recording.transcript.session_id)
        if session is None:
            outcome.judgement.append((False, "the session is in the store"))
            return
        outcome.judgement.extend(_judgement(session, recording))
    sessions = outcome.root / names.SESSIONS
    journals = [path for path in sessions.rglob("*") if names.parse_journal(path.name) is not None]
    outcome.judgement.append((not journals, "the store was closed cleanly: no journal is left"))


def _judgement(session: SessionStore, recording: Recording) -> list[tuple[bool, str]]:
    entries = recording.transcript.entries
    full, path = session.load_session(FullGraph()), session.load_session(ActivePath())
    if full is None or path is None:
        return [(False, "turns are in the store")]
    stored = [node.payload for node in full.graph.nodes]
    line = [entry.payload for entry in entries if entry.entry_id in recording.main_line]
    counted, recorded = TokenUsage(), TokenUsage()
    for row in full.token_ledger:
        counted = counted.plus(row.usage)
    for delta in (delta for turn in recording.turns for delta in recording.usage_of(turn)):
        recorded = recorded.plus(delta.usage)
    own_id = session.session_id
    waiting = (*session.list_pending_turn_inputs(own_id), *session.list_queued_work(own_id))
    count = len(recording.turns)
    return [
        (
            stored == [entry.payload for entry in entries],
            f"all {len(entries)} entries of the recording are in the store, each once and in order",
        ),
        (
            [node.payload for node in path.graph.nodes] == line,
            f"the active path has the {len(line)} entries of the main line",
        ),
        (full.head_revision == count, f"{count} turns made {count} revisions: none is missing, none is there twice"),
        (counted == recorded, f"token usage is counted once: {counted.output_tokens:,} output tokens"),
        (not waiting, "no input and no work is left behind"),
        (session.get_session_execution_lease(own_id) is None, "the lease is free"),
    ]
