"""The result: a table for people, JSON for programs, a chart."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .figures import Figure

MEASURED = "scripts/benchmarks/measured.json"
CHART = "scripts/benchmarks/measured.svg"
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
"""Where the README's table stands."""

_US_IN = ((1_000_000.0, "s"), (1_000.0, "ms"), (0.0, "us"))


@dataclass(slots=True)
class Result:
    """What one case gave on one file system: its figures, read back and verified, or what went wrong."""

    case: str
    file_system: str
    figures: list[Figure]
    failure: str | None = None


@dataclass(slots=True)
class Report:
    """Everything that was measured, and on what."""

    quick: bool
    file_systems: list[str]
    results: list[Result] = field(default_factory=list)

    @property
    def failures(self) -> list[Result]:
        """The cases that could not be measured, or whose data were not there."""
        return [result for result in self.results if result.failure is not None]

    def find(self, case: str, file_system: str) -> Result | None:
        """What a case gave on a file system."""
        return next((r for r in self.results if (r.case, r.file_system) == (case, file_system)), None)

    def counts(self) -> tuple[int, int]:
        """How many goals were met, of how many."""
        judged = [figure.met for result in self.results for figure in result.figures if figure.met is not None]
        return sum(judged), len(judged)


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.release()}",
        "processors": os.cpu_count(),
    }


def amount(value: float, unit: str) -> str:
    """A figure as people read it."""
    if unit == "us":
        size, unit = next((size or 1.0, unit) for size, unit in _US_IN if value >= size)
        value /= size
        unit = "µs" if unit == "us" else unit
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}{unit if unit.startswith('/') else ' ' + unit}"


def goal_text(figure: Figure) -> str:
    """The goal in words."""
    if figure.goal is None:
        return ""
    limit = f"{figure.goal:g}"
    unit = "x" if figure.theirs is not None else f" {figure.unit}"
    return f"{'at least' if figure.more_is_better else 'at most'} {limit}{unit}"


def measured_text(figure: Figure) -> str:
    """What was measured in words: the ratio where there is one."""
    return amount(figure.ours, figure.unit) if figure.theirs is None else f"{figure.measured:.2f}x"


def to_json(report: Report, path: Path) -> None:
    """Write everything to `path`."""
    rows: list[dict[str, Any]] = [
        {
            "case": result.case,
            "file_system": result.file_system,
            "what": figure.what.strip(),
            "detail_of_the_line_before": figure.what.startswith(" "),
            "unit": figure.unit,
            "localstore": figure.ours,
            "against": figure.against,
            "theirs": figure.theirs,
            "measured": figure.measured,
            "goal": figure.goal,
            "goal_is": "at least" if figure.more_is_better else "at most",
            "met": figure.met,
            "verified": True,
        }
        for result in report.results
        for figure in result.figures
    ]
    failed = [{"case": r.case, "file_system": r.file_system, "failure": r.failure} for r in report.failures]
    whole = {"quick": report.quick, "machine": machine(), "rows": rows, "failures": failed}
    path.write_text(json.dumps(whole, indent=1) + "\n")


def markdown(measured: dict[str, Any]) -> str:
    """The table for a README, of what `to_json` wrote: a line a row, a column a file system."""
    rows: list[dict[str, Any]] = measured["rows"]
    file_systems = list(dict.fromkeys(row["file_system"] for row in rows))
    lines = [
        f"| what | against | {' | '.join(file_systems)} | goal |",
        f"| --- | --- | {' | '.join('---:' for _ in file_systems)} | --- |",
    ]
    entries: list[tuple[tuple[str, str, str], dict[str, dict[str, Any]]]] = []
    group = ""
    for row in rows:
        group = group if row["detail_of_the_line_before"] else row["what"]
        key, place = (group, row["what"], row["against"]), row["file_system"]
        found = next((cells for name, cells in entries if name == key and place not in cells), None)
        if found is None:
            entries.append((key, found := {}))
        found[place] = row
    for (group, what, against), found in entries:
        any_row = next(iter(found.values()))
        name = what if what == group else f"- {what}"
        texts = [_cell(found[each]) if each in found else "" for each in file_systems]
        lines.append(f"| {name} | {against} | {' | '.join(texts)} | {_goal_of(any_row)} |")
    facts = measured["machine"]
    judged = [row["met"] for row in rows if row["met"] is not None]
    lines.append("")
    lines.append(f"{sum(judged)} of {len(judged)} goals are met; those that are not are in bold. Measured with Python")
    lines.append(f"{facts['python']}, SQLite {facts['sqlite']}, on {facts['system'].split('-')[0]} with")
    lines.append(f"{facts['processors']} processors.")
    return "\n".join(lines) + "\n"


