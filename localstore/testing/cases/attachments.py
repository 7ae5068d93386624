"""Attachments: the write-ahead manifest, the bytes, and the sweep."""

from __future__ import annotations

import hashlib

import pytest

from ... import (
    AttachmentCreateMeta,
    AttachmentIntent,
    AttachmentManifestEntry,
    AttachmentNotFound,
    AttachmentRef,
    AttachmentStore,
    BackendError,
    InvalidArgument,
    InvalidCommit,
    SessionScopedAttachmentStore,
    StoredAttachment,
    StoreError,
)
from ..backends import Capability
from ..builders import OTHER, PNG, SESSION, intent, node, unchanged_commit
from ..clocks import START_MS
from .world import MAX_INTEGER, Conformance, World


def rows(world: World, session_id: str = SESSION) -> list[str]:
    """The ids of the uncommitted rows of a session."""
    return [entry.attachment_id for entry in world.handle(session_id).list_uncommitted(MAX_INTEGER)]


def scoped_to(world: World, session_id: str = SESSION) -> SessionScopedAttachmentStore:
    """The attachment store of a session."""
    return SessionScopedAttachmentStore(world.store.attachments, world.handle(session_id), clock=world.clock)


def put(world: World, data: bytes, session_id: str = SESSION) -> str:
    """The id of bytes that were put through a session."""
    return scoped_to(world, session_id).put(data, PNG).id


def is_stored(world: World, attachment_id: str) -> bool:
    """Whether the bytes are there."""
    try:
        world.store.attachments.get(attachment_id)
    except AttachmentNotFound:
        return False
    return True


class TestAttachmentManifest(Conformance):
    """Intents and their rows."""

    requires = frozenset({Capability.ATTACHMENTS})

    def test_keeps_an_intent_until_it_is_committed(self, world: World) -> None:
        """An intent is a row without a commit time."""
        world.session.record_intent(intent("a ✓", at_ms=START_MS))
        (entry,) = world.handle().list_uncommitted(START_MS)
        assert entry == AttachmentManifestEntry("a ✓", SESSION, "attachment:a ✓", START_MS, None)

    def test_takes_an_intent_again(self, world: World) -> None:
        """Recording an intent again is idempotent."""
        world.session.record_intent(intent("a"))
        world.session.record_intent(intent("a"))
        assert rows(world) == ["a"]

    def test_grows_younger_with_a_later_intent_alone(self, world: World) -> None:
        """An intent that comes again later makes the row younger; one with an earlier time changes nothing."""
        for at_ms, expected in ((10, 10), (20, 20), (5, 20)):
            world.session.record_intent(intent("a", at_ms=at_ms))
            (entry,) = world.session.list_uncommitted(MAX_INTEGER)
            assert entry.intent_at_epoch_ms == expected

    def test_never_un_commits_a_row(self, world: World) -> None:
        """An intent for a committed attachment leaves it committed."""
        world.session.record_intent(intent("a"))
        world.session.commit_refs(SESSION, ("a",))
        world.session.record_intent(intent("a", at_ms=START_MS + 5))
        assert rows(world) == []
        assert world.store.sweep_attachments(MAX_INTEGER).deleted_row_count == 0

    def test_outlives_a_vacuum(self, world: World) -> None:
        """A vacuum leaves every row as it was: waiting, committed, or forgotten."""
        for name in ("waiting", "committed", "forgotten"):
            world.session.record_intent(intent(name))
        world.session.commit_refs(SESSION, ("committed",))
        world.session.forget("forgotten")
        world.append(node("a"))
        world.session.tombstone_nodes(("a",))
        assert world.session.vacuum().removed_node_count == 1
        assert rows(world) == ["waiting"]
        world.session.commit_refs(SESSION, ("waiting", "committed"))
        with pytest.raises(InvalidCommit):
            world.session.commit_refs(SESSION, ("forgotten",))

    def test_lists_up_to_the_asked_time(self, world: World) -> None:
        """Rows whose intent is at or before the asked time are listed."""
        for at in (3, 1, 2):
            world.session.record_intent(intent(f"at {at}", at_ms=at))
        assert [entry.attachment_id for entry in world.session.list_uncommitted(2)] == ["at 1", "at 2"]
        assert world.session.list_uncommitted(0) == ()

    def test_lists_the_oldest_first(self, world: World) -> None:
        """Rows come by the time of their intent, whatever the order of recording."""
        for at in (30, 10, 20):
            world.session.record_intent(intent(f"{at}", at_ms=at))
        assert rows(world) == ["10", "20", "30"]

    def test_lists_the_handle_s_session_alone(self, world: World) -> None:
        """Rows belong to a session; a handle lists those of its own."""
        world.store.create_session(OTHER)
        world.session.record_intent(intent("a"))
        world.session.record_intent(intent("b", session_id=OTHER))
        assert rows(world) == ["a"]
        assert rows(world, OTHER) == ["b"]

    def test_takes_equal_ids_in_two_sessions(self, world: World) -> None:
        """Equal bytes in two sessions are two rows, each committed on its own."""
        world.store.create_session(OTHER)
        world.session.record_intent(intent("a"))
        world.session.record_intent(intent("a", session_id=OTHER))
        world.session.commit_refs(OTHER, ("a",))
        assert rows(world) == ["a"]
        assert rows(world, OTHER) == []

    def test_commits_references_out_of_band(self, world: World) -> None:
        """Rows may be stamped committed outside a turn commit, without a lease, again too."""
        for name in ("a", "b", "c"):
            world.session.record_intent(intent(name))
        world.session.commit_refs(SESSION, ("a", "c"))
        world.session.commit_refs(SESSION, ("a",))
        world.session.commit_refs(SESSION, ())
        assert rows(world) == ["b"]

    def test_commits_only_what_has_a_row(self, world: World) -> None:
        """An id without a row fails, and stamps nothing of the call."""
        world.session.record_intent(intent("a"))
        with pytest.raises(InvalidCommit):
            world.session.commit_refs(SESSION, ("a", "unknown"))
        assert rows(world) == ["a"]

    def test_of_a_deleted_session_is_gone(self, world: World) -> None:
        """A re-created session has none of the rows of the deleted one."""
        world.session.record_intent(intent("a"))
        world.store.delete_session(SESSION)
        again = world.store.create_session(SESSION)
        assert again.list_uncommitted(world.clock.now_ms()) == ()

    def test_forgets_a_row(self, world: World) -> None:
        """A forgotten row is gone, committed or not; unknown ids are ignored."""
        world.session.record_intent(intent("a"))
        world.session.record_intent(intent("b"))
        world.session.commit_refs(SESSION, ("b",))
        for name in ("a", "b", "unknown", "a"):
            world.session.forget(name)
        assert rows(world) == []
        with pytest.raises(InvalidCommit):
            world.session.commit_refs(SESSION, ("b",))

    def test_forgets_the_handle_s_row_alone(self, world: World) -> None:
        """Forgetting is about the handle's session."""
        world.store.create_session(OTHER)
        world.session.record_intent(intent("a"))
        world.session.record_intent(intent("a", session_id=OTHER))
        world.session.forget("a")
        assert rows(world) == []
        assert rows(world, OTHER) == ["a"]


