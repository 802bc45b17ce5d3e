"""Figure and table of the empirical study's regressions: every method in every form, the range over the draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import NamedTuple

from ...plotting import plot_rows, save_figure
from ...run.solution import Solution
from ..experiment import Context
from ..words import range_text
from .judging import end
from .methods import COLUMNS, columns_of
from .orders import Order, order_text
from .runs import MethodRuns
from .thresholds import epochs_to, spread_text
from .times import REGRESSION_TIMES, epoch_times

__all__ = ["TABLE_NOTE", "Thresholds", "draw_columns", "method_table"]

TABLE_NOTE = (
    "Epochs to a level are those of the test error. What is published of a method stands beside each of its forms, whose "
    "column tells whether it is as printed in section 2.2, a second reading of what is printed, or corrected."
)
"""What the notes below the tables say of the columns."""
PUBLISHED_EPOCHS = "never"
"""Table 3.6 of the study: no method gets to a test error of 1e-4, in any of the regressions."""


def method_table(
    runs: MethodRuns, at: Thresholds, orders: Sequence[Order]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the heads of the table's columns, and a row for each method with what the study publishes beside it.

    Parameters
    ----------
    runs : dict
        For each method's name a run for each draw; "SGD" among them.
    at : Thresholds
        What counts as good.
    orders : sequence of Order
        The published errors. A dash stands where there is none; of an error with none at all there is no such column.
    """
    times, columns = epoch_times(runs), columns_of(COLUMNS)
    families = {name: family for column in COLUMNS.values() for family, name in column.items()}
    published = {(order.family, order.name): order_text(order.low, order.high) for order in orders}
    rows = []
    for name, several in runs.items():

        def soon(levels: Sequence[float], several: Sequence[Solution] = several) -> str:
            return spread_text(
                epochs_to(run, "test_mse", level) for run, level in zip(several, levels, strict=True)
            )  # fmt: skip

        row = {"method": name, "column": columns[name]}
        row["epochs"] = f"{max(float(run.history['epoch'][-1]) for run in several):.0f}"
        for key, part in (("train_mse", "train"), ("test_mse", "test")):
            row[f"{part} MSE"] = range_text(end(run, key) for run in several)
            if any(order.name == key for order in orders):
                row[f"published {part}"] = published.get((families[name], key), "-")
        parts = [end(run, "test_mse") / size for run, size in zip(several, at.sizes, strict=True)]
        row[f"test MSE / {at.unit}"] = range_text(parts)
        row[f"epochs to {at.absolute:g}"] = soon([at.absolute] * len(several))
        row["published epochs"] = PUBLISHED_EPOCHS
        for part_of in at.relative:
            row[f"to {part_of:g} of {at.unit}"] = soon([part_of * size for size in at.sizes])
        row["time/epoch"] = "-" if isnan(times[name]) else f"{times[name]:.1f}"
        row["published time"] = f"{REGRESSION_TIMES[families[name]]:g}"
        row["status"] = ", ".join(dict.fromkeys(run.status.value for run in several))
        rows.append(row)
    return tuple(rows[0]), tuple(tuple(row.values()) for row in rows)


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
