"""Opening, creating and deleting sessions."""

from __future__ import annotations

from datetime import datetime

import pytest

from ... import (
    ChildSession,
    FullGraph,
    HydratedSessionCheckpoint,
    LeaseAcquired,
    RootSession,
    SessionBindingMismatch,
    SessionMeta,
)
from ..builders import (
    OTHER,
    SESSION,
    active_input,
    append_commit,
    chain,
    next_input,
    node,
    owner,
    stamped,
    usage,
    wake,
)
from .world import MINUTE, WORKER, Conformance, World

ODD_IDS = {
    "unicode": "сессия 会話 🗂️",
    "parent folder": "../outside",
    "many parents": "../../../../tmp/outside",
    "absolute": "/outside",
    "windows absolute": "C:\\outside",
    "dot": ".",
    "two dots": "..",
    "nul": "a\0b",
    "newline": "a\nb\r\n",
    "windows device": "CON",
    "windows device with suffix": "nul.txt",
    "trailing dot": "name.",
    "trailing blank": "name ",
    "blank": " ",
    "leading dash": "-rf",
    "colon": "a:b",
    "stream": "name::$DATA",
    "wildcards": "*?<>|\"'",
    "percent": "%2e%2e%2f",
    "tilde": "~root",
    "long": "x" * 1000,
    "long unicode": "語" * 1000,
    "longest": "y" * 1024,
    "emoji, longest": "🗂" * 1024,
    "control": "\x01\x7f\x85",
    "right to left": "\u202eabc",
    "json": '{"session_id": 1}',
}


class TestCreateSession(Conformance):
    """Creating a session."""

    def test_seeds_the_metadata_of_a_session_without_arguments(self, world: World) -> None:
        """The name defaults to the id, and the other metadata to nothing."""
        meta = world.session.load_session_meta()
        assert meta is not None
        assert (meta.session_id, meta.session_name, meta.model) == (SESSION, SESSION, "")
        assert meta.cwd is None
        assert meta.relation == RootSession()
        assert meta.parent_session_id is None

    def test_sets_the_creation_time_to_now(self, world: World) -> None:
        """The metadata's created_at defaults to now, as RFC 3339."""
        meta = world.session.load_session_meta()
        assert meta is not None
        created = datetime.fromisoformat(meta.created_at)
        assert created.tzinfo is not None
        assert round(created.timestamp() * 1000) == world.clock.now_ms()

    def test_seeds_the_metadata_that_it_is_given(self, world: World) -> None:
        """Name, model, working directory and relation go into the metadata."""
        relation = ChildSession(SESSION, {"tool_call": 7})
        handle = world.store.create_session(
            OTHER, session_name="My chat", model="m-1", cwd="/home/me", relation=relation
        )
        meta = handle.load_session_meta()
        assert meta is not None
        assert (meta.session_name, meta.model, meta.cwd) == ("My chat", "m-1", "/home/me")
        assert meta.relation == relation
        assert meta.parent_session_id == SESSION

    def test_gives_a_handle_of_a_session_without_commits(self, world: World) -> None:
        """A new session has no settled state yet."""
        assert world.session.load_session(FullGraph()) is None
        assert world.session.load_session_head() is None

    def test_returns_an_existing_session_and_overwrites_nothing(self, world: World) -> None:
        """Creating an existing session gives it as it is, whatever the arguments say."""
        world.append(node("a"))
        before = world.everything()
        world.clock.advance(MINUTE)
        again = world.store.create_session(SESSION, session_name="other", model="other", cwd="/other")
        assert again.load_node("a") == node("a")
        assert world.everything() == before

    def test_binds_the_handle_to_its_session(self, world: World) -> None:
        """A handle is bound to one session."""
        other = world.store.create_session(OTHER)
        with pytest.raises(SessionBindingMismatch):
            other.save_session_meta(SessionMeta(SESSION, "name", "", ""))

    @pytest.mark.parametrize("name", ODD_IDS)
    def test_takes_any_text_as_an_id(self, world: World, name: str) -> None:
        """Any Unicode text of 1 to 1,024 characters names a session."""
        session_id = ODD_IDS[name]
        handle = world.store.create_session(session_id)
        handle.save_session_meta(SessionMeta(session_id, "kept", "", ""))
        meta = world.handle(session_id).load_session_meta()
        assert meta is not None
        assert (meta.session_id, meta.session_name) == (session_id, "kept")
        assert session_id in world.listed()

    def test_keeps_ids_apart_that_look_alike(self, world: World) -> None:
        """Ids that differ only in case, normal form, blanks or dots are different sessions."""
        alike = ("Name", "name", "NAME", "name ", "name.", "name/", "n\u0061\u0301me", "n\u00e1me", "ﬁ", "fi")
        for session_id in alike:
            world.store.create_session(session_id, session_name=f"<{session_id}>")
        names = {item.session_id: item.session_name for item in world.store.list_sessions()}
        del names[SESSION]
        assert names == {session_id: f"<{session_id}>" for session_id in alike}

    def test_deletes_only_the_session_of_the_very_id(self, world: World) -> None:
        """Deleting a session leaves those alone whose id differs only in case."""
        world.store.create_session("Name")
        world.store.create_session("name")
        world.store.delete_session("Name")
        assert world.store.open_session("Name") is None
        assert world.store.open_session("name") is not None


