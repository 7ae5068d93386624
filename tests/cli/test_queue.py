"""`localstore queue`: both queues in order, with who took what."""

from localstore import LeaseOwnerIdentity, MergeGroup, QueuedWorkClaimBoundary, TurnInput
from localstore.cli import ExitCode, output
from localstore.testing.builders import active_input, command, next_input, wake
from tests.cli.sample import dead_owner, pid_of

IDLE = QueuedWorkClaimBoundary.IDLE
ME = LeaseOwnerIdentity.local_process("me", "1")


def lease_of(session, owner=ME):
    return session.try_claim_session_execution_lease("session-1", owner, 60_000).acquired()


def test_nothing_waits(run, session):
    result = run("queue", "session-1")
    assert (result.code, result.lines) == (ExitCode.OK, ["nothing waits: no input, no work"])
    assert run("queue", "session-1", "--json").json == {
        "record": "queue",
        "schema_version": 1,
        "session_id": "session-1",
        "inputs": [],
        "work": [],
    }


def test_input_in_order(run, session):
    session.enqueue_pending_turn_input(next_input("first", source_key="key"))
    session.enqueue_pending_turn_input(active_input("second", "turn-7"))
    lines = run("queue", "session-1").lines
    assert lines[0].split() == ["SEQ", "INPUT", "STATE", "FOR", "TEXT"]
    assert [line.split()[0] for line in lines[1:]] == ["1", "2"]
    assert lines[1].endswith("pending  next turn    first")
    assert lines[2].endswith("pending  turn turn-7  second")
    first, second = run("queue", "session-1", "--json").json["inputs"]
    stored = session.list_pending_turn_inputs("session-1")[0]
    assert first == {
        "input_id": stored.input_id,
        "enqueue_seq": 1,
        "source_key": "key",
        "state": "deferred_next_turn",
        "ingress": {"kind": "next_turn"},
        "enqueued_at_ms": stored.enqueued_at_ms,
        "text": "first",
        "image_ids": [],
        "claim": None,
    }
    assert second["ingress"] == {"kind": "active_turn", "turn_id": "turn-7", "min_boundary": "after_work"}


def test_input_with_an_image(run, session):
    draft = next_input("look")
    given = TurnInput.text("look").with_image_ref("picture", b"\x89PNG")
    session.enqueue_pending_turn_input(type(draft)("session-1", draft.ingress, given))
    [entry] = run("queue", "session-1", "--json").json["inputs"]
    assert (entry["text"], entry["image_ids"]) == ("look\n(image picture)", ["picture"])


def test_what_was_taken_says_by_whom(run, session):
    for text in ("first", "second"):
        session.enqueue_pending_turn_input(next_input(text))
        session.enqueue_queued_work(wake(text))
    lease = lease_of(session)
    ghost = dead_owner("ghost")
    claim = session.claim_next_turn_inputs("session-1", lease.fence(), ghost, 60_000, 1)
    work = session.claim_ready_queued_work("session-1", lease.fence(), ME, IDLE, 60_000, 1)
    lines = run("queue", "session-1").lines
    assert f"taken by ghost (pid {pid_of(ghost)}, dead)" in lines[1]
    assert "pending" in lines[2]
    assert f"taken by me (pid {pid_of(ME)})" in lines[5]
    assert "queued" in lines[6]
    told = run("queue", "session-1", "--json").json
    assert told["inputs"][0]["claim"]["claim_id"] == claim.claim_id
    assert told["inputs"][0]["claim"]["owner"]["process"]["definitely_dead"] is True
    assert told["inputs"][0]["claim"]["expires_at_ms"] == claim.expires_at_epoch_ms
    assert told["work"][0]["claim"]["fencing_token"] == work.fencing_token
    assert [entry["claim"] for entry in (told["inputs"][1], told["work"][1])] == [None, None]


def test_a_claim_that_expired_holds_nothing(run, session):
    session.enqueue_pending_turn_input(next_input("first"))
    session.claim_next_turn_inputs("session-1", lease_of(session).fence(), ME, 0, 1)
    assert run("queue", "session-1", "--json").json["inputs"][0]["claim"] is None


def test_accepted_input_is_told_as_such(run, session):
    session.enqueue_pending_turn_input(active_input("first", "turn-7"))
    session.claim_active_turn_inputs("session-1", lease_of(session).fence(), ME, "turn-7", "after_work", 60_000, 1)
    assert run("queue", "session-1", "--json").json["inputs"][0]["state"] == "accepted"


def test_work_of_every_kind(run, session):
    session.enqueue_queued_work(wake("ring", merge=MergeGroup("bells"), source_key="key"))
    session.enqueue_queued_work(command("compact", available_at_ms=9_000_000_000_000))
    first, second = run("queue", "session-1", "--json").json["work"]
    stored = session.list_queued_work("session-1")[0]
    assert first == {
        "batch_id": stored.batch_id,
        "enqueue_seq": 1,
        "source_key": "key",
        "class": "turn_work",
        "delivery_policy": "earliest_safe_boundary",
        "slot_policy": "join",
        "merge_key": {"kind": "group", "group": "bells"},
        "available_at_ms": 0,
        "enqueued_at_ms": stored.enqueued_at_ms,
        "items": [{"item_id": stored.items[0].item_id, "kind": "process_wake", "wake": {"label": "ring"}}],
        "claim": None,
    }
    assert (second["class"], second["merge_key"]) == ("session_command", {"kind": "never"})
    assert second["available_at_ms"] == 9_000_000_000_000
    told = run("queue", "session-1").out
    assert 'wake {"label":"ring"}' in told
    assert 'command {"label":"compact"}' in told


def test_work_that_waits_for_its_time(run, session):
    session.enqueue_queued_work(wake("ring", available_at_ms=9_000_000_000_000))
    assert f"from {output.when(9_000_000_000_000)}" in run("queue", "session-1").out
