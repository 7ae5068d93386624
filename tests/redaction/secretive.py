"""A session that has a secret in every place where one can be, and a look for what is left of it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

from localstore import (
    AgentFrameRecord,
    AttachmentCreateMeta,
    FullGraph,
    HydratedSessionCheckpoint,
    MergeGroup,
    NextTurn,
    PendingTurnInputDraft,
    PersistedSessionConfig,
    PersistedTurnState,
    QueuedWorkBatch,
    SessionMeta,
    SessionScopedAttachmentStore,
    SessionStore,
    TextItem,
    TurnInput,
)
from localstore.store import Store
from localstore.testing import SESSION, command, next_input, node, said, stamped, usage, wake
from localstore.testing.builders import append_commit
from tests.history.living import Living

SECRET = 'sk-"ünd"\\live'
"""Characters that JSON escapes, and some beyond ASCII."""
LARGE = 20_000
BINARY = b"\x80\x04\x95" + b"\0" * 8


def fill(living: Living, secret: str = SECRET) -> SessionStore:
    """Put the secret everywhere."""
    session = living.session
    created = living.store.create_session(SESSION)
    created.save_session_meta(SessionMeta(SESSION, f"about {secret}", "", f"m-{secret}", f"/home/{secret}"))
    with_files = SessionScopedAttachmentStore(living.store.attachments, session)
    with_files.put(b"picture", AttachmentCreateMeta("image/png", label=f"of {secret}"))
    session.enqueue_pending_turn_input(next_input(f"first {secret}", source_key="one"))
    living.append(said("0", None, f"of the assistant: {secret}", role="assistant"), node("a0"))
    lease = living.lease(session)
    claim = session.claim_next_turn_inputs(SESSION, lease.fence(), lease.owner, 60_000, 5)
    assert claim is not None
    commit = append_commit(
        said("a", None, f"my key is {secret}, {secret}"),
        node("b", "a", payload={"kind": "event", secret: [{"x": f"<{secret}>"}]}, caused_by={"why": secret}),
        node("c", "b"),
        config=PersistedSessionConfig(f"p-{secret}", {"key": secret}),
        agent_frames=(
            AgentFrameRecord(
                "frame-1",
                SESSION,
                reason=f"since {secret}",
                assignment={"task": secret},
                execution_state_snapshot=BINARY + secret.encode() * 2_000,
            ),
        ),
        current_agent_frame_id="frame-1",
        checkpoint=HydratedSessionCheckpoint(
            PersistedTurnState(1, last_prompt_usage={"note": secret}),
            tool_state={"k": "v" * LARGE, "secret": secret},
            plugin_snapshot=[secret],
            execution_state=BINARY + secret.encode(),
        ),
        usage_deltas=(usage("agent", f"m-{secret}", 7), usage("agent", "other", 2)),
        committed_attachment_ids=with_files.take_pending_attachment_ids(),
        session_execution_lease=lease.fence(),
        release_session_execution_lease=lease.completion(),
    ).completing_turn_input_claim(claim)
    session.commit_runtime_state(stamped(commit))
    session.tombstone_nodes(["b"])
    session.enqueue_pending_turn_input(next_input("before"))
    picture = TurnInput((TextItem(f"look {secret}"),)).with_image_ref("i", BINARY + secret.encode())
    session.enqueue_pending_turn_input(PendingTurnInputDraft(SESSION, NextTurn(), picture, source_key="two"))
    session.enqueue_pending_turn_input(next_input("behind"))
    session.enqueue_queued_work(wake("plain"))
    session.enqueue_queued_work(wake(f"do {secret}", merge=MergeGroup("g"), source_key="w"))
    session.enqueue_queued_work(command(f"run {secret}"))
    return session


def everything(session: SessionStore) -> str:
    """All that a session says of itself, as text."""
    read = session.load_session(FullGraph())
    inputs = session.list_pending_turn_inputs(session.session_id)
    work: tuple[QueuedWorkBatch, ...] = session.list_queued_work(session.session_id)
    moves = session.head_log()
    return repr((read, inputs, work, session.load_session_meta(), moves)).replace("\\\\", "\\")


def summary(store: Store, session_id: str = SESSION) -> str | None:
    return next(row.first_user_message for row in store.list_sessions() if row.session_id == session_id)


def spellings(secret: str) -> Iterator[bytes]:
    """The ways in which the bytes of a file may spell a text."""
    import json

    yield secret.encode()
    yield json.dumps(secret)[1:-1].encode()
    yield json.dumps(secret, ensure_ascii=False)[1:-1].encode()
    for shift in range(3):
        # In base64 a text looks in three ways; its ends depend on what is around it.
        coded = base64.b64encode(b"x" * shift + secret.encode())
        yield coded[4 if shift else 0 : -4]


def holding(root: Path, secret: str = SECRET) -> list[str]:
    """The files below `root` that have the text in them, in any spelling."""
    ways = list(spellings(secret))
    return [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*"))
        if path.is_file() and any(way in path.read_bytes() for way in ways)
    ]
