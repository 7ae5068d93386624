"""Whatever is done, in whatever order, the store on files answers as the one in memory does."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from localstore import (
    ActivePath,
    ActiveTurn,
    AttachmentStore,
    ChangeBatch,
    CheckpointKind,
    ChildSession,
    FullGraph,
    PendingTurnInput,
    QueuedWorkBatch,
    QueuedWorkClaim,
    QueuedWorkClaimBoundary,
    RedactedKind,
    RedactedPlace,
    RootSession,
    SessionExecutionLease,
    SessionMeta,
    SessionStore,
    TurnInputClaim,
)
from localstore.history import SessionHistory
from localstore.memory import MemoryAttachments
from localstore.store import Store
from tests.model import model_commands as made
from tests.model.model_commands import BRANCHES, DAY, HOUR, NODES, Plan, commit_by, owners
from tests.model.model_pair import Act, Pair, Side
from tests.model.model_queues import Call, Queues, chosen, counts

session_ids, doors, picks, ttls = made.sessions, made.doors, made.picks, made.ttls
COUNTED: Counter[str] = Counter()


class SameAnswers(Queues):
    """Every call of the contract, on sessions, nodes and keys so few that the calls get in each other's way."""

    @initialize()
    def begin(self) -> None:
        self.pair = Pair()
        self.leases: list[SessionExecutionLease] = []
        self.claims: list[QueuedWorkClaim | TurnInputClaim] = []
        self.input_ids: list[str] = []
        self.batch_ids: list[str] = []

    def teardown(self) -> None:
        if hasattr(self, "pair"):
            self.pair.end()
            COUNTED["runs"] += 1
            COUNTED["calls"] += self.pair.steps

    def do(self, act: Act) -> Any:
        answer = self.pair.do(act)
        COUNTED["refused"] += self.pair.refused
        match answer:
            case QueuedWorkClaim() | TurnInputClaim():
                self.claims.append(answer)
            case SessionExecutionLease():
                self.leases.append(answer)
            case PendingTurnInput():
                self.input_ids.append(answer.input_id)
            case QueuedWorkBatch():
                self.batch_ids.append(answer.batch_id)
        return answer

    # Sessions.

    @rule(door=doors, session_id=session_ids, named=st.booleans(), child=st.booleans())
    def create(self, door, session_id, named, child) -> None:
        relation = ChildSession("a parent", {"why": 1}) if child else RootSession()
        more = {"session_name": "a name", "model": "m", "cwd": "/somewhere"} if named else {}
        self.do(lambda side: side.keep(door, side.stores[door].create_session(session_id, relation=relation, **more)))

    @rule(door=doors, session_id=session_ids)
    def open(self, door, session_id) -> None:
        self.do(lambda side: side.keep(door, side.stores[door].open_session(session_id)))

    @rule(door=doors, session_id=session_ids)
    def delete(self, door, session_id) -> None:
        self.do(lambda side: side.stores[door].delete_session(session_id))

    @rule(door=doors, session_id=session_ids)
    def restore(self, door, session_id) -> None:
        self.do(lambda side: side.keep(door, side.stores[door].restore_session(session_id)))

    @rule(door=doors, session_id=st.none() | session_ids, everything=st.booleans())
    def purge(self, door, session_id, everything) -> None:
        def act(side: Side) -> object:
            gone = side.stores[door].purge(session_id, everything=everything)
            return sorted(gone, key=lambda each: repr(replace(each, size_bytes=0)))

        self.do(act)
        self.do(lambda side: side.stores[door].trash())

    @rule(door=doors, most=st.none() | st.integers(0, 3), days=st.none() | st.integers(0, 3), apply=st.booleans())
    def prune(self, door, most, days, apply) -> None:
        age = None if days is None else days * DAY
        self.do(lambda side: side.stores[door].prune(max_sessions=most, older_than_ms=age, apply=apply))

    @rule(door=doors, session_id=session_ids, pick=picks, other=session_ids, at=made.maybe_node)
    def fork(self, door, session_id, pick, other, at) -> None:
        self.do(lambda side: side.fork(side.session(door, session_id, pick), other, at))

    @rule(door=doors)
    def lists(self, door) -> None:
        self.do(lambda side: (side.stores[door].list_sessions(), side.stores[door].trash()))

    @rule(
        door=doors,
        text=st.sampled_from(("says 1", "N1", "user", "hi")),
        role=st.sampled_from((None, "user", "assistant")),
        limit=st.none() | counts,
    )
    def search(self, door, text, role, limit) -> None:
        self.do(lambda side: side.stores[door].search(text, role=role, limit=limit))

    @rule(
        door=doors,
        model=st.sampled_from((None, "m")),
        text=st.sampled_from((None, "on", "N")),
        limit=st.none() | counts,
    )
    def survey(self, door, model, text, limit) -> None:
        self.do(lambda side: side.stores[door].survey_sessions(model=model, text=text, limit=limit))

    @rule(
        door=doors,
        pattern=st.sampled_from(("says 1", "hi", "extra", "x", "t{3}", "[0-9]")),
        only=st.none() | session_ids,
        apply=st.booleans(),
    )
    def redact(self, door, pattern, only, apply) -> None:
        """Files that nothing relies on any more are redacted, too; a store in memory has none."""
        regex = not pattern.isalnum() and " " not in pattern

        def act(side: Side) -> object:
            ids = None if only is None else [only]
            told = side.stores[door].redact(pattern, regex=regex, replacement="*", session_ids=ids, apply=apply)
            sessions = [
                (
                    each.session_id,
                    each.deleted_at_ms,
                    each.applied,
                    _recorded(each.places),
                    sorted(map(repr, each.left)),
                )
                for each in told.sessions
            ]
            shared = _recorded(told.shared), sorted(map(repr, told.left))
            return (
                sorted((each for each in sessions if each[3] or each[4]), key=repr),
                shared,
                told.spared,
                told.unreadable,
            )

        self.do(act)

    # Commits and the graph.

    @rule(door=doors, session_id=session_ids, pick=picks, plan=made.plans)
    def commit(self, door, session_id, pick, plan: Plan) -> None:
        leases = [lease for lease in self.leases if lease.session_id == session_id]
        claims = [claim for claim in self.claims if claim.session_id == session_id]

        def act(side: Side) -> object:
            session = side.session(door, session_id, pick)
            commit = commit_by(plan, session, leases, claims)
            if commit.session_execution_lease is None and plan.release:
                return session.commit_in_passing(commit, owners(plan.extra))
            return session.commit_runtime_state(commit)

        self.do(act)

    @rule(door=doors, session_id=session_ids, pick=picks, plan=made.plans)
    def commit_again(self, door, session_id, pick, plan) -> None:
        """Commits come twice as often as anything else."""
        self.commit(door, session_id, pick, plan)

    @rule(door=doors, session_id=session_ids, draft=made.inputs(), plan=made.plans, which=st.data())
    def turn(self, door, session_id, draft, plan, which) -> None:
        """What a host does all day: take what waits, and settle it."""
        self.enqueue_input(door, session_id, 0, replace(draft, session_id=session_id))
        if plan.release:
            self.enqueue_work(door, session_id, 0, which, session_id)
        turn = draft.ingress.turn_id if isinstance(draft.ingress, ActiveTurn) else None
        self.claim_inputs(door, session_id, 0, turn, CheckpointKind.BEFORE_COMPLETION, None, 9, HOUR, 2)
        self.claim_work(1 - door, session_id, 0, 2, QueuedWorkClaimBoundary.IDLE, 9, HOUR, 2)
        self.commit(door, session_id, 0, plan)

    @rule(door=doors, session_id=session_ids, draft=made.inputs(), plan=made.plans, which=st.data())
    def turn_again(self, door, session_id, draft, plan, which) -> None:
        self.turn(door, session_id, draft, plan, which)

    @rule(door=doors, session_id=session_ids, pick=picks, leaf=made.maybe_node, node_id=st.sampled_from(NODES))
    def read(self, door, session_id, pick, leaf, node_id) -> None:
        def act(side: Side) -> object:
            session = side.session(door, session_id, pick)
            paths = session.load_session(FullGraph()), session.load_session(ActivePath())
            return paths, session.load_node(node_id), session.load_session(ActivePath(leaf))

        self.do(act)

    @rule(door=doors, session_id=session_ids, pick=picks, ids=st.lists(st.sampled_from(NODES), max_size=3))
    def tombstone(self, door, session_id, pick, ids) -> None:
        self.do(lambda side: side.session(door, session_id, pick).tombstone_nodes(ids))

    @rule(door=doors, session_id=session_ids, pick=picks, name=st.sampled_from(("a", "b")))
    def save_meta(self, door, session_id, pick, name) -> None:
        meta = SessionMeta(session_id, name, "", "m")
        self.do(lambda side: side.session(door, session_id, pick).save_session_meta(meta))

    @rule(
        door=doors,
        session_id=session_ids,
        pick=picks,
        what=st.sampled_from(("vacuum", "gc_unreachable", "checkpoint", "checkpoint")),
    )
    def upkeep(self, door, session_id, pick, what) -> None:
        self.do(lambda side: getattr(side.session(door, session_id, pick), what)())

    @rule(door=doors, session_id=session_ids, pick=picks, limit=st.none() | counts, again=st.booleans())
    def follow(self, door, session_id, pick, limit, again) -> None:
        def act(side: Side) -> object:
            since = None if again else side.cursors.pop(session_id, None)
            batch = side.session(door, session_id, pick).changes(since, limit=limit)
            assert isinstance(batch, ChangeBatch)
            side.cursors[session_id] = batch.cursor
            return batch

        self.do(act)

    # History.

    @rule(
        door=doors,
        session_id=session_ids,
        pick=picks,
        to=made.maybe_node,
        fence=st.integers(0, 3),
        expected=st.none() | counts,
    )
    def rewind(self, door, session_id, pick, to, fence, expected) -> None:
        lease = chosen([each for each in self.leases if each.session_id == session_id], 0, None)
        proof = lease.fence() if lease is not None and fence == 0 else None
        self.do(
            lambda side: side.session(door, session_id, pick).rewind(to, fence=proof, expected_head_revision=expected)
        )

    @rule(door=doors, session_id=session_ids, pick=picks)
    def undo(self, door, session_id, pick) -> None:
        self.do(lambda side: side.session(door, session_id, pick).undo())

    @rule(
        door=doors,
        session_id=session_ids,
        pick=picks,
        name=st.sampled_from(BRANCHES),
        at=made.maybe_node,
        what=st.integers(0, 3),
    )
    def branch(self, door, session_id, pick, name, at, what) -> None:
        def act(side: Side) -> object:
            session = side.session(door, session_id, pick)
            calls: list[Call] = [
                lambda: session.create_branch(name, at),
                lambda: session.switch_branch(name),
                lambda: session.drop_branch(name),
            ]
            return calls[max(0, what - 1)]()

        self.do(act)

    # Leases.

    @rule(door=doors, session_id=session_ids, pick=picks, who=counts, ttl_ms=ttls, reclaim=st.booleans())
    def claim_lease(self, door, session_id, pick, who, ttl_ms, reclaim) -> None:
        def act(side: Side) -> object:
            session = side.session(door, session_id, pick)
            held = session.get_session_execution_lease(session_id) if reclaim else None
            if held is None:
                return session.try_claim_session_execution_lease(session_id, owners(who), ttl_ms)
            return session.reclaim_session_execution_lease(session_id, owners(who), held.fence(), ttl_ms)

        outcome = self.do(act)
        if outcome is not None and outcome.acquired() is not None:
            self.leases.append(outcome.acquired())

    @rule(door=doors, session_id=session_ids, pick=picks, which=picks, ttl_ms=ttls, what=counts)
    def keep_lease(self, door, session_id, pick, which, ttl_ms, what) -> None:
        if not self.leases:
            self.claim_lease(door, session_id, pick, 0, HOUR, False)
        lease = chosen(self.leases, which, None)
        if lease is None:
            return

        def act(side: Side) -> object:
            session = side.session(door, session_id, pick)
            calls: list[Call] = [
                lambda: session.release_session_execution_lease(lease.completion()),
                lambda: session.get_session_execution_lease(lease.session_id),
                lambda: session.renew_session_execution_lease(lease.fence(), ttl_ms),
            ]
            return calls[min(what, 2)]()

        self.do(act)

    # Surroundings.

    @rule(ms=st.sampled_from((1, 400, 1_000, HOUR, DAY, 5 * DAY)))
    def pass_time(self, ms) -> None:
        self.pair.clock.advance(ms)

    @rule(ms=st.sampled_from((-HOUR, HOUR, DAY)))
    def step_wall_clock(self, ms) -> None:
        self.pair.clock.set(self.pair.clock.now_ms() + ms)

    @rule(door=doors, close=st.booleans())
    def reopen(self, door, close) -> None:
        self.pair.reopen(door, close=close)

    @rule()
    def compare(self) -> None:
        self.pair.compare()

    @invariant()
    def bounded(self) -> None:
        for known in (self.leases, self.claims, self.input_ids, self.batch_ids) if hasattr(self, "pair") else ():
            del known[:-8]


