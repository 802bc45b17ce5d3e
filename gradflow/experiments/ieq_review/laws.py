r"""How well runs keep the energy law of IEQ, and how often stored energy and true loss rise.

Every step of every form has ``|q^{n+1}|^2 / 2 - |q^n|^2 / 2 = -|d|^2 / dt - |q^{n+1} - q^n|^2 / 2``, with ``q^n =
q(theta^n)`` after a restart and with what relaxation gives back on the right. See
`gradflow.experiments.ieq_review.energy`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...run.solution import Solution
from .runs import rises

__all__ = [
    "RELAXED",
    "RESTARTED",
    "VANILLA",
    "excess_after_restart",
    "identity_error",
    "loss_rises",
    "stored_rises",
]

VANILLA, RESTARTED, RELAXED = "vanilla IEQ", "restarted IEQ", "relaxed IEQ"
BLUR = 1e-28
"""The square of the rounding of a residual, relative: rises of the stored energy up to it, as a part of the true loss, are none."""


def identity_error(run: Solution, label: str) -> float:
    """Return the largest residual of the energy identity of a run, in units of the rounding of what enters it.

    What enters: the energy before the step (of all samples, which is at least that of the batch), and ``|d|^2 / dt``
    with the rounding of d, a difference of two theta. Relaxed, what was given back is part of the recorded dissipation,
    and ``|d|^2 / dt`` is bounded by the energy before the step.

    Parameters
    ----------
    run : Solution
        Every step recorded, with a constant dt.
    label : str
        The form of the scheme.
    """
    h, eps = run.history, float(np.finfo(np.float64).eps)
    if len(h["step"]) < 2:
        return 0.0
    dt = float(h["time"][1] - h["time"][0])
    before = h["energy" if label == RESTARTED else "modified_energy"][:-1]
    speed = np.sqrt(np.maximum(before if label == RELAXED else h["dissipation"][1:], 0.0))
    blur = h["theta_size"][1:] / dt**0.5
    return float(np.max(np.abs(h["identity_residual"][1:]) / (eps * (before + 2 * blur * speed + eps * blur**2))))


def loss_rises(run: Solution, *, epochs: bool = False) -> float:
    """Return the share of steps, or of epochs, after which the true loss is larger than before.

    Parameters
    ----------
    run : Solution
        Every step recorded.
    epochs : bool
        Whether to look at the ends of epochs only.
    """
    h = run.history
    here = h["epoch"] % 1 == 0 if epochs else np.ones(len(h["epoch"]), dtype=bool)
    rising = rises(h["energy"][here], floor=BLUR * float(h["energy"][0]))
    return float(np.mean(rising)) if len(rising) else 0.0


def stored_rises(run: Solution) -> int:
    """Return the number of steps after which the stored energy is larger than before, above the rounding of stored residuals.

    Parameters
    ----------
    run : Solution
        Every step recorded.
    """
    h = run.history
    return int(rises(h["modified_energy"], floor=BLUR * np.maximum(h["energy"][1:], h["energy"][:-1])).sum())


def excess_after_restart(runs: Sequence[Solution]) -> float:
    """Return the largest ``(|q^{n+1}|^2 / 2 - E(theta^n)) / E(theta^n)`` of restarted runs: by the law not above 0.

    Parameters
    ----------
    runs : sequence of Solution
        Every step recorded.
    """
    worst = -1.0
    for r in runs:
        before = r.history["energy"][:-1]
        here = before > 0
        excess = r.history["modified_energy"][1:][here] / before[here] - 1
        worst = max(worst, float(excess.max(initial=-1.0)))
    return worst
