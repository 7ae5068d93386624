"""Values that the contract does not admit: InvalidArgument at the call, and nothing written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ... import (
    AttachmentCreateMeta,
    CancelByInputId,
    FullGraph,
    InvalidArgument,
    LeaseAcquired,
    RuntimePersistence,
    SessionExecutionLeaseFence,
)
from ..backends import Capability
from ..builders import PNG, SESSION, TURN, active_input, chain, node, owner, wake
from .calls import input_claim_of, work_claim_of
from .world import AFTER_WORK, HOUR, IDLE, MAX_INTEGER, MINUTE, Conformance, World

TEXTS: Sequence[Any] = ("", "\ud800", "a\udfffb", None, 7, True, b"bytes", ["list"], {"a": 1}, object())
"""No id: empty, lone surrogates, other types."""
SESSION_IDS: Sequence[Any] = (*TEXTS, "x" * 1025, "語" * 1025)
INTEGERS: Sequence[Any] = (-1, 2**53, 10**400, -(10**400), True, False, 1.0, math.nan, math.inf, "1", None, b"1", [1])
"""No integer of the contract: negative, absurd, bool, other types."""
RECORDS: Sequence[Any] = (None, "text", 7, b"bytes", {}, [], (), object(), type)
"""No record at all."""
SEQUENCES: Sequence[Any] = (None, 7, "text", b"bytes", object(), [""], ["ok", 7], [None], [b"x"], ["\ud800"])
"""No sequence of ids."""
MEMBERS: Sequence[Any] = (None, "", "nonsense", 7, b"idle", [], object())
"""No member of an enum."""

Bad = Callable[[RuntimePersistence, SessionExecutionLeaseFence, Any], object]

WHO = owner()


def _wakes(s: RuntimePersistence, f: SessionExecutionLeaseFence, **changes: Any) -> object:
    arguments: dict[str, Any] = {
        "session_id": SESSION,
        "fence": f,
        "owner": WHO,
        "boundary": IDLE,
        "lease_ttl_ms": MINUTE,
        "max_batches": 1,
    }
    return s.claim_ready_queued_work(**{**arguments, **changes})


def _named(s: RuntimePersistence, f: SessionExecutionLeaseFence, **changes: Any) -> object:
    arguments: dict[str, Any] = {
        "session_id": SESSION,
        "fence": f,
        "owner": WHO,
        "boundary": IDLE,
        "lease_ttl_ms": MINUTE,
        "batch_ids": ("b",),
    }
    return s.claim_ready_queued_work_by_batch_ids(**{**arguments, **changes})


def _leading(s: RuntimePersistence, f: SessionExecutionLeaseFence, **changes: Any) -> object:
    arguments: dict[str, Any] = {
        "session_id": SESSION,
        "fence": f,
        "owner": WHO,
        "lease_ttl_ms": MINUTE,
    }
    return s.claim_leading_ready_session_command(**{**arguments, **changes})


def _active(s: RuntimePersistence, f: SessionExecutionLeaseFence, **changes: Any) -> object:
    arguments: dict[str, Any] = {
        "session_id": SESSION,
        "fence": f,
        "owner": WHO,
        "turn_id": TURN,
        "checkpoint": AFTER_WORK,
        "lease_ttl_ms": MINUTE,
        "max_inputs": 1,
    }
    return s.claim_active_turn_inputs(**{**arguments, **changes})


def _next(s: RuntimePersistence, f: SessionExecutionLeaseFence, **changes: Any) -> object:
    arguments: dict[str, Any] = {
        "session_id": SESSION,
        "fence": f,
        "owner": WHO,
        "lease_ttl_ms": MINUTE,
        "max_inputs": 1,
    }
    return s.claim_next_turn_inputs(**{**arguments, **changes})


ARGUMENTS: dict[str, tuple[Sequence[Any], Bad]] = {
    "load_session(scope)": ((*RECORDS, FullGraph), lambda s, f, bad: s.load_session(bad)),
    "load_node(node_id)": (TEXTS, lambda s, f, bad: s.load_node(bad)),
    "commit_runtime_state(commit)": (RECORDS, lambda s, f, bad: s.commit_runtime_state(bad)),
    "try_claim(session_id)": (
        SESSION_IDS,
        lambda s, f, bad: s.try_claim_session_execution_lease(bad, WHO, MINUTE),
    ),
    "try_claim(owner)": (
        (*RECORDS, "worker"),
        lambda s, f, bad: s.try_claim_session_execution_lease(SESSION, bad, MINUTE),
    ),
    "try_claim(ttl)": (INTEGERS, lambda s, f, bad: s.try_claim_session_execution_lease(SESSION, WHO, bad)),
    "reclaim(session_id)": (
        SESSION_IDS,
        lambda s, f, bad: s.reclaim_session_execution_lease(bad, WHO, f, MINUTE),
    ),
    "reclaim(owner)": (RECORDS, lambda s, f, bad: s.reclaim_session_execution_lease(SESSION, bad, f, MINUTE)),
    "reclaim(observed_holder)": (
        RECORDS,
        lambda s, f, bad: s.reclaim_session_execution_lease(SESSION, WHO, bad, MINUTE),
    ),
    "reclaim(ttl)": (INTEGERS, lambda s, f, bad: s.reclaim_session_execution_lease(SESSION, WHO, f, bad)),
    "renew(fence)": (RECORDS, lambda s, f, bad: s.renew_session_execution_lease(bad, MINUTE)),
    "renew(ttl)": (INTEGERS, lambda s, f, bad: s.renew_session_execution_lease(f, bad)),
    "release(completion)": (RECORDS, lambda s, f, bad: s.release_session_execution_lease(bad)),
    "get_lease(session_id)": (SESSION_IDS, lambda s, f, bad: s.get_session_execution_lease(bad)),
    "save_session_meta(meta)": (RECORDS, lambda s, f, bad: s.save_session_meta(bad)),
    "tombstone_nodes(ids)": (SEQUENCES, lambda s, f, bad: s.tombstone_nodes(bad)),
    "enqueue_input(draft)": (RECORDS, lambda s, f, bad: s.enqueue_pending_turn_input(bad)),
    "list_inputs(session_id)": (SESSION_IDS, lambda s, f, bad: s.list_pending_turn_inputs(bad)),
    "cancel_input(session_id)": (SESSION_IDS, lambda s, f, bad: s.cancel_pending_turn_input(bad, "i")),
    "cancel_input(input_id)": (TEXTS, lambda s, f, bad: s.cancel_pending_turn_input(SESSION, bad)),
    "cancel_inputs(session_id)": (
        SESSION_IDS,
        lambda s, f, bad: s.cancel_pending_turn_inputs(bad, (CancelByInputId("i"),)),
    ),
    "cancel_inputs(targets)": (
        (None, 7, "text", object(), ["i"], [None], [CancelByInputId("i"), "i"], CancelByInputId("i")),
        lambda s, f, bad: s.cancel_pending_turn_inputs(SESSION, bad),
    ),
    "cancel_suffix(session_id)": (
        SESSION_IDS,
        lambda s, f, bad: s.cancel_pending_turn_input_suffix(bad, CancelByInputId("i")),
    ),
    "cancel_suffix(anchor)": (RECORDS, lambda s, f, bad: s.cancel_pending_turn_input_suffix(SESSION, bad)),
    "claim_active(session_id)": (SESSION_IDS, lambda s, f, bad: _active(s, f, session_id=bad)),
    "claim_active(fence)": (RECORDS, lambda s, f, bad: _active(s, f, fence=bad)),
    "claim_active(owner)": (RECORDS, lambda s, f, bad: _active(s, f, owner=bad)),
    "claim_active(turn_id)": (TEXTS, lambda s, f, bad: _active(s, f, turn_id=bad)),
    "claim_active(checkpoint)": (MEMBERS, lambda s, f, bad: _active(s, f, checkpoint=bad)),
    "claim_active(ttl)": (INTEGERS, lambda s, f, bad: _active(s, f, lease_ttl_ms=bad)),
    "claim_active(max_inputs)": (INTEGERS, lambda s, f, bad: _active(s, f, max_inputs=bad)),
    "claim_next(session_id)": (SESSION_IDS, lambda s, f, bad: _next(s, f, session_id=bad)),
    "claim_next(fence)": (RECORDS, lambda s, f, bad: _next(s, f, fence=bad)),
    "claim_next(owner)": (RECORDS, lambda s, f, bad: _next(s, f, owner=bad)),
    "claim_next(ttl)": (INTEGERS, lambda s, f, bad: _next(s, f, lease_ttl_ms=bad)),
    "claim_next(max_inputs)": (INTEGERS, lambda s, f, bad: _next(s, f, max_inputs=bad)),
    "abandon_input_claim(claim)": (RECORDS, lambda s, f, bad: s.abandon_turn_input_claim(bad)),
    "defer_orphaned(session_id)": (
        SESSION_IDS,
        lambda s, f, bad: s.defer_orphaned_turn_inputs(bad, f, TURN),
    ),
    "defer_orphaned(fence)": (RECORDS, lambda s, f, bad: s.defer_orphaned_turn_inputs(SESSION, bad, TURN)),
    "defer_orphaned(turn_id)": (TEXTS, lambda s, f, bad: s.defer_orphaned_turn_inputs(SESSION, f, bad)),
    "enqueue_work(draft)": (RECORDS, lambda s, f, bad: s.enqueue_queued_work(bad)),
    "list_work(session_id)": (SESSION_IDS, lambda s, f, bad: s.list_queued_work(bad)),
    "list_pending_work(session_id)": (SESSION_IDS, lambda s, f, bad: s.list_pending_queued_work(bad)),
    "cancel_batch(session_id)": (SESSION_IDS, lambda s, f, bad: s.cancel_queued_work_batch(bad, "b")),
    "cancel_batch(batch_id)": (TEXTS, lambda s, f, bad: s.cancel_queued_work_batch(SESSION, bad)),
    "claim_command(session_id)": (SESSION_IDS, lambda s, f, bad: _leading(s, f, session_id=bad)),
    "claim_command(fence)": (RECORDS, lambda s, f, bad: _leading(s, f, fence=bad)),
    "claim_command(owner)": (RECORDS, lambda s, f, bad: _leading(s, f, owner=bad)),
    "claim_command(ttl)": (INTEGERS, lambda s, f, bad: _leading(s, f, lease_ttl_ms=bad)),
    "claim_work(session_id)": (SESSION_IDS, lambda s, f, bad: _wakes(s, f, session_id=bad)),
    "claim_work(fence)": (RECORDS, lambda s, f, bad: _wakes(s, f, fence=bad)),
    "claim_work(owner)": (RECORDS, lambda s, f, bad: _wakes(s, f, owner=bad)),
    "claim_work(boundary)": (MEMBERS, lambda s, f, bad: _wakes(s, f, boundary=bad)),
    "claim_work(ttl)": (INTEGERS, lambda s, f, bad: _wakes(s, f, lease_ttl_ms=bad)),
    "claim_work(max_batches)": (INTEGERS, lambda s, f, bad: _wakes(s, f, max_batches=bad)),
    "claim_by_ids(session_id)": (SESSION_IDS, lambda s, f, bad: _named(s, f, session_id=bad)),
    "claim_by_ids(fence)": (RECORDS, lambda s, f, bad: _named(s, f, fence=bad)),
    "claim_by_ids(owner)": (RECORDS, lambda s, f, bad: _named(s, f, owner=bad)),
    "claim_by_ids(boundary)": (MEMBERS, lambda s, f, bad: _named(s, f, boundary=bad)),
    "claim_by_ids(ttl)": (INTEGERS, lambda s, f, bad: _named(s, f, lease_ttl_ms=bad)),
    "claim_by_ids(batch_ids)": (SEQUENCES, lambda s, f, bad: _named(s, f, batch_ids=bad)),
    "renew_work_claim(claim)": (RECORDS, lambda s, f, bad: s.renew_queued_work_claim(bad, MINUTE)),
    "renew_work_claim(ttl)": (
        INTEGERS,
        lambda s, f, bad: s.renew_queued_work_claim(work_claim_of(SESSION), bad),
    ),
    "abandon_work_claim(claim)": (RECORDS, lambda s, f, bad: s.abandon_queued_work_claim(bad)),
    "abandon_work_claim(a claim on input)": (
        (input_claim_of(SESSION),),
        lambda s, f, bad: s.abandon_queued_work_claim(bad),
    ),
    "record_intent(intent)": (RECORDS, lambda s, f, bad: s.record_intent(bad)),
    "commit_refs(session_id)": (SESSION_IDS, lambda s, f, bad: s.commit_refs(bad, ("a",))),
    "commit_refs(ids)": (SEQUENCES, lambda s, f, bad: s.commit_refs(SESSION, bad)),
    "list_uncommitted(older_than)": (INTEGERS, lambda s, f, bad: s.list_uncommitted(bad)),
    "forget(attachment_id)": (TEXTS, lambda s, f, bad: s.forget(bad)),
}


class TestArguments(Conformance):
    """Bad arguments of a handle's calls."""

    requires = frozenset({Capability.ATTACHMENTS, Capability.QUEUED_WORK, Capability.TURN_INPUT})

    @pytest.mark.parametrize("argument", ARGUMENTS)
    def test_that_are_bad_are_told_and_change_nothing(self, world: World, argument: str) -> None:
        """A wrong type, a negative or absurd number, a bool, a lone surrogate: InvalidArgument, nothing written."""
        bad_values, call = ARGUMENTS[argument]
        world.append(*chain("a", "b"))
        world.say(active_input("hello"))
        world.queue(wake())
        fence = world.fence()
        before = world.everything()
        for bad in bad_values:
            with pytest.raises(InvalidArgument) as caught:
                call(world.session, fence, bad)
            assert isinstance(caught.value, ValueError)
            assert str(caught.value)
        assert world.everything() == before


