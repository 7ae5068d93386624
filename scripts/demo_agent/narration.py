"""What the demonstration says, and how the store's folder is drawn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill

from localstore.cli.output import clean, shortened, size
from localstore.disk.names import EntryKind, Place, classify

WIDTH = 110

_WORDS = {
    EntryKind.STORE: "what this folder is, and the version of its format",
    EntryKind.ATTACHMENTS: "images and files, shared by all sessions",
    EntryKind.SESSIONS: "one folder a session",
    EntryKind.META: "name, model, working directory",
    EntryKind.HEAD: "where the session stands: revision, leaf, token usage, which files count",
    EntryKind.LEASE: "who may write now",
    EntryKind.LOCK: "empty; held for the moment of a call",
    EntryKind.NODES: "what is kept for ever, in files that never change",
    EntryKind.NODE_FILE: "messages, turn stamps and settled input; the name is the SHA-256",
    EntryKind.BLOBS: "large values; the names are their SHA-256",
    EntryKind.INPUTS: "user input that waits, one file each",
    EntryKind.WORK: "queued work, one file each",
    EntryKind.JOURNAL: "what happened since the files were last put in order",
    EntryKind.QUARANTINE: "what a crash cut short, kept for whoever wants to look",
    EntryKind.QUARANTINED: "a write that was cut short, with the reason in its first line",
}
_PLACES = {
    EntryKind.ATTACHMENTS: Place.ATTACHMENTS,
    EntryKind.SESSIONS: Place.SESSIONS,
    EntryKind.SESSION: Place.SESSION,
    EntryKind.NODES: Place.NODES,
    EntryKind.BLOBS: Place.BLOBS,
    EntryKind.INPUTS: Place.INPUTS,
    EntryKind.WORK: Place.WORK,
    EntryKind.QUARANTINE: Place.QUARANTINE,
    EntryKind.ATTACHMENT_SHARD: Place.ATTACHMENT_SHARD,
}


def heading(text: str) -> None:
    """The title of a part."""
    print(f"\n== {text}", flush=True)


def tell(text: str) -> None:
    """A paragraph in plain words."""
    print(fill(text, WIDTH, break_long_words=False, break_on_hyphens=False), flush=True)


def show(line: str) -> None:
    """A line as it is."""
    print(line, flush=True)


def step(text: str, *, after: str = "") -> None:
    """One thing that happened, in one line, after a label."""
    print(f"   {after}{shortened(text, WIDTH - len(after))}", flush=True)


def command(*arguments: str) -> None:
    """The command whose output follows."""
    print(f"\n$ localstore {clean(' '.join(arguments))}", flush=True)


def tree(root: Path) -> Iterator[str]:
    """The store's folder, drawn: names, sizes, and what each file is for."""
    yield f"{root}/"
    yield from _branches(root, Place.ROOT, "")


def _branches(folder: Path, place: Place, indent: str) -> Iterator[str]:
    entries = sorted(os.scandir(folder), key=lambda entry: (entry.is_dir(), entry.name))
    for number, entry in enumerate(entries, 1):
        is_folder = entry.is_dir(follow_symlinks=False)
        kind = classify(entry.name, is_folder, place)
        fork, below = ("└── ", "    ") if number == len(entries) else ("├── ", "│   ")
        name = f"{entry.name}/" if is_folder else _short(entry.name)
        amount = "" if is_folder else size(entry.stat().st_size)
        yield f"{indent}{fork}{name:<{46 - len(indent)}} {amount:>7}  {_WORDS.get(kind, '')}".rstrip()
        if is_folder:
            yield from _branches(folder / entry.name, _PLACES.get(kind, Place.QUARANTINE), indent + below)


def _short(name: str) -> str:
    stem, dot, suffix = name.partition(".")
    return f"{stem[:12]}…{dot}{suffix}" if len(stem) > 30 else name
