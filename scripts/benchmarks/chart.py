"""The chart: a bar a goal, from nothing to the line that is the goal; green ends before it."""

from __future__ import annotations

import textwrap
from pathlib import Path

from .figures import Figure
from .report import Report, goal_text, measured_text

_GREEN, _RED = "#2e7d32", "#c62828"
_LONGEST = 2.5
"""Bars longer than this many goals are cut off; their figure stands beside them."""


def _rows(report: Report, file_system: str) -> list[tuple[str, Figure]]:
    """The figures with a goal, each with the text that names it."""
    rows: list[tuple[str, Figure]] = []
    for result in report.results:
        if result.file_system != file_system:
            continue
        above = ""
        for figure in result.figures:
            above = above if figure.what.startswith(" ") else figure.what
            if figure.goal is not None:
                what = figure.what if not figure.what.startswith(" ") else f"{above}:{figure.what[1:]}"
                rows.append((f"{what}, against {figure.against}" if figure.against else what, figure))
    return rows


def draw(report: Report, path: Path) -> None:
    """Draw what was measured on the first file system to `path`; the suffix says the format."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    file_system = report.file_systems[0]
    rows = _rows(report, file_system)
    figure, axes = pyplot.subplots(figsize=(11, 1.6 + 0.42 * len(rows)), layout="constrained")
    for at, (_, row) in enumerate(rows):
        used = row.of_goal or 0.0
        axes.barh(at, min(used, _LONGEST), color=_GREEN if row.met else _RED, height=0.62)
        axes.text(
            min(used, _LONGEST) + 0.02, at, f"{measured_text(row)}  (goal: {goal_text(row)})", va="center", size=8
        )
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), [textwrap.shorten(what, 95) for what, _ in rows], size=8)
    axes.set_xlim(0, _LONGEST + 0.9)
    axes.set_xticks([0, 0.5, 1, 1.5, 2], ["0", "half the goal", "the goal", "", "twice"])
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    quick = " (quick)" if report.quick else ""
    axes.set_title(f"localstore on {file_system}{quick}: how much of each goal is used up; shorter is better", size=10)
    figure.savefig(path)
    pyplot.close(figure)
