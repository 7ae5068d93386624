"""A script of calls that makes every mutating call of the contract, for the stores on files and in memory alike."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, replace
from enum import Enum, auto
from functools import cache
from hashlib import sha256
from typing import Any
from unittest import mock

from localstore import (
    CancelByInputId,
    CancelBySourceKey,
    CheckpointKind,
    ChildSession,
    DeliveryPolicy,
    HydratedSessionCheckpoint,
    LeaseBusy,
    LeaseOwnerIdentity,
    LocalProcess,
    MergeGroup,
    PersistedSessionConfig,
    PersistedTurnState,
    QueuedWorkClaimBoundary,
    RuntimeCommit,
    SessionMeta,
    SessionStore,
    StoreError,
    TokenUsage,
    TurnInputCheckpointBoundary,
)
from localstore.store import Store
from localstore.testing import (
    PNG,
    ManualClock,
    active_input,
    append_commit,
    chain,
    command,
    frame,
    intent,
    next_input,
    node,
    owner,
    replace_commit,
    said,
    stamped,
    unchanged_commit,
    usage,
    wake,
)
from tests.crash.crash_beside import IMPORTED, bring_in, export

A, B, C, D, E = "session-a", "Session B: Ünïcode/..", "session-c", "session-d", "a-fork"
SESSIONS = (A, B, C, D, E, IMPORTED)
"""Every session that the script makes."""
HOUR_MS = 3_600_000
IDLE = QueuedWorkClaimBoundary.IDLE
IN_TURN = QueuedWorkClaimBoundary.ACTIVE_TURN_CHECKPOINT
WORKER = owner("worker")
OTHER_WORKER = owner("other worker")


class Keeps(Enum):
    """What an acknowledgement is worth when the power is cut."""

    LOSABLE = auto()
    """Nothing: claims, renewals, releases and abandons."""
    FLUSHED = auto()
    """It is kept in `Durability.FULL`."""
    SETTLED = auto()
    """It is kept in both durabilities: what was folded was flushed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call. `sessions` are those of which an acknowledgement keeps everything up to it, and attachments likewise.

    `makes` is a session that it makes on its way. `again` says that the same call made twice is as if it was made once:
    whoever died over it makes it again. `in_parts` says that it writes to several sessions, one after the other;
    `closes` that it closes the store and opens it.
    """

    name: str
    run: Callable[[World], object]
    keeps: Keeps = Keeps.FLUSHED
    sessions: tuple[str, ...] = (A,)
    makes: str | None = None
    again: bool = False
    in_parts: bool = False
    closes: bool = False

    @property
    def makes_or_deletes(self) -> bool:
        """Whether it makes or deletes a session, or what it keeps of one."""
        starts = ("create", "make", "delete", "fork", "import", "vacuum")
        return self.makes is not None or self.name.startswith(starts)


OWNERS = "LOCALSTORE_CRASH_OWNERS"
"""The variable by which another process is told what `mortals` are, as JSON."""


@cache
def mortals() -> tuple[LeaseOwnerIdentity, LeaseOwnerIdentity]:
    """An owner whose process has ended, and one whose process lives: this one, or that which started this one."""
    told = os.environ.get(OWNERS)
    if told is not None:
        dead, living = (LocalProcess(*fields) for fields in json.loads(told))
    else:
        mine = LeaseOwnerIdentity.local_process("dead", "1").liveness
        assert isinstance(mine, LocalProcess)
        child = subprocess.Popen([sys.executable, "-c", ""])
        child.wait()
        dead, living = replace(mine, pid=child.pid), mine
    return LeaseOwnerIdentity("dead", "1", dead), LeaseOwnerIdentity("heir", "1", living)


def told_owners() -> dict[str, str]:
    """The environment of another process whose `mortals` are to be the same."""
    fields = [astuple(owner.liveness) for owner in mortals() if isinstance(owner.liveness, LocalProcess)]
    return {**os.environ, OWNERS: json.dumps(fields)}


def octets(seed: str, size: int) -> bytes:
    """Bytes that nothing compresses, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def attachment_id(data: bytes) -> str:
    return sha256(data).hexdigest()


