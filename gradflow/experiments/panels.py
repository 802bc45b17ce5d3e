"""Figures of several panels: each panel some curves, each curve a run for every draw of what the paper does not give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from ..batches import steps_per_epoch
from ..plotting import plot_rows, save_figure
from ..schemes import SAV, AdaptiveSAV, GradientDescent, Relaxed, Restart
from ..schemes.protocols import Scheme
from ..solution import Solution
from .experiment import Context
from .tasks import Task, TaskSettings, regression_task, train_task

__all__ = [
    "EULER",
    "PANEL_TABLE",
    "RELAXED",
    "RESTARTED",
    "SMOOTHED",
    "VANILLA",
    "Curve",
    "Panel",
    "PanelRuns",
    "by_method",
    "draw_panels",
    "euler_and_sav",
    "panel_rows",
    "relaxed",
    "run_panels",
]

EULER, VANILLA, RESTARTED, RELAXED = "explicit Euler", "SAV", "restarted SAV", "relaxed SAV"
SMOOTHED = ", smoothed particles"
"""Behind the title of a panel of the smoothed particle method."""
PANEL_TABLE = ("curve", "epochs", "train error", "test error", "r/sqrt(E+C)", "status")
PanelRuns: TypeAlias = dict[str, dict[str, list[Solution]]]
"""For each panel's title and each curve's label the runs, one for each draw."""


class Curve(NamedTuple):
    """A scheme with its step size."""

    label: str
    """The legend's entry."""
    scheme: Scheme
    """What runs."""
    dt: float
    """Step size > 0."""
    product: str = "consistent"
    """One of `gradflow.experiments.products.PRODUCTS`."""


class Panel(NamedTuple):
    """Curves that the paper draws over one another."""

    title: str
    """Above the row."""
    stem: str
    """Of the names of the files."""
    curves: tuple[Curve, ...]
    """In the order of the legend."""
    smoothed: bool = False
    """Whether the smoothed particle method runs."""


def relaxed(scheme: SAV | AdaptiveSAV) -> Relaxed:
    """Return a scheme relaxed as the paper prints it, Algorithm 4: what may be given back leaves out the stabilization's share.

    Parameters
    ----------
    scheme : SAV or AdaptiveSAV
        The vanilla scheme.
    """
    return Relaxed(scheme, eta=0.99, budget="increment")


def euler_and_sav(settings: TaskSettings, dt: float) -> tuple[Curve, ...]:
    """Return explicit Euler and SAV in its three forms, the curves of most figures.

    Parameters
    ----------
    settings : TaskSettings
        C and the stabilization.
    dt : float
        Step size > 0.
    """
    sav = SAV(C=settings.C, stabilization=settings.stabilization)
    schemes: dict[str, Scheme] = {
        EULER: GradientDescent(),
        VANILLA: sav,
        RESTARTED: Restart(sav),
        RELAXED: relaxed(sav),
    }
    return tuple(Curve(label, scheme, dt) for label, scheme in schemes.items())


def by_method(settings: TaskSettings, panels: Iterable[Panel]) -> tuple[Panel, ...]:
    """Return panels for the methods that the settings ask for; with both, each panel and then its smoothed form.

    Parameters
    ----------
    settings : TaskSettings
        Its ``method``.
    panels : iterable of Panel
        For the particle method.

    Returns
    -------
    tuple of Panel
        Those of the smoothed particle method have ``SMOOTHED`` behind their titles.
    """
    found = []
    for panel in panels:
        if settings.method != "smoothed":
            found.append(panel)
        if settings.method != "particle":
            found.append(panel._replace(title=panel.title + SMOOTHED, stem=f"{panel.stem}-smoothed", smoothed=True))
    return tuple(found)


