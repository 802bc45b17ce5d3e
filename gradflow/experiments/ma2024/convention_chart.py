"""The chart of a convention study: a row for each convention, what its curves come to, which criteria they meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...plotting import COLOURS
from ...run.solution import Solution
from ..judging import at_epoch
from .conventions import Convention
from .curves import EULER, VANILLA

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["convention_chart"]

DIVERGED = 10.0
"""Where a divergent run is drawn."""


def convention_chart(
    title: str,
    criteria: Sequence[str],
    runs: Mapping[Convention, Mapping[str, Sequence[Solution]]],
    met: Mapping[Convention, Sequence[bool]],
    epoch: float,
) -> Figure:
    """Return the chart: to the left the train errors of explicit Euler and SAV, to the right the criteria.

    Parameters
    ----------
    title : str
        Above all.
    criteria : sequence of str
        What each column to the right says.
    runs : mapping
        For each convention and each curve's label the runs, one for each draw.
    met : mapping of Convention to sequence of bool
        Which criteria it meets.
    epoch : float
        At which the curves are read.
    """
    from matplotlib.figure import Figure

    conventions = list(runs)
    rows = np.arange(len(conventions))
    figure = Figure(figsize=(9.6, 1.9 + 0.2 * len(conventions)), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1.1))
    for label, colour, marker, shift in ((EULER, COLOURS[1], "s", -0.13), (VANILLA, COLOURS[0], "o", 0.13)):
        values = np.asarray(
            [[at_epoch(run, "train_error", epoch) for run in runs[c][label]] for c in conventions], float
        )
        shown = np.where(values < DIVERGED, values, DIVERGED)
        left.hlines(rows + shift, shown.min(axis=1), shown.max(axis=1), colors=colour, linewidth=1)
        left.plot(shown, np.repeat(rows[:, None] + shift, shown.shape[1], axis=1), marker, color=colour, markersize=3.5)
        left.plot([], [], marker, color=colour, label=label, markersize=4)
    left.set_xscale("log")
    left.set_xlabel(f"train relative error after {epoch:g} epochs, all draws ({DIVERGED:g}: divergence)")
    left.set_yticks(rows, [str(c) for c in conventions], fontsize="x-small")
    left.set_ylim(len(conventions) - 0.4, -0.6)
    left.grid(axis="y", linewidth=0.3)
    left.legend(loc="upper center", bbox_to_anchor=(0.5, 1.06), ncols=2, frameon=False, fontsize="small")
    marks = np.asarray([met[c] for c in conventions])
    for column in range(len(criteria)):
        for kind, marker, colour in ((True, "o", COLOURS[2]), (False, "x", "#8c8c8c")):
            at = rows[marks[:, column] == kind]
            right.plot(np.full(len(at), column), at, marker, color=colour, markersize=5 if kind else 3.5)
    for row in rows[marks.all(axis=1)]:
        for axes in (left, right):
            axes.axhspan(row - 0.5, row + 0.5, color=COLOURS[5], alpha=0.25, linewidth=0)
    right.set_xticks(range(len(criteria)), criteria, rotation=35, ha="right", fontsize="x-small")
    right.set_xlim(-0.6, len(criteria) - 0.4)
    right.tick_params(axis="y", length=0)
    figure.suptitle(title, fontsize="medium")
    return figure
