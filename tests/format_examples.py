"""The README's examples of the on-disk format, made by the real code: one of each kind of file and line.

`python -m tests.format_examples` puts fresh ones into the README, where the format has changed.
"""

import re
import shutil
import tempfile
from pathlib import Path

from localstore import (
    AttachmentCreateMeta,
    Durability,
    GraphAppend,
    HydratedSessionCheckpoint,
    LeaseOwnerIdentity,
    LocalProcess,
    LocalStore,
    NextTurn,
    PendingTurnInputDraft,
    PersistedSessionConfig,
    PersistedTurnState,
    ProcessWake,
    QueuedWorkBatchDraft,
    RuntimeCommit,
    RuntimeTurnCommitStamp,
    SessionNodeRecord,
    SessionScopedAttachmentStore,
    SessionStore,
    TokenLedgerEntry,
    TokenUsage,
    TurnInput,
)
from localstore.disk import names
from localstore.testing.clocks import ManualClock

README = Path(__file__).resolve().parents[1] / "README.md"

_BLOCK = re.compile(r"(<!-- example: (?P<name>[a-z .]+) -->\n```json\n)(?P<text>.*?)(```\n)", re.DOTALL)

SESSION = "trip"
TTL_MS = 30_000
LARGE = "x" * 16_384
BOOT_ID = "6f1e2d3c-0a1b-4c2d-8e3f-112233445566"


def examples() -> dict[str, bytes]:
    """Each example's name and its lines, as they stand on the disk."""
    root = Path(tempfile.mkdtemp(prefix="localstore-format-"))
    try:
        return {
            **_at_work(root / "work"),
            **_at_rest(root / "rest"),
            **_deleted(root / "deleted"),
            **_set_aside(root / "aside"),
        }
    finally:
        shutil.rmtree(root)


def in_readme() -> dict[str, bytes]:
    """The examples that the README has."""
    found = {match["name"]: match["text"].encode() for match in _BLOCK.finditer(README.read_text(encoding="utf-8"))}
    assert found
    return found


def refresh() -> None:
    """Put fresh examples into the README."""
    fresh = examples()
    text = README.read_text(encoding="utf-8")
    README.write_text(
        _BLOCK.sub(lambda match: match[1] + fresh[match["name"]].decode() + match[4], text), encoding="utf-8"
    )


def _open(root: Path) -> tuple[LocalStore, SessionStore]:
    store = LocalStore(root, durability=Durability.PROCESS, clock=ManualClock())
    return store, store.create_session(SESSION, session_name="Trip to Oslo", model="a-model", cwd="/home/me")


def _owner() -> LeaseOwnerIdentity:
    alive = LocalProcess(f"{'5d41402abc4b2a76' * 2}/pid:4026531836", BOOT_ID, 4711, "ticks:678651")
    return LeaseOwnerIdentity("worker", "1", alive)


def _enqueue(session: SessionStore) -> None:
    draft = PendingTurnInputDraft(SESSION, NextTurn(), TurnInput.text("Find me a train."), source_key="message-1")
    session.enqueue_pending_turn_input(draft)


def _only(folder: Path, kind: names.EntryKind, place: names.Place) -> Path:
    [found] = [path for path in folder.iterdir() if names.classify(path.name, path.is_dir(), place) is kind]
    return found


def _folder(root: Path) -> Path:
    return root / names.SESSIONS / names.session_dirname(SESSION)


def _at_work(root: Path) -> dict[str, bytes]:
    """A session whose lease is held and whose queues hold something."""
    store, session = _open(root)
    with store:
        _enqueue(session)
        wake = (ProcessWake({"timer": "departure"}),)
        session.enqueue_queued_work(
            QueuedWorkBatchDraft(SESSION, "after_current_turn_commit", "exclusive", wake)  # type: ignore[arg-type]
        )
        lease = session.try_claim_session_execution_lease(SESSION, _owner(), TTL_MS).acquired()
        assert lease is not None
        session.checkpoint()
        session.claim_next_turn_inputs(SESSION, lease.fence(), _owner(), TTL_MS, 1)
        folder = _folder(root)
        # The one before stays a while.
        journal = max(folder.glob("*.journal")).read_bytes().rstrip(b"\0")
        return {
            "store.json": (root / names.STORE).read_bytes(),
            "meta.json": (folder / names.META).read_bytes(),
            "lease.json": (folder / names.LEASE).read_bytes(),
            "input": _only(folder / names.INPUTS, names.EntryKind.SPOOL_ENTRY, names.Place.INPUTS).read_bytes(),
            "work": _only(folder / names.WORK, names.EntryKind.SPOOL_ENTRY, names.Place.WORK).read_bytes(),
            "journal": journal,
        }


