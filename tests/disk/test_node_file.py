import json
import os
import threading
from contextlib import contextmanager
from hashlib import sha256

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localstore.contract.errors import BackendError, InvalidArgument
from localstore.disk import keyindex, names, nodefile, nodewriter
from localstore.disk.lines import encode_line
from localstore.disk.nodefile import NodeFile, NodeFileWriter, NodeLine, body_of, build_node_file
from localstore.disk.refusals import backend_error
from localstore.disk.system import System, system

HEAD = {"revision": 7, "leaf": "n2", "text": "\u2028 ü"}


def line(kind, keys, **fields):
    return NodeLine(orjson.dumps({"kind": "record", **fields}), kind, tuple(keys))


@contextmanager
def opened(folder, lines, head=HEAD):
    sha, raw = build_node_file(lines, head)
    path = os.path.join(folder, names.node_file(sha))
    with open(path, "wb") as file:
        file.write(raw)
    node_file = NodeFile.open(path, sha)
    try:
        yield node_file
    finally:
        node_file.close()
        os.unlink(path)


def with_sum(line):
    return encode_line(line.body).removesuffix(b"\n")


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path)


def test_file_is_json_lines_under_the_hash_of_its_bytes(folder):
    records = [line(1, ["n:a"], id="a"), line(2, ["i:b", "s:key"], id="b")]
    sha, raw = build_node_file(records, HEAD)
    assert sha == sha256(raw).hexdigest()
    rows = [json.loads(row) for row in raw.splitlines()]
    assert [row["kind"] for row in rows] == ["record", "record", "file.index", "file.head", "file.end"]
    assert [row["id"] for row in rows[:2]] == ["a", "b"]
    assert rows[3]["head"] == HEAD
    assert rows[4]["version"] == 1
    assert all(next(iter(row)) == "sum" for row in rows)


def test_lookup_finds_the_last_line_of_a_key(folder):
    records = [
        line(1, ["n:a"], at=0),
        line(2, ["i:b", "s:key"], at=1),
        line(1, ["n:a"], at=2),
        line(3, ["s:key"], at=3),
        line(3, [], at=4),
    ]
    with opened(folder, records) as file:
        assert file.lookup("n:a") == with_sum(records[2])
        assert file.lookup("i:b") == with_sum(records[1])
        assert file.lookup("s:key") == with_sum(records[3])
        assert file.lookup("n:b") is None
        assert (file.count, file.key_count) == (5, 3)
        assert file.size == os.path.getsize(file.path)
        assert file.head_copy() == HEAD
        offsets = [offset for offset, _ in file.lines()]
        assert list(file.entries_of_kind(1)) == [offsets[2]]
        assert list(file.entries_of_kind(2)) == [offsets[1]]
        assert list(file.entries_of_kind(3)) == [offsets[3]]
        assert list(file.entries_of_kind(4)) == []
        assert [file.line_at(offset) for offset in offsets] == [with_sum(record) for record in records]
        assert body_of(file.line_at(offsets[4])) == records[4].body
        file.verify()


def test_file_without_records_has_its_head(folder):
    with opened(folder, []) as file:
        assert file.count == file.key_count == 0
        assert file.lookup("n:a") is None
        assert list(file.lines()) == list(file.entries_of_kind(0)) == []
        assert file.head_copy() == HEAD
        file.verify()


json_texts = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=5,
)
node_lines = st.builds(
    lambda kind, keys, value, padding: line(kind, keys, value=value, padding="x" * padding),
    st.integers(0, 255),
    st.lists(st.text("abcü\ud800", min_size=1, max_size=2), max_size=3),
    json_texts,
    st.sampled_from([0, 0, 100, 5000, 70_000]),
)


