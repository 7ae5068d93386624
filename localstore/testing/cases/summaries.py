"""The list of sessions: its order, and what each line says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ... import (
    CancelByInputId,
    ChildSession,
    HeadRevisionConflict,
    HydratedSessionCheckpoint,
    SessionExecutionLease,
    SessionMeta,
)
from ..backends import Capability
from ..builders import (
    OTHER,
    SESSION,
    active_input,
    append_commit,
    chain,
    command,
    intent,
    next_input,
    node,
    owner,
    replace_commit,
    said,
    stamped,
    unchanged_commit,
    wake,
)
from .calls import input_claim_of, work_claim_of
from .world import AFTER_WORK, HOUR, IDLE, MINUTE, SECOND, WORKER, Conformance, World


def _claim_work(world: World) -> None:
    world.queue(wake())
    world.take_work()


def _claim_input(world: World) -> None:
    world.say(active_input("hello"))
    world.take_active()


WRITES: dict[str, Callable[[World], object]] = {
    "commit": lambda world: world.append(node("new")),
    "input": lambda world: world.say(next_input("hello")),
    "work": lambda world: world.queue(wake()),
    "metadata": lambda world: world.session.save_session_meta(SessionMeta(SESSION, "name", "", "")),
    "tombstone": lambda world: world.session.tombstone_nodes(("old",)),
    "lease": lambda world: world.lease(owner("newcomer")),
    "claim of work": _claim_work,
    "claim of input": _claim_input,
}

NOTHING: dict[str, Callable[[World, SessionExecutionLease], object]] = {
    "cancel of unknown input": lambda w, lease: w.session.cancel_pending_turn_input(SESSION, "nowhere"),
    "cancel of nothing": lambda w, lease: w.session.cancel_pending_turn_inputs(SESSION, ()),
    "suffix of unknown input": lambda w, lease: w.session.cancel_pending_turn_input_suffix(
        SESSION, CancelByInputId("nowhere")
    ),
    "cancel of unknown work": lambda w, lease: w.session.cancel_queued_work_batch(SESSION, "nowhere"),
    "known input": lambda w, lease: w.say(next_input("hello", source_key="k")),
    "known work": lambda w, lease: w.queue(wake(source_key="k")),
    "claim of no input": lambda w, lease: w.session.claim_active_turn_inputs(
        SESSION, lease.fence(), WORKER, "turn-9", AFTER_WORK, MINUTE, 1
    ),
    "claim of no work": lambda w, lease: w.session.claim_ready_queued_work(
        SESSION, lease.fence(), WORKER, IDLE, MINUTE, 1
    ),
    "claim of other work": lambda w, lease: w.session.claim_ready_queued_work_by_batch_ids(
        SESSION, lease.fence(), WORKER, IDLE, MINUTE, ("nowhere",)
    ),
    "busy lease": lambda w, lease: w.session.try_claim_session_execution_lease(SESSION, owner("other"), MINUTE),
    "busy reclaim": lambda w, lease: w.session.reclaim_session_execution_lease(
        SESSION, owner("other"), lease.fence(), MINUTE
    ),
    "stale release": lambda w, lease: w.session.release_session_execution_lease(
        replace(lease.completion(), lease_token="stale")
    ),
    "stale abandon of input": lambda w, lease: w.session.abandon_turn_input_claim(input_claim_of(SESSION)),
    "stale abandon of work": lambda w, lease: w.session.abandon_queued_work_claim(work_claim_of(SESSION)),
    "renewal of a claim of no work": lambda w, lease: w.session.renew_queued_work_claim(
        replace(work_claim_of(SESSION), batches=()), MINUTE
    ),
    "deferral of nothing": lambda w, lease: w.session.defer_orphaned_turn_inputs(SESSION, lease.fence(), "turn-9"),
    "tombstone of unknown nodes": lambda w, lease: w.session.tombstone_nodes(("nowhere",)),
    "replay": lambda w, lease: w.session.commit_runtime_state(stamped(append_commit(node("a")))),
    "existing session": lambda w, lease: w.store.create_session(SESSION),
}

PART = dict[str, Any]


def user(**fields: Any) -> PART:
    """A payload, or a part of one, that is the user's."""
    return {"role": "user", **fields}


