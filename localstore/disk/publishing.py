"""How a session's folder comes to be: it is built beside its place, and renamed to it when it is whole."""

from __future__ import annotations

import os
from dataclasses import replace

from .. import liveness
from ..contract.errors import BackendError
from ..contract.sessions import SessionMeta
from ..surroundings import Surroundings, fresh_id
from . import names
from .files import seal
from .fold import META_KIND
from .head import NO_SUM, Head, place_of, seal_head
from .leftovers import remove_tree_quietly
from .lock import SessionLock
from .system import system


def make_folder(folder: str, meta: SessionMeta, surroundings: Surroundings, *, flush: bool) -> str | None:
    """Make the folder of a new session in one step.

    Its incarnation, or `None` where somebody was first.
    """
    building = os.path.join(os.path.dirname(folder), names.temporary(os.path.basename(folder)))
    now_ms = surroundings.clock.now_ms()
    head = Head(
        meta.session_id,
        fresh_id(),
        generation=1,
        folded_seq=0,
        folded_sum=NO_SUM,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        meta=meta,
        fencing_boot_id=liveness.boot_id(),
    )
    system.make_dir(building)
    try:
        system.write_new(os.path.join(building, names.LOCK), b"", False)
        # Flushed in any durability: a name without its content would be a damaged session.
        system.write_new(os.path.join(building, names.META), seal(META_KIND, meta), True)
        head = replace(head, place=place_of(system.check_dir(building)))
        system.write_new(os.path.join(building, names.HEAD), seal_head(head), True)
        system.flush_dir(building)
        publish(building, folder, flush=flush)
    except FileExistsError:
        remove_tree_quietly(building)
        return None
    except BaseException:
        remove_tree_quietly(building)
        raise
    return head.incarnation


def publish(building: str, folder: str, *, flush: bool = True) -> None:
    """Rename the finished folder; where its name cannot be made durable, it is as if it had not been."""
    with system.flushing_dir(os.path.dirname(folder)) as flush_names:
        system.rename_dir(building, folder)
        try:
            if flush:
                flush_names()
        except BackendError:
            _take_back(folder, building)
            raise


def _take_back(folder: str, building: str) -> None:
    """Rename a folder back that was just published, unless somebody wrote to it already or it cannot be done."""
    try:
        lock = SessionLock(os.path.join(folder, names.LOCK))
    except (BackendError, FileNotFoundError):
        return
    try:
        lock.acquire(0)
        if not any(map(names.parse_journal, system.listdir(folder))):
            system.rename_dir(folder, building)
        lock.release()
    except (BackendError, FileNotFoundError, FileExistsError):
        pass  # an empty session stays, as if the call had been cut off
    finally:
        lock.close()
