"""Figures of several panels: each panel some curves, each curve a run for every draw of the coefficients."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from ..plotting import plot_rows, save_figure
from ..schemes import SAV, GradientDescent, Relaxed, Restart
from ..schemes.protocols import Scheme
from ..solution import Solution
from .experiment import Context
from .tasks import TaskSettings, regression_task, train_task

__all__ = [
    "EULER",
    "PANEL_TABLE",
    "RELAXED",
    "RESTARTED",
    "VANILLA",
    "Curve",
    "Panel",
    "PanelRuns",
    "draw_panels",
    "euler_and_sav",
    "panel_rows",
    "run_panels",
]

EULER, VANILLA, RESTARTED, RELAXED = "explicit Euler", "SAV", "restarted SAV", "relaxed SAV"
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


class Panel(NamedTuple):
    """Curves that the paper draws over one another."""

    title: str
    """Above the row."""
    stem: str
    """Of the names of the files."""
    curves: tuple[Curve, ...]
    """In the order of the legend."""


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
        RELAXED: Relaxed(sav),
    }
    return tuple(Curve(label, scheme, dt) for label, scheme in schemes.items())


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
    tasks = [regression_task(settings, draw) for draw in range(settings.draws)]
    for panel in panels:
        for curve in panel.curves:
            curve.scheme.init(tasks[0].problem, tasks[0].theta0)
    context.claim()
    runs: PanelRuns = {panel.title: {curve.label: [] for curve in panel.curves} for panel in panels}
    for draw, task in enumerate(tasks):
        for panel in panels:
            for number, curve in enumerate(panel.curves):
                stem = f"{panel.stem}-{number}-{draw}"
                run = train_task(
                    task,
                    curve.scheme,
                    settings,
                    dt=curve.dt,
                    path=context.out / "data" / stem,
                    progress=context.progress and f"{panel.stem} {curve.label} {draw + 1}/{settings.draws}",
                )
                runs[panel.title][curve.label].append(run)
        context.say(f"draw {draw + 1} of {settings.draws}: done")
    return runs


def draw_panels(runs: PanelRuns, settings: TaskSettings, context: Context, title: str) -> None:
    """Draw train and test errors, a row for each panel: the median over the draws and the range between extremes.

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
    """
    batch = f"batches of {settings.batch_size}" if settings.batch_size else "full batch"
    figure = plot_rows(
        runs,
        ("train_error", "test_error"),
        title=f"{title}: D = {settings.n_inputs}, m = {settings.width}, {batch}, C = {settings.C:g}, "
        f"{settings.draws} draw{'s' if settings.draws > 1 else ''} of the coefficients",
        labels={"train_error": "train relative error", "test_error": "test relative error"},
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