MESSAGES: dict[str, tuple[PART, str]] = {
    "string content": (user(content="hi"), "hi"),
    "empty content": (user(content=""), ""),
    "in message": ({"kind": "event", "message": user(content="hi")}, "hi"),
    "in event": ({"kind": "event", "event": user(content="hi")}, "hi"),
    "content parts with text": (user(content=[{"type": "text", "text": "a"}, {"text": "b"}]), "a\nb"),
    "content parts with content": (user(content=[{"content": "a"}, {"content": "b"}]), "a\nb"),
    "parts with text": (user(parts=[{"text": "a"}, {"text": "b"}]), "a\nb"),
    "parts with content": (user(parts=[{"kind": "text", "content": "a", "prune_state": None}]), "a"),
    "mixed parts": (user(parts=[{"text": "a"}, {"content": "b"}, {"text": "c"}]), "a\nb\nc"),
    "parts without text": (user(content=[{"image": "x"}, {"text": "a"}, {"text": 7}]), "a"),
    "parts in message": ({"message": user(content=[{"text": "a"}])}, "a"),
    "parts in event": ({"event": user(parts=[{"text": "a"}])}, "a"),
    "content is null": (user(content=None), ""),
    "content is a number": (user(content=7), ""),
    "content is an object": (user(content={"text": "a"}), ""),
    "null content beside parts": (user(content=None, parts=[{"text": "a"}]), "a"),
    "parts are text": (user(parts="a"), ""),
    "parts are no objects": (user(content=[7, None, ["a"], {"text": "b"}]), "b"),
    "text is no text": (user(parts=[{"text": None}, {"text": {"a": 1}}, {"text": "b"}]), "b"),
    "parts are strings": (user(content=["a", {"text": "b"}, "c"]), "a\nb\nc"),
    "nothing but the role": (user(), ""),
    "role behind the content": ({"kind": "event", "content": "hi", "role": "user"}, "hi"),
    "role behind the content in message": ({"message": {"content": "hi", "role": "user"}}, "hi"),
    "long": (user(content="0123456789" * 1000), "0123456789" * 1000),
    "unicode": (user(content="héllo 会話 🗂️"), "héllo 会話 🗂️"),
    "many lines": (user(content="a\n\nb"), "a\n\nb"),
}

NO_MESSAGES: dict[str, PART] = {
    "no role": {"kind": "event", "content": "hi"},
    "assistant": {"role": "assistant", "content": "hi"},
    "upper case": {"role": "USER", "content": "hi"},
    "role of another type": {"role": ["user"], "content": "hi"},
    "deeper": {"data": {"role": "user", "content": "hi"}},
    "too deep": {"message": {"message": {"role": "user", "content": "hi"}}},
    "message is text": {"message": "user"},
    "event is a list": {"event": [{"role": "user", "content": "hi"}]},
    "message of the assistant": {"message": {"role": "assistant", "content": "hi"}},
}