PICTURE, LARGE_PICTURE = octets("picture", 300), octets("large picture", 17_000)
ATTACHED, DROPPED, UNNAMED = octets("attached", 500), octets("dropped", 400), octets("unnamed", 200)
ATTACHMENTS = tuple(attachment_id(data) for data in (ATTACHED, DROPPED, UNNAMED))
"""Every attachment that the script puts."""


@dataclass
class World:
    """A store under the script, what the calls before gave, and who else has the store open."""

    clock: ManualClock
    opens: Callable[[], Store]
    separate: bool
    held: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    store: Store = field(init=False)
    second: Store = field(init=False)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.store = self.opens()
        self.second = self.opens() if self.separate else self.store

    def close(self) -> None:
        """Close the store as whoever uses it does."""
        if self.separate:
            self.second.close()
            self.store.close()

    def reopen(self) -> None:
        if self.separate:
            self.close()
            self.open()

    def handle(self, session_id: str = A, *, second: bool = False) -> SessionStore:
        found = (self.second if second else self.store).open_session(session_id)
        assert found is not None
        return found

    def granted(self, session_id: str, result: Any) -> Any:
        """Note the fencing token of a lease or claim: no later one may be as low."""
        assert result is not None
        assert not isinstance(result, LeaseBusy)
        token = getattr(result, "lease", result).fencing_token
        kind = "lease" if hasattr(result, "lease") else "claim"
        key = f"{kind} of {session_id}"
        self.tokens[key] = max(self.tokens.get(key, 0), token)
        return result

    def lease(self, session_id: str = A, by: Any = WORKER, ttl_ms: int = HOUR_MS) -> Any:
        handle = self.handle() if session_id == D else self.handle(session_id)
        outcome = handle.try_claim_session_execution_lease(session_id, by, ttl_ms)
        self.held[f"lease of {session_id}"] = self.granted(session_id, outcome).lease
        return outcome

    def fence(self, session_id: str = A) -> Any:
        return self.held[f"lease of {session_id}"].fence()

    def settle(self, commit: RuntimeCommit, *, second: bool = False) -> object:
        fenced = commit.with_session_execution_lease(self.fence(commit.session_id))
        return self.handle(commit.session_id, second=second).commit_runtime_state(fenced)


class Ids:
    """Ids that depend on the step alone, so that a call made again gives the same ones."""

    def __init__(self) -> None:
        self._step = ""
        self._count = 0

    def start(self, step: int, name: str = "step") -> None:
        self._step, self._count = f"{name}-{step:04d}", 0

    def fresh(self) -> str:
        self._count += 1
        return f"{self._step}-{self._count:02d}"

    @contextmanager
    def installed(self) -> Iterator[None]:
        with mock.patch("localstore.surroundings.fresh_id", self.fresh):
            yield


# What the steps do.


def _commit_full(world: World) -> object:
    """Everything that a commit can hold at once."""
    work, active, deferred = (world.held[name] for name in ("work claim", "active claim", "next claim"))
    nodes = (said("a1", None, "What is the time?"), node("a2", "a1"), node("a3", "a2"))
    checkpoint = HydratedSessionCheckpoint(
        PersistedTurnState(1, TokenUsage(10, 20), {"prompt": 7}, {"option": True}),
        {"tools": "t" * 17_000},
        None,
        {"plugin": [1, 2, 3]},
        None,
        4,
        octets("execution", 18_000),
    )
    commit = append_commit(
        *nodes,
        session_id=A,
        config=PersistedSessionConfig("provider", {"model": "m"}),
        agent_frames=(
            frame("f1", session_id=A, execution_state_snapshot=octets("frame", 900)),
            frame("f2", session_id=A, previous_frame_id="f1"),
        ),
        current_agent_frame_id="f2",
        checkpoint=checkpoint,
        usage_deltas=(usage("turn", "m", 5), usage("tool", "m", 7), usage("turn", "m", 1)),
    )
    commit = (
        commit.completing_queue_claim(work.completion())
        .completing_turn_input_claim(active.completion())
        .completing_turn_input_claim(deferred.completion())
        .with_committed_attachments((attachment_id(ATTACHED),))
    )
    world.held["full commit"] = stamped(commit, "turn-1").with_session_execution_lease(world.fence())
    return world.handle().commit_runtime_state(world.held["full commit"])


