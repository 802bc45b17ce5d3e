r"""The search for a method's own dt and constant, and the runs that are reported.

dt is sought on the lattice :math:`10^{k/n}`, n points a decade, the same first points for every method and problem. As
long as the best is an end point, the next point beyond that end is tried, up to a bound; a best dt that is still an
end point is marked, because a better one may lie beyond. Where an error has several minima in dt, the one found is the
best of the first points' neighbourhood. A constant that is the least or the largest of those tried is marked alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...run.batches import steps_per_epoch
from ...run.solution import Solution, Status
from ...schemes.protocols import Scheme
from ..training import train
from .methods import ComparedTask, Method

__all__ = ["CENTRE", "Tuned", "TunedMethod", "error_at", "lattice_dt", "search", "train_compared", "tune"]

CENTRE = -1
"""Number k of the middle of the first points: dt = 0.316 with two points a decade, 0.1 with one."""
WINDOW = 0.1
"""Records of runs with batches are noisy: an error is the geometric mean over this last part of the epochs."""


class Tuned(NamedTuple):
    """The dt and the constant with which a method runs."""

    dt: float
    """Step size."""
    constant: float | None
    """C or kappa; None if the method has none."""
    dt_at_edge: bool
    """Whether dt is an end point of what was tried."""
    tried: tuple[float, float]
    """The least and the largest dt that were tried with this constant."""
    scores: int
    """How many pairs of dt and constant were tried."""
    constant_at_edge: bool = False
    """Whether the constant is the least or the largest of those tried."""

    @property
    def at_edge(self) -> bool:
        """Whether a better dt or constant may lie beyond what was tried."""
        return self.dt_at_edge or self.constant_at_edge


class TunedMethod(NamedTuple):
    """A method on a problem, with its own best dt: what it was tuned to, its runs, and what they cost."""

    tuned: Tuned
    """With what."""
    runs: Sequence[Solution]
    """One for each reported seed, in the same order for all methods."""
    cost: float
    """Processor time of a step, s."""
    steps: int
    """Of an epoch."""

    @property
    def seconds(self) -> float:
        """Processor time of an epoch's steps, s."""
        return self.cost * self.steps


def lattice_dt(k: int, per_decade: int) -> float:
    """Return the step size number k, ``10**(k / per_decade)`` to three digits, so that file names and tables are short.

    Parameters
    ----------
    k : int
        Number of the point.
    per_decade : int
        Points a decade.
    """
    return float(f"{10 ** (k / per_decade):.3g}")


def search(score: Callable[[int], float], points: int, extensions: int) -> tuple[int, dict[int, float]]:
    """Return the best number k, and the score of every one that was tried.

    Parameters
    ----------
    score : callable
        Maps k to an error, infinite for a run that diverged.
    points : int
        First points, odd, around `CENTRE`.
    extensions : int
        Further points at most.

    Returns
    -------
    tuple
        The best k, and the scores by k. The numbers tried are consecutive.
    """
    half = points // 2
    scores = {k: score(k) for k in range(CENTRE - half, CENTRE + half + 1)}
    for _ in range(extensions):
        best = min(scores, key=lambda k: (scores[k], k))  # the smaller dt of equals: all diverge where dt is too large
        if min(scores) < best < max(scores):
            break
        beyond = best - 1 if best == min(scores) else best + 1
        scores[beyond] = score(beyond)
    return min(scores, key=lambda k: (scores[k], k)), scores


def error_at(run: Solution, name: str, epoch: float) -> float:
    """Return an error around an epoch: the geometric mean of its records over the last tenth of the epochs up to then.

    Parameters
    ----------
    run : Solution
        A run. One that stands still keeps the last value.
    name : str
        A recorded quantity >= 0.
    epoch : float
        When, > 0.

    Returns
    -------
    float
        Infinity if the run diverged; the start's value if the epoch is before the first record after it.
    """
    if run.status is Status.NONFINITE:
        return inf
    epochs = run.history["epoch"]
    values = run.history[name][epochs <= epoch * (1 + 1e-9)].astype(np.float64)
    epochs = epochs[: len(values)]
    chosen = values[epochs > (1 - WINDOW) * epoch]
    chosen = chosen if len(chosen) else values[-1:]
    return float(np.exp(np.mean(np.log(np.maximum(chosen, np.finfo(np.float64).tiny)))))


def train_compared(
    task: ComparedTask, scheme: Scheme, *, dt: float, epochs: int, path: Path, progress: bool | str = False
) -> Solution:
    """Run a scheme on a task on one thread, or take up the run kept at `path`.

    Parameters
    ----------
    task : ComparedTask
        Data, start and batches.
    scheme : Scheme
        The scheme.
    dt : float
        Step size > 0.
    epochs : int
        How far.
    path : Path
        Where the run is kept.
    progress : bool or str
        Whether to show a progress bar, or its label.

    Returns
    -------
    Solution
        With ``energy``, which is the train error, and ``test_error`` after every epoch.

    Raises
    ------
    KeyboardInterrupt
        As it came, once what was done is kept.
    """
    return train(
        task.problem,
        scheme,
        task.theta0,
        path=path,
        dt=dt,
        epochs=epochs,
        batch_size=task.batch_size,
        seed=task.seed,
        every=steps_per_epoch(task.problem, task.batch_size),
        record=("energy", ("test_error", task.test_error)),
        progress=progress,
        threads=1,
    )


def tune(
    tasks: Sequence[ComparedTask],
    method: Method,
    *,
    constants: Sequence[float],
    epochs: int,
    per_decade: int,
    points: int,
    extensions: int,
    stem: Path,
    progress: str = "",
) -> Tuned:
    """Return the dt and the constant of the least train error after `epochs`, in the geometric mean over some tasks.

    A pair with which one of the tasks diverges is out, unless all pairs are.

    Parameters
    ----------
    tasks : sequence of ComparedTask
        One problem for seeds that are not reported.
    method : Method
        Searched for.
    constants : sequence of float
        Values tried of C or kappa; a method without one runs once for each dt.
    epochs : int
        Of each run.
    per_decade : int
        As in `lattice_dt`.
    points, extensions : int
        As in `search`.
    stem : Path
        Beginning of the names of the files.
    progress : str
        Label of progress bars; none are shown if it is empty.

    Raises
    ------
    KeyboardInterrupt
        As it came; what was done is kept.
    """
    found: dict[float, tuple[int, dict[int, float]]] = {}
    for constant in constants if method.has_constant else constants[:1]:
        scheme = method.scheme(constant)
        mark = f"-{constant:g}" if method.has_constant else ""

        def score(k: int, scheme: Scheme = scheme, mark: str = mark) -> float:
            dt = lattice_dt(k, per_decade)
            logarithms = []
            for task in tasks:
                path = stem.with_name(f"{stem.name}{mark}-dt{dt:g}-seed{task.seed}")
                label = progress and f"{progress}{mark} dt {dt:g}"
                run = train_compared(task, scheme, dt=dt, epochs=epochs, path=path, progress=label)
                logarithms.append(np.log(error_at(run, "energy", epochs)))
            return float(np.exp(np.mean(logarithms)))

        found[constant] = search(score, points, extensions)
    best = min(found, key=lambda c: found[c][1][found[c][0]])
    k, scores = found[best]
    return Tuned(
        lattice_dt(k, per_decade),
        best if method.has_constant else None,
        k in (min(scores), max(scores)),
        (lattice_dt(min(scores), per_decade), lattice_dt(max(scores), per_decade)),
        sum(len(tried) for _, tried in found.values()),
        method.has_constant and best in (min(constants), max(constants)),
    )
