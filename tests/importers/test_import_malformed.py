"""Damage costs the damaged part, is reported with its place and reason, and never changes what is kept."""

from typing import Any

import orjson
import pytest

from localstore.importers import Transcript, read_transcript
from tests.importers.transcript_checks import DEMO, judge, lines_of, originals

FIRST = {"role": "user", "content": "first"}
LAST = {"role": "assistant", "content": "last"}


def nested(levels: int) -> bytes:
    """A message that nests so deep: the object itself is the first level."""
    return b'{"role":"user","content":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


DAMAGE = {
    "not a number": (b'{"role":"user","content":NaN}', "NaN is not JSON"),
    "infinity": (b'{"role":"user","content":-Infinity}', "-Infinity is not JSON"),
    "lone high surrogate": (b'{"role":"user","content":"\\ud800"}', "surrogate"),
    "lone low surrogate": (b'{"role":"user","content":"\\udc00x"}', "surrogate"),
    "surrogate before a letter": (b'{"role":"user","content":"\\ud83d\\u0041"}', "surrogate"),
    "not utf-8": (b'{"role":"user","content":"\xff"}', "not UTF-8: byte 26 is 0xff"),
    "encoded surrogate": (b'{"role":"user","content":"\xed\xa0\x80"}', "not UTF-8"),
    "list": (b'[{"role":"user"}]', "a list where an object is expected"),
    "string": (b'"role"', "a string where an object is expected"),
    "number": (b"17", "a number where an object is expected"),
    "boolean": (b"true", "a boolean where an object is expected"),
    "null": (b"null", "null where an object is expected"),
    "same key twice": (b'{"role":"user","content":"a","content":"b"}', "the same key twice"),
    "same key twice, equal": (b'{"role":"user","role":"user","content":"a"}', "the same key twice"),
    "same key twice, escaped": (b'{"role":"user","content":{"a":1,"\\u0061":2}}', "the same key twice"),
    "integer over 64 bits": (b'{"role":"user","content":18446744073709551616}', "18446744073709551616"),
    "integer under 64 bits": (b'{"role":"user","content":-9223372036854775809}', "-9223372036854775809"),
    "integer of 400 digits": (b'{"role":"user","content":' + b"9" * 400 + b"}", "too large for 64 bits"),
    "integer of 5000 digits": (b'{"role":"user","content":' + b"9" * 5000 + b"}", "too large for 64 bits"),
    "float that is infinite": (b'{"role":"user","content":1e999}', "too large for 64 bits"),
    "201 levels": (nested(201), "nested 201 levels deep"),
    "200 levels, and one more in a payload": (nested(200), "nested 201 levels deep as a payload"),
    "5000 levels": (nested(5000), "nested too deep"),
    "no value": (b'{"role":"user","content":}', "not JSON: "),
    "single quotes": (b"{'role':'user'}", "not JSON: "),
    "control character": (b'{"role":"user","content":"\x01"}', "not JSON: "),
    "bad escape": (b'{"role":"user","content":"\\x41"}', "not JSON: "),
    "trailing comma": (b'{"role":"user","content":[1,]}', "not JSON: "),
}


