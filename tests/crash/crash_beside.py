"""The calls that write beside the store, or read from there: only a store on files has them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from localstore import LocalStore

if TYPE_CHECKING:
    from tests.crash.crash_workload import World

ARCHIVE: Final = "a.archive"
IMPORTED: Final = "an-import"
"""The session that is made of the archive: in memory there is no such session."""

EXPORT: Final = "export"
"""The name of the step that writes the archive."""


def beside(root: str | os.PathLike[str], name: str) -> str:
    """A path in the folder that the store's folder is in."""
    return os.path.join(os.path.dirname(root), name)


def export(world: World, session_id: str) -> object:
    """Write the archive."""
    store = world.store
    return store.export_session(session_id, beside(store.root, ARCHIVE)) if isinstance(store, LocalStore) else None


def bring_in(world: World) -> object:
    """Make a session of the archive, under another id."""
    store: Any = world.second
    if not isinstance(store, LocalStore):
        return None
    return store.import_session(beside(store.root, ARCHIVE), session_id=IMPORTED).session_id
