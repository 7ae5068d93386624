"""The chart: a bar a goal, from nothing to the line that is the goal; green ends before it."""

from __future__ import annotations

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
        if result.file_system == file_system:
            for figure in result.figures:
                if figure.goal is not None:
                    what = figure.what.replace("  ", "... ", 1) if figure.what.startswith(" ") else figure.what
                    rows.append((f"{what} / {figure.against}" if figure.against else what, figure))
    return rows


def draw(report: Report, path: Path) -> None:
    """Draw what was measured on the first file system to `path`; the suffix says the format."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.fonttype"] = "none"  # text stays text
    mpl.rcParams["svg.hashsalt"] = "localstore"
    from matplotlib import pyplot

    file_system = report.file_systems[0]
    rows = _rows(report, file_system)
    figure, axes = pyplot.subplots(figsize=(13, 1.4 + 0.3 * len(rows)), layout="constrained")
    for at, (_, row) in enumerate(rows):
        axes.barh(at, min(row.of_goal or 0.0, _LONGEST), color=_GREEN if row.met else _RED, height=0.62)
        axes.text(_LONGEST + 0.05, at, f"{measured_text(row)} (goal: {goal_text(row)})", va="center", size=8)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), [what for what, _ in rows], size=8)
    axes.set_xlim(0, _LONGEST)
    axes.set_xticks([0, 1, 2], ["0", "the goal", "twice the goal"], size=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.spines[["top", "right"]].set_visible(False)
    quick = ", quick" if report.quick else ""
    title = f"How much of each goal is used up (shorter is better). localstore on {file_system}{quick}"
    figure.suptitle(title, size=10, x=0.01, ha="left")
    no_date: dict[str, str | None] = {"Date": None} if path.suffix == ".svg" else {}
    figure.savefig(path, metadata=no_date)
    pyplot.close(figure)
