"""What commands print: tables, lines and JSON. On a terminal tables are drawn; elsewhere everything is plain text.

What comes out of a store was written by models and tools: control characters in it never reach the terminal.

Every `--json` prints one object, `{"record": "<kind>", "schema_version": 1, ...}`, in UTF-8. Within a schema version
fields are only added.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

JSON_SCHEMA_VERSION = 1

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]

LOOK = "Look"
"""The help's panel of commands that only read."""
WORK = "Work"
"""The help's panel of commands that write."""

# C0 and C1 controls, line and paragraph separators, and what turns the direction of writing.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_SPACE = re.compile(r"\s+")


def clean(text: str) -> str:
    """`text` in one line, without anything that a terminal would obey."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", _SPACE.sub(" ", text)).strip()


def clean_line(text: str) -> str:
    """A line of a text as it is, but for what a terminal would obey; tabs become spaces."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text.expandtabs(4))


def shortened(text: str, limit: int) -> str:
    """`text` cleaned, and cut with an ellipsis where it has more than `limit` characters."""
    # Texts may be megabytes, of which a line shows little.
    cleaned = clean(text[: 4 * limit])
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1].rstrip() + "…"


def short_id(text: str) -> str:
    """An id for people: the beginning of a long one, which commands take for it as long as only one begins so."""
    return shortened(text, 16 if len(text) <= 16 else 12)


def fitted(text: str) -> str:
    """A line cut to the width of the terminal; elsewhere nothing is."""
    if not sys.stdout.isatty():
        return text
    from rich.text import Text

    shown = Text(text)
    shown.truncate(shutil.get_terminal_size().columns, overflow="ellipsis")
    return shown.plain


def line(text: str = "") -> None:
    """One line on the standard output, as it is."""
    print(text)


def complain(text: str) -> None:
    """One line on the standard error."""
    sys.stdout.flush()
    sys.stderr.write(f"localstore: {text}\n")


def json_object(record: str, fields: Mapping[str, Any]) -> None:
    """The object that `--json` prints."""
    import orjson

    _write(
        orjson.dumps({"record": record, "schema_version": JSON_SCHEMA_VERSION, **fields}, option=orjson.OPT_INDENT_2)
    )


def _write(text: bytes) -> None:
    """A line of UTF-8, whatever the encoding of the terminal, seen at once by who reads."""
    sys.stdout.flush()
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None:
        sys.stdout.write(text.decode() + "\n")
    else:
        stream.write(text + b"\n")
        stream.flush()


def json_line(record: str, fields: Mapping[str, Any]) -> None:
    """One object of several, in a line of its own."""
    import orjson

    _write(orjson.dumps({"record": record, "schema_version": JSON_SCHEMA_VERSION, **fields}))


def flush() -> None:
    """Let who reads see what was printed so far."""
    sys.stdout.flush()


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[str] = (), flexible: Iterable[str] = ()
) -> None:
    """A table. On a terminal the `flexible` columns are cut where it is too narrow; elsewhere nothing is."""
    cells = [[clean(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(columns, cells, frozenset(numbers), frozenset(flexible))
    else:
        _lay_out(columns, cells, frozenset(numbers))


def _draw(columns: Sequence[str], rows: list[list[str]], numbers: frozenset[str], flexible: frozenset[str]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        drawn.add_column(name, justify="right" if name in numbers else "left", no_wrap=name not in flexible)
    for row in rows:
        drawn.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in row))
    Console().print(drawn)


def _lay_out(columns: Sequence[str], rows: list[list[str]], numbers: frozenset[str]) -> None:
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    for row in [list(columns), *rows]:
        padded = []
        for name, cell, width in zip(columns, row, widths, strict=True):
            space = " " * (width - cell_len(cell))
            padded.append(space + cell if name in numbers else cell + space)
        print("  ".join(padded).rstrip())


def pairs(named: Iterable[tuple[str, str]]) -> None:
    """Lines of a name and what is to be said of it, one below the other."""
    told = [(name, clean(text)) for name, text in named]
    width = max((len(name) for name, _ in told), default=0)
    for name, text in told:
        print(f"{name:<{width}}  {text}".rstrip())


def size(count: int) -> str:
    """Bytes for people: 1,023 B; 1.5 KB; 20 MB (of 1,024)."""
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in ("KB", "MB", "GB", "TB"):
        amount /= 1024
        if amount < 1023.95 or unit == "TB":
            break
    return f"{amount:.1f} {unit}" if amount < 9.95 else f"{amount:.0f} {unit}"


def when(epoch_ms: int, *, seconds: bool = False) -> str:
    """A moment in local time, to the minute or the second; empty where none is known."""
    shown = "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"
    return datetime.fromtimestamp(epoch_ms / 1000).strftime(shown) if epoch_ms else ""  # noqa: DTZ006 - local
