import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from zlib import crc32

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localstore.contract.errors import (
    CorruptRecord,
    InvalidRecordSchemaVersion,
    MissingRecordSchemaVersion,
    RecordSchemaVersionError,
    UnsupportedRecordSchemaVersion,
)
from localstore.disk import keyindex, linescan, nodefile
from localstore.disk.lines import check_line, encode_line
from localstore.disk.linescan import intact_lines
from localstore.disk.nodefile import NodeFile, NodeLine, build_node_file, salvage_head, salvage_lines

HEAD = {"revision": 7}
RECORDS = [
    NodeLine(orjson.dumps({"kind": "record", "id": key, "text": "x" * (7 * number)}), number % 3, (key,))
    for number, key in enumerate(["n:a", "n:b", "i:c", "s:d", "n:e", "t:f"])
]
SHA, RAW = build_node_file(RECORDS, HEAD)
LINES = [encode_line(record.body).removesuffix(b"\n") for record in RECORDS]
OFFSETS = [RAW.index(line) for line in LINES]
ENDING = RAW.index(b'"kind":"file.index"') - 18
HEAD_AT = RAW.index(b'"kind":"file.head"') - 18
HEAD_END = RAW.index(b"\n", HEAD_AT)
CHANGES = [lambda byte: byte ^ 1, lambda byte: byte ^ 0x80, lambda byte: 10, lambda byte: 0, lambda byte: 0x3A]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / f"{SHA}.jsonl")


def put(path, raw):
    with open(path, "wb") as file:
        file.write(raw)


def changed(at, change):
    return RAW[:at] + bytes([change(RAW[at])]) + RAW[at + 1 :]


def examine(path):
    """Uses the file in every way: each either gives what was written or raises `CorruptRecord`. Returns what failed."""
    failed = set()
    try:
        file = NodeFile.open(path, SHA)
    except CorruptRecord:
        return {"open"}
    try:
        for record, line in zip(RECORDS, LINES, strict=True):
            try:
                assert file.lookup(record.keys[0]) == line
            except CorruptRecord:
                failed.add(record.keys[0])
        for kind in range(3):
            try:
                assert list(file.entries_of_kind(kind)) == OFFSETS[kind::3]
            except CorruptRecord:
                failed.add("kinds")
        try:
            assert list(file.lines()) == list(zip(OFFSETS, LINES, strict=True))
        except CorruptRecord:
            failed.add("lines")
        try:
            assert file.head_copy() == HEAD
        except CorruptRecord:
            failed.add("head")
        try:
            assert file.lookup("n:absent") is None
        except CorruptRecord:
            failed.add("absent")
        try:
            file.verify()
        except CorruptRecord:
            failed.add("verify")
    finally:
        file.close()
    return failed


def test_sound_file_fails_in_nothing(path):
    put(path, RAW)
    assert examine(path) == set()


@pytest.mark.parametrize("kept", [True, False], ids=["index kept", "index read"])
def test_every_changed_byte_is_noticed_or_harmless(path, monkeypatch, kept):
    monkeypatch.setattr(keyindex, "_ASKED_OFTEN", 0 if kept else 1000)
    for at in range(len(RAW)):
        for change in CHANGES:
            damaged = changed(at, change)
            if damaged == RAW:
                continue
            put(path, damaged)
            failed = examine(path)
            assert failed & {"open", "verify"}, at
            if at < ENDING:
                (number,) = [n for n, start in enumerate(OFFSETS) if start <= at <= start + len(LINES[n])]
                assert failed == {RECORDS[number].keys[0], "lines", "verify"}, at


def test_every_changed_byte_leaves_all_other_lines_to_be_saved():
    for at in range(len(RAW)):
        for change in CHANGES:
            damaged = changed(at, change)
            if damaged == RAW:
                continue
            expected = [
                (start, line) for start, line in zip(OFFSETS, LINES, strict=True) if not start <= at < start + len(line)
            ]
            saved, findings = salvage_lines(damaged)
            assert saved == expected, at
            assert any(finding.offset <= at < finding.offset + finding.size for finding in findings), at
            assert salvage_head(damaged) == (None if HEAD_AT <= at < HEAD_END else HEAD), at


