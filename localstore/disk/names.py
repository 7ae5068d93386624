"""Every name of a file or folder in a store: its builders, its parsers, and one classifier for any entry.

```
<root>/
  store.json
  attachments/<aa>/<sha256>               and <sha256>.json; <either>.aside while a sweep looks at it
  trash/moving.lock                       who moves a session in or out
  trash/<session directory>.<16 hex>/     deleted sessions, by when they were (milliseconds), with a receipt.json
  quarantine/<name>.<16 hex>.bad          damaged files of the root and of the attachments
  sessions/<slug>-<16 hex of sha256(id)>/
    meta.json head.json lease.json lock   and receipt.json while it is being deleted
    nodes/<sha256>.jsonl
    blobs/<sha256>
    inputs/<seq>-<id part>.json           work/<seq>-<id part>.json
    <first seq>.journal
    redactions/<16 hex>.json              receipts of redactions, by when they were (milliseconds)
    quarantine/<name>.<16 hex>.bad
```

A sequence number has 16 digits, so that names sort as numbers do. Anything being made is `<name>.<16 hex>.tmp`.
All names are lower-case ASCII, since some file systems fold case, and none is a Windows device name.
"""

from __future__ import annotations

import os
import re
import unicodedata
from enum import Enum, auto
from hashlib import sha256

from ..contract.errors import InvalidArgument

STORE = "store.json"
ATTACHMENTS = "attachments"
TRASH = "trash"
TRASH_LOCK = "moving.lock"
SESSIONS = "sessions"

META = "meta.json"
HEAD = "head.json"
LEASE = "lease.json"
RECEIPT = "receipt.json"
LOCK = "lock"
NODES = "nodes"
BLOBS = "blobs"
INPUTS = "inputs"
WORK = "work"
QUARANTINE = "quarantine"
REDACTIONS = "redactions"

MAX_SEQ = 2**53 - 1

_MAX_SLUG = 40
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
)

_SHA = re.compile(r"[0-9a-f]{64}")
_SESSION = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,38}[a-z0-9_])?-[0-9a-f]{16}")
_PLAIN_ID = re.compile(r"[a-z0-9_-]{1,64}")
_HASHED_ID = re.compile(r".*-[0-9a-f]{16}")
_SPOOL_ENTRY = re.compile(r"([0-9]{16})-([a-z0-9_-]{1,64})\.json")
_REDACTION = re.compile(r"[0-9a-f]{16}\.json")
_JOURNAL_END = ".journal"
_JOURNAL = re.compile(r"([0-9]{16})" + re.escape(_JOURNAL_END))
_TEMPORARY_END = ".tmp"
_TEMPORARY = re.compile(r"[a-z0-9_.-]+\.[0-9a-f]{16}" + re.escape(_TEMPORARY_END))
_UNIQUE = re.compile(r"\.[0-9a-f]{16}\.tmp")
_QUARANTINED = re.compile(r".+\.[0-9a-f]{16}\.bad")
_UNREADABLE = re.compile(r"[^a-z0-9_]+")

# What tools that copy or synchronise folders make of `x.json` when they meet a second version of it. The patterns are
# generous, for the rest of the name must be one of ours.
_COPIES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(.+?) ?\([^()]*\)(\.[a-z0-9]+)?",  # Dropbox, Nextcloud, Google Drive, browsers: x (anything).json
        r"(.+?)\.sync-conflict-[0-9A-Z-]+(\.[a-z0-9]+)?",  # Syncthing
        r"(.+?) [0-9]{1,4}(\.[a-z0-9]+)?",  # iCloud: x 2.json
        r"(.+?)(?: -)? [Cc]opy(?: \(?[0-9]{1,4}\)?)?(\.[a-z0-9]+)?",  # Explorer, Finder: x - Copy.json, x copy 2.json
        r"(.+?)[._-][Cc]onflict(?:[_-][0-9A-Za-z-]*)?(\.[a-z0-9]+)?",  # ownCloud, Resilio: x_conflict-2024-01-01.json
        r"(.+?)-[A-Z][0-9A-Za-z-]{0,30}(\.[a-z0-9]+)?",  # OneDrive: x-COMPUTER.json
    )
)


