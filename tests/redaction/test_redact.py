"""A redaction leaves nothing of what it was told to remove, and everything else as it was."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from localstore import (
    AsyncLocalStore,
    AttachmentCreateMeta,
    BackendError,
    CancelByInputId,
    FullGraph,
    HydratedSessionCheckpoint,
    InputNotFound,
    InvalidArgument,
    LeaseOwnerIdentity,
    LocalStore,
    NextTurn,
    PendingTurnInputDraft,
    RedactedKind,
    SessionExecutionLeaseHeld,
    SessionNotFound,
    SpareReason,
    SuffixOutcomes,
    TurnInput,
)
from localstore.disk import fold as folding
from localstore.disk import housekeeping
from localstore.disk.check import check_store
from localstore.disk.system import system
from localstore.testing import OTHER, SESSION, next_input, node, said, stamped
from localstore.testing.builders import append_commit
from tests.cli.sample import dead_owner
from tests.folders import tree
from tests.history.living import HOUR, Living, nodes
from tests.redaction.secretive import BINARY, SECRET, everything, fill, holding, summary

PLAIN = "sk-live-4711"
CHILD = "child"


def blurred(text: str) -> str:
    """`text` without what a redaction changes: the secret, addresses, and the numbers of waiting entries."""
    for gone in (PLAIN, "*" * len(PLAIN), "[redacted]"):
        text = text.replace(gone, "<secret>")
    return re.sub(r"enqueue_seq=\d+", "", re.sub(r"'[0-9a-f]{64}'", "<ref>", text))


class TestEverywhere:
    @pytest.mark.parametrize("secret", [PLAIN, SECRET])
    def test_nothing_of_it_is_left(self, live: Living, secret: str) -> None:
        fill(live, secret)
        for _ in range(2):
            report = live.store.redact(secret, apply=True)
            assert report.is_complete
            assert secret not in everything(live.session)
            assert live.store.redact(secret).count == 0
            if live.is_on_files:
                assert holding(live.root, secret) == []
            live.reopen()

    def test_all_else_is_as_it_was(self, live: Living) -> None:
        fill(live, PLAIN)
        before, row = everything(live.session), live.store.list_sessions()[0]
        cursor = live.session.changes().cursor
        live.store.redact(PLAIN, apply=True)
        for _ in range(2):
            assert blurred(everything(live.session)) == blurred(before)
            again = live.store.list_sessions()[0]
            same = ("updated_at_ms", "created_at_ms", "user_message_count", "node_count", "head_revision")
            assert [getattr(again, name) for name in same] == [getattr(row, name) for name in same]
            assert again.first_user_message == "my key is [redacted], [redacted]"
            assert live.session.changes(cursor).changes == ()
            live.reopen()
        assert live.append(node("next", "c")) == row.head_revision + 1
        assert [change.ids for change in live.session.changes(cursor).changes if change.revision] == [("next",)]

    def test_it_says_where(self, live: Living) -> None:
        fill(live)
        report = live.store.redact(SECRET)
        (told,) = report.sessions
        assert {place.kind for place in (*told.places, *report.shared)} == set(RedactedKind) - {RedactedKind.FILE}
        counts = {place.id: place.count for place in told.places if place.kind is RedactedKind.NODE}
        assert counts == {"0": 1, "a": 2, "b": 3}
        for place in told.places:
            assert (place.new_id is not None) == (place.kind in {RedactedKind.VALUE, RedactedKind.CHECKPOINT})
        applied = live.store.redact(SECRET, apply=True)
        assert [replace(each, applied=False) for each in applied.sessions] == [told]
        assert (applied.shared, applied.applied) == (report.shared, True)

    def test_a_dry_run_changes_no_byte(self, on_files: Living, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(housekeeping, "VIEW_DELAY_S", 0.0)  # else views of `fill` follow it
        fill(on_files)
        before = tree(on_files.root)
        on_files.store.redact(SECRET)
        on_files.session.redact(SECRET)
        assert tree(on_files.root) == before

    def test_twice_is_once(self, on_files: Living) -> None:
        fill(on_files)
        on_files.store.redact(SECRET, apply=True)
        before = tree(on_files.root)
        assert on_files.store.redact(SECRET, apply=True).count == 0
        assert tree(on_files.root) == before

    def test_where_nothing_matches_nothing_changes(self, live: Living) -> None:
        fill(live)
        live.session.checkpoint()
        before = everything(live.session)
        report = live.store.redact("nowhere", apply=True)
        assert (report.count, report.sessions, report.is_complete) == (0, (), True)
        assert everything(live.session) == before

    def test_one_session_alone(self, live: Living) -> None:
        fill(live)
        other = live.store.create_session(OTHER)
        live.append(said("o", None, SECRET), session=other)
        assert live.store.redact(SECRET, session_ids=[OTHER], apply=True).count == 1
        assert SECRET not in everything(other)
        assert live.session.redact(SECRET).count == live.session.redact(SECRET, apply=True).count > 0
        assert live.session.redact(SECRET).count == 0
        with pytest.raises(SessionNotFound):
            live.store.redact(SECRET, session_ids=[SESSION, "nobody"], apply=True)

    def test_the_async_face_does_the_same(self, on_files: Living) -> None:
        async def both() -> tuple[int, int]:
            async with AsyncLocalStore(on_files.root, clock=on_files.clock) as store:
                session = await store.open_session(SESSION)
                assert session is not None
                preview = await session.redact(SECRET)
                report = await store.redact(SECRET, apply=True)
                return preview.count, report.sessions[0].count

        fill(on_files)
        counts = asyncio.run(both())
        assert counts[0] == counts[1] > 0
        assert holding(on_files.root) == []


class TestWhatItMatches:
    def test_a_regular_expression(self, live: Living) -> None:
        live.append(said("a", None, "key sk-12 and\nsk-345"), node("b", "a", payload={"kind": "event", "n": "sk-"}))
        report = live.store.redact(r"sk-\d+$", regex=True, replacement="K", apply=True)
        assert report.count == 1
        read = live.session.load_session(FullGraph())
        assert read is not None
        assert read.graph.nodes[0].payload["content"] == "key sk-12 and\nK"

    @pytest.mark.parametrize(
        ("pattern", "regex", "replacement"),
        [
            ("", False, "x"),
            ("", True, "x"),
            ("(", True, "x"),
            ("a*", True, "x"),
            ("redacted", False, "[redacted]"),
            (r"\w", True, "x"),
            ("\ud800", False, "x"),
            (3, False, "x"),
            ("a", False, None),
            ("a", "yes", "x"),
        ],
    )
    def test_what_is_no_pattern(self, live: Living, pattern: str, regex: bool, replacement: str) -> None:
        live.append(said("a", None, "a redacted text"))
        for call in (live.store.redact, live.session.redact):
            with pytest.raises(InvalidArgument):
                call(pattern, regex=regex, replacement=replacement, apply=True)

    def test_what_its_replacement_makes_anew(self, live: Living) -> None:
        live.append(said("a", None, "sesecretcret"))
        assert live.store.redact("secret", replacement="", apply=True).count == 2
        assert summary(live.store) == ""
        live.append(said("b", "a", "x1"))
        with pytest.raises(InvalidArgument):
            live.store.redact("(?<=x).", regex=True, replacement="y", apply=True)
        assert nodes(live.session) == ["a", "b"]

    def test_keys_and_numbers(self, live: Living) -> None:
        payload = {"kind": "event", "12": 1, "x12": 12, "[redacted]": 120, "1": {"f": 1.5, "d": [12, True, None]}}
        live.append(node("a", payload=payload))
        live.store.redact("12", apply=True)
        read = live.session.load_session(FullGraph())
        assert read is not None
        assert read.graph.nodes[0].payload == {
            "kind": "event",
            "[redacted]-2": 1,
            "x[redacted]": "[redacted]",
            "[redacted]": 120,
            "1": {"f": 1.5, "d": ["[redacted]", True, None]},
        }

    def test_keys_of_values_are_never_lost(self, live: Living) -> None:
        parts = {"secret": 1, "[redacted]": 2}
        live.append(node("a"), checkpoint=HydratedSessionCheckpoint(tool_state=parts))
        live.store.redact("secret", apply=True)
        read = live.session.load_session(FullGraph())
        assert read is not None
        assert read.checkpoint.tool_state == {"[redacted]-2": 1, "[redacted]": 2}

    def test_json_of_others_stays_as_they_wrote_it(self, live: Living) -> None:
        state = b'{ "big": 123456789012345678901234567890, "a": "\\u00e9 se\\u0063ret", "n": 42 }\n'
        live.append(node("a"), checkpoint=HydratedSessionCheckpoint(execution_state=state))
        live.store.redact("secret", apply=True)
        read = live.session.load_session(FullGraph())
        assert read is not None
        expected = b'{ "big": 123456789012345678901234567890, "a": "\xc3\xa9 [redacted]", "n": 42 }\n'
        assert read.checkpoint.execution_state == expected

    def test_roles_count_as_they_are_then(self, live: Living) -> None:
        live.append(said("a", None, "one"), said("b", "a", "two", role="tool"), said("c", "b", "three"))
        live.store.redact("user", replacement="U", apply=True)
        row = live.store.list_sessions()[0]
        assert (row.user_message_count, row.first_user_message, row.node_count) == (0, None, 3)
        live.store.redact("tool", replacement="user", apply=True)
        row = live.store.list_sessions()[0]
        assert (row.user_message_count, row.first_user_message) == (1, "two")

    def test_a_match_that_the_summary_cuts(self, live: Living) -> None:
        live.append(said("a", None, "x" * 16_380 + PLAIN))
        live.store.redact(PLAIN, apply=True)
        assert summary(live.store) == "x" * 16_380 + "[red"

    def test_values_that_become_equal_are_one(self, live: Living) -> None:
        for number, text in enumerate(["one secret", "other secret", "one [redacted]"]):
            state = HydratedSessionCheckpoint(tool_state=text * 2_000)
            live.append(node(f"n{number}"), checkpoint=state)
        live.session.gc_unreachable()
        live.append(node("n3"), checkpoint=HydratedSessionCheckpoint(tool_state="one secret" * 2_000))
        live.store.redact("secret", apply=True)
        read = live.session.load_session(FullGraph())
        assert read is not None
        assert read.checkpoint.tool_state == "one [redacted]" * 2_000
        assert live.session.gc_unreachable().retained_blob_count == 2


class TestWhatFollows:
    def test_a_turn_that_is_tried_again_gives_the_new_checkpoint(self, live: Living) -> None:
        lease = live.lease(live.session)
        commit = stamped(
            append_commit(
                said("a", None, SECRET),
                checkpoint=HydratedSessionCheckpoint(tool_state=SECRET),
                session_execution_lease=lease.fence(),
                release_session_execution_lease=lease.completion(),
            )
        )
        first = live.session.commit_runtime_state(commit)
        live.store.redact(SECRET, apply=True)
        again = live.session.commit_runtime_state(commit)
        read = live.session.load_session(FullGraph())
        assert read is not None
        assert (again.head_revision, again.checkpoint_ref) == (1, read.checkpoint_ref)
        assert again.checkpoint_ref != first.checkpoint_ref
        assert again.manifest.tool_state_ref == read.checkpoint.tool_state_ref
        assert live.session.rewind(None).head_revision == 2

    def test_waiting_input_keeps_its_order(self, live: Living) -> None:
        for text in ("one", f"two {SECRET}", "three"):
            live.session.enqueue_pending_turn_input(next_input(text, input_id=text[:3]))
        live.session.cancel_pending_turn_input(SESSION, "thr")
        live.session.enqueue_pending_turn_input(next_input("four", input_id="fou"))
        live.store.redact(SECRET, apply=True)
        for _ in range(2):
            waiting = live.session.list_pending_turn_inputs(SESSION)
            assert [item.input_id for item in waiting] == ["one", "two", "fou"]
            assert [item.enqueue_seq for item in waiting] == [1, 5, 7]
            live.reopen()
        live.session.enqueue_pending_turn_input(next_input("five", input_id="fiv"))
        lease = live.lease(live.session)
        claim = live.session.claim_next_turn_inputs(SESSION, lease.fence(), lease.owner, HOUR, 9)
        assert claim is not None
        assert [item.input_id for item in claim.inputs] == ["one", "two", "fou", "fiv"]
        live.session.abandon_turn_input_claim(claim)
        suffix = live.session.cancel_pending_turn_input_suffix(SESSION, CancelByInputId("two"))
        assert isinstance(suffix, SuffixOutcomes)
        cancelled = ["two", "thr", "fou", "fiv"]
        told = [outcome.input.input_id for outcome in suffix.outcomes if not isinstance(outcome, InputNotFound)]
        assert told == cancelled

    def test_waiting_input_with_an_image_that_changes_gets_a_new_number(self, live: Living) -> None:
        for name, image in (("one", b"plain"), ("two", BINARY + SECRET.encode()), ("three", b"plain")):
            given = TurnInput.text(name).with_image_ref("i", image)
            draft = PendingTurnInputDraft(SESSION, NextTurn(), given, input_id=name)
            live.session.enqueue_pending_turn_input(draft)
        live.store.redact(SECRET, apply=True)
        waiting = live.session.list_pending_turn_inputs(SESSION)
        assert [(item.input_id, item.enqueue_seq) for item in waiting] == [("one", 1), ("two", 4), ("three", 5)]

    def test_a_held_session_is_spared(self, live: Living) -> None:
        fill(live)
        lease = live.lease(live.session)
        with pytest.raises(SessionExecutionLeaseHeld):
            live.session.redact(SECRET, apply=True)
        report = live.store.redact(SECRET, apply=True)
        assert [(item.session_id, item.reason) for item in report.spared] == [(SESSION, SpareReason.LEASE)]
        assert (report.is_complete, SECRET in everything(live.session)) == (False, True)
        assert live.store.redact(SECRET).count > 0
        live.session.release_session_execution_lease(lease.completion())
        assert live.store.redact(SECRET, apply=True).is_complete

    def test_a_dead_holder_holds_nothing(self, live: Living) -> None:
        fill(live)
        assert live.session.try_claim_session_execution_lease(SESSION, dead_owner(), HOUR).acquired() is not None
        assert live.store.redact(SECRET, apply=True).is_complete
        assert SECRET not in everything(live.session)

    def test_ids_stay_and_are_told(self, live: Living) -> None:
        live.append(said("SECRET-node", None, "SECRET"))
        live.session.create_branch("SECRET-branch")
        live.session.enqueue_pending_turn_input(next_input("x", source_key="SECRET-key"))
        report = live.store.redact("SECRET", apply=True)
        (told,) = report.sessions
        found = {(place.what, place.id) for place in told.left}
        assert found == {("node", "SECRET-node"), ("branch", "SECRET-branch"), ("source key", "SECRET-key")}
        assert (report.is_complete, told.count, nodes(live.session)) == (False, 1, ["SECRET-node"])

    def test_ids_in_what_happened_before_a_fork_are_told_of_the_child_too(self, live: Living) -> None:
        owner = LeaseOwnerIdentity.opaque("SECRET-owner", "1")
        lease = live.session.try_claim_session_execution_lease(SESSION, owner, HOUR).acquired()
        assert lease is not None
        live.session.release_session_execution_lease(lease.completion())
        live.session.fork(CHILD)
        told = {
            each.session_id: [(place.what, place.id) for place in each.left]
            for each in live.store.redact("SECRET").sessions
        }
        assert told == {each: [("change", "SECRET-owner")] for each in (SESSION, CHILD)}

    def test_attachments_that_match_are_told(self, live: Living) -> None:
        ref = live.store.attachments.put(b"a SECRET thing", AttachmentCreateMeta("text/plain", label="SECRET"))
        report = live.store.redact("SECRET", apply=True)
        assert [place.id for place in report.shared] == [place.id for place in report.left] == [ref.id]
        assert live.store.attachments.get(ref.id).meta.label == "[redacted]"


class TestOtherCopies:
    def test_forks(self, live: Living) -> None:
        fill(live)
        child = live.session.fork(CHILD)
        live.session.redact(SECRET, apply=True)
        assert SECRET in everything(child)
        assert SECRET not in everything(live.session)
        live.store.redact(SECRET, apply=True)
        assert SECRET not in everything(child)
        if live.is_on_files:
            assert holding(live.root) == []
        live.reopen()
        assert nodes(live.handle(CHILD)) == nodes(live.session) == ["0", "a0", "a", "c"]

    def test_the_trash(self, live: Living) -> None:
        fill(live)
        live.store.delete_session(SESSION)
        (entry,) = live.store.trash()
        preview = live.store.redact(SECRET)
        (told,) = live.store.redact(SECRET, apply=True).sessions
        assert (told.deleted_at_ms, told.places) == (entry.deleted_at_ms, preview.sessions[0].places)
        if live.is_on_files:
            assert holding(live.root) == []
            assert check_store(live.root).errors == ()
        (again,) = live.store.trash()
        assert (again.session_name, again.deleted_at_ms) == ("about [redacted]", entry.deleted_at_ms)
        assert live.store.redact(SECRET).count == 0
        assert live.store.list_sessions() == ()
        restored = live.store.restore_session(SESSION)
        assert SECRET not in everything(restored)
        assert nodes(restored) == ["0", "a0", "a", "c"]

    def test_what_was_superseded(self, on_files: Living) -> None:
        fill(on_files)
        on_files.session.checkpoint()
        on_files.session.tombstone_nodes(["a", "0"])
        on_files.session.vacuum()
        on_files.session.gc_unreachable()
        on_files.store.redact(SECRET, apply=True)
        assert holding(on_files.root) == []

    def test_a_value_that_came_and_went_between_two_folds(self, on_files: Living) -> None:
        on_files.append(node("a"), checkpoint=HydratedSessionCheckpoint(tool_state=SECRET))
        on_files.append(node("b"))
        on_files.session.gc_unreachable()
        on_files.reopen()
        assert holding(on_files.root) != []
        assert [place.kind for place in on_files.session.redact(SECRET, apply=True).places] == [RedactedKind.VALUE]
        assert holding(on_files.root) == []

    def test_what_only_the_files_still_have(self, on_files: Living) -> None:
        on_files.append(node("a"), checkpoint=HydratedSessionCheckpoint(tool_state=SECRET))
        on_files.append(node("b"))
        on_files.session.enqueue_pending_turn_input(next_input(SECRET, input_id="i"))
        on_files.session.checkpoint()
        on_files.session.gc_unreachable()
        report = on_files.store.redact(SECRET, apply=True)
        places = [(place.kind, place.new_id) for place in report.sessions[0].places]
        assert places[:2] == [(RedactedKind.VALUE, None), (RedactedKind.INPUT, None)]
        assert {kind for kind, _ in places[2:]} <= {RedactedKind.FILE}
        assert holding(on_files.root) == []

    def test_what_a_fork_has_of_its_parent_and_never_shows(self, on_files: Living) -> None:
        on_files.append(node("a"))
        on_files.session.enqueue_pending_turn_input(next_input(SECRET, input_id="i"))
        on_files.session.cancel_pending_turn_input(SESSION, "i")
        child = on_files.session.fork(CHILD)
        on_files.store.delete_session(SESSION)
        on_files.store.purge(everything=True)
        assert holding(on_files.root) != []
        assert child.redact(SECRET, apply=True).count == 1
        assert holding(on_files.root) == []
        assert nodes(child) == ["a"]

    def test_leftovers_and_what_was_set_aside(self, on_files: Living) -> None:
        fill(on_files)
        on_files.store.redact(SECRET, apply=True)
        (folder,) = (on_files.root / "sessions").iterdir()
        (folder / "blobs" / ("ab" * 32)).write_bytes(SECRET.encode())
        (folder / "quarantine").mkdir(mode=0o700)
        set_aside = folder / "quarantine" / f"head.json.{'0' * 16}.bad"
        set_aside.write_bytes(orjson.dumps({"x": SECRET}))
        harmless = folder / "quarantine" / f"head.json.{'1' * 16}.bad"
        harmless.write_bytes(b"nothing")
        mine = folder / "notes.txt"
        mine.write_text(SECRET)
        for path in (set_aside, harmless):
            path.chmod(0o600)
        (told,) = on_files.store.redact(SECRET).sessions
        assert {place.id for place in told.places} == {f"blobs/{'ab' * 32}", f"quarantine/{set_aside.name}"}
        assert [place.id for place in told.left] == ["notes.txt"]
        (applied,) = on_files.store.redact(SECRET, apply=True).sessions
        assert (applied.places, applied.left) == (told.places, told.left)
        assert holding(on_files.root) == [str(mine.relative_to(on_files.root))]
        assert harmless.exists()

    def test_what_was_set_aside_and_cannot_be_read_stays(
        self, on_files: Living, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(on_files)
        (folder,) = (on_files.root / "sessions").iterdir()
        (folder / "quarantine").mkdir(mode=0o700)
        unread = folder / "quarantine" / f"head.json.{'0' * 16}.bad"
        unread.write_bytes(b"who knows")
        unread.chmod(0o600)
        read_file = system.read_file

        def refuse(path: str, *limit: int) -> bytes:
            if path == str(unread):
                raise BackendError(f"cannot read {path}")
            return read_file(path, *limit)

        monkeypatch.setattr(system, "read_file", refuse)
        (told,) = on_files.store.redact(SECRET, apply=True).sessions
        assert [place.id for place in told.left] == [f"quarantine/{unread.name}"]
        assert unread.exists()

    def test_a_backup_that_is_made_again(self, on_files: Living, tmp_path: Path) -> None:
        fill(on_files)
        on_files.store.backup(tmp_path / "backup")
        on_files.store.redact(SECRET, apply=True)
        assert holding(tmp_path / "backup") != []
        on_files.store.backup(tmp_path / "backup")
        assert holding(tmp_path / "backup") == []
        assert check_store(tmp_path / "backup").errors == ()

    def test_what_was_set_aside_at_the_root(self, on_files: Living) -> None:
        fill(on_files)
        on_files.store.redact(SECRET, apply=True)
        where = on_files.root / "quarantine"
        where.mkdir(mode=0o700, exist_ok=True)
        for name, content in (("0", SECRET), ("1", "nothing")):
            (where / f"x.{name * 16}.bad").write_text(content)
            (where / f"x.{name * 16}.bad").chmod(0o600)
        making = on_files.root / "sessions" / f"x.{'0' * 16}.tmp"
        making.mkdir()
        (making / "head.json").write_text(SECRET)
        for apply in (False, True):
            report = on_files.store.redact(SECRET, apply=apply)
            assert [place.id for place in report.shared] == [f"quarantine/x.{'0' * 16}.bad"]
            assert [place.id for place in report.left] == [f"sessions/{making.name}"]
        assert holding(on_files.root) == [f"sessions/{making.name}/head.json"]
        assert [path.name for path in where.iterdir()] == [f"x.{'1' * 16}.bad"]

    @pytest.mark.damaged
    def test_a_damaged_session_stops_no_other(self, on_files: Living) -> None:
        fill(on_files)
        other = on_files.store.create_session(OTHER)
        on_files.append(said("o", None, SECRET), session=other)
        on_files.store.close()
        for head in (on_files.root / "sessions").glob("session-1-*/head.json"):
            head.write_bytes(b"?")
        for file in (on_files.root / "sessions").glob("session-1-*/nodes/*"):
            file.write_bytes(b"?")
        with LocalStore(on_files.root) as store:
            report = store.redact(SECRET, apply=True)
            assert [each.session_id for each in report.unreadable] == [SESSION]
            assert [each.session_id for each in report.sessions] == [OTHER]
            assert not report.is_complete

    def test_a_receipt_says_what_happened_and_not_what_it_was(self, on_files: Living) -> None:
        fill(on_files, PLAIN)
        (told,) = on_files.store.redact(PLAIN, apply=True).sessions
        (path,) = on_files.root.glob("sessions/*/redactions/*.json")
        fields = orjson.loads(path.read_bytes())
        assert fields["done"] is True
        assert sum(fields["counts"].values()) == told.count
        # The address of what was redacted would let a short secret be guessed.
        moved = [place.id for place in told.places if place.new_id]
        assert moved
        assert not any(said in path.read_text() for said in (PLAIN, *moved))

    def test_many_node_files(self, on_files: Living, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(folding, "FILE_BYTES", 2_000)
        fill(on_files)
        on_files.append(*(said(f"n{number}", None, f"{number} {SECRET}") for number in range(50)))
        on_files.store.redact(SECRET, apply=True)
        assert len(list(on_files.root.glob("sessions/*/nodes/*"))) > 5
        assert holding(on_files.root) == []
        on_files.reopen()
        assert len(nodes(on_files.session)) == 54

    def test_another_handle_goes_on(self, on_files: Living) -> None:
        fill(on_files)
        with LocalStore(on_files.root, clock=on_files.clock) as beside:
            session = beside.open_session(SESSION)
            assert session is not None
            assert SECRET in everything(session)
            on_files.store.redact(SECRET, apply=True)
            assert SECRET not in everything(session)
            session.enqueue_pending_turn_input(next_input("later"))
        assert on_files.session.list_pending_turn_inputs(SESSION)[-1].enqueue_seq == 7
