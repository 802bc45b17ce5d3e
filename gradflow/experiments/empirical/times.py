"""Times over that of SGD: the wall time of an epoch, which is what the study tells, and the processor time of a step.

They differ: methods with smaller batches make more steps in an epoch, and the wall time has in it what is measured and
what else the machine does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite, nan

import numpy as np

from ...run.solution import Solution

__all__ = ["CLASSIFICATION_TIMES", "REGRESSION_TIMES", "epoch_times", "step_times"]

REGRESSION_TIMES = {"SGD": 1.0, "Adam": 1.1, "SAV": 1.5, "ExpSAV": 1.5, "IEQ": 3.5, "IEQ-adaptive": 1.2}
"""Table 3.8 of the study: wall time for 1000 epochs over that of SGD."""
CLASSIFICATION_TIMES = {"SGD": 1.0, "Adam": 1.1, "SAV": 1.8, "ExpSAV": 1.8, "IEQ": 5.2, "IEQ-adaptive": 1.2}
"""Table 3.8: the same for the classification of digits."""


def epoch_times(runs: Mapping[str, Sequence[Solution]]) -> dict[str, float]:
    """Return for each method the wall time of an epoch over that of SGD.

    It is the median over the draws in which both run an epoch or more; NaN if there is none.

    Parameters
    ----------
    runs : mapping of str to sequence of Solution
        For each method's name a run for each draw; "SGD" among them.
    """

    def seconds(run: Solution) -> float:
        epochs = float(run.history["epoch"][-1])
        return run.wall_time / epochs if epochs >= 1 else nan

    return _over_sgd(runs, seconds)


def step_times(runs: Mapping[str, Sequence[Solution]]) -> dict[str, float]:
    """Return for each method the processor time of a step over that of SGD.

    It is the median over the draws in which both make a step; NaN if there is none.

    Parameters
    ----------
    runs : mapping of str to sequence of Solution
        For each method's name a run for each draw; "SGD" among them, and all in batches of its size.
    """
    return _over_sgd(runs, lambda run: run.cpu_time / run.steps if run.steps else nan)


def _over_sgd(runs: Mapping[str, Sequence[Solution]], seconds: Callable[[Solution], float]) -> dict[str, float]:
    """Return the median of the quotients of each draw, without those that are no number."""
    times = {}
    for name, several in runs.items():
        pairs = [(seconds(run), seconds(one)) for run, one in zip(several, runs["SGD"], strict=True)]
        quotients = [own / one for own, one in pairs if isfinite(own) and one > 0]
        times[name] = float(np.median(quotients)) if quotients else nan
    return times