@settings(deadline=None)
@given(st.lists(node_lines, max_size=30), st.dictionaries(st.text("ab"), st.integers(0, 9)))
def test_what_was_written_is_found(tmp_path_factory, records, head):
    newest = {key: record for record in records for key in record.keys}
    with opened(str(tmp_path_factory.getbasetemp()), records, head) as file:
        for key, record in newest.items():
            assert file.lookup(key) == with_sum(record)
            assert file.candidates(key)[0] == with_sum(record)
        for key in ("", "z", "aaa", "\ud801"):
            assert file.lookup(key) is None
        found = list(file.lines())
        assert [body_of(text) for _, text in found] == [record.body for record in records]
        offset_of = {id(record): offset for record, (offset, _) in zip(records, found, strict=True)}
        for kind in {record.kind for record in records}:
            expected = {offset_of[id(record)] for record in newest.values() if record.kind == kind}
            assert list(file.entries_of_kind(kind)) == sorted(expected)
        assert file.head_copy() == head
        assert (file.count, file.key_count) == (len(records), len(newest))
        file.verify()


@settings(deadline=None, max_examples=30)
@given(st.lists(node_lines, max_size=30))
def test_writer_writes_the_same_bytes(tmp_path_factory, records):
    folder = str(tmp_path_factory.mktemp("nodes"))
    sha, raw = build_node_file(records, HEAD)
    with NodeFileWriter(folder) as writer:
        for number, record in enumerate(records):
            if number % 2:
                writer.add(record)
            else:
                writer.add_line(with_sum(record), record.kind, record.keys)
        assert writer.finish(HEAD, True) == sha
    assert os.listdir(folder) == [names.node_file(sha)]
    with open(os.path.join(folder, names.node_file(sha)), "rb") as file:
        assert file.read() == raw


def test_large_file_is_found_by_each_key(folder):
    count = 20_000
    with NodeFileWriter(folder) as writer:
        for number in range(count):
            writer.add(line(number % 5, [f"n:{number}"], number=number, padding="x" * (number % 200)))
        sha = writer.finish(HEAD, False)
    file = NodeFile.open(os.path.join(folder, names.node_file(sha)), sha)
    for number in range(count):
        found = file.lookup(f"n:{number}")
        assert found is not None
        assert orjson.loads(found)["number"] == number
        assert file.lookup(f"m:{number}") is None
    assert len(list(file.entries_of_kind(3))) == count // 5
    assert sum(1 for _ in file.lines()) == count
    file.verify()
    file.close()


def test_filter_spares_most_reads_for_keys_that_are_not_there(folder, monkeypatch):
    reads = []
    real = System.pread

    class Counting(System):
        def pread(self, fd, n, offset):
            reads.append(n)
            return real(self, fd, n, offset)

    with opened(folder, [line(1, [f"n:{number}"]) for number in range(2000)]) as file:
        with system.installed(Counting()):
            for number in range(keyindex._ASKED_OFTEN + 1):
                file.lookup(f"m:{number}")
            reads.clear()
            for number in range(2000):
                file.lookup(f"o:{number}")
        assert len(reads) < 100


def test_pages_that_are_too_many_to_keep_are_read_one_by_one(folder, monkeypatch):
    monkeypatch.setattr(keyindex, "_MAX_KEPT", 0)
    with opened(folder, [line(1, [f"n:{number}"], number=number) for number in range(500)]) as file:
        for number in range(500):
            assert orjson.loads(file.lookup(f"n:{number}"))["number"] == number
            assert file.lookup(f"m:{number}") is None
        assert file._keys._kept is None


def test_lines_longer_than_any_piece_read_at_once(folder):
    records = [line(1, [f"n:{size}"], padding="x" * size) for size in (3_000_000, 10, 1 << 20, (1 << 20) - 60, 5000)]
    with opened(folder, records) as file:
        for record in records:
            assert file.lookup(record.keys[0]) == with_sum(record)
        assert [text for _, text in file.lines()] == [with_sum(record) for record in records]
        file.verify()


# Hashes that collide.


def test_keys_with_one_hash_are_told_apart_by_the_caller(folder, monkeypatch):
    monkeypatch.setattr(keyindex, "hash_key", lambda key: 0x0123456789ABCDEF)
    records = [line(1, ["a"], id="a", at=0), line(2, ["b"], id="b", at=1), line(1, ["a"], id="a", at=2)]
    with opened(folder, records) as file:
        assert file.candidates("a") == [with_sum(records[2]), with_sum(records[1])]
        assert file.lookup("b", lambda text: orjson.loads(text)["id"] == "b") == with_sum(records[1])
        assert file.lookup("a", lambda text: orjson.loads(text)["id"] == "a") == with_sum(records[2])
        assert file.lookup("c", lambda text: orjson.loads(text)["id"] == "c") is None
        assert [kind for _, kind in file.find(0x0123456789ABCDEF)] == [1, 2]


