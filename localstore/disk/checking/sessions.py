"""One session, looked at as a reader does: without its lock, and again if a writer was at work."""

from __future__ import annotations

import os

from ...contract.attachments import AttachmentManifestEntry
from ...contract.errors import BackendError, CorruptRecord, RecordSchemaVersionError
from ...machine.state import SessionState
from .. import names, spool
from ..head import Head, state_of
from ..names import Place
from ..system import system
from .entries import check_folder
from .findings import Checked, Finding, Severity
from .heads import check_head, check_head_copies, check_lease, check_meta, check_name, choose_head
from .journals import Replayed, check_journals
from .look import Look
from .nodefiles import NodeFiles, check_node_files
from .receipts import check_deletion, check_redactions
from .recount import Recount
from .spools import check_spools
from .values import check_blobs, check_references, references

_LOOKS = 5


class SessionCheck:
    """What a look at one session comes to.

    Attributes:
        findings: what was found.
        checked: how much was looked at.
        complete: whether everything could be looked at.
        named: the ids of attachments that rows of the session name, and whether their bytes must be here.
    """

    def __init__(self, root: str, folder: str, boot: str) -> None:
        self.findings: list[Finding] = []
        self.checked = Checked()
        self.complete = True
        self.named: dict[str, bool] = {}
        before = _signature(folder)
        for number in range(_LOOKS):
            found = self._look(root, folder, boot)
            # What is still there after a writer went on was no sight of its work.
            self.findings = found if number == 0 else [each for each in found if each in self.findings]
            after = _signature(folder)
            if after == before or all(each.severity is Severity.INFO for each in self.findings):
                break
            before = after

    def _look(self, root: str, folder: str, boot: str) -> list[Finding]:
        look = Look(root, folder)
        try:
            self.named = check_session(look, boot)
        except FileNotFoundError as error:
            # Removed under our eyes: either the whole session, or a writer is at work and is looked at again.
            if os.path.lexists(folder):
                look.complete = False
                look.info("changing", folder, f"it changed while it was looked at: {error}")
        self.checked = look.checked
        self.complete = look.complete
        return look.findings


def _signature(folder: str) -> tuple[object, ...]:
    """What changes whenever a writer did anything."""
    seen: list[object] = []
    for inner in ("", names.NODES, names.BLOBS, names.INPUTS, names.WORK):
        where = os.path.join(folder, inner)
        try:
            listed = sorted(system.listdir(where))
            stats = [system.stat(os.path.join(where, name)) for name in listed]
        except (FileNotFoundError, BackendError):
            continue
        seen.append([(name, at.st_ino, at.st_size, at.st_mtime_ns) for name, at in zip(listed, stats, strict=True)])
    return tuple(seen)


def check_session(look: Look, boot: str) -> dict[str, bool]:
    """Everything of one session; the ids of attachments that its rows name, and whether their bytes must be here."""
    check_folder(look, look.folder, Place.SESSION)
    head, is_own = check_head(look)
    if head is None:
        return {}
    head = choose_head(look, head) if is_own else head
    look.session_id = head.session_id
    check_name(look, head)
    files = check_node_files(look, head)
    check_head_copies(look, head, files.copies)
    _check_strays(look, head)
    replayed = check_journals(look, head, _state(look, head), boot)
    state = replayed.state if replayed.intact else None
    check_meta(look, head, state)
    check_lease(look, head, state)
    inputs, _ = check_spools(look, head, state)
    check_blobs(look, head, files.counts)
    check_redactions(look)
    if files.complete:
        check_counts(look, head, files.counts, "the node files")
        check_leaf(look, head, files.counts)
        check_references(look, references(head, inputs, files.counts), files.counts)
        check_history(look, head, files.counts)
        if replayed.intact:
            check_after_journal(look, head, files, replayed)
    if head.deleted:
        look.info("deleted", look.path(names.HEAD), "the session was deleted; it can be restored until it is purged")
        check_deletion(look)
    rows = files.counts.rows(head.inherited_seq)
    return {row.attachment_id: _is_relied_on(row) for row in rows}


def _is_relied_on(row: AttachmentManifestEntry) -> bool:
    """Whether the bytes must be in this store; a host may keep some elsewhere."""
    return row.committed_at_epoch_ms is not None and row.canonical_uri == f"attachment:sha256/{row.attachment_id}"


def _state(look: Look, head: Head) -> SessionState:
    """The state by the head and those entries of the spools that can be read."""
    try:
        inputs, _ = spool.load_spool(look.folder, spool.INPUTS, head.inputs)
        work, _ = spool.load_spool(look.folder, spool.WORK, head.work)
    except (BackendError, CorruptRecord, RecordSchemaVersionError):
        return state_of(head)
    return state_of(head, inputs, work)


def check_counts(look: Look, said: Head | SessionState, counts: Recount, where: str) -> None:
    """What the head counts is what is there."""
    for difference in counts.differences(said):
        look.error("count", look.path(names.HEAD), f"by {where}, {difference}")
    uncommitted = {row.attachment_id for row in counts.rows(said.inherited_seq) if row.committed_at_epoch_ms is None}
    listed = said.uncommitted if isinstance(said, SessionState) else {row.attachment_id for row in said.uncommitted}
    if uncommitted != set(listed):
        look.error("count", look.path(names.HEAD), f"by {where}, the uncommitted attachments are others than it lists")


def check_leaf(look: Look, said: Head | SessionState, counts: Recount) -> None:
    """The leaf is a node that is not hidden."""
    leaf = said.leaf_node_id
    node = None if leaf is None else counts.nodes.get(leaf)
    if leaf is not None and (node is None or not node.times[-1][1] or node.times[-1][0] < said.floor_seq):
        look.error("leaf_missing", look.path(names.HEAD), f"the leaf {leaf!r} is not in the graph, or is hidden")


def check_history(look: Look, head: Head, counts: Recount) -> None:
    """Each revision up to the head's has its line: stamps and moves of the head are found by them."""
    missing = [number for number in range(1, head.revision + 1) if number not in counts.revisions]
    if missing:
        message = f"{len(missing)} revisions have no record any more, the first is {missing[0]}"
        look.warning("history_gap", look.path(names.NODES), message, "they were damaged and repaired: see quarantine/")
    if counts.revisions and max(counts.revisions) > head.revision:
        look.error("count", look.path(names.HEAD), f"revision {max(counts.revisions)} is in the node files")


def check_after_journal(look: Look, head: Head, files: NodeFiles, replayed: Replayed) -> None:
    """What the journal comes to counts right as well."""
    if replayed.state.seq == head.folded_seq:
        return
    for fact in replayed.recent.log:
        files.counts.add(fact)
    state = replayed.state
    check_counts(look, state, files.counts, "node files and journal")
    check_leaf(look, state, files.counts)
    check_references(look, references(state, state.inputs.values(), files.counts), files.counts)


def _check_strays(look: Look, head: Head) -> None:
    """Node files that no head relies on stay a while for readers, or were left by a crash."""
    wanted = {names.node_file(ref.name) for ref in head.files}
    where = look.path(names.NODES)
    try:
        found = system.listdir(where)
    except (FileNotFoundError, BackendError):
        return
    for name in sorted(found):
        if name not in wanted and names.parse_node_file(name) is not None:
            message = "the head does not rely on it; it stays a minute for readers, and a later fold removes it"
            look.info("superseded", os.path.join(where, name), message)
