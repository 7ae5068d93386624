"""Values: what head, frames and inputs refer to is stored, and blobs are what their names say."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from hashlib import sha256

from ...contract.errors import BackendError
from ...contract.state import SessionCheckpoint
from ...machine.state import LiveInput, SessionState
from .. import names
from ..head import Head
from ..system import MAX_READ, system
from .look import Look
from .recount import Recount


def references(said: Head | SessionState, inputs: Iterable[LiveInput], counts: Recount) -> Iterator[tuple[str, str]]:
    """Each value that must be there, and what for."""
    if said.checkpoint_ref is not None:
        yield said.checkpoint_ref, "the manifest of the checkpoint"
    if said.manifest is not None:
        yield from parts_of(said.manifest)
    for frame in said.frames:
        if frame.execution_state_ref is not None:
            yield frame.execution_state_ref, f"the snapshot of frame {frame.frame_id!r}"
    stored = [live.stored for live in inputs] + [fact.stored for fact in counts.settled(said.inherited_seq)]
    for item in stored:
        for image_id, ref in item.images:
            yield ref, f"image {image_id!r} of input {item.record.input_id!r}"


def parts_of(manifest: SessionCheckpoint) -> Iterator[tuple[str, str]]:
    """The values that a manifest refers to."""
    parts = (
        (manifest.tool_state_ref, "the tool state"),
        (manifest.plugin_snapshot_ref, "the plugin snapshot"),
        (manifest.execution_state_ref, "the execution state"),
    )
    return ((ref, what) for ref, what in parts if ref is not None)


def check_references(look: Look, refs: Iterable[tuple[str, str]], counts: Recount) -> None:
    """What is referred to is stored."""
    for ref, what in refs:
        if ref not in counts.values:
            look.error("value_missing", look.path(names.HEAD), f"{what} is stored under {ref}, which is missing")


def check_blobs(look: Look, head: Head, counts: Recount) -> None:
    """Each blob that a node file names is there and has the bytes of its name; others are left over."""
    where = look.path(names.BLOBS)
    try:
        there = [name for name in system.listdir(where) if names.is_sha256(name)]
    except (FileNotFoundError, BackendError):
        there = []
    wanted = {ref for ref, is_blob in counts.values.items() if is_blob}
    total = 0
    for ref in sorted(wanted | set(there)):
        path = os.path.join(where, ref)
        before = len(look.findings)
        raw = look.read(path, MAX_READ)
        if raw is None:
            if ref in wanted and len(look.findings) == before:
                look.error("blob_missing", path, "it is missing", "put it back from a copy")
            continue
        found = sha256(raw).hexdigest()
        if ref not in wanted:
            look.info("leftover", path, "no node file names it: a fold was interrupted, or another session had it")
        elif found != ref:
            look.error("damaged_blob", path, f"its bytes have the SHA-256 {found}, not that of its name", offset=0)
        total += len(raw) if ref in wanted else 0
    if total != head.blob_bytes and all(ref in there for ref in wanted):
        message = f"it says that the blobs have {head.blob_bytes} bytes, they have {total}"
        look.info("sizes", look.path(names.HEAD), message)