def _commit(session: SessionStore, turn_id: str, nodes: tuple[SessionNodeRecord, ...], tools: int) -> RuntimeCommit:
    return RuntimeCommit(
        SESSION,
        None,
        PersistedSessionConfig("a-provider", {"name": "a-model"}),
        (),
        None,
        GraphAppend(nodes, nodes[-1].node_id),
        HydratedSessionCheckpoint(
            PersistedTurnState(tools), {"open_tools": tools}, plugin_snapshot=LARGE, execution_state=b"\0\1"
        ),
        usage_deltas=(TokenLedgerEntry("turn", "a-model", TokenUsage(812, 45)),),
    )


def _at_rest(root: Path) -> dict[str, bytes]:
    """A session that was closed cleanly, and has one of each kind of line."""
    store, session = _open(root)
    with store:
        _enqueue(session)
        lease = session.try_claim_session_execution_lease(SESSION, _owner(), TTL_MS).acquired()
        assert lease is not None
        claim = session.claim_next_turn_inputs(SESSION, lease.fence(), _owner(), TTL_MS, 1)
        assert claim is not None
        scoped = SessionScopedAttachmentStore(store.attachments, session)
        ref = scoped.put(b"\x89PNG...", AttachmentCreateMeta("image/png", 640, 480, "map"))
        asked = {"kind": "event", "role": "user", "content": "Find me a train."}
        first = SessionNodeRecord("n1", "n0", "2026-01-01T00:00:00Z", asked)
        commit = _commit(session, "turn-1", (first,), 1)
        commit = commit.completing_turn_input_claim(claim).with_committed_attachments(
            scoped.take_pending_attachment_ids()
        )
        stamp = RuntimeTurnCommitStamp(SESSION, "turn-1", commit.turn_commit_hash())
        session.commit_runtime_state(commit.with_turn_commit(stamp).with_session_execution_lease(lease.fence()))
        answered = {"kind": "event", "role": "assistant", "content": "At 7:25 or at 9:50?"}
        second = SessionNodeRecord("n2", "n1", "2026-01-01T00:00:02Z", answered)
        commit = _commit(session, "turn-2", (second,), 2).with_session_execution_lease(lease.fence())
        session.commit_runtime_state(commit.releasing_session_execution_lease(lease.completion()))
        session.tombstone_nodes(["n1"])
        session.gc_unreachable()
    folder = _folder(root)
    row = root / names.ATTACHMENTS / names.attachment_shard(ref.id) / names.attachment_row(ref.id)
    return {
        "head.json": (folder / names.HEAD).read_bytes(),
        "node file": _only(folder / names.NODES, names.EntryKind.NODE_FILE, names.Place.NODES).read_bytes(),
        "attachment": row.read_bytes(),
    }


def _deleted(root: Path) -> dict[str, bytes]:
    """A session in the trash."""
    store, session = _open(root)
    with store:
        _enqueue(session)
        store.delete_session(SESSION)
    folder = _only(root / names.TRASH, names.EntryKind.TRASHED, names.Place.TRASH)
    return {"receipt.json": (folder / names.RECEIPT).read_bytes()}


def _set_aside(root: Path) -> dict[str, bytes]:
    """A session whose journal ends in a write that was cut short, and that was written to since."""
    store, session = _open(root)
    _enqueue(session)
    journal = _only(_folder(root), names.EntryKind.JOURNAL, names.Place.SESSION)
    with journal.open("ab") as torn:
        torn.write(b'{"sum":"00000000","seq":2')
    with LocalStore(root, durability=Durability.PROCESS) as other:
        again = other.open_session(SESSION)
        assert again is not None
        draft = PendingTurnInputDraft(SESSION, NextTurn(), TurnInput.text("And back?"))
        again.enqueue_pending_turn_input(draft)
    store.close()
    folder = _folder(root) / names.QUARANTINE
    return {
        "quarantine": _only(folder, names.EntryKind.QUARANTINED, names.Place.QUARANTINE).read_bytes() + b"\n",
    }


if __name__ == "__main__":
    refresh()
