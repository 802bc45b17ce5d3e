"""Figure and table of the empirical study's experiments: every method in every form, the range over the draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...plotting import plot_rows, save_figure
from ...solution import Solution
from ..experiment import Context
from .judging import describe_range
from .methods import COLUMNS
from .runs import MethodRuns
from .thresholds import epochs_to, spread_text

__all__ = ["PRINTED_TIMES", "Thresholds", "draw_columns", "method_rows", "relative_times", "table_header"]

PRINTED_TIMES = {"SGD": 1.0, "Adam": 1.1, "SAV": 1.5, "ExpSAV": 1.5, "IEQ": 3.5, "IEQ-adaptive": 1.2}
"""Table 3.8 of the study: wall time for 1000 epochs over that of SGD."""


class Thresholds(NamedTuple):
    """When a test error counts as good: the study's threshold, and telling ones in a unit of the target's own."""

    absolute: float
    """The study's, a mean squared error."""
    relative: tuple[float, ...]
    """Parts of the unit."""
    unit: str
    """What the unit is."""
    sizes: tuple[float, ...]
    """The unit for each draw, a mean squared error > 0."""


def table_header(at: Thresholds) -> tuple[str, ...]:
    """Return the heads of the table's columns.

    Parameters
    ----------
    at : Thresholds
        What counts as good.
    """
    return (
        "method",
        "epochs",
        "train MSE",
        "test MSE",
        f"test MSE / {at.unit}",
        f"epochs to test MSE {at.absolute:g}",
        *(f"to {part:g} of {at.unit}" for part in at.relative),
        "time/epoch",
        "status",
    )


def method_rows(runs: MethodRuns, at: Thresholds) -> tuple[tuple[str, ...], ...]:
    """Return a row for each method: ranges over the draws, epochs to the thresholds, time over SGD's (printed time).

    Parameters
    ----------
    runs : dict
        For each method's name a run for each draw; "SGD" among them.
    at : Thresholds
        What counts as good.
    """
    times = relative_times(runs)
    printed = {name: PRINTED_TIMES[family] for column in COLUMNS.values() for family, name in column.items()}
    rows = []
    for name, several in runs.items():
        train, test = ([_last(run, key) for run in several] for key in ("train_mse", "test_mse"))
        epochs = f"{max(float(run.history['epoch'][-1]) for run in several):.0f}"
        relative = describe_range([value / size for value, size in zip(test, at.sizes, strict=True)])
        soon = [spread_text([epochs_to(run, "test_mse", at.absolute) for run in several])]
        for part in at.relative:
            soon.append(
                spread_text(
                    [
                        epochs_to(run, "test_mse", part * size)
                        for run, size in zip(several, at.sizes, strict=True)
                    ]
                )
            )  # fmt: skip
        time = f"{'-' if np.isnan(times[name]) else format(times[name], '.1f')} ({printed[name]:g})"
        status = ", ".join(dict.fromkeys(run.status.value for run in several))
        rows.append((name, epochs, describe_range(train), describe_range(test), relative, *soon, time, status))
    return tuple(rows)


def relative_times(runs: Mapping[str, Sequence[Solution]]) -> dict[str, float]:
    """Return for each method the wall time of an epoch over that of SGD.

    It is the median over the draws in which both run an epoch or more; NaN if there is none.

    Parameters
    ----------
    runs : mapping of str to sequence of Solution
        For each method's name a run for each draw; "SGD" among them.
    """
    of_sgd = [_seconds(run) for run in runs["SGD"]]
    times = {}
    for name, several in runs.items():
        quotients = np.array([_seconds(run) / one for run, one in zip(several, of_sgd, strict=True)])
        known = quotients[np.isfinite(quotients)]
        times[name] = float(np.median(known)) if len(known) else float("nan")
    return times


def draw_columns(
    runs: MethodRuns, context: Context, title: str, *, top: float, levels: Mapping[str, Mapping[str, float]]
) -> None:
    """Draw train and test errors, a row of panels for each column of the study: median and range over the draws.

    Parameters
    ----------
    runs : dict
        For each method's name a run for each draw.
    context : Context
        Where the figure goes.
    title : str
        Above all.
    top : float
        The largest error shown; what is larger leaves the panel.
    levels : mapping of str to mapping of str to float
        Levels to mark, as for `gradflow.plotting.plot_rows`.
    """
    rows = {column: {family: runs[name] for family, name in chosen.items()} for column, chosen in COLUMNS.items()}
    draws = len(runs["SGD"])
    figure = plot_rows(
        rows,
        ("train_mse", "test_mse"),
        title=f"{title}, {draws} draw{'s' if draws > 1 else ''}; panels end at {top:.0e}",
        labels={"train_mse": "train mean squared error", "test_mse": "test mean squared error"},
        levels=levels,
    )
    for axes in figure.axes:
        if axes.get_ylim()[1] > top:
            axes.set_ylim(top=top)
        for line in axes.lines:
            line.set_clip_on(True)  # else the cross of a divergent run lands in the panel above
        for text in axes.texts:
            text.set_horizontalalignment("right")  # to the middle: all curves start at the left
            text.xy = (0.52, text.xy[1])  # type: ignore[attr-defined]  # each is an annotation of a level
    save_figure(figure, context.out / context.name)


def _last(run: Solution, name: str) -> float:
    value = float(run.history[name][-1])
    return float("inf") if np.isnan(value) else value


def _seconds(run: Solution) -> float:
    """Return the wall time of an epoch; NaN of a run that ended within its first."""
    epochs = float(run.history["epoch"][-1])
    return run.wall_time / epochs if epochs >= 1 else float("nan")