def _add_kept(report: Report, kept: dict[str, Any]) -> None:
    """Add the results of `kept` that the report has none in place of, and bring all into the order of the cases."""
    measured = {result.case for result in report.results}
    for row in kept["rows"]:
        if row["case"] in measured:
            continue
        result = report.find(row["case"], row["file_system"])
        if result is None:
            result = Result(row["case"], row["file_system"], [])
            report.results.append(result)
        what = f"  {row['what']}" if row["detail_of_the_line_before"] else row["what"]
        more_is_better = row["goal_is"] == "at least"
        result.figures.append(
            Figure(what, row["unit"], row["localstore"], row["against"], row["theirs"], row["goal"], more_is_better)
        )
    from .cases import CASES

    order = [case.name for case in CASES]
    report.results.sort(key=lambda result: (report.file_systems.index(result.file_system), order.index(result.case)))


def _cell(row: dict[str, Any]) -> str:
    ours = amount(row["localstore"], row["unit"])
    if row["theirs"] is None:
        text = ours
    else:
        text = f"{row['measured']:.2f} ({ours} / {amount(row['theirs'], row['unit'])})"
    return f"**{text}**" if row["met"] is False else text


def _goal_of(row: dict[str, Any]) -> str:
    if row["goal"] is None:
        return ""
    unit = "" if row["theirs"] is not None else f" {row['unit']}"
    return f"{row['goal_is']} {row['goal']:g}{unit}"


def publish(report: Report, root: Path) -> None:
    """Keep the figures and the chart beside the benchmark, and put their table into the README.

    Where only some cases were measured, the kept figures of the others stay.
    """
    from .chart import draw

    kept = root / MEASURED
    if kept.exists():
        _add_kept(report, json.loads(kept.read_text()))
    to_json(report, kept)
    draw(report, root / CHART)
    readme = root / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    table = markdown(json.loads((root / MEASURED).read_text()))
    readme.write_text(f"{before}{BEGIN}\n{table}{END}{after}")


def show(report: Report) -> None:
    """Print the table: a block a file system, a line a figure."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 180, highlight=False)
    for file_system in report.file_systems:
        results = [result for result in report.results if result.file_system == file_system]
        if not results:
            continue
        title = f"localstore on {file_system}" + (" - quick: fewer rounds, smaller sessions" if report.quick else "")
        table = Table(title=title, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("what", "localstore", "compared with", "", "measured", "goal", ""):
            table.add_column(heading, justify="right" if heading in {"localstore", "measured"} else "left")
        for result in results:
            _add_rows(table, result)
        console.print(table)
    met, of = report.counts()
    facts = machine()
    console.print(
        f"{met} of {of} goals met. 0.50x: half of what the other one takes. Every row was read back after its run and"
        f" found whole, unless it says FAILED.\nPython {facts['python']}, SQLite {facts['sqlite']}, {facts['system']},"
        f" {facts['processors']} processors."
    )


def _add_rows(table: Any, result: Result) -> None:
    if result.failure is not None:
        table.add_row(f"[red]{result.case}: FAILED[/red]", "", "", "", "", "", result.failure)
    for figure in result.figures:
        verdict = {True: "[green]met[/green]", False: "[red]missed[/red]", None: ""}[figure.met]
        style = "dim" if figure.goal is None else ""
        theirs = "" if figure.theirs is None else amount(figure.theirs, figure.unit)
        ours = amount(figure.ours, figure.unit)
        measured = measured_text(figure)
        table.add_row(figure.what, ours, theirs, figure.against, measured, goal_text(figure), verdict, style=style)
