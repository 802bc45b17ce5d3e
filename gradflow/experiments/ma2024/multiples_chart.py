"""The cases of the study of multiples of the loss, and their chart: train errors over the multiples, a panel for each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from ...plotting import COLOURS, DASHES
from ...run.solution import Solution
from .criteria import draw_levels
from .curves import EULER, RESTARTED, VANILLA
from .tasks import TaskSettings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CASES", "INITS", "MULTIPLES", "STEPS", "Case", "MultipleRuns", "multiples_chart"]

MULTIPLES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""kappa: what is trained, over the relative error."""
INITS = {"normal": "N(0, 1)", "he": "He"}
"""Laws of the initial parameters."""
STEPS = {"Fig. 7, dt = 0.01": (0.01, 0.0), "Fig. 8, dt = 0.4": (0.4, 4.0), "Fig. 8, dt = 1": (1.0, 4.0)}
"""For each panel the step size and lambda."""


class Case(NamedTuple):
    """A multiple of the loss, and the law of the initial parameters."""

    multiple: float
    """kappa."""
    init: str
    """A key of `INITS`."""

    def __str__(self) -> str:
        """Return the case in words."""
        return f"{self.multiple:g} times, {INITS[self.init]}"


MultipleRuns: TypeAlias = dict[Case, dict[str, dict[str, list[Solution]]]]
"""For each case, each panel and each curve's label the runs, one for each draw."""
CASES = tuple(Case(multiple, init) for init in INITS for multiple in MULTIPLES)
"""All of them."""


def multiples_chart(runs: MultipleRuns, settings: TaskSettings, epoch: float) -> Figure:
    """Return the figure: a panel for each step and law of the initial parameters, train errors over the multiples.

    Parameters
    ----------
    runs : dict
        For each case, panel and curve the runs.
    settings : TaskSettings
        Told in the title.
    epoch : float
        At which the curves are read.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.3 * len(STEPS), 6.6), layout="constrained", facecolor="white")
    rows = figure.subplots(len(INITS), len(STEPS), sharex=True, sharey="col", squeeze=False)
    for init, row in zip(INITS, rows, strict=True):
        for panel, axes in zip(STEPS, row, strict=True):
            for n, label in enumerate((EULER, VANILLA, RESTARTED)):
                table = np.array(
                    [draw_levels(runs[Case(k, init)][panel][label], "train_error", epoch) for k in MULTIPLES]
                )
                finite = np.where(np.isfinite(table), table, np.nan)
                style = {"color": COLOURS[n], "linestyle": DASHES[n], "marker": "os^"[n], "markersize": 4}
                axes.plot(MULTIPLES, np.median(table, axis=1), label=label, **style)
                axes.plot(
                    np.repeat(MULTIPLES, table.shape[1]),
                    finite.ravel(),
                    "os^"[n],
                    color=COLOURS[n],
                    markersize=3,
                    alpha=0.6,
                )
                for lost in np.asarray(MULTIPLES)[np.isinf(table).any(axis=1)]:
                    axes.annotate(
                        "x", (lost, 1), xycoords=("data", "axes fraction"), color=COLOURS[n], ha="center", va="top"
                    )
            axes.set(
                xscale="log",
                yscale="log",
                title=f"{panel}, {INITS[init]}",
                ylabel=f"train relative error, epoch {epoch:g}",
            )
            axes.set_xlabel(r"$\kappa$: loss over the relative error (x: divergence)")
            axes.grid(alpha=0.25, linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
    handles, labels = rows[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    draws = f"{settings.draws} draw{'s' if settings.draws > 1 else ''}"
    figure.suptitle(
        f"Ma, Mao & Shen (2024), Figs. 7 and 8 under multiples of the loss: m = {settings.width}, {draws}",
        fontsize="medium",
    )
    return figure
