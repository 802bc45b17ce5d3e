r"""What the steps of a restarted run show: rises of the true loss, and what the sufficient bound says of each step.

With ``R = q(theta + d) - q - J d`` and ``K = 2 |R| / |d|^2``, the true loss does not rise if

.. math:: K\,\Delta t\,|q + J d| = \frac{2\,|R|\,|q + Jd|}{|d|^2 / \Delta t} \le 2.                            \tag{1}

All of it is in the record of a full-batch run: ``|q + J d|`` from the modified energy, ``|R|`` from the gap of the
auxiliary variable, ``|d|^2 / dt`` as the dissipation. See `gradflow.experiments.ieq_review.limits`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...run.solution import Solution
from .runs import relative, rises
from .shared import ReviewTask

__all__ = ["StepsSeen", "seen_in"]

FLOOR = 1e-20
"""Relative errors below are rounding: rises there do not count."""


class StepsSeen(NamedTuple):
    """What the steps of a run show."""

    steps: float
    """Steps to the target, infinity if it was not reached."""
    end: float
    """The relative error at the end."""
    counted: int
    """Steps from a relative error above rounding."""
    rises: int
    """Those after which the true loss is larger."""
    largest: float
    """The largest quotient of the losses after and before a step, 1 if none is above 1."""
    silent: int
    """Steps of which the bound (1) says nothing."""
    least: float
    """The least left side of (1) of a step with a rise, infinity without one."""


def seen_in(run: Solution, task: ReviewTask, target: float) -> StepsSeen:
    """Return what the steps of a run show.

    Parameters
    ----------
    run : Solution
        Restarted IEQ with the full batch, every step recorded.
    task : ReviewTask
        Its task.
    target : float
        Relative error to reach.
    """
    h, error = run.history, relative(run, task)
    counts = error[:-1] > FLOOR
    rising = rises(h["energy"]) & counts
    remainder = h["auxiliary_gap"][1:] * np.sqrt(2 * h["energy"][1:])
    room = np.maximum(h["dissipation"][1:], np.finfo(np.float64).tiny)
    bound = 2 * remainder * np.sqrt(2 * h["modified_energy"][1:]) / room  # (1)
    reached = np.flatnonzero(error <= target)
    quotient = h["energy"][1:][rising] / h["energy"][:-1][rising]
    return StepsSeen(
        float(h["step"][reached[0]]) if len(reached) else np.inf,
        float(error[-1]),
        max(1, int(counts.sum())),
        int(rising.sum()),
        float(quotient.max(initial=1.0)),
        int((bound > 2)[counts].sum()),
        float(bound[rising].min(initial=np.inf)),
    )
