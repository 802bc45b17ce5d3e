r"""Experiment 2 of the empirical study: :math:`y = \sum_i c_i x_i^2` in 40 dimensions, where "all methods fail".

8000 samples for training and 2000 for testing, x uniform in [0, 5], width 1000, batches of 64, 100 epochs (IEQ 50).
Stated in section 3.3: the training errors stay between 1e1 and 1e2, the test errors near 1e2, so that nothing
converges; a ReLU network is hardly able to fit a quadratic. Exponential SAV is in the tables as not converged, but
its hyper-parameters are not given: those of experiment 1 are taken here.

Whether an error of 1e2 is a failure depends on the target:

.. math:: \operatorname{Var} y = \frac{500}{9} \sum_i c_i^2,

some 2200 for 40 coefficients from N(0, 1). An error of 1e2 leaves 4.5 % of that unexplained. So every run is judged
by the part of Var y that it leaves, and "fails" is taken to mean more than a tenth. The initial loss is some
thousands, and exp(E), which the exponential SAV of Theorem 2.2 has for its variable, is no number in double precision;
here its logarithm is kept, and the run is made all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..experiment import Claim, Context, Experiment, Outcome
from ..words import range_text
from .corrections import learns, recovers
from .explanations import blows_up, collapses, freezes, overflows, stores
from .judging import never_below
from .methods import PRINTED_FORMS, SOURCE, HyperParameters
from .orders import Order, order_claims
from .runs import MethodRuns
from .study import Study, carry_out
from .tasks import EmpiricalSettings

__all__ = ["EMPIRICAL_EXP2", "explain", "judge"]

PRINTED = HyperParameters(
    sgd=(64, 0.01),
    adam=(64, 0.001),
    sav=(64, 0.01, 1.0, 4.0),
    exp_sav=(64, 0.1, 1.0, 1.0),
    ieq=(64, 0.01),
    adaptive=(64, 0.01),
    ieq_share=0.5,
)
EPOCHS, THRESHOLD = 100, 1e-4
TEST = 1e2
"""The order of the test error."""
GIVEN = ("SGD", "Adam", "SAV", "IEQ", "IEQ-adaptive")
"""What the study ran; exponential SAV has no hyper-parameters."""
ORDERS = tuple(
    Order(family, name, low, TEST) for family in GIVEN for name, low in (("train_mse", 1e1), ("test_mse", TEST))
)
"""Orders of the errors after 100 epochs, between which they lie."""
SHORTENED = "vanilla IEQ"
"""The form that runs fewer epochs than printed."""
KEPT_SHARE = 0.2
"""Part of its printed epochs that it runs, since it stands still soon; so it cannot miss what was published."""
FAILS = 0.1
"""The part of Var y from which on a fit counts as failed."""
NOTE = (
    "Mean squared errors on the whole training and test part at the end, range over the draws; Var y is that of the "
    "test part, and test MSE / Var y is 1 - R^2. Hyper-parameters are the printed ones in every form, batches of 64; "
    "ExpSAV, which has none, has those of experiment 1 (dt = 0.1, C = 1, lambda = 1). IEQ trains half the sum of "
    "squares over its batch, all others the mean, and runs half the epochs as printed; vanilla IEQ a tenth, so that "
    "it may meet what was published, but not miss it. time/epoch is the median over SGD's. Unsaid and chosen: initial "
    "parameters (Kaiming's for the printed shapes), c from N(0, 1), inputs not z-scored. What diverges "
    "within the first epoch has no curve, and where SGD does no times are compared."
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
        Var y on the test part, for each draw.
    """
    of_ieq = PRINTED.ieq_share * EPOCHS
    epochs_of = {"restarted IEQ": of_ieq, SHORTENED: KEPT_SHARE * of_ieq}
    every = {name: runs[name] for name in PRINTED_FORMS if name != SHORTENED}
    return [
        *order_claims(runs, ORDERS, EPOCHS, epochs_of=epochs_of, fewer=(SHORTENED,)),
        *(
            never_below(text, every, "test_mse", thresholds, EPOCHS, epochs_of=epochs_of)
            for text, thresholds in (
                (
                    f"no method fits, under the reading that it then leaves more than {FAILS:g} of Var y",
                    [FAILS * size for size in sizes],
                ),
                (f"no method reaches a test error of {THRESHOLD:g}", [THRESHOLD] * len(sizes)),
            )
        ),
    ]


def explain(runs: MethodRuns, sizes: Sequence[float]) -> list[Claim]:
    """Return what is behind the statements, as claims that the data decide.

    Parameters
    ----------
    runs : dict
        For each method's name a run for each draw.
    sizes : sequence of float
        Var y on the test part, for each draw.
    """
    parts = [TEST / size for size in sizes]
    frozen, consistent = runs["ExpSAV (Theorem 2.2)"], runs["ExpSAV (Theorem 2.3)"]
    invariant = runs["IEQ-adaptive (inv.)"]
    return [
        Claim(
            f"an error of {TEST:g} is less than {FAILS:g} of Var y",
            max(parts) < FAILS,
            f"it is {range_text(parts, '.1%')} of it",
        ),
        overflows("ExpSAV cannot start as printed: exp(E) overflows", frozen, does=True),
        freezes(frozen),
        recovers("ExpSAV of Theorem 2.3, with the constants of experiment 1,", consistent, EPOCHS),
        learns("ExpSAV of Theorem 2.3", consistent, sizes, EPOCHS),
        blows_up(runs["IEQ-adaptive (vanilla)"]),
        recovers("IEQ-adaptive with the invariant alpha, with the same dt,", invariant, EPOCHS),
        learns("IEQ-adaptive with the invariant alpha", invariant, sizes, EPOCHS),
        collapses(runs["SAV (2.5.1)"]),
        stores(runs["vanilla IEQ"]),
        learns("restarted IEQ", runs["restarted IEQ"], sizes, PRINTED.ieq_share * EPOCHS),
    ]


def _levels(sizes: Sequence[float], whole: bool) -> dict[str, dict[str, float]]:
    tenth = {"a tenth of Var y": FAILS * float(np.median(sizes))}
    return {"test_mse": tenth, "train_mse": tenth}


STUDY = Study(
    title="experiment 2: y = sum of c x^2",
    target="quadratic",
    printed=PRINTED,
    epochs=EPOCHS,
    threshold=THRESHOLD,
    orders=ORDERS,
    unit="Var y",
    size=lambda y: float(np.var(y, dtype=np.float64)),
    parts=(FAILS, 0.01),
    top=1e6,
    levels=_levels,
    note=NOTE,
    judge=judge,
    explain=explain,
    kept_share=KEPT_SHARE,
)
FULL = EmpiricalSettings(target=STUDY.target, epochs=EPOCHS, draws=5)

EMPIRICAL_EXP2 = Experiment(
    name="empirical-exp2",
    title="Six methods on a quadratic, as printed and corrected",
    source=f"{SOURCE}, section 3.3 (Fig. 3.2)",
    problem="Learn y = sum of c_i x_i^2 in 40 dimensions: width 1000 without 1/m, 8000 samples, batches of 64.",
    time="about 2 minutes for 100 epochs and 5 draws",
    quick_time="about 20 seconds for 10 epochs and 1 draw",
    full=FULL,
    quick=replace(FULL, epochs=10, draws=1),
    run=run,
    fixed=STUDY.fixed(),
)
"""The experiment ``empirical-exp2``."""
