"""A small store that has every kind of file and of line, and what is to be read from it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from localstore import (
    ActivePath,
    AttachmentCreateMeta,
    Durability,
    FullGraph,
    HydratedSessionCheckpoint,
    LocalStore,
    SessionExecutionLeaseCompletion,
    SessionExecutionLeaseFence,
    SessionNodeRecord,
    SessionScopedAttachmentStore,
    SessionStore,
    StoreError,
    TurnInput,
)
from localstore.disk import factlines, fold, housekeeping
from localstore.disk.head import place_of, seal_head, unseal_head
from localstore.testing import (
    SESSION,
    ManualClock,
    active_input,
    append_commit,
    chain,
    frame,
    next_input,
    node,
    owner,
    said,
    stamped,
    usage,
    wake,
)

HOUR = 3_600_000
MAX_INTEGER = 2**53 - 1
NODES = ("n1", "n3", "n4", "n5", "n6", "n7", "gone", "lost")
"""Every node id that a sample knows: `gone` is hidden at the end, and `lost` never was."""
ATTACHED = b"attached bytes"


@contextmanager
def small_blobs(size: int = 18) -> Iterator[None]:
    """Values of this size become blobs, so that a small store has some."""
    with mock.patch.object(factlines, "LARGE_VALUE", size), mock.patch.object(fold, "LARGE_VALUE", size):
        yield


@contextmanager
def views_at_once() -> Iterator[None]:
    """Views are written in the call itself, so that nothing goes on behind a test's back."""
    before, housekeeping.VIEW_DELAY_S = housekeeping.VIEW_DELAY_S, 0.0
    try:
        yield
    finally:
        housekeeping.VIEW_DELAY_S = before


class Seen:
    """What every read shows: its answer, or the error that it raised instead."""

    def __init__(self, store: LocalStore) -> None:
        self.answers: dict[str, Any] = {}
        self._note("list", lambda: tuple(replace(item, size_bytes=0) for item in store.list_sessions()))
        self._note("attachment", lambda: store.attachments.get(hashlib.sha256(ATTACHED).hexdigest()))
        session: SessionStore | None = None
        try:
            session = store.open_session(SESSION)
        except StoreError as error:
            self.answers["open"] = error
        else:
            self.answers["open"] = session is not None
        self.opened = session is not None
        if session is not None:
            self._read(session)

    def _read(self, session: SessionStore) -> None:
        self._note("full", lambda: session.load_session(FullGraph()))
        self._note("path", lambda: session.load_session(ActivePath()))
        self._note("head", session.load_session_head)
        self._note("meta", session.load_session_meta)
        self._note("lease", lambda: session.get_session_execution_lease(SESSION))
        self._note("inputs", lambda: session.list_pending_turn_inputs(SESSION))
        self._note("work", lambda: session.list_queued_work(SESSION))
        self._note("rows", lambda: session.list_uncommitted(MAX_INTEGER))
        self._note("log", session.head_log)
        for node_id in NODES:
            self._note(f"node {node_id}", lambda node_id=node_id: session.load_node(node_id))  # type: ignore[misc]

    def _note(self, name: str, read: Callable[[], Any]) -> None:
        try:
            self.answers[name] = read()
        except StoreError as error:
            self.answers[name] = error


@dataclass
class Sample:
    """A store at `root`, at rest or as a killed process left it.

    `truths` is what was to be seen at the last fold and after each record of the journal since, the newest last.
    """

    root: Path
    truths: list[Seen] = field(default_factory=list)


def copied(source: Path, root: Path) -> Path:
    """A copy of a store that is taken for the store itself, where a session in use is not looked over as a copy."""
    shutil.copytree(source, root)
    for path in root.glob("sessions/*/head.json"):
        raw = path.read_bytes()
        head = unseal_head(raw, str(path))
        if head.place:
            head = replace(head, place=place_of(path.parent.stat()))
            path.write_bytes(seal_head(head))
            # Mutants of one copy are mutants of each.
            assert path.stat().st_size == len(raw)
    return root


def open_store(root: Path) -> LocalStore:
    return LocalStore(root, durability=Durability.PROCESS, clock=ManualClock())


def sample_at_rest(root: Path) -> Sample:
    """Two node files with all kinds of lines, blobs, inputs, work, attachments; no journal."""
    with small_blobs(), views_at_once():
        with open_store(root) as store:
            session, fence = _folded(store)
            fields = (fence.session_id, fence.owner, fence.lease_token, fence.fencing_token)
            session.release_session_execution_lease(SessionExecutionLeaseCompletion(*fields))
        with open_store(root) as store:
            return Sample(root, [Seen(store)])


