"""Work in processes of their own: cold ones for what is measured cold, and many at once.

    python -m scripts.benchmarks.apart MODULE FUNCTION '{"argument": ...}'

calls the function and prints its result as one line of JSON. The function may call `ready()` first, which waits until
the parent lets all of them go at once.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
_READY = "ready"


def ready() -> None:
    """In the child: say that it is ready, and wait for the start."""
    print(_READY, flush=True)
    sys.stdin.readline()


def _start(work: Callable[..., Any], arguments: dict[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", __name__, work.__module__, work.__name__, json.dumps(arguments)]
    return subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _result(process: subprocess.Popen[str], work: Callable[..., Any]) -> Any:
    said, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{work.__module__}.{work.__name__} failed in its process ({process.returncode})")
    return json.loads(said.splitlines()[-1])


def apart(work: Callable[..., Any], **arguments: Any) -> Any:
    """What `work(**arguments)` returns in a fresh process. Arguments and result are JSON."""
    return _result(_start(work, arguments), work)


def together(work: Callable[..., Any], arguments: list[dict[str, Any]]) -> list[Any]:
    """What `work` returns in as many processes at once, let go when all of them are `ready()`."""
    processes = [_start(work, each) for each in arguments]
    try:
        for process in processes:
            if process.stdout is None or process.stdout.readline().strip() != _READY:
                raise RuntimeError(f"{work.__module__}.{work.__name__} did not start")
        for process in processes:
            if process.stdin is not None:
                process.stdin.write("go\n")
                process.stdin.flush()
        return [_result(process, work) for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def _main() -> None:
    module, name, arguments = sys.argv[1:]
    work = getattr(importlib.import_module(module), name)
    print(json.dumps(work(**json.loads(arguments))))


if __name__ == "__main__":
    _main()
