"""Several runs of one kind as one curve: their median and range, with runs that diverged or stagnated.

A run that diverged is infinite from its end on, one that came to rest keeps its last value. The band between the
extremes then leaves the panel where a run diverged; the curve of the median ends where half of the runs have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["BETWEEN_0_AND_1", "SIGNED", "Recorded", "draw_spread", "drawn_values", "finite_median", "spread_table"]


class Recorded(Protocol):
    """What is drawn of a run; a `gradflow.Solution` has it."""

    @property
    def history(self) -> Mapping[str, NDArray[Any]]:
        """Recorded quantities by name, each of shape (number of records,)."""

    @property
    def status(self) -> str:
        """How the run ended: a `gradflow.Status`, or its value."""

    @property
    def message(self) -> str:
        """The status in a sentence."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Settings: ``scheme`` and ``batch_size`` are read."""

    @property
    def steps(self) -> int:
        """Steps taken."""


BETWEEN_0_AND_1 = ("auxiliary_ratio", "xi0")
"""Quantities whose distance from 1 matters more than their decades: always on a linear scale."""
SIGNED = ("identity_residual",)
"""Quantities of either sign, drawn by their size."""


def drawn_values(run: Recorded, name: str) -> NDArray[np.float64]:
    """Return a quantity as it is drawn, shape (number of records,): its size if of either sign, NaN for infinities.

    Parameters
    ----------
    run : Recorded
        A run.
    name : str
        A recorded quantity.
    """
    values = np.asarray(run.history[name], dtype=np.float64)
    values = np.abs(values) if name in SIGNED else values
    return np.where(np.isfinite(values), values, np.nan)


def spread_table(runs: Sequence[Recorded], x: str, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the longest run was recorded, and a quantity of all runs there.

    Parameters
    ----------
    runs : sequence of Recorded
        Runs of one kind, recorded at the same places.
    x : {"epoch", "step", "time"}
        Where.
    name : str
        A recorded quantity.

    Returns
    -------
    at : array (n,)
        Places at which at least one run has a finite value.
    table : array (R, n)
        From its last finite value on a run that diverged is infinite (an accuracy minus infinity, a ratio between 0 and
        1 NaN), and one that came to rest stays where it is. NaN where nothing is known.
    """
    lost = -np.inf if name.endswith("accuracy") else np.nan if name in BETWEEN_0_AND_1 else np.inf
    at = np.asarray(max((run.history[x] for run in runs), key=len), dtype=np.float64)
    table = np.full((len(runs), len(at)), np.nan)
    for row, run in zip(table, runs, strict=True):
        values = drawn_values(run, name)
        row[: len(values)] = values
        finite = np.flatnonzero(np.isfinite(values))
        if run.status == "nonfinite" and finite.size:  # else the scheme does not have the quantity
            row[finite[-1] + 1 :] = lost
        elif run.status in ("stagnated", "converged") or run.message.startswith("stationary"):
            row[len(values) :] = values[-1]
    here = np.isfinite(table).any(axis=0)
    return at[here], table[:, here]


def finite_median(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of the runs of a table, shape (n,): NaN where it is infinite, so that its curve ends there.

    Parameters
    ----------
    table : array (R, n)
        From `spread_table`, a row for each of R runs.
    """
    middle = np.asarray(np.nanmedian(table, axis=0))
    middle[np.isinf(middle)] = np.nan
    return middle


def draw_spread(
    axes: Axes, runs: Sequence[Recorded], x: str, name: str, *, end: float, colour: str, dashes: Any
) -> Line2D | None:
    """Draw the median of runs of one kind, the range of several, and a cross where a run ended early.

    Parameters
    ----------
    axes : Axes
        The panel, with its vertical scale already set.
    runs, x, name : sequence of Solution, str, str
        The same arguments as of `spread_table`.
    end : float
        Up to this x, a run that has stagnated is continued by a thin line.
    colour : str
        The colour of all parts.
    dashes : str or tuple
        The line style of the median, in Matplotlib's form.

    Returns
    -------
    Line2D or None
        The median, or a cross where all runs ended before they had two values; None when nothing is drawn.
    """
    values_of = [drawn_values(run, name) for run in runs]
    early = [run.status not in ("done", "converged", "stopped") for run in runs]
    line: Line2D | None = None
    if any(np.isfinite(values).sum() > 1 for values in values_of):
        at, table = spread_table(runs, x, name)
        if len(runs) > 1:
            _fill(axes, at, table, colour)
        (line,) = axes.plot(at, finite_median(table), color=colour, linestyle=dashes, linewidth=1.6)
    for run, values, ended in zip(runs, values_of, early, strict=True):
        if ended and np.isfinite(values).any():
            last = np.flatnonzero(np.isfinite(values))[-1]
            here, value = run.history[x][last], values[last]
            (cross,) = axes.plot(here, value, marker="x", markersize=6, linestyle="none", color=colour, clip_on=False)
            line = line or cross
            if run.status == "stagnated":
                axes.hlines(value, here, end, color=colour, linestyle=(0, (1, 3)), linewidth=1.0)
    return line


def _fill(axes: Axes, at: NDArray[np.float64], table: NDArray[np.float64], colour: str) -> None:
    """Fill the range of the runs; where one is infinite, as far as beyond the end of the axes."""
    from matplotlib.collections import PolyCollection

    low, high = np.nanmin(table, axis=0), np.nanmax(table, axis=0)
    finite = table[np.isfinite(table)]
    bottom, top = float(finite.min()), float(finite.max())
    room = 20 * (top - bottom) + 1.0
    limits = (bottom * 1e-30, min(1e300, top * 1e30)) if axes.get_yscale() == "log" else (bottom - room, top + room)
    edges = [np.column_stack([at, np.clip(edge, *limits)]) for edge in (low, high)]
    band = PolyCollection([np.concatenate([edges[0], edges[1][::-1]])], color=colour, alpha=0.2, linewidth=0)
    axes.add_collection(band, autolim=False)  # what is beyond the panel shall not set its scale
    axes.update_datalim(np.column_stack([np.tile(at, 2), np.concatenate([low, high])]))  # infinities do not count
