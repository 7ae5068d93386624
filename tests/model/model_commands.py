"""Random commits and drafts, and the few ids that all random calls are about, so that they meet."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from hypothesis import strategies as st

from localstore import (
    GraphDelta,
    GraphReplaceFull,
    HydratedSessionCheckpoint,
    LeaseBusy,
    LeaseOwnerIdentity,
    MergeGroup,
    MergeNever,
    PersistedSessionConfig,
    PersistedTurnState,
    QueuedWorkClaim,
    RuntimeCommit,
    SessionExecutionLease,
    SessionGraph,
    SessionStore,
    TurnInputClaim,
)
from localstore.testing import (
    active_input,
    append_commit,
    commit_of,
    frame,
    living_owner,
    next_input,
    owner,
    said,
    stamped,
    unchanged_commit,
    usage,
    wake,
)
from localstore.testing.builders import command
from localstore.testing.identities import dead_owner

IDS = ("one", "Two: Ünïcode/..", "three")
NODES = tuple(f"n{number}" for number in range(10))
TURNS = ("t0", "t1", "t2")
KEYS = (None, None, "k0", "k1", "k2")
BRANCHES = ("x", "y")
HOUR = 3_600_000
DAY = 24 * HOUR
BLOBS = (b"", b"a picture", b"another picture" * 1_000)
BLOB_IDS = (*(sha256(data).hexdigest() for data in BLOBS), "5" * 64)

sessions = st.sampled_from((IDS[0], IDS[0], IDS[0], *IDS))
doors = st.integers(0, 1)
picks = st.integers(0, 15)
maybe_node = st.none() | st.sampled_from(NODES)
ttls = st.sampled_from((0, 1, 1_000, HOUR, HOUR))


def owners(number: int) -> LeaseOwnerIdentity:
    """Two of whom nothing is known, this process, and one that is dead."""
    return (owner("w0"), owner("w1"), living_owner("w2"), dead_owner())[number % 4]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a random commit holds; picks choose among what earlier calls gave."""

    graph: int
    node_ids: tuple[str, ...]
    parent: str | None
    fence: int
    expected: int | None
    turn: str | None
    release: bool
    claims: int
    interrupt: str | None
    attachment: int | None
    extra: int


def rarely(found: st.SearchStrategy) -> st.SearchStrategy:
    """`None`, or seldom one of these."""
    return st.integers(0, 5).flatmap(lambda number: found if number == 5 else st.none())


plans = st.builds(
    Plan,
    st.integers(0, 9),
    st.lists(st.sampled_from(NODES), min_size=1, max_size=3, unique=True).map(tuple),
    maybe_node,
    st.integers(0, 15),
    rarely(st.integers(0, 3)),
    rarely(st.sampled_from(TURNS)),
    st.booleans(),
    st.integers(0, 3),
    rarely(st.sampled_from(TURNS)),
    rarely(st.integers(0, len(BLOB_IDS) - 1)),
    st.integers(0, 9),
)


def _graph(plan: Plan, session: SessionStore) -> GraphDelta:
    head = session.load_session_head()
    leaf = None if head is None else head.leaf_node_id
    parent = leaf if plan.graph < 7 else plan.parent
    count = 0 if head is None else head.node_count
    fresh = [f"n{count + at}" for at in range(len(plan.node_ids))]
    found = []
    for node_id in fresh if plan.graph < 6 else plan.node_ids:
        found.append(said(node_id, parent, f"{node_id} says {plan.extra}", ("user", "assistant")[plan.extra % 2]))
        parent = node_id
    if plan.graph == 8:
        return GraphReplaceFull(SessionGraph(tuple(found), found[-1].node_id))
    if plan.graph == 9:
        return unchanged_commit(leaf).graph
    return append_commit(*found).graph


def _checkpoint(extra: int) -> HydratedSessionCheckpoint:
    match extra:
        case 0:
            return HydratedSessionCheckpoint(
                PersistedTurnState(extra), tool_state={"tools": "t" * 9_000}, execution_state=b"e" * 3_000
            )
        case 1:
            return HydratedSessionCheckpoint(plugin_snapshot=[1, None, "x"], plugin_snapshot_revision=3)
        case 2:
            return HydratedSessionCheckpoint(tool_state_ref=sha256(b'{"tools":"t"}').hexdigest())
    return HydratedSessionCheckpoint()


def lease_for(session: SessionStore, fence: int, known: list[SessionExecutionLease]) -> SessionExecutionLease | None:
    """Mostly the live lease, taken if it is free; now and then an old one, or none."""
    if fence == 0:
        return None
    if fence == 1 and known:
        return known[-1]
    outcome = session.try_claim_session_execution_lease(session.session_id, owners(fence % 2), HOUR)
    return outcome.holder if isinstance(outcome, LeaseBusy) else outcome.lease


def commit_by(
    plan: Plan,
    session: SessionStore,
    leases: list[SessionExecutionLease],
    claims: list[QueuedWorkClaim | TurnInputClaim],
) -> RuntimeCommit:
    """The commit that the plan is for this session as it is now."""
    lease = lease_for(session, plan.fence, leases)
    frames = (frame("f", session_id=session.session_id, execution_state_snapshot=b"s" * 700),)
    commit = commit_of(
        _graph(plan, session),
        session_id=session.session_id,
        expected_head_revision=plan.expected,
        config=PersistedSessionConfig("provider", {"extra": plan.extra}),
        agent_frames=frames if plan.extra == 3 else (),
        current_agent_frame_id="f" if plan.extra == 3 else None,
        checkpoint=_checkpoint(plan.extra),
        usage_deltas=(usage("agent", f"m{plan.extra % 2}", plan.extra),),
        committed_attachment_ids=() if plan.attachment is None else (BLOB_IDS[plan.attachment],),
        interrupted_turn_input_turn_id=plan.interrupt,
    )
    if lease is not None:
        commit = commit.with_session_execution_lease(lease.fence())
        if plan.release:
            commit = commit.releasing_session_execution_lease(lease.completion())
    for claim in claims[len(claims) - plan.claims :] if plan.claims <= len(claims) else ():
        if isinstance(claim, QueuedWorkClaim):
            commit = commit.completing_queue_claim(claim)
        else:
            commit = commit.completing_turn_input_claim(claim)
    return commit if plan.turn is None else stamped(commit, plan.turn)


@st.composite
def inputs(draw):
    """Input for some turn or the next one, with a key or none."""
    session_id, key, text = draw(sessions), draw(st.sampled_from(KEYS)), draw(st.sampled_from(("hi", "ho")))
    if draw(st.booleans()):
        return next_input(text, session_id=session_id, source_key=key)
    return active_input(text, draw(st.sampled_from(TURNS)), session_id=session_id, source_key=key)


@st.composite
def works(draw, now_ms: int):
    """A batch of work or commands, some of it held back."""
    make = draw(st.sampled_from((wake, wake, command)))
    merge = draw(st.sampled_from((MergeNever(), MergeGroup("g"))))
    return make(
        draw(st.sampled_from(("a", "b"))),
        session_id=draw(sessions),
        merge=merge,
        source_key=draw(st.sampled_from(KEYS)),
        available_at_ms=draw(st.sampled_from((0, 0, now_ms + 500))),
    )