STORE_ARGUMENTS: dict[str, tuple[Sequence[Any], Callable[[World, Any], object]]] = {
    "create_session(session_id)": (SESSION_IDS, lambda w, bad: w.store.create_session(bad)),
    "create_session(session_name)": (
        ("\ud800", 7, b"x", True, object()),
        lambda w, bad: w.store.create_session("new", session_name=bad),
    ),
    "create_session(model)": (
        ("\ud800", 7, None, b"x", object()),
        lambda w, bad: w.store.create_session("new", model=bad),
    ),
    "create_session(cwd)": (
        ("\ud800", 7, b"/", object()),
        lambda w, bad: w.store.create_session("new", cwd=bad),
    ),
    "create_session(relation)": (RECORDS, lambda w, bad: w.store.create_session("new", relation=bad)),
    "create_session(model) of an existing session": (
        (7,),
        lambda w, bad: w.store.create_session(SESSION, model=bad),
    ),
    "open_session(session_id)": (SESSION_IDS, lambda w, bad: w.store.open_session(bad)),
    "delete_session(session_id)": (SESSION_IDS, lambda w, bad: w.store.delete_session(bad)),
    "sweep_attachments(older_than)": (INTEGERS, lambda w, bad: w.store.sweep_attachments(bad)),
    "attachments.put(data)": (
        (None, "text", 7, [1], object()),
        lambda w, bad: w.store.attachments.put(bad, PNG),
    ),
    "attachments.put(meta)": (RECORDS, lambda w, bad: w.store.attachments.put(b"data", bad)),
    "attachments.get(id)": (TEXTS, lambda w, bad: w.store.attachments.get(bad)),
}


