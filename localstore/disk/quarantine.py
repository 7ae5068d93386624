"""The quarantine: what is damaged or in the way is kept there, and never thrown away.

A piece that was cut out of a file stands behind a receipt, a line that says where it is from and why. What was moved as
it is has a receipt of its own beside.
"""

from __future__ import annotations

import os

from ..machine.encoding import dump
from . import names
from .lines import encode_line
from .system import system


def quarantine(folder: str, name: str, content: bytes, why: str) -> str:
    """Keep `content`, which was cut from the file `name`, in the quarantine of `folder`; its path there."""
    where = _made(folder)
    path = os.path.join(where, names.quarantined(name))
    receipt = encode_line(dump({"file": "quarantined", "schema_version": 1, "from": name, "reason": why}))
    system.write_new(path, receipt + content, True)
    system.flush_dir(where)
    return path


def set_aside(folder: str, path: str, why: str) -> str:
    """Move what is at `path`, a file or anything else, into the quarantine of `folder`; its path there.

    `FileNotFoundError` where there is nothing.
    """
    where = _made(folder)
    name = os.path.basename(path)
    kept = os.path.join(where, names.quarantined(name))
    system.stat(path)
    system.replace(path, kept)
    system.flush_dir(os.path.dirname(path))
    quarantine(folder, name, b"", f"{why}; kept beside as {os.path.basename(kept)}")
    return kept


def _made(folder: str) -> str:
    where = os.path.join(folder, names.QUARANTINE)
    system.make_dir(where)
    return where
