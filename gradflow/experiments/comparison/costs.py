"""What a step of each method costs: processor seconds, measured in turns.

The runs of the comparison are minutes apart, and on a machine that does other work the same step then differs by a
third. Here the methods take turns, a few steps each, many times over, so that whatever disturbs one disturbs all; the
cost is the median over the turns. It is measured once and kept with the data: runs that are taken up again are judged
by the same costs. On two cores that other programs kept busy, two measurements differed by up to a fifth.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...namespace import blas_threads, quiet
from ...run.storage import write_whole
from ...schemes.protocols import Scheme
from .methods import ComparedTask

__all__ = ["kept_costs", "step_costs"]

TURN = 1e-2
"""Seconds that a turn should last, more than the clock's grain."""
STEPS = 50
"""Steps of a turn at most."""
WARM = 3
"""Steps at the start of a turn that do not count: another method has had the caches."""
SMALL_DT = 1e-4
"""Step size: no method leaves the neighbourhood of the start, and the cost of a step does not depend on it."""


def step_costs(task: ComparedTask, schemes: Mapping[str, Scheme], rounds: int) -> dict[str, float]:
    """Return the processor seconds of a step of each scheme on a batch of the task, on one BLAS thread.

    Parameters
    ----------
    task : ComparedTask
        Problem, start and size of the batch.
    schemes : mapping of str to Scheme
        By label.
    rounds : int
        How often each has its turn.

    Returns
    -------
    dict of str to float
        Medians over the rounds, s.
    """
    part = task.problem.batch(np.arange(task.batch_size))  # type: ignore[attr-defined]  # both problems have batches

    def turn(scheme: Scheme, steps: int) -> float:
        state = scheme.init(part, task.theta0)
        for _ in range(WARM):
            state = scheme.step(part, state, SMALL_DT)
        start = time.process_time()
        for _ in range(steps):
            state = scheme.step(part, state, SMALL_DT)
        return (time.process_time() - start) / steps

    with quiet(), blas_threads(1):
        first = {label: turn(scheme, 2) for label, scheme in schemes.items()}
        steps = {label: min(STEPS, max(1, round(TURN / max(cost, 1e-9)))) for label, cost in first.items()}
        turns = [{label: turn(scheme, steps[label]) for label, scheme in schemes.items()} for _ in range(rounds)]
    return {label: float(np.median([costs[label] for costs in turns])) for label in schemes}


def kept_costs(path: Path, task: ComparedTask, schemes: Mapping[str, Scheme], rounds: int) -> dict[str, float]:
    """Return the costs kept at `path`; measure and keep them if there are none.

    Parameters
    ----------
    path : Path
        A JSON file.
    task, schemes, rounds : as for `step_costs`
        As there.

    Returns
    -------
    dict of str to float
        As from `step_costs`.
    """
    if path.exists():
        costs = json.loads(path.read_text(encoding="utf-8"))
        if set(costs) == set(schemes):
            return {label: float(cost) for label, cost in costs.items()}
    measured = step_costs(task, schemes, rounds)
    write_whole(path, json.dumps(measured, indent=1).encode())
    return measured