@pytest.mark.parametrize(
    "hashed",
    [
        lambda number: number % 3,
        lambda number: number,
        lambda number: number << 16,
        lambda number: 2**64 - 1 - number,
        lambda number: 0x0101010101010100 + number % 2,
    ],
    ids=["few", "low", "alike in six bytes", "high", "alike in seven"],
)
def test_skewed_hashes_are_found_all_the_same(folder, monkeypatch, hashed):
    count = 1500
    monkeypatch.setattr(keyindex, "hash_key", lambda key: hashed(int(key)))
    with opened(folder, [line(1, [str(number)], number=number) for number in range(count)]) as file:
        for number in range(0, count, 50):
            found = file.lookup(str(number), lambda text, number=number: orjson.loads(text)["number"] == number)
            assert found is not None
            assert len(file.candidates(str(number))) == sum(hashed(other) == hashed(number) for other in range(count))


# What cannot be written.


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'"x"', b'{"a":1', b'{"a":\n1}', b'{"a":1}\n', b' {"a":1}'])
def test_body_that_is_no_object_in_a_line_is_refused(folder, body):
    with pytest.raises(InvalidArgument):
        build_node_file([NodeLine(body, 1, ())], HEAD)
    with NodeFileWriter(folder) as writer, pytest.raises(InvalidArgument):
        writer.add(NodeLine(body, 1, ()))


def test_our_own_kinds_are_refused():
    with pytest.raises(InvalidArgument, match="own"):
        build_node_file([NodeLine(b'{"kind":"file.head","head":{}}', 1, ())], HEAD)


@pytest.mark.parametrize("kind", [-1, 256])
def test_kind_is_one_byte(kind):
    with pytest.raises(InvalidArgument, match="255"):
        build_node_file([line(kind, [])], HEAD)


@pytest.mark.parametrize("head", [{"x": object()}, {"x": 2**70}, b"a\nb"])
def test_head_must_be_json(head):
    with pytest.raises(InvalidArgument):
        build_node_file([], head)


def test_head_may_come_as_text(folder):
    with opened(folder, [], b'{"revision":8}') as file:
        assert file.head_copy() == {"revision": 8}


def test_line_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(nodewriter, "MAX_LINE", 1000)
    with pytest.raises(InvalidArgument, match="too long"):
        build_node_file([line(1, [], padding="x" * 1000)], HEAD)


def test_file_has_a_bounded_number_of_keys(monkeypatch):
    monkeypatch.setattr(keyindex, "MAX_ENTRIES", 3)
    build_node_file([line(1, ["a", "b", "c"])], HEAD)
    with pytest.raises(BackendError, match="3 keys"):
        build_node_file([line(1, ["a", "b", "c"]), line(1, ["d"])], HEAD)


def test_damaged_line_is_not_sealed_again(folder):
    good = with_sum(line(1, []))
    with NodeFileWriter(folder) as writer:
        for bad in (good[:-1], good + b"\n", good.replace(b"record", b"recorD"), b"", good[18:]):
            with pytest.raises(InvalidArgument):
                writer.add_line(bad, 1, ())


# The writer's temporary file.


def test_unfinished_writer_leaves_nothing(folder):
    with NodeFileWriter(folder) as writer:
        writer.add(line(1, ["a"]))
        (entry,) = os.listdir(folder)
        assert names.classify(entry, False, names.Place.NODES) is names.EntryKind.TEMPORARY
        assert writer.size > 0
    assert os.listdir(folder) == []
    writer.abort()
    with pytest.raises(BackendError, match="finished"):
        writer.add(line(1, ["a"]))


class Refusing(System):
    """Refuses one operation the n-th time, and ever after."""

    def __init__(self, operation, allowed):
        self.allowed = allowed

        def refuse(*arguments):
            self.allowed -= 1
            if self.allowed < 0:
                raise backend_error(operation, "it", OSError(28, "No space left on device"))
            return getattr(System, operation)(self, *arguments)

        setattr(self, operation, refuse)


