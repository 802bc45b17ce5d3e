r"""Runs of the network of the review: what they record, the grid of batch sizes and step sizes, and how rises are counted.

See `gradflow.experiments.ieq_review.shared` for the setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ...energies.protocols import Problem
from ...namespace import Array
from ...run.batches import steps_per_epoch
from ...run.solution import Solution
from ...schemes.protocols import Scheme
from ..experiment import Context
from ..training import train
from .shared import ReviewSettings, ReviewTask

__all__ = ["RECORD", "GridRuns", "relative", "rises", "rows_of_batches", "scaled", "train_grid", "train_review"]

GridRuns: TypeAlias = Mapping[tuple[int, float], Mapping[str, Sequence[Solution]]]
"""For each batch size (0 for the full batch) and dt, and each scheme, a run for each seed."""
SHOWN = 1e-60
"""Numbers below are zeros, which have no place on a logarithmic scale."""


def theta_size(state: Any) -> Array:
    """Return |theta|, 0-d: rounding in the difference of two theta is relative to it."""
    return np.sqrt(state.theta @ state.theta)


RECORD = (
    "energy",
    "modified_energy",
    "auxiliary_gap",
    "dissipation",
    "identity_residual",
    ("theta_size", theta_size),
)
"""What every run records."""
ROUNDING = 1e-12
"""A rise by less than this part counts as rounding."""


def train_review(
    problem: Problem,
    theta0: Array,
    scheme: Scheme,
    *,
    dt: float,
    epochs: int,
    batch_size: int = 0,
    seed: int,
    path: Path,
    each_step: bool = True,
) -> Solution:
    """Run a scheme, or take up the run kept at `path`.

    Parameters
    ----------
    problem : Problem
        The problem of all samples.
    theta0 : array (P,)
        Initial parameters.
    scheme : Scheme
        The scheme.
    dt : float
        Step size > 0.
    epochs : int
        How far.
    batch_size : int
        0 for the full batch.
    seed : int
        Of the batches.
    path : Path
        Where the run is kept.
    each_step : bool
        Whether to record every step instead of every epoch.

    Returns
    -------
    Solution
        With the quantities of `RECORD`.

    Raises
    ------
    KeyboardInterrupt
        As it came, once what was done is kept.
    """
    size = batch_size or None
    return train(
        problem,
        scheme,
        theta0,
        path=path,
        dt=dt,
        epochs=epochs,
        batch_size=size,
        seed=seed,
        every=1 if each_step else steps_per_epoch(problem, size),
        record=RECORD,
    )


def train_grid(
    tasks: Sequence[ReviewTask],
    schemes: Mapping[str, Scheme],
    settings: ReviewSettings,
    context: Context,
    *,
    batch_sizes: Sequence[int],
    dts: Sequence[float],
    each_step: bool,
) -> GridRuns:
    """Run every scheme at every batch size and dt for every seed, or take up what is kept.

    Parameters
    ----------
    tasks : sequence of ReviewTask
        One for each seed.
    schemes : mapping of str to Scheme
        By their labels.
    settings : ReviewSettings
        Epochs.
    context : Context
        Where the data go.
    batch_sizes, dts : sequences of numbers
        The grid; a batch size of 0 is the full batch.
    each_step : bool
        Whether to record every step instead of every epoch.

    Returns
    -------
    mapping
        For each batch size and dt, and each label, a run for each seed.
    """
    runs: dict[tuple[int, float], dict[str, list[Solution]]] = {}
    for size in batch_sizes:
        for dt in dts:
            runs[size, dt] = {
                label: [
                    train_review(
                        *task,
                        scheme,
                        dt=dt,
                        epochs=settings.epochs,
                        batch_size=size,
                        seed=seed,
                        path=context.out / "data" / f"{size}-{dt:g}-{number}-{seed}",
                        each_step=each_step,
                    )
                    for seed, task in enumerate(tasks)
                ]
                for number, (label, scheme) in enumerate(schemes.items())
            }
        context.say(f"batches of {size}: done" if size else "full batch: done")
    return runs


def scaled(run: Solution, task: ReviewTask) -> Solution:
    """Return the run with ``error`` and ``stored``, true and stored energy over the energy of f = 0, in its history, to be drawn.

    Parameters
    ----------
    run : Solution
        A run of the task.
    task : ReviewTask
        The task.
    """
    stored = run.history["modified_energy"] * (2 / float(np.sum(task.problem.y**2)))
    history: dict[str, Any] = {**run.history, "error": relative(run, task)}
    for name, values in (("stored", stored), ("auxiliary_gap", run.history["auxiliary_gap"])):
        history[name] = np.where(values > SHOWN, values, np.nan)
    return replace(run, history=history)


def rows_of_batches(
    runs: GridRuns, tasks: Sequence[ReviewTask], dt: float, labels: Iterable[str]
) -> dict[str, dict[str, list[Solution]]]:
    """Return the runs of one dt as `gradflow.plotting.plot_rows` takes them, `scaled`, a row for each batch size.

    Parameters
    ----------
    runs : mapping
        From `train_grid`.
    tasks : sequence of ReviewTask
        One for each seed.
    dt : float
        Which.
    labels : iterable of str
        Which schemes.
    """
    chosen = list(labels)
    return {
        f"batches of {size}" if size else "full batch": {
            label: [scaled(r, t) for r, t in zip(of[label], tasks, strict=True)] for label in chosen
        }
        for (size, h), of in runs.items()
        if h == dt
    }


def relative(run: Solution, task: ReviewTask) -> np.ndarray[Any, Any]:
    """Return the relative error sum (f - y)^2 / sum y^2 at the records, shape (number of records,).

    Parameters
    ----------
    run : Solution
        A run of the task.
    task : ReviewTask
        The task.
    """
    return np.asarray(run.history["energy"] * (2 / float(np.sum(task.problem.y**2))))


def rises(values: np.ndarray[Any, Any], floor: float | np.ndarray[Any, Any] = 0.0) -> np.ndarray[Any, Any]:
    """Return where a quantity rises from one record to the next by more than rounding, bools of shape (records - 1,).

    Parameters
    ----------
    values : array (records,)
        A quantity >= 0.
    floor : float or array (records - 1,)
        Rises up to it are rounding, too.
    """
    return np.asarray(values[1:] > (1 + ROUNDING) * values[:-1] + floor)
