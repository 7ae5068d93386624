"""The redactor alone: whatever it is given, no match is left, and where there was none nothing changes."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localstore import InvalidArgument
from localstore.machine.redactor import Redactor

TEXTS = st.text('ab1"\\é\n☃\x7f', max_size=12)
NUMBERS = st.integers(-12, 112) | st.sampled_from([1.5, 11.25, -0.0])
DOCUMENTS = st.recursive(
    TEXTS | NUMBERS | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
PATTERNS = st.sampled_from(['a"', "ab", "\\", "é", "☃\n", "1", "11", "b\\é"])


def strings_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in strings_of(item)]
    if isinstance(value, dict):
        return [*value, *(text for item in value.values() for text in strings_of(item))]
    return []


def size_of(value: Any) -> int:
    inner = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    return 1 + sum(map(size_of, inner))


@given(DOCUMENTS, PATTERNS)
def test_of_json(document: Any, pattern: str) -> None:
    redactor = Redactor(pattern, "X")
    encoded = orjson.dumps(document)
    changed, count = redactor.json(encoded)
    found = orjson.loads(changed)
    assert not any(pattern in text for text in strings_of(found))
    assert size_of(found) == size_of(document)
    if not count:
        assert changed == encoded
        assert not any(pattern in text for text in strings_of(document))
    assert redactor.octets(encoded) == (changed, count)


@given(DOCUMENTS, PATTERNS, st.booleans(), st.sampled_from([None, 1]))
def test_of_json_as_others_write_it(document: Any, pattern: str, ascii_only: bool, indent: int | None) -> None:
    content = json.dumps([document], ensure_ascii=ascii_only, indent=indent).encode()
    changed, count = Redactor(pattern, "X").octets(content)
    found = json.loads(changed)
    assert not any(pattern in text for text in strings_of(found))
    if not count:
        assert changed == content


@given(st.binary(max_size=20), st.binary(max_size=20), PATTERNS)
def test_of_other_bytes(before: bytes, after: bytes, pattern: str) -> None:
    content = b"\0" + before + pattern.encode() + after
    changed, count = Redactor(pattern, "X").octets(content)
    assert count >= 1
    assert pattern.encode() not in changed
    assert len(changed) == len(content)


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_what_is_found_in_a_file(before: bytes, after: bytes) -> None:
    import base64

    redactor = Redactor("a secret", "X")
    assert redactor.count_in(before + b"a secret" + after)
    assert redactor.count_in(base64.b64encode(before + b"a secret" + after))
    assert redactor.count_in(b'{"x":"' + b"\\u0061 secret" + b'"}')
    assert not redactor.count_in(b"b secret" + before.replace(b"a", b""))


@pytest.mark.parametrize(("pattern", "regex"), [("", False), ("x*", True), ("[", True), ("X", False)])
def test_what_is_no_pattern(pattern: str, regex: bool) -> None:
    with pytest.raises(InvalidArgument):
        Redactor(pattern, "X", regex=regex)


@pytest.mark.parametrize("regex", [False, True])
def test_json_that_nests_deeper_than_is_written(regex: bool) -> None:
    deep = b'["a secret",' + b"[" * 300 + b"]" * 300 + b"]"
    changed, count = Redactor("secret", "X", regex=regex).octets(deep)
    assert (changed, count) == (deep.replace(b"secret", b"X"), 1)
    assert Redactor("another", "X", regex=regex).octets(deep) == (deep, 0)


def test_matches_of_no_length_are_passed_over() -> None:
    redactor = Redactor(r"\b|secret", "X", regex=True)
    assert redactor.text("a secret, secret") == ("a X, X", 2)
    assert redactor.octets(b"\0 secret") == (b"\0 ******", 1)


def test_json_in_which_nothing_matches_stays_byte_for_byte():
    """Even where its bytes cannot tell that, and are not as the store writes them."""
    written = b'{ "a" : "needless" , "n\\u0065" : [1.50] }'
    assert Redactor("need(ful|y)", "x", regex=True).json(written) == (written, 0)


def test_a_match_of_no_length_is_none():
    """A pattern may match nothing at some places of a text, which is not counted there either."""
    assert Redactor("a*(?=b)", "x", regex=True).count_in(b"b ab") == 1
