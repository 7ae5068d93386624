"""Whatever the bytes are: a transcript that a store can take, what is missing reported, or the one error."""

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from localstore.importers import UnknownTranscriptFormat, detect, read_transcript
from tests.importers.transcript_checks import DEMO, RECORDED, judge, originals

# How long an example takes says more about the machine than about the readers.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

LINES = DEMO.read_bytes().splitlines()
CODEX = [
    b'{"timestamp":"2025-11-23T19:24:17.722Z","type":"session_meta","payload":{"id":"c1","cwd":"/home/dev"}}',
    b'{"type":"turn_context","payload":{"model":"gpt-5-codex","cwd":"/home/dev"}}',
    b'{"type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"why"}]}}',
    b'{"type":"response_item","payload":{"type":"function_call","name":"shell","arguments":"{}","call_id":"c"}}',
    b'{"type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":5}}}}',
]
MESSAGES = [
    b'{"role":"user","content":"ping","id":"1"}',
    b'{"role":"assistant","content":null,"tool_calls":[{"id":"a"}],"usage":{"prompt_tokens":5}}',
    b'{"role":"user","content":[{"type":"tool_result","content":"x"}],"timestamp":"2025-11-23T19:24:17Z"}',
]
FRAMES = [
    b"[%s]",
    b'{"messages":[%s],"title":"t"}',
    b'{"history":[%s],"info":{"model_stats":{"tokens_sent":4}}}',
]
SHARDS = [
    *(
        b"",
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b",",
        b":",
        b"\\",
        b"\n",
        b"\r\n",
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
    ),
    *(
        b"null",
        b"NaN",
        b"-1",
        b"1e999",
        b"99999999999999999999",
        b"true",
        b'"\\ud800"',
        b'"user"',
        b"[" * 210,
    ),
    *(b'"uuid":"a",', b'"parentUuid":"a",', b'"role":', b'"message":{},', b'"usage":7,', b'"payload":[],'),
]


def survives(raw: bytes) -> None:
    try:
        transcript = judge(read_transcript(raw))
    except UnknownTranscriptFormat:
        assert detect(raw) is None
        return
    assert detect(raw) == transcript.source_format
    if transcript.source_format not in ("messages-json", "swe-agent"):
        every_line_is_told_of(raw, transcript)


def every_line_is_told_of(raw, transcript):
    """Each line is an entry as it was, or a problem, or the repetition of an earlier line."""
    entries = iter([*originals(transcript), None])
    expected = next(entries)
    reported = {problem.line for problem in transcript.problems}
    seen = []
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip(b" \t\r"):
            continue
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            assert number in reported
            continue
        if value == expected and isinstance(value, dict):
            seen.append(value)
            expected = next(entries)
        else:
            assert number in reported or value in seen
    assert expected is None


@unhurried
@given(st.binary(max_size=300))
@example(b"\xef\xbb\xbf\xef\xbb\xbf{}")
@example(b'{"messages":[')
def test_arbitrary_bytes(raw):
    survives(raw)


@unhurried
@given(st.lists(st.sampled_from(SHARDS + MESSAGES + CODEX + LINES[:3]), max_size=12))
def test_shards_of_json(parts):
    survives(b"".join(parts))


@unhurried
@given(st.data())
def test_mutated_lines(data):
    lines = data.draw(st.lists(st.sampled_from(LINES + CODEX + MESSAGES), min_size=1, max_size=4))
    raw = bytearray(b"\n".join(lines))
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.sampled_from([begin, begin + 1, begin + 7, begin + 100]))
        raw[begin:end] = data.draw(st.sampled_from(SHARDS) | st.binary(max_size=3))
    survives(bytes(raw))


@unhurried
@given(st.data())
def test_mutated_documents(data):
    messages = data.draw(st.lists(st.sampled_from(MESSAGES + LINES[:2]), max_size=4))
    raw = bytearray(data.draw(st.sampled_from(FRAMES)).replace(b"%s", b",".join(messages)))
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.sampled_from([begin, begin + 1, begin + 9]))
        raw[begin:end] = data.draw(st.sampled_from(SHARDS) | st.binary(max_size=3))
    survives(bytes(raw))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # Text with lone surrogates is not JSON.
    | st.text(st.characters(codec="utf-8"), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "text", "type", ""]), inner),
    max_leaves=8,
)
FIELDS = [
    *(
        "type",
        "uuid",
        "parentUuid",
        "leafUuid",
        "sessionId",
        "message",
        "timestamp",
        "isSidechain",
        "requestId",
    ),
    *("payload", "role", "content", "usage", "id", "model", "cwd", "summary", "messages", "history", "info"),
]
OBJECTS = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8)


@unhurried
@given(st.lists(OBJECTS, max_size=4), st.sampled_from([*LINES[:2], *CODEX, *MESSAGES]))
def test_fields_of_any_type_are_kept_as_they_are(objects, known):
    raw = b"\n".join((known, *map(orjson.dumps, objects)))
    survives(raw)
    assert detect(raw) is not None


@unhurried
@given(st.lists(OBJECTS, max_size=4), st.sampled_from(FRAMES), OBJECTS)
def test_messages_of_any_type_are_kept_as_they_are(objects, frame, members):
    values = [orjson.loads(MESSAGES[0]), *objects]
    document = orjson.loads(frame.replace(b"%s", b""))
    if isinstance(document, dict):
        name = "messages" if "messages" in document else "history"
        document = {**members, **document, name: values}
        document.pop("messages" if name == "history" else "history", None)
    else:
        document = values
    transcript = judge(read_transcript(orjson.dumps(document)))
    assert originals(transcript) == values
    if isinstance(document, dict):
        assert {**transcript.metadata["document"], name: values} == document


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*/*.*")), ids=lambda path: path.name)
@unhurried
@given(data=st.data())
def test_mutated_recordings(path, data):
    raw = bytearray(path.read_bytes()[:12_000])
    begin = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.sampled_from([begin, begin + 1, begin + 50, len(raw)]))
    raw[begin:end] = data.draw(st.sampled_from(SHARDS) | st.binary(max_size=3))
    survives(bytes(raw))