def _recorded(places: tuple[RedactedPlace, ...]) -> list[str]:
    return sorted(repr(each) for each in places if each.kind is not RedactedKind.FILE)


CHECKS = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


def play(machine: type[SameAnswers], runs: int, calls: int, **more: Any) -> None:
    """That many runs of so many steps; `more` are settings of hypothesis. What happened is in `COUNTED`."""
    COUNTED.clear()
    profile = settings(
        max_examples=runs,
        stateful_step_count=calls,
        deadline=None,
        suppress_health_check=CHECKS,
        print_blob=True,
        **more,
    )
    run_state_machine_as_test(machine, settings=profile)


def run(runs: int, calls: int, **more: Any) -> None:
    play(SameAnswers, runs, calls, **more)
    print(
        f"{COUNTED['runs']} runs with {COUNTED['calls']} calls, each made on both stores;"
        f" both refused {COUNTED['refused']} of them in the same words"
    )
    assert 0 < COUNTED["refused"] < COUNTED["calls"] * 0.6


OTHERS = {"backup", "export_session", "import_session", "watch", "durability_tier", "close", "mark_closed"}
"""Calls that a store in memory refuses, that wait for others, or whose answers are different."""


def test_both_stores_answer_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call but these is among those that are made."""
    called = set()

    def spied(name: str, method: Any) -> Any:
        def spy(*arguments: Any, **keywords: Any) -> Any:
            called.add(name)
            return method(*arguments, **keywords)

        return spy

    faces = (Store, SessionStore, SessionHistory, AttachmentStore)
    public = {name for face in faces for name, item in vars(face).items() if callable(item) and name[0] != "_"}
    for cls in (Store, SessionStore, SessionHistory, MemoryAttachments):
        for name in public & set(vars(cls)):
            monkeypatch.setattr(cls, name, spied(name, vars(cls)[name]))
    run(120, 80)
    assert public - OTHERS == called - OTHERS


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_both_stores_answer_the_same_at_length() -> None:
    """As many runs as `LOCALSTORE_MODEL_RUNS` says, 3,000 by default."""
    run(int(os.environ.get("LOCALSTORE_MODEL_RUNS", "3000")), 80, derandomize=False)
