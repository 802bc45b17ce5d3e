r"""Experiment 3 of the empirical study: :math:`y = \exp(-10 |x|^2)` in 40 dimensions, a target that is next to zero.

800 samples for training and 200 for testing, x ~ N(0, 0.04 I), width 1000, batches of 256, 100 epochs. Stated in
section 3.4: IEQ gets the training error to 1e-6; SGD and the adaptive IEQ have a test error near 1e-3, Adam and SAV
end between 1e-2 and 1e-1; exponential SAV is the worst, with 1e-2 in training and 1 in testing; nothing reaches a
test error of 1e-4. The target is called sharp.

In 40 dimensions it is not: with x from that law,

.. math::
   \operatorname{E} y = 1.8^{-20} = 7.8 \cdot 10^{-6}, \qquad
   \operatorname{E} y^2 = 2.6^{-20} = 5.0 \cdot 10^{-9},

so the network that is 0 everywhere has a mean squared error of 5e-9, and passes the threshold 1e-4 by a factor of
2e4. All of the published test errors are far above that; what is measured is how much of its random initial function
each method has forgotten. So every run is set beside the zero network: the unit of its test error is the mean of y^2 over
the 200 points of the test part, which is mostly far below the expectation, for that rests on rare points near 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

import numpy as np

from ..experiment import Claim, Context, Experiment, Outcome
from ..words import range_text
from .corrections import recovers
from .explanations import blows_up, collapses, stores
from .judging import end, level, never_below, whenever
from .methods import FORMS, PRINTED_FORMS, SOURCE, HyperParameters
from .orders import Order, order_claims
from .runs import MethodRuns
from .study import Study, carry_out
from .tasks import EmpiricalSettings

__all__ = ["EMPIRICAL_EXP3", "explain", "judge"]

PRINTED = HyperParameters(
    sgd=(256, 0.01),
    adam=(256, 0.001),
    sav=(256, 0.01, 100.0, 4.0),
    exp_sav=(256, 0.01, 1.0, 0.0),
    ieq=(256, 0.01),
    adaptive=(256, 0.01),
)
EPOCHS, THRESHOLD = 100, 1e-4
ORDERS = (
    Order("IEQ", "train_mse", 1e-6, 1e-6, or_less=True),
    Order("SGD", "test_mse", 1e-3, 1e-3),
    Order("IEQ-adaptive", "test_mse", 1e-3, 1e-3),
    Order("Adam", "test_mse", 1e-2, 1e-1),
    Order("SAV", "test_mse", 1e-2, 1e-1),
    Order("ExpSAV", "train_mse", 1e-2, 1e-2),
    Order("ExpSAV", "test_mse", 1.0, 1.0),
)
"""Orders of the errors after 100 epochs, between which they lie. Of Adam and SAV it is not said which error."""
FAR = 1e3
"""How many times the zero network's error a test error is to be."""
NOTE = (
    "Mean squared errors on the whole training and test part at the end, range over the draws; mean y^2 is that over "
    "the test part, which is the error of the network that is 0 everywhere. Hyper-parameters are the printed "
    "ones in every form, batches of 256. IEQ trains half the sum of squares over its batch, all others the mean. "
    "time/epoch is over SGD's. Of Adam and SAV it is not published which error. Unsaid and chosen: initial parameters "
    "(Kaiming's for the printed shapes), inputs not z-scored."
)


def run(settings: EmpiricalSettings, context: Context) -> Outcome:
    """Run all forms for every draw, draw the figure, and judge what is stated."""
    return carry_out(STUDY, settings, context)


def judge(runs: MethodRuns, sizes: Sequence[float]) -> list[Claim]:
    """Return what the study states and what the data say about it.

    Parameters
    ----------
    runs : dict
        For each method's name a run for each draw.
    sizes : sequence of float
        The zero network's test error, for each draw.
    """
    every = {name: runs[name] for name in PRINTED_FORMS}
    thresholds = [THRESHOLD] * len(sizes)
    return [
        *order_claims(runs, ORDERS, EPOCHS),
        _worst(runs),
        never_below(f"no method reaches a test error of {THRESHOLD:g}", every, "test_mse", thresholds, EPOCHS),
    ]


