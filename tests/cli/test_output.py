"""How text, sizes and times are written."""

import sys

import pytest

from localstore.cli import output


@pytest.mark.parametrize(
    "text, cleaned",
    [
        ("plain", "plain"),
        ("  two\n\t words  ", "two words"),
        ("\x1b[31mred\x1b[0m", "\ufffd[31mred\ufffd[0m"),
        ("\x9b\x00\x7f", "\ufffd"),
        ("a\u202eb\u2028c", "a\ufffdb c"),
        ("\N{FAMILY}\u200d\N{HEAVY BLACK HEART}", "\N{FAMILY}\u200d\N{HEAVY BLACK HEART}"),
    ],
)
def test_clean(text, cleaned):
    assert output.clean(text) == cleaned


@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 1000])
def test_shortened(length):
    short = output.shortened("x" * length, 10)
    assert len(short) <= 10
    assert short == ("x" * length if length <= 10 else "x" * 9 + "…")


@pytest.mark.parametrize(
    "count, told",
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KB"),
        (1536, "1.5 KB"),
        (10 * 1024, "10 KB"),
        (1024**2 - 1, "1.0 MB"),
        (20 * 1024**2, "20 MB"),
        (1024**3, "1.0 GB"),
        (1024**4, "1.0 TB"),
        (5000 * 1024**4, "5000 TB"),
    ],
)
def test_size(count, told):
    assert output.size(count) == told


def test_when():
    assert output.when(0) == ""
    assert len(output.when(1_767_225_600_000)) == len("2026-01-01 00:00")


def test_a_plain_table_is_lined_up(capsys):
    output.table(("NAME", "COUNT", "TEXT"), [("a", "1", "x"), ("\N{HIRAGANA LETTER A}", "100", "y")], numbers=["COUNT"])
    assert capsys.readouterr().out == "NAME  COUNT  TEXT\na         1  x\n\N{HIRAGANA LETTER A}      100  y\n"


def test_a_table_without_rows_has_its_header(capsys):
    output.table(("ONE", "TWO"), [])
    assert capsys.readouterr().out == "ONE  TWO\n"


@pytest.mark.parametrize(
    ("given", "shown"),
    [("assistant_001", "assistant_001"), ("x" * 16, "x" * 16), ("x" * 17, "x" * 11 + "…"), ("a\nb", "a b")],
)
def test_ids_for_people(given, shown):
    assert output.short_id(given) == shown


def test_a_line_fits_a_terminal_and_is_whole_elsewhere(monkeypatch):
    text = "├─ " + "word " * 40
    assert output.fitted(text) == text
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    assert output.fitted(text) == "├─ word word word w…"
    assert output.fitted("short") == "short"


def test_a_moment_to_the_second():
    assert output.when(1_795_545_166_655, seconds=True).startswith(f"{output.when(1_795_545_166_655)}:")
    assert output.when(0, seconds=True) == ""
