"""Sweeping attachments: what nobody names goes, what anybody names stays."""

from __future__ import annotations

from dataclasses import replace

from ..backends import Capability
from ..builders import OTHER, PNG, SESSION, intent, node, unchanged_commit
from .attachments import is_stored, put, rows
from .world import HOUR, MAX_INTEGER, MINUTE, Conformance, World


class TestSweep(Conformance):
    """Sweeping attachments that nobody names."""

    requires = frozenset({Capability.ATTACHMENTS})

    def test_deletes_orphans(self, world: World) -> None:
        """Rows that were never committed go, and with them bytes that no other row names."""
        name = put(world, b"orphan")
        report = world.store.sweep_attachments(world.clock.now_ms())
        assert (report.deleted_attachment_ids, report.deleted_row_count) == ((name,), 1)
        assert rows(world) == []
        assert not is_stored(world, name)

    def test_keeps_what_is_committed(self, world: World) -> None:
        """Committed attachments stay, however old."""
        by_turn, by_hand = put(world, b"1"), put(world, b"2")
        world.settle(unchanged_commit(committed_attachment_ids=(by_turn,)))
        world.session.commit_refs(SESSION, (by_hand,))
        world.clock.advance(10_000 * HOUR)
        report = world.store.sweep_attachments(world.clock.now_ms())
        assert (report.deleted_attachment_ids, report.deleted_row_count) == ((), 0)
        assert is_stored(world, by_turn)
        assert is_stored(world, by_hand)

    def test_keeps_younger_intents(self, world: World) -> None:
        """Only rows whose intent is at or before the given time are orphans."""
        old = put(world, b"old")
        world.clock.advance(MINUTE)
        young = put(world, b"young")
        report = world.store.sweep_attachments(world.clock.now_ms() - 1)
        assert (report.deleted_attachment_ids, report.deleted_row_count) == ((old,), 1)
        assert is_stored(world, young)
        assert rows(world) == [young]

    def test_keeps_what_is_being_put_again(self, world: World) -> None:
        """An old orphan that is put again is as young as its latest intent."""
        name = put(world, b"again")
        world.clock.advance(10 * HOUR)
        assert put(world, b"again") == name
        report = world.store.sweep_attachments(world.clock.now_ms() - HOUR)
        assert (report.deleted_attachment_ids, report.deleted_row_count) == ((), 0)
        world.settle(unchanged_commit(committed_attachment_ids=(name,)))
        assert is_stored(world, name)

    def test_keeps_bytes_that_another_session_names(self, world: World) -> None:
        """Equal bytes in two sessions are one file, kept while any row of any session names it."""
        world.store.create_session(OTHER)
        name = put(world, b"shared")
        assert put(world, b"shared", OTHER) == name
        world.handle(OTHER).commit_refs(OTHER, (name,))
        report = world.store.sweep_attachments(world.clock.now_ms())
        assert (report.deleted_attachment_ids, report.deleted_row_count) == ((), 1)
        assert is_stored(world, name)
        world.handle(OTHER).forget(name)
        assert world.store.sweep_attachments(world.clock.now_ms()).deleted_attachment_ids == (name,)
        assert not is_stored(world, name)

    def test_keeps_bytes_that_a_younger_row_names(self, world: World) -> None:
        """An uncommitted but young row of another session keeps the bytes too."""
        world.store.create_session(OTHER)
        name = put(world, b"shared")
        world.clock.advance(MINUTE)
        put(world, b"shared", OTHER)
        report = world.store.sweep_attachments(world.clock.now_ms() - 1)
        assert (report.deleted_attachment_ids, report.deleted_row_count) == ((), 1)
        assert rows(world, OTHER) == [name]
        assert is_stored(world, name)

    def test_deletes_bytes_that_no_row_names(self, world: World) -> None:
        """Bytes whose rows are forgotten, and bytes that never had one, are deleted."""
        forgotten = put(world, b"forgotten")
        world.session.forget(forgotten)
        never = world.store.attachments.put(b"never named", PNG).id
        assert is_stored(world, forgotten)
        report = world.store.sweep_attachments(world.clock.now_ms())
        assert set(report.deleted_attachment_ids) == {forgotten, never}
        assert report.deleted_row_count == 0

    def test_deletes_bytes_of_deleted_sessions(self, world: World) -> None:
        """The rows of a deleted session are gone, so its bytes go with the next sweep; where a trash keeps it, then."""
        world.store.create_session(OTHER)
        alone, shared = put(world, b"alone", OTHER), put(world, b"shared", OTHER)
        put(world, b"shared")
        world.session.commit_refs(SESSION, (shared,))
        world.handle(OTHER).commit_refs(OTHER, (alone, shared))
        world.store.delete_session(OTHER)
        purge = getattr(world.store, "purge", None)
        if purge is not None:
            assert world.store.sweep_attachments(world.clock.now_ms()).deleted_attachment_ids == ()
            purge(everything=True)
        assert world.store.sweep_attachments(world.clock.now_ms()).deleted_attachment_ids == (alone,)
        assert is_stored(world, shared)

    def test_deletes_rows_whose_bytes_never_came(self, world: World) -> None:
        """An intent without bytes is an orphan like any other."""
        world.session.record_intent(intent("0" * 64))
        assert world.store.sweep_attachments(world.clock.now_ms()).deleted_row_count == 1
        assert rows(world) == []

    def test_of_nothing_deletes_nothing(self, world: World) -> None:
        """Without attachments there is nothing to report, and sessions are left alone."""
        world.append(node("a"))
        before = world.everything()
        report = world.store.sweep_attachments(MAX_INTEGER)
        assert (report.deleted_attachment_ids, report.deleted_row_count) == ((), 0)
        assert world.everything() == before

    def test_lets_swept_bytes_be_put_again(self, world: World) -> None:
        """What was swept is stored anew by the next put, with its new meta."""
        name = put(world, b"data")
        world.store.sweep_attachments(world.clock.now_ms())
        again = world.store.attachments.put(b"data", replace(PNG, label="new"))
        assert (again.id, again.label) == (name, "new")
