"""A store as a later release of the same format leaves it: with fields that this one does not know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from localstore import LocalStore
from localstore.disk import lines
from tests.folders import files

LATER = {"later": {"deep": [1, None, "é"]}, "flag": True}


def mark(record: dict[str, Any]) -> None:
    """Add the fields to a record."""
    record.update(LATER)


def is_marked(record: dict[str, Any]) -> bool:
    """Whether the record has them."""
    return record.items() >= LATER.items()


def sealed_anew(raw: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The line with other fields, and the checksum that is right for them."""
    fields = orjson.loads(raw)
    del fields["sum"]
    change(fields)
    return lines.encode_line(orjson.dumps(fields))


def leave_as_killed(store: LocalStore, root: Path) -> None:
    """Close the store, and put back what there was before, as if its process had been killed.

    The folders stay the same: one that is another is taken for a copy.
    """
    before = files(root)
    store.close()
    for name in files(root).keys() - before.keys():
        (root / name).unlink()
    for name, content in before.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)


def journal_of(folder: Path) -> Path:
    """The journal of the session in `folder` that goes on from its head."""
    first = orjson.loads((folder / "head.json").read_bytes())["folded_seq"] + 1
    return folder / f"{first:016d}.journal"


def change_journal(folder: Path, change: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
    """Change each event of the session's journal; its events as they are then."""
    path = journal_of(folder)
    header, *records = path.read_bytes().rstrip(b"\0").splitlines(keepends=True)
    prev = orjson.loads(header)["prev"]
    written, events = [header], []
    for raw in records:

        def change_all(record: dict[str, Any]) -> None:
            record["prev"] = prev  # noqa: B023 - it is called at once
            for event in record["events"]:
                change(event)
            events.extend(record["events"])

        written.append(sealed_anew(raw, change_all))
        prev = lines.sum_of(written[-1])
    path.write_bytes(b"".join(written))
    return events


def lines_in(folder: Path) -> Iterator[dict[str, Any]]:
    """The records in the node files of a session that its head names, oldest first."""
    for ref in orjson.loads((folder / "head.json").read_bytes())["files"]:
        for line in (folder / "nodes" / f"{ref['name']}.jsonl").read_bytes().splitlines():
            record = orjson.loads(line)
            if not record["kind"].startswith("file."):
                yield record