def test_every_truncation_is_noticed_and_leaves_the_lines_before():
    for size in range(len(RAW)):
        saved, _ = salvage_lines(RAW[:size])
        expected = [(start, line) for start, line in zip(OFFSETS, LINES, strict=True) if start + len(line) <= size]
        assert saved == expected


def test_every_truncated_file_is_refused(path):
    for size in range(len(RAW)):
        put(path, RAW[:size])
        with pytest.raises(CorruptRecord):
            NodeFile.open(path, SHA)


@pytest.mark.parametrize("tail", [b"\n", b"\0", b"\0" * 4096, b"x", LINES[0] + b"\n", RAW])
def test_appended_bytes_are_noticed(path, tail):
    put(path, RAW + tail)
    assert examine(path) & {"open", "verify"}


def test_file_that_is_cut_while_it_is_open_is_noticed(path):
    for size in (0, 1, OFFSETS[3] + 5, ENDING, len(RAW) - 1):
        put(path, RAW)
        file = NodeFile.open(path, SHA)
        os.truncate(path, size)
        for record, line in zip(RECORDS, LINES, strict=True):
            with suppress(CorruptRecord):
                assert file.lookup(record.keys[0]) == line
        with pytest.raises(CorruptRecord):
            file.verify()
        if size < ENDING:
            with pytest.raises(CorruptRecord):
                list(file.lines())
        file.close()


def test_damage_is_told_with_its_offset(path):
    put(path, changed(OFFSETS[2] + 20, CHANGES[0]))
    file = NodeFile.open(path, SHA)
    for use in (lambda: file.lookup("i:c"), lambda: list(file.lines()), file.verify):
        with pytest.raises(CorruptRecord, match=f"offset {OFFSETS[2]} ") as caught:
            use()
        assert caught.value.path == path
    file.close()


def test_file_under_the_name_of_another_is_noticed_by_the_full_check(path):
    _, raw = build_node_file(RECORDS[1:], HEAD)
    put(path, raw)
    file = NodeFile.open(path, SHA)
    with pytest.raises(CorruptRecord, match="SHA-256"):
        file.verify()
    file.close()


# Files whose checksums hold, and that make no sense all the same.


def end_of(raw):
    start = raw.rindex(b"\n", 0, -1) + 1
    fields = orjson.loads(raw[start:])
    del fields["sum"]
    return raw[:start], fields


@pytest.mark.parametrize(
    "version, error",
    [(2, UnsupportedRecordSchemaVersion), ("1", InvalidRecordSchemaVersion), (None, MissingRecordSchemaVersion)],
)
def test_file_of_another_version_is_left_alone(path, version, error):
    before, fields = end_of(RAW)
    fields["version"] = version
    put(path, before + encode_line(orjson.dumps(fields)))
    with pytest.raises(error):
        NodeFile.open(path, SHA)


def test_record_that_the_last_line_counts_and_nobody_finds_is_missed(path):
    before, fields = end_of(RAW)
    fields["lines"] += 1
    put(path, before + encode_line(orjson.dumps(fields)))
    file = NodeFile.open(path, SHA)
    with pytest.raises(CorruptRecord, match="6 records, not 7"):
        list(file.lines())
    file.close()


numbers = st.integers(-2, 3) | st.sampled_from([ENDING, len(RAW), 10**6, 2**24, 2**48, 2**53, 2**63, 2**64 - 1])
odd = st.none() | st.booleans() | st.floats(0, 10) | st.text(max_size=2) | st.lists(numbers, max_size=4)


