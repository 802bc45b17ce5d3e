"""The empirical study's methods, run on its tasks for several draws.

Curves are mean squared errors on the whole training and test part, whatever is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...models import Regression
from ...namespace import Array
from ...run.batches import steps_per_epoch
from ...run.solution import Solution
from ...schemes.protocols import AuxiliaryScheme
from ..experiment import Context
from ..training import train
from .methods import Method
from .tasks import EmpiricalSettings, EmpiricalTask

__all__ = ["MethodRuns", "run_methods"]

MethodRuns: TypeAlias = dict[str, list[Solution]]
"""For each method's name the runs, one for each draw."""


def run_methods(
    methods: Mapping[str, Method], tasks: Sequence[EmpiricalTask], settings: EmpiricalSettings, context: Context
) -> MethodRuns:
    """Run every method for every draw, or take up what is kept.

    Parameters
    ----------
    methods : mapping of str to Method
        By name.
    tasks : sequence of EmpiricalTask
        One for each draw.
    settings : EmpiricalSettings
        Sizes, epochs, seeds.
    context : Context
        Where the data go; the folder is claimed once all is found good.

    Returns
    -------
    dict
        For each method's name the runs, one for each draw, with ``train_mse``, ``test_mse``, ``moved`` (the distance
        from theta0, in units of its norm) and, of a scheme that carries an auxiliary variable, ``auxiliary_ratio``.

    Raises
    ------
    ValueError
        If a method cannot start.
    KeyboardInterrupt
        As it came, once what was done is kept.
    """
    for method in methods.values():
        problem = _problem(tasks[0], method)
        method.scheme.init(problem, tasks[0].theta0)
        steps_per_epoch(problem, _batch_size(problem, method))
    context.claim()
    runs: MethodRuns = {name: [] for name in methods}
    for draw, task in enumerate(tasks):
        for number, (name, method) in enumerate(methods.items()):
            label = context.progress and f"{name} {draw + 1}/{len(tasks)}"
            runs[name].append(_run(task, method, settings, draw, context, f"{number}-{draw}", label))
        context.say(f"draw {draw + 1} of {len(tasks)}: done")
    return runs


def _run(
    task: EmpiricalTask,
    method: Method,
    settings: EmpiricalSettings,
    draw: int,
    context: Context,
    stem: str,
    label: bool | str,
) -> Solution:
    """Run one method on one draw, or take it up."""
    problem, size = _problem(task, method), float(np.linalg.norm(task.theta0))
    batch_size = _batch_size(problem, method)

    def train_mse(state: Any) -> Array:
        return task.train.energy(state.theta)

    def test_mse(state: Any) -> Array:
        return task.test.energy(state.theta)

    def moved(state: Any) -> float:
        return float(np.linalg.norm(state.theta - task.theta0)) / size

    carries = isinstance(method.scheme, AuxiliaryScheme) and getattr(method.scheme, "carries_auxiliary", True)
    return train(
        problem,
        method.scheme,
        task.theta0,
        path=context.out / "data" / stem,
        dt=method.dt,
        epochs=max(1, round(method.share * settings.epochs)),
        batch_size=batch_size,
        seed=settings.seed + draw,
        every=settings.record_epochs * steps_per_epoch(problem, batch_size),
        record=(
            ("train_mse", train_mse),
            ("test_mse", test_mse),
            ("moved", moved),
            *(("auxiliary_ratio",) if carries else ()),
        ),
        progress=label,
    )


def _problem(task: EmpiricalTask, method: Method) -> Regression:
    return task.half_sum if method.loss == "half_sum" else task.train


def _batch_size(problem: Regression, method: Method) -> int:
    return min(method.batch_size, problem.n_samples)