def _commit_interrupted(world: World) -> object:
    commit = append_commit(
        said("a4", "a3", "second", "assistant"),
        node("b2", "a1"),
        session_id=A,
        leaf="a4",
        usage_deltas=(usage("turn", "m", 3),),
        checkpoint=HydratedSessionCheckpoint(tool_state={"tools": "u" * 200}),
    )
    return world.settle(stamped(commit.deferring_interrupted_turn_inputs("turn-2"), "turn-2"))


def _commit_replacing(world: World) -> object:
    commit = replace_commit(node("a1"), *chain("r1", "r2", after="a1"), session_id=A)
    return world.settle(stamped(commit, "turn-4"), second=True)


def _commit_releasing(world: World) -> object:
    lease = world.held[f"lease of {A}"]
    commit = unchanged_commit("r1", session_id=A, expected_head_revision=7)
    return world.settle(commit.releasing_session_execution_lease(lease.completion()))


def _commit_refused(world: World) -> object:
    try:
        world.settle(append_commit(node("x", "a4"), session_id=A, expected_head_revision=99))
    except StoreError as error:
        return type(error).__name__
    raise AssertionError("a commit on a revision that never was is a conflict")


def _save_meta(world: World) -> None:
    meta = SessionMeta(
        A, "A better name", "2026-01-01T00:00:00Z", "other model", "/somewhere", ChildSession(B, {"x": 1})
    )
    world.handle().save_session_meta(meta)


def _claim(world: World, name: str, claim: Any) -> object:
    world.held[name] = world.granted(A, claim)
    return claim


def _claim_active(world: World, **more: Any) -> object:
    given: dict[str, Any] = {"turn_id": "turn-1", "checkpoint": CheckpointKind.AFTER_WORK, "ttl": HOUR_MS} | more
    claim = world.handle().claim_active_turn_inputs(
        A, world.fence(), WORKER, given["turn_id"], given["checkpoint"], given["ttl"], 10
    )
    return _claim(world, "active claim", claim)


def _claim_next(world: World, ttl_ms: int = HOUR_MS) -> object:
    return _claim(world, "next claim", world.handle().claim_next_turn_inputs(A, world.fence(), WORKER, ttl_ms, 1))


def _claim_work(world: World) -> object:
    claim = world.handle(second=True).claim_ready_queued_work(A, world.fence(), OTHER_WORKER, IDLE, HOUR_MS, 5)
    return _claim(world, "work claim", claim)


def _claim_command(world: World) -> object:
    claim = world.handle().claim_leading_ready_session_command(A, world.fence(), WORKER, HOUR_MS)
    return _claim(world, "command claim", claim)


def _claim_by_ids(world: World) -> object:
    ids = [batch.batch_id for batch in world.handle().list_pending_queued_work(A)][:1]
    claim = world.handle().claim_ready_queued_work_by_batch_ids(A, world.fence(), WORKER, IN_TURN, HOUR_MS, ids)
    return _claim(world, "ids claim", claim)


def _renew_lease(world: World) -> object:
    lease = world.handle().renew_session_execution_lease(world.fence(), 2 * HOUR_MS)
    world.held[f"lease of {A}"] = lease
    return lease


def _release_lease(world: World) -> None:
    world.handle().release_session_execution_lease(world.held[f"lease of {A}"].completion())


def _reclaim_lease(world: World) -> object:
    observed = world.held[f"lease of {A}"].fence()
    outcome = world.handle().reclaim_session_execution_lease(A, mortals()[1], observed, HOUR_MS)
    world.held[f"lease of {A}"] = world.granted(A, outcome).lease
    return outcome


def _enqueue(world: World, draft: Any, name: str | None = None, *, second: bool = False) -> object:
    handle = world.handle(A, second=second)
    stored = handle.enqueue_pending_turn_input(draft)
    if name is not None:
        world.held[name] = stored.input_id
    return stored


def _queue(world: World, draft: Any, name: str | None = None, *, second: bool = False) -> object:
    stored = world.handle(A, second=second).enqueue_queued_work(draft)
    if name is not None:
        world.held[name] = stored.batch_id
    return stored