def use_in_every_way(path):
    with suppress(CorruptRecord, RecordSchemaVersionError):
        file = NodeFile.open(path, SHA)
        uses: list[Callable[[], Any]] = [
            lambda: list(file.lines()),
            lambda: list(file.entries_of_kind(1)),
            file.head_copy,
            file.verify,
        ]
        uses += [partial(file.candidates, key) for key in ("n:a", "n:b", "i:c", "s:d", "zz")]
        uses += [partial(file.line_at, at) for at in (-1, 0, ENDING, len(RAW), 2**63)]
        for use in uses:
            with suppress(CorruptRecord):
                use()
        file.close()


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_last_line_that_makes_no_sense_raises_nothing_else(tmp_path_factory, data):
    before, fields = end_of(RAW)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(fields)))
        if isinstance(fields[name], list) and fields[name] and data.draw(st.integers(0, 3)):
            at = data.draw(st.integers(0, len(fields[name]) - 1))
            before_it = fields[name][at] if type(fields[name][at]) is int else 0
            shift = data.draw(st.sampled_from([-60, -1, 1, 20, 64]))
            fields[name][at] = data.draw(numbers | st.just(min(before_it + shift, 2**63)))
        else:
            fields[name] = data.draw(numbers | odd)
    path = str(tmp_path_factory.getbasetemp() / "odd.jsonl")
    put(path, before + encode_line(orjson.dumps(fields)))
    use_in_every_way(path)


@settings(deadline=None, max_examples=200)
@given(st.binary(min_size=9, max_size=9), st.sampled_from([b"/" * 48, b"\n" * 48, b"\xff" * 48, b"}" * 48]))
def test_index_that_makes_no_sense_raises_nothing_else(tmp_path_factory, facts, filters):
    before, fields = end_of(RAW)
    page = keyindex._encoded(facts) + filters
    page += keyindex._encoded(keyindex._checksum(page, 0).to_bytes(3, "big"))
    at = fields["pages"][0]
    path = str(tmp_path_factory.getbasetemp() / "odd.jsonl")
    put(path, before[:at] + page + before[at + 64 :] + encode_line(orjson.dumps(fields)))
    use_in_every_way(path)


@pytest.mark.parametrize("text", [b"=" * 20, b"A" * 19 + b"=", b"\xff" * 20, b"A" * 20, b"/" * 20])
def test_entries_that_make_no_sense_raise_nothing_else(path, text, monkeypatch):
    monkeypatch.setattr(keyindex, "hash_key", lambda key: 0)
    before, fields = end_of(build_node_file([RECORDS[0]], HEAD)[1])
    pages_at, entries_at = fields["pages"][0], fields["entries"][0]
    page = keyindex._page(0, 0, [0], text)
    fields["entries"][2] = crc32(text)
    before = before[:pages_at] + page + before[pages_at + 64 : entries_at] + text + before[entries_at + 20 :]
    put(path, before + encode_line(orjson.dumps(fields)))
    use_in_every_way(path)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=700))
def test_any_bytes_are_refused_and_searched(tmp_path_factory, raw):
    path = str(tmp_path_factory.getbasetemp() / "odd.jsonl")
    put(path, raw)
    with pytest.raises(CorruptRecord):
        NodeFile.open(path, SHA)
    assert salvage_lines(raw)[0] == []
    assert salvage_head(raw) is None


def test_line_without_end_is_not_read_for_ever(path, monkeypatch):
    long = NodeLine(orjson.dumps({"kind": "record", "text": "x" * 40_000}), 1, ("n:long",))
    sha, raw = build_node_file([long], HEAD)
    put(path, raw)
    monkeypatch.setattr(linescan, "MAX_LINE", 10_000)
    monkeypatch.setattr(linescan, "_CHUNK", 1000)
    monkeypatch.setattr(nodefile, "MAX_LINE", 10_000)
    file = NodeFile.open(path, sha)
    with pytest.raises(CorruptRecord, match="no end"):
        file.lookup("n:long")
    with pytest.raises(CorruptRecord, match="longer than"):
        list(file.lines())
    file.close()


# Salvage.


def lines_of(*bodies):
    return [encode_line(body) for body in bodies]


