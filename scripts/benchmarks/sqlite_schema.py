"""The tables of the SQLite store that we compare with, and how its connections are tuned.

What makes it fast, measured on journalled ext4 (`whole turn`, 1,000 turns a round):

- A session's rows lie together and in order, because row ids are `session << 32 | seq`: no second index for the order.
- What waits is found through a partial index, so a long history of settled inputs costs nothing.
- Ids that the store makes begin with the time, so that their index grows at one end; ids of nodes are the host's.
- The lease and the head are columns of the session's row: a commit touches one page for both.
- Claims and releases are single statements, which are their own transactions: no BEGIN, no COMMIT to parse.
- `synchronous` is switched to NORMAL around claims and releases, so that in FULL only enqueues and commits are flushed.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

AUTOCHECKPOINT_PAGES = 4000
"""16 MB of log. Against the default of 1000, a turn's mean is 6 to 11 % lower; 16000 is slower again."""
PAGE_SIZE = 4096
"""8192 and 16384 cost a turn 20 to 60 % more: the log takes whole pages."""
MMAP_BYTES = 1 << 28
CACHE_KIB = 64 * 1024
BUSY_SECONDS = 60.0

FILE_NAME = "sessions.db"

PENDING, DEFERRED, ACCEPTED, CANCELLED, COMPLETED = range(5)

TABLES = """
CREATE TABLE sessions (
    n INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL UNIQUE,
    session_name TEXT NOT NULL,
    model TEXT NOT NULL,
    cwd TEXT,
    relation BLOB,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    first_user_message TEXT,
    user_message_count INTEGER NOT NULL DEFAULT 0,
    node_count INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 0,
    leaf TEXT,
    checkpoint_ref BLOB,
    config BLOB,
    frames BLOB,
    current_frame TEXT,
    last_node INTEGER NOT NULL DEFAULT 0,
    last_input INTEGER NOT NULL DEFAULT 0,
    last_work INTEGER NOT NULL DEFAULT 0,
    fencing_token INTEGER NOT NULL DEFAULT 0,
    lease_token TEXT,
    lease_owner TEXT,
    lease_liveness BLOB,
    lease_claimed_ms INTEGER,
    lease_expires_ms INTEGER
);
CREATE TABLE nodes (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    node_id TEXT NOT NULL,
    parent TEXT,
    timestamp TEXT NOT NULL,
    caused_by BLOB,
    frame TEXT,
    tombstoned INTEGER NOT NULL DEFAULT 0,
    payload BLOB NOT NULL
);
CREATE UNIQUE INDEX nodes_by_id ON nodes (session, node_id);
CREATE TABLE turns (
    session INTEGER NOT NULL,
    turn_id TEXT NOT NULL,
    turn_hash TEXT NOT NULL,
    revision INTEGER NOT NULL,
    checkpoint_ref BLOB NOT NULL,
    PRIMARY KEY (session, turn_id)
) WITHOUT ROWID;
CREATE TABLE blobs (
    session INTEGER NOT NULL,
    ref BLOB NOT NULL,
    content BLOB NOT NULL
);
CREATE UNIQUE INDEX blobs_by_ref ON blobs (session, ref);
CREATE TABLE usage (
    session INTEGER NOT NULL,
    source TEXT NOT NULL,
    model TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    PRIMARY KEY (session, source, model)
) WITHOUT ROWID;
CREATE TABLE inputs (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    input_id TEXT NOT NULL,
    source_key TEXT,
    turn_id TEXT,
    state INTEGER NOT NULL,
    enqueued_ms INTEGER NOT NULL,
    body BLOB NOT NULL,
    claim_id TEXT,
    claim_token TEXT,
    claim_owner TEXT,
    claim_fencing INTEGER NOT NULL DEFAULT 0,
    claim_expires_ms INTEGER
);
CREATE UNIQUE INDEX inputs_by_id ON inputs (session, input_id);
CREATE UNIQUE INDEX inputs_by_source ON inputs (session, source_key) WHERE source_key IS NOT NULL;
CREATE INDEX inputs_waiting ON inputs (id) WHERE state < 3;
CREATE TABLE work (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    batch_id TEXT NOT NULL,
    source_key TEXT,
    is_command INTEGER NOT NULL,
    available_ms INTEGER NOT NULL,
    enqueued_ms INTEGER NOT NULL,
    body BLOB NOT NULL,
    claim_id TEXT,
    claim_token TEXT,
    claim_owner TEXT,
    claim_fencing INTEGER NOT NULL DEFAULT 0,
    claim_expires_ms INTEGER
);
CREATE UNIQUE INDEX work_by_id ON work (session, batch_id);
CREATE UNIQUE INDEX work_by_source ON work (session, source_key) WHERE source_key IS NOT NULL;
"""


def connect(root: Path, *, flushed: bool) -> sqlite3.Connection:
    """A tuned connection to the database in `root`, made if it is not there."""
    database = sqlite3.connect(
        root / FILE_NAME, isolation_level=None, timeout=BUSY_SECONDS, cached_statements=256, check_same_thread=False
    )
    database.execute(f"PRAGMA page_size={PAGE_SIZE}")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(f"PRAGMA synchronous={'FULL' if flushed else 'NORMAL'}")
    database.execute(f"PRAGMA wal_autocheckpoint={AUTOCHECKPOINT_PAGES}")
    database.execute(f"PRAGMA mmap_size={MMAP_BYTES}")
    database.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    database.execute("PRAGMA temp_store=MEMORY")
    if database.execute("PRAGMA user_version").fetchone()[0] == 0:
        database.execute("BEGIN IMMEDIATE")
        if database.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in TABLES.split(";"):
                if statement.strip():
                    database.execute(statement)
            database.execute("PRAGMA user_version=1")
        database.execute("COMMIT")
    return database