class TestCommittedAttachments(Conformance):
    """Attachments that a commit names."""

    requires = frozenset({Capability.ATTACHMENTS})

    def test_are_stamped_by_the_commit(self, world: World) -> None:
        """The named attachments are committed with the turn, the others not."""
        for name in ("a", "b"):
            world.session.record_intent(intent(name))
        world.settle(unchanged_commit(committed_attachment_ids=("a",)))
        assert rows(world) == ["b"]

    def test_may_be_committed_already(self, world: World) -> None:
        """An attachment may be named by more than one commit."""
        world.session.record_intent(intent("a"))
        for _ in range(2):
            world.settle(unchanged_commit(committed_attachment_ids=("a", "a")))
        assert rows(world) == []

    def test_need_a_row_of_that_session(self, world: World) -> None:
        """An id without a row, with a forgotten one, or with one in another session, is an InvalidCommit."""
        world.store.create_session(OTHER)
        world.session.record_intent(intent("there", session_id=OTHER))
        world.session.record_intent(intent("forgotten"))
        world.session.forget("forgotten")
        world.session.record_intent(intent("here"))
        world.fence()
        before = world.everything()
        for name in ("unknown", "there", "forgotten"):
            with pytest.raises(InvalidCommit):
                world.settle(unchanged_commit(committed_attachment_ids=("here", name)))
        assert world.everything() == before


