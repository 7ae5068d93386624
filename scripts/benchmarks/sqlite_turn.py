"""The same turn on SQLite: as fast as we can make it in Python, with the same checks and the same guarantees.

Where a rule costs nothing to leave out it is kept in; what is left out here is left out in SQLite's favour: no
validation of what the caller gives, no record classes on the way out, and no proof that parents close no cycle.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import orjson

from .sqlite_schema import COMPLETED, DEFERRED, connect
from .stores import TTL_MS, NotThereError
from .workload import Node, Turn

_SEQ_BITS = 32

_BUMP_INPUT = "UPDATE sessions SET last_input = last_input + 1, updated_ms = ? WHERE n = ? RETURNING last_input"
_INSERT_INPUT = (
    "INSERT INTO inputs (id, session, input_id, source_key, state, enqueued_ms, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)
_STORED_INPUT = "SELECT input_id, body FROM inputs WHERE session = ? AND source_key = ?"
_CLAIM_LEASE = (
    "UPDATE sessions SET lease_token = ?, fencing_token = fencing_token + 1, lease_owner = ?, lease_liveness = ?,"
    " lease_claimed_ms = ?, lease_expires_ms = ?, updated_ms = ?"
    " WHERE n = ? AND (lease_token IS NULL OR lease_expires_ms <= ?) RETURNING fencing_token"
)
_EXTEND_LEASE = (
    "UPDATE sessions SET lease_expires_ms = ? WHERE n = ? AND lease_owner = ? AND lease_expires_ms > ?"
    " RETURNING lease_token, fencing_token"
)
_RELEASE_LEASE = (
    "UPDATE sessions SET lease_token = NULL, updated_ms = ? WHERE n = ? AND lease_token = ? AND fencing_token = ?"
)
# One statement: it checks the lease, finds the first claimable input and takes it.
_CLAIM_INPUT = (
    "UPDATE inputs SET claim_id = ?, claim_token = ?, claim_owner = ?, claim_fencing = claim_fencing + 1,"
    " claim_expires_ms = ? WHERE id = (SELECT id FROM inputs INDEXED BY inputs_waiting WHERE state < 3"
    " AND id > ? AND id < ? AND state = 1 AND (claim_id IS NULL OR claim_expires_ms <= ?) ORDER BY id LIMIT 1)"
    " AND EXISTS (SELECT 1 FROM sessions"
    " WHERE n = ? AND lease_token = ? AND fencing_token = ? AND lease_expires_ms > ?)"
    " RETURNING id, input_id, body"
)
_HEAD = "SELECT revision, lease_token, fencing_token, lease_expires_ms, last_node FROM sessions WHERE n = ?"
_STAMP = "INSERT INTO turns VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_STAMPED = "SELECT turn_hash, revision FROM turns WHERE session = ? AND turn_id = ?"
_COMPLETE = (
    f"UPDATE inputs SET state = {COMPLETED}, claim_id = NULL, claim_token = NULL, claim_owner = NULL,"
    " claim_expires_ms = NULL WHERE id = ? AND claim_id = ? AND claim_token = ?"
)
_INSERT_NODE = "INSERT INTO nodes (id, session, node_id, parent, timestamp, payload) VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_BLOB = "INSERT INTO blobs VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_ADD_USAGE = (
    "INSERT INTO usage VALUES (?, 'turn', 'a-model', ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,"
    " cache_read = cache_read + excluded.cache_read"
)
_SETTLE = (
    "UPDATE sessions SET revision = ?, leaf = ?, checkpoint_ref = ?, config = ?, updated_ms = ?, last_node = ?,"
    " node_count = node_count + ?, user_message_count = user_message_count + ?,"
    " first_user_message = coalesce(first_user_message, ?) WHERE n = ?"
)
_PATH = (
    "WITH RECURSIVE path (node_id, parent, timestamp, payload, depth) AS ("
    " SELECT node_id, parent, timestamp, payload, 0 FROM nodes WHERE session = :session AND tombstoned = 0"
    " AND node_id = (SELECT leaf FROM sessions WHERE n = :session)"
    " UNION ALL SELECT nodes.node_id, nodes.parent, nodes.timestamp, nodes.payload, depth + 1 FROM path"
    " JOIN nodes ON nodes.session = :session AND nodes.node_id = path.parent AND tombstoned = 0)"
    " SELECT node_id, parent, timestamp, payload FROM path ORDER BY depth DESC"
)
_CONFIG = orjson.dumps({"provider_id": "a-provider", "model": {"name": "a-model"}})
_LIVENESS = orjson.dumps({"kind": "local_process", "pid": os.getpid()})


class SqliteTurns:
    """The tuned SQLite store."""

    name = "SQLite"

    def __init__(self, owner: str = f"worker-{os.getpid()}") -> None:
        self._owner = owner

    def open(self, root: Path, *, flushed: bool) -> SqliteStore:
        """Open (create) the database in `root`, in synchronous FULL or NORMAL."""
        return SqliteStore(connect(root, flushed=flushed), flushed, self._owner)


class SqliteStore:
    """One connection and what it needs to know."""

    def __init__(self, database: sqlite3.Connection, flushed: bool, owner: str) -> None:
        self._database = database
        self._flushed = flushed
        self._owner = owner

    def session(self, session_id: str) -> SqliteSession:
        found = self._database.execute("SELECT n FROM sessions WHERE session_id = ?", (session_id,)).fetchone()
        if found is None:
            now = time.time_ns() // 1_000_000
            self._database.execute(
                "INSERT INTO sessions (session_id, session_name, model, created_ms, updated_ms) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (session_id, session_id, "a-model", now, now),
            )
            return self.session(session_id)
        return SqliteSession(self._database, found[0], self._flushed, self._owner)

    def list_sessions(self) -> list[tuple[str, str | None, int]]:
        return self._database.execute(
            "SELECT session_id, first_user_message, node_count FROM sessions ORDER BY updated_ms DESC, session_id"
        ).fetchall()

    def synchronous(self) -> int:
        """What the last transaction was: 2 is FULL, 1 is NORMAL."""
        return int(self._database.execute("PRAGMA synchronous").fetchone()[0])

    def settle(self) -> None:
        self._database.execute(f"DELETE FROM inputs WHERE state = {COMPLETED}")
        self._database.execute("VACUUM")
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self._database.close()


class SqliteSession:
    """One session in the database."""

    def __init__(self, database: sqlite3.Connection, n: int, flushed: bool, owner: str) -> None:
        cursor = database.cursor()
        self._execute = cursor.execute
        self._executemany = cursor.executemany
        self._n = n
        self._owner = owner
        self._first, self._last = n << _SEQ_BITS, (n + 1) << _SEQ_BITS
        self._switches = self._full = flushed
        self._lease = ("", 0)
        self._claim: tuple[int, str, str] | None = None
        self._revision: int | None = None

    def _flush_next(self, full: bool) -> None:
        """Whether the next transaction is flushed; it matters in FULL only, where claims are not."""
        if self._switches and full is not self._full:
            self._execute("PRAGMA synchronous=FULL" if full else "PRAGMA synchronous=NORMAL")
            self._full = full

    def enqueue(self, turn: Turn) -> None:
        now = time.time_ns() // 1_000_000
        body = orjson.dumps({"items": [{"kind": "text", "text": turn.text}]})
        self._flush_next(True)
        self._execute("BEGIN IMMEDIATE")
        try:
            ((seq,),) = self._execute(_BUMP_INPUT, (now, self._n)).fetchall()
            input_id = f"{now:x}-{os.urandom(8).hex()}"
            row = (self._first | seq, self._n, input_id, turn.source_key, DEFERRED, now, body)
            if self._execute(_INSERT_INPUT, row).rowcount == 0:
                stored = self._execute(_STORED_INPUT, (self._n, turn.source_key)).fetchone()
                if stored is None or stored[1] != body:
                    raise NotThereError(f"another input has the source key {turn.source_key}")
                self._execute("ROLLBACK")
                return
            self._execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        try:
            self._execute("ROLLBACK")
        except sqlite3.OperationalError:
            pass  # the failure ended the transaction already

    def claim_lease(self) -> bool:
        now = time.time_ns() // 1_000_000
        token = os.urandom(16).hex()
        self._flush_next(False)
        values = (token, self._owner, _LIVENESS, now, now + TTL_MS, now, self._n, now)
        granted = self._execute(_CLAIM_LEASE, values).fetchall()
        if not granted:
            granted = self._execute(_EXTEND_LEASE, (now + TTL_MS, self._n, self._owner, now)).fetchall()
            if not granted:
                return False
            self._lease = granted[0]
            return True
        self._lease = (token, granted[0][0])
        return True

    def claim_input(self) -> str:
        now = time.time_ns() // 1_000_000
        claim_id, token = os.urandom(16).hex(), os.urandom(16).hex()
        self._flush_next(False)
        lease = (self._n, *self._lease, now)
        values = (claim_id, token, self._owner, now + TTL_MS, self._first, self._last, now, *lease)
        claimed = self._execute(_CLAIM_INPUT, values).fetchall()
        if not claimed:
            raise NotThereError("no input waits, or the lease is lost")
        row, _, body = claimed[0]
        self._claim = (row, claim_id, token)
        items: list[dict[str, Any]] = orjson.loads(body)["items"]
        return "\n".join(item["text"] for item in items)

    def commit(self, turn: Turn) -> int:
        now = time.time_ns() // 1_000_000
        self._flush_next(True)
        self._execute("BEGIN IMMEDIATE")
        try:
            revision, *lease, expires, last_node = self._execute(_HEAD, (self._n,)).fetchone()
            tool_state = orjson.dumps(turn.tool_state)
            tool_ref = hashlib.sha256(tool_state).digest()
            manifest = orjson.dumps(
                {"schema_version": 1, "turn_state": turn.turn_state, "tool_state_ref": tool_ref.hex()}
            )
            ref = hashlib.sha256(manifest).digest()
            stamp = (self._n, turn.turn_id, turn.turn_hash, revision + 1, ref)
            if self._execute(_STAMP, stamp).rowcount == 0:
                return self._replay(turn)
            if (*lease,) != self._lease or expires is None or expires <= now:
                raise NotThereError("the lease is lost")
            if self._revision is not None and self._revision != revision:
                raise NotThereError(f"the head is at {revision}, expected {self._revision}")
            self._write(turn, revision + 1, last_node, now, ((self._n, tool_ref, tool_state), (self._n, ref, manifest)))
            self._execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        self._claim = None
        self._revision = int(revision) + 1
        return self._revision

    def _replay(self, turn: Turn) -> int:
        turn_hash, revision = self._execute(_STAMPED, (self._n, turn.turn_id)).fetchone()
        if turn_hash != turn.turn_hash:
            raise NotThereError(f"the turn {turn.turn_id} was committed with another hash")
        self._execute("ROLLBACK")
        return int(revision)

    def _write(
        self, turn: Turn, revision: int, last_node: int, now: int, blobs: tuple[tuple[int, bytes, bytes], ...]
    ) -> None:
        if self._claim is not None and self._execute(_COMPLETE, self._claim).rowcount == 0:
            raise NotThereError("the claim of the input is lost")
        first = self._first | (last_node + 1)
        # A node id that is there already violates the unique index and undoes everything.
        self._executemany(
            _INSERT_NODE,
            [
                (first + at, self._n, node.node_id, node.parent_node_id, node.timestamp, orjson.dumps(node.payload))
                for at, node in enumerate(turn.nodes)
            ],
        )
        self._executemany(_INSERT_BLOB, blobs)
        usage = turn.usage
        added = (self._n, usage["input_tokens"], usage["output_tokens"], usage["cache_read_input_tokens"])
        self._execute(_ADD_USAGE, added)
        users = [node for node in turn.nodes if node.payload["message"]["role"] == "user"]
        said = users[0].payload["message"]["content"] if users else None
        head = (revision, turn.leaf, blobs[-1][1], _CONFIG, now, last_node + len(turn.nodes))
        self._execute(_SETTLE, (*head, len(turn.nodes), len(users), said, self._n))

    def release(self) -> None:
        self._flush_next(False)
        self._execute(_RELEASE_LEASE, (time.time_ns() // 1_000_000, self._n, *self._lease))

    def revision(self) -> int:
        return int(self._execute("SELECT revision FROM sessions WHERE n = ?", (self._n,)).fetchone()[0])

    def pending_inputs(self) -> int:
        waiting = (
            "SELECT count(*) FROM inputs INDEXED BY inputs_waiting WHERE state < 3 AND id > ? AND id < ?"
            " AND (claim_id IS NULL OR claim_expires_ms <= ?)"
        )
        now = time.time_ns() // 1_000_000
        return int(self._execute(waiting, (self._first, self._last, now)).fetchone()[0])

    def load_node(self, node_id: str) -> Node | None:
        one = (
            "SELECT node_id, parent, timestamp, payload FROM nodes WHERE session = ? AND node_id = ? AND tombstoned = 0"
        )
        return next(map(_node, self._execute(one, (self._n, node_id))), None)

    def load_all(self) -> list[Node]:
        every = (
            "SELECT node_id, parent, timestamp, payload FROM nodes"
            " WHERE id > ? AND id < ? AND tombstoned = 0 ORDER BY id"
        )
        return list(map(_node, self._execute(every, (self._first, self._last))))

    def load_path(self) -> list[Node]:
        return list(map(_node, self._execute(_PATH, {"session": self._n})))

    def read_all(self) -> int:
        every = "SELECT node_id, parent, timestamp, payload FROM nodes WHERE id > ? AND id < ? AND tombstoned = 0"
        rows = self._execute(every + " ORDER BY id", (self._first, self._last)).fetchall()
        return len([(*row[:3], orjson.loads(row[3])) for row in rows])

    def read_path(self) -> int:
        rows = self._execute(_PATH, {"session": self._n}).fetchall()
        return len([(*row[:3], orjson.loads(row[3])) for row in rows])


def _node(row: tuple[str, str | None, str, bytes]) -> Node:
    node_id, parent, timestamp, payload = row
    return Node(node_id, parent, timestamp, orjson.loads(payload))
