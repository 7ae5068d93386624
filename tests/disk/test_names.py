import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localstore.contract.errors import InvalidArgument
from localstore.disk import names
from localstore.disk.names import EntryKind, Place, classify

SHA = "0123456789abcdef" * 4
WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
any_text = st.text(st.characters(), max_size=1000)
sequence = st.integers(0, names.MAX_SEQ)


@given(any_text)
def test_session_folder_is_one_portable_name(session_id):
    name = names.session_dirname(session_id)
    assert re.fullmatch(r"[a-z0-9_]([a-z0-9_-]{0,38}[a-z0-9_])?-[0-9a-f]{16}", name)
    slug = name[:-17]
    assert not WINDOWS_DEVICES.fullmatch(slug)
    assert classify(name, True, Place.SESSIONS) is EntryKind.SESSION


@pytest.mark.parametrize(
    "session_id, slug",
    [
        ("Fix the parser", "fix-the-parser"),
        ("../../etc/passwd", "etc-passwd"),
        ("a\0b", "a-b"),
        ("CON", "con_"),
        ("com\N{SUPERSCRIPT ONE}", "com1_"),
        ("nul.txt", "nul-txt"),
        ("Ünïcode Ｗide", "unicode-wide"),
        ("日本語", "session"),
        ("...", "session"),
        ("-x-", "x"),
        ("a_b", "a_b"),
        ("x" * 1000, "x" * 40),
        ("y" * 39 + "-z", "y" * 39),
        ("\ud800", "session"),
    ],
)
def test_readable_part_of_a_session_folder(session_id, slug):
    assert names.session_dirname(session_id)[:-17] == slug


def test_ids_that_look_alike_have_folders_of_their_own():
    ids = ["a", "A", "a ", "a.", "a/", "./a", "ａ", "á", "a\N{COMBINING ACUTE ACCENT}", "a\0", "x" * 999, "x" * 1000]
    folded = {names.session_dirname(session_id).lower() for session_id in ids}
    assert len(folded) == len(ids)


@given(sequence, any_text)
def test_spool_entry_names_parse_back(seq, ident):
    name = names.spool_entry(seq, ident)
    parsed = names.parse_spool_entry(name)
    assert parsed is not None
    assert parsed[0] == seq
    assert name == name.lower()
    assert len(name) <= 100
    if re.fullmatch(r"[a-z0-9_]{1,64}", ident):
        assert parsed[1] == ident
    for place in (Place.INPUTS, Place.WORK):
        assert classify(name, False, place) is EntryKind.SPOOL_ENTRY


def test_uuids_stay_readable_in_spool_entries():
    ident = "9f0c2f6e-1c5b-4a8e-9d7e-0123456789ab"
    assert names.spool_entry(7, ident) == f"0000000000000007-{ident}.json"
    assert names.parse_spool_entry(f"0000000000000007-{ident}.json") == (7, ident)


def test_id_that_imitates_a_hashed_one_gets_a_name_of_its_own():
    victim = "Some Id"
    parsed = names.parse_spool_entry(names.spool_entry(1, victim))
    assert parsed is not None
    imitation = parsed[1]
    assert names.spool_entry(1, imitation) != names.spool_entry(1, victim)


@given(st.lists(sequence, max_size=20))
def test_names_sort_as_their_numbers_do(numbers):
    journals = [names.journal(number) for number in numbers]
    assert [names.parse_journal(name) for name in sorted(journals)] == sorted(numbers)


@given(any_text)
def test_parsers_take_any_text(name):
    for parsed in (
        names.parse_journal(name),
        names.parse_spool_entry(name),
        names.parse_node_file(name),
        names.parse_aside(name),
    ):
        assert parsed is None
    for place in Place:
        for is_dir in (False, True):
            assert isinstance(classify(name, is_dir, place), EntryKind)


