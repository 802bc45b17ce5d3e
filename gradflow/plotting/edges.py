"""The edge of stability: the curvature along a run, and the curvature that the scheme can take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..refusals import instance
from . import COLOURS, DASHES, LABELS
from .spreads import Recorded

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

__all__ = ["plot_edge_of_stability"]

SHARPNESS, LIMIT = "largest_eigenvalue", "stability_limit"


def plot_edge_of_stability(solution: Recorded, *, title: str = "") -> Picture:
    """Return a figure of the largest eigenvalue of the Hessian against the limit of the scheme, above the energy.

    Where the curvature exceeds the limit, the region between the two is filled: there the scheme is linearly unstable.

    Parameters
    ----------
    solution : Solution
        From `gradflow.solve` with ``record=("energy", *edge_of_stability(problem, scheme, dt))``, see
        `gradflow.backward_error.linear_stability.edge_of_stability`.
    title : str
        Above the panels.

    Raises
    ------
    ValueError
        If the solution is none, or a quantity was not recorded.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> from gradflow.backward_error.linear_stability import edge_of_stability
    >>> from gradflow.plotting.edges import plot_edge_of_stability
    >>> bowl = gf.FunctionProblem(lambda t: 2 * t @ t, lambda t: 4 * t, lambda t, v: 4 * v)
    >>> record = ("energy", *edge_of_stability(bowl, gf.GradientDescent(), 0.2))
    >>> run = gf.solve(bowl, gf.GradientDescent(), np.ones(3), dt=0.2, steps=5, record=record)
    >>> len(plot_edge_of_stability(run).axes)
    2
    """
    from matplotlib.figure import Figure

    instance("solution", solution, Recorded, "a Solution")
    instance("title", title, str, "a text")
    for name in ("energy", SHARPNESS, LIMIT):
        if name not in solution.history:
            raise ValueError(f"{name} must have been recorded, got a run with {', '.join(solution.history)}")
    step, sharpness, limit, energy = (np.asarray(solution.history[k]) for k in ("step", SHARPNESS, LIMIT, "energy"))
    figure = Figure(figsize=(6.4, 5.4), layout="constrained", facecolor="white")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    above.plot(step, sharpness, color=COLOURS[0], linestyle=DASHES[0], linewidth=1.6, label="of the energy in the run")
    finite = np.isfinite(limit)
    if finite.any():
        above.plot(
            step[finite],
            limit[finite],
            color=COLOURS[1],
            linestyle=DASHES[1],
            linewidth=1.6,
            label="limit of the scheme",
        )
        over = finite & (sharpness > limit)
        above.fill_between(
            step, limit, sharpness, where=over, interpolate=True, color=COLOURS[1], alpha=0.25, linewidth=0
        )
    above.set_ylabel(LABELS[SHARPNESS])
    above.set_ylim(bottom=0)
    above.legend(frameon=False, loc="best")
    below.plot(step, energy, color=COLOURS[2], linestyle=DASHES[0], linewidth=1.6)
    below.set_ylabel(LABELS["energy"])
    below.set_xlabel("step")
    if energy.min() > 0 and energy.max() > 10 * energy.min():
        below.set_yscale("log")
    for axes in (above, below):
        axes.grid(color="#8c8c8c", alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.01)
    if title:
        figure.suptitle(title, fontsize="medium")
    return figure