def _worst(runs: MethodRuns) -> Claim:
    """Return the claim that exponential SAV is the worst: the largest test error of a draw is that of one of its forms.

    Divergent runs are not told apart: a draw in which a form of another method is as bad as the worst form of ExpSAV
    says nothing.
    """
    text = "ExpSAV has the largest test error of all methods, in some printed form and most draws"
    ends = {name: [level(run, "test_mse", EPOCHS) for run in runs[name]] for name in PRINTED_FORMS}
    if any(value is None for values in ends.values() for value in values):
        return Claim(text, None, f"runs end before epoch {EPOCHS}")
    draws = len(runs["SGD"])
    wins, losses = 0, 0
    found: dict[str, int] = {}
    for draw in range(draws):
        errors = {name: float(values[draw] or 0.0) for name, values in ends.items()}
        worst = max(errors.values())
        tied = [name for name, error in errors.items() if error == worst]
        ours = [name in FORMS["ExpSAV"] for name in tied]
        wins, losses = wins + all(ours), losses + (not any(ours))
        told = f"{', '.join(tied)}{' (divergence)' if worst == inf else ''}"
        found[told] = found.get(told, 0) + 1
    return Claim(
        text,
        True if 2 * wins > draws else False if 2 * losses >= draws else None,
        f"the largest is that of {'; '.join(f'{told} in {n}' for told, n in found.items())} of {draws} draws; "
        f"ExpSAV has it alone in {wins}",
    )


def explain(runs: MethodRuns, sizes: Sequence[float]) -> list[Claim]:
    """Return what is behind the statements, as claims that the data decide.

    Parameters
    ----------
    runs : dict
        For each method's name a run for each draw.
    sizes : sequence of float
        The zero network's test error, for each draw.
    """
    least = {
        name: min(float(np.nanmin(run.history["test_mse"])) / size for run, size in zip(several, sizes, strict=True))
        for name, several in runs.items()
    }
    nearest = min(least, key=lambda name: least[name])
    return [
        Claim(
            f"the zero network passes the threshold {THRESHOLD:g} by a factor of at least {FAR:g}",
            THRESHOLD / max(sizes) >= FAR,
            f"its test error is {range_text(sizes)}",
        ),
        Claim(
            f"every test error, of corrected methods too, is {FAR:g} times the zero network's or more at all times",
            least[nearest] >= FAR,
            f"the least is {nearest}'s, {least[nearest]:.1e} times",
        ),
        whenever(
            f"IEQ's training error is memory: the test error is over {FAR:g} times as large",
            runs["restarted IEQ"],
            lambda run: end(run, "test_mse") > FAR * end(run, "train_mse"),
            lambda run: f"train {end(run, 'train_mse'):.1e}, test {end(run, 'test_mse'):.1e}",
        ),
        recovers("ExpSAV of Theorem 2.3", runs["ExpSAV (Theorem 2.3)"], EPOCHS),
        blows_up(runs["IEQ-adaptive (vanilla)"]),
        recovers("IEQ-adaptive with the invariant alpha, with the same dt,", runs["IEQ-adaptive (inv.)"], EPOCHS),
        collapses(runs["SAV (2.5.1)"]),
        stores(runs["vanilla IEQ"]),
    ]


def _levels(sizes: Sequence[float], whole: bool) -> dict[str, dict[str, float]]:
    zero = {"the zero network": float(np.median(sizes))}
    return {"train_mse": zero, "test_mse": {**zero, "the study's threshold": THRESHOLD}}


STUDY = Study(
    n_samples=1000,
    title="experiment 3: y = exp(-10 |x|^2)",
    target="gaussian",
    printed=PRINTED,
    epochs=EPOCHS,
    threshold=THRESHOLD,
    orders=ORDERS,
    unit="mean y^2",
    size=lambda y: float(np.mean(np.square(y, dtype=np.float64))),
    parts=(1e3, 1.0),
    top=1e4,
    levels=_levels,
    note=NOTE,
    judge=judge,
    explain=explain,
)
FULL = EmpiricalSettings(target=STUDY.target, epochs=EPOCHS, n_samples=1000, draws=5)

EMPIRICAL_EXP3 = Experiment(
    name="empirical-exp3",
    title="Six methods on a Gaussian that is next to zero, as printed and corrected",
    source=f"{SOURCE}, section 3.4 (Fig. 3.3)",
    problem="Learn y = exp(-10 |x|^2), x ~ N(0, 0.04 I) in 40 dimensions: width 1000 without 1/m, 800 samples.",
    time="about a minute for 100 epochs and 5 draws",
    quick_time="about 15 seconds for 100 epochs and 1 draw",
    full=FULL,
    quick=replace(FULL, draws=1),
    run=run,
    fixed=STUDY.fixed(),
)
"""The experiment ``empirical-exp3``."""
