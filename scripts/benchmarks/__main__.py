"""The command: `scripts/bench`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from .cases import CASES, Case
from .figures import Bench, Scale
from .filesystem import Place, places
from .report import Report, Result, publish, show, to_json
from .rounds import fresh_directory


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure localstore against SQLite, queues and frameworks on it, and the bare disk.",
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller sessions: about six minutes")
    parser.add_argument("--only", metavar="NAME", help="only the cases whose name holds NAME")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument("--dir", metavar="DIRECTORY", type=_path, help="measure here beside the image")
    parser.add_argument("--image-only", action="store_true", help="leave the second disk out where an image is mounted")
    parser.add_argument("--json", metavar="FILE", type=_path, help="write the figures as JSON")
    parser.add_argument("--plot", metavar="FILE", type=_path, help="draw the chart (.svg, .png, .pdf)")
    parser.add_argument("--publish", action="store_true", help="renew the README's table and chart")
    return parser.parse_args()


def _path(text: str) -> Path:
    """A path as the caller means it: the script changes into the repository."""
    return Path(os.environ.get("BENCH_CALLED_FROM", "."), text).resolve()


def _measure(case: Case, bench: Bench, place: Place) -> Result:
    try:
        return Result(case.name, place.file_system, case.run(bench))
    except Exception as error:  # noqa: BLE001  one case that fails must not hide the others
        return Result(case.name, place.file_system, [], f"{type(error).__name__}: {error}")


def _run(chosen: list[Case], found: list[Place], scale: Scale) -> Report:
    report = Report(scale.quick, [place.file_system for place in found])
    for number, place in enumerate(found):
        with fresh_directory(place.directory) as directory:
            bench = Bench(directory, scale, place.device)
            for case in chosen:
                if case.once and number:
                    continue
                start = time.monotonic()
                result = _measure(case, bench, place)
                report.results.append(result)
                said = "" if result.failure is None else f" FAILED: {result.failure}"
                took = time.monotonic() - start
                print(f"bench: {case.name} on {place.file_system}: {took:.0f} s{said}", file=sys.stderr, flush=True)
    return report


def main() -> int:
    """Measure, show, and say by the exit status whether everything could be measured and was there."""
    arguments = _arguments()
    chosen = [case for case in CASES if arguments.only is None or arguments.only in case.name]
    if arguments.list:
        print("\n".join(case.name for case in CASES))
        return 0
    if not chosen:
        print(f"bench: no case is named like {arguments.only}; --list names them", file=sys.stderr)
        return 2
    try:
        with places(arguments.dir) as found:
            report = _run(chosen, found[:1] if arguments.image_only else found, Scale(arguments.quick))
    except KeyboardInterrupt:
        print("bench: interrupted; what was mounted is unmounted", file=sys.stderr)
        return 130
    show(report)
    if arguments.json is not None:
        to_json(report, arguments.json)
    if arguments.plot is not None:
        from .chart import draw

        draw(report, arguments.plot)
    if arguments.publish and not report.failures:
        publish(report, Path())
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