def test_intact_file_is_salvaged_without_findings():
    saved, findings = salvage_lines(RAW)
    assert saved == list(zip(OFFSETS, LINES, strict=True))
    assert findings == []
    assert salvage_head(RAW) == HEAD


def test_wiped_stretch_costs_only_the_lines_it_touches():
    start, end = OFFSETS[1] + 30, OFFSETS[4] - 1
    for filler in (b"\0", b"\xff", b"\n", b"{"):
        damaged = RAW[:start] + filler * (end - start) + RAW[end:]
        saved, findings = salvage_lines(damaged)
        assert [offset for offset, _ in saved] == [OFFSETS[0], OFFSETS[4], OFFSETS[5]]
        assert findings[0].offset == OFFSETS[1]


def test_lost_stretch_costs_only_the_lines_it_touches():
    damaged = RAW[: OFFSETS[1] + 30] + RAW[OFFSETS[3] + 25 :]
    saved, _ = salvage_lines(damaged)
    assert [line for _, line in saved] == [LINES[0], LINES[4], LINES[5]]


def test_lines_that_ran_together_are_parted():
    for joint in (b" ", b"\r", b"\0", b":", b"}"):
        saved, findings = intact_lines(joint.join(LINES) + b"\n")
        assert [line for _, line in saved] == LINES
        assert [finding.size for finding in findings] == [1] * (len(LINES) - 1)


def test_line_ends_of_another_system_cost_no_line():
    saved, findings = salvage_lines(RAW.replace(b"\n", b"\r\n"))
    assert [line for _, line in saved] == LINES
    assert {finding.size for finding in findings} == {1}


def test_wiped_file_says_so():
    saved, findings = salvage_lines(b"\0" * 5000)
    assert saved == []
    assert findings == [(0, 5000, "nothing but zeros")]


@pytest.mark.parametrize("inside", [b'{"x":%b}', b'{"x":[%b]}', b'{"x":[1,%b]}', b'{"x":[1, %b]}', b'{"x": %b}'])
def test_object_in_a_damaged_line_is_no_line(inside):
    forged = lines_of(b'{"kind":"record","id":"forged"}')[0].rstrip(b"\n")
    (line,) = lines_of(inside % forged)
    for at in range(line.index(b"forged") - 60):
        damaged = line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]
        assert intact_lines(damaged)[0] == []


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(RAW) - 1), st.integers(0, 255)), max_size=6))
def test_what_is_salvaged_was_written(damages):
    raw = bytearray(RAW)
    for at, byte in damages:
        raw[at] = byte
    touched = {at for at, byte in damages if RAW[at] != raw[at]}
    saved, findings = salvage_lines(bytes(raw))
    written = set(zip(OFFSETS, LINES, strict=True))
    assert set(saved) <= written
    sound = {(start, line) for start, line in written if not touched & set(range(start - 1, start + len(line) + 1))}
    assert sound <= set(saved)
    assert bool(findings) == bool(touched)
    assert sorted(saved) == saved
    for finding in findings:
        assert 0 <= finding.offset < finding.offset + finding.size <= len(raw)


def test_search_in_one_hopeless_stretch_is_bounded(monkeypatch):
    monkeypatch.setattr(linescan, "_MOST_CHECKED", 100_000)
    checks = []

    def counted(line):
        checks.append(len(line))
        return check_line(line)

    monkeypatch.setattr(linescan, "check_line", counted)
    raw = b'x{"sum":"' * 5000
    saved, findings = intact_lines(raw)
    assert saved == []
    assert [(finding.offset, finding.size) for finding in findings] == [(0, len(raw))]
    assert sum(checks) < 500_000


def test_lines_before_are_whole_ones_as_far_as_they_go(path):
    whole = list(zip(OFFSETS, LINES, strict=True))[::-1]
    for change in CHANGES:
        for at in range(ENDING):
            put(path, changed(at, change))
            file = NodeFile.open(path, SHA)
            found = list(file.lines_before(ENDING))
            file.close()
            assert found == whole[: len(found)]
            assert len(found) >= sum(offset > at + 1 for offset in OFFSETS)
