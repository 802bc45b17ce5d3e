"""What a form does that neither freezes nor blows up, with the same hyper-parameters, as claims that the data decide.

Each function takes the runs of one form of one method, one for each draw; a claim holds if it does in every draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isnan

from ...run.solution import Solution, Status
from ..experiment import Claim
from ..words import range_text
from .judging import end, level, start, unless_short, whenever
from .thresholds import epochs_to
from .times import step_times

__all__ = ["costs_as_sgd", "learns", "recovers"]

RECOVERED = 0.1
"""Part of its initial error that a method gets to if it neither freezes nor blows up."""
CHEAP = 1.25
"""Time over that of SGD."""


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
        reached = epochs_to(run, "train_mse", RECOVERED * start(run, "train_mse")) < inf
        below = bool(run.history["train_mse"][-1] < start(run, "train_mse"))
        return reached and below and run.status is not Status.NONFINITE

    return whenever(
        f"{who} neither freezes nor blows up: the training error falls to {RECOVERED:g} of its start and ends below it",
        runs,
        there,
        lambda run: (
            f"{start(run, 'train_mse'):.2g} to {end(run, 'train_mse'):.1e} after {run.history['epoch'][-1]:.0f} epochs"
        ),
        epochs=epochs,
    )


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
    last = max(float(run.history["epoch"][-1]) for run in runs)
    return Claim(
        f"{who} learns: its test error ends below that of the best constant, Var y",
        unless_short([part < 1 for part in parts], runs, epochs),
        f"it is {range_text(parts)} of Var y, the mean over the last twentieth of {last:.0f} epochs",
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
    times = step_times({**methods, "SGD": sgd})
    quotients = {name: times[name] for name in methods}
    known = not any(isnan(quotient) for quotient in quotients.values())
    return Claim(
        f"a step of {', '.join(methods)} takes at most {CHEAP:g} times the processor time of SGD's",
        max(quotients.values()) <= CHEAP if known else None,
        ", ".join(f"{name} {quotient:.2f}" for name, quotient in quotients.items()),
    )