class TestOpenSession(Conformance):
    """Opening a session."""

    def test_is_none_for_an_unknown_session(self, world: World) -> None:
        """Opening a session that does not exist gives None and makes nothing."""
        assert world.store.open_session("nobody") is None
        assert world.listed() == [SESSION]

    def test_gives_another_handle_of_the_same_session(self, world: World) -> None:
        """Any number of handles may hold one session, and each sees what the others wrote."""
        second = world.handle()
        world.append(node("a"))
        assert second.load_node("a") == node("a")
        second.enqueue_queued_work(wake("from the second"))
        assert len(world.queued()) == 1

    def test_keeps_sessions_apart(self, world: World) -> None:
        """What is written to one session is not seen in another."""
        other = world.store.create_session(OTHER)
        world.append(node("a"))
        world.say(next_input("hello"))
        world.queue(wake())
        assert other.load_session(FullGraph()) is None
        assert other.load_node("a") is None
        assert world.pending(OTHER) == []
        assert world.queued(OTHER) == []
        assert other.get_session_execution_lease(OTHER) is None

    def test_lets_sessions_use_equal_ids_of_their_own(self, world: World) -> None:
        """Node ids, turn ids, source keys and input ids belong to their session."""
        world.store.create_session(OTHER)
        world.append(node("a"))
        world.settle(stamped(append_commit(node("b"))))
        world.say(next_input("hello", input_id="i", source_key="k"))
        world.settle(append_commit(node("a"), session_id=OTHER))
        result = world.settle(stamped(append_commit(node("b", "a"), session_id=OTHER)))
        world.say(next_input("other", input_id="i", source_key="k", session_id=OTHER))
        assert result.head_revision == 2
        assert world.pending() == world.pending(OTHER) == ["i"]


class TestDeleteSession(Conformance):
    """Deleting a session."""

    def test_removes_the_session(self, world: World) -> None:
        """A deleted session is neither opened nor listed."""
        world.append(node("a"))
        world.store.delete_session(SESSION)
        assert world.store.open_session(SESSION) is None
        assert world.store.list_sessions() == ()

    def test_is_idempotent(self, world: World) -> None:
        """Deleting again, or deleting what never was, is no error."""
        world.store.delete_session(SESSION)
        world.store.delete_session(SESSION)
        world.store.delete_session("nobody")
        assert world.store.list_sessions() == ()

    def test_leaves_other_sessions_alone(self, world: World) -> None:
        """Only the named session goes."""
        world.store.create_session(OTHER)
        world.settle(append_commit(*chain("a", "b"), session_id=OTHER))
        world.store.delete_session(SESSION)
        assert world.listed() == [OTHER]
        assert world.handle(OTHER).load_node("b") == node("b", "a")

    def test_removes_everything_of_the_session(self, world: World) -> None:
        """A session made again starts empty: no graph, lease, queues, input, stamps or source keys are left."""
        checkpoint = HydratedSessionCheckpoint(execution_state=b"state")
        world.settle(stamped(append_commit(node("a"), checkpoint=checkpoint, usage_deltas=(usage("s", "m"),))))
        world.queue(wake("w", source_key="k"))
        first = world.say(active_input("in", turn_id="other", source_key="k"))
        world.store.delete_session(SESSION)
        world.session = world.store.create_session(SESSION)
        assert world.session.load_session(FullGraph()) is None
        assert world.session.get_session_execution_lease(SESSION) is None
        assert world.queued() == world.pending() == []
        again = world.say(active_input("other words", turn_id="other", source_key="k"))
        assert again.input_id != first.input_id
        assert world.settle(stamped(append_commit(node("a")))).head_revision == 1
        assert world.read().token_ledger == ()
        assert world.session.gc_unreachable().deleted_blob_count == 0

    def test_starts_fencing_tokens_again(self, world: World) -> None:
        """A re-created session starts again at fencing token 1."""
        for incarnation in ("1", "2", "3"):
            lease = world.lease(owner("w", incarnation))
            world.session.release_session_execution_lease(lease.completion())
        world.store.delete_session(SESSION)
        world.session = world.store.create_session(SESSION)
        outcome = world.session.try_claim_session_execution_lease(SESSION, WORKER, MINUTE)
        assert isinstance(outcome, LeaseAcquired)
        assert outcome.lease.fencing_token == 1

    def test_seeds_the_metadata_of_the_session_made_again(self, world: World) -> None:
        """The metadata of the deleted session is gone too."""
        world.session.save_session_meta(SessionMeta(SESSION, "old name", "", "old model", "/old"))
        world.store.delete_session(SESSION)
        meta = world.store.create_session(SESSION).load_session_meta()
        assert meta is not None
        assert (meta.session_name, meta.model, meta.cwd) == (SESSION, "", None)


class TestSessionMeta(Conformance):
    """The metadata of a session."""

    def test_is_replaced_as_a_whole(self, world: World) -> None:
        """Saving metadata replaces all of it."""
        meta = SessionMeta(
            SESSION, "Name ✓", "2020-05-05T05:05:05+02:00", "model-x", "/work", ChildSession("parent", [1, "x"])
        )
        world.session.save_session_meta(meta)
        assert world.handle().load_session_meta() == meta
        bare = SessionMeta(SESSION, "", "", "")
        world.session.save_session_meta(bare)
        assert world.handle().load_session_meta() == bare

    def test_of_another_session_is_refused(self, world: World) -> None:
        """Metadata of another session raises SessionBindingMismatch with both ids, and nothing changes."""
        world.store.create_session(OTHER)
        before = world.everything()
        with pytest.raises(SessionBindingMismatch) as caught:
            world.session.save_session_meta(SessionMeta(OTHER, "name", "", ""))
        assert caught.value.bound_session_id == SESSION
        assert caught.value.attempted_session_id == OTHER
        assert world.everything() == before

    def test_does_not_move_the_head(self, world: World) -> None:
        """Metadata is no commit."""
        world.append(node("a"))
        head = world.session.load_session_head()
        world.session.save_session_meta(SessionMeta(SESSION, "name", "", ""))
        assert world.session.load_session_head() == head
