"""Search finds what a look at every node finds, in both stores, and nothing else."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from localstore import CorruptRecord, FullGraph, InMemoryStore, InvalidArgument, LocalStore, SearchHit, SessionNotFound
from localstore.machine import charsets, needles, searching
from localstore.testing.builders import append_commit, node, replace_commit, said
from tests.commits import settle

DIFFICULT = (
    'he said "no"',
    "back\\slash",
    "two\nlines\ttab",
    "naïve café",
    "ПРИВЕТ мир",
    "日本語のテキスト",
    "Kelvin \u212a and long \u017f",
    "I\u0130\u0131i",
    "straße STRASSE",
    "\u001b[31mred\u001b[0m",
    "emoji \U0001f600",
    "\u2028 line separator",
    "a/b </script>",
    "K",
)


def reached(store, session_id) -> Any:
    """The session, which must exist."""
    session = store.open_session(session_id)
    assert session is not None
    return session


def commit(session, *nodes, replaces=False):
    make = replace_commit if replaces else append_commit
    settle(session, make(*nodes, session_id=session.session_id))


def brute_force(store, text, *, regex=False, ignore_case=True, role=None):
    """What is found by loading everything, parsing everything and trying each string."""
    pattern = re.compile(text if regex else re.escape(text), re.MULTILINE | (re.IGNORECASE if ignore_case else 0))
    found = []
    for row in store.list_sessions():
        read = reached(store, row.session_id).load_session(FullGraph())
        for each in () if read is None else read.graph.nodes:
            is_role = role is None or searching.role_of(each.payload) == role
            if is_role and any(pattern.search(string) for string in searching.texts_of(each.payload)):
                found.append((row.session_id, each.node_id))
    return found


def found(store, text, **options):
    return [(hit.session_id, hit.node_id) for hit in store.search(text, **options)]


@pytest.fixture(params=["memory", "files"])
def store(request, tmp_path):
    opened = InMemoryStore() if request.param == "memory" else LocalStore(tmp_path / "store")
    with opened:
        yield opened


@pytest.fixture
def filled(store):
    """Some sessions: partly folded, with hidden, revived and replaced nodes."""
    for number, text in enumerate(DIFFICULT):
        session = store.create_session(f"s{number % 4}")
        parent = session.load_session_head()
        leaf = None if parent is None else parent.leaf_node_id
        role = ("user", "assistant", "tool")[number % 3]
        commit(session, said(f"n{number}", leaf, text, role), node(f"t{number}", f"n{number}", payload={"x": [text]}))
        if number % 5 == 1:
            session.checkpoint()
    hidden = reached(store, "s1")
    hidden.tombstone_nodes(["n1", "t5"])
    commit(hidden, said("n1", None, "came back as something else"))
    commit(store.create_session("replaced"), said("old", None, "needle of old"))
    commit(store.create_session("replaced"), said("new", None, "needle of new"), replaces=True)
    return store


class TestEqualsBruteForce:
    @pytest.mark.parametrize("text", [*DIFFICULT, "needle", "e", "something", "привет", "\u0130", "k", "s", "ss"])
    @pytest.mark.parametrize("ignore_case", [True, False])
    def test_for_texts(self, filled, text, ignore_case):
        expected = brute_force(filled, text, ignore_case=ignore_case)
        assert found(filled, text, ignore_case=ignore_case) == expected
        if text in DIFFICULT and text != DIFFICULT[1]:
            assert expected
        upper = text.upper()
        assert found(filled, upper, ignore_case=ignore_case) == brute_force(filled, upper, ignore_case=ignore_case)

    @pytest.mark.parametrize(
        "pattern",
        [
            *(r"caf.", r"^lines", r"no\"$", r"[a-z]+\\s", r"said|мир", r"x*", r"sl?ash", r"t{1,2}ab", r"\bred?", "."),
            *(r"\w{6,}", r"[а-я]{6}", r"\s\w+\t", r'"\w+"', r"\[\d\dm", r"(no|мир)\W", r"[^\W\d_]+[ıi]", r"(\w)\1e"),
            *(r"(?-i:[A-Z]{4})", r"(?a:[k]) and", r"[\U0001f000-\U0001ffff]$", r"(?<=caf)\w", r"\w/\w", r"\d{4}-\d\d"),
        ],
    )
    def test_for_patterns(self, filled, pattern):
        assert found(filled, pattern, regex=True) == brute_force(filled, pattern, regex=True)

    @pytest.mark.parametrize("role", ["user", "assistant", "tool", "nobody"])
    def test_by_role(self, filled, role):
        assert found(filled, "e", role=role) == brute_force(filled, "e", role=role)

    def test_after_everything_is_folded_and_vacuumed(self, filled):
        before = found(filled, "e")
        for row in filled.list_sessions():
            reached(filled, row.session_id).checkpoint()
        assert found(filled, "e") == before
        for row in filled.list_sessions():
            reached(filled, row.session_id).vacuum()
        assert found(filled, "e") == before == brute_force(filled, "e")

    def test_on_a_store_opened_anew(self, tmp_path):
        with LocalStore(tmp_path / "store") as store:
            for number, text in enumerate(DIFFICULT):
                commit(store.create_session(f"s{number}"), said("n", None, text))
        with LocalStore(tmp_path / "store") as store:
            for number, text in enumerate(DIFFICULT):
                assert (f"s{number}", "n") in found(store, text, ignore_case=False)


_ODD = 'abkKsSiI\u0130\u0131\u212a\u017fßéÉΣσς"\\/\n\t\x00\x1b\x7f日\u2028\U0001f600.*+?{1}[]^$'
TEXTS = st.text(st.sampled_from(_ODD) | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


class TestTheTestOfBytes:
    """It never says no of a document in which there is a match."""

    @settings(max_examples=400, deadline=None)
    @given(st.data(), st.text(st.characters(exclude_categories=["Cs"]), max_size=5), TEXTS, st.booleans())
    def test_lets_every_match_pass(self, data, around, text, ignore_case):
        variant = data.draw(st.sampled_from([text, text.upper(), text.lower(), text.swapcase(), text.casefold()]))
        string = around + variant + around
        pattern = re.compile(re.escape(text), re.MULTILINE | (re.IGNORECASE if ignore_case else 0))
        if pattern.search(string):
            document = orjson.dumps({"kind": "event", "content": string})
            assert needles.test_for(text, regex=False, ignore_case=ignore_case)(document)

    @settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @example("a{0}bc", "bc")
    @example("ab*?c", "ac")
    @example("[]a]x", "]x")
    @example(r"x\x41y", "xAy")
    @example("a{,2}b", "b")
    @given(TEXTS, TEXTS)
    @pytest.mark.filterwarnings("ignore:Possible")
    def test_lets_every_match_of_a_pattern_pass(self, pattern, string):
        try:
            compiled = re.compile(pattern, re.MULTILINE | re.IGNORECASE)
        except re.error:
            return
        if compiled.search(string):
            document = orjson.dumps({"content": string})
            assert needles.test_for(pattern, regex=True, ignore_case=True)(document)

    @pytest.mark.parametrize(
        "text, regex, content",
        [
            ("needle", False, "hay м"),
            ("NEEDLE", False, "hay м"),
            (r"ne+dle\.x", True, "hay м"),
            ("日本", False, "hay м"),
            ("приВЕТ", False, "hay м"),
            ("ne*dle", False, "needle"),
            ("needle", True, "needl"),
            (r"needle\d", True, "needl 1"),
            ("ne+dle", True, "need"),
        ],
    )
    @pytest.mark.parametrize("ignore_case", [True, False])
    def test_says_no_of_others(self, text, regex, content, ignore_case):
        document = orjson.dumps({"content": content})
        assert not needles.test_for(text, regex=regex, ignore_case=ignore_case)(document)


_SETS = (r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", ".", r"[^\W\d_]", r"[^a]", "[a-f0-9]", "[A-Z]", "[à-þ]", "[Ѐ-я-]")
_EDGES = (r"\b", r"\B", "^", "$", r"\A", r"\Z", "(?=.)", "(?!x)", "(?<=k)", "(?<!k)", "(?:)")
_WRAPS = ("(?:{})", "({})", "(?i:{})", "(?-i:{})", "(?s:{})", "(?a:{})", "(?>{})", "(?=({}))", "(?<!{})", "(?P<n>{})")
_TIMES = {"*": 2, "+": 1, "+?": 3, "?": 1, "{2}": 2, "{1,2}": 2, "{2,}": 3, "{,2}": 0, "*+": 2, "{70}": 70}
CHARACTERS = st.sampled_from(_ODD + "пПв\u1c80\u0663\U00010400\U00010428\x85\xa0_-019") | st.characters(
    exclude_categories=["Cs"]
)


@st.composite
def patterns(draw, depth=3):
    """A pattern, and a text that it may well match."""
    kind = draw(st.integers(0, 7 if depth else 3))
    if kind <= 1:
        character = draw(CHARACTERS)
        made = re.escape(character), draw(st.sampled_from([character, character.swapcase(), character.casefold()]))
    elif kind == 2:
        first, last = sorted(draw(st.tuples(CHARACTERS, CHARACTERS)))
        within = f"[{re.escape(first)}-{re.escape(last)}]"
        made = draw(st.sampled_from([*_SETS, within])), draw(CHARACTERS | st.sampled_from([first, last]))
    elif kind == 3:
        made = draw(st.sampled_from(_EDGES)), ""
    else:
        first, last = draw(patterns(depth - 1)), draw(patterns(depth - 1))
        if kind == 4:
            made = f"(?:{first[0]}|{last[0]})", draw(st.sampled_from([first[1], last[1]]))
        elif kind == 5:
            made = draw(st.sampled_from(_WRAPS)).format(first[0]), first[1]
        elif kind == 6:
            times = draw(st.sampled_from(sorted(_TIMES)))
            made = f"(?:{first[0]}){times}", first[1] * _TIMES[times]
        else:
            made = first[0] + last[0], first[1] + last[1]
    return made


class TestTheTestOfBytesForPatternsOfAllKinds:
    """It is told by the parser of `re` what a match has in it; the engine of `re` says what matches."""

    @settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @example((r"(\w)\1{2}-", "\u0663\u0663\u0663-"), "", "", False)
    @example((r"(?P<n>k)?(?(n)\d|x)s", "\u212a\u0663\u017f"), "", "", True)
    @example((r"(?x) i \d # one", "\u01307"), "", "", True)
    @example((r"[k\u017f]s", "\u017f\u017f"), "", "", True)
    @example((r"(?-i:\u017f)k", "\u017f\u212a"), "", "", True)
    @example((r"\wk\w", "\u0131\u212a\u0130"), "", "", True)
    @example((r'[\n"]{2}\\', '"\n\\'), "", "", True)
    @example((r"[s\u017f]x", "\u017fx"), "", "", False)
    @example((r"a\dx", "a\u0663x"), "", "", False)
    @example((r"(?a:\d(?u:\d))y", "1\u0663y"), "", "", False)
    @example((r"x(?:ab){70}c", "x" + "ab" * 70 + "c"), "", "", False)
    @example((r"[a\n]x", "\nx"), "", "", False)
    @example((r"[a\U0001f600]x", "\U0001f600x"), "", "", False)
    @example((r"[a\x80]x", "\x80x"), "", "", False)
    @example((r"(?-i:[\u017f\u20ac])s", "\u017f\u017f"), "", "", True)
    @given(patterns(), TEXTS, TEXTS, st.booleans())
    @pytest.mark.filterwarnings("ignore:Possible")
    def test_lets_every_match_pass(self, made, before, behind, ignore_case):
        pattern, text = made
        try:
            compiled = re.compile(pattern, re.MULTILINE | (re.IGNORECASE if ignore_case else 0))
        except re.error:
            return
        test = needles.test_for(pattern, regex=True, ignore_case=ignore_case)
        for string in (text, before + text + behind, before):
            if compiled.search(string):
                assert test(orjson.dumps({"content": string}))

    def test_what_is_taken_for_ascii_is_all_that_ignoring_case_takes_for_it(self):
        every = "".join(map(chr, (*range(0x80, 0xD800), *range(0xE000, 0x110000))))
        assert re.findall(r"[\0-\x7f]", every, re.IGNORECASE) == list(charsets.TURNED)
        assert not re.search(r"[\0-\uffff]", every[every.index("\U00010000") :], re.IGNORECASE)

    @pytest.mark.parametrize(
        "pattern, content",
        [
            (r"\d{3}-\d{4}", "call 55-5123 or 555 - 4123"),
            (r"\d{3}-\d{4}", "из-за, кто-нибудь"),
            (r"[A-Z]{3,}\d+", "AB1 ABC 1 AbC1"),
            (r"\b\w{30,}\b", "short words, however many there are of them"),
            (r"[a-f0-9]{40}", "0123456789abcdef0123456789abcdef0123456"),
            (r"(?i)[aeiou]{5}", "queue, oyez, naïve"),
            (r"(zlib|bz2)\.\w+", "import zlib, bz2"),
            (r"[А-Я]{5}", "ПРИВ ет"),
            (r"(?<!\w)\d{7}(?!\w)", "123456 7"),
            (r"\w+@\w+", "a @ b"),
            (r"(?i)ki[sz]s?", "k\u0131t K\u212a"),
            (r"import\s+zlib", "import os"),
            (r"(?a)(?i:\d{3})", "\u0663\u0663\u0663"),
            ("(?:x" * 40 + "zz" + "|y+q)+" * 40 + "zx", "xyq"),
        ],
    )
    def test_says_no_of_what_has_no_such_row(self, pattern, content):
        assert not needles.test_for(pattern, regex=True, ignore_case=False)(orjson.dumps({"content": content}))

    def test_says_no_of_as_many_alternatives_as_it_is_quick_for(self):
        document = orjson.dumps({"content": "x"})
        several = "|".join(f"{number}+{number}" for number in range(8))
        assert not needles.test_for(several, regex=True, ignore_case=False)(document)
        assert needles.test_for(f"{several}|8+8", regex=True, ignore_case=False)(document)

    def test_lets_everything_pass_where_the_parser_cannot_be_asked(self, monkeypatch):
        document = orjson.dumps({"content": "x"})
        assert not needles.test_for(r"\d{4}", regex=True, ignore_case=False)(document)
        monkeypatch.delattr("re._parser.parse")
        assert needles.test_for(r"\d{4}", regex=True, ignore_case=False)(document)


class TestHits:
    def test_show_the_place(self, store):
        session = store.create_session("s")
        commit(session, said("n", None, "x" * 100 + "needle" + "y" * 100))
        assert store.search("NEEDLE") == (
            SearchHit("s", "n", "user", "2026-01-01T00:00:00Z", "x" * 40 + "needle" + "y" * 40, 40, 46),
        )

    def test_are_not_of_the_words_of_a_message_s_form(self, store):
        session = store.create_session("s")
        parts = [{"type": "text", "text": "hello"}, {"type": "tool_use", "name": "f", "input": {"type": "shape"}}]
        commit(session, node("n", payload={"kind": "event", "message": {"role": "user", "content": parts}}))
        assert [found(store, word) for word in ("tool_use", "user", "event", "content")] == [[], [], [], []]
        assert found(store, "shape") == found(store, "hello") == [("s", "n")]

    def test_are_of_what_is_called_like_a_form_and_is_none(self, store):
        session = store.create_session("s")
        held = {"content": "hello", "message": {"kind": "inner"}}
        commit(session, node("n", payload={"kind": "event", "message": held, "data": {"type": "shape", "event": 1}}))
        assert found(store, "shape") == found(store, "inner") == [("s", "n")]

    def test_are_of_payloads_alone(self, store):
        session = store.create_session("s")
        caused_by = {"kind": "x", "payload": {"text": "cause 42-17"}}
        commit(session, node("n", payload={"text": "effect 17-42"}, caused_by=caused_by))
        session.checkpoint()
        assert found(store, r"ef+ect \d\d-42", regex=True) == found(store, "17-42") == [("s", "n")]
        assert found(store, "cause 42") == found(store, r"\d\d-17", regex=True) == []

    def test_are_of_strings_alone(self, store):
        commit(store.create_session("s"), node("n", payload={"a": [1, 2.5, True, None], "b": None, "c": "needle 7"}))
        assert found(store, "7") == [("s", "n")]
        assert found(store, "2.5") == found(store, "true") == found(store, "null") == []

    def test_by_a_time_with_an_offset(self, store):
        session = store.create_session("s")
        commit(session, node("n", payload={"text": "x"}, timestamp="2026-01-02T01:00:00+02:00"))
        at_ms = 1_767_308_400_000
        assert found(store, "x", since_ms=at_ms, until_ms=at_ms) == [("s", "n")]
        assert found(store, "x", since_ms=at_ms + 1) == found(store, "x", until_ms=at_ms - 1) == []

    def test_by_time_and_session_and_at_most_so_many(self, store):
        for name in ("a", "b"):
            made = [
                node(f"{name}{day}", payload={"text": "x"}, timestamp=f"2026-01-0{day}T00:00:00Z") for day in (1, 2, 3)
            ]
            commit(store.create_session(name), *made)
        second = 1_767_312_000_000
        assert found(store, "x", since_ms=second, until_ms=second) == brute_force_on(store, "2")
        assert found(store, "x", session_ids=["b"], since_ms=second) == [("b", "b2"), ("b", "b3")]
        assert len(store.search("x", limit=4)) == 4
        assert store.search("x", limit=0) == ()
        assert found(store, "x", session_ids=["b", "a", "b"], limit=4) == [
            ("b", "b1"),
            ("b", "b2"),
            ("b", "b3"),
            ("a", "a1"),
        ]

    def test_of_arguments_that_make_no_sense(self, store):
        for text, options in (("", {}), ("(", {"regex": True}), ("x", {"limit": -1}), ("x", {"session_ids": "abc"})):
            with pytest.raises(InvalidArgument):
                store.search(text, **options)
        with pytest.raises(SessionNotFound):
            store.search("x", session_ids=["nobody"])

    def test_of_a_date_that_there_is_not(self, store):
        commit(store.create_session("s"), node("n", payload={"text": "x"}, timestamp="2026-02-31T00:00:00Z"))
        assert found(store, "x") == [("s", "n")]
        assert found(store, "x", since_ms=0) == []


def brute_force_on(store, day):
    return [(row.session_id, f"{row.session_id}{day}") for row in store.list_sessions()]


@pytest.mark.damaged
def test_damage_is_told_and_hides_nothing(tmp_path: Path):
    with LocalStore(tmp_path / "store") as store:
        commit(store.create_session("s"), said("first", None, "alpha"), said("second", "first", "needle"))
    (file,) = (tmp_path / "store").rglob("*.jsonl")
    raw = file.read_bytes()
    file.write_bytes(raw.replace(b"needle", b"noodle"))
    with LocalStore(tmp_path / "store") as store, pytest.raises(CorruptRecord):
        store.search("needle")


def test_searching_changes_nothing(tmp_path: Path):
    root = tmp_path / "store"
    with LocalStore(root) as store:
        commit(store.create_session("s"), said("n", None, "x"))
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    with LocalStore(root) as store:
        assert found(store, "x") == [("s", "n")]
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