class TestSummary(Conformance):
    """One line of the list."""

    def test_of_a_new_session(self, world: World) -> None:
        """A session without commits is listed with its metadata and zeros."""
        line = world.summary()
        now = world.clock.now_ms()
        assert (line.session_id, line.session_name, line.cwd, line.model) == (SESSION, SESSION, None, "")
        assert (line.created_at_ms, line.updated_at_ms) == (now, now)
        assert line.first_user_message is None
        assert (line.user_message_count, line.node_count, line.head_revision) == (0, 0, 0)
        assert isinstance(line.size_bytes, int)
        assert line.size_bytes >= 0

    def test_shows_the_metadata(self, world: World) -> None:
        """Id, name, working directory, model and relation are those of the metadata."""
        relation = ChildSession("parent", {"why": "sub-agent"})
        created = world.summary().created_at_ms
        meta = SessionMeta(SESSION, "Name", "2026-01-01T00:00:00Z", "model-x", "/cwd", relation)
        world.session.save_session_meta(meta)
        line = world.summary()
        assert (line.session_name, line.cwd, line.model) == ("Name", "/cwd", "model-x")
        assert line.relation == relation
        assert line.created_at_ms == created

    def test_counts_nodes_and_revisions(self, world: World) -> None:
        """The node count is of all branches, the head revision that of the last commit."""
        world.append(*chain("a", "b"))
        world.append(node("c", "a"))
        assert (world.summary().node_count, world.summary().head_revision) == (3, 2)

    def test_does_not_count_tombstoned_nodes(self, world: World) -> None:
        """Tombstoned nodes are hidden from every read, this one too."""
        world.append(*chain("a", "b", "c"))
        world.session.tombstone_nodes(("b",))
        assert world.summary().node_count == 2
        world.session.vacuum()
        assert world.summary().node_count == 2

    def test_counts_a_replaced_graph_anew(self, world: World) -> None:
        """After a full replacement only the new nodes count."""
        world.append(said("a", None, "old"), said("b", "a", "older"))
        world.settle(replace_commit(said("x", None, "new")))
        line = world.summary()
        assert (line.node_count, line.user_message_count, line.first_user_message) == (1, 1, "new")

    def test_takes_the_new_text_of_a_replaced_message(self, world: World) -> None:
        """A full replacement may keep the first message's id and change its text."""
        world.append(said("a", None, "old"))
        world.settle(replace_commit(said("a", None, "new")))
        assert world.summary().first_user_message == "new"

    @pytest.mark.parametrize("shape", MESSAGES)
    def test_takes_the_text_of_a_user_message(self, world: World, shape: str) -> None:
        """A payload, or the message or event in it, whose role is user is a user message with this text."""
        payload, text = MESSAGES[shape]
        world.append(node("n", payload=payload))
        assert world.summary().user_message_count == 1
        assert (world.summary().first_user_message or "") == text

    @pytest.mark.parametrize("shape", NO_MESSAGES)
    def test_takes_nothing_else_for_a_user_message(self, world: World, shape: str) -> None:
        """Anything without the role user at one of the three places is no user message."""
        world.append(node("n", payload=NO_MESSAGES[shape]))
        assert world.summary().user_message_count == 0
        assert world.summary().first_user_message is None

    def test_takes_the_first_user_message_in_commit_order(self, world: World) -> None:
        """The first user message is the first by commit, whatever branch it is on."""
        world.append(said("a", None, "answer", role="assistant"), said("b", "a", "first"))
        world.append(said("c", "a", "second"))
        assert world.summary().first_user_message == "first"
        assert world.summary().user_message_count == 2

    def test_passes_over_tombstoned_user_messages(self, world: World) -> None:
        """A tombstoned message neither counts nor comes first."""
        world.append(said("a", None, "first"), said("b", "a", "second"), said("c", "b", "third"))
        world.session.tombstone_nodes(("a",))
        line = world.summary()
        assert (line.first_user_message, line.user_message_count) == ("second", 2)
        world.session.tombstone_nodes(("b", "c"))
        line = world.summary()
        assert (line.first_user_message, line.user_message_count) == (None, 0)

    def test_counts_user_messages_alone_when_others_are_tombstoned(self, world: World) -> None:
        """Tombstoning what is no user message does not change the count, before and after a vacuum."""
        world.append(said("a", None, "first"), said("b", "a", "answer", role="assistant"), node("c", "b"))
        world.session.tombstone_nodes(("b", "c", "nowhere"))
        for _ in range(2):
            line = world.summary()
            assert (line.first_user_message, line.user_message_count, line.node_count) == ("first", 1, 1)
            world.session.vacuum()

    def test_counts_a_re_committed_message_at_its_new_place(self, world: World) -> None:
        """A re-committed node is back, and last in commit order."""
        world.append(said("a", None, "first"), said("b", "a", "second"))
        world.session.tombstone_nodes(("a",))
        world.append(said("a", None, "again"))
        line = world.summary()
        assert (line.first_user_message, line.user_message_count) == ("second", 2)
        world.session.tombstone_nodes(("b",))
        assert world.summary().first_user_message == "again"

    def test_is_not_changed_by_a_failed_commit(self, world: World) -> None:
        """A commit that fails leaves the line as it was."""
        world.append(node("a"))
        commit = append_commit(said("b", "a", "hi"), expected_head_revision=7)
        fenced = commit.with_session_execution_lease(world.fence())
        before = world.summary()
        world.clock.advance(SECOND)
        with pytest.raises(HeadRevisionConflict):
            world.session.commit_runtime_state(fenced)
        assert world.summary() == before