class Place(Enum):
    """A folder of the store, by what it holds."""

    ROOT = auto()
    ATTACHMENTS = auto()
    ATTACHMENT_SHARD = auto()
    TRASH = auto()
    SESSIONS = auto()
    SESSION = auto()
    NODES = auto()
    BLOBS = auto()
    INPUTS = auto()
    WORK = auto()
    QUARANTINE = auto()
    REDACTIONS = auto()


class EntryKind(Enum):
    """What an entry of a folder is, judged by its name, its place, and whether it is a folder."""

    STORE = auto()
    ATTACHMENTS = auto()
    TRASH = auto()
    SESSIONS = auto()
    ATTACHMENT_SHARD = auto()
    ATTACHMENT = auto()
    ATTACHMENT_ROW = auto()
    ATTACHMENT_ASIDE = auto()
    TRASH_LOCK = auto()
    TRASHED = auto()
    SESSION = auto()
    META = auto()
    HEAD = auto()
    LEASE = auto()
    RECEIPT = auto()
    LOCK = auto()
    NODES = auto()
    BLOBS = auto()
    INPUTS = auto()
    WORK = auto()
    QUARANTINE = auto()
    JOURNAL = auto()
    NODE_FILE = auto()
    BLOB = auto()
    SPOOL_ENTRY = auto()
    REDACTIONS = auto()
    REDACTION = auto()
    QUARANTINED = auto()
    TEMPORARY = auto()
    """Ours, half made: whoever made it is at work, or died. Nobody relies on it."""
    CONFLICTED_COPY = auto()
    """A second version of one of our files, left by a tool that copies or synchronises folders. Never read."""
    FOREIGN = auto()
    """Not ours: left alone."""


_FIXED: dict[tuple[Place, bool], dict[str, EntryKind]] = {
    (Place.ROOT, False): {STORE: EntryKind.STORE},
    (Place.ROOT, True): {
        ATTACHMENTS: EntryKind.ATTACHMENTS,
        TRASH: EntryKind.TRASH,
        SESSIONS: EntryKind.SESSIONS,
        QUARANTINE: EntryKind.QUARANTINE,
    },
    (Place.TRASH, False): {TRASH_LOCK: EntryKind.TRASH_LOCK},
    (Place.SESSION, False): {
        META: EntryKind.META,
        HEAD: EntryKind.HEAD,
        LEASE: EntryKind.LEASE,
        RECEIPT: EntryKind.RECEIPT,
        LOCK: EntryKind.LOCK,
    },
    (Place.SESSION, True): {
        NODES: EntryKind.NODES,
        BLOBS: EntryKind.BLOBS,
        INPUTS: EntryKind.INPUTS,
        WORK: EntryKind.WORK,
        QUARANTINE: EntryKind.QUARANTINE,
        REDACTIONS: EntryKind.REDACTIONS,
    },
}


def is_sha256(value: object) -> bool:
    """Whether `value` is text of 64 lower-case hexadecimal digits."""
    return isinstance(value, str) and _SHA.fullmatch(value) is not None


def session_dirname(session_id: str) -> str:
    """The folder of a session, for any Unicode id: a readable part, and a hash that tells ids apart."""
    return f"{_slug(session_id) or 'session'}-{_short_hash(session_id)}"


def is_session_dirname(name: str) -> bool:
    """Whether `session_dirname` may have made `name`."""
    return _SESSION.fullmatch(name) is not None


def belongs_to(dirname: str, session_id: str) -> bool:
    """Whether a folder of this name (in the trash or in the making, too) can be that session's, for all it says."""
    own = dirname.partition(".")[0]
    return own == session_dirname(session_id) or not is_session_dirname(own)