@pytest.mark.parametrize(
    "name",
    [
        "1.journal",
        "0000000000000001.journal.tmp",
        "000000000000000١.journal",
        "0000000000000001.JOURNAL",
        "9999999999999999.journal",
        "-000000000000001.journal",
        "0000000000000001.journal\n",
    ],
)
def test_what_is_nearly_a_journal_is_none(name):
    assert names.parse_journal(name) is None
    assert classify(name, False, Place.SESSION) is EntryKind.FOREIGN


@pytest.mark.parametrize("build", [names.node_file, names.blob, names.attachment, names.attachment_row])
@pytest.mark.parametrize("sha", ["", "../" + SHA[3:], SHA.upper(), SHA[:-1], SHA + "0", SHA + "\n"])
def test_only_a_sha256_becomes_a_name(build, sha):
    with pytest.raises(InvalidArgument):
        build(sha)


@pytest.mark.parametrize("seq", [-1, names.MAX_SEQ + 1])
def test_only_a_sequence_number_becomes_a_name(seq):
    with pytest.raises(InvalidArgument):
        names.journal(seq)
    with pytest.raises(InvalidArgument):
        names.spool_entry(seq, "a")


OWN = [
    (names.STORE, False, Place.ROOT, EntryKind.STORE),
    (names.ATTACHMENTS, True, Place.ROOT, EntryKind.ATTACHMENTS),
    (names.TRASH, True, Place.ROOT, EntryKind.TRASH),
    (names.SESSIONS, True, Place.ROOT, EntryKind.SESSIONS),
    (names.QUARANTINE, True, Place.ROOT, EntryKind.QUARANTINE),
    (names.attachment_shard(SHA), True, Place.ATTACHMENTS, EntryKind.ATTACHMENT_SHARD),
    (names.attachment(SHA), False, Place.ATTACHMENT_SHARD, EntryKind.ATTACHMENT),
    (names.attachment_row(SHA), False, Place.ATTACHMENT_SHARD, EntryKind.ATTACHMENT_ROW),
    (names.aside(names.attachment(SHA)), False, Place.ATTACHMENT_SHARD, EntryKind.ATTACHMENT_ASIDE),
    (names.aside(names.attachment_row(SHA)), False, Place.ATTACHMENT_SHARD, EntryKind.ATTACHMENT_ASIDE),
    (names.session_dirname("A session"), True, Place.SESSIONS, EntryKind.SESSION),
    (names.TRASH_LOCK, False, Place.TRASH, EntryKind.TRASH_LOCK),
    (names.trashed(names.session_dirname("A session"), 1_767_225_600_000), True, Place.TRASH, EntryKind.TRASHED),
    (names.META, False, Place.SESSION, EntryKind.META),
    (names.HEAD, False, Place.SESSION, EntryKind.HEAD),
    (names.LEASE, False, Place.SESSION, EntryKind.LEASE),
    (names.RECEIPT, False, Place.SESSION, EntryKind.RECEIPT),
    (names.LOCK, False, Place.SESSION, EntryKind.LOCK),
    (names.NODES, True, Place.SESSION, EntryKind.NODES),
    (names.BLOBS, True, Place.SESSION, EntryKind.BLOBS),
    (names.INPUTS, True, Place.SESSION, EntryKind.INPUTS),
    (names.WORK, True, Place.SESSION, EntryKind.WORK),
    (names.QUARANTINE, True, Place.SESSION, EntryKind.QUARANTINE),
    (names.journal(12), False, Place.SESSION, EntryKind.JOURNAL),
    (names.node_file(SHA), False, Place.NODES, EntryKind.NODE_FILE),
    (names.blob(SHA), False, Place.BLOBS, EntryKind.BLOB),
    (names.spool_entry(3, "turn-1"), False, Place.INPUTS, EntryKind.SPOOL_ENTRY),
    (names.spool_entry(3, "Turn 1"), False, Place.WORK, EntryKind.SPOOL_ENTRY),
    ("0000000000000012.journal.0123456789abcdef.bad", False, Place.QUARANTINE, EntryKind.QUARANTINED),
]


