"""`localstore enqueue` and `cancel`."""

import io
import sys

import pytest

from localstore import (
    ActiveTurn,
    DeliveryPolicy,
    LeaseOwnerIdentity,
    ProcessWake,
    QueuedWorkClaimBoundary,
    SessionCommand,
    SlotPolicy,
    TurnInput,
)
from localstore.cli import ExitCode
from localstore.testing.builders import next_input, wake

ME = LeaseOwnerIdentity.local_process("me", "1")


def pending(session):
    return session.list_pending_turn_inputs("session-1")


def queued(session):
    return session.list_queued_work("session-1")


class TestEnqueue:
    def test_input_for_the_next_turn(self, run, session):
        result = run("enqueue", "A session", "Now the tests.")
        [record] = pending(session)
        assert record.input == TurnInput.text("Now the tests.")
        assert (result.code, result.lines) == (ExitCode.OK, [f"input {record.input_id} is number 1 of session-1"])

    def test_input_for_a_running_turn(self, run, session):
        told = run("enqueue", "session-1", "stop", "--turn", "turn-7", "--json").json
        [record] = pending(session)
        assert record.ingress == ActiveTurn("turn-7")
        assert told == {
            "record": "enqueued",
            "schema_version": 1,
            "session_id": "session-1",
            "input": run("queue", "session-1", "--json").json["inputs"][0],
            "work": None,
        }

    def test_input_of_a_pipe(self, run, session, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.StringIO("many\nlines\n"))
        run("enqueue", "session-1", "-")
        assert pending(session)[0].input == TurnInput.text("many\nlines\n")

    def test_a_retry_adds_nothing(self, run, session):
        first, second = (run("enqueue", "session-1", "x", "--source-key", "key", "--json").json for _ in range(2))
        assert first == second
        assert len(pending(session)) == 1

    def test_work(self, run, session):
        told = run("enqueue", "session-1", "--work", '{"timer": 1}', "--json").json
        run("enqueue", "session-1", "--command", '{"compact": true}', "--source-key", "key")
        first, second = queued(session)
        assert [item.payload for item in first.items] == [ProcessWake({"timer": 1})]
        assert (first.delivery_policy, first.slot_policy, first.available_at_ms) == (
            DeliveryPolicy.AFTER_CURRENT_TURN_COMMIT,
            SlotPolicy.EXCLUSIVE,
            0,
        )
        assert [item.payload for item in second.items] == [SessionCommand({"compact": True})]
        assert second.source_key == "key"
        assert told["work"] == run("queue", "session-1", "--json").json["work"][0]

    def test_work_that_is_held_back(self, run, session):
        before = session.clock.now_ms()
        result = run("enqueue", "session-1", "--work", "{}", "--after", "2h")
        after = session.clock.now_ms()
        [batch] = queued(session)
        assert before <= batch.available_at_ms - 2 * 3_600_000 <= after
        assert result.lines == [f"work {batch.batch_id} is number 1 of session-1"]

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("text", "--work", "{}"),
            ("--work", "{}", "--command", "{}"),
            ("--work", "{"),
            ("--work", "[]"),
            ("--work", ""),
            ("--work", "{}", "--turn", "t"),
            ("text", "--after", "1h"),
            ("--work", "{}", "--after", "soon"),
            ("text", "--turn", ""),
        ],
    )
    def test_what_makes_no_sense_adds_nothing(self, run, session, arguments):
        result = run("enqueue", "session-1", *arguments)
        assert result.code == ExitCode.USAGE
        assert result.err.startswith("localstore: ")
        assert pending(session) + queued(session) == ()

    def test_no_session_is_made(self, run, store):
        assert run("enqueue", "nobody", "text").code == ExitCode.NOT_FOUND
        assert store.list_sessions() == ()


class TestCancel:
    def test_input_by_the_beginning_of_its_id(self, run, session):
        ids = [session.enqueue_pending_turn_input(next_input(text)).input_id for text in ("one", "two")]
        result = run("cancel", "session-1", ids[0][:12])
        assert (result.code, result.lines) == (ExitCode.OK, [f"input {ids[0]}: cancelled"])
        assert [record.input_id for record in pending(session)] == ids[1:]

    def test_work(self, run, session):
        batch_id = session.enqueue_queued_work(wake("one")).batch_id
        told = run("cancel", "session-1", "--batch", batch_id, "--json").json
        assert told == {
            "record": "cancellation",
            "schema_version": 1,
            "session_id": "session-1",
            "inputs": [],
            "work": [{"batch_id": batch_id, "outcome": "cancelled"}],
        }
        assert queued(session) == ()

    def test_what_cannot_be_cancelled_says_why(self, run, session):
        input_id = session.enqueue_pending_turn_input(next_input("one")).input_id
        batch_id = session.enqueue_queued_work(wake("one")).batch_id
        fence = session.try_claim_session_execution_lease("session-1", ME, 60_000).acquired().fence()
        session.claim_next_turn_inputs("session-1", fence, ME, 60_000, 1)
        session.claim_ready_queued_work("session-1", fence, ME, QueuedWorkClaimBoundary.IDLE, 60_000, 1)
        gone = session.enqueue_pending_turn_input(next_input("two")).input_id
        session.cancel_pending_turn_input("session-1", gone)
        result = run("cancel", "session-1", input_id, gone, "none", "--batch", batch_id, "--batch", "none", "--json")
        assert result.code == ExitCode.FINDINGS
        assert [row["outcome"] for row in result.json["inputs"]] == ["taken_already", "cancelled_already", "not_found"]
        assert [row["outcome"] for row in result.json["work"]] == ["taken_already", "not_found"]
        assert run("cancel", "session-1", "none").lines == ["input none: not found"]
        assert len(queued(session)) == 1
        assert run("cancel", "session-1", input_id[:12]).lines == [f"input {input_id}: taken already"]

    def test_an_id_that_fits_several(self, run, session):
        for number in range(2):
            draft = next_input("x")
            session.enqueue_pending_turn_input(type(draft)("session-1", draft.ingress, draft.input, f"input-{number}"))
        result = run("cancel", "session-1", "input-")
        assert (result.code, len(pending(session))) == (ExitCode.USAGE, 2)
        assert "fits 2 inputs" in result.err

    @pytest.mark.parametrize("arguments", [(), ("",)])
    def test_nothing_to_cancel(self, run, session, arguments):
        assert run("cancel", "session-1", *arguments).code == ExitCode.USAGE