def run_panels(panels: tuple[Panel, ...], settings: TaskSettings, context: Context) -> PanelRuns:
    """Run every curve for every draw, or take up what is kept.

    Parameters
    ----------
    panels : tuple of Panel
        What to run.
    settings : TaskSettings
        Sizes, draws, seeds.
    context : Context
        Where the data go.

    Returns
    -------
    dict
        For each panel's title and each curve's label the runs, one for each draw.
    """
    kinds = dict.fromkeys((panel.smoothed, curve.product) for panel in panels for curve in panel.curves)

    def tasks_of(draw: int) -> dict[tuple[bool, str], Task]:
        return {(s, p): regression_task(settings, draw, smoothed=s, product=p) for s, p in kinds}

    tasks = tasks_of(0)
    for panel in panels:
        for curve in panel.curves:
            task = tasks[panel.smoothed, curve.product]
            curve.scheme.init(task.problem, task.theta0)
            steps_per_epoch(task.problem, settings.batch_size or None)
    context.claim()
    runs: PanelRuns = {panel.title: {curve.label: [] for curve in panel.curves} for panel in panels}
    for draw in range(settings.draws):
        tasks = tasks_of(draw)
        for panel in panels:
            for number, curve in enumerate(panel.curves):
                stem = f"{panel.stem}-{number}-{draw}"
                run = train_task(
                    tasks[panel.smoothed, curve.product],
                    curve.scheme,
                    settings,
                    dt=curve.dt,
                    path=context.out / "data" / stem,
                    progress=context.progress and f"{panel.stem} {curve.label} {draw + 1}/{settings.draws}",
                )
                runs[panel.title][curve.label].append(run)
        context.say(f"draw {draw + 1} of {settings.draws}: done")
    return runs


def draw_panels(
    runs: PanelRuns,
    settings: TaskSettings,
    context: Context,
    title: str,
    quantities: tuple[str, ...] = ("train_error", "test_error"),
    *,
    labels: Mapping[str, str] | None = None,
    levels: Mapping[str, Mapping[str, float]] | None = None,
) -> None:
    """Draw recorded quantities, a row for each panel: the median over the draws and the range between extremes.

    Parameters
    ----------
    runs : dict
        From `run_panels`.
    settings : TaskSettings
        Told in the title.
    context : Context
        Where the figure goes.
    title : str
        Above all.
    quantities : tuple of str
        What is drawn, a column for each.
    labels : mapping of str to str, optional
        What the axes of other quantities than the errors say.
    levels : mapping of str to mapping of str to float, optional
        Values to mark, as for `gradflow.plotting.plot_rows`.
    """
    batch = f"batches of {settings.batch_size}" if settings.batch_size else "full batch"
    figure = plot_rows(
        runs,
        quantities,
        title=f"{title}: D = {settings.n_inputs}, m = {settings.width}, {batch}, C = {settings.C:g}, "
        f"{settings.draws} draw{'s' if settings.draws > 1 else ''}",
        labels={"train_error": "train relative error", "test_error": "test relative error", **(labels or {})},
        levels=levels,
    )
    save_figure(figure, context.out / context.name)


def panel_rows(runs: PanelRuns) -> tuple[tuple[str, ...], ...]:
    """Return the rows of `PANEL_TABLE`: for each curve the range over its draws.

    Parameters
    ----------
    runs : dict
        From `run_panels`.
    """
    rows = []
    for title, curves in runs.items():
        for label, several in curves.items():
            name = f"{title}: {label}" if len(runs) > 1 else label
            epochs = f"{min(float(run.history['epoch'][-1]) for run in several):.0f}"
            status = ", ".join(dict.fromkeys(run.status.value for run in several))
            numbers = (_range(several, key) for key in ("train_error", "test_error", "auxiliary_ratio"))
            rows.append((_plain(name), epochs, *numbers, status))
    return tuple(rows)


def _range(runs: list[Solution], name: str) -> str:
    ends = sorted(float(run.history[name][-1]) for run in runs)
    if any(end != end for end in ends):
        return "-"
    low, high = f"{ends[0]:.1e}", f"{ends[-1]:.1e}"
    return low if low == high else f"{low} to {high}"


def _plain(label: str) -> str:
    return label.replace("$", "").replace("\\lambda", "lambda")
