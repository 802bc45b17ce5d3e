"""A regression of the empirical study from its settings to what it comes to: what experiments 1 to 3 have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ...namespace import Array
from ..experiment import Context, Outcome
from ..verdicts import differences, told
from .judging import verdict
from .methods import NAMES, HyperParameters, empirical_methods
from .orders import Order
from .report import TABLE_NOTE, Thresholds, draw_columns, method_table
from .runs import run_methods
from .tasks import EmpiricalSettings, empirical_tasks, unsaid

__all__ = ["Study", "carry_out"]


def carry_out(study: Study, settings: EmpiricalSettings, context: Context) -> Outcome:
    """Run all forms for every draw, draw the figure, and judge what is stated.

    Parameters
    ----------
    study : Study
        What is particular to the experiment.
    settings : EmpiricalSettings
        Its settings.
    context : Context
        Where the results go.

    Returns
    -------
    Outcome
        The table of all forms, the claims and the verdict.

    Raises
    ------
    ValueError
        If a setting is refused.
    KeyboardInterrupt
        As it came, once what was done is kept.
    """
    tasks = empirical_tasks(settings)
    runs = run_methods(empirical_methods(study.printed, kept_share=study.kept_share), tasks, settings, context)
    sizes = tuple(study.size(task.test.y) for task in tasks)
    fewer = settings.epochs < study.epochs
    title = f"Empirical study, {study.title}, D = {settings.n_inputs}, m = {settings.width}"
    draw_columns(runs, context, title, top=study.top, levels=study.levels(sizes, not fewer))
    header, rows = method_table(runs, Thresholds(study.threshold, study.parts, study.unit, sizes), study.orders)
    published, explained = study.judge(runs, sizes), study.explain(runs, sizes)
    epochs = max(study.epochs, settings.epochs)  # what is stated is read at the printed epoch, whatever comes after
    printed = replace(settings, target=study.target, epochs=epochs, n_inputs=40, width=1000, n_samples=study.n_samples)
    resized = told(*differences(settings, replace(printed, epochs=settings.epochs), source="printed"))
    if resized:  # what another network on other data, or another target, gets to soon is nothing against the study
        published = [claim._replace(regardless=False) for claim in published]
    changed = told(*differences(settings, printed, source="printed"))
    decision = verdict(published, explained, unsaid(settings), changed)
    return Outcome(header, rows, f"{study.note} {TABLE_NOTE} {NAMES}", (*published, *explained), decision)


class Study(NamedTuple):
    """What is particular to one of the regressions."""

    title: str
    """Of the figure: the experiment and its target."""
    target: str
    """A target of `EmpiricalSettings`."""
    printed: HyperParameters
    """As the study has them."""
    epochs: int
    """As printed."""
    threshold: float
    """The test error that the study calls converged."""
    orders: tuple[Order, ...]
    """The errors that it publishes."""
    unit: str
    """What a test error is set beside."""
    size: Callable[[Array], float]
    """That number, > 0, from y of the test part."""
    parts: tuple[float, ...]
    """Parts of the unit to which the table counts epochs."""
    top: float
    """The largest error in the figure."""
    levels: Callable[[Sequence[float], bool], Mapping[str, Mapping[str, float]]]
    """What to mark in the figure, for the unit of each draw and whether all printed epochs are run."""
    note: str
    """What one must know to read the table, but for what is said of every such table."""
    judge: Callable[..., list[Any]]
    """What the study states, as claims, from the runs of each method and the unit of each draw."""
    explain: Callable[..., list[Any]]
    """Where its failures come from, as there."""
    kept_share: float = 1.0
    """As for `empirical_methods`."""
    n_samples: int = 10_000
    """The printed pool."""

    def fixed(self) -> dict[str, Any]:
        """Return what no setting changes, by name: the printed hyper-parameters, and what the claims read."""
        printed = {
            name: [*value] if isinstance(value, tuple) else value for name, value in self.printed._asdict().items()
        }
        return {
            **printed,
            "part of its epochs that vanilla IEQ runs": self.kept_share,
            "read at epoch": self.epochs,
            "threshold": self.threshold,
        }