def sample_live(root: Path) -> Sample:
    """The same with a journal, as a process leaves it that is killed."""
    with small_blobs(), views_at_once(), open_store(root.with_name(root.name + "-source")) as store:
        session, fence = _folded(store)
        sample = Sample(root, [Seen(store)])
        for step in _latest(session, fence):
            step()
            sample.truths.append(Seen(store))
        copied(store.root, root)
        return sample


def sample_fresh(root: Path) -> Sample:
    """A session that was never folded: a head, and a journal with all that happened to it."""
    with views_at_once(), open_store(root.with_name(root.name + "-source")) as store:
        session = store.create_session(SESSION)
        sample = Sample(root, [Seen(store)])
        fence = _claim(session)
        sample.truths.append(Seen(store))
        for step in (
            lambda: _commit(session, fence, "t1", node("n1"), said("n3", "n1", "hello")),
            lambda: session.enqueue_pending_turn_input(next_input("later")),
            lambda: _commit(session, fence, "t2", node("n4", "n3")),
        ):
            step()
            sample.truths.append(Seen(store))
        copied(store.root, root)
        return sample


def _folded(store: LocalStore) -> tuple[SessionStore, SessionExecutionLeaseFence]:
    session = store.create_session(SESSION, session_name="A", model="m")
    fence = _claim(session)
    for step in _early(store, session, fence):
        step()
    session.checkpoint()
    for step in _later(session, fence):
        step()
    session.checkpoint()
    return session, fence


def _claim(session: SessionStore) -> SessionExecutionLeaseFence:
    lease = session.try_claim_session_execution_lease(SESSION, owner(), HOUR).acquired()
    assert lease is not None
    return lease.fence()


def _commit(
    session: SessionStore, fence: SessionExecutionLeaseFence, turn: str, *nodes: SessionNodeRecord, **changes: Any
) -> None:
    commit = append_commit(*nodes, session_execution_lease=fence, **changes)
    session.commit_runtime_state(stamped(commit, turn))


def _early(
    store: LocalStore, session: SessionStore, fence: SessionExecutionLeaseFence
) -> Iterator[Callable[[], object]]:
    scoped = SessionScopedAttachmentStore(store.attachments, session)
    checkpoint = HydratedSessionCheckpoint(tool_state={"tools": ["hammer"]}, execution_state=b"x")
    image = replace(next_input("look"), input=TurnInput.text("look").with_image_ref("i", b"an image, so to say"))
    yield lambda: scoped.put(ATTACHED, AttachmentCreateMeta("image/png", 2, 3, "a picture"))
    yield lambda: _commit(
        session,
        fence,
        "t1",
        node("n1"),
        said("n3", "n1", "hello"),
        node("gone", "n3"),
        leaf="n3",
        agent_frames=(frame(execution_state_snapshot=b"a snapshot of it all"),),
        current_agent_frame_id="frame-1",
        checkpoint=checkpoint,
        usage_deltas=(usage("s", "m", 5),),
        committed_attachment_ids=scoped.take_pending_attachment_ids(),
    )
    yield lambda: session.enqueue_pending_turn_input(image)
    yield lambda: session.enqueue_pending_turn_input(active_input("now", "t9", input_id="cancelled", source_key="k"))
    yield lambda: session.enqueue_queued_work(wake("one"))


def _later(session: SessionStore, fence: SessionExecutionLeaseFence) -> Iterator[Callable[[], object]]:
    again = node("n3", "n4", payload={"kind": "event", "again": 1})
    yield lambda: session.cancel_pending_turn_input(SESSION, "cancelled")
    yield lambda: session.tombstone_nodes(["n3", "gone"])
    yield lambda: _commit(session, fence, "t2", node("n4", "lost", caused_by={"by": 1}), again)


def _latest(session: SessionStore, fence: SessionExecutionLeaseFence) -> Iterator[Callable[[], object]]:
    yield lambda: _commit(session, fence, "t3", *chain("n5", "n6", after="n3"), usage_deltas=(usage("s", "m", 2),))
    yield lambda: session.enqueue_pending_turn_input(next_input("latest", input_id="latest"))
    yield lambda: session.tombstone_nodes(["n1"])
    yield lambda: _commit(session, fence, "t4", said("n7", "n6", "hi"))
