"""The command `localstore`: a store looked at and worked on from a shell.

One module a group of commands, each with a `commands` app that `app` puts together; what they share is in `invocation`
(which store, what a failure is), `selecting` (which session), `output` (tables, JSON, plain text) and `describing`
(records in words). Nothing outside of this package imports it, and only it imports typer, rich and platformdirs.

Commands import what is heavy inside their functions, so that `--help` and the shell's completion answer at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from .exits import ExitCode

__all__ = ["ExitCode", "main"]

_EXTRA = ("typer", "rich", "platformdirs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; `arguments` default to those of the process. Returns the exit code, see `ExitCode`."""
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        sys.stderr.write(
            f"localstore: the command needs {' and '.join(missing)}, which {verb} not installed;"
            " install it with: pip install 'localstore[cli]'\n"
        )
        return ExitCode.REFUSED
    from .app import run

    return run(arguments)
