"""The hash of a commit's meaning: what counts, and what does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ... import (
    AgentFrameRecord,
    GraphAppend,
    GraphReplaceFull,
    HydratedSessionCheckpoint,
    PersistedSessionConfig,
    QueuedWorkCompletion,
    RuntimeCommit,
    RuntimeTurnCommitStamp,
    SessionExecutionLeaseCompletion,
    SessionGraph,
    TurnInputCompletion,
)
from ..builders import OTHER, SESSION, append_commit, chain, frame, node, owner, unchanged_commit, usage
from .calls import fence_of

Change = Callable[[RuntimeCommit], RuntimeCommit]


def full_commit() -> RuntimeCommit:
    """A commit with something in every field."""
    message = {"id": "m1", "role": "user", "parts": [{"id": "p1", "kind": "text", "content": "hi", "prune_state": 0}]}
    return append_commit(
        node("a", "root", payload={"kind": "event", "message": message}),
        expected_head_revision=3,
        config=PersistedSessionConfig("p", {"m": 1}),
        agent_frames=(frame("f", execution_state_snapshot=b"s"),),
        current_agent_frame_id="f",
        checkpoint=HydratedSessionCheckpoint(tool_state={"t": 1}, execution_state=b"e"),
        usage_deltas=(usage("s", "m"),),
        completed_queue_claims=(QueuedWorkCompletion(SESSION, "c", "t", ("b1", "b2")),),
        completed_turn_input_claims=(TurnInputCompletion(SESSION, "c", "t", ("i1", "i2")),),
        interrupted_turn_input_turn_id="turn",
        committed_attachment_ids=("x",),
    )


def with_payload(payload: dict[str, Any], **names: Any) -> RuntimeCommit:
    """A commit of one node."""
    return append_commit(node(names.get("node_id", "n"), names.get("parent"), payload=payload))


SAME: dict[str, Change] = {
    "nothing": lambda commit: commit,
    "expected revision": lambda commit: replace(commit, expected_head_revision=9),
    "no expected revision": lambda commit: replace(commit, expected_head_revision=None),
    "lease": lambda commit: commit.with_session_execution_lease(fence_of(SESSION)),
    "release": lambda commit: replace(
        commit,
        release_session_execution_lease=_completion(),
    ),
    "stamp": lambda commit: commit.with_turn_commit(RuntimeTurnCommitStamp(SESSION, "t", "0" * 64)),
    "claim ids": lambda commit: replace(
        commit, completed_queue_claims=(QueuedWorkCompletion(SESSION, "other", "other", ("b1", "b2")),)
    ),
    "order of batches": lambda commit: replace(
        commit, completed_queue_claims=(QueuedWorkCompletion(SESSION, "c", "t", ("b2", "b1")),)
    ),
    "claims split": lambda commit: replace(
        commit,
        completed_queue_claims=tuple(QueuedWorkCompletion(SESSION, b, b, (b,)) for b in ("b2", "b1")),
    ),
    "input claim ids": lambda commit: replace(
        commit, completed_turn_input_claims=(TurnInputCompletion(SESSION, "other", "other", ("i2", "i1")),)
    ),
    "node ids and times": lambda commit: (
        replace(
            commit,
            graph=GraphAppend(
                (replace(commit.graph.nodes[0], node_id="z", parent_node_id=None, timestamp="1999-01-01T00:00:00Z"),),
                "z",
            ),
        )
        if isinstance(commit.graph, GraphAppend)
        else commit
    ),
}

OTHER_MEANING: dict[str, Change] = {
    "session": lambda commit: replace(commit, session_id=OTHER),
    "provider": lambda commit: replace(commit, config=PersistedSessionConfig("q", {"m": 1})),
    "model": lambda commit: replace(commit, config=PersistedSessionConfig("p", {"m": 2})),
    "frame": lambda commit: replace(commit, agent_frames=(_frame(reason="x"),)),
    "snapshot": lambda commit: replace(commit, agent_frames=(_frame(execution_state_snapshot=b"other"),)),
    "current frame": lambda commit: replace(commit, current_agent_frame_id=None),
    "payload": lambda commit: replace(commit, graph=GraphAppend((node("a", "root", payload={"kind": "event"}),), "a")),
    "more nodes": lambda commit: replace(commit, graph=GraphAppend((*_nodes(commit), node("b", "a")), "b")),
    "kind of graph": lambda commit: replace(commit, graph=GraphReplaceFull(SessionGraph(_nodes(commit), "a"))),
    "tool state": lambda commit: replace(
        commit, checkpoint=HydratedSessionCheckpoint(tool_state={"t": 2}, execution_state=b"e")
    ),
    "execution state": lambda commit: replace(
        commit, checkpoint=HydratedSessionCheckpoint(tool_state={"t": 1}, execution_state=b"f")
    ),
    "usage": lambda commit: replace(commit, usage_deltas=(usage("s", "m", 2),)),
    "batches": lambda commit: replace(
        commit, completed_queue_claims=(QueuedWorkCompletion(SESSION, "c", "t", ("b1",)),)
    ),
    "inputs": lambda commit: replace(commit, completed_turn_input_claims=()),
    "interrupted turn": lambda commit: replace(commit, interrupted_turn_input_turn_id=None),
    "attachments": lambda commit: commit.with_committed_attachments(("y",)),
}


def _nodes(commit: RuntimeCommit) -> tuple[Any, ...]:
    assert isinstance(commit.graph, GraphAppend)
    return commit.graph.nodes


def _frame(**changes: Any) -> AgentFrameRecord:
    return replace(frame("f", execution_state_snapshot=b"s"), **changes)


def _completion() -> Any:
    return SessionExecutionLeaseCompletion(SESSION, owner(), "t", 1)


class TestTurnCommitHash:
    """The hash of a turn commit."""

    def test_is_a_sha256_in_hex(self) -> None:
        """The hash is 64 hexadecimal digits, the same each time."""
        first = full_commit().turn_commit_hash()
        assert re.fullmatch(r"[0-9a-f]{64}", first)
        assert full_commit().turn_commit_hash() == first

    @pytest.mark.parametrize("change", SAME)
    def test_does_not_depend_on_place_and_time(self, change: str) -> None:
        """Revision, lease, release, stamp, claim ids, node ids and timestamps do not count."""
        assert SAME[change](full_commit()).turn_commit_hash() == full_commit().turn_commit_hash()

    @pytest.mark.parametrize("change", OTHER_MEANING)
    def test_depends_on_the_meaning(self, change: str) -> None:
        """Everything else counts."""
        assert OTHER_MEANING[change](full_commit()).turn_commit_hash() != full_commit().turn_commit_hash()

    @pytest.mark.parametrize("key", ["node_id", "parent_node_id", "leaf_node_id", "timestamp"])
    def test_leaves_volatile_keys_out_anywhere(self, key: str) -> None:
        """The volatile keys do not count at any depth of any JSON."""
        for wrap in (lambda v: {key: v}, lambda v: {"a": [{"b": {key: v}}]}):
            first, second = (with_payload({"kind": "event", **wrap(value)}) for value in (1, 2))
            assert first.turn_commit_hash() == second.turn_commit_hash()
            states = [
                unchanged_commit(checkpoint=HydratedSessionCheckpoint(tool_state=wrap(value))) for value in (1, 2)
            ]
            assert states[0].turn_commit_hash() == states[1].turn_commit_hash()

    @pytest.mark.parametrize(
        "thing",
        [
            {"role": "user", "parts": []},
            {"role": None, "parts": None, "more": 1},
            {"kind": "text", "content": "x", "prune_state": None},
        ],
        ids=["message", "odd message", "part"],
    )
    def test_leaves_the_ids_of_messages_and_parts_out(self, thing: dict[str, Any]) -> None:
        """The id of an object that is a message or a message part does not count."""
        commits = [with_payload({"kind": "event", "x": [{**thing, "id": value}]}) for value in ("1", "2")]
        assert commits[0].turn_commit_hash() == commits[1].turn_commit_hash()
        assert with_payload({"kind": "event", "x": [thing]}).turn_commit_hash() == (commits[0].turn_commit_hash())

    @pytest.mark.parametrize(
        "thing",
        [{}, {"role": "user"}, {"parts": []}, {"kind": "text", "content": "x"}, {"content": 1, "prune_state": 1}],
    )
    def test_counts_the_ids_of_other_objects(self, thing: dict[str, Any]) -> None:
        """The id of any other object counts."""
        commits = [with_payload({"kind": "event", "x": [{**thing, "id": value}]}) for value in ("1", "2")]
        assert commits[0].turn_commit_hash() != commits[1].turn_commit_hash()

    def test_does_not_depend_on_the_order_of_keys(self) -> None:
        """The JSON is canonical: the order of keys does not count, that of lists does."""
        first = with_payload({"kind": "event", "a": 1, "b": {"x": 1, "y": 2}})
        second = with_payload({"b": {"y": 2, "x": 1}, "a": 1, "kind": "event"})
        assert first.turn_commit_hash() == second.turn_commit_hash()
        lists = [with_payload({"kind": "event", "a": value}) for value in ([1, 2], [2, 1])]
        assert lists[0].turn_commit_hash() != lists[1].turn_commit_hash()

    def test_is_the_same_for_the_turn_retried_on_a_newer_head(self) -> None:
        """The same turn with fresh ids on another parent and revision has the same hash."""
        first = append_commit(*chain("a1", "b1", after="x"), expected_head_revision=1)
        labels = [item.payload for item in chain("a1", "b1")]
        second = append_commit(
            node("a2", "y", payload=labels[0]),
            node("b2", "a2", payload=labels[1], timestamp="2031-01-01T00:00:00Z"),
            expected_head_revision=7,
        )
        assert first.turn_commit_hash() == second.turn_commit_hash()

    def test_counts_what_text_and_bytes_hold(self) -> None:
        """Bytes count by their content, and are not mixed up with text."""
        states = (b"x", b"y", b"", None)
        hashes = {
            unchanged_commit(checkpoint=HydratedSessionCheckpoint(execution_state=state)).turn_commit_hash()
            for state in states
        }
        assert len(hashes) == len(states)