def node_file(sha: str) -> str:
    return f"{_checked_sha(sha)}.jsonl"


def parse_node_file(name: str) -> str | None:
    """The SHA-256 that `name` stands for, or `None` when it is no node file's name."""
    sha = name.removesuffix(".jsonl")
    return sha if sha != name and is_sha256(sha) else None


def blob(sha: str) -> str:
    return _checked_sha(sha)


def attachment_shard(sha: str) -> str:
    """The folder in `attachments/` that holds this attachment."""
    return _checked_sha(sha)[:2]


def attachment(sha: str) -> str:
    return _checked_sha(sha)


def attachment_row(sha: str) -> str:
    """The small JSON beside an attachment's bytes."""
    return f"{_checked_sha(sha)}.json"


def aside(name: str) -> str:
    """Where a sweep puts an attachment's file while it makes sure that nobody names it."""
    return f"{name}.aside"


def parse_aside(name: str) -> str | None:
    """The name that an entry had before it was put aside, or `None` when it is none that was."""
    before = name.removesuffix(".aside")
    return before if before != name and is_sha256(before.removesuffix(".json")) else None


def trashed(dirname: str, deleted_at_ms: int) -> str:
    """The name in `trash/` of a session's folder: it says when the session was deleted."""
    if not 0 <= deleted_at_ms <= MAX_SEQ:
        raise InvalidArgument(f"a time must be between 0 and 2^53-1 milliseconds, not {deleted_at_ms}")
    return f"{dirname}.{deleted_at_ms:016x}"


def parse_trashed(name: str) -> tuple[str, int] | None:
    """Session directory and time of deletion, or `None` when `name` is none of the trash's."""
    dirname, _, digits = name.rpartition(".")
    if not is_session_dirname(dirname) or not re.fullmatch(r"[0-9a-f]{16}", digits):
        return None
    at_ms = int(digits, 16)
    return (dirname, at_ms) if at_ms <= MAX_SEQ else None


def spool_entry(seq: int, ident: str) -> str:
    """The file of one pending input or one piece of queued work; two entries never share one."""
    return f"{_digits(seq)}-{_id_part(ident)}.json"


def parse_spool_entry(name: str) -> tuple[int, str] | None:
    """Sequence number and id part, or `None` when `name` is no spool entry's."""
    match = _SPOOL_ENTRY.fullmatch(name)
    return (int(match[1]), match[2]) if match is not None and int(match[1]) <= MAX_SEQ else None


def journal(first_seq: int) -> str:
    """The journal whose first record has this sequence number."""
    return f"{_digits(first_seq)}{_JOURNAL_END}"


def parse_journal(name: str) -> int | None:
    """The first sequence number of a journal, or `None` when `name` is no journal's."""
    if not name.endswith(_JOURNAL_END):
        return None  # the answer for most names, and a list asks for those of every session
    match = _JOURNAL.fullmatch(name)
    return int(match[1]) if match is not None and int(match[1]) <= MAX_SEQ else None


def redaction(at_ms: int) -> str:
    """The receipt of a redaction at that time."""
    if not 0 <= at_ms <= MAX_SEQ:
        raise InvalidArgument(f"a time must be between 0 and 2^53-1 milliseconds, not {at_ms}")
    return f"{at_ms:016x}.json"


def quarantined(name: str) -> str:
    """A new name in `quarantine/` for what was cut off or set apart from the file `name`."""
    return f"{name}.{_unique()}.bad"


def temporary(stem: str) -> str:
    """A new name for a file or folder in the making that will be called `stem`."""
    return f"{stem}.{_unique()}{_TEMPORARY_END}"


def is_temporary(name: str) -> bool:
    """Whether `name` is one that `temporary` made."""
    return name.endswith(_TEMPORARY_END) and _TEMPORARY.fullmatch(name) is not None


