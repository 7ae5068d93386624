"""Several real processes on one store: each race has one winner, and the dead are found out."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from typing import Any

import pytest

from ... import (
    HeadRevisionConflict,
    LeaseAcquired,
    LeaseBusy,
    RuntimeCommitResult,
    SessionExecutionLeaseExpired,
    SessionNotFound,
)
from .. import children
from ..backends import Capability
from ..builders import OTHER, SESSION, append_commit, living_owner, node
from .world import HOUR, Conformance, World

PROCESSES = 3


class Workers:
    """Processes that stay for all tests of a class; each task opens the store, works and closes it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        gate = context.Barrier(PROCESSES)
        self.pool = ProcessPoolExecutor(PROCESSES, context, children.remember_gate, (gate,))

    def at_once(self, world: World, task: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What the task returned in each process; all start together."""
        opener = world.backend.opener(world.store)
        assert opener is not None
        calls = [
            self.pool.submit(children.in_step, opener, world.clock, task, number, arguments)
            for number in range(PROCESSES)
        ]
        return [call.result() for call in calls]

    def one(self, world: World, task: Callable[..., Any], *arguments: Any) -> Any:
        """What the task returned in another process."""
        opener = world.backend.opener(world.store)
        assert opener is not None
        return self.pool.submit(children.alone, opener, world.clock, task, arguments).result()


class TestProcesses(Conformance):
    """Processes that share a store."""

    requires = frozenset({Capability.MULTI_PROCESS, Capability.QUEUED_WORK, Capability.TURN_INPUT})

    @pytest.fixture(scope="class")
    @classmethod
    def workers(cls) -> Iterator[Workers]:
        """The other processes."""
        found = Workers()
        yield found
        found.pool.shutdown()

    def test_see_each_other_s_writes(self, world: World, workers: Workers) -> None:
        """What one process wrote another reads at once, and the other way round."""
        world.append(node("a"))
        assert workers.one(world, children.append_after, "a", "b") == 2
        assert world.node_ids() == ["a", "b"]
        assert world.append(node("c", "b")).head_revision == 3
        assert workers.one(world, children.node_ids) == ["a", "b", "c"]

    def test_list_each_other_s_sessions(self, world: World, workers: Workers) -> None:
        """A session that another process made is listed and opened, one that it deleted is gone."""
        workers.one(world, children.create, "made elsewhere")
        assert set(world.listed()) == {SESSION, "made elsewhere"}
        assert world.handle("made elsewhere").load_session_head() is None
        workers.one(world, children.delete, "made elsewhere")
        assert world.listed() == [SESSION]

    def test_find_their_session_deleted(self, world: World, workers: Workers) -> None:
        """A handle whose session another process deleted, or made again, raises SessionNotFound."""
        world.append(node("a"))
        workers.one(world, children.delete, SESSION)
        with pytest.raises(SessionNotFound):
            world.session.load_node("a")
        world.session = world.store.create_session(SESSION)
        workers.one(world, children.delete, SESSION)
        workers.one(world, children.create, SESSION)
        with pytest.raises(SessionNotFound):
            world.session.load_session_head()
        assert world.handle().load_node("a") is None

    def test_respect_each_other_s_lease(self, world: World, workers: Workers) -> None:
        """A lease of one process is busy for another, and shown there."""
        lease = world.lease(living_owner("here"))
        outcome = workers.one(world, children.claim_lease, "there")
        assert outcome == LeaseBusy(lease)
        assert workers.one(world, children.reclaim_lease, "there", lease.fence()) == LeaseBusy(lease)
        assert workers.one(world, children.live_lease) == lease

    def test_reclaim_from_a_process_that_died(self, world: World) -> None:
        """The lease of a process that was killed while holding it is reclaimed at once, and fenced off."""
        held = die_holding_the_lease(world)
        busy = world.session.try_claim_session_execution_lease(SESSION, living_owner("heir"), HOUR)
        assert isinstance(busy, LeaseBusy)
        assert busy.holder == held
        outcome = world.session.reclaim_session_execution_lease(SESSION, living_owner("heir"), held.fence(), HOUR)
        assert isinstance(outcome, LeaseAcquired)
        assert outcome.lease.fencing_token > held.fencing_token
        with pytest.raises(SessionExecutionLeaseExpired):
            world.session.commit_runtime_state(append_commit(node("late")).with_session_execution_lease(held.fence()))

    def test_racing_for_a_dead_holder_s_lease_have_one_winner(self, world: World, workers: Workers) -> None:
        """Of processes that reclaim at the same time exactly one wins."""
        held = die_holding_the_lease(world)
        outcomes = workers.at_once(world, children.reclaim_lease_as, held.fence())
        winners = [outcome.lease for outcome in outcomes if isinstance(outcome, LeaseAcquired)]
        assert len(winners) == 1
        assert [outcome.holder for outcome in outcomes if isinstance(outcome, LeaseBusy)] == (winners * (PROCESSES - 1))

    def test_keep_what_a_killed_process_wrote(self, world: World) -> None:
        """What a call returned survives the death of its process, and claims of the dead are free."""
        die_after_writing(world)
        assert world.node_ids() == ["by the dead"]
        assert len(world.pending()) == 1
        claim = world.take_work(owner=living_owner("heir"))
        assert claim is not None
        inputs = world.take_active(owner=living_owner("heir"))
        assert inputs is not None

    def test_committing_from_one_revision_have_one_winner_a_round(self, world: World, workers: Workers) -> None:
        """Of processes that commit from one revision exactly one wins; losers get expected and actual."""
        fence = world.fence()
        rounds = workers.at_once(world, children.commit_rounds, fence, 20)
        for revision, results in enumerate(zip(*rounds, strict=True)):
            won = [result for result in results if isinstance(result, RuntimeCommitResult)]
            lost = [result for result in results if isinstance(result, HeadRevisionConflict)]
            assert [result.head_revision for result in won] == [revision + 1]
            assert [(error.expected, error.actual) for error in lost] == ([(revision, revision + 1)] * (PROCESSES - 1))
        assert len(world.node_ids()) == 20

    def test_enqueueing_lose_nothing(self, world: World, workers: Workers) -> None:
        """Inputs and work of several processes are all there, in each one's order."""
        names = workers.at_once(world, children.enqueue_many, 20)
        listed = world.pending()
        assert sorted(listed) == sorted(chain.from_iterable(names))
        for mine in names:
            assert [name for name in listed if name in mine] == mine
        batches = world.session.list_queued_work(SESSION)
        assert len({batch.enqueue_seq for batch in batches}) == len(batches) == 20 * PROCESSES

    def test_claiming_never_overlap(self, world: World, workers: Workers) -> None:
        """Each input and each batch is claimed by one process."""
        workers.one(world, children.fill_queues, 30)
        fence = world.fence()
        names = list(chain.from_iterable(workers.at_once(world, children.claim_until_empty, fence)))
        assert len(names) == len(set(names)) == 60
        assert world.pending() == world.waiting() == []

    def test_creating_one_session_get_one(self, world: World, workers: Workers) -> None:
        """Processes that create the same session at the same time share it."""
        assert workers.at_once(world, children.create_and_say, OTHER) == [None] * PROCESSES
        assert len(world.pending(OTHER)) == PROCESSES
        assert len(world.listed()) == 2


def _child(world: World, task: Callable[..., Any]) -> Any:
    """What a process told before it was killed."""
    opener = world.backend.opener(world.store)
    assert opener is not None
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    child = context.Process(target=children.until_killed, args=(opener, world.clock, task, theirs))
    child.start()
    theirs.close()
    told = mine.recv()
    mine.close()
    child.kill()
    child.join()
    child.close()
    return told


def die_holding_the_lease(world: World) -> Any:
    """The lease of a process that is dead now."""
    return _child(world, children.hold_lease)


def die_after_writing(world: World) -> None:
    """Let a process write something of everything and be killed."""
    _child(world, children.write_and_claim)
