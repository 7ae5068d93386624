"""Makes the stores of this release's format that every later release has to read.

    python -m tests.golden.golden_maker tests/golden/v1

Run once a format, by the release that has it: what is committed is never made again. Clock, ids and names are fixed.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import orjson

from localstore import (
    CheckpointKind,
    ChildSession,
    Durability,
    FullGraph,
    HydratedSessionCheckpoint,
    LocalStore,
    MergeGroup,
    PersistedSessionConfig,
    PersistedTurnState,
    QueuedWorkClaimBoundary,
    SessionStore,
    TokenUsage,
)
from localstore.contract.checks import MAX_INTEGER
from localstore.machine.encoding import dump
from localstore.testing import (
    PNG,
    SteppedClock,
    active_input,
    append_commit,
    command,
    frame,
    intent,
    next_input,
    node,
    owner,
    said,
    stamped,
    usage,
    wake,
)
from tests.crash.crash_settings import ROOT_NAME, Setting, scratch
from tests.crash.crash_workload import Ids

HOUR = 3_600_000
BOOT = "0" * 32
ID = "Session: Ünïcode/.."
EXPECTED = "expected.json"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def commit(session: SessionStore, *nodes: Any, **changes: Any) -> None:
    """Commit nodes as a turn of its own, the lease taken and given back."""
    lease = session.try_claim_session_execution_lease(session.session_id, owner(), HOUR).acquired()
    assert lease is not None
    request = append_commit(*nodes, session_id=session.session_id, **changes)
    request = request.with_session_execution_lease(lease.fence())
    session.commit_runtime_state(
        stamped(request.releasing_session_execution_lease(lease.completion()), nodes[-1].node_id)
    )


def at_rest(store: LocalStore) -> None:
    """Folded: nodes, a blob, frames, usage, a checkpoint, a tombstone, a second commit in a second node file."""
    session = store.create_session(ID, session_name="golden", model="m", cwd="/somewhere")
    checkpoint = HydratedSessionCheckpoint(
        PersistedTurnState(1, TokenUsage(10, 20), {"prompt": 7}, {"option": True}),
        tool_state={"tools": "t" * 17_000},
        plugin_snapshot=[1, None, "é"],
        plugin_snapshot_revision=4,
        execution_state=bytes(range(256)),
    )
    commit(
        session,
        said("n1", None, "What is the time?"),
        said("n2", "n1", "Late.", "assistant"),
        config=PersistedSessionConfig("provider", {"model": "m", "deep": [1.5, {"a": None}]}),
        agent_frames=(frame("f1", session_id=ID, execution_state_snapshot=b"frame"),),
        current_agent_frame_id="f1",
        checkpoint=checkpoint,
        usage_deltas=(usage("agent", "m", 3, output_tokens=4),),
    )
    session.checkpoint()
    commit(session, node("n3", "n2", payload={"kind": "event", "text": "line\u2028end \U0001f600"}), node("n4", "n3"))
    session.tombstone_nodes(["n4"])


def live(store: LocalStore) -> None:
    """Never closed: a folded part, a journal behind it with a lease and claims that are held."""
    session = store.create_session(ID)
    commit(session, said("n1", None, "hello"))
    session.checkpoint()
    commit(session, said("n2", "n1", "hello again", "assistant"), usage_deltas=(usage("agent", "m", 5),))
    session.enqueue_pending_turn_input(next_input("next", session_id=ID, input_id="i1", source_key="k1"))
    session.enqueue_pending_turn_input(active_input("now", "t9", session_id=ID, input_id="i2"))
    session.enqueue_queued_work(wake("w", session_id=ID, source_key="w1"))
    lease = session.try_claim_session_execution_lease(ID, owner("holder"), HOUR).acquired()
    assert lease is not None
    fence, who = lease.fence(), lease.owner
    assert session.claim_active_turn_inputs(ID, fence, who, "t9", CheckpointKind.AFTER_WORK, HOUR, 5) is not None
    idle = QueuedWorkClaimBoundary.IDLE
    assert session.claim_ready_queued_work(ID, fence, who, idle, HOUR, 5) is not None
    store.create_session("never folded", relation=ChildSession(ID, {"why": 1}))


def whole(store: LocalStore) -> None:
    """Queues, attachments, branches, a fork and the trash."""
    session = store.create_session(ID)
    ref = store.attachments.put(PICTURE, PNG)
    for attachment_id in (ref.id, "5" * 64):
        session.record_intent(intent(attachment_id, session_id=ID))
    commit(session, said("n1", None, "one"), said("n2", "n1", "two"), committed_attachment_ids=(ref.id,))
    session.create_branch("side", "n1")
    commit(session, said("n3", "n2", "three"))
    session.switch_branch("side")
    commit(session, said("n4", "n1", "four"))
    session.rewind("n2")
    session.undo()
    for number in range(3):
        draft = next_input(f"text {number}", session_id=ID, input_id=f"i{number}", source_key=f"k{number}")
        session.enqueue_pending_turn_input(draft)
    session.cancel_pending_turn_input(ID, "i1")
    session.enqueue_queued_work(wake("w", session_id=ID, merge=MergeGroup("g")))
    session.enqueue_queued_work(command("c", session_id=ID, available_at_ms=MAX_INTEGER))
    session.fork("a fork", at="n2", session_name="forked")
    commit(store.create_session("deleted"), said("d1", None, "gone"))
    store.delete_session("deleted")


STORES: dict[str, Callable[[LocalStore], None]] = {"at_rest": at_rest, "live": live, "whole": whole}


def content(store: LocalStore) -> dict[str, Any]:
    """Everything that a store shows, as JSON."""
    sessions = {row.session_id: _session(store, row.session_id) for row in store.list_sessions()}
    found = {
        "list": store.list_sessions(),
        "sessions": sessions,
        "trash": store.trash(),
        "search": store.search("o", ignore_case=False),
    }
    return {name: _plain(value) for name, value in found.items()}


def _session(store: LocalStore, session_id: str) -> dict[str, Any]:
    session = store.open_session(session_id)
    assert session is not None
    uncommitted = session.list_uncommitted(MAX_INTEGER)
    return {
        "read": session.load_session(FullGraph()),
        "meta": session.load_session_meta(),
        "head": session.load_session_head(),
        "head_log": session.head_log(),
        "branches": session.branches(),
        "leaves": session.leaves(),
        "lease": session.get_session_execution_lease(session_id),
        "inputs": session.list_pending_turn_inputs(session_id),
        "work": session.list_queued_work(session_id),
        "pending work": session.list_pending_queued_work(session_id),
        "uncommitted": uncommitted,
        "changes": [(each.seq, each.at_ms, each.kind, each.ids, each.revision) for each in session.changes().changes],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, str | int):
        return value
    return orjson.loads(dump(value))


def make(folder: Path) -> None:
    """Make every store in `folder`, beside what each of them shows."""
    for name, fill in STORES.items():
        with scratch() as base, mock.patch("localstore.liveness.boot_id", return_value=BOOT):
            root, target = Path(base, ROOT_NAME), folder / name
            ids = Ids()
            ids.start(0, name)
            with Setting(Durability.FULL).installed(), ids.installed():
                clock = SteppedClock()
                store = LocalStore(root, clock=clock)
                fill(store)
                if name == "live":
                    shutil.copytree(root, target)
                    store.close()
                else:
                    store.close()
                    shutil.copytree(root, target)
                copy = Path(base, "copy")
                shutil.copytree(target, copy)
                with LocalStore(copy, clock=clock) as shown:
                    found = orjson.dumps(content(shown), option=orjson.OPT_INDENT_2)
        (folder / f"{name}.{EXPECTED}").write_bytes(found + b"\n")
        _drop_empty(target)


def _drop_empty(folder: Path) -> None:
    """Remove empty folders, which a clone would not have either."""
    for where, _, _ in os.walk(folder, topdown=False):
        if not os.listdir(where):
            os.rmdir(where)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
