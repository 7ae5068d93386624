"""The command: `scripts/demo`."""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from localstore import cli
from localstore.importers import UnknownTranscriptFormat

from .director import Director
from .narration import command, heading, show, step, tree
from .outcome import Outcome, judge
from .recording import Recording
from .worker_process import REPOSITORY, WorkerFailed

BUNDLED = REPOSITORY / "scripts" / "demo_session.jsonl"


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration; 0 if everything that it promises held."""
    given = _arguments(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    folder = Path(tempfile.mkdtemp(prefix="localstore-demo-"))
    try:
        outcome = demonstrate(given.transcript, folder / "store")
    except (OSError, UnknownTranscriptFormat) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except WorkerFailed as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    kept = "and is kept: look around in it." if given.keep else "and is removed now. To keep it: scripts/demo --keep"
    show(f"\nThe store was in {folder / 'store'}\n{kept}")
    return 0 if outcome.is_good else 1


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description="Play a recorded agent session through a store, killing workers on the way."
    )
    parser.add_argument("transcript", nargs="?", type=_path, default=BUNDLED, help="any file that can be imported")
    parser.add_argument("--keep", action="store_true", help="keep the store's folder")
    return parser.parse_args(arguments)


def _path(text: str) -> Path:
    """A path as the caller means it: the script changes into the repository."""
    return Path(os.environ.get("DEMO_CALLED_FROM", "."), text).resolve()


def demonstrate(transcript: Path, root: Path) -> Outcome:
    """Play `transcript` into a new store at `root`, and show what is in it then."""
    began = time.monotonic()
    director = Director(transcript, root)
    if not director.recording.turns:
        raise OSError(f"{transcript} has no entries to play")
    director.play()
    outcome = director.outcome
    _show(outcome, director.recording)
    judge(outcome, director.recording)
    heading("9. Is it what the recording says?")
    for holds, what in outcome.judgement:
        step(what, after="yes  " if holds else "NO   ")
    show(f"\nThat took {time.monotonic() - began:.1f} seconds.")
    return outcome


def _show(outcome: Outcome, recording: Recording) -> None:
    session_id = recording.transcript.session_id
    heading("7. What is in the store now, as the command shows it")
    for arguments in (("ls",), ("show", session_id, "--last", "12"), ("queue", session_id)):
        _run(outcome.root, *arguments)
    outcome.check_exit_code = _run(outcome.root, "check")
    heading("8. And as it lies on the disk")
    for line in tree(outcome.root):
        show(line)


def _run(root: Path, *arguments: str) -> int:
    command(*arguments)
    code = cli.main(["--root", str(root), *arguments])
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
