"""Where the failures of the empirical study come from, as claims that the data of the runs decide.

Each function takes the runs of one form of one method, one for each draw; a claim holds if it does in every draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np

from ...run.solution import Solution, Status
from ..experiment import Claim
from ..words import range_text
from .judging import end, start, whenever

__all__ = [
    "above_high",
    "blows_up",
    "collapses",
    "freezes",
    "overflows",
    "stores",
]

FROZEN = 1e-3
"""A distance from theta0, in units of its norm: below it nothing has been learnt."""
HIGH = 15.0
"""An E with exp(E), 3e6, so large that dt / exp(E) is no step; the variable then lasts for many steps."""
BLOWN = 10.0
"""A multiple of the initial error."""
COLLAPSED = 0.01
"""Part of its definition that is left of a collapsed auxiliary variable."""
LARGEST_EXPONENT = {"float32": 88.7, "float64": 709.8}
"""From which E on exp(E) overflows."""


def above_high(runs: Sequence[Solution]) -> list[Solution]:
    """Return the runs whose training error starts above `HIGH`.

    Parameters
    ----------
    runs : sequence of Solution
        One for each draw.
    """
    return [run for run in runs if start(run, "train_mse") > HIGH]


def freezes(runs: Sequence[Solution]) -> Claim:
    """Return the claim that ExpSAV of Theorem 2.2 does not move until it blows up, in draws that start above `HIGH`.

    Parameters
    ----------
    runs : sequence of Solution
        One for each draw.
    """
    claim = whenever(
        f"ExpSAV of Theorem 2.2 freezes where E starts above {HIGH:g}: theta moves by less than {FROZEN:g} "
        "of its norm, to the end or until it blows up",
        above_high(runs),
        lambda run: _before_the_end(run, "moved") < FROZEN,
        lambda run: (
            f"E = {start(run, 'train_mse'):.3g} at the start, moved {_before_the_end(run, 'moved'):.0e} "
            f"in {run.history['epoch'][-1]:.0f} epochs, {run.status.value}"
        ),
    )
    others = [run for run in runs if not start(run, "train_mse") > HIGH]
    told = "".join(f"; not above: E = {start(run, 'train_mse'):.3g}, {run.status.value}" for run in others)
    return claim._replace(evidence=claim.evidence + told)


def overflows(text: str, runs: Sequence[Solution], *, does: bool) -> Claim:
    """Return the claim that exp(E) at the start is, or is not, too large a number in the precision of the runs.

    Parameters
    ----------
    text : str
        What is claimed.
    runs : sequence of Solution
        One for each draw, all from the same initial parameters as any other method's.
    does : bool
        Whether it is to overflow in every draw, or in none.
    """
    energies = [start(run, "train_mse") for run in runs]
    over = {name: sum(limit < E for E in energies) for name, limit in LARGEST_EXPONENT.items()}
    told = ", ".join(f"{name} (E > {LARGEST_EXPONENT[name]:g}) in {n} of {len(runs)} draws" for name, n in over.items())
    return Claim(
        text,
        over[str(runs[0].theta.dtype)] == (len(runs) if does else 0),
        f"E is {range_text(energies, '.3g')} at the start; exp(E) overflows in {told}",
    )


def blows_up(runs: Sequence[Solution]) -> Claim:
    """Return the claim that the adaptive IEQ with stored q blows up.

    Parameters
    ----------
    runs : sequence of Solution
        One for each draw.
    """
    return whenever(
        f"vanilla IEQ-adaptive exceeds {BLOWN:g} times its initial error (|q|^2 is of a sum, |g|^2 of a mean)",
        runs,
        lambda run: _largest(run) > BLOWN * start(run, "train_mse"),
        lambda run: f"{start(run, 'train_mse'):.2g} to {_largest(run):.1e}",
    )


def collapses(runs: Sequence[Solution]) -> Claim:
    """Return the claim that the auxiliary variable of SAV collapses when it is carried.

    Parameters
    ----------
    runs : sequence of Solution
        One for each draw.
    """
    return whenever(
        f"SAV of section 2.5.1, whose r is carried, stands still: r / sqrt(E + C) falls below {COLLAPSED:g}",
        runs,
        lambda run: abs(_ratio(run)) < COLLAPSED,
        lambda run: f"ratio {_ratio(run):.0e}, error {end(run, 'train_mse'):.1e}, {run.status.value}",
    )


def stores(runs: Sequence[Solution]) -> Claim:
    """Return the claim that IEQ with stored q lowers what is stored, and not the error.

    Parameters
    ----------
    runs : sequence of Solution
        One for each draw.
    """
    return whenever(
        "vanilla IEQ lowers what it stores, not the error: |q| ends below |f - y| / 10, the error above its start",
        runs,
        lambda run: _ratio(run) < 0.1 and end(run, "train_mse") > start(run, "train_mse"),
        lambda run: (
            f"|q| / |f - y| = {_ratio(run):.0e}, error {start(run, 'train_mse'):.2g} to {end(run, 'train_mse'):.1e}"
        ),
    )


def _ratio(run: Solution) -> float:
    return float(run.history["auxiliary_ratio"][-1])


def _largest(run: Solution) -> float:
    """Return the largest recorded training error, infinity if one is not finite."""
    values = np.asarray(run.history["train_mse"], dtype=np.float64)
    return float(np.max(np.where(np.isfinite(values), values, inf)))


def _before_the_end(run: Solution, name: str) -> float:
    """Return the largest record of a quantity, without the last record of a run that diverged."""
    values = np.asarray(run.history[name], dtype=np.float64)
    return float(np.max(values[: max(1, len(values) - 1)] if run.status is Status.NONFINITE else values))
