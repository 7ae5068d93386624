"""The demonstration from beginning to end: the world around the agent, and the one who kills its workers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from localstore import (
    DeliveryPolicy,
    LocalStore,
    MergeGroup,
    NextTurn,
    PendingTurnInputDraft,
    ProcessWake,
    QueuedWorkBatchDraft,
    SessionStore,
    SlotPolicy,
    TurnInput,
)
from localstore.cli.describing import owner_text
from localstore.cli.queues import Queued, queues
from localstore.cli.selecting import look
from localstore.importers import read_transcript_file

from .narration import heading, step, tell
from .outcome import Outcome
from .protocol import Claimed, Committed, StopAt, Stopped, TakeTurn
from .recording import Cause, Recording, Turn, record, words
from .worker_process import WorkerProcess


def killing_turns(turns: Sequence[Turn]) -> tuple[int, int]:
    """The turns in which a worker is killed: before its commit, and after it.

    The first one is begun by the user where that can be, and lies about a third of the way in; the second one is later
    where there is a later one.
    """
    third = (len(turns) + 2) // 3
    by_user = [turn.number for turn in turns if turn.cause is Cause.INPUT and turn.number >= max(2, third)]
    before = min(by_user, default=third)
    after = min(len(turns), max(before + 1, (2 * len(turns) + 2) // 3))
    return before, after


class Director:
    """Plays one recording into a store."""

    def __init__(self, transcript: Path, root: Path) -> None:
        self._path = transcript
        self._root = root
        self.recording: Recording = record(read_transcript_file(transcript))
        self.outcome = Outcome(root)
        self._causes: dict[int, tuple[str, ...]] = {}
        self._workers = 0

    def play(self) -> None:
        """Let the agent work, kill it twice, and let it finish."""
        before, after = killing_turns(self.recording.turns)
        last = len(self.recording.turns)
        with LocalStore(self._root) as store:
            session = self._begin(store)
            heading(f"2. A worker plays the agent, up to turn {before}")
            with self._hire() as worker:
                self._work(session, worker, range(1, before))
                heading("3. Killed in the middle of a turn")
                self._kill(session, worker, before, StopAt.BEFORE_COMMIT)
            self._look_around(store, session)
            heading("4. Another worker takes over")
            with self._hire() as worker:
                self._again(session, worker, before, StopAt.AFTER_COMMIT if after == before else None)
                self._work(session, worker, range(before + 1, after))
                heading("5. Killed once more, this time just after the commit")
                self._kill(session, worker, after, StopAt.AFTER_COMMIT)
            heading("6. The turn is asked for again")
            with self._hire() as worker:
                self._again(session, worker, after, None)
                self._work(session, worker, range(after + 1, last + 1))
                worker.finish()
            step("The worker is done: it has released the lease and closed the store.")

    def _begin(self, store: LocalStore) -> SessionStore:
        transcript = self.recording.transcript
        heading("1. A recorded agent session is about to happen again")
        tell(
            f"{self._path.name} is a session that an agent once had: {len(transcript.entries)} entries"
            f" ({transcript.source_format}).\nIt is played once more, the way an agent's runtime would:"
            f" in {len(self.recording.turns)} turns, through a store in a plain folder."
        )
        session = store.create_session(
            transcript.session_id, session_name=transcript.title, model=transcript.model, cwd=transcript.cwd
        )
        tell("What the user says enters the session as pending input, and waits there for its turn:")
        for turn in self.recording.turns:
            if turn.cause is Cause.INPUT:
                self._causes[turn.number] = (self._enqueue_input(session, turn),)
        return session

    def _enqueue_input(self, session: SessionStore, turn: Turn) -> str:
        text = words(turn.entries[0])
        # The source key makes a second delivery of the same message harmless.
        draft = PendingTurnInputDraft(
            session.session_id, NextTurn(), TurnInput.text(text), source_key=turn.entries[0].entry_id
        )
        stored = session.enqueue_pending_turn_input(draft)
        step(f"input {stored.enqueue_seq}: {text}")
        return stored.input_id

    def _hire(self) -> WorkerProcess:
        self._workers += 1
        worker = WorkerProcess(self._root, self._path, f"worker-{self._workers}")
        started = worker.started
        self.outcome.fencing_tokens.append(started.fencing_token)
        if started.taken_from:
            self.outcome.taken_from_pids.append(started.taken_from)
            self.outcome.remaining_ms.append(started.remaining_ms)
            step(f"{worker.name} (process {worker.pid}) asks for the lease. It is held by process {started.taken_from},")
            step(f"which is dead beyond doubt: the lease changes hands at once ({started.took_us / 1000:.1f} ms), though")
            step(f"it had {started.remaining_ms / 1000:.1f} s to run. Fencing token {started.fencing_token}: whoever"
                 " held it before can write no more.")
        else:
            step(f"{worker.name} (process {worker.pid}) takes the session's lease, fencing token {started.fencing_token}:")
            step("as long as it holds it, nobody else can write.")
        return worker

    def _ids(self, session: SessionStore, turn: Turn) -> tuple[str, ...]:
        """What starts the turn; where tools do, each of them wakes the session by a piece of queued work."""
        if turn.cause is Cause.WORK and turn.number not in self._causes:
            drafts = [
                QueuedWorkBatchDraft(
                    session.session_id,
                    DeliveryPolicy.EARLIEST_SAFE_BOUNDARY,
                    SlotPolicy.JOIN,
                    (ProcessWake({"tool_result": entry.entry_id}),),
                    source_key=entry.entry_id,
                    merge_key=MergeGroup(turn.turn_id),
                )
                for entry in turn.results
            ]
            self._causes[turn.number] = tuple(session.enqueue_queued_work(draft).batch_id for draft in drafts)
        return self._causes.get(turn.number, ())

    def _work(self, session: SessionStore, worker: WorkerProcess, numbers: range) -> None:
        for number in numbers:
            turn = self.recording.turns[number - 1]
            self._ask(session, worker, turn, None)
            done = self._committed(worker, turn)
            step(f"turn {number}, {_cause_text(turn)}: {len(turn.entries)} nodes, revision {done.revision}")

    def _ask(self, session: SessionStore, worker: WorkerProcess, turn: Turn, stop_at: StopAt | None) -> int:
        """Ask for the turn; the fencing token of what the worker claimed for it."""
        self.outcome.tries.append(turn.number)
        worker.ask(TakeTurn(turn.number, self._ids(session, turn), stop_at))
        return 0 if turn.cause is Cause.START else worker.hear(Claimed).fencing_token

    def _committed(self, worker: WorkerProcess, turn: Turn) -> Committed:
        done = worker.hear(Committed)
        self.outcome.revisions.append(done.revision)
        if done.is_replay:
            self.outcome.replayed_turns.append(turn.number)
        return done

    def _kill(self, session: SessionStore, worker: WorkerProcess, number: int, at: StopAt) -> None:
        turn = self.recording.turns[number - 1]
        self._ask(session, worker, turn, at)
        worker.hear(Stopped)
        step(f"turn {number}, {_cause_text(turn)}: {worker.name} has {len(turn.entries)} new messages in its hands.")
        if at is StopAt.BEFORE_COMMIT:
            step("It has not committed them yet.")
        else:
            step("It has committed them, but has not told anybody yet.")
        worker.kill()
        self.outcome.killed_pids.append(worker.pid)
        step(f"kill -9 {worker.pid}")

    def _look_around(self, store: LocalStore, session: SessionStore) -> None:
        """What everybody else sees after a worker died before its commit."""
        head = session.load_session_head()
        lease = session.get_session_execution_lease(session.session_id)
        tell("What the others see now:")
        step(f"revision {0 if head is None else head.head_revision}, as before the turn: nothing of it is there by half")
        if lease is not None:
            step(f"the lease is still held by {owner_text(lease.owner)}")
        for line in _queue_lines(look(store, session.session_id, queues)):
            step(line)

    def _again(self, session: SessionStore, worker: WorkerProcess, number: int, stop_at: StopAt | None) -> None:
        """Ask for a turn whose answer never came. Whether it was committed, the asking side cannot know."""
        turn = self.recording.turns[number - 1]
        step(f"Turn {number} has no answer, so it is asked for again.")
        claimed = self._ask(session, worker, turn, stop_at)
        if claimed:
            step(f"{worker.name} takes what the dead worker had claimed, under the higher fencing token {claimed}.")
        if stop_at is not None:
            worker.hear(Stopped)
            return
        done = self._committed(worker, turn)
        if not done.is_replay:
            step(f"turn {number}, {_cause_text(turn)}: {len(turn.entries)} nodes, revision {done.revision}")
            return
        step("Nothing is left to claim. The turn comes out the same, but for new node ids and times: it has the stamp")
        step(f"{turn.turn_id!r} and the hash {done.turn_commit_hash[:12]}…, which the store knows. It adds nothing,")
        step(f"and answers what it answered before: revision {done.revision}.")


def _cause_text(turn: Turn) -> str:
    if turn.cause is Cause.INPUT:
        return "from the user"
    if turn.cause is Cause.WORK:
        return "woken by a tool" if len(turn.results) == 1 else f"woken by {len(turn.results)} tools"
    return "to start with"


def _queue_lines(queued: Queued) -> list[str]:
    lines = []
    for record_, claim in queued.inputs:
        state = "waits" if claim is None else f"is still claimed by {owner_text(claim.owner)}"
        lines.append(f"input {record_.enqueue_seq} {state}")
    for batch, claim in queued.work:
        state = "waits" if claim is None else f"is still claimed by {owner_text(claim.owner)}"
        lines.append(f"work {batch.enqueue_seq} {state}")
    return lines