class TestStoreArguments(Conformance):
    """Bad arguments of the store's own calls."""

    requires = frozenset({Capability.ATTACHMENTS})

    @pytest.mark.parametrize("argument", STORE_ARGUMENTS)
    def test_that_are_bad_are_told_and_change_nothing(self, world: World, argument: str) -> None:
        """The store's own calls refuse bad values alike, and make no session."""
        bad_values, call = STORE_ARGUMENTS[argument]
        before = world.everything()
        for bad in bad_values:
            with pytest.raises(InvalidArgument):
                call(world, bad)
        assert world.everything() == before

    def test_may_be_any_bytes(self, world: World) -> None:
        """A bytearray or a memoryview is bytes too, and is copied."""
        data = bytearray(b"data")
        ref = world.store.attachments.put(data, AttachmentCreateMeta("x"))  # type: ignore[arg-type]
        data[0] = 0
        assert world.store.attachments.get(ref.id).data == b"data"


class TestExtremes(Conformance):
    """The greatest values that are admitted."""

    requires = frozenset({Capability.QUEUED_WORK, Capability.TURN_INPUT})

    def test_the_longest_ttl_is_told_or_taken(self, world: World) -> None:
        """A ttl that leads beyond the greatest integer is InvalidArgument, or a lease; nothing else."""
        try:
            outcome = world.session.try_claim_session_execution_lease(SESSION, WHO, MAX_INTEGER)
        except InvalidArgument:
            assert world.session.get_session_execution_lease(SESSION) is None
        else:
            assert isinstance(outcome, LeaseAcquired)
            assert outcome.lease.expires_at_epoch_ms > world.clock.now_ms()

    def test_the_longest_possible_ttl_is_taken(self, world: World) -> None:
        """An expiry at the greatest integer is an expiry."""
        ttl = MAX_INTEGER - world.clock.now_ms()
        assert world.lease(ttl_ms=ttl).expires_at_epoch_ms == MAX_INTEGER
        world.clock.advance(1_000_000 * HOUR)
        assert world.session.get_session_execution_lease(SESSION) is not None

    def test_the_highest_limit_takes_all(self, world: World) -> None:
        """A limit of 2^53-1 is no limit."""
        for number in range(3):
            world.say(active_input(f"{number}"))
        claim = world.take_active(limit=MAX_INTEGER)
        assert claim is not None
        assert len(claim.inputs) == 3
        world.queue(wake())
        assert world.take_work(limit=MAX_INTEGER) is not None

    def test_the_latest_availability_is_never_ready(self, world: World) -> None:
        """Work may be available only at the end of time."""
        world.queue(wake(available_at_ms=MAX_INTEGER))
        assert world.take_work() is None

    def test_deep_payloads_are_kept(self, world: World) -> None:
        """JSON may nest 200 deep."""
        payload: dict[str, Any] = {"kind": "event"}
        for _ in range(199):
            payload = {"a": payload}
        world.append(node("deep", payload=payload))
        found = world.session.load_node("deep")
        assert found is not None
        assert found.payload == payload
