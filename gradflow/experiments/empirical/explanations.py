"""Where the failures of the empirical study come from, as claims that the data of the runs decide.

Each function takes the runs of one form of one method, one for each draw; a claim holds if it does in every draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

import numpy as np

from ...solution import Solution, Status
from ..experiment import Claim
from .judging import describe_range, end, level, whenever
from .thresholds import epochs_to

__all__ = [
    "above_high",
    "blows_up",
    "collapses",
    "costs_as_sgd",
    "freezes",
    "learns",
    "overflows",
    "recovers",
    "stores",
]

FROZEN = 1e-3
"""A distance from theta0, in units of its norm: below it nothing has been learnt."""
HIGH = 15.0
"""An E with exp(E), 3e6, so large that dt / exp(E) is no step; the variable then lasts for many steps."""
BLOWN = 10.0
"""A multiple of the initial error."""
RECOVERED = 0.1
"""Part of its initial error that a method gets to if it neither freezes nor blows up."""
COLLAPSED = 0.01
"""Part of its definition that is left of a collapsed auxiliary variable."""
CHEAP = 1.25
"""Time over that of SGD."""
LARGEST_EXPONENT = {"float32": 88.7, "float64": 709.8}
"""From which E on exp(E) overflows."""


def above_high(runs: Sequence[Solution]) -> list[Solution]:
    """Return the runs whose training error starts above `HIGH`.

    Parameters
    ----------
    runs : sequence of Solution
        One for each draw.
    """
    return [run for run in runs if _start(run) > HIGH]


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
            f"E = {_start(run):.3g} at the start, moved {_before_the_end(run, 'moved'):.0e} "
            f"in {run.history['epoch'][-1]:.0f} epochs, {run.status.value}"
        ),
    )
    others = [run for run in runs if not _start(run) > HIGH]
    told = "".join(f"; not above: E = {_start(run):.3g}, {run.status.value}" for run in others)
    return claim._replace(evidence=claim.evidence + told)


def overflows(text: str, runs: Sequence[Solution], dtype: str, *, does: bool) -> Claim:
    """Return the claim that exp(E) at the start is, or is not, too large a number.

    Parameters
    ----------
    text : str
        What is claimed.
    runs : sequence of Solution
        One for each draw, all from the same initial parameters as any other method's.
    dtype : str
        A key of `LARGEST_EXPONENT`.
    does : bool
        Whether it is to overflow in every draw, or in none.
    """
    energies = [_start(run) for run in runs]
    over = {name: sum(limit < E for E in energies) for name, limit in LARGEST_EXPONENT.items()}
    told = ", ".join(f"{name} (E > {LARGEST_EXPONENT[name]:g}) in {n} of {len(runs)} draws" for name, n in over.items())
    return Claim(
        text,
        over[dtype] == (len(runs) if does else 0),
        f"E is {min(energies):.3g} to {max(energies):.3g} at the start; exp(E) overflows in {told}",
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
        lambda run: _largest(run) > BLOWN * _start(run),
        lambda run: f"{_start(run):.2g} to {_largest(run):.1e}",
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
        lambda run: abs(float(run.history["auxiliary_ratio"][-1])) < COLLAPSED,
        lambda run: (
            f"ratio {run.history['auxiliary_ratio'][-1]:.0e}, error {end(run, 'train_mse'):.1e}, {run.status.value}"
        ),
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
        lambda run: float(run.history["auxiliary_ratio"][-1]) < 0.1 and end(run, "train_mse") > _start(run),
        lambda run: (
            f"|q| / |f - y| = {run.history['auxiliary_ratio'][-1]:.0e}, "
            f"error {_start(run):.2g} to {end(run, 'train_mse'):.1e}"
        ),
    )


def recovers(who: str, runs: Sequence[Solution], epochs: float) -> Claim:
    """Return the claim that the training error falls to `RECOVERED` of its start and ends below its start.

    That is what a method does that neither freezes nor blows up; whether it fits is another question, see `learns`.

    Parameters
    ----------
    who : str
        Begins the text.
    runs : sequence of Solution
        One for each draw.
    epochs : float
        A run of fewer epochs that has not got there, and has not ended by itself, decides nothing.
    """

    def there(run: Solution) -> bool:
        reached = epochs_to(run, "train_mse", RECOVERED * _start(run)) < inf
        return reached and bool(run.history["train_mse"][-1] < _start(run))

    claim = whenever(
        f"{who} neither freezes nor blows up: the training error falls to {RECOVERED:g} of its start and ends below it",
        runs,
        there,
        lambda run: f"{_start(run):.2g} to {end(run, 'train_mse'):.1e} after {run.history['epoch'][-1]:.0f} epochs",
    )
    short = [run for run in runs if not there(run) and level(run, "train_mse", epochs) is None]
    return claim._replace(holds=None) if claim.holds is False and short else claim


def learns(who: str, runs: Sequence[Solution], sizes: Sequence[float], epochs: float) -> Claim:
    """Return the claim that a method ends below the error of the best constant, which is the variance of y.

    Parameters
    ----------
    who : str
        Begins the text.
    runs : sequence of Solution
        One for each draw.
    sizes : sequence of float
        Var y on the test part, for each draw.
    epochs : float
        A run of fewer epochs that has not got there, and has not ended by itself, decides nothing.
    """
    ends = [level(run, "test_mse", float(run.history["epoch"][-1])) for run in runs]
    parts = [inf if value is None else value / size for value, size in zip(ends, sizes, strict=True)]
    wrong = [run for run, part in zip(runs, parts, strict=True) if not part < 1]
    short = any(level(run, "test_mse", epochs) is None for run in wrong)
    last = max(float(run.history["epoch"][-1]) for run in runs)
    return Claim(
        f"{who} learns: its test error ends below that of the best constant, Var y",
        True if not wrong else None if short else False,
        f"it is {describe_range(parts)} of Var y, the mean over the last twentieth of {last:.0f} epochs",
    )


def costs_as_sgd(methods: Mapping[str, Sequence[Solution]], sgd: Sequence[Solution]) -> Claim:
    """Return the claim that methods cost what SGD does: nothing like a Hessian is formed or solved with.

    Parameters
    ----------
    methods : mapping of str to sequence of Solution
        For each method, in batches of SGD's size, a run for each draw.
    sgd : sequence of Solution
        One for each draw.
    """

    def seconds(run: Solution) -> float:
        return max(run.cpu_time, 1e-9) / max(1, run.steps)

    quotients = {
        name: float(np.median([seconds(run) / seconds(one) for run, one in zip(runs, sgd, strict=True)]))
        for name, runs in methods.items()
    }
    return Claim(
        f"a step of {', '.join(methods)} takes at most {CHEAP:g} times the processor time of SGD's",
        max(quotients.values()) <= CHEAP,
        ", ".join(f"{name} {quotient:.2f}" for name, quotient in quotients.items()),
    )


def _start(run: Solution) -> float:
    return float(run.history["train_mse"][0])


def _largest(run: Solution) -> float:
    """Return the largest recorded training error, infinity if one is not finite."""
    values = np.asarray(run.history["train_mse"], dtype=np.float64)
    return float(np.max(np.where(np.isfinite(values), values, inf)))


def _before_the_end(run: Solution, name: str) -> float:
    """Return the largest record of a quantity, without the last record of a run that diverged."""
    values = np.asarray(run.history[name], dtype=np.float64)
    return float(np.max(values[: max(1, len(values) - 1)] if run.status is Status.NONFINITE else values))