@pytest.mark.parametrize("name, is_dir, place, kind", OWN)
def test_every_name_of_ours_is_known_in_its_place_alone(name, is_dir, place, kind):
    assert classify(name, is_dir, place) is kind
    assert classify(name, not is_dir, place) is EntryKind.FOREIGN
    # There is a quarantine in the root, and one in each session.
    elsewhere = {classify(name, is_dir, other) for other in Place if (name, is_dir, other, kind) not in OWN}
    assert elsewhere <= {EntryKind.FOREIGN, EntryKind.BLOB, EntryKind.ATTACHMENT, EntryKind.SPOOL_ENTRY}
    assert classify(names.temporary(name), is_dir, place) is EntryKind.TEMPORARY


def conflicted(name: str) -> list[str]:
    stem, extension = os.path.splitext(name)
    return [
        f"{stem} (Ann's conflicted copy 2024-05-01){extension}",
        f"{stem} (In Konflikt stehende Kopie 2024-05-01){extension}",
        f"{stem} (conflicted copy 2024-05-01 120000){extension}",
        f"{stem}.sync-conflict-20240501-120000-ABCDEF7{extension}",
        f"{stem} 2{extension}",
        f"{stem} (1){extension}",
        f"{stem}(1){extension}",
        f"{stem} - Copy{extension}",
        f"{stem} - Copy (2){extension}",
        f"{stem} copy 3{extension}",
        f"{stem}_conflict-20240501-120000{extension}",
        f"{stem}.Conflict{extension}",
        f"{stem}-LAPTOP-7GH2{extension}",
        f"{name} (1)",
    ]


@pytest.mark.parametrize("name, is_dir, place, kind", OWN)
def test_conflicted_copies_of_our_files_are_told_from_foreign_ones(name, is_dir, place, kind):
    for copy in conflicted(name):
        if names.parse_spool_entry(copy) is not None:
            continue  # an id may look like that: only the content tells
        assert classify(copy, is_dir, place) is EntryKind.CONFLICTED_COPY, copy
    for copy in conflicted("notes.txt"):
        assert classify(copy, is_dir, place) is EntryKind.FOREIGN, copy


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "desktop.ini", "Thumbs.db", ".stfolder", ".syncthing.head.json.tmp", "head.json~", "x.tmp", "", "\n"],
)
def test_what_others_leave_in_a_folder_is_foreign(name):
    for place in Place:
        assert classify(name, False, place) is EntryKind.FOREIGN
        assert classify(name, True, place) is EntryKind.FOREIGN


def test_temporary_names_never_repeat():
    assert len({names.temporary("head.json") for _ in range(100)}) == 100


def test_names_in_the_quarantine_never_repeat():
    found = {names.quarantined(names.journal(12)) for _ in range(100)}
    assert len(found) == 100
    assert {classify(name, False, Place.QUARANTINE) for name in found} == {EntryKind.QUARANTINED}


@given(any_text, st.integers(0, names.MAX_SEQ))
def test_names_in_the_trash_tell_the_session_and_when_it_was_deleted(session_id, at_ms):
    dirname = names.session_dirname(session_id)
    assert names.parse_trashed(names.trashed(dirname, at_ms)) == (dirname, at_ms)
    assert names.parse_trashed(dirname) is None
    with pytest.raises(InvalidArgument):
        names.trashed(dirname, names.MAX_SEQ + 1)


@given(any_text, any_text)
def test_a_folder_tells_whose_it_can_be(session_id, other):
    dirname = names.session_dirname(session_id)
    for name in (dirname, names.trashed(dirname, 7), names.temporary(dirname)):
        assert names.belongs_to(name, session_id)
        assert names.belongs_to(name, other) == (session_id == other)
    assert names.belongs_to("a copy of it", session_id)


@pytest.mark.parametrize("name", [names.attachment(SHA), names.attachment_row(SHA)])
def test_what_was_put_aside_tells_where_it_belongs(name):
    assert names.parse_aside(names.aside(name)) == name
