"""Threads of one process on one session: every race has one winner, and nothing is lost or doubled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import chain
from typing import Any

from ... import HeadRevisionConflict, InputCancelled, LeaseAcquired, LeaseBusy, RuntimeCommitResult
from ..backends import Capability
from ..builders import OTHER, SESSION, append_commit, next_input, node, owner, stamped, usage, wake
from .world import HOUR, IDLE, MINUTE, WORKER, Conformance, World

THREADS = 6


def at_once(task: Callable[[int], Any]) -> list[Any]:
    """What `task` returned or raised in each of several threads that start together, by number."""
    gate = threading.Barrier(THREADS)
    results: list[Any] = [None] * THREADS

    def run(number: int) -> None:
        gate.wait()
        try:
            results[number] = task(number)
        except Exception as error:  # noqa: BLE001 - the test judges it
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class TestRaces(Conformance):
    """Races for sessions, leases and the head."""

    def test_for_a_new_session_make_it_once(self, world: World) -> None:
        """Whoever creates a session at the same time gets the same session."""

        def create(number: int) -> None:
            handle = world.store.create_session("new", session_name=f"by {number}")
            handle.commit_runtime_state(
                append_commit(node(f"n{number}"), session_id="new").with_session_execution_lease(fence)
            )

        outcome = world.session.try_claim_session_execution_lease("new", WORKER, HOUR)
        assert isinstance(outcome, LeaseAcquired)
        fence = outcome.lease.fence()
        assert at_once(create) == [None] * THREADS
        head = world.handle("new").load_session_head()
        assert head is not None
        assert (head.head_revision, head.node_count) == (THREADS, THREADS)

    def test_for_the_lease_have_one_winner(self, world: World) -> None:
        """Of claimants at the same time exactly one acquires the lease, and the others see its holder."""
        outcomes = at_once(
            lambda number: world.handle().try_claim_session_execution_lease(SESSION, owner(f"w{number}"), HOUR)
        )
        winners = [outcome.lease for outcome in outcomes if isinstance(outcome, LeaseAcquired)]
        assert len(winners) == 1
        holders = [outcome.holder for outcome in outcomes if isinstance(outcome, LeaseBusy)]
        assert holders == winners * (THREADS - 1)

    def test_from_one_revision_have_one_winner_a_round(self, world: World) -> None:
        """Of commits from one revision exactly one succeeds; the losers are told expected and actual."""
        fence = world.fence()
        for revision in range(10):
            results = at_once(
                lambda number, at=revision: world.handle().commit_runtime_state(  # type: ignore[misc]
                    append_commit(node(f"n{at}-{number}"), expected_head_revision=at).with_session_execution_lease(
                        fence
                    )
                )
            )
            won = [result for result in results if isinstance(result, RuntimeCommitResult)]
            lost = [result for result in results if isinstance(result, HeadRevisionConflict)]
            assert [result.head_revision for result in won] == [revision + 1]
            assert [(error.expected, error.actual) for error in lost] == ([(revision, revision + 1)] * (THREADS - 1))
        assert len(world.node_ids()) == 10

    def test_of_one_stamped_turn_commit_it_once(self, world: World) -> None:
        """A turn that is committed several times at once is settled once, with one result for all."""
        fence = world.fence()
        commit = stamped(append_commit(node("a"), usage_deltas=(usage("s", "m"),)))
        results = at_once(
            lambda number: world.handle().commit_runtime_state(commit.with_session_execution_lease(fence))
        )
        assert results == [results[0]] * THREADS
        assert world.read().head_revision == 1
        assert world.read().token_ledger == (usage("s", "m"),)

    def test_of_commits_without_expectation_all_settle(self, world: World) -> None:
        """Commits that expect no revision follow each other, each on a revision of its own."""
        fence = world.fence()

        def commit(number: int) -> list[int]:
            handle = world.handle()
            return [
                handle.commit_runtime_state(
                    append_commit(node(f"{number}-{count}")).with_session_execution_lease(fence)
                ).head_revision
                for count in range(10)
            ]

        revisions = list(chain.from_iterable(at_once(commit)))
        assert sorted(revisions) == list(range(1, 10 * THREADS + 1))
        assert len(world.node_ids()) == 10 * THREADS

    def test_on_different_sessions_do_not_mix(self, world: World) -> None:
        """Sessions that are used at the same time keep what is theirs."""

        def work(number: int) -> list[str]:
            session_id = f"s{number}"
            handle = world.store.create_session(session_id)
            outcome = handle.try_claim_session_execution_lease(session_id, WORKER, HOUR)
            assert isinstance(outcome, LeaseAcquired)
            for count in range(5):
                handle.commit_runtime_state(
                    append_commit(node(f"{session_id}-{count}"), session_id=session_id).with_session_execution_lease(
                        outcome.lease.fence()
                    )
                )
            head = handle.load_session_head()
            assert head is not None
            return [session_id, str(head.node_count)]

        assert at_once(work) == [[f"s{number}", "5"] for number in range(THREADS)]
        assert len(world.listed()) == THREADS + 1


class TestQueueRaces(Conformance):
    """Races for input and work."""

    requires = frozenset({Capability.QUEUED_WORK, Capability.TURN_INPUT})

    def test_of_enqueues_lose_nothing(self, world: World) -> None:
        """Inputs and work that are enqueued at the same time are all there, each with its own number."""

        def enqueue(number: int) -> list[str]:
            handle = world.handle()
            names = []
            for count in range(10):
                names.append(handle.enqueue_pending_turn_input(next_input(f"{number} {count}")).input_id)
                handle.enqueue_queued_work(wake(f"{number} {count}"))
            return names

        names = at_once(enqueue)
        listed = world.pending()
        assert sorted(listed) == sorted(chain.from_iterable(names))
        for mine in names:
            assert [name for name in listed if name in mine] == mine
        batches = world.session.list_queued_work(SESSION)
        assert len({batch.enqueue_seq for batch in batches}) == len(batches) == 10 * THREADS

    def test_of_one_source_key_store_it_once(self, world: World) -> None:
        """A retry storm with one source key stores one input and one batch."""
        inputs = at_once(lambda number: world.handle().enqueue_pending_turn_input(next_input("same", source_key="k")))
        assert inputs == [inputs[0]] * THREADS
        batches = at_once(lambda number: world.handle().enqueue_queued_work(wake(f"{number}", source_key="k")))
        assert batches == [batches[0]] * THREADS
        assert len(world.pending()) == len(world.queued()) == 1

    def test_of_claims_give_each_piece_to_one(self, world: World) -> None:
        """Inputs and batches that are claimed at the same time have one owner each."""
        for number in range(4 * THREADS):
            world.say(next_input(f"{number}"))
            world.queue(wake(f"{number}"))
        fence = world.fence()

        def claim(number: int) -> list[str]:
            handle, who = world.handle(), owner(f"w{number}")
            names: list[str] = []
            for _ in range(4):
                inputs = handle.claim_next_turn_inputs(SESSION, fence, who, MINUTE, 1)
                work = handle.claim_ready_queued_work(SESSION, fence, who, IDLE, MINUTE, 1)
                assert inputs is not None
                assert work is not None
                names += [*inputs.completion().input_ids, *work.completion().batch_ids]
            return names

        names = list(chain.from_iterable(at_once(claim)))
        assert len(set(names)) == len(names) == 8 * THREADS
        assert world.pending() == world.waiting() == []

    def test_of_a_cancel_and_a_claim_have_one_winner(self, world: World) -> None:
        """An input is either cancelled or claimed, never both."""
        fence = world.fence()
        for number in range(10):
            item = world.say(next_input(f"{number}"))

            def race(which: int, name: str = item.input_id) -> bool:
                if which % 2:
                    return world.handle().claim_next_turn_inputs(SESSION, fence, WORKER, HOUR, 1) is not None
                outcome = world.handle().cancel_pending_turn_input(SESSION, name)
                return isinstance(outcome, InputCancelled)

            assert sum(at_once(race)) == 1

    def test_of_writers_and_readers_show_whole_states(self, world: World) -> None:
        """A reader sees each commit as a whole: as many nodes as revisions, and the leaf among them."""
        fence = world.fence()
        world.store.create_session(OTHER)

        def run(number: int) -> None:
            handle = world.handle()
            for count in range(10):
                if number == 0:
                    handle.commit_runtime_state(append_commit(node(f"n{count}")).with_session_execution_lease(fence))
                    continue
                head = handle.load_session_head()
                if head is not None:
                    assert head.node_count == head.head_revision
                    assert head.leaf_node_id == f"n{head.head_revision - 1}"

        assert at_once(run) == [None] * THREADS
