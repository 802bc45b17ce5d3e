"""Figures of several panels: each panel some curves, each curve a run for every draw of what the paper does not give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from ...plotting import plot_rows, save_figure
from ...run.batches import steps_per_epoch
from ...run.solution import Solution
from ..experiment import Claim, Context, Outcome
from ..verdicts import overall, told
from ..words import range_text
from .curves import Panel, by_method
from .tasks import Task, TaskSettings, regression_task, stated_changes, train_task, unsaid

__all__ = ["PANEL_TABLE", "PanelRuns", "draw_panels", "panel_outcome", "panel_rows", "plain", "run_panels"]

PANEL_TABLE = ("curve", "epochs", "train error", "test error", "r/sqrt(E+C)", "status")
PanelRuns: TypeAlias = dict[str, dict[str, list[Solution]]]
"""For each panel's title and each curve's label the runs, one for each draw."""


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

    def tasks_of(draw: int) -> dict[tuple[bool, str | None], Task]:
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
                    progress=context.progress and f"{panel.stem} {plain(curve.label)} {draw + 1}/{settings.draws}",
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
            epochs = range_text((float(run.history["epoch"][-1]) for run in several), ".0f")
            status = ", ".join(dict.fromkeys(run.status.value for run in several))
            numbers = (
                range_text(float(run.history[key][-1]) for run in several)
                for key in ("train_error", "test_error", "auxiliary_ratio")
            )
            rows.append((plain(name), epochs, *numbers, status))
    return tuple(rows)


def plain(label: str) -> str:
    """Return a label without its mathematics, for a table.

    Parameters
    ----------
    label : str
        As in a legend.
    """
    return label.replace("$", "").replace("\\lambda", "lambda")


def panel_outcome(
    panels: Iterable[Panel],
    settings: TaskSettings,
    context: Context,
    *,
    title: str,
    note: str,
    judge: Callable[[PanelRuns], list[Claim]],
    paper: TaskSettings,
    verdict: Callable[[list[Claim], str, str], str] = overall,
    changes: Iterable[str] = (),
) -> Outcome:
    """Run the panels of a figure for the methods that the settings ask for, draw train and test errors, and judge them.

    Parameters
    ----------
    panels : iterable of Panel
        Of the particle method.
    settings : TaskSettings
        Sizes, draws, seeds, methods.
    context : Context
        Where all goes.
    title : str
        Above the figure.
    note : str
        What one must know to read the table.
    judge : callable
        From the runs: what the paper shows, and what the data say about it.
    paper : TaskSettings
        What the paper has.
    verdict : callable
        From the claims, the stated changes and what the paper leaves unsaid.
    changes : iterable of str
        Further changes; empty ones do not count.

    Returns
    -------
    Outcome
        The table of all curves, the claims and the verdict.
    """
    runs = run_panels(by_method(settings, panels), settings, context)
    draw_panels(runs, settings, context, title)
    claims = judge(runs)
    changed = told(stated_changes(settings, paper), *changes)
    return Outcome(PANEL_TABLE, panel_rows(runs), note, tuple(claims), verdict(claims, changed, unsaid(settings)))
