"""What is in a folder, and plain copies of one that is in use."""

from __future__ import annotations

import shutil
from pathlib import Path


def tree(root: Path) -> dict[str, bytes | None]:
    """Every entry below `root`, and the bytes of its files."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))
    }


def files(root: Path) -> dict[str, bytes]:
    """Every file below `root`, and its bytes."""
    return {name: content for name, content in tree(root).items() if content is not None}


def copy_in_use(root: Path, target: Path) -> None:
    """Copy a folder that others write to. What was in the making and is gone when it gets there is no loss."""
    try:
        shutil.copytree(root, target)
    except shutil.Error:
        pass
