"""Matplotlib views of what `gradflow.solve` returns.

Every function returns a `matplotlib.figure.Figure` of its own and touches no pyplot state, so nothing pops up and no
screen is needed. Curves differ in colour (the set of Okabe & Ito, which colour-blind readers tell apart) and in dashes
(for print in grey); the background is white by itself, so a figure reads the same on a dark page. How several runs
become one curve is in `gradflow.plotting.spreads`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..description import found
from ..refusals import instance, one_of, real_number
from ..schemes.usual_names import usual_name
from .spreads import BETWEEN_0_AND_1, Recorded, drawn_values, finite_median, spread_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture
    from matplotlib.lines import Line2D

__all__ = ["COLOURS", "DASHES", "Recorded", "Runs", "plot_histories", "plot_rows", "plot_solution", "save_figure"]

Runs: TypeAlias = Recorded | Sequence[Recorded]
"""One run, or several of one kind whose median and extremes are drawn."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255")
"""Okabe & Ito's colours without yellow and black, and Tol's wine; grey is for published curves."""
DASHES: tuple[Any, ...] = (
    "-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)),
    (0, (8, 1.5, 1, 1, 1, 1.5)), (0, (2.5, 2.5)), (0, (1, 3)),
)  # fmt: skip
"""Dashes of the curves, in Matplotlib's form."""

LABELS = {
    "energy": r"energy $E$",
    "modified_energy": "modified energy",
    "auxiliary_ratio": r"$r\,/\sqrt{E + C}$",
    "auxiliary_gap": "distance of the auxiliary variable\nfrom its definition (relative)",
    "gradient_norm": r"$|\nabla E|_M$",
    "dissipation": "dissipation in the last step",
    "numerical_dissipation": "numerical dissipation in the last step",
    "identity_residual": "residual of the energy identity",
    "xi0": r"relaxation factor $\xi_0$",
    "largest_eigenvalue": "largest eigenvalue\nof the Hessian (1 / time)",
    "smallest_eigenvalue": "smallest eigenvalue\nof the Hessian (1 / time)",
    "effective_step": r"effective step $\eta$",
    "stability_limit": "stability limit\nof the scheme (1 / time)",
    "time": "time (sum of step sizes)",
}
"""What an axis says; a quantity that is not here goes by its own name."""

DECADES = 10.0
"""A positive quantity that varies by more than this factor gets a logarithmic scale."""
GREY = "#8c8c8c"


def plot_solution(solution: Recorded, *quantities: str) -> Picture:
    """Return a figure of one run, a panel for each quantity, over the epochs (the steps, if full batch).

    Parameters
    ----------
    solution : Solution
        From `gradflow.solve`.
    *quantities : str
        Names in ``solution.history``; all that were recorded when none is given.

    Raises
    ------
    ValueError
        If a quantity was not recorded.
    """
    instance("solution", solution, Recorded, "a Solution")
    recorded = [q for q in solution.history if q not in ("step", "epoch", "time")]
    scheme = solution.config.get("scheme")
    label = usual_name(scheme)[0] if isinstance(scheme, Mapping) and "type" in scheme else "run"
    x = "epoch" if solution.config.get("batch_size") else "step"
    title = f"{label}: {solution.status} after {solution.steps} steps"
    return plot_histories({label: solution}, quantities or recorded, x=x, title=title, legend=False)


def plot_histories(
    solutions: Mapping[str, Runs],
    quantity: str | Sequence[str],
    *,
    x: str = "epoch",
    title: str = "",
    labels: Mapping[str, str] | None = None,
    levels: Mapping[str, Mapping[str, float]] | None = None,
    legend: bool = True,
) -> Picture:
    """Return a figure that compares runs, a panel for each quantity.

    Parameters
    ----------
    solutions : mapping of str to Solution or sequence of Solution
        The legend's entries. Several runs of one kind are drawn as their median and the range between their
        extremes. A cross marks a run that ended before its time (diverged, stagnated). A run that diverged counts as
        infinite from its end on: the range then leaves the panel at the top, and where that is so of at least half of
        the runs the median is infinite, and its curve ends. (Of an accuracy it is minus infinity; of a ratio between 0
        and 1 there is no value.) A run that came to rest keeps its last value.
    quantity : str or sequence of str
        Names recorded in the histories. A run without a finite value of a quantity is not drawn in its panel.
    x : {"epoch", "step", "time"}
        The horizontal axis.
    title : str
        Above all panels.
    labels : mapping of str to str, optional
        What the axis of a quantity says instead of the usual.
    levels : mapping of str to mapping of str to float, optional
        For a quantity, values to mark with a dotted line, by the text that says what they are.
    legend : bool
        Whether to have a legend, below the panels.

    Raises
    ------
    ValueError
        If there is no solution or no quantity, or one was not recorded.
    """
    instance("solutions", solutions, Mapping, "a mapping of texts to runs")
    return plot_rows({"": solutions}, quantity, x=x, title=title, labels=labels, levels=levels, legend=legend)


