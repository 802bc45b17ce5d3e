r"""Two figures of the experiments on the review of IEQ that are not curves over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...plotting import COLOURS, DASHES
from .bound import StepsSeen
from .sweep import SWEEP, Sweep
from .timing import CLOSED, FREE, PARTS, STEP_SAV, STEPS, STORED, Cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["cost_chart", "limits_chart"]

RATIOS = (1, 2, 5, 10, 20, 50, 100, 200)
"""Marked on the axis of ratios."""


def limits_chart(
    sweeps: Mapping[str, Sequence[Sweep]],
    seen: Mapping[str, Mapping[float, Sequence[StepsSeen]]],
    *,
    epochs: int,
    target: float,
    title: str,
) -> Figure:
    """Return a figure of one step in the upper row, medians over the seeds, and of whole runs in the lower one.

    Parameters
    ----------
    sweeps : mapping of str to sequence of Sweep
        For each case a sweep for each seed.
    seen : mapping of str to mapping of float to sequence of StepsSeen
        For each network and dt what the run of each seed shows.
    epochs : int
        Length of the runs.
    target : float
        Relative error that the steps are counted to.
    title : str
        Above all.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8), layout="constrained", facecolor="white")
    upper, lower = figure.subplots(2, 3)
    for number, (case, several) in enumerate(sweeps.items()):
        colour = COLOURS[number]
        upper[0].loglog(SWEEP, np.median([s.length for s in several], axis=0), color=colour, label=case)
        for limit, name in enumerate(("gradient descent", "Gauss-Newton")):
            label = f"to {name}" if number == 0 else None
            for axes, values in (
                (upper[1], [s.angles[limit] for s in several]),
                (upper[2], [s.distances[limit] for s in several]),
            ):
                axes.plot(SWEEP, np.median(values, axis=0), color=colour, linestyle=DASHES[limit], label=label)
    upper[0].set_ylabel(r"length of the step, $|d|\,/\,|J^+q|$")
    upper[1].set(xscale="log", ylabel="angle of the step, degrees", ylim=(-4, 115))
    upper[2].set(xscale="log", yscale="log", ylabel="relative distance from the limit", ylim=(1e-8, 30))
    for number, (case, of) in enumerate(seen.items()):
        dts = list(of)
        style: dict[str, Any] = {"color": COLOURS[number], "linestyle": DASHES[number], "marker": "os"[number]}
        steps = np.array([[s.steps for s in several] for several in of.values()])
        share = np.array([[s.rises / s.counted for s in several] for several in of.values()])
        silent = np.array([[s.silent / s.counted for s in several] for several in of.values()])
        middle = np.median(steps, axis=1)
        lower[0].loglog(dts, np.where(np.isfinite(middle), middle, np.nan), label=case, **style)
        low, high = steps.min(axis=1), np.where(np.isfinite(steps), steps, epochs).max(axis=1)
        lower[0].fill_between(dts, np.minimum(low, high), high, color=COLOURS[number], alpha=0.2, linewidth=0)
        for axes, shares in ((lower[1], share), (lower[2], silent)):
            axes.semilogx(dts, np.median(shares, axis=1), label=case, **style)
            axes.fill_between(
                dts, shares.min(axis=1), shares.max(axis=1), color=COLOURS[number], alpha=0.2, linewidth=0
            )
    lower[0].axhline(epochs, color=COLOURS[6], linestyle=":")
    lower[0].annotate(
        "end of the runs, not reached",
        (0.98, epochs),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        fontsize="small",
    )
    lower[0].set_ylabel(f"steps to a relative error of {target:g}")
    lower[1].set_ylabel("share of steps in which the true loss rises")
    lower[2].set_ylim(-0.03, 1.2)
    lower[2].set_ylabel(r"share of steps with $K\,\Delta t\,|q^{n+1}| > 2$")
    for axes in (*upper, *lower):
        axes.set_xlabel(r"step size $\Delta t$")
        axes.grid(alpha=0.25)
    for axes, place in zip(
        (*upper, lower[2]), ("lower right", "upper center", "upper right", "upper right"), strict=True
    ):
        axes.legend(fontsize="small", frameon=False, loc=place)
    figure.suptitle(title, fontsize="medium")
    return figure


def cost_chart(wide: Sequence[Cell], *, printed: float, title: str) -> Figure:
    """Return a figure of times, ratios, parts and memory over the batch size.

    Parameters
    ----------
    wide : sequence of Cell
        Of one width, by batch size.
    printed : float
        The ratio that was published.
    title : str
        Above all.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8.5), layout="constrained", facecolor="white")
    (times, ratios), (parts, memory) = figure.subplots(2, 2)
    for axes, names, over in ((times, STEPS, False), (ratios, STEPS[1:], True), (parts, PARTS, False)):
        for number, name in enumerate(names):
            here = [cell for cell in wide if name in cell.seconds]
            if not here:
                continue
            rows = [c.seconds[name] / c.seconds[STEP_SAV] if over else 1e3 * c.seconds[name] for c in here]
            style = STEPS.index(name) if name in STEPS else number + 4
            _curve(axes, here, [np.median(r) for r in rows], style, name)
            axes.fill_between(
                [c.batch for c in here],
                [r.min() for r in rows],
                [r.max() for r in rows],
                color=COLOURS[style],
                alpha=0.2,
            )
    ratios.axhline(printed, color=COLOURS[6], linestyle=":", label=f"{printed:g}, as printed")
    for name, style in ((CLOSED, 1), (STORED, 2), (FREE, 3)):
        here = [cell for cell in wide if name in cell.traced]
        if here:
            _curve(memory, here, [1e-6 * c.traced[name] for c in here], style, f"{name}, traced")
    _curve(memory, wide, [1e-6 * c.itemsize * c.batch * c.n_parameters for c in wide], 4, "J, counted", marker="")
    _curve(memory, wide, [1e-6 * c.itemsize * c.batch**2 for c in wide], 5, "G, counted", marker="")
    labels = (
        "CPU milliseconds a step",
        "CPU time of a step over that of SAV",
        "CPU milliseconds, parts of a step",
        "MB",
    )
    for axes, label in zip((times, ratios, parts, memory), labels, strict=True):
        axes.set(xscale="log", yscale="log", xlabel="batch size m", ylabel=label)
        axes.set_xticks([c.batch for c in wide], [str(c.batch) for c in wide], fontsize="small")
        if axes is ratios:
            axes.set_yticks(RATIOS, [f"{ratio:g}" for ratio in RATIOS])
        axes.minorticks_off()
        axes.grid(alpha=0.25)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small", frameon=False)
    figure.suptitle(title, fontsize="medium")
    return figure


def _curve(axes: Any, cells: Sequence[Cell], values: Sequence[Any], style: int, label: str, marker: str = "o") -> None:
    axes.plot(
        [c.batch for c in cells],
        values,
        color=COLOURS[style],
        linestyle=DASHES[style],
        marker=marker,
        markersize=4,
        label=label,
    )
