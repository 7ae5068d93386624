"""Handles: closed ones, those whose session was deleted, calls on unknown sessions, and thousands of them."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from dataclasses import replace

import psutil
import pytest

from ... import (
    CancelByInputId,
    FullGraph,
    InputNotFound,
    LeaseAcquired,
    QueuedWorkClaimExpired,
    SessionExecutionLeaseExpired,
    SessionNotFound,
    StoreClosed,
    SuffixAnchorNotFound,
)
from ..backends import Capability
from ..builders import OTHER, PNG, SESSION, append_commit, chain, next_input, node, owner, wake
from .calls import CALLS, fence_of, input_claim_of, work_claim_of
from .world import HOUR, MINUTE, WORKER, Conformance, World

WHOLE = frozenset({Capability.ATTACHMENTS, Capability.QUEUED_WORK, Capability.TURN_INPUT})


MANY = 256
"""Sessions that are open at once."""


class TestDeletedUnderAHandle(Conformance):
    """Handles whose session was deleted."""

    requires = WHOLE

    @pytest.mark.parametrize("call", CALLS)
    def test_every_call_says_that_the_session_is_gone(self, world: World, call: str) -> None:
        """A handle whose session was deleted raises SessionNotFound, and makes nothing."""
        world.store.delete_session(SESSION)
        with pytest.raises(SessionNotFound) as caught:
            CALLS[call](world.session, SESSION)
        assert caught.value.session_id == SESSION
        assert world.store.list_sessions() == ()

    @pytest.mark.parametrize("call", CALLS)
    def test_every_call_says_so_when_the_session_was_made_again(self, world: World, call: str) -> None:
        """A handle of the former session raises SessionNotFound, and leaves nothing in the new one."""
        world.append(node("n"))
        world.store.delete_session(SESSION)
        world.store.create_session(SESSION)
        before = world.everything()
        with pytest.raises(SessionNotFound):
            CALLS[call](world.session, SESSION)
        assert world.everything() == before

    def test_another_store_call_on_the_id_finds_nothing(self, world: World) -> None:
        """Handles of other sessions find a deleted session unknown."""
        other = world.store.create_session(OTHER)
        world.queue(wake())
        world.store.delete_session(SESSION)
        assert other.list_queued_work(SESSION) == ()
        assert world.listed() == [OTHER]


class TestClosing(Conformance):
    """Closing a store."""

    requires = WHOLE

    @pytest.mark.parametrize("call", CALLS)
    def test_closes_the_handles_of_the_store(self, world: World, call: str) -> None:
        """Closing a store closes its handles: each call raises StoreClosed."""
        world.store.close()
        with pytest.raises(StoreClosed):
            CALLS[call](world.session, SESSION)

    def test_closes_the_store(self, world: World) -> None:
        """A closed store does nothing any more, nor do its attachments that were got hold of before."""
        attachments = world.store.attachments
        ref = attachments.put(b"data", PNG)
        world.store.close()
        calls: list[Callable[[], object]] = [
            lambda: world.store.create_session("new"),
            lambda: world.store.open_session(SESSION),
            lambda: world.store.delete_session(SESSION),
            world.store.list_sessions,
            lambda: world.store.sweep_attachments(0),
            lambda: attachments.put(b"data", PNG),
            lambda: attachments.get(ref.id),
        ]
        for call in calls:
            with pytest.raises(StoreClosed):
                call()

    def test_may_be_repeated(self, world: World) -> None:
        """Closing again is no error."""
        world.store.close()
        world.store.close()


class TestUnknownSessions(Conformance):
    """Lease and queue methods take any session id; those that do not make the session find nothing."""

    requires = WHOLE

    def finds(self, world: World, found: object, expected: object) -> None:
        """What was found is what is expected, and the session was not made."""
        assert found == expected
        assert world.store.open_session("nobody") is None
        assert world.listed() == [SESSION]

    def test_lists_are_empty(self, world: World) -> None:
        """An unknown session has no inputs and no work."""
        self.finds(world, world.session.list_pending_turn_inputs("nobody"), ())
        self.finds(world, world.session.list_queued_work("nobody"), ())
        self.finds(world, world.session.list_pending_queued_work("nobody"), ())

    def test_cancels_find_nothing(self, world: World) -> None:
        """Nothing of an unknown session can be cancelled."""
        session, target = world.session, CancelByInputId("i")
        self.finds(world, session.cancel_pending_turn_input("nobody", "i"), InputNotFound())
        (result,) = session.cancel_pending_turn_inputs("nobody", (target,))
        self.finds(world, (result.target, result.outcome), (target, InputNotFound()))
        suffix = session.cancel_pending_turn_input_suffix("nobody", target)
        self.finds(world, suffix, SuffixAnchorNotFound(target))
        self.finds(world, session.cancel_queued_work_batch("nobody", "b"), None)

    def test_the_lease_is_none(self, world: World) -> None:
        """Nobody holds an unknown session, so nothing of it can be released."""
        self.finds(world, world.session.get_session_execution_lease("nobody"), None)
        completion = world.lease().completion()
        released = replace(completion, session_id="nobody")
        world.session.release_session_execution_lease(released)
        self.finds(world, world.session.get_session_execution_lease("nobody"), None)

    def test_renewals_and_claims_lack_a_live_lease(self, world: World) -> None:
        """What needs a live lease of the session does not get it."""
        session, fence = world.session, fence_of("nobody")
        calls: list[Callable[[], object]] = [
            lambda: session.renew_session_execution_lease(fence, MINUTE),
            lambda: CALLS["claim_active_turn_inputs"](session, "nobody"),
            lambda: CALLS["claim_next_turn_inputs"](session, "nobody"),
            lambda: CALLS["claim_leading_ready_session_command"](session, "nobody"),
            lambda: CALLS["claim_ready_queued_work"](session, "nobody"),
            lambda: CALLS["claim_ready_queued_work_by_batch_ids"](session, "nobody"),
            lambda: CALLS["defer_orphaned_turn_inputs"](session, "nobody"),
        ]
        for call in calls:
            with pytest.raises(SessionExecutionLeaseExpired):
                call()
        self.finds(world, session.list_queued_work("nobody"), ())

    def test_abandons_are_ignored(self, world: World) -> None:
        """A claim on an unknown session is stale."""
        world.session.abandon_turn_input_claim(input_claim_of("nobody"))
        world.session.abandon_queued_work_claim(work_claim_of("nobody"))
        self.finds(world, world.session.list_queued_work("nobody"), ())

    def test_a_queue_claim_cannot_be_renewed(self, world: World) -> None:
        """A claim on an unknown session owns nothing."""
        with pytest.raises(QueuedWorkClaimExpired) as caught:
            world.session.renew_queued_work_claim(work_claim_of("nobody"), MINUTE)
        self.finds(world, (caught.value.session_id, caught.value.claim_id), ("nobody", "no-claim"))

    def test_attachment_rows_need_the_session(self, world: World) -> None:
        """An intent or a commit of references on an unknown session raises SessionNotFound."""
        for name in ("record_intent", "commit_refs"):
            with pytest.raises(SessionNotFound) as caught:
                CALLS[name](world.session, "nobody")
            self.finds(world, caught.value.session_id, "nobody")

    @pytest.mark.parametrize(
        "name",
        ["enqueue_pending_turn_input", "enqueue_queued_work", "try_claim_session_execution_lease"],
    )
    def test_enqueues_and_lease_claims_make_the_session(self, world: World, name: str) -> None:
        """An enqueue or a lease claim on a session that does not exist creates it with default metadata."""
        CALLS[name](world.session, "new")
        meta = world.handle("new").load_session_meta()
        expected = world.store.create_session("reference").load_session_meta()
        assert meta is not None
        assert expected is not None
        assert (meta.session_name, meta.model, meta.cwd) == ("new", expected.model, expected.cwd)
        assert (meta.created_at, meta.relation) == (expected.created_at, expected.relation)
        assert "new" in world.listed()

    def test_any_handle_serves_any_session(self, world: World) -> None:
        """All lease and queue methods work for any session of the store, whatever the handle is bound to."""
        here, there = world.session, world.store.create_session(OTHER)
        outcome = here.try_claim_session_execution_lease(OTHER, WORKER, HOUR)
        assert isinstance(outcome, LeaseAcquired)
        fence = outcome.lease.fence()
        assert there.get_session_execution_lease(OTHER) == outcome.lease
        item = here.enqueue_pending_turn_input(next_input("hello", session_id=OTHER))
        batch = here.enqueue_queued_work(wake(session_id=OTHER))
        assert (item.session_id, batch.session_id) == (OTHER, OTHER)
        inputs = here.claim_next_turn_inputs(OTHER, fence, owner("o"), MINUTE, 1)
        assert inputs is not None
        work = CALLS["claim_ready_queued_work"]
        with pytest.raises(SessionExecutionLeaseExpired):
            work(here, OTHER)
        here.abandon_turn_input_claim(inputs)
        assert [found.input_id for found in there.list_pending_turn_inputs(OTHER)] == [item.input_id]
        here.release_session_execution_lease(outcome.lease.completion())
        assert there.get_session_execution_lease(OTHER) is None
        assert world.pending() == world.queued() == []

    def test_the_state_is_the_bound_session_s(self, world: World) -> None:
        """What takes no session id is about the session of the handle."""
        world.store.create_session(OTHER)
        world.settle(append_commit(*chain("a", "b"), session_id=OTHER))
        assert world.session.load_session(FullGraph()) is None
        world.session.tombstone_nodes(("a",))
        assert world.handle(OTHER).load_node("a") == node("a")


class TestManyHandles(Conformance):
    """Many handles."""

    def test_thousands_leave_nothing_behind(self, world: World) -> None:
        """Thousands of create and open calls leak no descriptor, no thread and no handle."""
        world.append(node("a"))
        kind = type(world.session)
        gc.collect()
        before = _resources(kind)
        for _ in range(1000):
            world.handle()
            world.store.create_session(SESSION)
            assert world.handle().load_session_head() is not None
        gc.collect()
        after = _resources(kind)
        assert all(now <= then + 4 for now, then in zip(after, before, strict=True)), (before, after)

    def test_many_sessions_may_be_open_at_once(self, world: World) -> None:
        """Hundreds of sessions held open at once all work, with fewer descriptors than sessions."""
        before = _descriptors()
        held = [world.store.create_session(f"s{number}") for number in range(MANY)]
        for number, handle in enumerate(held):
            handle.enqueue_pending_turn_input(next_input(f"{number}", session_id=f"s{number}"))
        assert [len(world.pending(f"s{number}")) for number in range(MANY)] == [1] * MANY
        assert len(world.store.list_sessions()) == MANY + 1
        assert _descriptors() - before < MANY


def _descriptors() -> int:
    process = psutil.Process()
    count: int = getattr(process, "num_handles" if psutil.WINDOWS else "num_fds")()
    return count


def _resources(kind: type) -> tuple[int, int, int]:
    handles = sum(type(thing) is kind for thing in gc.get_objects())
    return _descriptors(), threading.active_count(), handles