class TestListOrder(Conformance):
    """The order of the list."""

    requires = frozenset({Capability.QUEUED_WORK, Capability.TURN_INPUT})

    def test_is_an_empty_tuple_without_sessions(self, world: World) -> None:
        """A list is a tuple, empty where there is nothing."""
        world.store.delete_session(SESSION)
        assert world.store.list_sessions() == ()

    def test_has_each_session_once(self, world: World) -> None:
        """Every session is listed, once."""
        for number in range(20):
            world.clock.advance(SECOND)
            world.store.create_session(f"s{number}")
        assert world.listed() == [*(f"s{number}" for number in reversed(range(20))), SESSION]

    @pytest.mark.parametrize("write", WRITES)
    def test_puts_the_session_first_that_was_written_last(self, world: World, write: str) -> None:
        """Any write is activity, and the newest activity comes first."""
        world.append(node("old"))
        world.clock.advance(2 * HOUR)
        world.store.create_session(OTHER)
        assert world.listed() == [OTHER, SESSION]
        world.clock.advance(MINUTE)
        WRITES[write](world)
        assert world.listed() == [SESSION, OTHER]
        assert world.summary().updated_at_ms == world.clock.now_ms()

    def test_is_moved_by_renewals_releases_cancels_and_completions(self, world: World) -> None:
        """Each of the smaller writes is activity as well."""
        lease = world.lease()
        item = world.say(next_input("hello"))
        batch = world.queue(wake())
        steps: list[Callable[[], object]] = [
            lambda: world.session.renew_session_execution_lease(lease.fence(), 5 * HOUR),
            lambda: world.session.cancel_pending_turn_inputs(SESSION, (CancelByInputId(item.input_id),)),
            lambda: world.session.cancel_queued_work_batch(SESSION, batch.batch_id),
            lambda: world.settle(unchanged_commit()),
            lambda: world.session.release_session_execution_lease(lease.completion()),
        ]
        for step in steps:
            world.clock.advance(MINUTE)
            step()
            assert world.summary().updated_at_ms == world.clock.now_ms()

    def test_is_not_moved_by_vacuum_and_gc(self, world: World) -> None:
        """Vacuum and garbage collection are no activity, even where they remove something."""
        world.append(*chain("a", "b"))
        world.session.tombstone_nodes(("b",))
        before = world.summary().updated_at_ms
        world.clock.advance(MINUTE)
        assert world.session.vacuum().removed_node_count == 1
        world.session.gc_unreachable()
        assert world.summary().updated_at_ms == before

    def test_is_not_moved_by_gc_that_deletes(self, world: World) -> None:
        """Blobs that garbage collection deletes are no activity either."""
        world.settle(unchanged_commit(checkpoint=HydratedSessionCheckpoint(tool_state=1)))
        world.settle(unchanged_commit())
        before = world.summary().updated_at_ms
        world.clock.advance(MINUTE)
        assert world.session.gc_unreachable().deleted_blob_count == 2
        assert world.summary().updated_at_ms == before

    def test_is_not_moved_back_by_the_clock(self, world: World) -> None:
        """A write while the wall clock is behind leaves the time of the newest activity."""
        before = world.summary().updated_at_ms
        world.clock.set(before - HOUR)
        world.append(node("a"))
        assert world.summary().updated_at_ms == before

    def test_is_not_moved_by_reads(self, world: World) -> None:
        """Reading is no activity."""
        world.append(node("a"))
        before = world.everything()
        world.clock.advance(SECOND)
        world.everything()
        assert world.everything() == before


class TestNoActivity(Conformance):
    """Calls that change nothing."""

    requires = frozenset({Capability.QUEUED_WORK, Capability.TURN_INPUT})

    @pytest.mark.parametrize("call", NOTHING)
    def test_is_a_call_that_changes_nothing(self, world: World, call: str) -> None:
        """A call that finds nothing to do is no write, so the session keeps its place in the list."""
        world.say(next_input("hello", source_key="k"))
        world.queue(command(source_key="k"))
        world.settle(stamped(append_commit(node("a"))))
        lease = world.lease()
        before = world.everything()
        world.clock.advance(MINUTE)
        NOTHING[call](world, lease)
        assert world.everything() == before


class TestActivityOfAttachments(Conformance):
    """Attachment rows and the order of the list."""

    requires = frozenset({Capability.ATTACHMENTS})

    def test_is_activity(self, world: World) -> None:
        """Intents, commits of references and forgotten rows are writes like any other."""
        steps: list[Callable[[], object]] = [
            lambda: world.session.record_intent(intent("a")),
            lambda: world.session.commit_refs(SESSION, ("a",)),
            lambda: world.session.forget("a"),
        ]
        for step in steps:
            world.clock.advance(MINUTE)
            step()
            assert world.summary().updated_at_ms == world.clock.now_ms()

    def test_is_no_row_that_is_there_already(self, world: World) -> None:
        """A known intent, a row that is committed already and a forgotten row are no writes."""
        world.session.record_intent(intent("a"))
        world.session.commit_refs(SESSION, ("a",))
        before = world.summary().updated_at_ms
        world.clock.advance(MINUTE)
        world.session.record_intent(intent("a"))
        world.session.commit_refs(SESSION, ("a",))
        world.session.commit_refs(SESSION, ())
        world.session.forget("unknown")
        assert world.summary().updated_at_ms == before

    def test_is_no_intent_that_is_not_younger(self, world: World) -> None:
        """An intent that comes again with the time of its row, or an earlier one, is no write."""
        world.session.record_intent(intent("a", at_ms=20))
        before = world.summary().updated_at_ms
        world.clock.advance(MINUTE)
        world.session.record_intent(intent("a", at_ms=20))
        world.session.record_intent(intent("a", at_ms=10))
        assert world.summary().updated_at_ms == before