def _pictures() -> Any:
    draft = active_input("with pictures", "turn-1", session_id=A, source_key="pictures")
    both = draft.input.with_image_ref("p", PICTURE).with_image_ref("q", LARGE_PICTURE)
    return type(draft)(A, draft.ingress, both, None, draft.source_key)


def _delete_and_forget(world: World, session_id: str) -> object:
    world.store.delete_session(session_id)
    for key in [key for key in world.tokens if key.endswith(f" of {session_id}")]:
        del world.tokens[key]
    return None


def _group(label: str, **more: Any) -> Any:
    return wake(label, session_id=A, merge=MergeGroup("g"), **more)


def _steps() -> Iterator[Step]:
    soft, settled = Keeps.LOSABLE, Keeps.SETTLED
    before_completion = TurnInputCheckpointBoundary.BEFORE_COMPLETION
    yield Step("create", lambda w: w.store.create_session(A, session_name="A", model="m", cwd="/w"))
    yield Step("create a child", lambda w: w.store.create_session(B, relation=ChildSession(A)), sessions=(B,))
    yield Step("create again", lambda w: w.store.create_session(A))
    yield Step("enqueue pictures", lambda w: _enqueue(w, _pictures()))
    yield Step(
        "enqueue for next", lambda w: _enqueue(w, next_input("next one", session_id=A, source_key="k1"), "next 1")
    )
    yield Step(
        "enqueue that again", lambda w: _enqueue(w, next_input("next one", session_id=A, source_key="k1"), second=True)
    )
    yield Step(
        "enqueue more", lambda w: _enqueue(w, next_input("next two", session_id=A, input_id="own id"), second=True)
    )
    yield Step("queue work", lambda w: _queue(w, _group("one")))
    yield Step("queue more work", lambda w: _queue(w, _group("two", source_key="w2"), second=True))
    yield Step("queue a command", lambda w: _queue(w, command("stop", session_id=A), "command"))
    yield Step("claim the lease", lambda w: w.lease(), soft)
    yield Step("renew the lease", _renew_lease, soft)
    yield Step("claim active input", _claim_active, soft)
    yield Step("abandon it", lambda w: w.handle().abandon_turn_input_claim(w.held["active claim"]), soft)
    yield Step("claim active input again", _claim_active, soft)
    yield Step("claim next input", _claim_next, soft)
    yield Step("claim work", _claim_work, soft)
    yield Step("renew work", lambda w: w.handle().renew_queued_work_claim(w.held["work claim"], HOUR_MS), soft)
    yield Step("intend to attach", lambda w: w.handle().record_intent(intent(attachment_id(ATTACHED), session_id=A)))
    yield Step("put", lambda w: w.store.attachments.put(ATTACHED, PNG), settled, (attachment_id(ATTACHED),))
    yield Step("commit everything", _commit_full)
    yield Step("commit that again", lambda w: w.handle(second=True).commit_runtime_state(w.held["full commit"]))
    yield Step("intend in vain", lambda w: w.handle().record_intent(intent(attachment_id(DROPPED), session_id=A)))
    yield Step("put in vain", lambda w: w.second.attachments.put(DROPPED, PNG), settled, (attachment_id(DROPPED),))
    yield Step(
        "put without intent", lambda w: w.store.attachments.put(UNNAMED, PNG), settled, (attachment_id(UNNAMED),)
    )
    yield Step("put again", lambda w: w.store.attachments.put(UNNAMED, PNG), settled, (attachment_id(UNNAMED),))
    yield Step("checkpoint", lambda w: w.handle().checkpoint(), settled)
    yield Step("enqueue for turn 2", lambda w: _enqueue(w, active_input("now", "turn-2", session_id=A), "active 2"))
    yield Step("enqueue late", lambda w: _enqueue(w, active_input("late", "turn-2", before_completion, session_id=A)))
    yield Step(
        "claim late", lambda w: _claim_active(w, turn_id="turn-2", checkpoint=CheckpointKind.BEFORE_COMPLETION), soft
    )
    yield Step("commit interrupted", _commit_interrupted)
    yield Step("commit refused", _commit_refused)
    yield Step("tombstone", lambda w: w.handle().tombstone_nodes(("b2", "nowhere", "a2")))
    yield Step("save meta", _save_meta)
    yield Step("claim a command", _claim_command, soft)
    yield Step("abandon the command", lambda w: w.handle().abandon_queued_work_claim(w.held["command claim"]), soft)
    yield Step("cancel work", lambda w: w.handle().cancel_queued_work_batch(A, w.held["command"]))
    yield Step("queue for ids", lambda w: _queue(w, wake("by id", session_id=A)))
    yield Step(
        "queue later",
        lambda w: _queue(w, wake("after", session_id=A, delivery=DeliveryPolicy.AFTER_CURRENT_TURN_COMMIT)),
    )
    yield Step("claim by ids", _claim_by_ids, soft)
    yield Step("abandon ids", lambda w: w.handle().abandon_queued_work_claim(w.held["ids claim"]), soft)
    yield Step("cancel input", lambda w: w.handle().cancel_pending_turn_input(A, "own id"))
    yield Step(
        "cancel inputs",
        lambda w: w.handle().cancel_pending_turn_inputs(
            A, (CancelBySourceKey("k1"), CancelByInputId(w.held["active 2"]))
        ),
    )
    yield Step("close and open", lambda w: w.reopen(), settled, SESSIONS)
    yield Step("claim the lease again", lambda w: w.lease(), soft)
    yield Step("enqueue for turn 3", lambda w: _enqueue(w, active_input("orphan", "turn-3", session_id=A), "orphan"))
    yield Step("defer orphans", lambda w: w.handle().defer_orphaned_turn_inputs(A, w.fence(), "turn-3"))
    yield Step("enqueue last", lambda w: _enqueue(w, next_input("last", session_id=A, source_key="k3")))
    yield Step(
        "cancel the rest", lambda w: w.handle().cancel_pending_turn_input_suffix(A, CancelByInputId(w.held["orphan"]))
    )
    yield Step("commit stamped", lambda w: w.settle(stamped(append_commit(node("a5", "a4"), session_id=A), "turn-3")))
    yield Step("name a branch", lambda w: w.handle(second=True).create_branch("beginning", "a1"))
    yield Step("rewind", lambda w: w.handle().rewind("a4", fence=w.fence()))
    yield Step("switch to it", lambda w: w.handle().switch_branch("beginning", w.fence()))
    yield Step("undo", lambda w: w.handle(second=True).undo(fence=w.fence()))
    yield Step("fork", lambda w: w.handle().fork(E, at="a4"), settled, (A, E))
    yield Step("export", lambda w: export(w, A), settled)
    yield Step("import", bring_in, settled, (IMPORTED,))
    yield Step("lease of the fork", lambda w: w.lease(E), soft, ())
    yield Step("commit to the fork", lambda w: w.settle(append_commit(node("e1", "a4"), session_id=E)), sessions=(E,))
    yield Step("drop the branch", lambda w: w.handle().drop_branch("beginning"))
    yield Step("commit replacing", _commit_replacing)
    yield Step("collect", lambda w: w.handle().gc_unreachable())
    yield Step("vacuum", lambda w: w.handle(second=True).vacuum(), settled)
    yield Step("release the lease", _release_lease, soft)
    yield Step("lease of the dead", lambda w: w.lease(by=mortals()[0]), soft)
    yield Step("reclaim the lease", _reclaim_lease, soft)
    yield Step("commit and release", _commit_releasing)
    yield Step(
        "commit in passing",
        lambda w: w.handle().commit_in_passing(append_commit(node("passing"), session_id=A), WORKER),
    )
    yield Step("enqueue makes a session", lambda w: _enqueue(w, next_input("c", session_id=C)), sessions=(C,), makes=C)
    yield Step("lease makes a session", lambda w: w.lease(D), soft, (), D)
    yield Step("queue there", lambda w: _queue(w, wake("d", session_id=D)), sessions=(D,))
    yield Step(
        "release there",
        lambda w: w.handle().release_session_execution_lease(w.held[f"lease of {D}"].completion()),
        soft,
        (),
    )
    yield Step("lease of B", lambda w: w.lease(B), soft, ())
    yield Step("commit to B", lambda w: w.settle(append_commit(*chain("a", "b"), session_id=B)), sessions=(B,))
    yield Step("delete B", lambda w: _delete_and_forget(w, B), settled, (B,))
    yield Step("make B again", lambda w: w.second.create_session(B, session_name="anew"), sessions=(B,))
    yield Step("lease of B again", lambda w: w.lease(B), soft, ())
    yield Step(
        "commit to B again", lambda w: w.settle(stamped(append_commit(node("only"), session_id=B), "t")), sessions=(B,)
    )
    yield Step("intend elsewhere", lambda w: w.handle().record_intent(intent("loose", session_id=A)))
    yield Step("stamp refs", lambda w: w.handle().commit_refs(A, ("loose", attachment_id(ATTACHED))))
    yield Step("forget", lambda w: w.handle(second=True).forget("loose"))
    yield Step("sweep", lambda w: w.store.sweep_attachments(w.clock.now_ms()))
    yield Step("purge B", lambda w: w.second.purge(B), sessions=())
    yield Step("delete C", lambda w: _delete_and_forget(w, C), settled, (C,))
    yield Step("restore C", lambda w: w.second.restore_session(C), sessions=(C,))
    yield Step("delete C again", lambda w: _delete_and_forget(w, C), settled, (C,))
    yield Step("vacuum the fork", lambda w: w.handle(E).vacuum(), settled, (E,))
    yield Step("purge everything", lambda w: w.store.purge(everything=True), sessions=())
    yield Step(
        "last word", lambda w: w.handle(D).enqueue_pending_turn_input(next_input("end", session_id=D)), sessions=(D,)
    )
    yield Step("close", lambda w: w.reopen(), settled, SESSIONS)


