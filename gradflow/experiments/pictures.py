"""The picture of a figure, drawn from what is stored of its runs, with the published curves behind them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..plotting import plot_rows, save_figure
from .figure import Figure
from .traces import Panels, load_curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

__all__ = ["draw", "picture"]


def picture(figure: Figure, panels: Panels) -> Picture:
    """Return a row for each panel and a column for each quantity that the figure shows.

    Median and range over the draws are in front; the published curves are grey behind them.

    Parameters
    ----------
    figure : Figure
        The figure.
    panels : dict
        Its traces, from `gradflow.experiments.traces.load_curves`.

    Raises
    ------
    ValueError
        If there is nothing to draw, or a trace has not the quantities that are shown.
    """
    behind = {
        title: {
            label: {of: (curve.epochs, curve.values) for of, curve in quantities.items()}
            for label, quantities in curves.items()
        }
        for title, curves in figure.published.items()
    }
    rows = {title: curves for title, curves in panels.items() if curves}
    return plot_rows(rows, tuple(figure.show), title=figure.title, labels={"epoch": figure.axis}, behind=behind)


def draw(figure: Figure, curves: Path, stem: Path) -> None:
    """Write ``stem.png`` and ``stem.svg``, the picture of stored curves, if the figure shows a quantity.

    Parameters
    ----------
    figure : Figure
        The figure.
    curves : Path
        Its ``curves.npz``.
    stem : Path
        The two files without their suffix.

    Raises
    ------
    ValueError
        If the curves cannot be read or drawn.
    """
    if figure.show:
        save_figure(picture(figure, load_curves(curves)), stem)