@pytest.mark.parametrize("operation", ["open_write", "pwrite_all", "flush", "close", "replace"])
def test_writer_that_fails_leaves_nothing_but_what_was_there(folder, operation):
    kept = os.listdir("/dev/fd")

    def write():
        with NodeFileWriter(folder) as writer:
            writer.add(line(1, ["a"], padding="x" * 2_000_000))
            writer.finish(HEAD, True)

    with system.installed(Refusing(operation, 0)), pytest.raises(BackendError, match="free some space"):
        write()
    assert os.listdir(folder) == []
    if operation != "close":  # which was kept from closing it
        assert os.listdir("/dev/fd") == kept


def test_writer_flushes_before_it_names(folder):
    calls = []

    class Ordered(System):
        def flush(self, fd):
            calls.append(("flush", os.fstat(fd).st_size))

        def replace(self, src, dst):
            calls.append(("replace", os.path.getsize(src)))
            super().replace(src, dst)

    sha, raw = build_node_file([line(1, ["a"])], HEAD)
    for flush in (True, False):
        with system.installed(Ordered()), NodeFileWriter(folder) as writer:
            writer.add(line(1, ["a"]))
            assert writer.finish(HEAD, flush) == sha
    assert calls == [("flush", len(raw)), ("replace", len(raw)), ("replace", len(raw))]


# Using an open file.


def test_opening_and_looking_up_reads_little(folder):
    read = []

    class Counting(System):
        def pread(self, fd, n, offset):
            piece = super().pread(fd, n, offset)
            read.append(len(piece))
            return piece

    with NodeFileWriter(folder) as writer:
        for number in range(3000):
            writer.add(line(1, [f"n:{number}"], padding="x" * 1000))
        sha = writer.finish(HEAD, False)
    with system.installed(Counting()):
        file = NodeFile.open(os.path.join(folder, names.node_file(sha)), sha)
        assert file.lookup("n:77") is not None
        file.close()
    assert len(read) == 4
    assert sum(read) < 8192


@pytest.mark.parametrize("nearby", [1, 50, 1 << 14])
def test_lines_before_are_those_read_in_order_backwards(folder, monkeypatch, nearby):
    monkeypatch.setattr(nodefile, "_NEARBY", nearby)
    with opened(folder, [line(1, [], number=number, padding="x" * (number * 7 % 90)) for number in range(40)]) as file:
        found = list(file.lines())
        for index, (offset, _) in enumerate(found):
            assert list(file.lines_before(offset)) == found[:index][::-1]


def test_lines_before_are_not_looked_for_beyond_a_long_one(folder, monkeypatch):
    monkeypatch.setattr(nodefile, "_CHUNK", 1_000)
    long = line(1, [], padding="x" * 20_000)
    with opened(folder, [line(1, []), long, line(1, []), line(1, [])]) as file:
        found = list(file.lines())
        assert list(file.lines_before(found[3][0])) == [found[2]]


def test_lines_before_end_where_the_disk_refuses(folder):
    with opened(folder, [line(1, []), line(1, [])]) as file:
        (_, last) = (offset for offset, _ in file.lines())
        with system.installed(Refusing("pread", 0)):
            assert list(file.lines_before(last)) == []


def test_missing_file_is_an_answer(folder):
    with pytest.raises(FileNotFoundError):
        NodeFile.open(os.path.join(folder, "0" * 64 + ".jsonl"), "0" * 64)


def test_closed_file_is_told(folder):
    with opened(folder, [line(1, ["a"])]) as file:
        file.close()
        file.close()
        for use in (lambda: file.lookup("a"), file.head_copy, file.verify, lambda: list(file.lines())):
            with pytest.raises(BackendError):
                use()


def test_refused_read_is_no_damage(folder):
    with opened(folder, [line(1, ["a"])]) as file:
        with system.installed(Refusing("pread", 0)), pytest.raises(BackendError):
            file.lookup("a")
        assert file.lookup("a") is not None


def test_threads_share_an_open_file(folder):
    wrong = []

    def look(file):
        for number in range(400):
            found = file.lookup(f"n:{number}")
            if found is None or orjson.loads(found)["number"] != number:
                wrong.append(number)

    with opened(folder, [line(1, [f"n:{number}"], number=number) for number in range(400)]) as file:
        threads = [threading.Thread(target=look, args=(file,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
