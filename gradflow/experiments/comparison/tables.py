"""The table and the figure of the comparison: medians over the seeds, and the range between the extremes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...plotting import COLOURS, DASHES, DECADES
from ...plotting.spreads import finite_median, spread_table
from ..words import median_text
from .judging import TunedMethods, epochs_in_time, errors
from .methods import EULER, METHODS
from .tuning import TunedMethod

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COMPARISON_TABLE", "comparison_figure", "comparison_rows"]

COMPARISON_TABLE = (
    "problem: method",
    "dt",
    "constant",
    "tried",
    "train error",
    "test error",
    "train, equal time",
    "test, equal time",
    "epochs, equal time",
    "ms/step",
    "status",
)
"""Heads of the columns."""
GREY = "#8c8c8c"


def comparison_rows(problems: Mapping[str, TunedMethods], epochs: int) -> tuple[tuple[str, ...], ...]:
    """Return the rows of `COMPARISON_TABLE`, for each problem in the order of the train error at equal epochs.

    Parameters
    ----------
    problems : mapping of str to mapping of str to TunedMethod
        For each problem's title the methods.
    epochs : int
        Of all runs.
    """
    rows = []
    for title, methods in problems.items():
        columns = [
            errors(methods, name, epochs, equal_time=equal_time)
            for equal_time in (False, True)
            for name in ("energy", "test_error")
        ]
        for label in sorted(methods, key=lambda label: float(np.median(columns[0][label]))):
            method = methods[label]
            tuned = method.tuned
            rows.append(
                (
                    f"{title}: {label}",
                    f"{tuned.dt:g}{'*' if tuned.dt_at_edge else ''}",
                    "-" if tuned.constant is None else f"{tuned.constant:g}{'*' if tuned.constant_at_edge else ''}",
                    f"{tuned.tried[0]:g} to {tuned.tried[1]:g}",
                    *(median_text(column[label]) for column in columns),
                    f"{epochs_in_time(methods, label, epochs):.3g}",
                    f"{1e3 * method.cost:.2f}",
                    ", ".join(dict.fromkeys(run.status.value for run in method.runs)),
                )
            )
    return tuple(rows)


def comparison_figure(
    problems: Mapping[str, TunedMethods], axes_say: Mapping[str, tuple[str, str]], epochs: int, title: str
) -> Figure:
    """Return the figure: for each problem the median train error over epochs and over processor time, and all test errors.

    Parameters
    ----------
    problems : mapping of str to mapping of str to TunedMethod
        For each problem's title the methods.
    axes_say : mapping of str to (str, str)
        For each problem's title what its train and its test error are.
    epochs : int
        Of all runs.
    title : str
        Above all.

    Returns
    -------
    Figure
        A row of three panels for each problem; the third has a line for each method from its best to its worst seed, full marks for
        the median at equal epochs and open ones for that at equal time.
    """
    from matplotlib.figure import Figure

    styles = _styles()
    figure = Figure(figsize=(14, 4.6 * len(problems) + 1.2), layout="constrained", facecolor="white")
    panels = figure.subplots(len(problems), 3, squeeze=False, width_ratios=(1, 1, 1.05))
    handles: dict[str, Any] = {}
    for (over_epochs, over_time, tests), (case, methods) in zip(panels, problems.items(), strict=True):
        says_train, says_test = axes_say[case]
        start = max(float(run.history["energy"][0]) for method in methods.values() for run in method.runs)
        for label, method in methods.items():
            handles.setdefault(label, _curve(over_epochs, method, 1.0, styles[label]))
            _curve(over_time, method, method.seconds, styles[label])
        over_time.axvline(epochs * methods[EULER].seconds, color=GREY, linestyle=(0, (1, 2)), linewidth=1.2, zorder=1)
        over_time.set_xscale("log")
        for axes, horizontal in (
            (over_epochs, "epoch"),
            (over_time, "processor time (s); dotted: gradient descent's"),
        ):
            axes.set_yscale("log")
            axes.set_ylim(top=min(2 * start, axes.get_ylim()[1]))  # divergence shall not set the scale
            axes.set_xlabel(horizontal)
            axes.set_ylabel(says_train)
        over_epochs.xaxis.get_major_locator().set_params(integer=True)
        over_epochs.set_title(case, loc="left", fontsize="medium")
        _test_panel(tests, methods, epochs, styles)
        tests.set_xlabel(f"{says_test}\n(full: equal epochs, open: equal time)")
        for axes in (over_epochs, over_time, tests):
            axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize="medium")
    drawn = {label: handle for label, handle in handles.items() if handle is not None}
    figure.legend(
        list(drawn.values()), list(drawn), loc="outside lower center", ncols=5, frameon=False, handlelength=3.2
    )
    return figure


def _styles() -> dict[str, tuple[str, Any]]:
    """Return each method's colour, that of its family, and dashes."""
    families = list(dict.fromkeys(method.family for method in METHODS))
    members: dict[str, int] = dict.fromkeys(families, 0)
    styles = {}
    for method in METHODS:
        styles[method.label] = COLOURS[families.index(method.family)], DASHES[members[method.family]]
        members[method.family] += 1
    return styles


def _curve(axes: Axes, method: TunedMethod, scale: float, style: tuple[str, Any]) -> Any:
    """Draw the median train error over epochs times `scale`; return the line, or None.

    Without the ranges: fifteen bands hide one another. A run that stands still is drawn on as far as the longest; the
    median ends where half of the runs have diverged.
    """
    at, table = spread_table(method.runs, "epoch", "energy")
    at, table = scale * at[at > 0], table[:, at > 0]  # both panels alike, and the time is on a logarithmic scale
    if not at.size:
        return None
    colour, dashes = style
    return axes.plot(at, finite_median(table), color=colour, linestyle=dashes, linewidth=1.5)[0]


def _test_panel(axes: Axes, methods: TunedMethods, epochs: int, styles: Mapping[str, tuple[str, Any]]) -> None:
    """Draw the test errors, a line for each method, the lowest median on top; divergence is beyond the right end."""
    both = [errors(methods, "test_error", epochs, equal_time=equal_time) for equal_time in (False, True)]
    order = sorted(methods, key=lambda label: -float(np.median(both[0][label])))
    diverge: list[tuple[float, float, str]] = []
    for place, label in enumerate(order):
        colour, _ = styles[label]
        for found, shift, face in zip(both, (0.14, -0.14), (colour, "white"), strict=True):
            values, middle = found[label], float(np.median(found[label]))
            least, most = float(values.min()), float(values.max())
            if np.isfinite(least):
                axes.plot(
                    [least, most if np.isfinite(most) else least], 2 * [place + shift], color=colour, linewidth=1.4
                )
            if np.isfinite(least) and np.isinf(most):
                diverge.append((least, place + shift, colour))
            if np.isfinite(middle):
                axes.plot(middle, place + shift, "o", markersize=5, color=colour, markerfacecolor=face, zorder=3)
    axes.set_yticks(range(len(order)), order, fontsize="small")
    drawn = np.concatenate([found[label] for found in both for label in order])
    drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
    if drawn.size and drawn.max() > DECADES * drawn.min():
        axes.set_xscale("log")
    limits = axes.get_xlim()
    for least, height, colour in diverge:
        axes.plot([least, 2 * limits[1]], 2 * [height], color=colour, linewidth=1.4)
    axes.set_xlim(limits)
