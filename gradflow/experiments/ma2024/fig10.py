"""Figure 10 of Ma, Mao & Shen: adaptive relaxed SAV among the adaptive methods, on a narrow peak.

Example 3, ``y = exp(-10 |x|)`` for x of the law N(0, 0.2), read here as a standard deviation of 0.2, in 20
dimensions, width 10 000, 80 000 samples,
batches of 256, C = 100, lambda = 4, dt = 1, the smoothed particle method with h = 1e-6. Read off the plots after 50
000 epochs, in training and testing: adaptive relaxed SAV 3e-7 and 1.5e-3, Adam 1e-5 and 1.5e-3, relaxed SAV 1e-3 and
2e-3, Adagrad 2e-3 and 6e-3, RMSProp 4e-3 and 1e-2, adaptive Euler 1e-2 and 1e-2. (The text calls y a Gaussian; its
formula has the norm, not the square.)

As printed that is 1.6e7 steps a curve, of some 15 ms each on one core by the particle method (measured at the printed
size) and ten times that by the smoothed one: three days a curve, or a month. Here it is 5 dimensions, width 200, 4000
samples, 1000 epochs. Fewer dimensions are needed, too. In 20 (``--set n_inputs=20 --set width=300 --set epochs=400 --set draws=1``) the
root mean square of y is 9e-4, where the network starts with 4e-2, and after 6000 steps of adaptive relaxed SAV the relative error is
still 12, that of f = 0 being 1.

The mean squared error is trained, in mean-field time. With the relative error, by which the gradient is 1 / mean(y^2)
times as large (``--set loss=relative --set draws=1``), relaxed SAV loses r at once, and adaptive relaxed SAV most of it. Only the order of the methods is judged, in training, for both readings of the average v, as in Fig. 4. The
rates of Adam, RMSProp and Adagrad, 0.001, are ours.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from ...schemes import SAV, Adagrad, RMSProp
from ..experiment import Claim, Context, Experiment, Outcome
from ..judging import READING, ends_above
from .adaptive_judging import verdict_by_reading
from .adaptive_panels import (
    ADAM,
    ADAPTIVE_EULER,
    ADAPTIVE_RELAXED,
    PRINTED,
    READINGS,
    adam_curve,
    adaptive_curves,
)
from .curves import RELAXED, SMOOTHED, Curve, Panel, relaxed
from .panels import PanelRuns, panel_outcome
from .tasks import PAPER, TaskSettings

__all__ = ["MA2024_FIG10"]

DT, EPOCH = 1.0, 1000
RMSPROP, ADAGRAD = "RMSProp, dt = 0.001", "Adagrad, dt = 0.001"
ORDER = (ADAPTIVE_RELAXED, ADAM, RELAXED, ADAGRAD, RMSPROP, ADAPTIVE_EULER)
"""The paper's order of the train errors, the lowest first."""
NOTE = (
    "Errors are sum (f - y)^2 / sum y^2, the range over the draws. The average v "
    "is read in both ways: of the squared norm of the gradient, as printed, and element by element, as in Adam. The "
    "figure has 20 dimensions, width 10 000, 80 000 samples and the smoothed particle method (--set "
    "method=smoothed, --set smoothing=1e-6), over 50 000 epochs. The initial parameters, which the paper does not "
    "give, are He's; the rates of Adam, RMSProp and Adagrad are ours."
)


def run(settings: TaskSettings, context: Context) -> Outcome:
    """Run all methods for every draw, draw the figure, and judge their order."""
    return panel_outcome(
        method_panels(settings),
        settings,
        context,
        title="Ma, Mao & Shen (2024), Fig. 10",
        note=NOTE,
        judge=judge,
        paper=replace(
            FULL,
            epochs=50_000,
            n_inputs=20,
            width=10_000,
            n_samples=100_000,
            loss="relative",
            smoothing=1e-6,
            method="smoothed",
        ),
        verdict=verdict_by_reading,
        changes=("the rates of Adam, RMSProp and Adagrad chosen here",),
    )


def method_panels(settings: TaskSettings) -> tuple[Panel, ...]:
    """Return a panel for each reading of v; the methods to which the readings do not apply are in the first.

    Parameters
    ----------
    settings : TaskSettings
        C and the stabilization.
    """
    others = (
        adam_curve(),
        Curve(RELAXED, relaxed(SAV(C=settings.C, stabilization=settings.stabilization)), DT),
        Curve(ADAGRAD, Adagrad(), 1e-3),
        Curve(RMSPROP, RMSProp(), 1e-3),
    )
    panels = []
    for reading, text in READINGS.items():
        curves = {curve.label: curve for curve in adaptive_curves(settings, DT, reading)}
        ours = (curves[ADAPTIVE_RELAXED], curves[ADAPTIVE_EULER])
        panels.append(Panel(text, reading, (*ours, *others) if reading == PRINTED else ours))
    return tuple(panels)


def judge(runs: PanelRuns) -> list[Claim]:
    """Return for each reading of v, and each method, whether it ends above the one that the paper has below it.

    Parameters
    ----------
    runs : dict
        From `run_panels`.
    """
    claims: list[Claim] = []
    for suffix in ("", SMOOTHED):
        titles = [text + suffix for text in READINGS.values() if text + suffix in runs]
        for low, high in pairwise(ORDER):
            read = {low, high} & {ADAPTIVE_RELAXED, ADAPTIVE_EULER}  # of these alone v is an average
            for title in titles if read else titles[:1]:
                curves = {**runs[READINGS[PRINTED] + suffix], **runs[title]}
                before = title if read else suffix.removeprefix(", ")
                text = f"{before}: {high} ends above {low}" if before else f"{high} ends above {low}"
                claims.append(ends_above(text, [curves[high]], [curves[low]], EPOCH))
    return claims


FULL = TaskSettings(
    target="exponential",
    epochs=EPOCH,
    record_epochs=10,
    n_inputs=5,
    width=200,
    n_samples=5000,
    batch_size=256,
    C=100.0,
    stabilization=4.0,
    loss="mse",
    init="he",
)

MA2024_FIG10 = Experiment(
    name="ma2024-fig10",
    title="Adaptive relaxed SAV among the adaptive methods, on a narrow peak",
    source=f"{PAPER}, Fig. 10 (smaller)",
    problem="Learn y = exp(-10 |x|), x normal, in 5 dimensions: width 200, 4000 samples, batches of 256, C = 100, "
    "lambda = 4, dt = 1.",
    time="about a minute for 1000 epochs and 5 draws",
    quick_time="about 15 seconds for 200 epochs and 1 draw",
    full=FULL,
    quick=replace(FULL, epochs=200, draws=1),
    fixed={"dt": DT, "rate of Adam, RMSProp, Adagrad": 1e-3, "read at epoch": EPOCH, "above": READING},
    run=run,
)
"""The experiment ``ma2024-fig10``."""