class TestBytes(Conformance):
    """The bytes of attachments."""

    requires = frozenset({Capability.ATTACHMENTS})

    @pytest.mark.parametrize("data", [b"data", b"", bytes(range(256)) * 4096], ids=["few", "none", "many"])
    def test_come_back_under_their_hash(self, world: World, data: bytes) -> None:
        """Bytes are stored under their SHA-256, with what is known of them."""
        ref = world.store.attachments.put(data, PNG)
        digest = hashlib.sha256(data).hexdigest()
        assert ref == AttachmentRef(digest, "image/png", len(data), 2, 3, "a picture")
        assert world.store.attachments.get(digest) == StoredAttachment(PNG, data)

    def test_are_stored_once_with_the_first_meta(self, world: World) -> None:
        """Equal bytes are stored once, and the first put's meta stays."""
        first = world.store.attachments.put(b"data", PNG)
        again = world.store.attachments.put(b"data", AttachmentCreateMeta("text/plain", label="later"))
        assert again == first
        assert world.store.attachments.get(first.id).meta == PNG

    def test_may_come_with_little_meta(self, world: World) -> None:
        """Width, height and label may be unknown."""
        meta = AttachmentCreateMeta("")
        ref = world.store.attachments.put(b"data", meta)
        assert ref == AttachmentRef(ref.id, "", 4)
        assert world.store.attachments.get(ref.id).meta == meta

    def test_that_are_unknown_are_not_found(self, world: World) -> None:
        """An unknown id raises AttachmentNotFound with that id."""
        with pytest.raises(AttachmentNotFound) as caught:
            world.store.attachments.get("0" * 64)
        assert caught.value.attachment_id == "0" * 64

    @pytest.mark.parametrize(
        "attachment_id", ["../store.json", "..", "/etc/passwd", "x", "A" * 64, "0" * 63, "a/b", "\0", "CON"]
    )
    def test_have_no_other_names(self, world: World, attachment_id: str) -> None:
        """An id that is no SHA-256 in hex names nothing, whatever path it may look like."""
        with pytest.raises(StoreError):
            world.store.attachments.get(attachment_id)


class TestSessionScopedStore(Conformance):
    """The attachment store of one session."""

    requires = frozenset({Capability.ATTACHMENTS})

    def test_records_the_intent_with_the_bytes(self, world: World) -> None:
        """A put through a session stores the bytes and leaves an uncommitted row of that session."""
        scoped = scoped_to(world)
        ref = scoped.put(b"data", PNG)
        assert rows(world) == [ref.id]
        (entry,) = world.session.list_uncommitted(MAX_INTEGER)
        assert entry.intent_at_epoch_ms == world.clock.now_ms()
        assert scoped.get(ref.id) == StoredAttachment(PNG, b"data")
        assert world.store.attachments.get(ref.id).data == b"data"

    def test_records_the_intent_before_the_bytes(self, world: World) -> None:
        """When the bytes cannot be written the intent is there already."""

        class FullStore(AttachmentStore):
            """A store without room that looks for the row."""

            def put(self, data: bytes, meta: AttachmentCreateMeta) -> AttachmentRef:
                assert rows(world) == [hashlib.sha256(data).hexdigest()]
                raise BackendError("no room")

            def get(self, attachment_id: str) -> StoredAttachment:
                raise AttachmentNotFound(attachment_id)

        scoped = SessionScopedAttachmentStore(FullStore(), world.session)
        with pytest.raises(BackendError):
            scoped.put(b"data", PNG)
        assert rows(world) == [hashlib.sha256(b"data").hexdigest()]
        assert scoped.take_pending_attachment_ids() == ()

    def test_collects_what_the_next_commit_must_stamp(self, world: World) -> None:
        """The pending ids are those put since they were last taken."""
        scoped = scoped_to(world)
        assert scoped.take_pending_attachment_ids() == ()
        first, second = scoped.put(b"1", PNG).id, scoped.put(b"2", PNG).id
        pending = scoped.take_pending_attachment_ids()
        assert pending == (first, second)
        assert scoped.take_pending_attachment_ids() == ()
        world.settle(unchanged_commit().with_committed_attachments(pending))
        assert rows(world) == []

    def test_collects_equal_bytes_once(self, world: World) -> None:
        """The same attachment put twice is pending once."""
        scoped = scoped_to(world)
        ref = scoped.put(b"1", PNG)
        assert scoped.put(b"1", PNG) == ref
        assert scoped.take_pending_attachment_ids() == (ref.id,)

    def test_refuses_what_is_no_attachment(self, world: World) -> None:
        """Bad bytes or meta are InvalidArgument, and leave no row."""
        scoped = scoped_to(world)
        with pytest.raises(InvalidArgument):
            scoped.put("text", PNG)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument):
            scoped.put(b"data", "image/png")  # type: ignore[arg-type]
        assert rows(world) == []
        assert scoped.take_pending_attachment_ids() == ()

    def test_does_not_find_unknown_bytes(self, world: World) -> None:
        """An unknown id raises AttachmentNotFound."""
        scoped = scoped_to(world)
        with pytest.raises(AttachmentNotFound):
            scoped.get("0" * 64)


class TestIntentForAnotherSession(Conformance):
    """Rows of another session than the handle's."""

    requires = frozenset({Capability.ATTACHMENTS})

    def test_is_recorded_there(self, world: World) -> None:
        """An intent and a commit of references name their session, whatever the handle is bound to."""
        world.store.create_session(OTHER)
        world.session.record_intent(AttachmentIntent("a", OTHER, "uri", 7))
        world.session.record_intent(AttachmentIntent("b", OTHER, "uri", 7))
        world.session.commit_refs(OTHER, ("a",))
        assert rows(world) == []
        assert rows(world, OTHER) == ["b"]