def is_temporary_of(name: str, stem: str) -> bool:
    """Whether `name` is one that `temporary` made for `stem`, whatever that has in it."""
    return name.startswith(f"{stem}.") and _UNIQUE.fullmatch(name, len(stem)) is not None


def classify(name: str, is_dir: bool, place: Place) -> EntryKind:
    """What the entry `name` of a folder of the kind `place` is.

    Args:
        name: the entry's name, without its folder.
        is_dir: whether it is a real folder; a symlink is none, whatever it leads to.
        place: the folder it was found in.
    """
    if is_temporary(name):
        return EntryKind.TEMPORARY
    kind = _own(name, is_dir, place)
    if kind is not None:
        return kind
    for pattern in _COPIES:
        match = pattern.fullmatch(name)
        if match is not None and _own(match[1] + (match[2] or ""), is_dir, place) is not None:
            return EntryKind.CONFLICTED_COPY
    return EntryKind.FOREIGN


def _own(name: str, is_dir: bool, place: Place) -> EntryKind | None:
    fixed = _FIXED.get((place, is_dir), {}).get(name)
    if fixed is not None:
        return fixed
    return _own_folder(name, place) if is_dir else _own_file(name, place)


def _own_folder(name: str, place: Place) -> EntryKind | None:
    if place is Place.SESSIONS and is_session_dirname(name):
        return EntryKind.SESSION
    if place is Place.ATTACHMENTS and re.fullmatch(r"[0-9a-f]{2}", name):
        return EntryKind.ATTACHMENT_SHARD
    if place is Place.TRASH and parse_trashed(name) is not None:
        return EntryKind.TRASHED
    return None


def _own_file(name: str, place: Place) -> EntryKind | None:
    if place is Place.SESSION and parse_journal(name) is not None:
        return EntryKind.JOURNAL
    if place is Place.NODES and parse_node_file(name) is not None:
        return EntryKind.NODE_FILE
    if place is Place.BLOBS and is_sha256(name):
        return EntryKind.BLOB
    if place in {Place.INPUTS, Place.WORK} and parse_spool_entry(name) is not None:
        return EntryKind.SPOOL_ENTRY
    if place is Place.QUARANTINE and _QUARANTINED.fullmatch(name):
        return EntryKind.QUARANTINED
    if place is Place.REDACTIONS and _REDACTION.fullmatch(name):
        return EntryKind.REDACTION
    return _own_attachment(name) if place is Place.ATTACHMENT_SHARD else None


def _own_attachment(name: str) -> EntryKind | None:
    if is_sha256(name):
        return EntryKind.ATTACHMENT
    if is_sha256(name.removesuffix(".json")):
        return EntryKind.ATTACHMENT_ROW
    return EntryKind.ATTACHMENT_ASIDE if parse_aside(name) is not None else None


def _id_part(ident: str) -> str:
    # An id that looks like a hashed one is hashed too, or it could pass for the name of another.
    if _PLAIN_ID.fullmatch(ident) and not _HASHED_ID.fullmatch(ident):
        return ident
    return f"{_slug(ident) or 'id'}-{_short_hash(ident)}"


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    slug = _UNREADABLE.sub("-", plain).strip("-")[:_MAX_SLUG].rstrip("-")
    return f"{slug}_" if slug in _DEVICES else slug


def _short_hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _unique() -> str:
    return os.urandom(8).hex()


def _digits(seq: int) -> str:
    if not 0 <= seq <= MAX_SEQ:
        raise InvalidArgument(f"a sequence number must be between 0 and 2^53-1, not {seq}")
    return f"{seq:016d}"


def _checked_sha(sha: str) -> str:
    # These names may come from a file: one that holds a path must not lead out of its folder.
    if not is_sha256(sha):
        raise InvalidArgument(f"a SHA-256 is 64 lower-case hexadecimal digits, not {str(sha)[:80]!r}")
    return sha
