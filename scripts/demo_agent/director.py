"""The demonstration from beginning to end: the world around the agent, and the one who kills its workers."""

from __future__ import annotations

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
from .recording import Cause, Recording, Turn, answer, record, words
from .worker_process import WorkerProcess

_SHOWN = 6
"""Turns told of at the beginning and at the end of a long row."""

_CAUSES = {Cause.INPUT: "user", Cause.WORK: "tool", Cause.START: "start"}


def killing_turns(turns: Sequence[Turn]) -> tuple[int, int]:
    """The turns in which a worker is killed: before its commit, and after it.

    The first one is begun by the user where that can be, and lies about a third of the way in; the second one is later
    where there is a later one.
    """
    third = (len(turns) + 2) // 3
    by_user = [turn.number for turn in turns[:-1] if turn.cause is Cause.INPUT and turn.number >= max(2, third)]
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
            heading("2. A worker starts: a process that runs the agent")
            with self._hire() as worker:
                self._work(session, worker, range(1, before))
                heading(f"3. It is killed in the middle of turn {before}")
                self._kill(session, worker, before, StopAt.BEFORE_COMMIT)
            self._look_around(store, session)
            heading("4. A second worker takes over, without waiting")
            with self._hire() as worker:
                if after > before:
                    self._again(session, worker, before)
                    self._work(session, worker, range(before + 1, after))
                heading(f"5. It is killed too, just after it committed turn {after}")
                self._kill(session, worker, after, StopAt.AFTER_COMMIT)
            heading("6. A third worker repeats that turn, and nothing happens twice")
            with self._hire() as worker:
                self._again(session, worker, after)
                self._work(session, worker, range(after + 1, last + 1))
                worker.finish()
            tell("The recording is at its end. The worker gives the lease back and closes the store.")

    def _begin(self, store: LocalStore) -> SessionStore:
        transcript, turns = self.recording.transcript, self.recording.turns
        heading("1. A recorded agent session is played once more")
        tell(
            f"{self._path.name} has {len(transcript.entries)} entries ({transcript.source_format}): what the user said,"
            " what the agent answered, which tools it called, what they returned. An agent's runtime would commit that"
            f" in {len(turns)} turns, each of them whole or not at all. The store is a folder:"
        )
        step(str(self._root))
        session = store.create_session(
            transcript.session_id, session_name=transcript.title, model=transcript.model, cwd=transcript.cwd
        )
        tell("What the user says is stored as pending input. There it waits for its turn, whatever happens to workers:")
        for turn in turns:
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
        step(text, after=f"input {stored.enqueue_seq}  ")
        return stored.input_id

    def _hire(self) -> WorkerProcess:
        self._workers += 1
        worker = WorkerProcess(self._root, self._path, f"worker-{self._workers}")
        started = worker.started
        self.outcome.fencing_tokens.append(started.fencing_token)
        if not started.taken_from:
            tell(
                f"{worker.name} is process {worker.pid}. It claims the session's lease: while it holds it, nobody else"
                " can write. Every lease has a higher number than the one before, its fencing token. This one has"
                f" {started.fencing_token}."
            )
            return worker
        self.outcome.taken_from_pids.append(started.taken_from)
        self.outcome.remaining_ms.append(started.remaining_ms)
        tell(
            f"{worker.name} is process {worker.pid}. The lease still has {started.remaining_ms / 1000:.0f} s to run,"
            f" but its holder, process {started.taken_from}, is dead beyond doubt: so it changes hands at once, in"
            f" {started.took_us / 1000:.1f} ms. Its fencing token is {started.fencing_token}: whoever held it with a"
            " lower one can write no more."
        )
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
            self._committed(worker, turn)
            place = number - numbers.start
            if len(numbers) <= 2 * _SHOWN or place < _SHOWN or place >= len(numbers) - _SHOWN:
                _tell_turn(turn)
            elif place == _SHOWN:
                step(f"... {len(numbers) - 2 * _SHOWN} turns more ...")

    def _ask(self, session: SessionStore, worker: WorkerProcess, turn: Turn, stop_at: StopAt | None) -> int:
        """Ask for the turn; the fencing token of what the worker claimed for it, 0 for nothing."""
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
        _tell_turn(turn)
        count = len(turn.entries)
        if at is StopAt.BEFORE_COMMIT:
            tell(f"The agent has thought, and {count} new messages are in {worker.name}'s memory. Now:")
        else:
            tell(f"The store has taken the {count} new messages, but {worker.name} has told nobody yet. Now:")
        worker.kill()
        self.outcome.killed_pids.append(worker.pid)
        step(f"kill -9 {worker.pid}")

    def _look_around(self, store: LocalStore, session: SessionStore) -> None:
        """What everybody else sees after a worker died before its commit."""
        head = session.load_session_head()
        lease = session.get_session_execution_lease(session.session_id)
        tell("What the store says to everybody else now:")
        step(f"revision {0 if head is None else head.head_revision}, as before the turn: nothing is there by half")
        if lease is not None:
            step(f"the lease is held by {owner_text(lease.owner)}")
        for line in _queue_lines(look(store, session.session_id, queues)):
            step(line)

    def _again(self, session: SessionStore, worker: WorkerProcess, number: int) -> None:
        """Ask for a turn whose answer never came. Whether it was committed, the asking side cannot know."""
        turn = self.recording.turns[number - 1]
        tell(f"Turn {number} was never answered, so it is asked for again. Whether it was committed, nobody can know.")
        claimed = self._ask(session, worker, turn, None)
        done = self._committed(worker, turn)
        if done.is_replay:
            tell(
                "What began it is settled, and it comes out as before, but for new ids and times of its messages. It"
                f" is stamped {turn.turn_id!r} with the hash {done.turn_commit_hash[:12]}... of what it means, and the"
                " store knows that stamp: it adds nothing, and gives the answer that got lost, revision"
                f" {done.revision}."
            )
            return
        if claimed:
            tell(f"{worker.name} takes over what the dead worker had claimed, and does the whole turn:")
        _tell_turn(turn)


def _tell_turn(turn: Turn) -> None:
    """The turn in a line: what began it, and what the agent said last."""
    step(answer(turn), after=f"turn {turn.number:>3}  {_CAUSES[turn.cause]:<5}  ")


def _queue_lines(queued: Queued) -> list[str]:
    """The queues in words; of what simply waits only how much there is."""
    inputs = [(f"input {record.enqueue_seq}", claim) for record, claim in queued.inputs]
    entries = [*inputs, *((f"work {batch.enqueue_seq}", claim) for batch, claim in queued.work)]
    taken = [f"{name} is claimed by {owner_text(claim.owner)}" for name, claim in entries if claim is not None]
    waiting = len(entries) - len(taken)
    return [*taken, *([f"{waiting} more wait, in order"] if waiting else [])]