_REPEATABLE = frozenset(
    {
        "create",
        "create a child",
        "create again",
        "enqueue pictures",
        "enqueue for next",
        "enqueue that again",
        "enqueue more",
        "queue more work",
        "intend to attach",
        "put",
        "commit everything",
        "commit that again",
        "checkpoint",
        "import",
        "commit interrupted",
        "tombstone",
        "cancel work",
        "cancel input",
        "cancel inputs",
        "close and open",
        "defer orphans",
        "cancel the rest",
        "commit stamped",
        "commit replacing",
        "collect",
        "vacuum",
        "delete B",
        "commit to B again",
        "stamp refs",
        "forget",
        "sweep",
        "delete C",
    }
)

SCRIPT = tuple(
    replace(
        step,
        again=step.name in _REPEATABLE,
        in_parts=step.name == "sweep",
        closes=step.name in {"close and open", "close"},
    )
    for step in _steps()
)
"""The calls, in order."""


def later_steps(name: str) -> tuple[Step, ...]:
    """A turn on the first session, with every kind of acknowledgement in it."""
    soft, settled = Keeps.LOSABLE, Keeps.SETTLED

    def commit(world: World) -> object:
        lease = world.held[f"lease of {A}"]
        commit = append_commit(node(name, "a1"), session_id=A).completing_turn_input_claim(
            world.held["later claim"].completion()
        )
        return world.settle(stamped(commit, name).releasing_session_execution_lease(lease.completion()))

    def claim(world: World) -> object:
        return _claim(
            world, "later claim", world.handle().claim_next_turn_inputs(A, world.fence(), WORKER, HOUR_MS, 99)
        )

    return (
        Step("enqueue later", lambda w: _enqueue(w, next_input(name, session_id=A, source_key=name))),
        # The first claim of a boot is flushed: a token must not come back after a second power cut.
        Step("lease later", lambda w: w.lease(by=owner(name)), settled),
        Step("claim later", claim, soft),
        Step("commit later", commit),
        Step("queue later", lambda w: _queue(w, wake(name, session_id=A)), sessions=(A,)),
        Step("intend later", lambda w: w.handle(second=True).record_intent(intent(name, session_id=A))),
        Step("settle later", lambda w: w.handle(second=True).checkpoint(), settled),
        Step("rename later", _save_meta),
        Step("close later", lambda w: w.reopen(), settled),
    )