@pytest.mark.parametrize(("damaged", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_line_is_reported_and_the_rest_kept(damaged, reason):
    transcript = judge(read_transcript(lines_of(FIRST, damaged, LAST)))
    assert originals(transcript) == [FIRST, LAST]
    assert [problem.line for problem in transcript.problems] == [2]
    assert reason in transcript.problems[0].reason
    assert transcript.problems[0].excerpt[:5] == damaged[:5].decode()


@pytest.mark.parametrize(("damaged", "reason"), DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("frame", [b"[%s]", b'{"a": 1, "messages": [%s], "b": 2}', b'{"history": [\n%s\n]}'])
def test_a_damaged_message_of_a_document_is_reported_and_the_rest_kept(frame, damaged, reason):
    if reason == "not JSON: " and damaged.endswith(b",]}"):
        damaged = damaged.replace(b"[1,]", b"[1,,2]")
    raw = frame.replace(b"%s", b",".join((orjson.dumps(FIRST), damaged, orjson.dumps(LAST))))
    transcript = judge(read_transcript(raw))
    assert transcript.source_format != "messages-jsonl"
    assert originals(transcript) == [FIRST, LAST]
    assert [problem.line for problem in transcript.problems] == [2]
    assert reason in transcript.problems[0].reason
    if b'"a"' in frame:
        assert transcript.metadata["document"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    "content",
    [
        18446744073709551615,
        -9223372036854775808,
        1234567890123456789,
        0.12345678901234568,
        1e300,
        1.2345678901234567e19,
        "12345678901234567890123",
        '":":":"',
        'a\\"b:\\',
        "NaN \ud83d\ude00 \u2028 \x7f".encode("utf-16", "surrogatepass").decode("utf-16"),
        {"a": {"a": {"": [{}, [], None, True]}}},
        "\x00",
    ],
)
def test_what_only_looks_like_damage_is_kept(content):
    message = {"role": "user", "content": content}
    for raw in (lines_of(message), orjson.dumps([message]), orjson.dumps({"messages": [message]})):
        transcript = judge(read_transcript(raw))
        assert transcript.problems == ()
        assert originals(transcript) == [message]


def test_the_deepest_that_a_store_takes_is_kept():
    transcript = judge(read_transcript(lines_of(FIRST, nested(199))))
    assert transcript.problems == ()
    assert originals(transcript) == [FIRST, orjson.loads(nested(199))]


@pytest.mark.parametrize("levels", [197, 198, 199, 200, 201])
def test_depth_is_judged_by_what_would_be_stored(levels):
    deep = b"[" * (levels - 1) + b"]" * (levels - 1)
    message = b'{"role":"user","content":"x"}'
    for text, depth in (
        (
            b'{"type":"user","uuid":"u","parentUuid":null,"message":' + message + b',"x":' + deep + b"}",
            levels + 1,
        ),
        (
            b'{"type":"user","uuid":"u","parentUuid":null,"message":{"role":"user","content":' + deep + b"}}",
            levels + 1,
        ),
    ):
        transcript = judge(read_transcript(lines_of({"type": "summary", "leafUuid": "u"}, text)))
        assert len(transcript.entries) == (2 if depth <= 200 else 1)
        assert [problem.line for problem in transcript.problems] == ([] if depth <= 200 else [2])


def read_cut(raw: bytes) -> Transcript:
    return judge(read_transcript(raw))


def test_a_cut_last_line_is_reported_as_such():
    raw = DEMO.read_bytes()
    whole = read_transcript(raw)
    for end in (len(raw) - 2, len(raw) - 100, raw.rfind(b"\n", 0, -1) + 2):
        transcript = read_cut(raw[:end])
        assert transcript.entries == whole.entries[:-1]
        assert [problem.line for problem in transcript.problems] == [31]
        assert transcript.problems[0].reason.startswith("truncated, the file ends here: ")
    assert read_cut(raw[:-1]) == whole


def test_only_a_cut_last_line_is_called_truncated():
    transcript = read_cut(lines_of(FIRST, b'{"role":', LAST, b'{"role":'))
    assert [problem.line for problem in transcript.problems] == [2, 4]
    assert not any("truncated" in problem.reason for problem in transcript.problems)


@pytest.mark.parametrize("head", [b"", b'{"x":"{[","messages":', b'{"history":'])
def test_a_cut_document_keeps_the_messages_before_the_cut(head):
    raw = head + orjson.dumps([FIRST, {"role": "user", "content": [{"text": "a ] b"}, 7]}, LAST])
    whole = [FIRST, {"role": "user", "content": [{"text": "a ] b"}, 7]}, LAST]
    seen = set()
    for end in range(len(head) + len(orjson.dumps(FIRST)) + 1, len(raw)):
        transcript = read_cut(raw[:end])
        kept = originals(transcript)
        assert kept == whole[: len(kept)]
        assert transcript.problems[0].line == 0
        assert transcript.problems[0].reason == "truncated, the document does not end"
        partial = [problem for problem in transcript.problems if problem.line]
        assert all(problem.line == len(kept) + 1 and "truncated" in problem.reason for problem in partial)
        seen.add((len(kept), len(partial)))
    assert seen == {(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)}


@pytest.mark.parametrize(
    ("raw", "reasons"),
    [
        (b'[{"role":"user","content":"first"}] and more', ["more content after the end of the document"]),
        (b'[{"role":"user","content":"first"}}', ["the document ends with the wrong bracket"]),
        (b'[{"role":"user","content":"first"},]', ["empty where a JSON value is expected"]),
        (b'[{"role":"user","content":"first"},,]', ["empty where a JSON value is expected"] * 2),
        (b'{"messages":[{"role":"user","content":"first"}],"x":NaN}', ["the member 'x': NaN is not JSON"]),
        (b'{"messages":[{"role":"user","content":"first"}],"x"}', ["not a member: no key and colon"]),
        (
            b'{"messages":[{"role":"user","content":"first"}],"\\ud800":1}',
            ["not a member, its key is malformed"],
        ),
        (
            b'{"messages":[{"role":"user","content":"first"}],"messages":[]}',
            ["the member 'messages' is there twice"],
        ),
        (b'{"messages":[{"role":"user","content":"first"}]x}', ["more content after the end of the list"]),
        (b'{"messages":[{"role":"user","content":"first"}},"x":1}', ["the list ends with the wrong bracket"]),
    ],
)
def test_damage_around_the_messages_of_a_document(raw, reasons):
    transcript = judge(read_transcript(raw))
    assert originals(transcript) == [FIRST]
    assert len(transcript.problems) == len(reasons)
    for problem, reason in zip(transcript.problems, reasons, strict=True):
        assert problem.reason.startswith(reason)


@pytest.mark.parametrize("raw", [DEMO.read_bytes(), orjson.dumps([FIRST, LAST]), lines_of(FIRST, LAST)])
def test_byte_order_mark_line_ends_and_blank_lines(raw):
    plain = read_transcript(raw)
    assert read_transcript(b"\xef\xbb\xbf" + raw) == plain
    assert read_transcript(raw.replace(b"\n", b"\r\n")) == plain
    assert read_transcript(b"\xef\xbb\xbf" + raw.replace(b"\n", b"\r\n") + b"\r\n\n \t\n") == plain
    assert plain.problems == ()


def test_line_numbers_count_blank_lines():
    transcript = judge(read_transcript(b"\n\n" + lines_of(FIRST, b"", b"oops", b"\r", LAST)))
    assert [problem.line for problem in transcript.problems] == [5]


def test_an_excerpt_is_short_and_readable():
    damaged: list[Any] = ["é".encode() * 500, b"\xff" * 500, b"x" * 500]
    transcript = judge(read_transcript(lines_of(FIRST, *damaged)))
    assert [problem.excerpt for problem in transcript.problems] == ["é" * 120, "\ufffd" * 120, "x" * 120]