def plot_rows(
    rows: Mapping[str, Mapping[str, Runs]],
    quantity: str | Sequence[str],
    *,
    x: str = "epoch",
    title: str = "",
    labels: Mapping[str, str] | None = None,
    levels: Mapping[str, Mapping[str, float]] | None = None,
    legend: bool = True,
    behind: Mapping[str, Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]]] | None = None,
) -> Picture:
    """Return a figure that compares runs as `plot_histories` does, in a row of panels for each of several cases.

    Parameters
    ----------
    rows : mapping of str to mapping of str to Solution or sequence of Solution
        For each case, by the text above its row, what `plot_histories` takes. The same name has the same style in all.
    quantity, x, title, labels, levels, legend : str or sequence of str, str, str, mapping, mapping, bool
        The same arguments as of `plot_histories`.
    behind : mapping, optional
        For case, legend entry and quantity the places and values, each of shape (n,), of a curve that is known from
        elsewhere. It is drawn grey behind the runs, with the dashes of its entry, and marked "published". With it the
        horizontal axis is logarithmic, but for the interval from 0 to 1, which is linear.

    Raises
    ------
    ValueError
        As `plot_histories`.
    """
    from matplotlib.figure import Figure

    cases = _checked_rows(rows)
    quantities = (
        (quantity,) if isinstance(quantity, str) else tuple(instance("quantity", quantity, Sequence, "a text or texts"))
    )
    one_of("x", x, ("epoch", "step", "time"))
    instance("title", title, str, "a text")
    instance("legend", legend, (bool, np.bool_), "True or False")
    labels, levels = {} if labels is None else labels, {} if levels is None else levels
    for text in instance("labels", labels, Mapping, "a mapping of texts to texts").values():
        instance("labels", text, str, "a mapping of texts to texts")
    for marks in instance("levels", levels, Mapping, "a mapping of texts to mappings").values():
        for value in instance("levels", marks, Mapping, "a mapping of texts to mappings").values():
            real_number("a value in levels", value)
    for groups in cases.values() or [{}]:
        _check(groups, quantities)
    published = _known_curves({} if behind is None else behind)
    everything = [run for groups in cases.values() for runs in groups.values() for run in runs]
    end = max(float(run.history[x][-1]) for run in everything)
    names = dict.fromkeys(name for groups in cases.values() for name in groups)
    kinds = len(COLOURS)  # the next round of colours has other dashes
    styles = {name: (COLOURS[i % kinds], DASHES[(i + i // kinds) % kinds]) for i, name in enumerate(names)}
    columns = len(quantities) if len(cases) > 1 else min(3, len(quantities))
    height = len(cases) * -(-len(quantities) // columns)
    size = (4.3 * columns + 0.4, (3.0 if height > 1 else 3.5) * height + 0.9)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    panels = figure.subplots(height, columns, squeeze=False, sharey="col" if len(cases) > 1 else False).ravel()
    says = {**LABELS, **labels}
    handles: dict[str, Any] = {}
    of_case = [(case, groups, name) for case, groups in cases.items() for name in quantities]
    for axes, (case, groups, name) in zip(panels, of_case, strict=False):
        theirs = [values for (_, _, of), (_, values) in published.items() if of == name]
        _scale(
            axes, [*(drawn_values(run, name) for run in everything), *theirs], name
        )  # first: it says where the top is
        for group, runs in groups.items():
            colour, dashes = styles[group]
            faint = min(0.2, 0.6 / len(groups))  # many bands on one another would be as grey as a published curve
            line = _draw_spread(axes, runs, x, name, end=end, colour=colour, dashes=dashes, alpha=faint)
            if line is not None:
                handles.setdefault(group, line)
            if (case, group, name) in published:
                grey = {"color": GREY, "linestyle": dashes, "alpha": 0.5, "marker": ".", "zorder": 1.5}
                line = axes.plot(*published[case, group, name], linewidth=2.5, markersize=5.0, **grey)[0]
                handles.setdefault("published", line)
        if behind is not None:
            axes.set_xscale("symlog", linthresh=1.0, linscale=0.3)
        axes.set_xlabel(says.get(x, x))
        axes.set_ylabel(says.get(name, name.replace("_", " ")))
        if case and name == quantities[0]:
            axes.set_title(case, loc="left", fontsize="medium")
        for text, value in levels.get(name, {}).items():
            _mark(axes, text, value)
    for axes in panels[len(of_case) :]:
        axes.remove()
    if title:
        figure.suptitle(title, fontsize="medium")
    if legend and handles:
        entries = {name: handles[name] for name in (*styles, "published") if name in handles}
        inches = 0.08 * max(map(len, entries)) + 0.75  # that a label takes
        columns = max(1, min(6, len(entries), int(size[0] / inches)))
        figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns, frameon=False)
    return figure


def save_figure(figure: Picture, path: str | Path) -> tuple[Path, Path]:
    """Write ``path.png`` and ``path.svg``, the same bytes for the same figure; return both paths.

    Parameters
    ----------
    figure : Figure
        What to write.
    path : str or Path
        Without a suffix; folders that are missing are made.

    Returns
    -------
    tuple of Path
        The two files.

    Raises
    ------
    ValueError
        If the figure is not a figure, or the path is not a path.
    """
    from matplotlib import rc_context

    if not callable(getattr(figure, "savefig", None)) or isinstance(figure, type):
        raise ValueError(f"figure must be a Figure, got {found(figure)}")
    instance("path", path, (str, PathLike), "a path")
    png, svg = (Path(path).with_name(Path(path).name + suffix) for suffix in (".png", ".svg"))
    png.parent.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": "gradflow"}):
        figure.savefig(png, dpi=160, metadata={"Software": None})
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
    return png, svg


def _checked_rows(rows: Any) -> dict[str, dict[str, list[Recorded]]]:
    """Return the runs by row and group, each group as a list; raise ValueError unless they are runs by texts."""
    cases: dict[str, dict[str, list[Recorded]]] = {}
    for case, groups in instance("rows", rows, Mapping, "a mapping of texts to mappings of runs").items():
        instance("a key of rows", case, str, "a text")
        cases[case] = {}
        for name, runs in instance("rows", groups, Mapping, "a mapping of texts to mappings of runs").items():
            instance("a key of solutions", name, str, "a text")
            listed = runs if isinstance(runs, Sequence) and not isinstance(runs, str) else [runs]
            cases[case][name] = [instance("each of solutions", run, Recorded, "a Solution") for run in listed]
    return cases


def _known_curves(behind: Any) -> dict[tuple[str, str, str], list[NDArray[np.float64]]]:
    """Return the curves by case, group and quantity; raise ValueError unless each is two vectors of one length."""
    wanted = "a mapping of texts to mappings of texts to mappings of texts to two vectors"
    curves: dict[tuple[str, str, str], list[NDArray[np.float64]]] = {}
    for case, groups in instance("behind", behind, Mapping, wanted).items():
        for group, quantities in instance("behind", groups, Mapping, wanted).items():
            for name, curve in instance("behind", quantities, Mapping, wanted).items():
                instance("behind", curve, Sequence, wanted)
                vectors = [np.asarray(values, dtype=np.float64) for values in curve]
                if len(vectors) != 2 or vectors[0].ndim != 1 or vectors[0].shape != vectors[1].shape:
                    raise ValueError(f"behind must be {wanted} of one length, got shapes {[v.shape for v in vectors]}")
                curves[case, group, name] = vectors
    return curves


def _check(groups: Mapping[str, list[Recorded]], quantities: tuple[str, ...]) -> None:
    if not groups or not all(groups.values()):
        raise ValueError("there must be a solution to plot, got none: solutions and rows must not be empty")
    if not quantities:
        raise ValueError("there must be a quantity to plot, got none")
    for group, runs in groups.items():
        for name in quantities:
            if not isinstance(name, str) or any(name not in run.history for run in runs):
                recorded = ", ".join(runs[0].history)
                raise ValueError(f"quantity must be one that {group!r} recorded, {recorded}; got {found(name)}")


def _scale(axes: Axes, drawn: list[Any], name: str) -> None:
    """Choose the vertical scale for what is drawn, and make the panel quiet."""
    values = np.concatenate(drawn)
    values = values[np.isfinite(values)]
    positive = values[values > 0]
    if name in BETWEEN_0_AND_1:
        axes.set_ylim(min(0.0, float(values.min(initial=0.0))) - 0.03, max(1.05, 1.05 * float(values.max(initial=0.0))))
    elif name.endswith("accuracy"):
        pass  # a share, whose distance from 1 matters: it stays on a linear scale
    elif positive.size and values.min() >= 0 and positive.max() > DECADES * positive.min():
        axes.set_yscale("log", nonpositive="mask")  # a zero has no place there: the curve has a gap
    axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01)


def _draw_spread(
    axes: Axes, runs: Sequence[Recorded], x: str, name: str, *, end: float, colour: str, dashes: Any, alpha: float
) -> Line2D | None:
    """Draw the median of runs of one kind, the range of several, and a cross where a run ended early.

    A run that stagnated is continued up to `end` by a thin line. Return the line for the legend, if anything is drawn.
    """
    values_of = [drawn_values(run, name) for run in runs]
    line: Line2D | None = None
    if any(np.isfinite(values).sum() > 1 for values in values_of):
        at, table = spread_table(runs, x, name)
        if len(runs) > 1:
            _fill(axes, at, table, colour, alpha)
        (line,) = axes.plot(at, finite_median(table), color=colour, linestyle=dashes, linewidth=1.6)
    for run, values in zip(runs, values_of, strict=True):
        finite = np.flatnonzero(np.isfinite(values))
        if finite.size and run.status not in ("done", "converged", "stopped"):
            here, value = run.history[x][finite[-1]], values[finite[-1]]
            (cross,) = axes.plot(here, value, marker="x", markersize=6, linestyle="none", color=colour, clip_on=False)
            line = line or cross
            if run.status == "stagnated":
                axes.hlines(value, here, end, color=colour, linestyle=(0, (1, 3)), linewidth=1.0)
    return line


def _fill(axes: Axes, at: NDArray[np.float64], table: NDArray[np.float64], colour: str, alpha: float) -> None:
    """Fill the range of the runs; where one is infinite, as far as beyond the end of the axes."""
    from matplotlib.collections import PolyCollection

    low, high = np.nanmin(table, axis=0), np.nanmax(table, axis=0)
    finite = table[np.isfinite(table)]
    if axes.get_yscale() == "log":
        finite = finite[finite > 0]
    if not finite.size:  # zeros have no place on a logarithmic scale
        return
    bottom, top = float(finite.min()), float(finite.max())
    room = 20 * (top - bottom) + 1.0
    limits = (bottom * 1e-30, min(1e300, top * 1e30)) if axes.get_yscale() == "log" else (bottom - room, top + room)
    edges = [np.column_stack([at, np.clip(edge, *limits)]) for edge in (low, high)]
    band = PolyCollection([np.concatenate([edges[0], edges[1][::-1]])], color=colour, alpha=alpha, linewidth=0)
    axes.add_collection(band, autolim=False)  # what is beyond the panel shall not set its scale
    axes.update_datalim(np.column_stack([np.tile(at, 2), np.concatenate([low, high])]))  # infinities do not count


def _mark(axes: Axes, text: str, value: float) -> None:
    """Draw a dotted line at a value, with its text at the left end above it."""
    axes.axhline(value, color=GREY, linestyle=(0, (1, 2)), linewidth=1.2, zorder=1)
    axes.annotate(
        text, (0.02, value), xycoords=("axes fraction", "data"), xytext=(0, 2), textcoords="offset points",
        fontsize="small", color="#595959", va="bottom",
    )  # fmt: skip
